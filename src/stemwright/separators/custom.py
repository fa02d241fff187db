"""Models of one's own: an ONNX file and a small YAML beside it (docs/models.md), in onnxruntime on the CPU."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stemwright.errors import (
    DeviceUnavailableError,
    ModelFailedError,
    ModelFileError,
    OptionError,
    StemwrightError,
    UnknownModelError,
    WeightsError,
)
from stemwright.separators.protocol import Availability, LoadOptions, ModelInfo, ModelSpec
from stemwright.weights.onnx import Network, open_network

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from stemwright.separators._custom_file import CustomFile, Transform
    from stemwright.types import Samples

_SUFFIXES: Final = (".yaml", ".yml")


class CustomFamily:
    """The models in a local folder (`repo`), each called as its YAML is."""

    name = "custom"

    def models(self) -> tuple[ModelInfo, ...]:
        """None: only a folder has some."""
        return ()

    def availability(self, name: str, /, *, repo: Path | None = None) -> Availability:
        """`ready` where the folder has a YAML of that name that is none of Demucs'; raises nothing."""
        return "ready" if repo is not None and _find(name, repo) is not None else "missing"

    def load(self, name: str, /, options: LoadOptions) -> CustomSeparator:
        """Load a model. Raises `UnknownModelError`, `ModelFileError`, `DeviceUnavailableError`, `OptionError`."""
        from stemwright.separators._custom_file import read_custom

        path = None if options.repo is None else _find(name, options.repo)
        if path is None:
            raise UnknownModelError(f"there is no model {name!r} in {options.repo}")
        if options.device not in {"auto", "cpu"}:
            raise DeviceUnavailableError(f"{name} runs on the CPU, not on {options.device!r}")
        return CustomSeparator(path, read_custom(path), segment=options.segment)


FAMILY: Final = CustomFamily()


