"""The base of all results: arrays and axes, saving and loading, drawing, provenance."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.lens_models import PROMPT, words_model
from tests.unit.public_names import public
from workbench.result import AXES, Arrays, Labels, Result, axes, labels, provenance


@dataclass(frozen=True, eq=False, repr=False)
class Part(Arrays):
    name: str
    scores: np.ndarray = axes("pos head")
    ranks: np.ndarray | None = axes("pos", np.int32, optional=True)


@dataclass(frozen=True, eq=False, repr=False)
class Sample(Result):
    parts: tuple[Part, ...]
    sets: dict[str, tuple[str, ...]]
    note: str | None
    values: np.ndarray = axes("batch pos")

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame({"value": self.values.reshape(-1)})


class Other(Sample):
    pass


@dataclass(frozen=True, eq=False, repr=False)
class Ranked(Result):
    """The best of each prompt, and no class's own table."""

    best: np.ndarray = axes("batch k")


BASE = {
    "model": "tiny", "revision": "local", "versions": {"torch": "2"}, "seed": 3,
    "tokens": (("a", " b"), ("c",)),
}  # fmt: skip


def sample(**changes: object) -> Sample:
    part = Part("first", np.arange(6.0).reshape(3, 2), ranks=np.arange(3))
    given = {
        **BASE, "parts": (part, Part("second", np.ones((1, 1)))), "sets": {"French": (" chat",)},
        "note": None, "values": np.array([[1.5, np.nan]]),
    }  # fmt: skip
    return Sample(**{**given, **changes})  # type: ignore[arg-type]


def test_arrays_are_cast_and_cannot_be_written_to() -> None:
    result = sample(values=np.array([[1, 2]]))
    assert result.values.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        result.values[0, 0] = 5
    with pytest.raises(FrozenInstanceError):
        result.seed = 4  # type: ignore[misc]


def test_ranks_in_tables_start_at_1() -> None:
    frame = Ranked(**BASE, best=np.array([[5.0, 4, 3], [2, 1, np.nan]])).to_frame()  # type: ignore[arg-type]
    assert frame["k"].tolist() == [1, 2, 3, 1, 2] and frame["batch"].tolist() == [0, 0, 0, 1, 1]
    assert frame.attrs["notes"]["k"] == "place in a ranking, 1 = first"


def test_the_callers_own_array_stays_writable_and_apart() -> None:
    mine = np.zeros((1, 2), np.float32)
    result = sample(values=mine)
    mine[0, 0] = 7
    assert result.values[0, 0] == 0


def test_an_array_of_another_number_of_axes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Sample.values has the axes \(batch, pos\); .*\(3,\)"):
        sample(values=np.zeros(3))


def test_arrays_that_disagree_about_an_axis_are_refused() -> None:
    with pytest.raises(
        ValueError, match="Part.scores has 3 along 'pos', ranks has 2; arrays of one"
    ):
        Part("x", np.zeros((3, 2)), ranks=np.zeros(2))


def test_a_saved_result_comes_back_the_same(tmp_path: Path) -> None:
    before = sample()
    path = before.save(tmp_path / "deep" / "one")
    after = Sample.load(tmp_path / "deep" / "one")
    assert path == tmp_path / "deep" / "one.json"
    assert (after.model, after.versions, after.seed, after.tokens) == tuple(
        BASE[name] for name in ("model", "versions", "seed", "tokens")
    )
    assert after.sets == before.sets and after.note is None
    assert [part.name for part in after.parts] == ["first", "second"]
    np.testing.assert_array_equal(after.parts[0].ranks, before.parts[0].ranks)
    assert after.parts[0].ranks is not None and after.parts[0].ranks.dtype == np.int32
    assert after.parts[1].ranks is None
    np.testing.assert_array_equal(after.values, before.values)


@given(
    tokens=st.lists(st.lists(st.text(), max_size=4), max_size=3),
    values=st.lists(st.floats(width=32, allow_nan=True), max_size=6),
)
def test_any_text_and_any_numbers_survive_saving(
    tmp_path_factory: pytest.TempPathFactory, tokens: list[list[str]], values: list[float]
) -> None:
    stem = tmp_path_factory.getbasetemp() / "any"
    before = sample(tokens=tuple(map(tuple, tokens)), values=np.array([values], np.float32))
    before.save(stem)
    after = Sample.load(stem)
    assert after.tokens == before.tokens
    np.testing.assert_array_equal(after.values, before.values)


def test_either_files_name_loads_both(tmp_path: Path) -> None:
    sample().save(tmp_path / "one")
    assert Sample.load(tmp_path / "one.json").model == "tiny"
    assert Sample.load(tmp_path / "one.safetensors").model == "tiny"


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, suffix: str) -> None:
    sample().save(tmp_path / "one")
    (tmp_path / f"one.{suffix}").unlink()
    with pytest.raises(
        FileNotFoundError, match=rf"one\.{suffix} is missing. Give load\(\) the path"
    ):
        Sample.load(tmp_path / "one")


