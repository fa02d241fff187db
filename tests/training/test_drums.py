"""The drum network's recipe on tiny data: clips are made, the loss falls, the export runs as the product runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

for package in ("torch", "onnx", "onnxscript", "soundfile", "mir_eval"):
    pytest.importorskip(package, reason="training needs the extra [training]")

import torch
from training.checkpoints import load_checkpoint, save_checkpoint
from training.drums import bank, mixer, modal, patterns, scores, shape
from training.drums import train as training
from training.drums.export import export
from training.drums.judging import special
from training.drums.kinship import SAME, kinship
from training.drums.network import CONTEXT, Activations, Network
from training.drums.tally import NOTHING, Tally, matched

from stemwright.drums.features import features_of
from stemwright.drums.frames import SUBFRAME, DrumNetwork

if TYPE_CHECKING:
    from pathlib import Path

RATE = 44_100


@pytest.fixture
def synthesized(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drums in all clips, and fewer kits."""
    monkeypatch.setattr(mixer, "NOTHING", 0.0)
    monkeypatch.setattr(bank, "MACHINES", 2)


def small_pool(folder: Path, *, clips: int) -> None:
    """Random hits of synthesized drums in the form of the pool."""
    made = mixer.Mixer(seed=1, kits=("synth",))
    found = [made.clip() for _ in range(clips)]
    folder.mkdir()
    np.savez(
        folder / "000-0000.npz",
        features=np.stack([clip.features[:128] for clip in found]).astype(np.float16),
        onsets=np.stack([clip.onsets[:256] for clip in found]).astype(np.float16),
        velocities=np.stack([clip.velocities[:256] for clip in found]).astype(np.float16),
        kinds=np.stack([clip.kinds[:256] for clip in found]).astype(np.float16),
        heights=np.stack([clip.heights[:256] for clip in found]).astype(np.float16),
    )


def test_clips_hold_what_their_labels_say(synthesized: None) -> None:
    made = mixer.Mixer(seed=2, kits=("synth",))
    rises = []
    for _ in range(4):
        clip = made.clip()
        assert clip.features.shape == (mixer.FRAMES, 3, 72)
        assert clip.onsets.shape == clip.velocities.shape == (2 * mixer.FRAMES, 8)
        assert clip.kinds.shape == (2 * mixer.FRAMES, 2)
        assert clip.heights.shape == (2 * mixer.FRAMES, 1)
        loud = clip.features[:, :2].mean(axis=2).reshape(-1)  # short windows, one a half frame
        rows = [row for row in np.flatnonzero(clip.onsets.max(axis=1) > 0.9) if 6 < row < len(loud) - 6]
        rises += [loud[row + 2] - loud[row - 4] for row in rows]
    assert len(rises) > 20
    assert np.mean(np.array(rises) > 0) > 0.75  # soft strokes drown in what rings
    assert np.mean(rises) > 0.05


def test_an_onset_is_a_triangle_at_its_time() -> None:
    stick = patterns.Stick(1.0, "open", 0.6)
    clip = mixer.labelled(np.zeros(2 * RATE, np.float32), [stick])
    rows = np.flatnonzero(clip.onsets[:, 2])
    assert len(rows) in {3, 4}
    centre = float((clip.onsets[rows, 2] * rows).sum() / clip.onsets[rows, 2].sum())
    assert centre * SUBFRAME == pytest.approx(1.0, abs=0.001)
    assert (clip.velocities[rows, 2] == np.float32(0.6)).all()
    assert clip.kinds[rows, 0].all()


def test_toms_are_where_their_labels_say_and_in_order(synthesized: None) -> None:
    drawn, heights = mixer.Mixer(seed=4, kits=("synth",))._hybrid({"tom1", "tom2", "tom3"})
    octaves = {piece: np.log2(mixer.pitch_of(drawn[piece][0]) / mixer.MIDDLE_TOM) for piece in drawn}
    assert octaves["tom1"] > octaves["tom2"] > octaves["tom3"]
    assert octaves == pytest.approx(heights, abs=0.1)
    stick = patterns.Stick(0.5, "tom2", 0.6)
    clip = mixer.labelled(np.zeros(RATE, np.float32), [stick], heights=heights)
    assert np.nanmax(clip.heights) == np.float32(heights["tom2"])
    assert np.isfinite(clip.heights).sum() in {3, 4}


