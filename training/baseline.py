"""What signal processing alone can do: the baseline that the network must beat.

The four soft masks of `stemwright.separators._cues`, bin by bin; they add up to one, so the stems add up to the mix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stemwright.separators._cues import Cues
from stemwright.separators.protocol import ModelInfo, ModelSpec
from stemwright.separators.stft import Spectrum, Stft

if TYPE_CHECKING:
    from stemwright.types import Samples

_RATE = 44_100
_HOP = 1024
_FRAMES = 432  # of a segment: 10 s
_CONTEXT = 24 * _HOP  # 0.56 s: more than the filters reach

INFO = ModelInfo(
    name="baseline",
    family="training",
    summary="signal processing alone",
    stems=("vocals", "drums", "bass", "other"),
    licence="MIT",
    source="built in",
    draft=True,
)


class Baseline:
    """Soft masks from medians of the spectrogram and from the stereo image."""

    spec = ModelSpec(
        info=INFO,
        stems=INFO.stems,
        sample_rate=_RATE,
        channels=2,
        segment=_FRAMES * _HOP,
        shorter=True,
        context=_CONTEXT,
        overlap=0.02,
    )
    device = "cpu"
    batch_size = 1

    def __init__(self) -> None:
        self._stft = Stft(4 * _HOP)
        self._cues = Cues(np.fft.rfftfreq(self._stft.n_fft, 1 / _RATE))

    def separate(self, chunks: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """Split chunks. Input: `[B, 2, T]` float32. Output: `[B, 4, 2, T]` float32, zeros in the context."""
        length = chunks.shape[-1]
        whole = np.pad(chunks, ((0, 0), (0, 0), (0, -length % _HOP)))  # the transform takes whole hops
        return np.stack([self._separate(chunk) for chunk in whole])[..., :length]

    def with_less_memory(self) -> None:
        """It has no larger setting to come down from."""

    def _separate(self, chunk: Samples) -> Samples:
        spectrum = self._stft.forward(chunk)
        masks = self._masks(spectrum)[:, None]
        edge = _CONTEXT // _HOP
        kept = range(edge, spectrum.shape[1] - edge)
        stems = np.zeros((4, *chunk.shape), np.float32)
        self._stft.inverse(lambda frames: spectrum[:, frames] * masks[:3, :, frames], out=stems[:3], frames=kept)
        inside = slice(kept.start * _HOP, (kept.stop - 1) * _HOP)
        stems[3, :, inside] = chunk[:, inside] - stems[:3, :, inside].sum(axis=0)
        return stems

    def _masks(self, spectrum: Spectrum) -> Samples:
        """Vocals, drums, bass and other, `[4, N, F]` float32, 0–1, from `[2, N, F]`."""
        left, right = np.abs(spectrum)
        loudness = left + right
        side = np.abs(spectrum[0] - spectrum[1])
        return self._cues.shares(loudness, np.clip(1 - 2 * side / (loudness + np.float32(1e-10)), 0, 1))
