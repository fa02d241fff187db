"""Where Demucs' networks run: devices, how many chunks at once, and what happens when memory does not suffice."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import platform
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from stemwright import errors
from stemwright.separators.protocol import HALF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

_MAX_BATCH = 16
_MAX_WORKERS = 4  # chunks at once on a CPU
_CPU_BYTES = 40  # for each sample and channel of the first layer, of one chunk
_CUDA_SHARE = 0.7  # of the free memory, for one batch
_CUDA_BYTES = 130  # as above: cuDNN wants more
_MALLOPT = (  # parameter, value
    (-8, 1),  # M_ARENA_MAX: what one thread frees serves the others too, and an arena of its own ends at 64 MB
    (-3, 1 << 30),  # M_MMAP_THRESHOLD, bytes
    (-1, (1 << 31) - 1),  # M_TRIM_THRESHOLD, bytes
)
_OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "alloc_failed",
    "bad_alloc",
    "failed to allocate memory",
)

_T = TypeVar("_T")


def resolve_device(asked: str) -> str:
    """The device that `asked` stands for, with `/half` at its end as it was; see `precision`."""
    name, half = _split(asked)
    return _resolve(name) + half


def is_cpu(asked: str) -> bool:
    """Whether `asked` means the processor in full precision; found out without torch, which takes seconds to load."""
    if asked != "auto":
        return asked == "cpu"
    if importlib.util.find_spec("torch") is None:
        return True
    return not _has_gpu() or resolve_device(asked) == "cpu"


def _has_gpu() -> bool:
    """Whether there may be a GPU that torch can use: NVIDIA's driver, AMD's, or Apple's processor."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _split(device: str) -> tuple[str, str]:
    """The device as torch calls it, and `/half` or nothing."""
    name, half, rest = device.partition(HALF)
    return (device, "") if rest else (name, half)


def _resolve(asked: str) -> str:
    import torch

    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if not (match := re.fullmatch(r"cpu|mps|cuda(?::(\d+))?", asked)):
        raise errors.OptionError(
            f"there is no kind of device {asked!r}: use auto, cpu, cuda, cuda:N or mps, with {HALF} for half precision"
        )
    if asked == "mps" and not torch.backends.mps.is_available():
        raise errors.DeviceUnavailableError("this machine has no device mps (Apple's GPU), or its torch cannot use it")
    if asked.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = int(match[1] or 0)
        if index >= count:
            raise errors.DeviceUnavailableError(
                f"there is no device {asked}: torch {torch.__version__} sees {count} CUDA devices here"
            )
        return f"cuda:{index}"
    return asked


def torch_device(device: str) -> torch.device:
    """Where tensors lie for a device that `resolve_device` gave."""
    import torch

    return torch.device(_split(device)[0])


@contextlib.contextmanager
def precision(device: str) -> Iterator[None]:
    """Matrices and convolutions in float16 on a device `…/half`, float32 elsewhere."""
    import torch

    name, half = _split(device)
    with torch.autocast(torch.device(name).type, torch.float16, enabled=bool(half)):
        yield


def batch_size(device: str, samples: int) -> int:
    """How many chunks at once: on CUDA as many as fit in most of the memory that is free now, on a CPU one a core.

    `samples` are those of a chunk times the channels of the network's first layer.
    """
    import torch

    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(torch_device(device))
        return max(1, min(_MAX_BATCH, int(free * _CUDA_SHARE / (_CUDA_BYTES * samples))))
    if device != "cpu":
        return 1
    return max(1, min(_MAX_WORKERS, torch.get_num_threads(), _free_memory() // (2 * _CPU_BYTES * samples)))


def _free_memory() -> int:
    """Bytes that a process can still take: of the machine, and of its control group (Linux; elsewhere a guess)."""
    free = [4 << 30]
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = [1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])]
    with contextlib.suppress(OSError, StopIteration, ValueError):
        line = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        folder = Path("/sys/fs/cgroup", line[3:].lstrip("/"))
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
        free.append(limit - used)
    return min(free)


def or_out_of_memory(work: Callable[[], _T], device: str) -> _T:
    """Do the work; whatever says that memory does not suffice becomes `OutOfMemoryError`."""
    try:
        return work()
    except Exception as error:  # onnxruntime has no kind of its own for it
        if not isinstance(error, MemoryError) and not any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
            raise
    # Not raised above: the first error's traceback would keep the network's tensors alive.
    raise errors.OutOfMemoryError(f"the memory of {device} does not suffice")


def keep_freed_memory() -> None:
    """Let the allocator use freed memory again, instead of fetching each large block anew, page by page.

    Hundreds of blocks of 4 to 100 MB, which a chunk takes, are else mapped and unmapped each: a fifth of the time. What
    is kept goes back by `malloc_trim`. Linux with glibc only; elsewhere it does nothing. Source: mallopt(3).
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for parameter, value in _MALLOPT:
            libc.mallopt(parameter, value)


def free_cache(device: str) -> None:
    import torch

    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device.startswith("mps"):
        torch.mps.empty_cache()
