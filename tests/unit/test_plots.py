"""The pictures hold the results' numbers and name what they show."""

from __future__ import annotations

import inspect
import pkgutil
import pydoc
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

import workbench as wb
from tests.unit.kernels import lenses, marks
from tests.unit.lens_models import PROMPT, TEXTS, logit_lens, words_model
from tests.unit.made_results import ORIGIN
from workbench import direct_logit_attribution
from workbench.lens import JacobianLens, TunedLens, tuned
from workbench.plots import NEGATIVE, POSITIVE, around_zero, png, shown_token, signs
from workbench.result import Result


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def lens() -> Any:
    return logit_lens(
        words_model(), PROMPT, sites=["resid_post", "z"], targets=[" Mary", " John"],
        foils=" Paul", token_sets={"names": [" Mary", " Paul"]},
    )  # fmt: skip


def test_each_quantity_of_a_lens_is_drawn_with_its_own_numbers(lens: Any) -> None:
    panel = lens.panel()
    expected = {
        "probability": np.exp(panel.top_logprobs[0, ..., 0]),
        "entropy": panel.entropy[0],
        "kl": panel.kl[0],
        "target": np.exp(panel.target_logprobs[0, ..., 0]),
        "rank": panel.target_ranks[0, ..., 0] + 1,
        "difference": panel.difference[0, ..., 0],
        "names": panel.masses[0, ..., 0],
    }
    for quantity, values in expected.items():
        ax = lens.plot(quantity=quantity)
        np.testing.assert_allclose(ax.images[0].get_array(), values, rtol=1e-6)
        assert ax.images[0].colorbar.ax.get_ylabel()


def test_cells_and_ticks_are_labelled_with_tokens_and_rows(lens: Any) -> None:
    ax = lens.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["embed", "L0", "L1", "L2"]
    assert ax.get_xticklabels()[1].get_text() == "·Mary"
    n = len(lens.tokens[0])
    assert len(ax.texts) == 4 * n
    assert ax.texts[-1].get_text() == shown_token(lens.text(lens.panel().top_ids[0, -1, -1, 0]))


def test_the_text_of_a_cell_stands_out_from_its_colour(lens: Any) -> None:
    def luminance(color: Any) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for quantity in ("probability", "difference", "rank"):
        ax = lens.plot(quantity=quantity)
        image = ax.images[0]
        for text, value in zip(ax.texts, np.asarray(image.get_array()).reshape(-1), strict=True):
            light, dark = sorted(
                (luminance(text.get_color()), luminance(image.cmap(image.norm(value))[:3])),
                reverse=True,
            )
            assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_many_cells_are_left_without_text_and_many_rows_with_some_names(
    lens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lenses, "LABELLED", 50)
    monkeypatch.setattr(lenses, "NAMED", 7)
    ax = lens.plot(site="z")
    assert not ax.texts
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        f"L{n}H{h}" for n in range(3) for h in (0, 2)
    ]
    assert [label.get_text() for label in ax.get_xticklabels()][:2] == ["When", "·and"]


def test_lines_follow_every_target_through_the_rows_at_a_position(lens: Any) -> None:
    ax = lens.plot(quantity="rank", position=-1)
    for t, line in enumerate(ax.lines[:2]):
        np.testing.assert_array_equal(line.get_ydata(), lens.panel().target_ranks[0, :, -1, t] + 1)
    low, high = ax.get_ylim()
    assert low > high  # the top rank is at the top
    ax = lens.plot(quantity="probability", position=-1)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "‘ Mary’", "‘ John’", "all of names",
    ]  # fmt: skip
    ax = lens.plot(quantity="difference", position=3)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), lens.panel().difference[0, :, 3, 0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"quantity": "loss"}, "can show probability, entropy, kl, .*, names; got quantity='loss'"),
        (
            {"quantity": "kl", "position": 0},
            "show 'probability', 'rank' or 'difference'; got .*'kl'",
        ),
        ({"position": 99}, "read the positions 0 to 13 of prompt 0; got position=99"),
    ],
)
def test_a_picture_that_a_lens_cannot_give_is_a_named_error(
    lens: Any, options: Any, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        lens.plot(**options)


def test_lines_without_targets_say_how_to_get_some() -> None:
    lens = logit_lens(words_model(), PROMPT, k=1)
    with pytest.raises(ValueError, match=r"Compute it with targets= \(and foils="):
        lens.plot(quantity="rank", position=-1)
    with pytest.raises(ValueError, match="can show probability, entropy, kl; got quantity='rank'"):
        lens.plot(quantity="rank")


def test_the_bars_of_an_attribution_sum_to_the_logit() -> None:
    split = direct_logit_attribution(words_model(), PROMPT, " Mary", foils=" John")
    for largest in (100, 5):
        ax = split.plot(largest=largest)
        widths = [patch.get_width() for patch in ax.patches]
        assert sum(widths) == pytest.approx(float(split.logits[0, 0, 0]), abs=1e-4)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) == 6 and names[-1] == "16 others"
    assert "‘ Mary’ − ‘ John’" in ax.get_title()
    with pytest.raises(ValueError, match="split at the positions 13; got 2"):
        split.plot(position=2)


