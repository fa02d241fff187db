"""A song through a tree: parts that add up, shares as they must be, nothing made twice, nothing left behind."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import separators_for_tests
from separators_for_tests import Known, share, spec
from sounds import level_db, sound
from stemwright.engine.trees.intermediates import Intermediates
from stemwright.engine.trees.tree import Tree
from stemwright.engine.unmix import SongShape
from stemwright.errors import CancelledError, ModelUnavailableError, OutOfMemoryError
from stemwright.strategies._yaml import parse
from stemwright.strategies.read import Book, presets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stemwright.engine.trees.song import TreeRun
    from stemwright.types import Samples

FOUR = "vocals: vocals\ndrums: drums\nbass: bass\nother: other\n"
SUCCESSIVE = """
_: vocals_mel_band_roformer.ckpt
vocals: vocals
not_vocals:
  _: kuielab_b_drums.onnx
  drums: drums
  not_drums:
    _: kuielab_a_bass.onnx
    bass: bass
    not_bass: other
"""
runs: list[str] = []


class Counted(Known):
    """Says that it ran."""

    def separate(self, chunks: Samples, /) -> Samples:
        runs.append(self.spec.info.name)
        return super().separate(chunks)


def model(name: str, stems: dict[str, float], **changes: Any) -> Callable[[], Known]:
    made = spec(name=name, stems=tuple(stems), weights_digest=name, overlap=0.0, **changes)
    return lambda: Counted(made, tuple(share(part) for part in stems.values()))


@pytest.fixture(autouse=True)
def _models(known_family: None, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.clear()
    for name, make in {
        "vocals_mel_band_roformer.ckpt": model("vocals_mel_band_roformer.ckpt", {"vocals": 0.5, "other": 0.4}),
        "kuielab_b_drums.onnx": model("kuielab_b_drums.onnx", {"drums": 0.25}),
        "kuielab_a_bass.onnx": model("kuielab_a_bass.onnx", {"bass": 0.5}),
        "low": model("low", {"vocals": 0.5, "other": 0.4}, sample_rate=8000),
        "high": model("high", {"vocals": 0.75, "other": 0.25}, sample_rate=48_000, channels=1),
        "quarter": model("quarter", {"vocals": 0.25, "other": 0.25}),
        "most": model("most", {"vocals": 0.75, "other": 0.25}),
        "nearly": model("nearly", {"vocals": 0.5, "drums": 0.125, "other": 0.25}),
    }.items():
        monkeypatch.setitem(separators_for_tests.MODELS, name, make)


def strategy(text: str) -> Any:
    made = Book(parse(text.encode(), file="f.yaml"), name="f", origin="f.yaml", below=presets())
    return made.strategy(made.names[-1])


def shape_of(mix: Samples, rate: int = 44_100) -> SongShape:
    mean = mix.mean(axis=0)
    moments = {"mean": float(mean.mean()), "deviation": float(mean.std(ddof=1))}
    return SongShape(sample_rate=rate, channels=mix.shape[0], frames=mix.shape[1], **moments)


def start(tree: Tree, mix: Samples, folder: Path, *, rate: int = 44_100, report: Any = None) -> TreeRun:
    folder.mkdir(parents=True, exist_ok=True)
    digest = str(float(np.abs(mix).sum()))
    return tree.song(digest, shape=shape_of(mix, rate), folder=folder, on_progress=report or (lambda _: None))


def take_apart(
    text: str, mix: Samples, folder: Path, *, rate: int = 44_100, stems: Any = None, exact: bool = True, **how: Any
) -> dict[str, Samples]:
    """The stems, from a song in blocks of odd lengths."""
    tree = Tree(strategy(text), exact=exact, **how)
    tree.load(stems=stems)
    blocks = np.array_split(mix, 7, axis=1)
    done = [*start(tree, mix, folder, rate=rate).run(blocks)]
    again = np.concatenate([block for block, _ in done], axis=1)
    assert np.array_equal(again, mix)
    parts = np.concatenate([part for _, part in done], axis=2)
    return dict(zip(tree.strategy.stems, parts, strict=True))


def total(stems: dict[str, Samples]) -> Any:
    return np.sum([*stems.values()], axis=0, dtype=np.float64)


def test_tree_of_source_003_gives_four_stems_that_add_up(tmp_path: Path) -> None:
    mix = sound("song", seconds=1.3)
    stems = take_apart(SUCCESSIVE, mix, tmp_path)
    assert [*stems] == ["vocals", "drums", "bass", "other"]
    for name, part in {"vocals": 0.5, "drums": 0.125, "bass": 0.1875, "other": 0.1875}.items():
        assert level_db(stems[name] - part * mix, mix) < -100, name
    assert level_db(total(stems) - mix, mix) < -120


@pytest.mark.parametrize("rate", [8000, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_models_of_other_rates_and_channels_come_out_in_place_and_add_up(
    tmp_path: Path, rate: int, channels: int
) -> None:
    mix = sound("sine", seconds=0.7, rate=rate, channels=channels)
    text = "_: low\nvocals: a\nother: {_: high, vocals: b, other: {_: nearly, vocals: c, drums: d, residual: e}}"
    stems = take_apart(text, mix, tmp_path, rate=rate)
    assert {part.shape for part in stems.values()} == {mix.shape}
    assert level_db(total(stems) - mix, mix) < -120
    inner = slice(mix.shape[1] // 4, -mix.shape[1] // 4)
    mono = np.broadcast_to((0.5 * mix).mean(axis=0), mix.shape)  # `high` knows one channel
    assert level_db((stems["a"] - 0.5 * mix)[:, inner], mix[:, inner]) < -60  # no lag, at any rate
    assert level_db((stems["b"] - 0.75 * mono)[:, inner], mix[:, inner]) < -60


def test_raw_stems_are_the_models_own_when_not_exact(tmp_path: Path) -> None:
    mix = sound("noise", seconds=0.4)
    stems = take_apart("_: nearly\nvocals: v\nother: o\ndrums: d", mix, tmp_path, exact=False)
    for name, part in {"v": 0.5, "o": 0.25, "d": 0.125}.items():
        assert level_db(stems[name] - part * mix, mix) < -120
    exact = take_apart("_: nearly\nvocals: v\nother: o\ndrums: d", mix, tmp_path)
    assert level_db(exact["o"] - 0.375 * mix, mix) < -120


@pytest.mark.parametrize(
    ("method", "vocals"), [("mean", (3 * 0.5 + 0.25) / 4), ("median", 0.5), ("min", 0.25), ("max", 0.75)]
)
def test_ensemble_is_made_as_it_says(tmp_path: Path, method: str, vocals: float) -> None:
    mix = sound("song", seconds=7, channels=1)  # more than a block
    weights = "weights: {vocals: 0}, weight: 3" if method == "mean" else "weight: 1"
    members = f"[{{model: nearly, weight: {3 if method == 'mean' else 1}}}, quarter, {{model: most, {weights}}}]"
    stems = take_apart(f"_: {{ensemble: {method}, of: {members}}}\nvocals: v\nresidual: r", mix, tmp_path)
    assert level_db(stems["v"] - vocals * mix, mix) < -100
    assert level_db(total(stems) - mix, mix) < -120


def test_what_is_shared_runs_once_and_what_is_not_wanted_never(tmp_path: Path) -> None:
    mix = sound("noise", seconds=0.09)  # one chunk
    text = """
