"""Write a checkpoint as the ONNX file that the wheel carries: `python -m training.drums.export CHECKPOINT [FILE]`."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from stemwright.drums.features import BANDS, HOP, LAYERS, RATE, SUBFRAMES
from training.checkpoints import load_checkpoint
from training.drums.network import CONTEXT, Network
from training.export import halve_weights

BUNDLED = Path(__file__).parents[2] / "src/stemwright/drums/drums.onnx"
THRESHOLDS = (0.3,) * 8  # of the lanes, at least; `stemwright.drums.doubts` is stricter with most songs


class Activations(nn.Module):
    """Features `[1, N, 3, 72]` to activations, velocities `[1, 2N, 8]` and kinds `[1, 2N, 2]`, 0–1; heights of toms."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        onsets, velocities, kinds, heights = self.network(features)
        return torch.sigmoid(onsets), torch.sigmoid(velocities), torch.sigmoid(kinds), heights


def export(network: Network, target: Path) -> None:
    """Write the network, with all that its runner must know as metadata, and the weights as float16."""
    frames = torch.export.Dim("frames", min=2 * CONTEXT, max=100_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Activations(network).eval(),
            (torch.rand(1, 4 * CONTEXT, LAYERS, BANDS),),
            input_names=["features"],
            output_names=["onsets", "velocities", "kinds", "heights"],
            dynamo=True,
            dynamic_shapes={"features": {1: frames}},
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the network cannot be exported")
    model = program.model_proto
    halve_weights(model)
    about = {
        "sample_rate": RATE, "hop": HOP, "subframes": SUBFRAMES, "context_frames": CONTEXT,
        "thresholds": THRESHOLDS,
    }  # fmt: skip
    helper.set_model_props(model, {"stemwright": json.dumps(about)})
    onnx.checker.check_model(model)
    partial = target.with_suffix(".partial")
    onnx.save(model, partial)
    partial.replace(target)


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