def test_nothing_that_may_not_be_trained_on_is() -> None:
    assert not {*bank.HELD_OUT.values()} & {*bank.TRAINED}
    assert {*bank.FAMILIES} == {"muldjord", "audiophob", "rumpf", "sonic", "synth", "modal", "FluidR3"}


def test_a_family_of_kits_can_be_left_out() -> None:
    assert not any(name.startswith("FluidR3") for name in bank.trained(without="FluidR3"))
    assert {*bank.trained(without="FluidR3")} < {*bank.trained(without=None)} == {*bank.TRAINED}


def test_a_kit_that_shares_a_recording_is_found_out_and_no_other() -> None:
    rng = np.random.default_rng(0)
    one, other = ([layer for layers in modal.kit(rng).values() for layer in layers] for _ in range(2))
    assert kinship(one, other) < SAME
    shared = np.concatenate([np.zeros(200, np.float32), 0.3 * one[5]])
    assert kinship(one, [*other, shared]) > 0.98


def test_struck_kits_have_all_lanes_and_get_brighter_with_force() -> None:
    def brightness(sound: bank.Mono) -> float:
        power = np.abs(np.fft.rfft(sound[:4096])) ** 2
        return float((power * np.arange(len(power))).sum() / power.sum())

    for seed in range(3):
        drawn = modal.kit(np.random.default_rng(seed))
        assert {*drawn} <= {*bank.ON_LANES}
        assert {bank.LANE_OF[piece] for piece in drawn} == {*range(8)}
        assert brightness(drawn["snare"][-1]) > brightness(drawn["snare"][0])
        assert all(np.abs(layer).max() == pytest.approx(1, abs=1e-3) for layers in drawn.values() for layer in layers)


def test_a_reshaped_drum_keeps_its_onset_and_has_the_pitch_that_was_asked_for() -> None:
    rng = np.random.default_rng(3)
    tom = bank.kit_of("synth", rng)["tom2"]
    for _ in range(10):
        [sound] = shape.reshaped(tom, piece="tom2", rng=rng, by=5.0)
        assert np.isfinite(sound).all()
        assert np.argmax(np.abs(sound) > 0.1 * np.abs(sound).max()) < 0.006 * RATE
    moved = mixer.pitch_of(shape.tuned(tom[0], 5.0)) / mixer.pitch_of(tom[0])
    assert moved == pytest.approx(2 ** (5 / 12), rel=0.03)


def test_a_sound_beneath_another_shows_where_it_is_louder() -> None:
    quiet, loud = torch.full((1, 4, 3, 72), 0.2), torch.full((1, 4, 3, 72), 1.2)
    assert torch.allclose(training.beneath(loud, quiet, where=torch.tensor(True)), loud, atol=0.01)
    mixed = training.beneath(quiet, loud, where=torch.tensor(True))
    assert ((mixed > 0.2) & (mixed < 1.2 - 0.1)).all()  # 6 dB softer are 0.15
    assert torch.equal(training.beneath(quiet, loud, where=torch.tensor(False)), quiet)


def test_a_pattern_has_no_two_strokes_of_a_lane_at_once() -> None:
    for seed in range(20):
        sticks = patterns.pattern(np.random.default_rng(seed), seconds=8)
        for lane in range(8):
            times = [stick.start for stick in sticks if bank.LANE_OF.get(stick.piece) == lane]
            assert all(np.diff(times) >= patterns.CLOSEST)


def test_scores_of_the_evaluation_are_whole() -> None:
    played = set()
    for score in scores.SCORES:
        assert len({len(line) for bar in score.bars for line in bar.values()}) == 1, score.name
        sticks, seconds = scores.sticks_of(score, rng=np.random.default_rng(0))
        assert 0 <= sticks[0].start < sticks[-1].start < seconds
        played |= {bank.LANE_OF[stick.piece] for stick in sticks}
    assert played == {*range(8)}


