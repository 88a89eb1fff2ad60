"""The README's table of sites is what the zoo's models have."""

from __future__ import annotations

from .table import README, between, table


def test_the_readme_says_which_site_each_architecture_has(zoo_model):
    made = table(lambda name, backend: zoo_model(name, backend))
    assert between(README.read_text()) == made, "run python -m tests.parity.table --write"
