"""How sure the network must be: that differs from song to song, and all hits together tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.drums.onsets import Onset
    from stemwright.types import Seconds

_USUAL: Final = 0.75  # the quantile of confidences that is compared with
# of a lane's usual confidence, the part that a hit must have: a crash more, as any loud attack sounds like one
_PARTS: Final = (0.5, 0.5, 0.5, 0.6, 0.6, 0.6, 0.75, 0.5)
_ENOUGH: Final = 8  # hits of a lane, to tell what is usual
_AROUND: Final[Seconds] = 6.0  # each way
_DRUMS: Final = 0.66  # the usual confidence of what is around a hit, below which this is no drumming …
_BEYOND_DOUBT: Final = 0.8  # … and only such hits are kept


def confident(onsets: Sequence[Onset], *, lowest: Sequence[float]) -> list[Onset]:
    """The onsets but for those of which the network is less sure than it would be of a drum. In order of time.

    Where other instruments pass for drums, it is sure of none for seconds on end. And what one drum leaves on another's
    lane is heard with less confidence than that drum itself; how much less depends on the kit. `lowest` are the
    thresholds of the lanes, below which nothing is let through.
    """
    likely = [onset for onset in onsets if onset.confidence >= lowest[onset.lane]]
    likely.sort(key=lambda onset: (onset.time, onset.lane))
    drums = _usual_around(likely) >= _DRUMS
    likely = [onset for onset, sure in zip(likely, drums, strict=True) if sure or onset.confidence >= _BEYOND_DOUBT]
    least = [
        part * _usual([onset.confidence for onset in likely if onset.lane == lane]) for lane, part in enumerate(_PARTS)
    ]
    return [onset for onset in likely if onset.confidence >= least[onset.lane]]


def _usual_around(onsets: Sequence[Onset]) -> npt.NDArray[np.float64]:
    """The usual confidence of the onsets around each, those given in order of time, [N]."""
    times = np.array([onset.time for onset in onsets])
    confidences = np.array([onset.confidence for onset in onsets])
    first, last = np.searchsorted(times, times - _AROUND), np.searchsorted(times, times + _AROUND, side="right")
    return np.array([_upper(confidences[a:b]) for a, b in zip(first, last, strict=True)])


def _upper(values: npt.NDArray[np.float64]) -> float:
    """The quantile of what is usual, between neighbours; `np.quantile` would take a tenth of a chart's time."""
    ordered = np.sort(values)
    place = _USUAL * (len(ordered) - 1)
    low = int(place)
    return float(ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]))


def _usual(confidences: Sequence[float]) -> float:
    """What is usual for a lane with these confidences."""
    return float(np.quantile(confidences, _USUAL)) if len(confidences) >= _ENOUGH else 0.75
