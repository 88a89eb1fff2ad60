"""The figures of data/README.md are those that its commands print."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from data.tinyworld import evaluate, measure, sizes

README = (Path(__file__).resolve().parents[2] / "data" / "README.md").read_text(encoding="utf-8")
CHECKPOINTS = Path(sizes.DATA) / "models" / "tinyworld-checkpoints"


@pytest.mark.parametrize("line", sizes.lines())
def test_every_size_stands_in_the_readme(line: str) -> None:
    assert line in " ".join(README.split())


def test_what_is_listed_more_than_once_is_the_same_everywhere() -> None:
    lines = sizes.lines()
    assert len(set(lines)) == len(lines) > 30
    assert sum(line.startswith("|") for line in lines) == 12


def test_a_table_of_several_models_has_a_column_of_each_in_one_condition(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(reader: str, n: int, condition: str) -> dict[str, float]:
        first = int(reader.removeprefix("step-")) / 1e4
        return {name: first + i / 100 for i, name in enumerate(measure.TARGETS)}

    folders = sorted(str(path) for path in CHECKPOINTS.iterdir())
    monkeypatch.setattr(measure.Reader, "load", lambda folder: folder.name)
    monkeypatch.setattr(measure, "measure", measured)
    command = ["measure", "--condition", "start", "--questions", "120", *folders]
    monkeypatch.setattr("sys.argv", command)
    measure.main()
    head, rule, *rows = capsys.readouterr().out.splitlines()
    names = [Path(folder).name for folder in folders]
    each = [measured(name, 120, "start") for name in names]
    for row, name in zip(rows, measure.TARGETS, strict=True):
        assert row == f"| {name} | " + " | ".join(f"{values[name]:.2f}" for values in each) + " |"
    # The README's table is this one, with the models' numbers.
    table = README[README.index(head) :].split("\n\n")[0].splitlines()
    assert rule == table[1] and len(names) == 5
    assert [row.split(" | ")[0] for row in table[2:]] == [row.split(" | ")[0] for row in rows]


def test_the_tables_of_dictionaries_have_the_readmes_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The numbers of the README put in again, since measuring takes minutes."""
    lines = README[README.index("| site | explained variance") :].split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    rows = {}
    for name, explained, recovered, kl, dead, dense in cells:
        value, low, high = re.findall(r"[0-9.]+", recovered)
        rows["all" if name == "all at once" else name] = {
            "explained variance": (float(explained or "nan"),),
            "loss recovered": (float(value), float(low), float(high)),
            "KL": (float(kl),),
            "dead": (float(dead or "nan"),),
            "dense": (float(dense or "nan"),),
        }
    asked = SimpleNamespace(
        changes={"dictionary": tuple(rows)},
        score=lambda measure, dictionary, **_: rows[dictionary][measure],
    )
    monkeypatch.setattr(evaluate.wb.features, "evaluate", lambda *_: asked, raising=False)
    evaluate.print_kept(None, {}, ())
    assert capsys.readouterr().out.splitlines()[0] == lines[0]
    evaluate.print_kept(None, {}, ())
    assert capsys.readouterr().out.splitlines()[2:] == lines[2:]
