"""Models in Demucs' own formats, with random weights from a fixed seed: tiny ones for tests, full-size for benchmarks.

`make_repo` writes a folder that `demucs --repo FOLDER -n NAME` and Stemwright both load.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Kind: TypeAlias = Literal["htdemucs", "hdemucs", "demucs"]

SOURCES = ("drums", "bass", "other", "vocals")

TINY: dict[Kind, dict[str, Any]] = {
    "htdemucs": {"channels": 4, "depth": 4, "nfft": 2048, "dconv_comp": 2, "t_layers": 1, "t_heads": 2},
    "hdemucs": {"channels": 4, "depth": 4, "nfft": 256, "dconv_comp": 2},
    "demucs": {"channels": 4, "depth": 3, "dconv_comp": 2},
}
FULL_SIZE: dict[Kind, dict[str, Any]] = {  # as published: htdemucs 955717e8, hdemucs_mmi 75fc33f5
    "htdemucs": {"channels": 48, "depth": 4, "dconv_mode": 3, "bottom_channels": 512, "t_layers": 5, "t_heads": 8},
    "hdemucs": {"channels": 48, "depth": 6},
    "demucs": {},
}


def make_network(
    kind: Kind = "htdemucs",
    *,
    seed: int = 0,
    sources: Sequence[str] = SOURCES,
    segment: float | Fraction = Fraction(1),
    samplerate: int = 44100,
    audio_channels: int = 2,
    full_size: bool = False,
) -> Any:
    """A network of Demucs with random weights, in evaluation mode. `segment` is in seconds."""
    import torch
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs

    shape = FULL_SIZE[kind] if full_size else TINY[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        make = {"htdemucs": HTDemucs, "hdemucs": HDemucs, "demucs": Demucs}[kind]
        network = make(list(sources), audio_channels=audio_channels, samplerate=samplerate, segment=segment, **shape)
    return network.eval()


def package(network: Any) -> dict[str, Any]:
    """What Demucs pickles into a `.th` file."""
    from demucs.states import get_state

    args, kwargs = network._init_args_kwargs
    state = get_state(network, None)  # type: ignore[no-untyped-call]
    return {"klass": type(network), "args": args, "kwargs": kwargs, "state": state, "training_args": {"seed": 42}}


def save_th(network: Any, folder: Path, signature: str, *, checksum: bool = True) -> Path:
    """Save as `signature-checksum.th` (or `signature.th`), with Demucs' own writer."""
    import torch
    from demucs.states import save_with_checksum

    if not checksum:
        torch.save(package(network), folder / f"{signature}.th")
        return folder / f"{signature}.th"
    save_with_checksum(package(network), folder / f"{signature}.th")  # type: ignore[no-untyped-call]
    [path] = folder.glob(f"{signature}-*.th")
    return path


def save_safetensors(network: Any, folder: Path, signature: str, **metadata: str) -> Path:
    """Save as `signature.safetensors` with the metadata that Demucs' exporter writes; `metadata` overrides it."""
    from safetensors.torch import save_file

    def encode(value: object) -> object:
        if isinstance(value, Fraction):
            return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}
        raise TypeError(value)

    args, kwargs = network._init_args_kwargs
    described = {
        "klass": f"{type(network).__module__}.{type(network).__qualname__}",
        "args": json.dumps(args, default=encode),
        "kwargs": json.dumps(kwargs, default=encode),
    }
    path = folder / f"{signature}.safetensors"
    tensors = {key: value.contiguous() for key, value in package(network)["state"].items()}
    save_file(tensors, path, metadata=described | metadata)
    return path


def save_bag(
    folder: Path,
    name: str,
    signatures: Sequence[str],
    *,
    weights: Sequence[Sequence[float]] | None = None,
    segment: float | None = None,
) -> Path:
    """Write `name.yaml` as Demucs does."""
    lines = [f"models: {json.dumps(list(signatures))}"]
    if weights is not None:
        lines.append(f"weights: {json.dumps([list(row) for row in weights])}")
    if segment is not None:
        lines.append(f"segment: {segment}")
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make_repo(
    folder: Path,
    *,
    name: str = "tiny",
    kind: Kind = "htdemucs",
    bag: int = 1,
    weights: Sequence[Sequence[float]] | None = None,
    sources: Sequence[str] = SOURCES,
    segment: float | Fraction = Fraction(1),
    samplerate: int = 44100,
    audio_channels: int = 2,
    layout: Literal["th", "safetensors"] = "th",
    seed: int = 0,
    full_size: bool = False,
) -> Path:
    """A folder with a bag of `bag` networks called `name`; `bag=0` gives one network alone, under that name.

    `segment` is in seconds. With `full_size` the networks have the published size (and the segment should be
    `Fraction(39, 5)` for htdemucs, 44 for hdemucs). Returns the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    signatures = [f"{name}{seed + index}" for index in range(bag)] or [name]
    for index, signature in enumerate(signatures):
        network = make_network(
            kind,
            seed=seed + index,
            sources=sources,
            segment=segment,
            samplerate=samplerate,
            audio_channels=audio_channels,
            full_size=full_size,
        )
        if layout == "th":
            save_th(network, folder, signature)
        else:
            save_safetensors(network, folder, signature)
    if bag:
        save_bag(folder, name, signatures, weights=weights)
    return folder
