from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sounds import Samples, level_db, read, sound
from stemwright import errors
from stemwright.engine.overlap_add import OverlapAdd
from stemwright.separators import catalogue
from stemwright.separators.protocol import LoadOptions
from stemwright.separators.sketch import Sketch, blended, gated

WEIGHTS = Path(catalogue.__file__).with_name("sketch.onnx")
DEMO = Path(__file__).parents[2] / "demo" / "stems"


@pytest.fixture(scope="module")
def sketch() -> Sketch:
    return Sketch()


def separated(sketch: Sketch, mix: Samples, *, block: int) -> Samples:
    """The whole song through the chunk loop, `[4, 2, T]`."""
    loop = OverlapAdd(sketch)
    parts = [part for start in range(0, mix.shape[1], block) for part in loop.push(mix[:, start : start + block])]
    return np.concatenate([*parts, *loop.finish()], axis=-1)


def in_one_piece(sketch: Sketch, mix: Samples) -> Samples:
    context = sketch.spec.context
    stems: Samples = sketch.separate(np.pad(mix, ((0, 0), (context, context)))[None])[0][..., context:-context]
    return stems


def demo_stems() -> Samples:
    stems = [read(DEMO / f"{stem}.ogg", channels=2) for stem in catalogue.find_model("sketch")[1].stems]
    return np.stack([stem[:, : min(len(stem[0]) for stem in stems)] for stem in stems])


def test_weights_are_small_enough_for_the_wheel() -> None:
    assert WEIGHTS.stat().st_size <= 12e6


def test_is_a_draft_of_four_stems_with_a_digest_of_its_weights(sketch: Sketch) -> None:
    spec = sketch.spec
    assert (spec.info.draft, spec.stems, spec.sample_rate) == (True, ("vocals", "drums", "bass", "other"), 44_100)
    assert len(spec.weights_digest or "") == 64


def test_stems_add_up_to_the_mix(sketch: Sketch) -> None:
    mix = 5 * sound("song", seconds=4)
    assert level_db(in_one_piece(sketch, mix).sum(axis=0) - mix, mix) < -100


def test_chunks_give_what_the_song_in_one_piece_gives(sketch: Sketch) -> None:
    mix = 8 * sound("song", seconds=45)  # three chunks
    whole, chunks = in_one_piece(sketch, mix), separated(sketch, mix, block=30_000)
    assert chunks.shape == whole.shape
    for one, other in zip(chunks, whole, strict=True):
        assert level_db(one - other, other) < -50


def test_same_sound_gives_the_same_bits(sketch: Sketch) -> None:
    mix = sound("song", seconds=3)
    assert np.array_equal(in_one_piece(sketch, mix), in_one_piece(Sketch(), mix))


def test_silence_stays_silence(sketch: Sketch) -> None:
    stems = in_one_piece(sketch, np.zeros((2, 50_000), np.float32))
    assert not stems.any()


def test_left_and_right_swapped_give_stems_swapped(sketch: Sketch) -> None:
    mix = 8 * sound("song", seconds=4)
    stems, swapped = in_one_piece(sketch, mix), in_one_piece(sketch, mix[::-1].copy())
    for one, other in zip(stems, swapped[:, ::-1], strict=True):
        assert level_db(one - other, mix) < -15  # trained for, not built in


def test_takes_our_own_song_apart(sketch: Sketch) -> None:
    true = demo_stems()
    mix = true.sum(axis=0)
    estimates = in_one_piece(sketch, mix / mix.std()) * mix.std()
    for stem, estimate in zip(true, estimates, strict=True):
        assert level_db(stem, stem - estimate) > level_db(stem, stem - mix) + 4  # SDR of the estimate and of the mix


def test_damaged_weights_are_an_error(tmp_path: Path) -> None:
    damaged = tmp_path / "sketch.onnx"
    damaged.write_bytes(WEIGHTS.read_bytes()[:100_000])
    with pytest.raises(errors.WeightsError, match=r"sketch\.onnx"):
        Sketch(damaged)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (LoadOptions(device="cuda"), errors.DeviceUnavailableError),
        (LoadOptions(segment=5.0), errors.OptionError),
    ],
)
def test_what_it_cannot_do_is_refused(options: LoadOptions, kind: type[errors.StemwrightError]) -> None:
    with pytest.raises(kind):
        catalogue.load("sketch", options=options)


def test_gate_silences_a_stem_of_which_next_to_nothing_is_found_and_leaves_the_others() -> None:
    power = np.ones((2, 400, 238), np.float32)
    masks = np.zeros((4, 2, 400, 238), np.float32)
    masks[:, :, :200] = np.array([0.6, 0.3, 0.08, 0.02])[:, None, None, None]
    masks[:, :, 200:] = np.array([0.25, 0.25, 0.25, 0.25])[:, None, None, None]
    changed = gated(masks.copy(), power)
    assert np.allclose(changed.sum(axis=0), 1, atol=1e-5)
    faint, there = changed[3, 0, 50, 0], changed[:2, 0, 50, 0]
    assert 20 * np.log10(faint / 0.02) < -50  # its share of the energy is -34 dB
    assert (there >= masks[:2, 0, 50, 0]).all()
    assert np.allclose(changed[:, :, 350], 0.25, atol=1e-3)


def test_gate_does_not_touch_stems_that_sound() -> None:
    draw = np.random.default_rng(3)
    logits = draw.normal(0, 0.5, (4, 2, 300, 238))
    masks = (np.exp(logits) / np.exp(logits).sum(axis=0)).astype(np.float32)
    assert np.allclose(gated(masks.copy(), np.ones((2, 300, 238), np.float32)), masks, rtol=0.02)


def test_rules_decide_where_the_network_does_not_and_only_lean_where_it_does() -> None:
    masks = np.full((4, 2, 2, 3), 0.25, np.float32)
    masks[:, :, 1] = np.array([0.001, 0.001, 0.997, 0.001])[:, None, None]  # sure that it is the bass
    cues = np.broadcast_to(np.array([0.01, 0.97, 0.01, 0.01], np.float32)[:, None, None], (4, 2, 3))  # drums
    shares = blended(masks, cues)
    assert np.allclose(shares.sum(axis=0), 1, atol=1e-5)
    assert (shares[1, :, 0] > 0.4).all()
    assert (shares[2, :, 1] > 0.85).all()