def test_a_file_of_another_class_is_refused(tmp_path: Path) -> None:
    sample().save(tmp_path / "one")
    with pytest.raises(ValueError, match=r"holds a Sample, not a Other; read it with Sample.load"):
        Other.load(tmp_path / "one")


def test_a_file_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = sample().save(tmp_path / "one")
    text = json.loads(path.read_text())
    path.write_text(json.dumps({**text, "workbench": 99}))
    with pytest.raises(ValueError, match="has format 99; this workbench reads .* Update workbench"):
        Sample.load(path)


def test_a_file_of_format_1_is_refused_with_the_next_step(tmp_path: Path) -> None:
    path = sample().save(tmp_path / "one")
    text = json.loads(path.read_text())
    assert text["workbench"] == 2
    path.write_text(json.dumps({**text, "workbench": 1}))
    with pytest.raises(
        ValueError,
        match=r"one.json was saved by workbench 0.1 in format 1; this workbench reads format 2. "
        r"Run the method again and save its result.",
    ):
        Sample.load(path)


@pytest.mark.parametrize("text", ["{", "[]", '{"class": "Sample"}'])
def test_a_file_that_save_did_not_write_is_refused(tmp_path: Path, text: str) -> None:
    path = sample().save(tmp_path / "one")
    path.write_text(text)
    with pytest.raises(ValueError, match=r"is not a result that save\(\) wrote"):
        Sample.load(path)


def test_what_is_no_plain_data_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="sets/odd is <object"):
        sample(sets={"odd": object()}).save(tmp_path / "one")


def test_the_repr_is_short_and_the_same_on_every_run() -> None:
    assert repr(sample()) == repr(sample()) == "Sample(tiny: 2 prompts, 3 tokens)"


def test_a_result_that_cannot_be_drawn_warns_and_is_shown_as_text() -> None:
    with pytest.warns(UserWarning, match="Sample could not be drawn: TypeError.*has no picture"):
        bundle = sample()._repr_mimebundle_()
    assert bundle == {"text/plain": "Sample(tiny: 2 prompts, 3 tokens)"}


def test_a_result_without_views_says_what_to_use_instead() -> None:
    with pytest.raises(TypeError, match=r"Sample has no interactive view; draw it with plot"):
        sample().widget()
    with pytest.raises(TypeError, match=r"Sample has no picture; use to_frame"):
        sample().plot()


@dataclass(frozen=True, eq=False, repr=False)
class Labelled(Result):
    """What a method found."""

    sites: tuple[str, ...] = labels("site", "Where it was read.")
    changes: Labels = labels("change", "Of the change.")
    layers: np.ndarray = axes("layer", np.int32, "Layer.", name="layer")
    effects: np.ndarray = axes("site change", np.float64, "Rise of the logit.", name="effect")
    plain: np.ndarray = axes("change", np.float32, "Logit of the plain model.")
    examples: np.ndarray | None = axes("site pos", np.float32, "A loss (nats).", optional=True)
    sizes: np.ndarray | None = axes("head layer", np.float32, "A norm.", optional=True)

    tables = {"effects": "site change", "losses": "site pos", "sizes": "layer head"}


def labelled(**changes: object) -> Labelled:
    given = {
        **BASE, "sites": ("L0", "L1"), "layers": [4, 6], "effects": [[1, 2, 3], [4, 5, np.nan]],
        "changes": {"change": ("a", "a", "b"), "strength": (np.float32(0.5), 1, None)},
        "plain": [7, 8, 9], "examples": [[1, 2], [3, np.nan]], "sizes": [[1, 2]],
    }  # fmt: skip
    return Labelled(**{**given, **changes})  # type: ignore[arg-type]


def test_a_table_has_the_labels_of_its_axes_and_the_arrays_along_them() -> None:
    frame = labelled().to_frame()
    assert list(frame) == ["site", "change", "strength", "effect", "plain"]
    assert frame.site.tolist() == ["L0"] * 3 + ["L1"] * 3
    assert frame.change.tolist() == ["a", "a", "b"] * 2
    assert frame.strength.tolist()[:2] == [0.5, 1] and pd.isna(frame.strength[2])
    # What a method could not measure stays in the table.
    np.testing.assert_array_equal(frame.effect, [1, 2, 3, 4, 5, np.nan])
    np.testing.assert_array_equal(frame.plain, [7, 8, 9] * 2)
    assert frame.attrs["notes"] == {
        "site": "Where it was read.", "change": "Of the change.", "strength": "Of the change.",
        "effect": "Rise of the logit.", "plain": "Logit of the plain model.",
    }  # fmt: skip
    pd.testing.assert_frame_equal(frame, labelled().to_frame("effects"))