strategies:
  a: {_: nearly, vocals: v, residual: {_: kuielab_b_drums.onnx, drums: d, residual: r}}
  b: {_: nearly, vocals: v, residual: {_: kuielab_a_bass.onnx, bass: d, residual: r}}
  both: {_: {ensemble: mean, of: [{strategy: a}, {strategy: b}]}, v: v, d: d, r: r}
"""
    take_apart(text, mix, tmp_path / "all")
    assert runs == ["nearly", "kuielab_b_drums.onnx", "kuielab_a_bass.onnx"]
    runs.clear()
    stems = take_apart(SUCCESSIVE, mix, tmp_path / "some", stems=("drums",))
    assert runs == ["vocals_mel_band_roformer.ckpt", "kuielab_b_drums.onnx"]
    assert level_db(stems["drums"] - 0.125 * mix, mix) < -100
    assert not stems["bass"].any()


def test_model_that_no_wanted_stem_needs_is_not_even_loaded(tmp_path: Path) -> None:
    def lost() -> Known:
        raise ModelUnavailableError("it is not here")

    mix = sound("noise", seconds=0.2)
    with pytest.MonkeyPatch.context() as patch:
        infos = separators_for_tests.FAMILY.models()
        patch.setattr(type(separators_for_tests.FAMILY), "models", lambda _: infos)
        patch.setitem(separators_for_tests.MODELS, "kuielab_a_bass.onnx", lost)
        stems = take_apart(SUCCESSIVE, mix, tmp_path, stems=("vocals", "drums"))
        assert level_db(stems["drums"] - 0.125 * mix, mix) < -100
        with pytest.raises(ModelUnavailableError):
            take_apart(SUCCESSIVE, mix, tmp_path, stems=("other",))


def test_only_the_mix_and_the_stems_are_on_disk_at_the_end(tmp_path: Path) -> None:
    mix = sound("noise", seconds=0.5)
    tree = Tree(strategy(SUCCESSIVE))
    tree.load(stems=None)
    song = start(tree, mix, tmp_path / "work")
    next(song.run([mix]))
    left = sum(path.stat().st_size for path in (tmp_path / "work").iterdir())
    assert left == 5 * mix.nbytes
    assert 5 * mix.nbytes <= song.peak_bytes() <= 7 * mix.nbytes


def test_changed_leaf_does_not_run_the_trunk_again(tmp_path: Path) -> None:
    mix = sound("noise", seconds=0.09)
    kept = Intermediates(tmp_path / "kept", budget=1 << 30, worth=0)
    first = take_apart(SUCCESSIVE, mix, tmp_path / "1", intermediates=kept)
    runs.clear()
    leaf = "_: kuielab_a_bass.onnx\n    bass: bass\n    not_bass"
    assert leaf in SUCCESSIVE
    changed = SUCCESSIVE.replace(leaf, "_: quarter\n    vocals: bass\n    not_vocals")
    second = take_apart(changed, mix, tmp_path / "2", intermediates=kept)
    assert runs == ["quarter"]
    assert np.array_equal(first["vocals"], second["vocals"])
    assert np.array_equal(first["drums"], second["drums"])
    assert level_db(total(second) - mix, mix) < -120
    runs.clear()
    take_apart(SUCCESSIVE, mix, tmp_path / "3", intermediates=kept)
    assert not runs
    take_apart(SUCCESSIVE, 0.5 * mix, tmp_path / "4", intermediates=kept)  # another song
    assert len(runs) == 3


def test_too_little_memory_is_met_by_the_node_that_met_it_and_not_kept(tmp_path: Path) -> None:
    mix = sound("noise", seconds=1.5)
    kept = Intermediates(tmp_path / "kept", budget=1 << 30, worth=0)
    text = "_: quarter\nvocals: v\nother: {_: large, vocals: a, other: b}"
    tree = Tree(strategy(text), intermediates=kept)
    tree.load(stems=None)
    song = start(tree, mix, tmp_path / "work")
    parts = np.concatenate([part for _, part in song.run([mix])], axis=2)
    assert level_db(parts.sum(axis=0) - mix, mix) < -120
    assert {notice.code for notice in song.notices} == {"less_memory"}
    assert "for large" in song.notices[0].message
    small = next(node for node in song.nodes() if node.model == "large")
    assert small.segment * 44_100 <= 9_999
    assert len([*kept.folder.iterdir()]) == 1  # quarter's; large has no digest of its weights either
    with pytest.raises(OutOfMemoryError):
        take_apart("_: huge\nvocals: v\nother: o", mix, tmp_path / "huge")


def test_receipt_of_a_song_names_every_run_and_what_was_taken_from_before(tmp_path: Path) -> None:
    mix = sound("noise", seconds=0.09)
    kept = Intermediates(tmp_path / "kept", budget=1 << 30, worth=0)
    for device in ("cpu", None):
        tree = Tree(strategy(SUCCESSIVE), intermediates=kept)
        tree.load(stems=None)
        song = start(tree, mix, tmp_path / "work")
        [*song.run([mix])]
        nodes = song.nodes()
        assert [node.paths for node in nodes] == [("",), ("not_vocals",), ("not_vocals.not_drums",)]
        assert [node.stems for node in nodes] == [("vocals",), ("drums",), ("bass",)]
        assert [node.device for node in nodes] == [device] * 3
        assert nodes[1].weights_digest == "kuielab_b_drums.onnx"
        assert (nodes[0].overlap, nodes[0].shifts, nodes[0].segment) == (0, 0, 0.1)


def test_share_that_is_done_rises_to_one_and_counts_the_time_that_steps_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    shares_at_slow: list[float] = []

    def quick(chunk: Samples) -> Samples:
        return 0.5 * chunk

    def slow(chunk: Samples) -> Samples:
        shares_at_slow.append(told[-1])
        time.sleep(0.05)
        return 0.5 * chunk

    for name, function in {"slow": slow, "quick": quick}.items():
        made = Known(spec(name=name, stems=("vocals",), overlap=0.0), (function,))
        monkeypatch.setitem(separators_for_tests.MODELS, name, partial(replace, made))
    mix = sound("noise", seconds=1)
    tree = Tree(strategy("_: quick\nvocals: v\nresidual: {_: slow, vocals: w, residual: r}"))
    tree.load(stems=None)
    begins = []
    for number in range(2):
        told.clear()
        shares_at_slow.clear()
        [*start(tree, mix, tmp_path / str(number), report=told.append).run([mix])]
        assert told == sorted(told)
        assert (told[0], told[-1]) == (0, 1)
        begins.append(shares_at_slow[0])
    assert begins[0] == pytest.approx(0.5, abs=0.1)  # they cost the same, for all that is known
    assert begins[1] < 0.35  # `slow` takes ten times as long, as the first song has shown


@pytest.mark.parametrize("when", [0.0, 0.3, 0.9])
def test_stopping_ends_the_threads(tmp_path: Path, when: float) -> None:
    mix = sound("noise", seconds=2)
    tree = Tree(strategy(SUCCESSIVE))
    tree.load(stems=None)

    def stop(part: float) -> None:
        if part >= when:
            raise CancelledError("enough")

    before = threading.active_count()
    with pytest.raises(CancelledError):
        [*start(tree, mix, tmp_path, report=stop).run([mix])]
    assert threading.active_count() == before


def test_few_models_are_in_memory_at_a_time_and_stay_for_the_next_song(tmp_path: Path) -> None:
    loads: list[str] = []
    family = separators_for_tests.FAMILY
    original = type(family).load

    def load(self: Any, name: str, /, options: Any) -> Known:
        loads.append(name)
        return original(self, name, options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(family), "load", load)
        tree = Tree(strategy("_: quarter\nvocals: v\nother: {_: nearly, vocals: a, drums: b, other: c}"))
        tree.load(stems=None)
        for number in range(2):
            mix = sound("noise", seconds=0.1, seed=number)
            [*start(tree, mix, tmp_path / str(number)).run([mix])]
        assert loads == ["quarter", "nearly"]


def test_silence_stays_silent(tmp_path: Path) -> None:
    mix = np.zeros((2, 5000), np.float32)
    text = "_: sketch\n" + FOUR.replace("other: other", "other: {_: sketch, drums: d, residual: r}")
    stems = take_apart(text, mix, tmp_path)
    assert not total(stems).any()


def test_sketch_in_several_nodes_adds_up(tmp_path: Path) -> None:
    snares = 0.6 * np.exp(-40 * (np.arange(3 * 44_100) / 44_100 % 0.5))  # loud enough to be heard beside all else
    mix = sound("song", seconds=3) + (snares * sound("noise", seconds=3)).astype(np.float32)
    inner = "{_: sketch, drums: drums, not_drums: {_: sketch, bass: bass, residual: other}}"
    stems = take_apart(f"_: sketch\nvocals: vocals\nnot_vocals: {inner}", mix, tmp_path)
    assert level_db(total(stems) - mix, mix) < -100
    assert all(level_db(part, mix) > -60 for part in stems.values())


def test_one_node_gives_what_the_model_gives_alone(tmp_path: Path) -> None:
    from stemwright.engine.unmix import Unmixer
    from stemwright.separators import catalogue
    from stemwright.separators.protocol import LoadOptions

    mix = sound("song", seconds=2)
    stems = take_apart("_: sketch\n" + FOUR, mix, tmp_path, exact=False)
    separator = catalogue.load("sketch", options=LoadOptions())
    alone = np.concatenate([part for _, part in Unmixer(separator, shape_of(mix)).run([mix])], axis=2)
    for name, part in zip(separator.spec.stems, alone, strict=True):
        assert level_db(stems[name] - part, mix) < -120
