"""The models of `audio-separator` beside its own separation, in a tree, and with all that can be wrong about them."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sounds import level_db, read, sound, write_wav
from stemwright import errors
from stemwright.audio.formats import parse_format
from stemwright.engine.options import SeparateOptions
from stemwright.engine.overlap_add import OverlapAdd
from stemwright.engine.separate import Engine
from stemwright.separators import _audio_separator_models as models
from stemwright.separators import catalogue
from stemwright.separators._onnx import GraphWriter
from stemwright.separators.protocol import LoadOptions
from stemwright.strategies.find import find_strategy

if TYPE_CHECKING:
    from stemwright.separators.audio_separator import AudioSeparator
    from stemwright.types import Samples

PACKAGE = models.find_package()
ITSELF = Path(__file__).parents[1] / "audio_separator_itself.py"
RATE = 44_100
SUCCESSIVE = """\
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

pytestmark = pytest.mark.skipif(PACKAGE is None, reason="audio-separator is not here: make .venv/audio-separator")


def mdx(path: Path, *, seed: int, mixes: bool) -> None:
    """A network of MDX-Net's shape: shares of the bins, and where it `mixes`, of what is beside them too."""
    rng = np.random.default_rng(seed)
    graph = GraphWriter()
    shares = np.convolve(rng.uniform(0, 1, 512 + 62), np.hanning(65)[1:-1] / 32, mode="valid").astype(np.float32)
    made = graph.node("Mul", ["input", graph.constant(shares[None, None, :, None])])
    if mixes:
        kernel = graph.constant((0.1 * rng.standard_normal((4, 4, 3, 3))).astype(np.float32))
        made = graph.node("Add", [made, graph.node("Tanh", [graph.node("Conv", [made, kernel], pads=(1, 1, 1, 1))])])
    shape = ("batch", 4, 512, 256)
    path.write_bytes(graph.model(inputs={"input": shape}, outputs={made: shape}))


