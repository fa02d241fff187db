"""A network as an ONNX file that knows what its runner must know, and nothing of the machine that wrote it."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import onnx
import torch
from onnx import helper

from stemwright.disk import draft_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn


def traced(
    module: nn.Module, example: tuple[Tensor, ...], *, outputs: Sequence[str], shapes: dict[str, dict[int, Any]]
) -> onnx.ModelProto:
    """The model of a module in evaluation; `shapes` names its inputs in their order and the axes that vary."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(), example, input_names=[*shapes], output_names=[*outputs], dynamo=True, dynamic_shapes=shapes,
            verbose=False,
        )  # fmt: skip
    if program is None:
        raise RuntimeError("the network cannot be exported")
    model = program.model_proto
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]  # stack traces, with the folders of this machine
        part.doc_string = ""
    return model


def write_model(model: onnx.ModelProto, target: Path, about: Mapping[str, object]) -> None:
    """Check and write it, with `about` as JSON in its metadata; a reader sees the old file or the new one."""
    helper.set_model_props(model, {"stemwright": json.dumps(about)})
    onnx.checker.check_model(model)
    with draft_of(target) as draft:
        onnx.save(model, draft)