def test_the_training_of_a_tuned_lens_is_drawn_row_by_row() -> None:
    lens = tuned(words_model(), TEXTS, steps=3, progress=False)
    ax = lens.plot()
    assert len([line for line in ax.lines if len(line.get_ydata()) == 3]) == 3
    np.testing.assert_allclose(ax.lines[0].get_ydata(), lens.loss[:, 0])
    assert not TunedLens.identity(words_model()).plot().lines


def test_the_norms_of_a_jacobian_lens_are_drawn() -> None:
    model = words_model()
    from workbench.result import provenance

    matrix = np.stack([np.eye(32), 2 * np.eye(32)])
    jacobian = JacobianLens(**provenance(model), n_layers=3, rows=("L0", "L1"), matrix=matrix)
    ax = jacobian.plot()
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.sqrt(32) * np.array([1, 2]), rtol=1e-6)


def test_a_picture_as_bytes_leaves_no_figure_open(lens: Any) -> None:
    before = plt.get_fignums()
    assert png(lens).startswith(b"\x89PNG")
    assert plt.get_fignums() == before


def test_it_draws_where_it_is_told_to(lens: Any) -> None:
    ax = plt.subplots()[1]
    assert lens.plot(ax=ax) is ax


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" Mary", "·Mary"),
        ("\n", "↵"),
        ("\x00", r"\x00"),
        ("$x$", r"\$x\$"),
        ("internationally", "internati…"),
    ],
)
def test_tokens_are_written_so_that_they_can_be_seen(token: str, shown: str) -> None:
    assert shown_token(token) == shown


RESULTS = sorted(
    name for name in dir(wb) if isinstance(getattr(wb, name), type)
    and issubclass(getattr(wb, name), wb.Result)
)  # fmt: skip
#: What is not drawn, and effects, each of which has a mark of its own.
WITHOUT_PICTURE = {"Result", "Effects"}


@pytest.mark.parametrize("name", RESULTS)
def test_every_picture_and_view_that_a_result_names_is_there(name: str) -> None:
    kind = getattr(wb, name)
    for folder, named in (("pictures", kind.picture), ("views", kind.view)):
        if isinstance(named, str):
            module, _, function = named.partition(".")
            assert callable(getattr(import_module(f".{folder}.{module}", wb.__name__), function))
    assert isinstance(kind.picture, marks.Mark | str) != (name in WITHOUT_PICTURE)


def _bluish(color: Any) -> bool:
    red, _, blue = to_rgb(color)
    return blue > red


def _signed(ax: Any) -> Iterator[tuple[float, Any]]:
    """Each number that a picture draws, with its colour: cells, bars, points and tinted words."""
    for image in ax.images:
        for value in np.ma.compressed(image.get_array()):
            yield float(value), image.cmap(image.norm(value))
    for patch in ax.patches:
        yield patch.get_width(), patch.get_facecolor()
    for points in ax.collections:
        if len(points.get_offsets()) == len(points.get_facecolor()):
            yield from zip(points.get_offsets()[:, 0], points.get_facecolor(), strict=True)
    for text in ax.texts:
        if (word := text.get_text().removeprefix("·").split("=")[-1]) and text.get_bbox_patch():
            yield float(word), text.get_bbox_patch().get_facecolor()


#: A table of signed numbers, each also a word.
SIGNED = pd.DataFrame({"name": [*"abcd"], "at": [*"wxyz"], "value": [2.0, -2.0, 1.5, -1.5]})
SIGNED["word"] = SIGNED["value"].map("={:g}".format)


@dataclass(frozen=True, eq=False, repr=False)
class _Signed(Result):
    picture: Any = field(default=None, kw_only=True)

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        return SIGNED


def _mark(mark: marks.Mark) -> Any:
    return _Signed(**ORIGIN, seed=0, picture=mark).plot()


@pytest.mark.parametrize(
    "draw",
    [
        lambda lens: _mark(marks.Bars("value", "name")),
        lambda lens: _mark(marks.Dots("value", "name")),
        lambda lens: _mark(marks.Heat("value", across="at", down="name")),
        lambda lens: _mark(marks.Words("word", "name", "value")),
        lambda lens: _mark(marks.Tokens("word", "value", "name")),
        lambda lens: lens.plot(quantity="difference"),
        lambda lens: direct_logit_attribution(words_model(), PROMPT, " Mary", foils=" John").plot(),
    ],
    ids=["bars", "dots", "heat", "words", "tokens", "lens", "direct"],
)  # fmt: skip
def test_what_is_positive_is_blue_and_what_is_negative_is_not(draw: Any, lens: Any) -> None:
    drawn = [(v, color) for v, color in _signed(draw(lens)) if np.isfinite(v) and v]
    assert min(v for v, _ in drawn) < 0 < max(v for v, _ in drawn)
    # The faintest tints are next to white, of no colour.
    most = max(abs(v) for v, _ in drawn)
    assert all(_bluish(color) == (v > 0) for v, color in drawn if abs(v) > 0.05 * most)


