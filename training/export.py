"""Write a checkpoint as the ONNX file that the wheel carries: `python -m training.export CHECKPOINT [FILE]`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from training.bands import EDGES, HOP, N_FFT, RATE
from training.checkpoints import load_checkpoint
from training.mixing import STEMS
from training.network import CONTEXT, STRIDE, Network, features
from training.onnx_file import traced, write_model

BUNDLED = Path(__file__).parents[1] / "src/stemwright/separators/sketch.onnx"


class Masks(nn.Module):
    """Sums over bands of one mix, `[2, N, K]` and `[N, K]`, to masks of the stems, `[4, 2, N, K]`, 0–1."""

    widths: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("widths", torch.tensor(np.diff(EDGES), dtype=torch.float32))

    def forward(self, power: Tensor, pan: Tensor) -> Tensor:
        """See the class."""
        logits = self.network(features(power[None], pan[None], self.widths))[0]
        return torch.softmax(logits, dim=0)


def export(network: Network, target: Path) -> None:
    """Write the network, with all that its runner must know as metadata, and the weights as float16."""
    masks = Masks(network)
    frames = 8 * STRIDE
    example = (torch.rand(2, frames, len(EDGES) - 1), torch.rand(frames, len(EDGES) - 1))
    groups = torch.export.Dim("groups", min=1, max=10_000)
    shapes = {"power": {1: STRIDE * groups}, "pan": {0: STRIDE * groups}}
    model = traced(masks, example, outputs=["masks"], shapes=shapes)
    halve_weights(model)
    about = {
        "stems": STEMS, "sample_rate": RATE, "n_fft": N_FFT, "hop": HOP, "frames_multiple": STRIDE,
        "context_frames": CONTEXT, "edges": EDGES.tolist(),
    }  # fmt: skip
    write_model(model, target, about)


def halve_weights(model: onnx.ModelProto) -> None:
    """Store large float32 initialisers as float16 followed by a cast, which the runtime folds when it loads."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < 256:
            continue
        name = tensor.name
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half")
        tensor.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *rest])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("target", type=Path, nargs="?", default=BUNDLED)
    asked = parser.parse_args()
    network = Network()
    load_checkpoint(network, asked.checkpoint)
    export(network, asked.target)
    print(f"{asked.target}: {asked.target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
