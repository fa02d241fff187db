from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra [training]")

import torch
from training.bands import BANDS, EDGES
from training.mixing import STEMS, Mixer, load_corpus, sums_over_bands
from training.train import errors

if TYPE_CHECKING:
    from pathlib import Path


def save_song(folder: Path, *stems: str, seconds: float = 8, seed: int = 0, **about: object) -> None:
    """A song of noise."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(seed)
    for stem in stems:
        np.save(folder / f"{stem}.npy", (noise.standard_normal((int(44_100 * seconds), 2)) * 3000).astype(np.int16))
    (folder / "song.json").write_text(json.dumps({"stems": stems, **about}))


def test_bands_cover_all_bins_and_grow_with_frequency() -> None:
    widths = np.diff(EDGES)
    assert (EDGES[0], EDGES[-1], len(widths)) == (0, 2049, BANDS)
    assert widths[0] == 1
    assert (widths[:-1] <= np.maximum(1, np.ceil(EDGES[1:-1] * 0.03))).all()


def test_sums_over_bands_tell_the_energy_of_the_errors_exactly() -> None:
    draw = np.random.default_rng(1)
    shape = (4, 2, 6, 2049)
    spectra = (draw.standard_normal(shape) + 1j * draw.standard_normal(shape)).astype(np.complex64)
    logits = torch.tensor(draw.standard_normal((1, 4, 2, 6, BANDS)), dtype=torch.float32)
    power, _, cross, energy = (torch.from_numpy(part)[None] for part in sums_over_bands(spectra))
    found = errors(logits, power, cross, energy, torch.zeros(1))[0].numpy()
    masks = np.repeat(torch.softmax(logits, 1)[0].numpy(), np.diff(EDGES), axis=-1)
    bins = np.abs(masks * spectra.sum(axis=0) - spectra) ** 2
    assert found == pytest.approx(np.add.reduceat(bins, EDGES[:-1], axis=-1), rel=1e-3)


def test_song_without_separate_bass_is_scored_on_bass_and_other_together() -> None:
    """Whatever a mask moves between bass and other does not count."""
    draw = np.random.default_rng(2)
    shape = (4, 2, 3, 2049)
    spectra = (draw.standard_normal(shape) + 1j * draw.standard_normal(shape)).astype(np.complex64)
    spectra[2] = 0
    sums = [torch.from_numpy(part)[None] for part in sums_over_bands(spectra)]
    power, _, cross, energy = sums
    masks = torch.tensor([0.2, 0.3, 0.4, 0.1])[None, :, None, None, None].expand(1, 4, 2, 3, BANDS)
    moved = torch.tensor([0.2, 0.3, 0.1, 0.4])[None, :, None, None, None].expand(1, 4, 2, 3, BANDS)
    one, other = (errors(mask.log(), power, cross, energy, torch.ones(1)) for mask in (masks, moved))
    assert torch.allclose(one, other, rtol=1e-4)
    assert not torch.allclose(one, errors(masks.log(), power, cross, energy, torch.zeros(1)), rtol=1e-4)


def test_voice_joins_the_song_that_it_was_sung_to(tmp_path: Path) -> None:
    save_song(tmp_path / "song-1", "drums", "bass", "other")
    save_song(tmp_path / "song-1-voice", "vocals", goes_with="song-1")
    save_song(tmp_path / "voice-2", "vocals")
    (tmp_path / ".half-written").mkdir()
    songs = {song.name: set(song.stems) for song in load_corpus(tmp_path)}
    assert songs == {"song-1": {*STEMS}, "voice-2": {"vocals"}}


def test_mixes_are_finite_vary_and_repeat_with_the_seed(tmp_path: Path) -> None:
    save_song(tmp_path / "a", "drums", "bass", "other")
    save_song(tmp_path / "b", "vocals", "drums", "bass+other", seed=1)
    save_song(tmp_path / "c", "vocals", seconds=3, seed=2)
    songs = load_corpus(tmp_path)
    one, same, other = (Mixer(songs, frames=16, seed=seed).batch(12) for seed in (1, 1, 2))
    assert one.power.shape == (12, 2, 16, BANDS)
    assert one.energy.shape == (12, 4, 2, 16, BANDS)
    for part in (one.power, one.pan, one.cross, one.energy):
        assert np.isfinite(part).all()
    assert np.array_equal(one.power, same.power)
    assert not np.array_equal(one.power, other.power)
    assert 0 < one.unsplit.mean() < 1
    present = one.energy.sum(axis=(2, 3, 4)) > 0
    assert present.any(axis=1).all()
    assert not present.all(axis=0).all()  # stems are left out now and then
    assert not present[one.unsplit == 1, 2].any()
    whole = np.abs(one.cross.sum(axis=1) - one.power)
    assert whole.max() < 1e-3 * one.power.max()  # stems add up to the mix


def test_plain_mix_leaves_its_stems_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the middle stays there; without plain mixes echoes, rooms and the like spread some of it."""
    save_song(tmp_path / "a", "drums", "other")
    other = np.load(tmp_path / "a" / "other.npy")
    np.save(tmp_path / "a" / "other.npy", other[:, [0, 0]])
    aside = {}
    for chance in (0.0, 1.0):
        monkeypatch.setattr("training.mixing.PLAIN", chance)
        batch = Mixer(load_corpus(tmp_path), frames=16, seed=3).batch(12)
        mid, side = batch.energy[:, STEMS.index("other")].sum(axis=(2, 3)).T
        aside[chance] = side[mid > 0] / mid[mid > 0]
    assert aside[1.0].max() < 1e-6
    assert np.quantile(aside[0.0], 0.7) > 1e-3


def test_another_singer_stands_a_little_behind_the_band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_song(tmp_path / "a", "drums", "bass", "other")
    save_song(tmp_path / "b", "vocals", seed=1)
    quiet = np.load(tmp_path / "b" / "vocals.npy") // 4
    np.save(tmp_path / "b" / "vocals.npy", quiet)
    monkeypatch.setattr("training.mixing.OTHER_SINGER", 1.0)
    stems = Mixer(load_corpus(tmp_path), frames=16, seed=4)._from_one_song()
    voice, band = (np.square(part).mean() for part in (stems.pop("vocals"), np.sum([*stems.values()], axis=0)))
    assert 10 * np.log10(voice / band) == pytest.approx(-4, abs=0.1)
