"""`sketch`: our own small network, in the package: a draft in seconds on any machine, with nothing to download.

The network (made by `training/`, run by onnxruntime) sees the power of mid and side in bands and where the sound lies
between left and right; for each band and frame it gives the share of each stem in mid and in side. The shares add up to
one, so the stems add up to the mix.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stemwright.errors import DeviceUnavailableError, OptionError, UnknownModelError, WeightsError
from stemwright.separators._stft import Spectrum, Stft
from stemwright.separators.protocol import Availability, LoadOptions, ModelInfo, ModelSpec

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from stemwright.types import Digest, Samples, StemName

_BUNDLED = Path(__file__).with_name("sketch.onnx")
_USABLE = 17.6  # s of a chunk that are kept, about
_CONTEXT = 128  # frames on each side that are not; all that is further away changes the stems by -85 dB of the mix
_GATE_REACH = 64  # frames each way over which it is heard whether a stem sounds
_GATE_SHARE = 10**-1.2  # of the mix's energy, below which a stem is more likely not there than so quiet
_GATE_SLOPE = 3.0  # dB that it is turned down for each dB below

INFO = ModelInfo(
    name="sketch",
    family="sketch",
    summary="a draft in seconds by our own small network; needs nothing else",
    stems=("vocals", "drums", "bass", "other"),
    licence="MIT",
    source="built in",
    draft=True,
    cost=0.03,
)


class SketchFamily:
    """The family of the bundled separator."""

    name = "sketch"

    def models(self) -> tuple[ModelInfo, ...]:
        """The one model."""
        return (INFO,)

    def availability(self, name: str, /, *, repo: Path | None = None) -> Availability:  # noqa: ARG002
        """Always `ready`."""
        return "ready"

    def load(self, name: str, /, options: LoadOptions) -> Sketch:
        """Load it. Raises `UnknownModelError`, `DeviceUnavailableError`, `OptionError`, `WeightsError`."""
        if name != INFO.name:
            raise UnknownModelError(f"sketch has no model {name!r}")
        if options.device not in {"auto", "cpu"}:
            raise DeviceUnavailableError(f"sketch runs on the CPU, not on {options.device!r}")
        if options.segment is not None:
            raise OptionError("sketch has a fixed segment; leave --segment out")
        return Sketch()


FAMILY = SketchFamily()


class Sketch:
    """Masks from the network, applied to the spectrum of mid and side.

    A chunk starts at a multiple of the network's stride and the context is nearly all that the network and the gate
    see, so that a song in chunks comes out as the song in one piece would.
    """

    device = "cpu"
    batch_size = 1

    def __init__(self, weights: Path = _BUNDLED) -> None:
        """Load the network. Raises `WeightsError` when the file is damaged or of another kind."""
        self._session, about, digest = _open(weights)
        self._stft = Stft(about["n_fft"])
        self._edges = np.asarray(about["edges"])
        self._multiple: int = about["frames_multiple"]
        stems: tuple[StemName, ...] = tuple(about["stems"])
        step = self._multiple * self._stft.hop
        context = -(-_CONTEXT // self._multiple) * step
        usable = round(_USABLE * about["sample_rate"] / step) * step
        self.spec = ModelSpec(
            info=INFO,
            stems=stems,
            sample_rate=about["sample_rate"],
            channels=2,
            segment=usable + 2 * context,
            shorter=True,
            context=context,
            overlap=0.0,
            standardise=True,
            weights_digest=digest,
        )

    def separate(self, chunks: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """Split chunks. Input: `[B, 2, T]` float32. Output: `[B, 4, 2, T]` float32, zeros in the context."""
        length = chunks.shape[-1]
        frames = -(-length // self._stft.hop) + 1
        frames += -frames % self._multiple
        padding = (frames - 1) * self._stft.hop - length
        whole = np.pad(chunks, ((0, 0), (0, 0), (0, padding)))
        return np.stack([self._separate(chunk, length) for chunk in whole])

    def with_less_memory(self) -> None:
        """It has no larger setting to come down from."""

    def _separate(self, chunk: Samples, length: int) -> Samples:
        spectrum = self._stft.forward(np.stack([chunk[0] + chunk[1], chunk[0] - chunk[1]]))
        masks, widths = self._masks(spectrum), np.diff(self._edges)

        def masked(frames: slice) -> Spectrum:
            shares = np.repeat(masks[:-1, :, frames], widths, axis=-1)
            part: Spectrum = spectrum[:, frames] * shares
            return part

        context = self.spec.context // self._stft.hop
        kept = range(context, -(-(length - self.spec.context) // self._stft.hop) + 1)
        stems = np.zeros((len(masks), 2, chunk.shape[1]), np.float32)
        self._stft.inverse(masked, out=stems[:-1], frames=kept)
        inside = slice(kept.start * self._stft.hop, (kept.stop - 1) * self._stft.hop)
        mid, side = stems[:-1, 0, inside] / 2, stems[:-1, 1, inside] / 2
        stems[:-1, 0, inside], stems[:-1, 1, inside] = mid + side, mid - side
        stems[-1, :, inside] = chunk[:, inside] - stems[:-1, :, inside].sum(axis=0)  # as the masks add up to one
        return stems[..., :length]

    def _masks(self, spectrum: Spectrum) -> npt.NDArray[np.float32]:
        """The network's masks `[S, 2, N, K]` float32, 0–1, for the spectrum of mid and side, `[2, N, F]`."""
        first = self._edges[:-1]
        power = np.add.reduceat(np.square(spectrum.real) + np.square(spectrum.imag), first, axis=-1)
        mid, side = spectrum
        pan = np.add.reduceat(mid.real * side.real + mid.imag * side.imag, first, axis=-1)
        masks: npt.NDArray[np.float32]
        (masks,) = self._session.run(None, {"power": power, "pan": pan})
        return gated(masks, power)


