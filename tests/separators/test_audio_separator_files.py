"""Where the files of audio-separator's models come from; the package itself is not needed, nor a connection."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stemwright import errors
from stemwright.separators import _audio_separator_models as models
from stemwright.separators import catalogue
from stemwright.separators._audio_separator_child import opposite, slot
from stemwright.separators._audio_separator_process import _PROGRAM
from stemwright.separators.audio_separator import FAMILY
from stemwright.separators.protocol import LoadOptions
from stemwright.weights import config
from weights.publisher import Publisher

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLIC = "/github.com/TRvlvr/model_repo/releases/download/all_public_uvr_models"
OWN = "/github.com/nomadkaraoke/python-audio-separator/releases/download/model-configs"
DATA = "/raw.githubusercontent.com/TRvlvr/application_data"
WEIGHTS = b"weights of drums"
TABLE = {hashlib.md5(WEIGHTS, usedforsecurity=False).hexdigest(): {"mdx_dim_f_set": 3, "primary_stem": "Drums"}}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with short lists; nothing in it runs."""
    folder = tmp_path / "audio_separator"
    folder.mkdir()
    listed = {"roformer_download_list": {"Roformer Model: Mine": {"mine.ckpt": "mine_config.yaml"}}}
    scores = {
        "mine.ckpt": {"model_name": "Roformer Model: Mine", "stems": ["vocals", "other"]},
        "drums.onnx": {"model_name": "MDX-Net Model: drums", "stems": ["drums", "no drums"]},
        "paid.onnx": {"model_name": "MDX-Net Model VIP: paid", "stems": ["vocals", "instrumental"]},
        "elsewhere.ckpt": {"model_name": "Roformer Model: elsewhere", "stems": ["vocals", "other"]},
        "htdemucs.yaml": {"model_name": "Demucs v4: htdemucs", "stems": ["drums"]},
    }
    (folder / "models.json").write_text(json.dumps(listed))
    (folder / "models-scores.json").write_text(json.dumps(scores))
    (folder / "model-data.json").write_text(json.dumps({"mdx_model_data": {}, "vr_model_data": {}}))
    monkeypatch.setattr(models, "find_package", lambda: models.Package(Path(sys.executable), folder))
    return folder


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A mirror that has all, the weights of one model in the first place and of the other in the second."""
    with Publisher() as publisher:
        first, second = models._TABLE_URLS
        publisher.files = {
            f"{PUBLIC}/drums.onnx": WEIGHTS,
            first.removeprefix("https:/"): json.dumps(TABLE).encode(),
            second.removeprefix("https:/"): b"{}",
            f"{OWN}/mine.ckpt": b"weights of mine",
            f"{OWN}/mine_config.yaml": b"training: {instruments: !!python/tuple [Vocals, Other]}",
        }
        monkeypatch.setattr(config, "_current", config.Config(cache=tmp_path / "cache", mirror=publisher.url))
        yield publisher


@pytest.mark.parametrize(
    ("name", "stem", "rest"),
    [
        ("Vocals", "vocals", "instrumental"),
        ("Instrumental", "instrumental", "vocals"),
        ("Drums", "drums", "not_drums"),
        ("No Drums", "not_drums", "drums"),
        ("no drum-bass", "not_drum-bass", "drum-bass"),
        ("Wind Inst", "wind_inst", "not_wind_inst"),
        ("../No", "no", "not_no"),
    ],
)
def test_stems_are_called_after_the_models_data(name: str, stem: str, rest: str) -> None:
    assert (slot(name), opposite(stem)) == (stem, rest)


@pytest.mark.usefixtures("package")
def test_list_has_what_everybody_may_have() -> None:
    assert {info.name: info.stems for info in FAMILY.models()} == {
        "mine.ckpt": ("vocals", "other"),
        "drums.onnx": ("drums", "not_drums"),
    }
    assert [info.summary for info in FAMILY.models()] == ["MDX-Net: drums", "RoFormer: Mine"]


@pytest.mark.usefixtures("package")
def test_model_is_pulled_once_and_its_data_are_read(publisher: Publisher) -> None:
    told: list[str] = []
    for name in ("drums.onnx", "mine.ckpt"):
        assert FAMILY.availability(name) == "download"
        FAMILY.pull(name, on_progress=lambda label, _done, _total: told.append(label))
        assert FAMILY.availability(name) == "ready"
    assert {*told} == {"drums.onnx", "mine.ckpt"}
    asked = [path for path, _ in publisher.asked]
    assert asked[-3:] == [f"{PUBLIC}/mine.ckpt", f"{OWN}/mine.ckpt", f"{OWN}/mine_config.yaml"]
    FAMILY.pull("drums.onnx")
    assert len(publisher.asked) == len(asked)
    drums, mine = (models.cached(models.known()[name]) for name in ("drums.onnx", "mine.ckpt"))
    assert drums is not None
    assert mine is not None
    assert drums.weights.read_bytes() == WEIGHTS
    assert models.read_data(drums) == {"mdx_dim_f_set": 3, "primary_stem": "Drums"}
    assert models.read_data(mine) == {"training": {"instruments": ["Vocals", "Other"]}}


@pytest.mark.usefixtures("package")
def test_offline_names_the_command(publisher: Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "_current", config.Config(cache=tmp_path / "cache", offline=True))
    assert FAMILY.availability("drums.onnx") == "missing"
    with pytest.raises(errors.ModelUnavailableError, match=r"offline.*stemwright models pull drums\.onnx"):
        catalogue.load("drums.onnx", options=LoadOptions())
    assert publisher.asked == []


@pytest.mark.usefixtures("package")
def test_folder_gives_what_is_in_it(tmp_path: Path) -> None:
    for name in ("own.onnx", "mine.ckpt", "alone.ckpt", "other.ckpt", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "mine_config.yaml").write_text("a: 1")
    (tmp_path / "other.yaml").write_text("a: 1")
    (tmp_path / "mdx_model_data.json").write_text(json.dumps(TABLE))

    def found(name: str) -> list[str] | None:
        files = models.in_folder(name, tmp_path)
        return [path.name for path in (files.config, *files.tables) if path] if files else None

    assert found("own.onnx") == ["mdx_model_data.json", "model-data.json"]
    assert found("mine.ckpt") == ["mine_config.yaml"]
    assert found("other.ckpt") == ["other.yaml"]
    assert [found(name) for name in ("alone.ckpt", "notes.txt", "none.onnx", "../own.onnx", ".onnx")] == [None] * 5
    assert FAMILY.availability("own.onnx", repo=tmp_path) == "ready"
    assert catalogue.find_model("own.onnx", repo=tmp_path)[0].name == "audio-separator"
    with pytest.raises(errors.ModelUnavailableError, match=r"alone\.ckpt is not in"):
        FAMILY.load("alone.ckpt", LoadOptions(repo=tmp_path))


@pytest.mark.usefixtures("package")
def test_folder_in_which_another_family_has_the_name_is_asked_first(tmp_path: Path) -> None:
    (tmp_path / "mine.ckpt.yaml").write_text("model: mine.onnx\nstems: [a, b]\nsample_rate: 44100\n")
    assert catalogue.find_model("mine.ckpt", repo=tmp_path)[0].name == "custom"
    assert catalogue.find_model("mine.ckpt")[0].name == "audio-separator"


def test_without_the_package_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(models, "find_package", lambda: None)
    (tmp_path / "own.onnx").touch()
    assert FAMILY.models() == ()
    assert FAMILY.availability("own.onnx", repo=tmp_path) == "missing"
    for name in ("kuielab_b_drums.onnx", "vocals_mel_band_roformer.ckpt"):
        with pytest.raises(
            errors.UnknownModelError, match=r"need audio-separator, which is not here \(docs/models\.md"
        ):
            catalogue.find_model(name)
    with pytest.raises(errors.ModelUnavailableError, match="needs audio-separator"):
        FAMILY.load("own.onnx", LoadOptions(repo=tmp_path))


def test_package_is_found_in_an_environment_inside_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert models.find_package() is None
    folder = tmp_path / "audio-separator/lib/python3.12/site-packages/audio_separator"
    folder.mkdir(parents=True)
    assert models.find_package() == models.Package(tmp_path / "audio-separator/bin/python", folder)


def ask_child(*requests: dict[str, Any]) -> list[dict[str, dict[str, str]]]:
    """What the child answers before its input ends, and it by that."""
    given = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run(
        [sys.executable, "-P", _PROGRAM], input=given, capture_output=True, text=True, check=True, timeout=120
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_child_ends_when_nobody_asks_any_more() -> None:
    assert ask_child() == []
    assert ask_child({}, {}) == []


def test_child_says_what_it_has_not(tmp_path: Path) -> None:
    load: dict[str, Any] = {
        "weights": str(tmp_path / "a.ckpt"),
        "data": {},
        "segment": None,
        "device": "cpu",
        "raw": False,
    }
    (loaded,) = ask_child(load)
    assert loaded["error"]["code"] in {"model_unavailable", "bad_weights"}  # without the package, or with it
    (asked,) = ask_child({"shape": [0, 2, 0]})
    assert asked == {"error": {"code": "model_failed", "message": "there is no model"}}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("models-scores.json", "{"),
        ("models-scores.json", '{"a.onnx": {}}'),
        ("models.json", '{"new_list": {"A": "a"}}'),
    ],
)
def test_package_of_another_version_is_told_and_what_a_folder_holds_goes_on(
    package: Path, tmp_path: Path, name: str, content: str
) -> None:
    (package / name).write_text(content)
    for file in ("own.onnx", "own.ckpt", "own.yaml"):
        (tmp_path / file).touch()
    assert catalogue.find_model("sketch")[0].name == "sketch"
    [problem] = catalogue.problems()
    assert "family audio-separator cannot say which models it has: the lists of this audio-separator are" in problem
    with pytest.raises(errors.UnknownModelError, match="are not understood"):
        catalogue.find_model("drums.onnx")
    for own in ("own.onnx", "own.ckpt"):
        assert catalogue.find_model(own, repo=tmp_path)[0].name == "audio-separator"
    assert FAMILY.availability("drums.onnx") == "missing"
    with pytest.raises(errors.ModelUnavailableError, match="are not understood"):
        FAMILY.pull("drums.onnx")
