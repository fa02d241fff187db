"""Spleeter beside what the real `spleeter` 2.4.2 made of the same tiny checkpoint (spleeter/README.md)."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from benchmarks.spleeter_parity import FIXTURE, FIXTURE_SECONDS, FIXTURE_STEP, VARIANTS, level_db, ours, song

from stemwright import errors
from stemwright.separators import _spleeter_network, catalogue, spleeter
from stemwright.separators._onnx import GraphWriter
from stemwright.separators.protocol import LoadOptions
from stemwright.separators.spleeter import FAMILY
from stemwright.weights import config
from weights.publisher import Publisher

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_current", config.Config(cache=tmp_path / "cache", offline=True))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("extension", ["zeros", "average"])
@pytest.mark.parametrize("many", [1, 32])  # channels from which on a network is doubled in another way
def test_stems_are_those_of_spleeter(variant: str, extension: str, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spleeter_network, "_MANY", many)
    expected = np.load(FIXTURE / "expected.npz")
    stems = ours(variant, FIXTURE, song(FIXTURE_SECONDS), raw=extension == "zeros")
    for stem, samples in stems.items():
        reference = expected[f"{variant}/{extension}/{stem}"]
        assert level_db(samples[:, ::FIXTURE_STEP] - reference, reference) < -80, stem


@pytest.mark.parametrize("variant", VARIANTS)
def test_stems_add_up_to_the_mix_unless_raw(variant: str) -> None:
    mix = song(2.0)
    assert level_db(sum(ours(variant, FIXTURE, mix, raw=False).values()) - mix, mix) < -100
    left = mix - sum(ours(variant, FIXTURE, mix, raw=True).values())
    spectrum = np.abs(np.fft.rfft(left))
    edge = int(11_025 * 2.0)  # Hz to bins
    assert np.square(spectrum[:, : edge - 200]).sum() < 1e-3 * np.square(spectrum[:, edge + 200 :]).sum()


def test_wide_variant_hears_up_to_16_khz() -> None:
    mix = song(2.0)
    separator = FAMILY.load("spleeter:2stems-16kHz", LoadOptions(repo=FIXTURE, raw=True))
    context = separator.spec.context
    stems = separator.separate(np.pad(mix, ((0, 0), (context, context)))[None])[0][..., context:-context]
    spectrum = np.abs(np.fft.rfft(mix - stems.sum(axis=0)))
    edge = int(16_537 * 2.0)
    assert np.square(spectrum[:, : edge - 200]).sum() < 1e-3 * np.square(spectrum[:, edge + 200 :]).sum()


def test_silence_stays_silent() -> None:
    for samples in ours("4stems", FIXTURE, np.zeros((2, 50_000), np.float32), raw=False).values():
        assert not samples.any()


def test_chunks_out_of_order_give_what_chunks_in_order_give() -> None:
    separator = FAMILY.load("spleeter:2stems", LoadOptions(repo=FIXTURE))
    mix = song(30.0)
    context, length = separator.spec.context, separator.spec.segment
    padded = np.pad(mix, ((0, 0), (context, context)))
    chunks = [padded[:, start : start + length] for start in (0, context)]
    first = [separator.separate(chunk[None]) for chunk in chunks]
    again = [separator.separate(chunk[None]) for chunk in chunks[::-1]][::-1]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_catalogue_knows_it_by_the_names_that_its_users_write() -> None:
    family, info = catalogue.find_model("spleeter:4stems")
    assert (family.name, info.stems) == ("spleeter", ("vocals", "drums", "bass", "other"))
    assert catalogue.find_model("spleeter:2stems")[1].stems == ("vocals", "accompaniment")
    assert "piano" in catalogue.find_model("spleeter:5stems-16kHz")[1].stems


def test_weights_in_the_layout_of_spleeter_are_found(tmp_path: Path) -> None:
    assert FAMILY.availability("spleeter:2stems", repo=tmp_path) == "missing"
    shutil.copytree(FIXTURE, tmp_path / "2stems")
    assert FAMILY.availability("spleeter:2stems", repo=tmp_path) == "ready"
    digests = {
        FAMILY.load("spleeter:2stems", LoadOptions(repo=repo)).spec.weights_digest for repo in (tmp_path, FIXTURE)
    }
    assert len(digests) == 1


def test_what_cannot_be_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(errors.DeviceUnavailableError):
        FAMILY.load("spleeter:2stems", LoadOptions(repo=FIXTURE, device="cuda"))
    with pytest.raises(errors.OptionError, match="fixed segment"):
        FAMILY.load("spleeter:2stems", LoadOptions(repo=FIXTURE, segment=5))
    with pytest.raises(errors.UnknownModelError, match="spleeter:2stems"):
        FAMILY.load("spleeter:3stems", LoadOptions())
    with pytest.raises(errors.ModelUnavailableError, match="2stems is not in"):
        FAMILY.load("spleeter:2stems", LoadOptions(repo=tmp_path))


def test_offline_without_weights_names_the_command_to_get_them() -> None:
    assert FAMILY.availability("spleeter:2stems") == "missing"
    with pytest.raises(errors.ModelUnavailableError, match=r"offline.*stemwright models pull spleeter:2stems"):
        FAMILY.load("spleeter:2stems", LoadOptions())


def test_checkpoint_of_fewer_networks_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FIXTURE, tmp_path, dirs_exist_ok=True)
    data = tmp_path / "model.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-60])
    with pytest.raises(errors.WeightsError):
        FAMILY.load("spleeter:5stems", LoadOptions(repo=tmp_path))


def test_neither_tensorflow_nor_onnx_nor_torch_is_needed() -> None:
    code = (
        "import sys, pathlib; from stemwright.separators.spleeter import FAMILY;"
        "from stemwright.separators.protocol import LoadOptions;"
        f"FAMILY.load('spleeter:2stems', LoadOptions(repo=pathlib.Path({str(FIXTURE)!r})));"
        "assert not {'torch', 'onnx', 'tensorflow', 'google.protobuf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=60)


def test_models_that_we_write_are_valid_by_onnxs_own_checker() -> None:
    onnx = pytest.importorskip("onnx")
    graph = GraphWriter()
    kernel, bias = np.ones((3, 2, 5, 5), np.float32), np.zeros(3, np.float32)
    signal = graph.node("Conv", ["x", graph.constant(kernel), graph.constant(bias)], strides=(2, 2), pads=(1, 1, 2, 2))
    signal = graph.node("LeakyRelu", [signal], alpha=0.2)
    signal = graph.node("DepthToSpace", [graph.node("Concat", [signal] * 4, axis=1)], blocksize=2, mode="DCR")
    shape = graph.constant(np.array([1, -1], np.int64))
    signal = graph.node("Reshape", [signal, shape])
    model = onnx.load_model_from_string(graph.model(inputs={"x": ("B", 2, 16, 200)}, outputs={signal: (1, "N")}))
    onnx.checker.check_model(model, full_check=True)
    assert [size.dim_value or size.dim_param for size in model.graph.input[0].type.tensor_type.shape.dim] == [
        "B", 2, 16, 200,
    ]  # fmt: skip


def test_published_archive_is_pulled_once_and_separates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("checkpoint", "model.index", "model.data-00000-of-00001"):
            tar.add(FIXTURE / name, f"./{name}")
    with Publisher() as publisher:
        monkeypatch.setattr(config, "_current", config.Config(cache=tmp_path / "cache", mirror=publisher.url))
        known = spleeter._VARIANTS["spleeter:4stems"]
        [release] = known.publishers
        part = dataclasses.replace(release.parts[0], sha256=hashlib.sha256(buffer.getvalue()).hexdigest())
        publishers = (dataclasses.replace(release, parts=(part,)),)
        monkeypatch.setitem(spleeter._VARIANTS, "spleeter:4stems", dataclasses.replace(known, publishers=publishers))
        publisher.files["/github.com/deezer/spleeter/releases/download/v1.4.0/4stems.tar.gz"] = buffer.getvalue()
        assert FAMILY.availability("spleeter:4stems") == "download"
        FAMILY.pull("spleeter:4stems")
        assert FAMILY.availability("spleeter:4stems") == "ready"
        assert FAMILY.load("spleeter:4stems", LoadOptions()).spec.stems == known.info.stems
        assert len(publisher.asked) == 2  # whether it answers, and the file