class CustomSeparator:
    """An ONNX network between our chunk loop and, where it wants them, spectra."""

    device = "cpu"
    batch_size = 1

    def __init__(self, path: Path, file: CustomFile, *, segment: float | None = None) -> None:
        """Load the network. Raises `ModelFileError` naming the field that does not fit, `OptionError`."""
        self._path, self._file = path, file
        self._network, digest = _open(path, path.parent / file.model)
        length, fixed = self._length(segment)
        context = round(file.context * file.sample_rate)
        self._spectra = None if file.stft is None else Spectra(file.stft)
        if self._spectra is not None:
            context = max(context, self._spectra.n_fft // 2)
            context += -context % self._spectra.hop
        if 2 * context >= length:
            raise ModelFileError(f"{path.name}: `segment` is too short: all {length} samples of it are `context`")
        stems = tuple(file.stems)
        self.spec = ModelSpec(
            info=ModelInfo(
                name=path.stem,
                family="custom",
                summary=file.summary,
                stems=stems,
                licence=file.licence,
                source=str(path),
            ),
            stems=stems,
            sample_rate=file.sample_rate,
            channels=file.channels,
            segment=length,
            shorter=not fixed and file.stft is None,
            context=context,
            overlap=file.overlap,
            standardise=file.standardise,
            weights_digest=digest,
        )

    def separate(self, chunks: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """Split chunks. Input: `[B, C, T]` float32. Output: `[B, S, C, T]` float32.

        Raises `ModelFailedError` where the network cannot take them, or gives something of another shape.
        """
        return np.stack([self._separate(chunk) for chunk in chunks])

    def with_less_memory(self) -> None:
        """It has no larger setting to come down from."""

    def _separate(self, chunk: Samples) -> Samples:
        given = len(self._file.given)
        if self._spectra is None:
            estimates = self._run(chunk, (given, *chunk.shape))
        else:
            estimates = self._spectra.through(chunk, given, self._run)
        if self._file.residual is None:
            return estimates
        parts = dict(zip(self._file.given, estimates, strict=True))
        parts[self._file.residual] = chunk - estimates.sum(axis=0)
        return np.stack([parts[stem] for stem in self._file.stems])

    def _run(self, values: Samples, shape: tuple[int, ...]) -> Samples:
        """The network's answer to one item, as `shape`; it may have split or joined the axes of stem and channel."""
        (name,) = (one.name for one in self._network.inputs)
        try:
            answer = self._network.run({name: values[None]})[0]
        except Exception as error:  # onnxruntime has many kinds and no common one
            raise ModelFailedError(f"{self._path.stem} cannot take {list(values.shape)}: {error}") from error
        fits = answer.dtype == np.float32 and answer.shape[-1:] == shape[-1:] and answer.size == np.prod(shape)
        if not fits or answer.shape[0] != 1:
            raise ModelFailedError(
                f"{self._path.name}: the network gives {answer.dtype} {list(answer.shape)}, but by `stems` and"
                f" `residual` it should give float32 {[1, *shape]}"
            )
        result: Samples = answer.reshape(shape)
        return result

    def _length(self, asked: float | None) -> tuple[int, bool]:
        """Samples of a segment, and whether the network takes no others."""
        file = self._file
        inputs, outputs = self._network.inputs, self._network.outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelFileError(f"{self._path.name}: `model` must have one input and one output, not {len(inputs)}"
                                 f" and {len(outputs)}")  # fmt: skip
        shape = inputs[0].shape
        wanted = self._wanted_shape()
        if len(shape) != len(wanted) or any(
            isinstance(has, int) and isinstance(wants, int) and has != wants
            for has, wants in zip(shape, wanted, strict=True)
        ):
            raise ModelFileError(
                f"{self._path.name}: `model` takes {shape}, but by `channels` and `stft` it should take {list(wanted)}"
            )
        hop = file.stft.hop if file.stft else 1
        offset = 1 if file.stft else 0  # a frame more than hops
        if isinstance(shape[-1], int):
            length = (shape[-1] - offset) * hop
            if file.segment is not None and abs(file.segment * file.sample_rate - length) >= hop:
                raise ModelFileError(
                    f"{self._path.name}: `segment` is {file.segment:g} s, but the network takes"
                    f" {length / file.sample_rate:.4g} s and nothing else; leave it out"
                )
            if asked is not None:
                raise OptionError(f"{self._path.stem} has a fixed segment; leave --segment out")
            return length, True
        seconds = asked if asked is not None else file.segment
        if seconds is None:
            raise ModelFileError(f"{self._path.name}: segment is missing, and the network takes any")
        return max(1, round(seconds * file.sample_rate / hop)) * hop, False

    def _wanted_shape(self) -> tuple[int | str, ...]:
        file = self._file
        if file.stft is None:
            return 1, file.channels, "samples"
        rows = file.channels * (2 if file.stft.network == "complex" else 1)
        return 1, rows, file.stft.bins or file.stft.n_fft // 2 + 1, "frames"


class Spectra:
    """Between samples and what a network of spectra takes and gives."""

    def __init__(self, transform: Transform) -> None:
        self.n_fft, self.hop = transform.n_fft, transform.hop
        self._bins = transform.bins or self.n_fft // 2 + 1
        self._complex = transform.network == "complex"
        self._window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.n_fft) / self.n_fft)).astype(np.float32)
        squares = np.pad(np.square(self._window), (0, -self.n_fft % self.hop))
        self._gain = squares.reshape(-1, self.hop).sum(axis=0)  # of all windows that are over a sample

    def through(self, chunk: Samples, stems: int, run: Any) -> Samples:
        """`[C, T]` float32, T a multiple of the hop, to `[S, C, T]`; frame k is centred at k hops, silence around."""
        spectrum = self._forward(chunk)  # [C, F, N]
        seen = spectrum[:, : self._bins]
        whole = np.zeros((stems, *spectrum.shape), np.complex64)
        if self._complex:
            rows = np.stack([seen.real, seen.imag], axis=1).reshape(-1, *seen.shape[1:])
            parts = run(rows, (stems, len(chunk), 2, *seen.shape[1:]))
            whole[:, :, : self._bins] = parts[:, :, 0] + 1j * parts[:, :, 1]
        else:
            whole[:, :, : self._bins] = run(np.abs(seen), (stems, *seen.shape)) * seen
        return self._inverse(whole, chunk.shape[-1])

    def _forward(self, samples: Samples) -> npt.NDArray[np.complex64]:
        from scipy.fft import rfft

        padded = np.pad(samples, ((0, 0), (self.n_fft // 2,) * 2))
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft, axis=-1)[:, :: self.hop]
        spectrum: npt.NDArray[np.complex64] = rfft(frames * self._window).swapaxes(-1, -2)
        return np.ascontiguousarray(spectrum)

    def _inverse(self, spectrum: npt.NDArray[np.complex64], length: int) -> Samples:
        from scipy.fft import irfft

        frames = irfft(spectrum.swapaxes(-1, -2), n=self.n_fft) * self._window
        out = np.zeros((*frames.shape[:-2], length + self.n_fft), np.float32)
        for number in range(frames.shape[-2]):
            out[..., number * self.hop : number * self.hop + self.n_fft] += frames[..., number, :]
        begin = self.n_fft // 2
        out[..., begin : begin + length] /= np.resize(np.roll(self._gain, -begin), length)
        return out[..., begin : begin + length]


def _find(name: str, folder: Path) -> Path | None:
    """The YAML of a model by its bare name; a bag of Demucs' is not ours."""
    from stemwright.separators._custom_file import mapping

    if not name or name.startswith(".") or "/" in name or "\\" in name or "\0" in name:
        return None
    for suffix in _SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            try:
                return None if "models" in mapping(path) else path
            except StemwrightError:  # loading it tells the user
                return path
    return None


def _open(path: Path, weights: Path) -> tuple[Network, str]:
    """The network, and the SHA-256 over description and weights. Raises `ModelFileError`."""
    try:
        data = weights.read_bytes()
        digest = hashlib.sha256(path.read_bytes() + hashlib.sha256(data).digest()).hexdigest()
    except OSError as error:
        raise ModelFileError(f"{path.name}: model: {weights.name} cannot be read: {error.strerror}") from error
    try:
        return open_network(data, threads=os.cpu_count() or 1), digest
    except WeightsError as error:
        raise ModelFileError(f"{path.name}: model: {weights.name} is no ONNX model that runs here: {error}") from error
