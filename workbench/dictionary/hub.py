"""The Hub: which files of a published dictionary to fetch, and the releases known by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

#: The average L0 that Gemma Scope's "canonical" names stand for, layer by layer, at 16k features.
_CANONICAL = {
    "2b-pt-res": "105 102 141 59 124 68 70 69 71 73 77 80 82 84 84 78 78 77 74 73 71 70 72 75 73 "
    "116",
    "2b-pt-mlp": "119 105 95 95 85 114 133 60 136 88 110 98 108 112 97 80 72 68 106 109 109 113 "
    "121 128 73 126",
    "9b-pt-res": "129 69 67 90 91 77 93 92 99 100 113 118 130 132 67 131 75 73 71 132 68 129 123 "
    "120 114 114 116 118 119 119 120 114 111 114 114 120 120 124 128 131 125 113",
}


@dataclass(frozen=True)
class Release:
    """A published set: its repository, and how its ids name folders there.

    pattern: "{layer}" stands for the layer in the id; None where an id is the folder itself.
    centred: whether it was trained on a residual stream without its mean.
    """

    repository: str
    pattern: str | None = None
    centred: bool | None = None


#: Releases by sae-lens's names. Others are given by their repository.
RELEASES = {
    "gpt2-small-res-jb": Release("jbloom/GPT2-Small-SAEs-Reformatted", centred=True),
    "gpt2-small-resid-post-v5-32k": Release(
        "jbloom/GPT2-Small-OAI-v5-32k-resid-post-SAEs", "v5_32k_layer_{layer}.pt"
    ),
    "gpt2-small-attn-out-v5-32k": Release(
        "jbloom/GPT2-Small-OAI-v5-32k-attn-out-SAEs", "v5_32k_layer_{layer}"
    ),
    "gpt2-small-mlp-out-v5-32k": Release(
        "jbloom/GPT2-Small-OAI-v5-32k-mlp-out-SAEs", "v5_32k_layer_{layer}"
    ),
    "pythia-70m-deduped-res-sm": Release(
        "ctigges/pythia-70m-deduped__res-sm_processed", "{layer}-res-sm"
    ),
    "pythia-70m-deduped-mlp-sm": Release(
        "ctigges/pythia-70m-deduped__mlp-sm_processed", "{layer}-mlp-sm"
    ),
    "pythia-70m-deduped-att-sm": Release(
        "ctigges/pythia-70m-deduped__att-sm_processed", "{layer}-att-sm"
    ),
    **{
        f"gemma-scope-{part}{suffix}": Release(f"google/gemma-scope-{part}")
        for part in ("2b-pt-res", "2b-pt-mlp", "9b-pt-res", "2b-pt-transcoders")
        for suffix in ("", "-canonical")
        if not suffix or part in _CANONICAL
    },
}
#: Repositories whose dictionaries expect the centred residual stream, however they are given.
CENTRED = {release.repository for release in RELEASES.values() if release.centred}
#: What is tried below an id, in this order: the first file there is decides the format.
_CANDIDATES: tuple[tuple[str, ...], ...] = (
    ("cfg.json", "sae_weights.safetensors"),
    ("params.npz",),
    ("params.safetensors", "config.json"),
    ("ae.pt", "config.json"),
)


def fetch(source: str, sae_id: str | None, revision: str | None) -> tuple[Path, str, str]:
    """A dictionary's files on this machine: their place, its name, and its repository.

    source: a release's name or a repository. Only the files of one dictionary are fetched.

    Raises `ValueError` for a name that is no release and no repository, and where the repository
    has no dictionary at the id.
    """
    release = RELEASES.get(source)
    if release is None and source.count("/") != 1:
        raise ValueError(
            f"{source!r} is no folder here, no repository like 'owner/name', and no release known "
            f"by name; those are {', '.join(RELEASES)}."
        )
    repository = source if release is None else release.repository
    place = "" if sae_id is None else _place(source, release, sae_id.strip("/"))
    if place.endswith(".safetensors"):
        tries: Sequence[tuple[str, ...]] = [(place.rsplit("/", 1)[-1], "config.yaml")]
        folder = place.rpartition("/")[0]
    else:
        tries, folder = _CANDIDATES, place
    prefix = f"{folder}/" if folder else ""
    unreached = False
    for names in tries:
        first, offline = download(repository, prefix + names[0], revision)
        unreached |= offline
        if first is None:
            continue
        for name in names[1:]:
            download(repository, prefix + name, revision)
        single = names[0].endswith((".safetensors", ".npz"))
        return (first if single else first.parent), f"{repository}/{place}".strip("/"), repository
    if place.rpartition("/")[2].startswith("layer_") and not place.endswith(".safetensors"):
        return fetch(repository, f"{place}.safetensors", revision)
    if unreached:
        raise FileNotFoundError(
            f"{repository}/{place} is not on this machine, and the Hub was not reached. Connect, "
            "or give a folder with its files."
        )
    raise ValueError(
        f"{repository} has no dictionary at {place or 'its top'!r}: none of "
        f"{', '.join(names[0] for names in tries)} is there. Give sae_id=, the folder of one "
        "dictionary in the repository."
    )


def _place(source: str, release: Release | None, sae_id: str) -> str:
    """The folder in the repository that an id names."""
    if release is None:
        return sae_id
    if source.endswith("-canonical"):
        part = source.removeprefix("gemma-scope-").removesuffix("-canonical")
        layers = _CANONICAL[part].split()
        known = {f"layer_{i}/width_16k/canonical": l0 for i, l0 in enumerate(layers)}
        if sae_id not in known:
            raise ValueError(
                f"The ids of {source} known here are layer_0/width_16k/canonical to "
                f"layer_{len(layers) - 1}/width_16k/canonical; got {sae_id!r}. Give others by "
                f"their folder, like {source.removesuffix('-canonical')} with "
                "layer_12/width_65k/average_l0_72."
            )
        return sae_id.replace("canonical", f"average_l0_{known[sae_id]}")
    if release.pattern is None:
        return sae_id
    parts = sae_id.split(".")
    if len(parts) != 3 or parts[0] != "blocks" or not parts[1].isdigit():
        raise ValueError(
            f"The ids of {source} are hook names, like blocks.6.hook_resid_post; got {sae_id!r}."
        )
    return release.pattern.format(layer=parts[1])


def download(repository: str, name: str, revision: str | None) -> tuple[Path | None, bool]:
    """One file of a repository, from the cache where it is there, and whether the Hub was missed.

    None for a file that is not there, or not in the cache where the Hub cannot be reached.
    """
    try:
        return Path(hf_hub_download(repository, name, revision=revision)), False
    except LocalEntryNotFoundError:
        return None, True
    except EntryNotFoundError:
        return None, False
