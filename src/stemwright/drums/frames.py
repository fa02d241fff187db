"""Features to activations: the bundled network, run over a stream in pieces that join without a seam."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from stemwright.drums.features import BANDS, HOP, LAYERS, RATE, SUBFRAMES, FrameFeatures
from stemwright.errors import WeightsError
from stemwright.weights.onnx import open_ours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.types import Seconds

BUNDLED: Final = Path(__file__).with_name("drums.onnx")
SUBFRAME: Final[Seconds] = HOP / SUBFRAMES / RATE  # from one row of activations to the next
_PIECE: Final = 1024  # frames that are kept of each run
_SILENCE: Final = np.float32(np.log10(1e-5) / 2 + 1.5)  # the feature of nothing


@dataclass(frozen=True, slots=True)
class Activations:
    """What the network hears in each half frame; row n lies at n * `SUBFRAME` seconds. All float32.

    `onsets` and `velocities` are `[N, 8]`, 0–1, one column a lane; `kinds` is `[N, 2]`, 0–1: open hi-hat, bell of the
    ride; `heights` is `[N, 1]`: octaves over 128 Hz of a tom, if one is struck.
    """

    onsets: npt.NDArray[np.float32]
    velocities: npt.NDArray[np.float32]
    kinds: npt.NDArray[np.float32]
    heights: npt.NDArray[np.float32]

    def rows(self, cut: slice) -> Activations:
        """Some of the half frames."""
        return Activations(self.onsets[cut], self.velocities[cut], self.kinds[cut], self.heights[cut])

    def __len__(self) -> int:
        """How many half frames."""
        return len(self.onsets)


class DrumNetwork:
    """The network, loaded; made by `training/drums`. It runs on one thread."""

    def __init__(self, weights: Path = BUNDLED) -> None:
        """Load it. Raises `WeightsError` when the file is damaged or of another kind."""
        self._network, about, self.digest = open_ours(weights, threads=1)
        if (about["sample_rate"], about["hop"], about["subframes"]) != (RATE, HOP, SUBFRAMES):
            raise WeightsError(f"the weights of the drum network ({weights}) are of another version")
        self.context: int = about["context_frames"]
        self.thresholds: tuple[float, ...] = tuple(about["thresholds"])

    def run(self, features: FrameFeatures) -> Activations:
        """Activations of features in one piece, `[N, 3 or more, 72]`; what lies before and after counts as silence."""
        around = np.full((self.context, LAYERS, BANDS), _SILENCE, np.float32)
        return self.inside(np.concatenate([around, features[:, :LAYERS], around]))

    def inside(self, features: FrameFeatures) -> Activations:
        """Activations of all frames but `context` at each end."""
        found = self._network.run({"features": features[None, :, :LAYERS]})
        cut = slice(SUBFRAMES * self.context, SUBFRAMES * (len(features) - self.context))
        return Activations(*(part[0, cut] for part in found))


class Frames:
    """Runs a network over a stream of features, the same however it was cut. Memory holds one piece of 12 s."""

    def __init__(self, network: DrumNetwork) -> None:
        self._network = network
        self._waiting = np.full((network.context, LAYERS, BANDS), _SILENCE, np.float32)

    def add(self, features: FrameFeatures) -> Activations:
        """Take the next features `[N, 3 or more, 72]`, any N; give the activations that are ready."""
        return self._run(np.concatenate([self._waiting, features[:, :LAYERS]]))

    def finish(self) -> Activations:
        """The last activations; in all there are two for each frame."""
        context = self._network.context
        after = np.full((_PIECE + context, LAYERS, BANDS), _SILENCE, np.float32)
        ready = [self._run(np.concatenate([self._waiting, after[:context]]))]
        left = len(self._waiting) - 2 * context
        if left > 0:
            piece = np.concatenate([self._waiting, after])[: _PIECE + 2 * context]
            ready.append(self._network.inside(piece).rows(slice(SUBFRAMES * left)))
        return joined(ready)

    def _run(self, features: FrameFeatures) -> Activations:
        context = self._network.context
        ready = []
        while len(features) >= _PIECE + 2 * context:
            ready.append(self._network.inside(features[: _PIECE + 2 * context]))
            features = features[_PIECE:]
        self._waiting = features
        return joined(ready)


def joined(parts: Sequence[Activations]) -> Activations:
    """Activations one after the other."""
    parts = [silence(0), *parts]
    return Activations(
        np.concatenate([part.onsets for part in parts]),
        np.concatenate([part.velocities for part in parts]),
        np.concatenate([part.kinds for part in parts]),
        np.concatenate([part.heights for part in parts]),
    )


def silence(rows: int) -> Activations:
    """So many half frames in which nothing is struck."""
    lanes, kinds, heights = (np.zeros((rows, columns), np.float32) for columns in (8, 2, 1))
    return Activations(lanes, lanes, kinds, heights)
