"""Write checkpoints as the ONNX file that the wheel carries: `python -m training.drums.export CHECKPOINT …`.

Several networks, each trained on its own, are one file that gives the mean of what they hear: where one takes something
else for a drum, the others seldom do.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from stemwright.drums.features import BANDS, HOP, LAYERS, RATE, SUBFRAMES
from training.checkpoints import load_checkpoint
from training.drums.network import CONTEXT, Activations, Network
from training.onnx_file import traced, write_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BUNDLED = Path(__file__).parents[2] / "src/stemwright/drums/drums.onnx"
THRESHOLDS = (0.3,) * 8  # of the lanes, at least; `stemwright.drums.confidence` is stricter with most songs
_SMALL = 256  # weights that stay as they are


def export(networks: Sequence[Network], target: Path) -> None:
    """Write the networks, with all that their runner must know as metadata, and the weights as 8-bit integers."""
    frames = torch.export.Dim("frames", min=2 * CONTEXT, max=100_000)
    example = (torch.rand(1, 4 * CONTEXT, LAYERS, BANDS),)
    outputs = ["onsets", "velocities", "kinds", "heights"]
    model = traced(Activations(networks), example, outputs=outputs, shapes={"features": {1: frames}})
    round_weights(model)
    about = {
        "sample_rate": RATE, "hop": HOP, "subframes": SUBFRAMES, "context_frames": CONTEXT,
        "thresholds": THRESHOLDS,
    }  # fmt: skip
    write_model(model, target, about)


def round_weights(model: onnx.ModelProto) -> None:
    """Store large float32 initialisers as int8, a scale for each row, and what makes floats of them when it is loaded.

    The rows are those of the axis that keeps them best. Arithmetic stays that of floats.
    """
    graph, nodes = model.graph, []
    for tensor in [*graph.initializer]:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _SMALL:
            continue
        name, weights = tensor.name, numpy_helper.to_array(tensor)
        rows, scale = min(
            (_rounded(weights, axis) for axis in range(weights.ndim)), key=lambda kept: _lost(weights, *kept)
        )
        tensor.CopyFrom(numpy_helper.from_array(rows, f"{name}.rows"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
        nodes += [
            helper.make_node("Cast", [f"{name}.rows"], [f"{name}.cast"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.cast", f"{name}.scale"], [name]),
        ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def _rounded(weights: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights as integers, and the scales of the rows along `axis`."""
    others = tuple(index for index in range(weights.ndim) if index != axis)
    scale = np.maximum(np.abs(weights).max(axis=others, keepdims=True), 1e-12) / 127
    return np.rint(weights / scale).astype(np.int8), scale.astype(np.float32)


def _lost(weights: NDArray[np.float32], rows: NDArray[np.int8], scale: NDArray[np.float32]) -> float:
    return float(np.square(rows * scale - weights).sum())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=BUNDLED)
    asked = parser.parse_args()
    networks = [Network() for _ in asked.checkpoints]
    for network, checkpoint in zip(networks, asked.checkpoints, strict=True):
        load_checkpoint(network, checkpoint)
    export(networks, asked.out)
    print(f"{asked.out}: {asked.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
