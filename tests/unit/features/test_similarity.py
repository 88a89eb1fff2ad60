"""The products under matching, in blocks, and which dictionaries lie before or after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.flow_models import LANES, before, dictionaries, made
from tests.unit.kernels import top_matches
from workbench.dictionary.base import Dictionary

# Among 32 dimensions chance is above the usual threshold, which most tests are not about.
pytestmark = pytest.mark.filterwarnings("ignore:A threshold lies above what chance")


# -- the products -----------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("batch_bytes", [1, 4 * 31 * 5, 2**26])
def test_the_best_matches_are_those_of_the_whole_matrix_in_blocks_of_any_size(
    k: int, batch_bytes: int
) -> None:
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(23, 8, generator=draw), torch.randn(31, 8, generator=draw)
    values, indices = top_matches(a, b, k, batch_bytes=batch_bytes)
    products = (a.double() @ b.double().T).numpy()
    order = np.argsort(-products, axis=1)[:, :k]
    np.testing.assert_array_equal(indices.numpy(), order)
    np.testing.assert_allclose(values.numpy(), np.take_along_axis(products, order, 1), atol=1e-5)


def test_more_matches_than_rows_and_nan_are_refused() -> None:
    with pytest.raises(ValueError, match="Each row has 1 to 2 matches.* got k=3"):
        top_matches(torch.ones(3, 4), torch.ones(2, 4), 3)
    with pytest.raises(ValueError, match="finite vectors; some product is NaN"):
        top_matches(torch.full((3, 4), torch.nan), torch.ones(2, 4))


def test_blocks_stay_within_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    plain = torch.mm

    def watched(a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor:
        sizes.append(out.numel() * out.element_size())
        return plain(a, b, out=out)

    monkeypatch.setattr(torch, "mm", watched)
    top_matches(torch.randn(100, 4), torch.randn(50, 4), batch_bytes=2000)
    assert len(sizes) == 10 and max(sizes) <= 2000


def test_chance_is_the_99_percent_quantile_of_random_directions() -> None:
    dictionary = made("L0.resid_post", 40, 3)

    def chance(own: Dictionary, seed: int) -> float:
        later = made("L1.resid_post", 5, 0)
        return wb.features.match([own, later], seed=seed, progress=False).chance[0, 1]  # pyright: ignore

    found = chance(dictionary, 5)
    random = np.random.default_rng((5, 202502)).standard_normal((512, 32))
    rows = dictionary.W_dec.double().numpy()
    random, rows = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (random, rows))
    best = [max(float(r @ row) for row in rows) for r in random]
    assert found == pytest.approx(np.quantile(best, 0.99), abs=1e-6)
    assert chance(dictionary, 5) == found
    assert chance(dictionary, 6) != found
    # What is kept of one seed is not another's.
    first = chance(replace(dictionary, name="again"), 0)
    assert chance(dictionary, 0) == first != found
    # A dictionary that was itself drawn at random from this seed is no exception.
    drawn = torch.randn(40, 32, generator=torch.Generator().manual_seed(5))
    assert chance(replace(dictionary, W_dec=drawn), 5) < 0.8


# -- lanes ------------------------------------------------------------------------------------


def test_every_lane_leads_to_the_dictionary_before_or_after() -> None:
    lanes = wb.features.match(dictionaries(), progress=False)
    for lane, name in enumerate(LANES):
        for at, site in enumerate(lanes.sites):
            other = lanes.leads[lane, at]
            assert (lanes.sites[other] if other >= 0 else None) == before(site, name)


def test_resid_pre_is_the_resid_post_of_the_layer_before() -> None:
    names = ["embed", "L1.resid_pre", "L1.attn_out", "L1.resid_post", "L2.resid_post"]
    dicts = [made(name, 5, i) for i, name in enumerate(names)]
    lanes = wb.features.match(dicts, progress=False)  # pyright: ignore
    assert lanes.sites == tuple(names)
    resid, mlp, attn, after = lanes.leads.tolist()
    assert resid == [-1, 0, -1, 1, 3]
    assert mlp == [-1] * 5 and attn == [-1, -1, -1, 2, -1]
    assert after == [1, 3, 3, 4, -1]


@pytest.mark.parametrize(
    ("sites", "text"),
    [
        (["L0.resid_post", "L1.resid_pre"], "L0.resid_post and L1.resid_pre are the same place"),
        (["L0.resid_post", "L0.mlp_post"], r"L0.mlp_post is of another space \(mlp_post\)"),
        (["L1.resid_mid", "L1.resid_post"], "L1.resid_mid lies inside a layer: leave it out"),
        (["ln_final"], r"ln_final is of another space"),
    ],
)
def test_dictionaries_of_another_space_or_one_place_are_refused(
    sites: list[str], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        wb.features.match([made(site, 5, 0) for site in sites], progress=False)  # pyright: ignore


def test_dictionaries_of_two_widths_and_no_dictionaries_are_refused() -> None:
    wide = made("L1.resid_post", 5, 0)
    narrow = replace(
        wide,
        site="L0.resid_post",
        out_site=None,
        encoder=replace(wide.encoder, W_enc=torch.randn(16, 5)),
        W_dec=torch.randn(5, 16),
        b_dec=torch.zeros(16),
    )
    with pytest.raises(ValueError, match="one space, the residual stream; .* widths 16, 32"):
        wb.features.match([wide, narrow], progress=False)  # pyright: ignore
    with pytest.raises(
        TypeError, match=r"dicts is a Dictionaries; got .tinyworld.. Read dictionaries"
    ):
        wb.features.match("tinyworld", progress=False)  # a name is not yet dictionaries  # pyright: ignore
