"""TensorFlow's own checkpoint read without it, and what hostile bytes do."""

from __future__ import annotations

import shutil
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwright.errors import WeightsError
from stemwright.separators._crc32c import crc32c, masked
from stemwright.separators._tf_checkpoint import Checkpoint, prefix_in

FIXTURE = Path(__file__).parent / "spleeter"
DATA = "model.data-00000-of-00001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("model.index", DATA):
        shutil.copyfile(FIXTURE / name, tmp_path / name)
    return tmp_path


def test_names_and_shapes_are_those_of_spleeter() -> None:
    entries = Checkpoint(FIXTURE / "model").entries
    assert len(entries) == 5 * (7 * 2 + 6 * 2 + 12 * 4) + 1
    assert entries["conv2d/kernel"].shape == (5, 5, 2, 2)
    assert entries["conv2d_34/kernel"].shape == (4, 4, 1, 2)
    assert entries["conv2d_transpose_29/kernel"].shape == (5, 5, 1, 4)
    assert not entries["global_step"].floats


def test_values_are_those_that_tensorflow_saved() -> None:
    checkpoint = Checkpoint(FIXTURE / "model")
    kernel = checkpoint.read("conv2d/kernel")  # the reference draws it first, uniform within this bound
    bound = np.sqrt(6 / (5 * 5 * 2))
    expected = np.random.default_rng(20261121).uniform(-bound, bound, kernel.shape).astype(np.float32)
    np.testing.assert_array_equal(kernel, expected)


def test_every_tensor_is_whole_and_checked(folder: Path) -> None:
    checkpoint = Checkpoint(folder / "model")
    for name, entry in checkpoint.entries.items():
        if entry.floats:
            assert checkpoint.read(name).shape == entry.shape
    data = bytearray((folder / DATA).read_bytes())
    data[checkpoint.entries["conv2d_3/bias"].offset] ^= 1
    (folder / DATA).write_bytes(data)
    checkpoint.read("conv2d_3/kernel")
    with pytest.raises(WeightsError, match=r"conv2d_3/bias .* damaged"):
        checkpoint.read("conv2d_3/bias")


def test_what_is_not_there_is_an_error_that_names_it(folder: Path) -> None:
    checkpoint = Checkpoint(folder / "model")
    with pytest.raises(WeightsError, match="has no conv2d_99/kernel"):
        checkpoint.read("conv2d_99/kernel")
    with pytest.raises(WeightsError, match=r"global_step .* no float32"):
        checkpoint.read("global_step")
    (folder / DATA).write_bytes((folder / DATA).read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cut short"):
        Checkpoint(folder / "model").read("conv2d_34/kernel")
    (folder / DATA).unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        Checkpoint(folder / "model")


def test_index_that_is_huge_is_refused_without_being_read(folder: Path) -> None:
    with (folder / "model.index").open("wb") as file:
        file.truncate(1 << 33)
    tracemalloc.start()
    with pytest.raises(WeightsError, match="too large"):
        Checkpoint(folder / "model")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def varint(number: int) -> bytes:
    low = [number >> 7 * place & 0x7F for place in range(max(1, -(-number.bit_length() // 7)))]
    return bytes([byte | 0x80 for byte in low[:-1]] + [low[-1]])


def block(entries: bytes) -> bytes:
    """A block of a LevelDB table with its checksum."""
    whole = entries + struct.pack("<I", 0) + b"\0"
    return whole + struct.pack("<I", masked(crc32c(whole)))


def index_of(inner: bytes, *, handles: int = 1) -> bytes:
    """An index with one block of tensors, which so many handles name."""
    made = block(inner)
    handle = varint(0) + varint(len(made) - 5)
    outer = block(b"".join(varint(0) + varint(0) + varint(len(handle)) + handle for _ in range(handles)))
    footer = varint(0) + varint(0) + varint(len(made)) + varint(len(outer) - 5)
    return made + outer + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def growing(count: int) -> bytes:
    """Names that each hold the one before and 100 bytes more: as found, 1.7 MB that came to 17 GB."""
    out = [varint(0) + varint(1) + varint(0) + b"a"]
    return b"".join([*out, *(varint(1 + 100 * n) + varint(100) + varint(0) + b"a" * 100 for n in range(count))])


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (index_of(growing(16_000)), "a name is too long"),
        (index_of(b"", handles=25_000), "too many blocks"),  # sibling: one block, read over and over
        (index_of(varint(0) + varint(1) + varint(0) + b"a", handles=25_000), "too many blocks"),
        (index_of((varint(0) + varint(1) + varint(0) + b"a") * 21_000), "too many tensors"),
    ],
    ids=["shared prefixes", "empty blocks", "one block", "many"],
)
def test_index_that_stands_for_more_than_it_holds_is_refused_in_little_memory(
    index: bytes, words: str, folder: Path
) -> None:
    (folder / "model.index").write_bytes(index)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(WeightsError, match=words):
        Checkpoint(folder / "model")
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
    assert time.process_time() - began < 20


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 12_072), value=st.integers(0, 255), cut=st.integers(0, 12_073) | st.none())
def test_damaged_index_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, cut: int | None
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    index = bytearray((FIXTURE / "model.index").read_bytes())
    index[place] = value
    (folder / "model.index").write_bytes(index[:cut])
    shutil.copyfile(FIXTURE / DATA, folder / DATA)
    try:
        entries = Checkpoint(folder / "model").entries
    except WeightsError:
        return
    assert entries == Checkpoint(FIXTURE / "model").entries  # a byte that says nothing, or the same as before


def test_prefix_is_what_the_folder_says_or_the_only_one(tmp_path: Path) -> None:
    assert prefix_in(FIXTURE) == FIXTURE / "model"  # though `checkpoint` names another folder
    assert prefix_in(tmp_path) is None
    assert prefix_in(tmp_path / "none") is None
    for name in ("model-10", "model-20"):
        (tmp_path / f"{name}.index").touch()
        (tmp_path / f"{name}.data-00000-of-00001").touch()
    assert prefix_in(tmp_path) is None  # two, and nobody says which
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model-20"\n')
    assert prefix_in(tmp_path) == tmp_path / "model-20"
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "../../etc/passwd"\n')
    assert prefix_in(tmp_path) is None