def test_the_colours_of_signs_stand_in_one_place() -> None:
    own = re.compile(
        r"RdBu|RdYlBu|coolwarm|bwr|seismic|PuOr|BrBG|vlag|icefire|TwoSlopeNorm|#b2182b"
    )
    package = Path(wb.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if own.search(path.read_text("utf-8"))
    }
    assert found == {"plots.py"}
    assert _bluish(POSITIVE) and not _bluish(NEGATIVE)
    style = around_zero([np.nan, -3.0, 1.0])
    assert (style["vmin"], style["vmax"]) == (-3, 3)
    assert signs([0.5, -0.5]) == [POSITIVE, NEGATIVE]


def _kinds(kind: type = wb.Result) -> Iterator[type]:
    """Every result class of the package that names a picture."""
    if kind.__module__.startswith("workbench") and kind.picture is not None:
        yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)


def test_help_on_plot_lists_every_option_of_the_picture() -> None:
    for module in pkgutil.walk_packages(wb.__path__, "workbench."):
        import_module(module.name)
    kinds = set(_kinds())
    assert len(kinds) > 20
    for kind in kinds:
        said, options = (
            inspect.getdoc(kind.plot) or "",
            list(inspect.signature(kind.plot).parameters),
        )
        assert options[:2] == ["self", "title"] and "ax" in options and "options" not in options
        named = re.findall(r"[\w, ]*\w(?=:)|(?<=\W)\w+(?==)|(?<=`)\w+(?=`)", said)
        words = {word for each in named for word in re.findall(r"\w+", each)}
        assert (kind.__name__, set(options[1:]) - words) == (kind.__name__, set())
        assert said.splitlines()[-1] in pydoc.render_doc(kind.plot)


def test_help_on_plot_of_effects_is_of_their_own_picture() -> None:
    dots = _Signed(**ORIGIN, seed=0, picture=marks.Bars("value", "name", sort=True))
    assert inspect.signature(dots.plot).parameters["sort"].default is True
    assert "A bar from 0 for each row" in str(inspect.getdoc(dots.plot))
    assert "sort" not in inspect.signature(_Signed.plot).parameters
    steps = replace(dots, picture=marks.Lines("value", "at"))
    assert "over a column of numbers" in str(inspect.getdoc(steps.plot))


def test_a_title_is_given_or_left_out(lens: Any) -> None:
    for result in (lens, _Signed(**ORIGIN, seed=0, picture=marks.Bars("value", "name"))):
        assert result.plot(title="Mine").get_title() == "Mine"
        ax = result.plot(title="")
        assert ax.get_title() == "" and ax.figure.get_suptitle() == ""
        assert result.plot().get_title() and result.plot(title=None).get_title()


def test_a_pdf_embeds_its_fonts_as_truetype(tmp_path: Path) -> None:
    ax = _mark(marks.Heat("value", across="at", down="name"))
    ax.figure.savefig(tmp_path / "figure.pdf", metadata={"CreationDate": None})
    pdf = (tmp_path / "figure.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf


@pytest.mark.parametrize("width", [6.75, 3.25])
def test_at_the_widths_of_a_paper_texts_stay_within_their_cells_and_the_figure(
    width: float, lens: Any
) -> None:
    numbers = [{"layer": i, "pos": j, "value": i - j / 3} for i in range(4) for j in range(16)]
    heat = _Signed(**ORIGIN, seed=0, picture=marks.Heat("value", "pos", "layer"))
    split = direct_logit_attribution(words_model(), PROMPT, " Mary", foils=" John")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.SIGNED", pd.DataFrame(numbers))
        for result in (heat, lens, split):
            ax = plt.subplots(figsize=(width, 2.6), layout="constrained")[1]
            result.plot(ax=ax)
            ax.figure.canvas.draw()
            (left, _), (right, _) = ax.transData.transform([(0, 0), (1, 0)])
            shown = [text for text in ax.texts if text.get_visible()]
            assert all(text.get_window_extent().width <= right - left for text in shown)
            assert all(float(text.get_fontsize()) >= 4.5 for text in shown)
            named = [t.get_window_extent() for t in ax.get_yticklabels() if t.get_visible()]
            assert not any(a.overlaps(b) for a, b in pairwise(named))
            title = ax.title.get_window_extent()
            assert title.x0 >= 0 and title.x1 <= ax.figure.bbox.width
