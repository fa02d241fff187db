"""Weights that would take memory or time without a bound: all are refused as bad weights, at once."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import sys
import tarfile
import time
import tracemalloc
import zipfile
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from stemwright.errors import ModelUnavailableError, WeightsError
from stemwright.separators import _htdemucs_weights as htdemucs
from stemwright.separators._onnx import GraphWriter, read_graph
from stemwright.weights import clients, config, lock, publishers
from stemwright.weights.archive import unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEMORY = 64 << 20  # bytes
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user, which only root can")


def refused(work: Callable[[], object], words: str) -> None:
    """It is refused as bad weights, in little processor time and memory."""
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(WeightsError, match=words) as caught:
            work()
        assert caught.value.code == "bad_weights"
        assert tracemalloc.get_traced_memory()[1] < MEMORY
        assert time.process_time() - began < 20
    finally:
        tracemalloc.stop()


def block(number: int, body: bytes) -> bytes:
    size, out = len(body), bytearray([number << 3 | 2])
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size]) + body


def tensor(dims: bytes, raw: bytes = b"") -> bytes:
    return block(7, block(5, dims + b"\x10\x01" + block(8, b"w") + block(9, raw)))


ONNX = {
    "a million nodes": (block(7, block(1, b"") * 1_000_000), "fields"),
    "a node of a million inputs": (block(7, block(1, block(1, b"") * 1_000_000)), "fields"),
    "a tensor of a million sizes": (tensor(b"\x08\x01" * 1_000_000), "fields"),
    "huge sizes": (tensor(b"\x08\xff\xff\xff\xff\x7f" * 2), "no ONNX model"),
    "a negative size": (tensor(b"\x08" + b"\xff" * 9 + b"\x01", bytes(4)), "no ONNX model"),
    "too few numbers": (tensor(b"\x08\x04", bytes(12)), "no ONNX model"),
    "half a number": (tensor(b"\x08\x01", bytes(3)), "no ONNX model"),
    "a number without an end": (b"\xff" * 100, "too long"),
    "one name twice": (block(7, 2 * block(5, b"\x08\x01\x10\x01" + block(8, b"w") + block(9, bytes(4)))), "one name"),
}


@pytest.mark.parametrize("kind", ONNX)
def test_hostile_onnx_files_are_refused(kind: str) -> None:
    model, words = ONNX[kind]
    refused(lambda: read_graph(model), words)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
def test_weights_that_are_no_numbers_are_refused(suffix: str, value: float, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path, values = tmp_path / f"x{suffix}", np.array([1, value, 2], np.float32)
    if suffix == ".onnx":
        graph = GraphWriter()
        path.write_bytes(
            graph.model(inputs={"x": (3,)}, outputs={graph.node("Mul", ["x", graph.constant(values)]): (3,)})
        )
    else:
        save_file({"c0": values}, path)
    refused(lambda: htdemucs.read(path), "c0 of x.* not finite")


@pytest.mark.parametrize("suffix", [".onnx", ".safetensors"])
@pytest.mark.parametrize("kind", ["a terabyte", "a pipe"])
def test_files_without_an_end_are_refused(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    if kind == "a pipe":
        os.mkfifo(path)
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)  # takes nothing on the disk
    refused(lambda: htdemucs.read(path), "x")


def safetensors(path: Path, header: bytes, *, length: int | None = None) -> Path:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header)
    return path


def test_safetensors_files_with_hostile_headers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for header, length, words in (
        (b"{" + b" " * (5 << 20) + b"}", None, "longer"),
        (b"{}", 1 << 62, "longer"),
        (b'{"a":' * 100_000, None, "damaged"),
        (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', None, "damaged"),
        (b'{"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}}', None, "damaged"),
        (b'{"a":1,"a":2}', None, "one name"),
    ):
        safetensors(path, header, length=length)
        refused(lambda: htdemucs.read(path), words)
        refused(lambda: htdemucs.describe(path), words)


@pytest.mark.parametrize(
    "arguments",
    [
        {"segment": "1e999999999"},  # ten to the power of a thousand million, as a fraction
        {"segment": 1e12},
        {"segment": float("nan")},
        {"samplerate": 10**30},
        {"samplerate": "44100"},
        {"sources": [f"s{n}" for n in range(100_000)]},
        {"sources": ["x" * 1000]},
        {"sources": ["../x"]},
    ],
)
def test_arguments_that_cost_without_a_bound_are_refused(arguments: dict[str, Any], tmp_path: Path) -> None:
    given = {"sources": ["vocals"]} | arguments
    about = {"klass": htdemucs.KLASS, "args": json.dumps([given.pop("sources")]), "kwargs": json.dumps(given)}
    path = safetensors(tmp_path / "x.safetensors", json.dumps({"__metadata__": about}).encode())
    refused(lambda: htdemucs.describe(path), "no usable")


def test_arguments_of_published_models_are_taken() -> None:
    shape = htdemucs.shape_of({"sources": ["drums", "bass"], "segment": Fraction(39, 5), "samplerate": 44_100})
    assert shape is not None
    assert (shape.stems, shape.sample_rate, shape.segment) == (("drums", "bass"), 44_100, Fraction(39, 5))


def tar(path: Path, *, kind: bytes, size: int, pax: dict[str, str] | None = None) -> Path:
    """An archive whose one header says that so many zeros belong to it."""
    member = tarfile.TarInfo("w.bin")
    member.type, member.size = kind, size
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(member.tobuf(tarfile.PAX_FORMAT if pax is None else tarfile.GNU_FORMAT))
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return path


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_names_and_records_of_a_tar_archive_take_little_memory(kind: bytes, tmp_path: Path) -> None:
    """256 MB in 1 MB: `tarfile` holds a member's description in memory."""
    path = tar(tmp_path / "x.tar.gz", kind=kind, size=256 << 20)
    refused(lambda: unpack(path, tmp_path, names=("w.bin",), largest=1 << 40), "headers are larger")