def gated(masks: npt.NDArray[np.float32], power: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Masks that turn a stem down while next to nothing of it is found, so that what is not there is silent.

    Input: masks `[S, 2, N, K]` float32, 0–1, adding up to 1, which are changed, and the mix's power
    `[2, N, K]`. On held-out songs this takes 10–40 dB from stems that are not there, and 0.1 dB at most from others.
    """
    found = np.einsum("scnk,scnk,cnk->sn", masks, masks, power, optimize=False)
    share = _around(found) / (_around(power.sum(axis=(0, 2))) + 1e-9)
    gain = np.clip(share / _GATE_SHARE, 0, 1) ** (_GATE_SLOPE / 2)
    masks *= np.maximum(gain, 1e-6).astype(np.float32)[:, None, :, None]
    masks /= masks.sum(axis=0)
    return masks


def _around(energy: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Sums over the frames around each, `[..., N]` float32 to float64; before the first and after the last as there."""
    edges = [(0, 0)] * (energy.ndim - 1) + [(_GATE_REACH + 1, _GATE_REACH)]
    total = np.cumsum(np.pad(energy.astype(np.float64), edges, mode="edge"), axis=-1)
    width = 2 * _GATE_REACH + 1
    sums: npt.NDArray[np.float64] = np.maximum(total[..., width:] - total[..., :-width], 0)
    return sums


def _open(weights: Path) -> tuple[InferenceSession, dict[str, Any], Digest]:
    """The session, what the file says about itself, and the file's SHA-256."""
    import hashlib

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.use_deterministic_compute = True
    options.intra_op_num_threads = os.cpu_count() or 1  # its own default pins them to cores, busy or not
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it keeps what it ever held: 30 MB of a short song's 290
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the transforms use the same cores
    try:
        data = weights.read_bytes()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        about = json.loads(session.get_modelmeta().custom_metadata_map["stemwright"])
    except Exception as error:  # onnxruntime has many kinds and no common one
        raise WeightsError(f"the weights of sketch ({weights}) cannot be read: {error}") from error
    return session, about, hashlib.sha256(data).hexdigest()