@pytest.fixture(scope="session")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models in audio-separator's formats, and beside each what it makes of a song itself."""
    assert PACKAGE is not None
    folder = tmp_path_factory.mktemp("audio-separator")
    mdx(folder / "kuielab_b_drums.onnx", seed=1, mixes=True)
    mdx(folder / "kuielab_a_bass.onnx", seed=2, mixes=False)
    np.save(folder / "song.npy", sound("song", seconds=7.0, rate=RATE))
    done = subprocess.run(
        [PACKAGE.python, "-P", ITSELF, folder],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(autouse=True)
def one_thread_in_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def load(name: str, repo: Path, **options: object) -> AudioSeparator:
    found = catalogue.load(name, options=LoadOptions(repo=repo, device="cpu", **options))  # type: ignore[arg-type]
    assert found.spec.info.family == "audio-separator"
    return found  # type: ignore[return-value]


def separate(separator: AudioSeparator, mix: Samples, overlap: float | None = None) -> Samples:
    loop = OverlapAdd(separator, overlap=overlap)
    return np.concatenate([*loop.push(mix), *loop.finish()], axis=-1)


@pytest.mark.parametrize(
    ("name", "stems", "overlap", "part"),
    [
        ("vocals_mel_band_roformer.ckpt", ("vocals", "other"), 0.0, slice(None)),
        ("tiny_bs.ckpt", ("speech", "not_speech"), 0.0, slice(None)),
        ("tiny_mdx23c.ckpt", ("kick", "snare", "toms"), 0.0, slice(None)),
        ("kuielab_b_drums.onnx", ("drums", "not_drums"), None, slice(170_000)),  # its second chunk has other frames
        ("kuielab_a_bass.onnx", ("bass", "not_bass"), None, slice(None)),
        ("tiny_vr.pth", ("not_echo", "echo"), None, slice(5_000, -9_000)),  # at the edges it loses sound
    ],
)
def test_stems_are_those_of_audio_separator(
    repo: Path, name: str, stems: tuple[str, ...], overlap: float | None, part: slice
) -> None:
    with np.load(repo / f"{name}.npz") as known:
        mix, *expected = (known[key] for key in known)
    separator = load(name, repo, raw=True)
    assert (separator.spec.stems, separator.spec.sample_rate, separator.spec.channels) == (stems, RATE, 2)
    assert separator.device == "cpu"
    made = separate(separator, mix, overlap)
    assert made.shape == (len(stems), *mix.shape)
    for stem, own in zip(made, expected, strict=True):
        inner = own[:, part]
        assert level_db(inner, mix) > -40
        assert level_db(stem[:, part][:, : inner.shape[1]] - inner, inner) < -60


def test_gain_of_an_mdx_network_is_in_the_stem_so_that_stems_add_up(repo: Path) -> None:
    mix = sound("song", seconds=6.0, rate=RATE)
    raw = separate(load("kuielab_b_drums.onnx", repo, raw=True), mix)
    made = separate(load("kuielab_b_drums.onnx", repo), mix)
    np.testing.assert_allclose(made[0], 1.25 * raw[0], atol=1e-6)
    assert level_db(made.sum(axis=0) - mix, mix) < -100
    np.testing.assert_array_equal(made[1], raw[1])


def test_tree_of_source_003_takes_a_song_apart_and_adds_up(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "tree.yaml").write_text(SUCCESSIVE)
    mix = sound("song", seconds=2.0, rate=48_000)
    song = write_wav(tmp_path / "song.wav", mix, 48_000)
    strategy = find_strategy(str(tmp_path / "tree.yaml"), repo=repo)
    options = SeparateOptions(strategy=strategy, repo=repo, device="cpu", format=parse_format("wav32f"))
    result = Engine(options).separate(song, tmp_path / "out")
    stems = {name: read(path, channels=2).astype(np.float64) for name, path in result.files().items()}
    assert [*stems] == ["vocals", "drums", "bass", "other"]
    assert level_db(sum(stems.values()) - mix, mix) < -100
    assert all(level_db(stem, mix) > -60 for stem in stems.values())
    assert [(node.model, node.device, node.stems) for node in result.receipt.nodes or ()] == [
        ("vocals_mel_band_roformer.ckpt", "cpu", ("vocals",)),
        ("kuielab_b_drums.onnx", "cpu", ("drums",)),
        ("kuielab_a_bass.onnx", "cpu", ("bass",)),
    ]


def test_process_is_kept_for_the_next_model_and_a_second_one_is_not(repo: Path) -> None:
    first, second = load("kuielab_a_bass.onnx", repo), load("kuielab_b_drums.onnx", repo)
    pids = {first._process.pid, second._process.pid}
    assert len(pids) == 2
    kept, ended = first._process.pid, second._process.pid
    del first
    gc.collect()
    del second
    gc.collect()
    assert Path(f"/proc/{kept}").exists()
    assert not Path(f"/proc/{ended}").exists()
    assert load("kuielab_b_drums.onnx", repo)._process.pid == kept


def test_process_that_is_killed_is_told_of_and_replaced(repo: Path) -> None:
    separator = load("kuielab_a_bass.onnx", repo)
    killed = separator._process.pid
    os.kill(killed, signal.SIGKILL)
    silence = np.zeros((1, 2, separator.spec.segment), np.float32)
    with pytest.raises(errors.OutOfMemoryError, match=r"kuielab_a_bass\.onnx was killed"):
        separator.separate(silence)
    del separator
    gc.collect()
    again = load("kuielab_a_bass.onnx", repo)
    assert again._process.pid != killed
    assert not again.separate(silence).any()


def test_chunk_that_the_network_cannot_take_is_an_error_and_the_next_is_answered(repo: Path) -> None:
    separator = load("kuielab_a_bass.onnx", repo)
    with pytest.raises(errors.ModelFailedError, match=r"^kuielab_a_bass\.onnx: "):
        separator.separate(np.zeros((1, 2, 10_000), np.float32))
    tone = sound("sine", seconds=separator.spec.segment / RATE, rate=RATE)
    assert np.isfinite(separator.separate(tone[None])).all()


def test_segment_is_for_roformers_only(repo: Path) -> None:
    shorter = load("vocals_mel_band_roformer.ckpt", repo, segment=0.1)
    assert shorter.spec.segment == 34 * 128
    with pytest.raises(errors.OptionError, match="fixed segment"):
        load("kuielab_a_bass.onnx", repo, segment=0.1)


@pytest.mark.parametrize("name", ["tiny_bs.ckpt", "kuielab_b_drums.onnx"])
@pytest.mark.parametrize("device", ["cuda:7", "cuda:0/half"])
def test_device_that_is_not_there_is_an_error(name: str, device: str, repo: Path) -> None:
    with pytest.raises(errors.DeviceUnavailableError, match=device):
        catalogue.load(name, options=LoadOptions(repo=repo, device=device))


def test_pickle_that_runs_code_is_refused(repo: Path, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'owned'}",)

    for name in ("tiny_bs", "tiny_mdx23c"):
        shutil.copy(repo / f"{name}.yaml", tmp_path)
        (tmp_path / f"{name}.ckpt").write_bytes(pickle.dumps(Attack()))
        with pytest.raises(errors.WeightsError):
            load(f"{name}.ckpt", tmp_path)
    assert not (tmp_path / "owned").exists()


def test_yaml_with_objects_of_python_is_refused(repo: Path, tmp_path: Path) -> None:
    shutil.copy(repo / "tiny_bs.ckpt", tmp_path)
    text = (repo / "tiny_bs.yaml").read_text()
    (tmp_path / "tiny_bs.yaml").write_text(
        f"{text}\nevil: !!python/object/apply:os.system ['touch {tmp_path}/owned']\n"
    )
    with pytest.raises(errors.WeightsError, match=r"tiny_bs\.yaml cannot be used: not YAML"):
        load("tiny_bs.ckpt", tmp_path)
    assert not (tmp_path / "owned").exists()


def test_file_that_no_table_knows_is_an_error(repo: Path, tmp_path: Path) -> None:
    data = (repo / "kuielab_a_bass.onnx").read_bytes()
    (tmp_path / "other.onnx").write_bytes(data + b"\0")
    shutil.copy(repo / "mdx_model_data.json", tmp_path)
    with pytest.raises(errors.WeightsError, match=r"MD5 .* of which mdx_model_data\.json and model-data\.json says"):
        load("other.onnx", tmp_path)


def test_network_of_another_shape_than_its_data_say_is_an_error(repo: Path, tmp_path: Path) -> None:
    shutil.copy(repo / "kuielab_a_bass.onnx", tmp_path)
    table = json.loads((repo / "mdx_model_data.json").read_text())
    (tmp_path / "mdx_model_data.json").write_text(
        json.dumps({digest: data | {"mdx_dim_f_set": 256} for digest, data in table.items()})
    )
    with pytest.raises(errors.WeightsError, match=r"takes \['batch', 4, 512, 256\]"):
        load("kuielab_a_bass.onnx", tmp_path)


def test_digest_changes_with_what_the_data_say_and_not_with_the_place(repo: Path, tmp_path: Path) -> None:
    for name in ("kuielab_a_bass.onnx", "mdx_model_data.json"):
        shutil.copy(repo / name, tmp_path)
    first = load("kuielab_a_bass.onnx", repo).spec.weights_digest
    assert load("kuielab_a_bass.onnx", tmp_path).spec.weights_digest == first
    table = json.loads((tmp_path / "mdx_model_data.json").read_text())
    (tmp_path / "mdx_model_data.json").write_text(
        json.dumps({digest: data | {"compensate": 1.0} for digest, data in table.items()})
    )
    assert load("kuielab_a_bass.onnx", tmp_path).spec.weights_digest != first


def test_names_of_source_003_are_in_the_list_with_their_slots() -> None:
    listed = {info.name: info for family, info in catalogue.list_models() if family.name == "audio-separator"}
    assert listed["vocals_mel_band_roformer.ckpt"].stems[0] == "vocals"
    assert listed["kuielab_b_drums.onnx"].stems == ("drums", "not_drums")
    assert listed["kuielab_a_bass.onnx"].stems == ("bass", "not_bass")
    assert listed["UVR-MDX-NET-Inst_HQ_3.onnx"].stems == ("instrumental", "vocals")
    assert "model_bs_roformer_ep_317_sdr_12.9755.ckpt" in listed
    assert not any("VIP" in info.summary or info.name.endswith(".yaml") for info in listed.values())
