"""The Demucs family: the same numbers as Demucs itself, on the device asked for, in the memory there is."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from sounds import level_db
from stemwright import errors
from stemwright.separators.demucs import FAMILY, DemucsSeparator
from stemwright.separators.protocol import Family, LoadOptions, Separator
from tiny_demucs import make_network, save_th

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Mix = npt.NDArray[np.float32]

torch = pytest.importorskip("torch")
pytest.importorskip("demucs")


RATE = 8000  # Hz: of most models in `repo`, for speed


def load(name: str, repo: Path, **options: Any) -> DemucsSeparator:
    separator = FAMILY.load(name, LoadOptions(repo=repo, device="cpu", **options))
    assert isinstance(separator, DemucsSeparator)  # networks smaller than the graph is written for run in torch
    return separator


def noise(separator: Separator, *, chunks: int = 2) -> npt.NDArray[np.float32]:
    shape = (chunks, separator.spec.channels, separator.spec.segment)
    return 0.1 * np.random.default_rng(7).standard_normal(shape, dtype=np.float32)


def each(separate: Callable[[Mix], Mix], mix: Mix) -> Mix:
    """Chunk by chunk, for sums of several at once are rounded otherwise."""
    return np.concatenate([separate(mix[index : index + 1]) for index in range(len(mix))])


def by_demucs(name: str, repo: Path, mix: npt.NDArray[np.float32], **options: Any) -> npt.NDArray[np.float32]:
    from demucs.apply import apply_model
    from demucs.pretrained import get_model

    model = get_model(name, repo)
    stems: npt.NDArray[np.float32] = apply_model(model, torch.tensor(mix), shifts=0, split=False, **options).numpy()
    return stems


def test_it_is_a_family_and_gives_separators(repo: Path) -> None:
    family: Family = FAMILY
    separator: Separator = load("tiny", repo)
    assert family.name == "demucs"
    assert separator.device == "cpu"
    assert 1 <= separator.batch_size <= torch.get_num_threads()


# --- the same numbers as Demucs


@pytest.mark.parametrize("name", ["tiny", "hybrid", "waves", "alone", "weighted", "mixed", "short"])
def test_a_full_chunk_equals_demucs_to_the_bit(name: str, repo: Path) -> None:
    separator = load(name, repo)
    mix = noise(separator)
    stems = each(separator.separate, mix)
    assert stems.dtype == np.float32
    assert stems.shape == (2, 4, 2, separator.spec.segment)
    assert np.abs(stems).max() > 1e-3
    np.testing.assert_array_equal(stems, each(partial(by_demucs, name, repo), mix))


def test_safetensors_give_the_network_that_was_saved(repo: Path) -> None:
    separator = load("safe", repo)
    mix = noise(separator)
    network = make_network(seed=3, samplerate=RATE)
    with torch.inference_mode():
        expected = each(lambda chunk: network(torch.tensor(chunk)).numpy(), mix)
    np.testing.assert_array_equal(each(separator.separate, mix), expected)


@pytest.mark.parametrize(("name", "segment"), [("tiny", 0.4), ("hybrid", 0.4), ("hybrid", 3.0), ("mixed", 0.7)])
def test_a_segment_that_was_asked_for_equals_demucs(name: str, segment: float, repo: Path) -> None:
    separator = load(name, repo, segment=segment)
    assert separator.spec.segment == int(RATE * segment)
    mix = noise(separator, chunks=1)
    np.testing.assert_array_equal(separator.separate(mix), by_demucs(name, repo, mix, segment=segment))


@pytest.mark.parametrize("name", ["hybrid", "waves"])
def test_a_shorter_last_chunk_equals_demucs_where_the_spec_allows_it(name: str, repo: Path) -> None:
    separator = load(name, repo)
    assert separator.spec.shorter
    mix = noise(separator, chunks=1)[..., : RATE + 1]
    np.testing.assert_array_equal(separator.separate(mix), by_demucs(name, repo, mix))


@pytest.mark.parametrize(("name", "segment"), [("tiny", 1.01), ("mixed", 1.5), ("tiny", 0.0), ("hybrid", float("nan"))])
def test_a_segment_longer_than_trained_or_senseless_is_refused(name: str, segment: float, repo: Path) -> None:
    with pytest.raises(errors.OptionError, match="segment"):
        load(name, repo, segment=segment)


def test_the_spec_says_what_the_engine_needs(repo: Path) -> None:
    spec = load("tiny", repo).spec
    assert (spec.sample_rate, spec.channels, spec.segment, spec.context) == (RATE, 2, RATE, 0)
    assert (spec.overlap, spec.shift, spec.standardise) == (0.25, RATE // 2, True)
    assert spec.stems == spec.info.stems == ("drums", "bass", "other", "vocals")
    assert spec.info.name == "tiny"
    assert spec.info.licence == "unknown"
    assert load("mixed", repo).spec.segment == RATE
    assert load("short", repo).spec.segment == int(0.75 * RATE)


@pytest.mark.parametrize(
    ("name", "stems", "networks"),
    [("tuned", ("vocals",), 1), ("tuned", ("drums", "bass"), 2), ("tuned", None, 4), ("weighted", ("other",), 1)],
)
def test_networks_without_weight_for_the_wanted_stems_are_not_run(
    name: str, stems: tuple[str, ...] | None, networks: int, repo: Path
) -> None:
    whole, part = load(name, repo), load(name, repo, stems=stems)
    runs = count_runs(part)
    mix = noise(whole, chunks=1)
    expected = whole.separate(mix)
    for index, stem in enumerate(whole.spec.stems):
        if stems and stem not in stems:
            expected[:, index] = 0
    np.testing.assert_array_equal(part.separate(mix), expected)
    assert len(runs) == networks
    assert part.spec == whole.spec


def count_runs(separator: DemucsSeparator) -> list[int]:
    """The length, in samples, of what each network is given from now on."""
    lengths: list[int] = []
    for member in separator._members:
        member.network.register_forward_pre_hook(lambda _, mix: lengths.append(mix[0].shape[-1]))
    return lengths


def test_chunks_of_another_shape_are_refused(repo: Path) -> None:
    separator = load("tiny", repo)
    with pytest.raises(ValueError, match=f"{RATE} samples"):
        separator.separate(np.zeros((1, 2, RATE - 1), np.float32))


def test_a_stem_that_the_model_does_not_give_is_refused(repo: Path) -> None:
    with pytest.raises(errors.UnknownStemError, match="guitar"):
        load("tiny", repo, stems=("vocals", "guitar"))


# --- devices and memory


@pytest.mark.parametrize(
    "device", ["cuda:99", pytest.param("mps", marks=pytest.mark.skipif("sys.platform == 'darwin'"))]
)
def test_a_device_that_is_not_there_is_an_error(device: str, repo: Path) -> None:
    with pytest.raises(errors.DeviceUnavailableError, match=device):
        FAMILY.load("tiny", LoadOptions(repo=repo, device=device))


def test_a_kind_of_device_that_does_not_exist_is_an_error(repo: Path) -> None:
    with pytest.raises(errors.OptionError, match="gpu"):
        FAMILY.load("tiny", LoadOptions(repo=repo, device="gpu"))


def test_half_precision_is_named_and_near_and_only_where_it_is_asked_for(repo: Path) -> None:
    whole = load("tiny", repo)
    half = FAMILY.load("tiny", LoadOptions(repo=repo, device="cpu/half"))
    mix = noise(whole, chunks=1)
    stems, halved = whole.separate(mix), half.separate(mix)
    assert (whole.device, half.device) == ("cpu", "cpu/half")
    assert -100 < level_db(halved - stems, stems) < -45
    with pytest.raises(errors.OptionError, match="with /half"):
        FAMILY.load("tiny", LoadOptions(repo=repo, device="cpu/quarter"))


def test_chunks_at_once_give_what_each_gives_alone(repo: Path) -> None:
    separator = load("tiny", repo)
    mix = noise(separator, chunks=3)
    together = replace(separator, batch_size=3, threads=3).separate(mix)
    for index in range(3):
        alone = separator.separate(mix[index : index + 1])[0]
        np.testing.assert_allclose(together[index], alone, atol=1e-6 * float(np.abs(alone).max()))


def test_auto_takes_the_best_device_there_is(repo: Path) -> None:
    best = "cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert FAMILY.load("tiny", LoadOptions(repo=repo, device="auto")).device == best


def limit(separator: DemucsSeparator, *, samples: int) -> None:
    """Let the networks run out of memory on batches of more samples than that."""

    def refuse(_: object, mix: Any) -> None:
        if mix[0].shape[0] * mix[0].shape[-1] > samples:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    for member in separator._members:
        member.network.register_forward_pre_hook(refuse)


def ladder(separator: DemucsSeparator) -> list[DemucsSeparator]:
    rungs = [separator]
    while (smaller := rungs[-1].with_less_memory()) is not None:
        rungs.append(smaller)
    return rungs


@pytest.fixture(scope="module")
def long_repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    save_th(make_network(segment=4, samplerate=RATE), folder, "long", checksum=False)
    return folder


def test_the_ladder_halves_the_batch_then_the_segment_down_to_a_second(long_repo: Path) -> None:
    rungs = ladder(replace(load("long", long_repo), batch_size=5))
    assert [(rung.batch_size, rung.spec.segment) for rung in rungs] == [
        (5, 4 * RATE),
        (2, 4 * RATE),
        (1, 4 * RATE),
        (1, 2 * RATE),
        (1, RATE),
    ]


def test_out_of_memory_is_ours_and_the_ladder_leads_out_of_it(long_repo: Path) -> None:
    separator = replace(load("long", long_repo), batch_size=2)
    limit(separator, samples=2 * RATE)
    failed = 0
    for rung in ladder(separator):
        mix = noise(rung, chunks=rung.batch_size)
        if mix.size // 2 > 2 * RATE:
            with pytest.raises(errors.OutOfMemoryError) as caught:
                rung.separate(mix)
            assert caught.value.__context__ is None, "the first error's traceback keeps the tensors alive"
            failed += 1
        else:
            assert rung.separate(mix).shape == (1, 4, 2, rung.spec.segment)
    assert failed == 2


def test_a_shorter_segment_is_run_shorter_with_the_same_weights(long_repo: Path) -> None:
    whole = load("long", long_repo)
    before = whole.separate(mix := noise(whole, chunks=1))
    half = whole.with_less_memory()
    assert half is not None
    seen: list[int] = []
    network = half._members[0].network
    network.encoder[0].register_forward_pre_hook(lambda _, spectrum: seen.append(spectrum[0].shape[-1]))
    half.separate(mix[..., : half.spec.segment])
    np.testing.assert_array_equal(whole.separate(mix), before)  # the first is as it was
    assert seen[1] / seen[0] == pytest.approx(2, rel=0.02)  # frames of the spectrogram
    for ours, theirs in zip(network.parameters(), whole._members[0].network.parameters(), strict=True):
        assert ours.data_ptr() == theirs.data_ptr()


def test_the_shorter_segment_equals_demucs_without_its_padding(long_repo: Path) -> None:
    from demucs.apply import apply_model
    from demucs.pretrained import get_model

    half = load("long", long_repo).with_less_memory()
    assert half is not None
    model = get_model("long", long_repo)
    model.use_train_segment = False
    mix = noise(half, chunks=1)
    np.testing.assert_array_equal(half.separate(mix), apply_model(model, torch.tensor(mix), shifts=0, split=False))


def test_what_the_allocator_of_the_cpu_says_is_out_of_memory(repo: Path) -> None:
    separator = load("tiny", repo)
    separator._members[0].network.register_forward_pre_hook(lambda *_: torch.empty(2**55, dtype=torch.uint8))
    with pytest.raises(errors.OutOfMemoryError, match="cpu"):
        separator.separate(noise(separator))


def test_other_failures_of_the_network_are_not_called_out_of_memory(repo: Path) -> None:
    separator = load("tiny", repo)
    separator._members[0].network.register_forward_pre_hook(lambda *_: torch.zeros(2) + torch.zeros(3))
    with pytest.raises(RuntimeError, match="must match"):
        separator.separate(noise(separator))
