"""Sites: their names, their order, and what is no site."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.site import GLOBAL_STREAMS, HEAD_STREAMS, NEURON_STREAMS, STREAMS, Site


@st.composite
def sites(draw: st.DrawFn) -> Site:
    stream = draw(st.sampled_from(list(STREAMS)))
    if stream in GLOBAL_STREAMS:
        return Site(stream, unit=draw(st.none() | st.integers(0, 999)))
    layer = draw(st.integers(0, 99))
    head = draw(st.none() | st.integers(0, 40)) if stream in HEAD_STREAMS else None
    unit = draw(st.none() | st.integers(0, 9999)) if head is None else None
    return Site(stream, layer, head, unit)


@given(sites())
def test_the_short_form_reads_back(site: Site):
    assert Site.parse(str(site)) == site
    assert Site.parse(site) is site
    assert eval(repr(site)) == site


@given(sites())
def test_the_hook_name_reads_back_as_the_whole_stream(site: Site):
    assert Site.parse(site.hook) == site.whole


@given(st.lists(sites(), min_size=2, max_size=6))
def test_sites_sort_in_the_order_of_a_pass(many: list[Site]):
    ordered = sorted(many)
    layers = [-1 if s.stream == "embed" else 10**6 if s.layer is None else s.layer for s in ordered]
    assert layers == sorted(layers)
    assert sorted(ordered, reverse=True)[::-1] == ordered


def test_a_layer_runs_from_resid_pre_through_attention_and_mlp_to_resid_post():
    names = ["L1.resid_pre", "L1.q", "L1.pattern", "L1.z", "L1.attn_out", "L1.resid_mid"]
    names += ["L1.mlp_pre", "L1.mlp_post", "L1.mlp_out", "L1.resid_post", "L2.resid_pre"]
    ordered = ["embed", *names, "ln_final"]
    assert [str(s) for s in sorted(map(Site.parse, reversed(ordered)))] == ordered


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("L3.resid_post", Site("resid_post", 3)),
        ("L3H1.q", Site("q", 3, head=1)),
        ("L2.mlp_post/77", Site("mlp_post", 2, unit=77)),
        ("L3.resid_post/123", Site("resid_post", 3, unit=123)),
        ("embed", Site("embed")),
        ("blocks.3.hook_resid_post", Site("resid_post", 3)),
        ("blocks.0.attn.hook_z", Site("z", 0)),
        ("blocks.0.mlp.hook_pre", Site("mlp_pre", 0)),
        ("hook_embed", Site("embed")),
    ],
)
def test_both_forms_of_name_are_read(name: str, site: Site):
    assert Site.parse(name) == site


def test_axes_follow_the_part_that_is_named():
    assert Site.parse("L0.q").axes == ("batch", "pos", "head", "d_head")
    assert Site.parse("L0H1.q").axes == ("batch", "pos", "d_head")
    assert Site.parse("L0H1.pattern").axes == ("batch", "dst", "src")
    assert Site.parse("L0.mlp_post/7").axes == ("batch", "pos")
    assert {"mlp_pre", "mlp_post"} == set(NEURON_STREAMS)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Site("residual", 1), r"A site names one of the streams embed, .*got 'residual'"),
        (lambda: Site("resid_post"), r"'resid_post' belongs to a layer; write L0.resid_post"),
        (lambda: Site("embed", 2), r"'embed' belongs to the whole model, not to layer 2"),
        (lambda: Site("resid_post", 1, head=2), r"Only q, .* have heads; got head 2 of 'resid_p"),
        (lambda: Site("z", 1, head=2, unit=3), r"A site names a head or a unit, not both"),
        (lambda: Site("z", -1), r"The layer of a site is a whole number from 0; got -1"),
        (lambda: Site("z", True), r"The layer of a site is a whole number from 0; got True"),
        (lambda: Site.parse("L1"), r"A site is written like 'L3.resid_post', .*; got 'L1'"),
        (lambda: Site.parse("blocks.1.hook_rot_q"), r"got 'blocks.1.hook_rot_q'. The streams are"),
        (lambda: Site.parse(7), r"got 7"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_is_no_site_is_named_with_the_rule(call, text: str):
    with pytest.raises(ValueError, match=text):
        call()
