"""The chunk loop: nothing at the borders, edges discarded, Demucs' own result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separators_for_tests import Known, firm, pass_through, share, spec
from sounds import level_db, sound
from stemwright.engine.overlap_add import OverlapAdd
from stemwright.separators.protocol import LoadOptions

if TYPE_CHECKING:
    from pathlib import Path

    from sounds import Samples
    from stemwright.separators.protocol import Separator

SEGMENT = 4410


def run(separator: Separator, mix: Samples, *, block: int = 3000, **options: float) -> Samples:
    loop = OverlapAdd(separator, **options)  # type: ignore[arg-type]
    parts = [out for at in range(0, mix.shape[1], block) for out in loop.push(mix[:, at : at + block])]
    parts += loop.finish()
    return np.concatenate([np.zeros((len(separator.spec.stems), separator.spec.channels, 0), np.float32), *parts], -1)


@pytest.mark.parametrize("context", [0, 500, 1000])
@pytest.mark.parametrize("overlap", [0.0, 0.02, 0.25, 0.5, 0.75])
def test_pass_through_gives_the_mix_back_for_every_length_around_the_segment(context: int, overlap: float) -> None:
    separator = pass_through(context=context)
    usable = SEGMENT - 2 * context
    stride = int((1 - overlap) * usable)
    lengths = {1, 2, SEGMENT // 2, 4410, 7 * 44_100 // 10}
    lengths |= {k * unit + d for k in (1, 2, 3, 5) for unit in (usable, stride, SEGMENT) for d in (-1, 0, 1)}
    for length in sorted(lengths):
        mix = sound("noise", seconds=length / 44_100)
        out = run(separator, mix, overlap=overlap)
        assert out.shape == (1, 2, length)
        assert np.abs(out[0] - mix).max() < 1e-5 * np.abs(mix).max(), f"length {length}"


@pytest.mark.parametrize("seconds", [1 / 44_100, 0.1, 7.0])
def test_pass_through_has_no_seam_at_any_chunk_border(seconds: float) -> None:
    separator = pass_through(context=441)
    mix = sound("sine", seconds=seconds)
    out = run(separator, mix)
    stride = int(0.75 * (SEGMENT - 2 * 441))
    for border in range(0, mix.shape[1], stride):
        around = slice(max(0, border - 32), border + 32)
        assert level_db(out[0][:, around] - mix[:, around], mix) < -100


def test_edges_are_discarded_so_a_filter_shorter_than_the_context_shows_no_seam() -> None:
    taps = np.random.default_rng(1).standard_normal(401)
    mix = sound("noise", seconds=1.7)
    whole = np.stack([np.convolve(row, taps, mode="same") for row in mix])
    kept = run(firm(taps, context=200), mix, overlap=0.0)
    assert level_db(kept[0] - whole, whole) < -100
    seen = run(firm(taps, context=0), mix, overlap=0.0)
    assert level_db(seen[0] - whole, whole) > -40  # the test would see a seam if there were one


@settings(deadline=None, max_examples=60)
@given(
    length=st.integers(1, 30_000),
    blocks=st.lists(st.integers(1, 9000), min_size=1, max_size=6),
    overlap=st.floats(0, 0.9),
    delay=st.integers(0, 6000),
    batch=st.integers(1, 4),
)
def test_any_blocks_overlap_delay_and_batch_give_the_mix_back(
    length: int, blocks: list[int], overlap: float, delay: int, batch: int
) -> None:
    separator = pass_through(context=300)
    separator.batch_size = batch
    mix = sound("noise", seconds=length / 44_100)
    loop = OverlapAdd(separator, overlap=overlap, delay=delay)
    parts: list[Samples] = []
    at = turn = 0
    while at < length:
        parts += loop.push(mix[:, at : at + blocks[turn % len(blocks)]])
        at += blocks[turn % len(blocks)]
        turn += 1
    parts += loop.finish()
    out = np.concatenate(parts, axis=-1)
    assert out.shape == (1, 2, length)
    assert np.abs(out[0] - mix).max() < 1e-5


def test_no_input_gives_no_output() -> None:
    assert run(pass_through(), np.zeros((2, 0), np.float32)).shape == (1, 2, 0)


def test_progress_counts_every_sample_once() -> None:
    told: list[int] = []
    mix = sound("noise", seconds=1.23)
    run(pass_through(context=100), mix, delay=777, on_chunk=told.append)  # type: ignore[arg-type]
    assert sum(told) == mix.shape[1]
    assert len(told) > 10


def test_stopping_takes_effect_within_one_chunk() -> None:
    seen = 0

    def count(chunk: Samples) -> Samples:
        nonlocal seen
        seen += 1
        return chunk

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    separator = Known(spec(stems=("other",)), (count,))
    with pytest.raises(KeyboardInterrupt):
        run(separator, sound("noise", seconds=5), on_chunk=stop)  # type: ignore[arg-type]
    assert seen == 1


def test_input_kept_in_memory_does_not_grow_with_the_song() -> None:
    loop = OverlapAdd(Known(spec(stems=("other",)), (share(1),)))
    sizes = []
    for _ in range(200):
        list(loop.push(sound("noise", seconds=0.05)))
        sizes.append(loop._input.shape[1] + sum(chunk.shape[1] for _, chunk in loop._waiting))
    assert max(sizes) < 3 * SEGMENT


@pytest.mark.parametrize("name", ["tiny", "hybrid", "weighted"])
@pytest.mark.parametrize("seconds", [0.3, 2.0, 4.321])
def test_equals_demucs_apply_model_on_the_same_weights(demucs_repo: Path, name: str, seconds: float) -> None:
    import torch
    from demucs.apply import apply_model
    from demucs.pretrained import get_model

    from stemwright.separators import catalogue

    separator = catalogue.load(name, options=LoadOptions(repo=demucs_repo, device="cpu"))
    mix = sound("song", seconds=seconds, rate=separator.spec.sample_rate)
    model = get_model(name, repo=demucs_repo)
    expected = apply_model(model, torch.from_numpy(mix)[None], shifts=0, overlap=0.25)[0].numpy()
    ours = run(separator, mix)
    assert ours.shape == expected.shape
    assert level_db(ours - expected, expected) < -80
