"""Frames: every public call in an older checkout and in this one, number by number.

    python -m tests.frames OLD [--only evaluate_circuit …] [--model …] [--backend …]

OLD is a checkout of the commit to compare with, as `git worktree add` makes it. The calls stand in
one file a family, written as OLD has them; `moved.py` says how this checkout gives the same
numbers where a call has moved, `may_move.py` which numbers may change and what holds in place of
equality. Nothing is kept: tables pass through a temporary folder.
"""
