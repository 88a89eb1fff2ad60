"""Writes labels.json beside each shipped dictionary: what its features are called, with scores.

    python -m data.tinyworld.labels data/dictionaries/tinyworld

from the root of the checkout, after the dictionaries and the texts are there. Labels are made from
the first 1,500 of the shipped texts and scored on the other 500. What a person wrote stays, where
the dictionary is the same; labels of one that was replaced are made anew.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import workbench as wb
from workbench.features.label import FILE


def make_labels(model: Any, dictionary: Any, texts: Any, *, progress: bool = True) -> Any:
    """Labels by tokens for every feature that fires on the texts; the last quarter scores them."""
    with tempfile.TemporaryDirectory() as folder:
        index = wb.features.index(
            model,
            texts,
            dictionary,
            path=Path(folder) / "index",
            n_contexts=1,
            n_sampled=1,
            progress=progress,
        )
        return wb.features.label(index, dictionary.path)


def main() -> None:
    """Read the command line and write a file a dictionary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    model, texts = wb.load("tinyworld", device="cpu"), wb.texts("tinyworld")
    for dictionary in wb.dictionaries(arguments.folder).values():
        labels = make_labels(model, dictionary, texts)
        folder = dictionary.path
        assert folder is not None
        try:
            before = wb.features.Labels.of(dictionary)
        except ValueError:  # they are of the dictionary that was here before
            (folder / FILE).unlink()
        else:
            for number in before:
                if before[number].by == "person":
                    labels.keep(number, before[number])
        labels.save(folder)


if __name__ == "__main__":
    main()
