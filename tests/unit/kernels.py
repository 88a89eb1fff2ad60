"""The published kernels: inner functions that are tested on their own, each for its known answer.

Everything else is reached as a user reaches it: by the public names and by what the public calls
return. Here is the one place that names a kernel's home, so that a kernel that moves changes one
line and no test. A kernel is one numerical piece whose answer is known without the method around
it; the line above each says why it is worth a test of its own.
"""

# ruff: noqa: I001 - by family, in the order of the names in each.

# --- circuits and lens ---

# --- features ---

# --- vocabulary, information, weights, compare, steering ---
