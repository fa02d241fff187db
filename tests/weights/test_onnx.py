from __future__ import annotations

import hashlib
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from stemwright.drums.frames import BUNDLED
from stemwright.errors import WeightsError
from stemwright.separators._onnx import GraphWriter
from stemwright.subnormals import as_zero
from stemwright.weights.onnx import open_network, open_ours

if TYPE_CHECKING:
    from pathlib import Path


def doubling() -> bytes:
    """A network that doubles two numbers."""
    graph = GraphWriter()
    double = graph.node("Mul", ["x", graph.constant(np.array([2], np.float32))])
    return graph.model(inputs={"x": (2,)}, outputs={double: (2,)})


def test_network_runs() -> None:
    (found,) = open_network(doubling(), threads=1).run({"x": np.array([1, -3], np.float32)})
    assert found.tolist() == [2, -6]


def test_thread_is_afterwards_as_it_was_before() -> None:
    tiny = np.full(2, 1e-40, np.float32)
    network = open_network(doubling(), threads=1)
    assert (tiny * np.float32(2)).all()
    assert network.run({"x": tiny})[0].tolist() in ([0, 0], (tiny * np.float32(2)).tolist())  # the former on x86-64
    assert (tiny * np.float32(2)).all()


@pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="works on Linux on x86-64 only")
def test_subnormal_numbers_are_zero_in_one_thread_for_a_while() -> None:
    tiny = np.full(1000, 1e-40, np.float32)

    def doubled() -> bool:  # by its bits: what compares takes them for zero too
        return bool((tiny * np.float32(2)).view(np.uint32).all())

    with ThreadPoolExecutor(1) as other:
        assert other.submit(doubled).result()
        with as_zero():
            assert not doubled()
            assert other.submit(doubled).result()
    assert doubled()


def test_what_onnxruntime_cannot_run_is_an_error() -> None:
    with pytest.raises(WeightsError):
        open_network(b"no network", threads=1)


def test_file_of_ours_says_what_it_is() -> None:
    _, about, digest = open_ours(BUNDLED, threads=1)
    assert about["sample_rate"] == 44_100
    assert digest == hashlib.sha256(BUNDLED.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "content", [BUNDLED.read_bytes()[:-1000], doubling(), None], ids=["cut", "not ours", "missing"]
)
def test_file_that_is_not_ours_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "some.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"some\.onnx"):
        open_ours(path, threads=1)