def test_another_table_is_named_and_axes_without_labels_are_counted() -> None:
    losses = labelled().to_frame("losses")
    # The place that the shorter line lacks is left out.
    assert losses.to_dict("list") == {
        "site": ["L0", "L0", "L1"], "pos": [0, 1, 0], "examples": [1, 2, 3],
    }  # fmt: skip
    assert losses.attrs["notes"]["pos"] == AXES["pos"]
    sizes = labelled().to_frame("sizes")
    assert sizes.to_dict("list") == {"head": [0, 0], "layer": [4, 6], "sizes": [1, 2]}


def test_a_table_that_a_result_does_not_have_is_refused() -> None:
    with pytest.raises(
        ValueError, match="table is one of 'effects', 'losses', 'sizes'; got 'other'"
    ):
        labelled().to_frame("other")

    @dataclass(frozen=True, eq=False, repr=False)
    class One(Result):
        values: np.ndarray = axes("head pos", np.int32)

    one = One(**BASE, values=np.array([[1, 2]]))
    assert one.to_frame().to_dict("list") == {"head": [0, 0], "pos": [0, 1], "values": [1, 2]}
    with pytest.raises(ValueError, match="table is None, since One has one table; got 'other'"):
        one.to_frame("other")
    with pytest.raises(TypeError, match=r"Result has no arrays .*; define to_frame\(\)"):
        Result(**BASE).to_frame()
    with pytest.raises(ValueError, match="along site pos nothing was; got 'losses'"):
        labelled(examples=None).to_frame("losses")


def test_labels_that_do_not_fit_their_axis_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sites has 1 along 'site', effects has 2; arrays of one"):
        labelled(sites=("L0",))
    with pytest.raises(ValueError, match=r"has a name of its own; Labelled has two called 'plain'"):
        labelled(changes={"plain": ("a", "b", "c")}).to_frame()


def test_labels_come_back_from_a_file_with_their_types(tmp_path: Path) -> None:
    before = labelled()
    before.save(tmp_path / "one")
    after = Labelled.load(tmp_path / "one")
    assert after.sites == before.sites == ("L0", "L1")
    assert after.changes == before.changes and type(after.changes["strength"][0]) is float
    pd.testing.assert_frame_equal(after.to_frame(), before.to_frame())


def test_help_shows_what_stands_beside_the_fields() -> None:
    assert Labelled.__doc__ == (
        "What a method found.\n\n"
        "    sites (site): Where it was read.\n"
        "    changes (change): Of the change.\n"
        "    layers (layer): Layer.\n"
        "    effects (site change): Rise of the logit.\n"
        "    plain (change): Logit of the plain model.\n"
        "    examples (site pos): A loss (nats).\n"
        "    sizes (head layer): A norm."
    )
    assert Sample.__doc__ is not None and "Where it was read" not in Sample.__doc__


#: Axis words that are not of the list, by what they are; the list only gets shorter.
STILL = {
    # Rankings and histograms of a feature's page, each as long as it is.
    "beside", "bin", "bin_edge", "lowered", "near", "promoted", "raised", "suppressed", "token",
    # Of a lens: a foil may be missing where there are targets; tracks stand one after another, and
    # offsets say where each position's begin; a training's steps are no changes of the model.
    "foil", "offset", "step", "track",
    # Layers of two models in one array.
    "layer_a", "layer_b",
    # A circuit's edges as a matrix, an attribution's edges or nodes.
    "item", "reader", "writer",
    # Kinds of edges by their length in a flow.
    "lane",
    # Dictionaries × concepts × texts of an evaluation, and its questions of two kinds.
    "concept", "dictionary", "stay", "swap", "text",
    # What a head or a neuron reads and writes.
    "circuit", "direction", "end", "kind", "pair", "side", "sign",
}  # fmt: skip


def test_axes_are_called_by_the_words_of_the_list() -> None:
    def kinds(base: type) -> set[type]:
        return {base}.union(*(kinds(each) for each in base.__subclasses__()))

    public()  # every family's classes, too
    used = {
        axis
        for kind in kinds(Arrays)
        if kind.__module__.startswith("workbench.")
        for f in kind.__dataclass_fields__.values()  # type: ignore[attr-defined]
        for axis in (*f.metadata.get("axes", ()), *filter(None, [f.metadata.get("labels")]))
    }
    assert used - set(AXES) == STILL


def test_provenance_names_the_model_and_the_libraries() -> None:
    model = words_model()
    found = provenance(model, model.tokens(PROMPT), seed=5)
    assert found["model"] == "words" and found["seed"] == 5
    assert found["tokens"][0][:2] == ("When", " Mary")
    assert {"workbench", "torch", "transformers", "nnsight"} == set(found["versions"])
