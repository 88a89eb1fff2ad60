"""The published kernels: inner functions that are tested on their own, each for its known answer.

Everything else is reached as a user reaches it: by the public names and by what the public calls
return. Here is the one place that names a kernel's home, so that a kernel that moves changes one
line and no test. A kernel is one numerical piece whose answer is known without the method around
it; the line above each says why it is worth a test of its own.
"""

# ruff: noqa: I001 - by family, in the order of the names in each.

# --- circuits and lens ---

# The constants that tests make small, so that a second part, a coarse name, a short type is met.
from workbench.methods import acdc as acdc
from workbench.pictures import lenses as lenses
from workbench.views import lens as lens

# Which components there are, how they are named and what is connected: counts of the literature.
from workbench.methods.components import Components as Components

# The edits that cut edges, and what each component adds: a cut of all of them is the other run.
from workbench.methods import edge_cuts as edge_cuts
from workbench.methods.node_cuts import node_edits as node_edits

# Chosen edges, beside a loop that takes one after another; drawn ones, by the paths of networkx.
from workbench.methods.circuit import greedy as greedy
from workbench.methods.circuit import random_edges as random_edges

# What a cut component carries instead: the optimum is no worse than the mean, on a plain pass.
from workbench.methods.examples import Examples as Examples
from workbench.methods.references import References as References
from workbench.methods.references import others as others

# A loop that halves its steps when memory ends, by a loop that runs out; the cheapest segments.
from workbench.methods import memory as memory
from workbench.methods import patch_plan as patch_plan

# Ranks and the largest in blocks, beside a sort; no more than a chunk of logits is ever held.
from workbench.methods import readout as readout

# One step's loss and gradient, beside a small difference.
from workbench.methods import tuned_lens as tuned_lens

# The vectors that heads, MLPs and biases write: they add up to the sites.
from workbench.methods import writers as writers

# --- files, encodings and signatures of several families ---

# An index and a checkpoint, which an interrupted write leaves whole or not there at all.
from workbench.methods.features import index_files as index_files
from workbench.methods.features import training as training
from workbench.methods.features import training_state as training_state

# Texts become the same tokens here as in every public call.
from workbench.methods.features import token_rows as token_rows

# Similarities without the vocabulary, beside those of signatures that are formed in full.
from workbench.methods.alignment import signatures as signatures
from workbench.methods.alignment import token_spaces as token_spaces

# --- features ---

# --- vocabulary, information, weights, compare, steering ---