def test_figures_count_each_onset_once() -> None:
    assert matched([1.0, 1.02], [1.01], tolerance=0.025) == [(1.0, 1.01)]
    tally = Tally()
    tally.add([(1.0, 0), (2.0, 0), (3.0, 1)], [(1.01, 0), (3.0, 2), (4.0, 0)], tolerance=0.025)
    assert tally.scores(0) == (0.5, 0.5, 0.5)
    assert tally.heard == {(0, 0): 1, (0, NOTHING): 1, (1, 2): 1}
    assert tally.scores() == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_a_flam_is_found_when_both_its_strokes_are() -> None:
    sticks = [patterns.Stick(1.0, "snare", 0.4), patterns.Stick(1.025, "snare", 0.9), patterns.Stick(2.0, "snare", 0.2)]
    wanted = [(stick.start, 1) for stick in sticks]
    for given, flams, ghosts in (([1.0, 1.025, 2.0], 1, 1), ([1.025], 0, 0)):
        tally = Tally()
        tally.add(wanted, [(at, 1) for at in given], tolerance=0.01, special=special(sticks))
        assert (tally.found["flams (both strokes)"], tally.found["ghost notes"]) == (flams, ghosts)
        assert tally.asked == {"flams (both strokes)": 1, "ghost notes": 1}


@pytest.fixture
def pool(synthesized: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten clips, four of them held back; one thread, the same weights each time."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    monkeypatch.setattr(training, "HELD_BACK", 4)
    small_pool(tmp_path / "pool", clips=10)
    return tmp_path / "pool"


@pytest.mark.slow
def test_a_pupil_of_two_networks_comes_to_hear_what_their_mean_hears(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "TAUGHT", 1.0)
    masters = [Network().eval(), Network().eval()]
    for name, master in zip("ab", masters, strict=True):
        master.last.bias.data += torch.randn_like(master.last.bias)
        save_checkpoint(master, tmp_path / f"{name}.pt")
    teachers = [tmp_path / "a.pt", tmp_path / "b.pt"]
    clips = training.read_pool(pool)
    batch = {name: part[:4].float() for name, part in clips.items()}
    labels = training.heard(Activations(masters), batch)
    with torch.no_grad():
        outputs = [master(batch["features"]) for master in masters]
    torch.testing.assert_close(labels["onsets"], torch.sigmoid((outputs[0][0] + outputs[1][0]) / 2))
    assert torch.equal(torch.isfinite(labels["heights"]), torch.isfinite(batch["heights"]))

    def off(steps: int) -> float:
        """How far a pupil is from what it is taught."""
        training.train(pool=pool, out=tmp_path / "pupil", steps=steps, size=(4, 96), teachers=teachers)
        pupil = Network()
        load_checkpoint(pupil, tmp_path / "pupil.pt")
        with torch.no_grad():
            return float((torch.sigmoid(pupil.eval()(batch["features"])[0]) - labels["onsets"]).abs().mean())

    assert off(24) < 0.5 * off(1)


@pytest.mark.slow
def test_loss_falls_and_the_export_runs_in_the_product(pool: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    training.train(pool=pool, out=run, steps=22, size=(4, 96))
    log = [json.loads(line) for line in run.with_suffix(".jsonl").read_text().splitlines()]
    first = training.train(pool=pool, out=tmp_path / "other", steps=2, size=(4, 96))
    assert log[-1]["onset"] < 0.65 * first
    network = Network()
    load_checkpoint(network, run.with_suffix(".pt"))
    network.eval()
    target = tmp_path / "drums.onnx"
    other = Network().eval()
    export([network, other], target)
    assert target.stat().st_size < 4e6
    assert b"site-packages" not in target.read_bytes()  # nothing of the machine that wrote it
    features = features_of(np.random.default_rng(0).standard_normal((1, 3 * RATE)).astype(np.float32))[:, :3]
    inside = slice(2 * CONTEXT, -2 * CONTEXT)
    with torch.no_grad():
        heard = [one(torch.from_numpy(features)[None])[0] for one in (network, other)]
        wanted = torch.sigmoid(sum(heard) / 2)[0].numpy()[inside]
    exported = DrumNetwork(target)
    np.testing.assert_allclose(exported.inside(features).onsets, wanted, atol=0.01)