def test_sparse_files_of_a_tar_archive_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("w.bin")
        member.size, member.pax_headers = 8, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
        archive.addfile(member, io.BytesIO(b"9999999\n"))
    refused(lambda: unpack(path, tmp_path, names=("w.bin",), largest=1 << 30), "sparse")
    tar(path, kind=tarfile.GNUTYPE_SPARSE, size=0)
    refused(lambda: unpack(path, tmp_path, names=("w.bin",), largest=1 << 30), "headers")


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_archives_that_decompress_without_a_bound_are_refused(way: int, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", way) as archive:
        archive.writestr("w.bin", bytes(128 << 20))
    refused(lambda: unpack(path, tmp_path, names=("w.bin",), largest=1 << 40), "unusual way")


def test_zip_archive_with_a_huge_directory_is_refused(tmp_path: Path) -> None:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, 0, *[0] * 7, 1, *[0] * 6) + b"x"
    entries = entry * 200_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entries), 0, 0)
    (tmp_path / "x.zip").write_bytes(entries + end)
    refused(lambda: unpack(tmp_path / "x.zip", tmp_path, names=("w.bin",), largest=1 << 30), "directory is larger")


def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Callable[[], object]:
    """Get a package with a client that does what a real one does for a hostile registry."""
    program = tmp_path / "npm"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{code}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return lambda: clients.get("npm:x@1", tmp_path / "part", largest=1 << 20, on_progress=None)


def test_registry_that_fills_the_memory_of_its_client_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_MOST_MEMORY", 200 << 20)
    get = client(tmp_path, monkeypatch, "import time; x = bytearray(400 << 20); time.sleep(600)")
    with pytest.raises(WeightsError, match="memory"):
        get()


def test_registry_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_STALLED", 2.0)
    get = client(tmp_path, monkeypatch, "import time; time.sleep(600)")
    with pytest.raises(ModelUnavailableError, match="no answer within"):
        get()
    assert {path.name for path in tmp_path.iterdir()} == {"npm"}


def test_client_that_talks_without_an_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_ANSWER_BYTES", 1 << 20)
    client(tmp_path, monkeypatch, 'while True: print("x" * 100000)')
    assert "more bytes than it may" in str(clients.probe("npm:x@1"))


@pytest.mark.parametrize("name", [lock.NAME, publishers.TROUBLE])
def test_pipe_in_the_cache_does_not_hold_a_command_up(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "_current", config.Config(cache=tmp_path))
    os.mkfifo(tmp_path / name)
    assert publishers._noted() == {}
    if name == lock.NAME:
        refused(lambda: lock.pinned(tmp_path, "https://x"), "not a regular file")


@as_root
def test_digests_that_another_user_pinned_are_not_believed(tmp_path: Path) -> None:
    lock.pin(tmp_path, "https://x", "0" * 64)
    assert lock.pinned(tmp_path, "https://x") == "0" * 64
    os.chown(tmp_path / lock.NAME, NOBODY, NOBODY)
    refused(lambda: lock.pinned(tmp_path, "https://x"), "another user")
