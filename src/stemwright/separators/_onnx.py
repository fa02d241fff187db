"""ONNX models written and read without the `onnx` package: protocol buffers by hand, as onnx.proto3 (IR 8) has them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from stemwright.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Attribute: TypeAlias = int | float | str | tuple[int, ...]
Shape: TypeAlias = tuple[int | str, ...]  # a name for a size that is free

_IR_VERSION, _OPSET = 8, 17
_FUSED = "com.microsoft"
_OF_ONNXRUNTIME = {"Gelu", "MultiHeadAttention"}  # operators of that domain
_MOST_FIELDS = 300_000  # of a model that is read: ten times as many as htdemucs has
_FLOAT, _INT64 = 1, 7  # of TensorProto.DataType
_FLOATS, _INTS, _TEXT, _MANY_INTS = 1, 2, 3, 7  # of AttributeProto.AttributeType


@dataclass(slots=True)
class GraphWriter:
    """Collects the nodes of a graph, in the order in which they run."""

    _nodes: list[bytes] = field(default_factory=list)
    _constants: list[tuple[bytes, npt.NDArray[Any]]] = field(default_factory=list)  # head of the message, values

    def constant(self, values: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> str:
        """Add a constant; its name."""
        name = f"c{len(self._constants)}"
        kind = _FLOAT if values.dtype == np.float32 else _INT64
        raw = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
        head = b"".join(_whole(1, size) for size in values.shape) + _whole(2, kind) + _text(8, name)
        head += _key(9, 2) + _varint(raw.nbytes)
        self._constants.append((head, raw))
        return name

    def node(self, kind: str, inputs: Sequence[str], **attributes: Attribute) -> str:
        """Add an operator with one output; the output's name. An empty input is one left out."""
        name = f"n{len(self._nodes)}"
        body = b"".join(_text(1, item) for item in inputs) + _text(2, name) + _text(4, kind)
        body += b"".join(_block(5, _attribute(key, value)) for key, value in attributes.items())
        body += _text(7, _FUSED) if kind in _OF_ONNXRUNTIME else b""
        self._nodes.append(body)
        return name

    def model(self, *, inputs: dict[str, Shape], outputs: dict[str, Shape]) -> bytes:
        """The whole model; `inputs` are those named as such in nodes, `outputs` are names of nodes. All are float32."""
        pieces: list[bytes | memoryview] = [_block(1, node) for node in self._nodes]
        pieces.append(_text(2, "stemwright"))
        for head, values in self._constants:
            pieces += [_key(5, 2), _varint(len(head) + values.nbytes), head, values.reshape(-1).view(np.uint8).data]
        pieces += [_block(11, _value(name, shape)) for name, shape in inputs.items()]
        pieces += [_block(12, _value(name, shape)) for name, shape in outputs.items()]
        opsets = b"".join(
            _block(8, _text(1, domain) + _whole(2, version)) for domain, version in (("", _OPSET), (_FUSED, 1))
        )
        begin = _whole(1, _IR_VERSION) + _text(2, "stemwright") + _key(7, 2) + _varint(sum(map(len, pieces)))
        return b"".join((begin, *pieces, opsets))  # copied once: the weights of a network are hundreds of megabytes


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


@dataclass(frozen=True, slots=True)
class Node:
    """An operator of a graph that was read."""

    name: str
    kind: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """What was read of a model: its operators, and its float32 constants by name."""

    nodes: tuple[Node, ...]
    constants: dict[str, npt.NDArray[np.float32]]


def read_graph(model: bytes) -> Graph:
    """Read a model whose constants are in it. The constants are views of its bytes.

    Raises `WeightsError` for bytes that are no such model.
    """
    nodes: list[Node] = []
    constants: dict[str, npt.NDArray[np.float32]] = {}
    fields = _Fields()
    try:
        for number, graph in fields.of(memoryview(model)):
            if number != 7 or isinstance(graph, int):
                continue
            for part, value in fields.of(graph):
                if part == 1 and not isinstance(value, int):
                    nodes.append(_read_node(value, fields))
                elif part == 5 and not isinstance(value, int) and (found := _read_constant(value, fields)):
                    if found[0] in constants:
                        raise ValueError("two constants have one name")
                    constants[found[0]] = found[1]
    except (ValueError, IndexError, OverflowError) as error:
        raise WeightsError(f"this is no ONNX model that can be read: {error}") from error
    return Graph(nodes=tuple(nodes), constants=constants)


def _read_node(body: memoryview, fields: _Fields) -> Node:
    texts: dict[int, list[str]] = {1: [], 3: [], 4: []}  # inputs, name, kind
    for number, value in fields.of(body):
        if number in texts and not isinstance(value, int):
            texts[number].append(bytes(value).decode())
    return Node(name="".join(texts[3]), kind="".join(texts[4]), inputs=tuple(texts[1]))


def _read_constant(body: memoryview, fields: _Fields) -> tuple[str, npt.NDArray[np.float32]] | None:
    sizes: list[int] = []
    name, kind, raw = "", 0, memoryview(b"")
    for number, value in fields.of(body):
        match number, value:
            case 1, int():
                sizes.append(value)
            case 2, int():
                kind = value
            case 8, memoryview():
                name = bytes(value).decode()
            case 9, memoryview():
                raw = value
            case _:
                continue
    if kind != _FLOAT:
        return None
    return name, np.frombuffer(raw, "<f4").reshape(sizes)


@dataclass(slots=True)
class _Fields:
    """Reads messages of one model, which may have so many fields together."""

    left: int = _MOST_FIELDS

    def of(self, body: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """The fields of a message, by number; those of fixed width are passed over.

        Raises `ValueError`, `IndexError`.
        """
        place = 0
        while place < len(body):
            self.left -= 1
            if self.left < 0:
                raise ValueError(f"it has more than {_MOST_FIELDS} fields")
            key, place = _read_varint(body, place)
            match key & 7:
                case 0:
                    value, place = _read_varint(body, place)
                    yield key >> 3, value
                case 2:
                    size, place = _read_varint(body, place)
                    if size > len(body) - place:
                        raise ValueError("it ends early")
                    yield key >> 3, body[place : place + size]
                    place += size
                case 1 | 5 as wire:
                    place += 8 if wire == 1 else 4
                case wire:
                    raise ValueError(f"a field has the wire type {wire}")


def _read_varint(body: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = body[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number is too long")
