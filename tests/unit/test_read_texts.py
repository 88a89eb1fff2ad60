"""Own texts: `read_texts` cuts them into rows, and every `texts=` takes a path or a text too."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.unit.public_names import families

SITE = "L2.resid_post"


@cache
def model(backend: str = "nnsight") -> Any:
    return wb.load("tinyworld", device="cpu", backend=backend)


@cache
def text() -> str:
    return " ".join(wb.texts("tinyworld", n=4))


class Column(Sequence[str]):
    """A column as the datasets library has it: a sequence that is read where it is asked."""

    def __init__(self, rows: list[str]) -> None:
        self.rows, self.n_read = rows, 0

    def __getitem__(self, i: Any) -> Any:
        self.n_read += 1
        return self.rows[i]

    def __len__(self) -> int:
        return len(self.rows)


def own(tokens: wb.Tokens) -> list[list[int]]:
    return [tokens.ids[r, tokens.columns(r)].tolist() for r in range(tokens.n_rows)]


# -- what is read ------------------------------------------------------------------------------


def test_a_long_text_is_cut_into_rows_of_the_context_and_none_of_it_is_lost(tmp_path: Path) -> None:
    ids = model().tokenizer(text()).input_ids
    n_ctx = model().spec.n_ctx
    rows = own(wb.read_texts(text(), model()))
    assert rows == [ids[at : at + n_ctx] for at in range(0, len(ids), n_ctx)] and len(rows) > 1
    file = tmp_path / "my notes.txt"
    file.write_text(text(), encoding="utf-8")
    for source in (file, str(file), [file], [text()], iter([text()]), Column([text()])):
        assert own(wb.read_texts(source, model())) == rows
    short = own(wb.read_texts(file, model(), length=10))
    assert {len(row) for row in short[:-1]} == {10}
    assert [i for row in short for i in row] in (ids, ids[:-1])


def test_texts_are_cut_each_by_itself_and_blank_ones_left_out() -> None:
    tokens = wb.read_texts(["The dog sees a bird.", " \n", text()], model(), length=16)
    assert "".join(tokens.strings[0]) == "The dog sees a bird."
    assert min(tokens.lengths) > 1


def test_of_a_stream_no_more_is_read_than_wanted() -> None:
    read = []
    stream = (read.append(i) or f"The dog sees {i % 3} birds." for i in count())
    assert wb.read_texts(stream, model(), n=5).n_rows == 5 and len(read) == 5


# -- what is refused ---------------------------------------------------------------------------


def test_files_that_hold_no_text_are_refused_in_words(tmp_path: Path) -> None:
    made = {"empty.txt": b"", "blank.txt": b" \n", "latin.txt": "Zürich".encode("latin-1"),
            "binary.bin": b"abc\0def", "wide.txt": "Paris".encode("utf-16")}  # fmt: skip
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    words = {"empty.txt": "is empty", "blank.txt": "is empty", "latin.txt": "in UTF-8; byte 1",
             "binary.bin": "zero bytes", "wide.txt": "in UTF-8; byte 0"}  # fmt: skip
    for name, why in words.items():
        for source in (tmp_path / name, str(tmp_path / name)):
            with pytest.raises(ValueError, match=why) as caught:
                wb.read_texts(source, model())
            assert len(str(caught.value)) < 400
    for source in (tmp_path, str(tmp_path)):
        with pytest.raises(ValueError, match="is a folder, where a file is read"):
            wb.read_texts(source, model())
    for source in (tmp_path / "none", "none.txt", "~/none/of.these"):
        with pytest.raises(FileNotFoundError, match="there is none|is missing"):
            wb.read_texts(source, model())


def test_a_mark_at_the_start_of_a_file_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfThe dog\r\nsees")
    assert "".join(wb.read_texts(tmp_path / "a.txt", model()).strings[0]).startswith("The dog")


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (5, TypeError, "Texts are a path, a text, or a list"),
        (b"The dog", TypeError, "Texts are a path, a text"),
        ({"text": ["a"]}, TypeError, "Texts are a path, a text"),
        (
            [{"text": "The dog"}],
            TypeError,
            r"text 0 is .*Give a column of it, as dat",
        ),
        (["The dog", None], TypeError, "text 1 is None"),
        ([], ValueError, "There is at least one text"),
        (["", " "], ValueError, "holds none but blank ones"),
        (["The dog \ud800"], ValueError, "Text 0: .*surrogate"),
        ("notes.txt", FileNotFoundError, "'notes.txt' ends like the name of a file"),
    ],
)
def test_what_is_no_text_is_refused_in_words(source: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        wb.read_texts(source, model())
    assert len(wb.read_texts(["notes.txt"], model())) == 1  # in a list it is a text


def test_tokens_and_lengths_that_no_model_reads_are_refused() -> None:
    with pytest.raises(ValueError, match="give it as it is"):
        wb.read_texts(model().tokens("The dog"), model())
    for length in (1, 65):
        with pytest.raises(ValueError, match="a number of tokens from 2 to 64, what it reads"):
            wb.read_texts(text(), model(), length=length)


def test_other_calls_say_who_reads_a_path_and_who_cuts() -> None:
    with pytest.raises(TypeError, match=r"Of a file: wb\.read_texts\(path, model\)"):
        model().tokens(Path("notes.txt"))
    with pytest.raises(ValueError, match=r"wb\.read_texts\(…, model\) does"):
        model().tokens(text())


# -- every call that takes texts ---------------------------------------------------------------


@cache
def dicts() -> Any:
    return wb.dictionaries("tinyworld")


@cache
def acts() -> Any:
    texts = list(wb.texts("tinyworld", n=12))
    return wb.activations(model(), texts, SITE, labels={"half": ["a", "b"] * 6})


@cache
def probe() -> Any:
    return wb.probe(acts(), "half", split="row", n_controls=1)


def labels(texts: Any) -> list[str]:
    n = wb.read_texts(texts, model()).n_rows if not isinstance(texts, wb.Tokens) else texts.n_rows
    return ["a", "b"] * (n // 2) + ["a"] * (n % 2)


def flow() -> Any:
    return wb.feature_flow(dicts(), "L3.resid_post/123")


def shift(texts: Any, call: Any, **options: Any) -> Any:
    kept = wb.Dictionaries([dicts()[SITE]])
    return call(model(), texts, probe(), kept, labels=labels(texts), **options)


def effects(texts: Any) -> Any:
    kept = wb.Dictionaries([dicts()[SITE]])
    return wb.features.effects(model(), texts, kept, metric=probe(), labels=labels(texts))


QUIET: dict[str, Any] = {"progress": False}
STATED = ["The dog sees a white bird."] * 2
#: Each call that takes texts, with little to do.
CALLS: dict[str, Callable[[Any], Any]] = {
    "compare.stitch": lambda t: wb.compare.stitch(
        model(), other(), t, alignment(), n=1, n_controls=1, **QUIET
    ),
    "features.check": lambda t: wb.features.check(model(), t, dicts()[SITE]),
    "features.evaluate": lambda t: wb.features.evaluate(model(), t, dicts()[SITE], **QUIET),
    "features.evaluate_concepts": lambda t: wb.features.evaluate_concepts(
        model(), t, dicts()[SITE], wb.concepts({"and": [" and"], "the": [" the"]}),
        n_prompts=2, **QUIET
    ),
    "features.evaluate_flow": lambda t: wb.features.evaluate_flow(
        model(), t, flow(), n_edges=1, n_samples=1, methods=(), **QUIET
    ),
    "features.index": lambda t: wb.features.index(model(), t, dicts()[SITE], **QUIET),
    "features.match": lambda t: wb.features.match(
        wb.Dictionaries([dicts()[s] for s in (SITE, "L3.resid_post")]),
        method="correlation", model=model(), texts=t, **QUIET
    ),
    "features.page": lambda t: wb.features.page(model(), t, dicts()[SITE], 5, **QUIET),
    "features.shift": lambda t: shift(t, wb.features.shift, features=[f"{SITE}/5"], n_controls=1),
    "features.train": lambda t: wb.features.train(
        model(), t, SITE, n_features=8, k=2, steps=1, batch_size=8, **QUIET
    ),
    "lens.jacobian": lambda t: wb.lens.jacobian(
        model("transformer_lens"), t, skip_first_positions=2, max_seq_len=4, dim_batch=64, **QUIET
    ),
    "lens.tuned": lambda t: wb.lens.tuned(model(), t, steps=1, **QUIET).evaluate(model(), t),
    "live.feature_flow": lambda t: wb.live.feature_flow(
        model(), dicts(), t, feature="L3.resid_post/123"
    ),
    "live.features": lambda t: wb.live.features(model(), t, dicts()[SITE], **QUIET),
    "live.shift": lambda t: shift(t, wb.live.shift, effects=effects(t)),
    "steering.typical_length": lambda t: wb.steering.typical_length(
        model(), t, dicts(), busiest()
    ),
}  # fmt: skip


@cache
def busiest() -> str:
    codes = acts().encode(dicts())[SITE]
    return f"{SITE}/{int((codes > 0).sum(0).argmax())}"


@cache
def other() -> Any:
    return wb.load("tinyworld-seed1", device="cpu")


@cache
def alignment() -> Any:
    return wb.compare.align(model(), other(), n_controls=1, progress=False)


def test_every_call_that_takes_texts_is_here() -> None:
    found = {
        f"{family}.{name}"
        for family, space in families().items()
        for name in getattr(space, "__all__", ())
        if inspect.isfunction(call := getattr(space, name))
        and "texts" in inspect.signature(call).parameters
    }
    assert found == set(CALLS)


@pytest.mark.parametrize("name", sorted(CALLS))
@pytest.mark.filterwarnings("ignore::UserWarning:workbench")
def test_every_call_takes_a_path_a_text_and_a_list(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "texts.txt"
    file.write_text(text(), encoding="utf-8")
    for source in (file, text()):
        assert CALLS[name](source) is not None
    with pytest.raises(FileNotFoundError, match="ends like the name of a file"):
        CALLS[name]("missing.txt")


@pytest.mark.parametrize("name", ["probe", "effects", "elsewhere", "material"])
def test_texts_by_another_name_are_read_alike(name: str, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text(text(), encoding="utf-8")
    push = wb.Change(wb.Add(SITE, model().weight("W_U")[:, 5]))
    calls = {
        "probe": lambda t: probe().logits(model(), t),
        "effects": effects,
        "elsewhere": lambda t: (
            wb.experiment(
                model(),
                wb.task("capitals", n=2),
                {"push": push},
                elsewhere=t,
                n_controls=1,
                **QUIET,
            ).effect
        ),
        "material": lambda t: wb.weights.unlearn(model(), t, STATED, steps=1, **QUIET),
    }
    seen = [repr(calls[name](source)) for source in (file, str(file), text())]
    assert seen[0] == seen[1] == seen[2]
