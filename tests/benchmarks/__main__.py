"""Every figure of the README, printed by one command: `python -m tests.benchmarks`."""

from __future__ import annotations

import runpy

FIGURES = (
    "import_time",
    "run_overhead",
    "logit_lens",
    "live_logit_lens",
    "patching",
    "attribution",
    "circuits",
    "dictionaries",
    "feature_pages",
    "feature_flow",
    "feature_circuits",
    "neuron_vocabulary",
    "head_vocabulary",
    "information",
    "alignment",
)

for name in FIGURES:
    print(f"\n=== {name}")
    runpy.run_module(f"tests.benchmarks.{name}", run_name="__main__")
