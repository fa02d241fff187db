"""The recipe on tiny data: the loss falls, the network is exported, the export runs as the product would run it."""

from __future__ import annotations

import json
import shutil
import time
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

for package in ("torch", "onnx", "onnxscript"):
    pytest.importorskip(package, reason="training needs the extra [training]")

import torch
from training.checkpoints import load_checkpoint, save_checkpoint
from training.evaluate import score, separate
from training.export import export
from training.mixing import Mixer
from training.network import Network, features
from training.optimiser import orthogonal
from training.train import WIDTHS, Mixes, Replay, train

from sounds import level_db
from stemwright.separators.sketch import Sketch

if TYPE_CHECKING:
    from pathlib import Path

RATE = 44_100


def save_stems(folder: Path, *, seconds: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Bursts of noise, a low tone and a high one: easy to tell apart. `[4, 2, T]` float32, the last silent."""
    time = np.arange(seconds * RATE) / RATE
    draw = np.random.default_rng(seed)
    voice = 0.2 * np.sin(2 * np.pi * draw.uniform(600, 900) * time)
    drums = 0.5 * draw.standard_normal(len(time)) * np.exp(-20 * (time % 0.5))
    bass = 0.3 * np.sin(2 * np.pi * draw.uniform(50, 90) * time)
    stems = np.stack([voice, drums, bass, 0 * time])[:, None].repeat(2, axis=1).astype(np.float32)
    folder.mkdir(parents=True)
    for name, stem in zip(("vocals", "drums", "bass"), stems, strict=False):
        np.save(folder / f"{name}.npy", (stem.T * 32767 * 0.6).clip(-32768, 32767).astype(np.int16))
    (folder / "song.json").write_text(json.dumps({"stems": ["vocals", "drums", "bass"]}))
    return stems


@pytest.mark.slow
def test_loss_falls_and_the_export_runs_in_the_engine(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    for seed in range(3):
        save_stems(tmp_path / f"corpus/train/song-{seed}", seconds=12, seed=seed)
    true = save_stems(tmp_path / "corpus/test/song-9", seconds=22, seed=9)
    run = tmp_path / "run"
    train(corpus=tmp_path / "corpus", out=run, steps=120, size=(2, 64))
    log = [json.loads(line) for line in run.with_suffix(".jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < losses[0] - 0.15
    assert {"vocals", "drums", "bass"} <= log[-1]["sdr"]["song-9"].keys()
    network = Network()
    load_checkpoint(network, run.with_suffix(".pt"))
    export(network, tmp_path / "sketch.onnx")
    mix = true.sum(axis=0)
    estimates = separate(Sketch(tmp_path / "sketch.onnx"), mix)
    scores, before = score(estimates, true).whole, score(mix[None].repeat(4, axis=0), true).whole
    for stem in ("drums", "bass"):
        assert scores[stem] > before[stem] + 3


def test_export_computes_what_the_network_computes(tmp_path: Path) -> None:
    import onnxruntime

    torch.manual_seed(0)
    network = Network().eval()
    save_checkpoint(network, tmp_path / "half.pt")
    load_checkpoint(network, tmp_path / "half.pt")
    export(network, tmp_path / "sketch.onnx")
    assert b"site-packages" not in (tmp_path / "sketch.onnx").read_bytes()  # nothing of the machine that wrote it
    session = onnxruntime.InferenceSession(tmp_path / "sketch.onnx")
    for frames in (8, 136):
        power, pan = torch.rand(2, frames, len(WIDTHS)), torch.rand(frames, len(WIDTHS)) - 0.5
        (masks,) = session.run(None, {"power": power.numpy(), "pan": pan.numpy()})
        with torch.no_grad():
            expected = torch.softmax(network(features(power[None], pan[None], WIDTHS)), dim=1)[0].numpy()
        assert np.abs(masks - expected).max() < 1e-4


def test_checkpoint_goes_on_where_it_ended(tmp_path: Path) -> None:
    first, second = Network(), Network()
    save_checkpoint(first, tmp_path / "a.pt")
    load_checkpoint(second, tmp_path / "a.pt")
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.allclose(one.float(), other.float(), atol=1e-3)
    assert (tmp_path / "a.pt").stat().st_size < 12e6


def test_a_mix_taken_again_has_another_tone_and_is_the_same_to_every_mask(tmp_path: Path) -> None:
    """Whatever the tone, a mask that is constant within bands is as right as it was in each of them."""
    save_stems(tmp_path / "train/song-1", seconds=6, seed=1)
    with closing(Replay(Mixes(tmp_path, batch=2, frames=16, seed=1))) as replay:
        replay._kept = deque([replay._kept[0]])  # the first batch only
        one, other = replay.take(), replay.take()
    (power, pan, cross, energy, _), (power2, pan2, cross2, energy2, _) = one, other
    sounds = power > 1e-3 * power.max()
    tone = 10 * torch.log10(power2 / power)[sounds]
    assert float(tone.std()) > 0.5
    wanted = cross * power2[:, None]
    assert float((cross2 * power[:, None] - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())
    assert torch.allclose(energy2 * power[:, None], energy * power2[:, None], rtol=1e-3, atol=1e-6)
    assert torch.allclose((pan2 * power[:, 0]).abs(), (pan * power2[:, 0]).abs(), rtol=1e-3, atol=1e-6)


def test_no_song_is_an_error() -> None:
    with pytest.raises(ValueError, match="no song"):
        Mixer([], frames=16, seed=1)


def test_what_stops_the_mixing_stops_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.train.RELOAD_BATCHES", 2)
    folder = tmp_path / "train/song-1"
    save_stems(folder, seconds=6, seed=1)
    with closing(Replay(Mixes(tmp_path, batch=1, frames=16, seed=1))) as replay:
        shutil.rmtree(folder)  # gone when the corpus is read again, or while it is
        with pytest.raises((ValueError, FileNotFoundError), match="worker process"):
            for _ in range(3000):
                replay.take()
                time.sleep(0.01)


@pytest.mark.parametrize("shape", [(64, 200), (200, 64), (96, 96)])
def test_orthogonal_has_singular_values_near_one(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr("training.optimiser.has_bfloat16", lambda: False)
    whole = orthogonal(matrix)
    values = torch.linalg.svdvals(whole)
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.5
    monkeypatch.setattr("training.optimiser.has_bfloat16", lambda: True)
    assert float((orthogonal(matrix) - whole).norm() / whole.norm()) < 0.03


def test_score_is_the_ratio_of_signal_to_error() -> None:
    true = np.zeros((4, 2, 12 * RATE), np.float32)
    true[0] = np.random.default_rng(0).standard_normal((2, 12 * RATE))
    estimates = true * np.float32(0.9)
    assert score(estimates, true).median["vocals"] == pytest.approx(20, abs=0.1)
    assert level_db(true[0] - estimates[0], true[0]) == pytest.approx(-20, abs=0.1)
    assert "bass" not in score(estimates, true).median
