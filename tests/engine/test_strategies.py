"""A song to its files by a strategy: the same promises as for a model, and a receipt that names every node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sounds import level_db, read, sound, write_wav
from stemwright import errors
from stemwright.audio.formats import parse_format
from stemwright.engine.options import SeparateOptions
from stemwright.engine.receipt import Receipt
from stemwright.engine.separate import Engine
from stemwright.engine.settings import SeparationSettings
from stemwright.engine.trees.intermediates import Intermediates
from stemwright.separators._onnx import GraphWriter
from stemwright.strategies.find import find_strategy
from tiny_demucs import make_repo

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.engine.song_result import SongResult

SUCCESSIVE = """\
strategies:
  successive:
    _: "vocals_mel_band_roformer.ckpt"  # Model to use
    vocals: vocals                       # Final output
    not_vocals:                          # Feed into next model
      _: "kuielab_b_drums.onnx"
      drums: drums
      not_drums:
        _: "kuielab_a_bass.onnx"
        bass: bass
        not_bass: other
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny networks under the names of source 003."""
    folder = tmp_path_factory.mktemp("repo")
    make_repo(folder, name="vocals_mel_band_roformer.ckpt", sources=("vocals", "other"), samplerate=8000)
    make_repo(folder, name="kuielab_b_drums.onnx", sources=("drums", "other"), samplerate=8000, seed=7, kind="demucs")
    make_repo(folder, name="kuielab_a_bass.onnx", sources=("other", "bass"), samplerate=8000, seed=9)
    return folder


def separate(song: Path, root: Path, strategy: str, *, repo: Path | None = None, **options: Any) -> SongResult:
    found = find_strategy(strategy, repo=repo)
    options.setdefault("format", parse_format("wav32f"))
    settings = SeparationSettings(stems=options.pop("stems", None))
    return Engine(SeparateOptions(strategy=found, repo=repo, settings=settings, **options)).separate(song, root)


def stems(result: SongResult, *, channels: int = 2) -> dict[str, Any]:
    return {name: read(path, channels=channels).astype(np.float64) for name, path in result.files().items()}


def test_tree_of_source_003_runs_on_real_networks_and_adds_up(tmp_path: Path, repo: Path) -> None:
    (tmp_path / "config.yaml").write_text(SUCCESSIVE)
    mix = sound("song", seconds=1.2, rate=22_050)
    song = write_wav(tmp_path / "song.wav", mix, 22_050)
    result = separate(song, tmp_path / "out", str(tmp_path / "config.yaml"), repo=repo)
    made = stems(result)
    assert [*made] == ["vocals", "drums", "bass", "other"]
    assert level_db(sum(made.values()) - mix, mix) < -100
    assert all(level_db(part, mix) > -80 for part in made.values())
    receipt = Receipt.model_validate_json((tmp_path / "out/song/receipt.json").read_text())
    assert receipt == result.receipt
    assert (receipt.model.name, receipt.model.family, receipt.model.draft) == ("successive", "strategy", False)
    assert (receipt.settings.overlap, receipt.settings.shifts, receipt.settings.segment) == (None, None, None)
    assert [(node.paths, node.model, node.stems) for node in receipt.nodes] == [
        (("successive",), "vocals_mel_band_roformer.ckpt", ("vocals",)),
        (("successive.not_vocals",), "kuielab_b_drums.onnx", ("drums",)),
        (("successive.not_vocals.not_drums",), "kuielab_a_bass.onnx", ("bass",)),
    ]
    assert len({node.weights_digest for node in receipt.nodes}) == 3
    assert {node.device for node in receipt.nodes} == {"cpu"}
    assert not [*(tmp_path / "out").glob(".stemwright-*")]
    assert separate(song, tmp_path / "out", str(tmp_path / "config.yaml"), repo=repo).skipped


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [22_050, 48_000])
def test_preset_adds_up_and_is_the_model_that_it_names(tmp_path: Path, rate: int, channels: int) -> None:
    mix = sound("song", seconds=1.1, rate=rate, channels=channels)
    song = write_wav(tmp_path / "song.wav", mix, rate)
    made = stems(separate(song, tmp_path / "tree", "fast"), channels=channels)
    assert level_db(sum(made.values()) - mix, mix) < -100
    plain = Engine(SeparateOptions(model="sketch", format=parse_format("wav32f"))).separate(song, tmp_path / "plain")
    for name, part in stems(plain, channels=channels).items():
        assert level_db(made[name] - part, mix) < -100


def test_custom_model_stands_beside_the_file_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mix = sound("song", seconds=1.2)
    song = write_wav(tmp_path / "song.wav", mix)
    folder = tmp_path / "mine"
    folder.mkdir()
    graph = GraphWriter()
    half = graph.node("Mul", ["x", graph.constant(np.asarray([0.5], np.float32))])
    (folder / "half.onnx").write_bytes(graph.model(inputs={"x": ("B", 2, "T")}, outputs={half: ("B", 2, "T")}))
    (folder / "half.yaml").write_text("model: half.onnx\nstems: [voice]\nsample_rate: 44100\nsegment: 0.5\n")
    (folder / "tree.yaml").write_text("_: half.yaml\nvoice: a\nnot_voice: {_: half.yaml, voice: b, residual: c}\n")
    monkeypatch.chdir(tmp_path)  # not where the model is
    result = separate(song, tmp_path / "out", "mine/tree.yaml")
    for name, part in stems(result).items():
        assert level_db(part - {"a": 0.5, "b": 0.25, "c": 0.25}[name] * mix, mix) < -100
    assert [node.family for node in result.receipt.nodes] == ["custom", "custom"]


def test_draft_anywhere_in_a_tree_makes_the_result_one(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.3))
    receipt = separate(song, tmp_path / "out", "fast").receipt
    assert receipt.model.draft
    assert "draft" in {warning.code for warning in receipt.warnings}


@pytest.mark.usefixtures("known_family")
def test_stems_asked_for_come_alone_and_their_opposites_complete_the_mix(tmp_path: Path) -> None:
    mix = sound("song", seconds=0.5)
    song = write_wav(tmp_path / "song.wav", mix)
    (tmp_path / "t.yaml").write_text("_: half\nvocals: voice\nnot_vocals: {_: half, vocals: a, other: b}\n")
    made = stems(separate(song, tmp_path / "out", str(tmp_path / "t.yaml"), stems=("voice", "no_voice")))
    assert [*made] == ["voice", "no_voice"]
    assert level_db(made["voice"] - 0.5 * mix, mix) < -100
    assert level_db(sum(made.values()) - mix, mix) < -100
    alone = stems(separate(song, tmp_path / "b", str(tmp_path / "t.yaml"), stems=("b",)))["b"]
    assert level_db(alone - 0.25 * mix, mix) < -100  # what `a` leaves of it is in there though nobody asked for `a`


@pytest.mark.usefixtures("known_family")
def test_changed_settings_or_tree_are_done_again_and_equal_ones_skipped(tmp_path: Path) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.3))
    file = tmp_path / "t.yaml"
    for number, text in enumerate(["_: half", "_: {model: half, overlap: 0.5}", "_: loud"]):
        file.write_text(f"{text}\nvocals: v\nother: o\n")
        assert not separate(song, tmp_path / "out", str(file)).skipped, number
        assert separate(song, tmp_path / "out", str(file)).skipped
    file.write_text("# as before\n_: {model: loud, overlap: 0.25}\nvocals: v\nother: o\n")
    assert separate(song, tmp_path / "out", str(file)).skipped


def test_what_was_made_before_is_taken_from_disk_and_said(tmp_path: Path) -> None:
    mix = sound("song", seconds=1)
    song = write_wav(tmp_path / "song.wav", mix)
    kept = Intermediates(tmp_path / "kept", budget=1 << 28, worth=0)
    first = separate(song, tmp_path / "one", "fast", intermediates=kept)
    again = separate(song, tmp_path / "two", "fast", intermediates=kept, stems=("vocals", "drums"))
    assert first.receipt.nodes[0].device == "cpu"
    assert again.receipt.nodes[0].device is None
    for name in ("vocals", "drums"):
        assert again.files()[name].read_bytes() == first.files()[name].read_bytes()


@pytest.mark.usefixtures("known_family")
@pytest.mark.parametrize(("model", "error"), [("broken", errors.ModelFailedError), ("huge", errors.OutOfMemoryError)])
def test_failure_in_any_node_leaves_nothing(tmp_path: Path, model: str, error: type[Exception]) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=1))
    (tmp_path / "t.yaml").write_text(f"_: half\nvocals: v\nother: {{_: {model}, vocals: a, other: b}}\n")
    with pytest.raises(error):
        separate(song, tmp_path / "deep" / "out", str(tmp_path / "t.yaml"))
    assert not (tmp_path / "deep").exists()


def test_missing_weights_are_missed_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = write_wav(tmp_path / "song.wav", sound("noise", seconds=0.3))
    (tmp_path / "t.yaml").write_text("_: sketch\nvocals: v\nresidual: {_: htdemucs, drums: d, residual: r}\n")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    stages: list[str] = []
    engine = Engine(SeparateOptions(strategy=find_strategy(str(tmp_path / "t.yaml"))))
    with pytest.raises(errors.ModelUnavailableError, match="htdemucs"):
        engine.separate(song, tmp_path / "out", on_progress=lambda stage, _: stages.append(stage))
    assert {*stages} == {"reading"}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"model": "sketch"},
        *({"settings": SeparationSettings(**one)} for one in ({"overlap": 0.5}, {"shifts": 1}, {"segment": 5.0})),
    ],
)
def test_settings_of_a_model_are_no_settings_of_a_strategy(change: dict[str, Any]) -> None:
    with pytest.raises(errors.OptionError, match="names its models"):
        SeparateOptions(strategy=find_strategy("fast"), **change)


def test_stem_that_a_strategy_does_not_give_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(errors.UnknownStemError, match="karaoke gives vocals, instrumental, not 'drums'"):
        Engine(SeparateOptions(strategy=find_strategy("karaoke"), settings=SeparationSettings(stems=("drums",))))
