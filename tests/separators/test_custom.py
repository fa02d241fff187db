"""Models of one's own: tiny ONNX networks of which it is known what they do, and descriptions that are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from sounds import level_db, sound
from stemwright import errors
from stemwright.engine.overlap_add import OverlapAdd
from stemwright.separators import catalogue
from stemwright.separators._custom_file import read_custom
from stemwright.separators._onnx import GraphWriter, Shape
from stemwright.separators.custom import FAMILY, CustomSeparator
from stemwright.separators.protocol import LoadOptions

if TYPE_CHECKING:
    from pathlib import Path

    from stemwright.types import Samples

RATE = 44_100
WAVES = {"model": "net.onnx", "stems": ["half", "third"], "sample_rate": RATE, "segment": 0.5}


def gains(folder: Path, *values: float, shape: Shape, name: str = "net.onnx") -> None:
    """A network that gives its input times each of some values, one after the other on the axis of channels."""
    graph = GraphWriter()
    parts = [graph.node("Mul", ["x", graph.constant(np.asarray([value], np.float32))]) for value in values]
    output = graph.node("Concat", parts, axis=1)
    channels = shape[1]
    assert isinstance(channels, int)
    folder.mkdir(exist_ok=True)
    result = (shape[0], channels * len(values), *shape[2:])
    (folder / name).write_bytes(graph.model(inputs={"x": shape}, outputs={output: result}))


def shares(folder: Path, *values: float, shape: Shape) -> None:
    """A network that gives masks with one value each, whatever comes."""
    graph = GraphWriter()
    ones = graph.node("Exp", [graph.node("Mul", ["x", graph.constant(np.zeros(1, np.float32))])])
    parts = [graph.node("Mul", [ones, graph.constant(np.asarray([value], np.float32))]) for value in values]
    output = graph.node("Concat", parts, axis=1)
    channels = shape[1]
    assert isinstance(channels, int)
    (folder / "net.onnx").write_bytes(
        graph.model(inputs={"x": shape}, outputs={output: (shape[0], channels * len(values), *shape[2:])})
    )


def describe(folder: Path, tree: dict[str, Any], name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return path


def load(path: Path, **options: Any) -> CustomSeparator:
    name, repo = catalogue.at_path(str(path), repo=None)
    return FAMILY.load(name, LoadOptions(repo=repo, **options))


def separated(separator: CustomSeparator, mix: Samples) -> Samples:
    loop = OverlapAdd(separator)
    parts = [part for start in range(0, mix.shape[1], 9001) for part in loop.push(mix[:, start : start + 9001])]
    return np.concatenate([*parts, *loop.finish()], axis=-1)


def test_network_of_samples_runs_as_a_separator(tmp_path: Path) -> None:
    gains(tmp_path, 0.5, 0.25, shape=("B", 2, "T"))
    separator = load(describe(tmp_path, WAVES))
    mix = sound("song", seconds=2)
    half, quarter = separated(separator, mix)
    assert level_db(half - mix / 2, mix) < -120
    assert level_db(quarter - mix / 4, mix) < -120
    spec = separator.spec
    assert (spec.stems, spec.segment, spec.info.name) == (("half", "third"), 22_050, "mine")
    assert len(spec.weights_digest or "") == 64


def test_network_of_a_fixed_length_needs_no_segment(tmp_path: Path) -> None:
    gains(tmp_path, 0.5, 0.25, shape=(1, 2, 10_000))
    tree = {key: value for key, value in WAVES.items() if key != "segment"}
    separator = load(describe(tmp_path, tree))
    assert separator.spec.segment == 10_000
    mix = sound("song", seconds=1)
    assert level_db(separated(separator, mix)[0] - mix / 2, mix) < -120
    with pytest.raises(errors.ModelFileError, match=r"`segment` is 0\.5 s, but the network takes 0\.2268 s"):
        load(describe(tmp_path, WAVES))
    with pytest.raises(errors.OptionError, match="fixed segment"):
        load(describe(tmp_path, tree), segment=2.0)


@pytest.mark.parametrize(("n_fft", "hop"), [(1024, 256), (1536, 256), (1920, 256), (512, 256)])
def test_network_of_complex_spectra_gives_back_what_it_is_given(tmp_path: Path, n_fft: int, hop: int) -> None:
    bins = n_fft // 2 + 1
    gains(tmp_path, 0.5, 0.25, shape=("B", 4, bins, "N"))
    separator = load(describe(tmp_path, WAVES | {"stft": {"n_fft": n_fft, "hop": hop}}))
    mix = sound("song", seconds=2)
    half, quarter = separated(separator, mix)
    assert level_db(half - mix / 2, mix) < -100
    assert level_db(quarter - mix / 4, mix) < -100


def test_band_that_the_network_does_not_see_is_silent_or_in_the_residual(tmp_path: Path) -> None:
    gains(tmp_path, 1.0, shape=("B", 4, 129, 40))  # up to a quarter of 44.1 kHz
    tree = WAVES | {"stems": ["low", "rest"], "residual": "rest", "stft": {"n_fft": 1024, "hop": 256, "bins": 129}}
    del tree["segment"]
    separator = load(describe(tmp_path, tree))
    assert separator.spec.segment == 39 * 256
    mix = sound("noise", seconds=2)
    low, rest = separated(separator, mix)
    assert level_db(low + rest - mix, mix) < -120
    spectrum = np.abs(np.fft.rfft(low))
    edge = int(129 / 1024 * mix.shape[1])
    assert np.square(spectrum[:, edge + 300 :]).sum() < 1e-3 * np.square(spectrum[:, : edge - 300]).sum()


def test_network_of_magnitudes_gives_masks(tmp_path: Path) -> None:
    shares(tmp_path, 0.75, 0.125, shape=("B", 2, 513, "N"))
    tree = WAVES | {"stft": {"n_fft": 1024, "hop": 256, "network": "magnitude"}}
    separator = load(describe(tmp_path, tree))
    mix = sound("song", seconds=2)
    first, second = separated(separator, mix)
    assert level_db(first - 0.75 * mix, mix) < -100
    assert level_db(second - 0.125 * mix, mix) < -100


def test_residual_makes_stems_add_up_wherever_it_stands(tmp_path: Path) -> None:
    gains(tmp_path, 0.5, 0.2, shape=("B", 2, "T"))
    separator = load(describe(tmp_path, WAVES | {"stems": ["a", "rest", "b"], "residual": "rest"}))
    mix = sound("song", seconds=1)
    a, rest, b = separated(separator, mix)
    assert level_db(a + rest + b - mix, mix) < -120
    assert level_db(rest - 0.3 * mix, mix) < -120
    assert level_db(b - 0.2 * mix, mix) < -120


def test_model_in_a_folder_is_found_by_its_name_and_by_nothing_else(tmp_path: Path) -> None:
    gains(tmp_path / "models", 0.5, 0.25, shape=("B", 2, "T"))
    describe(tmp_path / "models", WAVES)
    repo = tmp_path / "models"
    family, info = catalogue.find_model("mine", repo=repo)
    assert (family.name, info.name) == ("custom", "mine")
    assert catalogue.at_path(str(repo / "mine.yaml"), repo=None) == ("mine", repo)
    assert catalogue.at_path("htdemucs", repo=repo) == ("htdemucs", repo)
    for name in ("../models/mine", str(repo / "mine"), "mine.yaml", "", ".", "mine\0"):
        with pytest.raises(errors.UnknownModelError):
            catalogue.find_model(name, repo=repo)


def test_digest_is_of_weights_and_description(tmp_path: Path) -> None:
    gains(tmp_path, 0.5, 0.25, shape=("B", 2, "T"))
    digests = [load(describe(tmp_path, WAVES | {"overlap": overlap})).spec.weights_digest for overlap in (0.25, 0.5)]
    gains(tmp_path, 0.5, 0.26, shape=("B", 2, "T"))
    digests.append(load(describe(tmp_path, WAVES)).spec.weights_digest)
    assert len(set(digests)) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sample_rate": "fast"}, "sample_rate: .*it is 'fast'"),
        ({"sample_rate": 1}, "sample_rate"),
        ({"stems": []}, "stems"),
        ({"stems": ["a", "../b"]}, r"stems\.1: a stem's name"),
        ({"stems": ["a", "a"]}, "`stems` names one twice"),
        ({"residual": "c"}, "`residual` is 'c', which is not in `stems`"),
        ({"model": "../net.onnx"}, "model: give the name of a file beside"),
        ({"model": "none.onnx"}, "model: none.onnx cannot be read"),
        ({"model": "mine.yaml"}, "model: mine.yaml is no ONNX model"),
        ({"channels": 3}, "channels"),
        ({"channels": 1}, "`model` takes .* by `channels`"),
        ({"segment": -1}, "segment"),
        ({"segment": 1e9}, "segment"),
        ({"context": 0.3}, "`context` at both edges leaves nothing"),
        ({"stft": {"n_fft": 1000, "hop": 600}}, "`hop` at most half"),
        ({"stft": {"n_fft": 1025, "hop": 256}}, "`n_fft` must be even"),
        ({"stft": {"n_fft": 1024, "hop": 256, "bins": 600}}, "`bins` is more than the 513"),
        ({"stft": {"n_fft": 1024}}, r"stft\.hop is missing"),
        ({"stft": {"n_fft": 1024, "hop": 256}}, "`model` takes"),
        ({"colour": "red"}, "colour: there is no such field"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    gains(tmp_path, 0.5, 0.25, shape=("B", 2, "T"))
    with pytest.raises(errors.ModelFileError, match=words) as caught:
        load(describe(tmp_path, WAVES | change))
    assert "mine.yaml" in caught.value.message


def test_all_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(errors.ModelFileError) as caught:
        read_custom(describe(tmp_path, {"sample_rate": 5, "stems": "vocals"}))
    for field in ("model is missing", "sample_rate", "stems"):
        assert field in caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: [", "no YAML.*line 1"),
        ("- a", "no description"),
        ("a: &a [x]\nb: *a", "aliases"),
        ("a: " + "x" * 70_000, "too large"),
        ("!!python/object/apply:os.system ['true']", "no YAML"),
        ("\x00", "no YAML"),
        ("[" * 50_000, "too deeply"),
    ],
)
def test_what_is_no_description_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(errors.ModelFileError, match=words):
        load(path)


def test_stems_that_the_network_does_not_give_are_told(tmp_path: Path) -> None:
    gains(tmp_path, 0.5, 0.25, shape=("B", 2, "T"))
    separator = load(describe(tmp_path, WAVES | {"stems": ["a", "b", "c"]}))
    with pytest.raises(errors.ModelFailedError, match="by `stems` and `residual` it should give"):
        separated(separator, sound("song", seconds=1))


def test_devices_that_it_does_not_use_are_refused(tmp_path: Path) -> None:
    gains(tmp_path, 0.5, 0.25, shape=("B", 2, "T"))
    with pytest.raises(errors.DeviceUnavailableError):
        load(describe(tmp_path, WAVES), device="cuda")
