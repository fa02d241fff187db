"""The quick layers for a CPU: Demucs' numbers far below what can be heard, and freed memory that is used again."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from stemwright.separators.demucs import FAMILY, DemucsSeparator
from stemwright.separators.protocol import LoadOptions
from tiny_demucs import SOURCES, save_th

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch")
pytest.importorskip("demucs")

RATE = 8000  # Hz
BOUND = -100.0  # dB


def make(**shape: Any) -> Any:
    """A small htdemucs whose layers are those of the published ones, and in which every parameter tells."""
    from demucs.htdemucs import HTDemucs

    usual = {"channels": 8, "nfft": 2048, "depth": 4, "dconv_mode": 3, "dconv_comp": 4, "bottom_channels": 32}
    usual |= {"t_layers": 3, "t_heads": 2, "samplerate": RATE, "segment": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = HTDemucs(list(SOURCES), **(usual | shape)).eval()
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.endswith(".scale"):  # at first 0.0001, so that whole branches would not be heard
                    parameter.copy_(torch.rand_like(parameter))
                elif parameter.ndim == 1:
                    parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def noise(*, chunks: int = 1, length: int = RATE) -> Any:
    return torch.from_numpy(0.1 * np.random.default_rng(3).standard_normal((chunks, 2, length), dtype=np.float32))


def level_db(estimate: Any, reference: Any) -> float:
    """Level of the difference in the worst stem, relative to that stem."""
    error, power = ((x.double() ** 2).sum(dim=(0, 2, 3)) for x in (estimate - reference, reference))
    return float(10 * torch.log10(error / power).max())


def quickened(network: Any) -> Any:
    from stemwright.separators._demucs_quick import quicken

    quick = copy.deepcopy(network)
    quicken(quick)
    return quick


def is_quick(network: Any) -> bool:
    return type(network.encoder[0]).__module__.endswith("_demucs_quick")


@pytest.mark.parametrize(
    "shape",
    [{}, {"dconv_mode": 1}, {"bottom_channels": 0}, {"channels": 12, "dconv_comp": 3}, {"segment": 0.7, "depth": 3}],
)
@pytest.mark.parametrize("chunks", [1, 2])
def test_stems_are_those_of_demucs(shape: dict[str, Any], chunks: int) -> None:
    network = make(**shape)
    quick = quickened(network)
    mix = noise(chunks=chunks, length=int(RATE * shape.get("segment", 1)))
    with torch.inference_mode():
        assert is_quick(quick)
        assert level_db(quick(mix), network(mix)) < BOUND


@pytest.mark.parametrize("block", [1, 20_000, 1 << 30])
def test_stems_do_not_depend_on_how_much_is_computed_at_once(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemwright.separators._demucs_quick._BLOCK", block)
    network = make()
    with torch.inference_mode():
        assert level_db(quickened(network)(noise()), network(noise())) < BOUND


@pytest.mark.parametrize("part", ["dconv", "rewrite", "conv", "conv_tr"])
def test_each_part_of_a_layer_is_heard_in_these_tests(part: str) -> None:
    network = make()
    other = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if f".{part}." in name:
                parameter.mul_(1.01)
    with torch.inference_mode():
        assert level_db(quickened(other)(noise()), network(noise())) > BOUND + 20


@pytest.mark.parametrize(
    "shape",
    [
        {"norm_starts": 2},
        {"context": 0},
        {"context_enc": 1},
        {"rewrite": False},
        {"multi_freqs": [0.5]},
        {"kernel_size": 6},
        {"nfft": 512},  # the time branch ends before the last layer
        {"channels": 4},
    ],
)
def test_a_network_that_is_built_otherwise_stays_as_it_is(shape: dict[str, Any]) -> None:
    network = make(**shape)
    quick = quickened(network)
    assert str(quick) == str(network)


def load(network: Any, folder: Path, **options: Any) -> DemucsSeparator:
    save_th(network, folder, "small", checksum=False)
    return FAMILY.load("small", LoadOptions(repo=folder, device="cpu", **options))


def test_a_loaded_model_is_quick_and_equals_the_demucs_package(tmp_path: Path) -> None:
    from demucs.apply import apply_model
    from demucs.pretrained import get_model

    separator = load(make(), tmp_path)
    mix = noise(chunks=2)
    expected = apply_model(get_model("small", tmp_path), mix, shifts=0, split=False)
    assert is_quick(separator._members[0].network)
    assert level_db(torch.from_numpy(separator.separate(mix.numpy())), expected) < BOUND


def test_half_the_segment_equals_demucs_without_its_padding(tmp_path: Path) -> None:
    half = load(make(segment=2), tmp_path).with_less_memory()
    assert half is not None
    mix = noise(length=RATE)
    network = make(segment=2)
    network.use_train_segment = False
    with torch.inference_mode():
        assert level_db(torch.from_numpy(half.separate(mix.numpy())), network(mix)) < BOUND


_ALLOCATE = """
import ctypes, resource, sys
from threading import Thread
from stemwright.engine.memory import give_back
from stemwright.separators._demucs_device import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
SIZE = 48 << 20

def use():
    block = libc.malloc(SIZE)
    ctypes.memset(block, 1, SIZE)
    libc.free(block)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    thread = Thread(target=lambda: [use() for _ in range(10)])
    thread.start()
    thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return 4096 * int(open("/proc/self/statm").read().split()[1])

if "keep" in sys.argv:
    keep_freed_memory()
use()
kept = resident()
print(faults(), kept - (give_back() or resident()))
"""


@pytest.mark.skipif("sys.platform != 'linux'")
def test_freed_memory_is_used_again_and_given_back_when_asked_for() -> None:
    def run(*arguments: str) -> tuple[int, int]:
        done = subprocess.run([sys.executable, "-c", _ALLOCATE, *arguments], check=True, capture_output=True, text=True)
        faults, given_back = map(int, done.stdout.split())
        return faults, given_back

    pages = 10 * (48 << 20) // 4096
    assert run()[0] > 0.9 * pages
    faults, given_back = run("keep")
    assert faults < 0.01 * pages
    assert given_back > 40 << 20
