"""What a model's stems become: the ones asked for, adding up to the mix, and how much the model left over."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np

from stemwright.errors import UnknownStemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stemwright.separators.protocol import ModelInfo
    from stemwright.types import Samples, StemName

WITHOUT = "no_"


def remainder_stem(stems: Sequence[StemName]) -> StemName:
    """The stem that takes what the model leaves over: `other`, else the model's last."""
    return "other" if "other" in stems else stems[-1]


class StemMixer:
    """Turns a model's estimates into the stems asked for, block by block."""

    def __init__(self, info: ModelInfo, *, wanted: Sequence[StemName] | None, exact: bool) -> None:
        """Raise `UnknownStemError` for a stem that the model does not give."""
        self._all = info.stems
        self.stems = tuple(wanted or info.stems)
        for stem in self.stems:
            if stem.removeprefix(WITHOUT) not in info.stems:
                close = difflib.get_close_matches(stem, info.stems, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                without = f"{WITHOUT}{info.stems[0]} is the mix without the {info.stems[0]}"
                raise UnknownStemError(f"{info.name} gives {', '.join(info.stems)}, not {stem!r} ({without}){hint}")
        remainder = remainder_stem(info.stems)
        self.remainder = remainder if exact and {remainder, WITHOUT + remainder} & set(self.stems) else None
        self.needed = None if self.remainder else tuple({stem.removeprefix(WITHOUT): None for stem in self.stems})
        self._energy = self._left = 0.0

    def mix(self, mix: Samples, estimates: Samples) -> Samples:
        """Input: mix `[C, T]`, estimates `[S, C, T]`. Output: `[W, C, T]` float32, in the order of `stems`."""
        left = mix - estimates.sum(axis=0)
        self._energy += float(np.square(mix).sum(dtype=np.float64))
        self._left += float(np.square(left).sum(dtype=np.float64))
        named = dict(zip(self._all, estimates, strict=True))
        if self.remainder:
            named[self.remainder] = named[self.remainder] + left
        return np.stack(
            [named[stem] if stem in named else mix - named[stem.removeprefix(WITHOUT)] for stem in self.stems]
        )

    def residual_db(self) -> float | None:
        """Level of what the stems leave of the mix, relative to it; None for nothing, or if not all were made."""
        if not self._left or not self._energy or (self.needed and len(self.needed) < len(self._all)):
            return None
        return float(10 * np.log10(self._left / self._energy))
