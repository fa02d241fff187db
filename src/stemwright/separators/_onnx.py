"""ONNX models written without the `onnx` package: protocol buffers by hand, as onnx.proto3 (IR version 8) has them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Attribute: TypeAlias = int | float | str | tuple[int, ...]
Shape: TypeAlias = tuple[int | str, ...]  # a name for a size that is free

_IR_VERSION, _OPSET = 8, 13
_FLOAT, _INT64 = 1, 7  # of TensorProto.DataType
_FLOATS, _INTS, _TEXT, _MANY_INTS = 1, 2, 3, 7  # of AttributeProto.AttributeType


@dataclass(slots=True)
class GraphWriter:
    """Collects the nodes of a graph, in the order in which they run."""

    _nodes: list[bytes] = field(default_factory=list)
    _constants: list[bytes] = field(default_factory=list)

    def constant(self, values: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> str:
        """Add a constant; its name."""
        name = f"c{len(self._constants)}"
        kind = _FLOAT if values.dtype == np.float32 else _INT64
        raw = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        dims = b"".join(_whole(1, size) for size in values.shape)
        self._constants.append(dims + _whole(2, kind) + _text(8, name) + _block(9, raw))
        return name

    def node(self, kind: str, inputs: Sequence[str], **attributes: Attribute) -> str:
        """Add an operator with one output; the output's name. An empty input is one left out."""
        name = f"n{len(self._nodes)}"
        body = b"".join(_text(1, item) for item in inputs) + _text(2, name) + _text(4, kind)
        body += b"".join(_block(5, _attribute(key, value)) for key, value in attributes.items())
        self._nodes.append(body)
        return name

    def model(self, *, inputs: dict[str, Shape], outputs: dict[str, Shape]) -> bytes:
        """The whole model; `inputs` are those named as such in nodes, `outputs` are names of nodes. All are float32."""
        graph = b"".join(_block(1, node) for node in self._nodes) + _text(2, "stemwright")
        graph += b"".join(_block(5, constant) for constant in self._constants)
        graph += b"".join(_block(11, _value(name, shape)) for name, shape in inputs.items())
        graph += b"".join(_block(12, _value(name, shape)) for name, shape in outputs.items())
        opset = _text(1, "") + _whole(2, _OPSET)
        return _whole(1, _IR_VERSION) + _text(2, "stemwright") + _block(7, graph) + _block(8, opset)


def _attribute(name: str, value: Attribute) -> bytes:
    head = _text(1, name)
    match value:
        case str():
            return head + _text(4, value) + _whole(20, _TEXT)
        case float():
            return head + _key(2, 5) + struct.pack("<f", value) + _whole(20, _FLOATS)
        case int():
            return head + _whole(3, value) + _whole(20, _INTS)
        case _:
            return head + b"".join(_whole(8, item) for item in value) + _whole(20, _MANY_INTS)


def _value(name: str, shape: Shape) -> bytes:
    sizes: Iterable[bytes] = (_text(2, size) if isinstance(size, str) else _whole(1, size) for size in shape)
    tensor = _whole(1, _FLOAT) + _block(2, b"".join(_block(1, size) for size in sizes))
    return _text(1, name) + _block(2, _block(1, tensor))


def _key(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _whole(number: int, value: int) -> bytes:
    return _key(number, 0) + _varint(value)


def _text(number: int, value: str) -> bytes:
    return _block(number, value.encode())


def _block(number: int, value: bytes) -> bytes:
    return _key(number, 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
