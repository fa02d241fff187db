"""Devices by name, how many chunks at once, and memory that does not suffice."""

from __future__ import annotations

import gc
import weakref

import pytest

from stemwright.errors import DeviceUnavailableError, OptionError, OutOfMemoryError
from stemwright.separators import _demucs_device as device_

torch = pytest.importorskip("torch")


@pytest.fixture
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("_no_gpu")
@pytest.mark.parametrize(("asked", "device"), [("auto", "cpu"), ("cpu", "cpu"), ("cpu/half", "cpu/half")])
def test_device_without_a_gpu_is_the_processor(asked: str, device: str) -> None:
    assert device_.resolve_device(asked) == device


@pytest.mark.usefixtures("_no_gpu")
@pytest.mark.parametrize("asked", ["cuda", "cuda:1", "mps", "cuda/half"])
def test_device_that_is_not_here_is_refused(asked: str) -> None:
    with pytest.raises(DeviceUnavailableError, match=r"there is no device|has no device"):
        device_.resolve_device(asked)


@pytest.mark.parametrize("asked", ["gpu", "cuda:x", "cpu/quarter", "", "cpu/half/half"])
def test_device_of_no_kind_is_refused(asked: str) -> None:
    with pytest.raises(OptionError, match="no kind of device"):
        device_.resolve_device(asked)


def test_number_of_a_cuda_device_is_filled_in_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [device_.resolve_device(asked) for asked in ("auto", "cuda:1")] == ["cuda:0", "cuda:1"]
    with pytest.raises(DeviceUnavailableError, match="2 CUDA devices"):
        device_.resolve_device("cuda:2")


@pytest.mark.parametrize(("free", "chunks"), [(0, 1), (2 * 40 * 1000 * 3, 3), (1 << 40, 4)])
def test_chunks_on_a_processor_are_bounded_by_memory_and_cores(
    free: int, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_, "_free_memory", lambda: free)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert device_.batch_size("cpu", 1000) == chunks


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (MemoryError, ""),
        (RuntimeError, "CUDA out of memory."),
        (RuntimeError, "[enforce fail] ALLOC_FAILED"),
        (OSError, "bad_alloc"),
    ],
)
def test_memory_that_does_not_suffice_is_one_error_that_keeps_no_tensors_alive(
    kind: type[Exception], text: str
) -> None:
    class Tensor:
        pass

    held: list[weakref.ref[Tensor]] = []

    def work() -> None:
        tensor = Tensor()
        held.append(weakref.ref(tensor))
        raise kind(text)

    with pytest.raises(OutOfMemoryError, match="the memory of cuda:0 does not suffice") as caught:
        device_.or_out_of_memory(work, "cuda:0")
    gc.collect()
    assert held[0]() is None
    assert caught.value.__context__ is None


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="no such kernel"):
        device_.or_out_of_memory(lambda: (_ for _ in ()).throw(RuntimeError("no such kernel")), "cpu")
    assert device_.or_out_of_memory(lambda: 7, "cpu") == 7
