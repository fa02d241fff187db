"""Engines that stay warm: the models of the last jobs are still loaded when the next one comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stemwright.engine.separate import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from stemwright.engine.options import SeparateOptions

_MOST: Final = 2  # engines with their models


class WarmEngines:
    """The engines that were used last."""

    def __init__(self) -> None:
        self._engines: dict[Hashable, Engine] = {}

    def engine(self, key: Hashable, options: Callable[[], SeparateOptions]) -> Engine:
        """The engine of a key, with all that it has loaded, else a new one with these options; the oldest goes then.

        Raises what `Engine` raises.
        """
        engine = self._engines.pop(key, None) or Engine(options())
        self._engines[key] = engine
        while len(self._engines) > _MOST:
            del self._engines[next(iter(self._engines))]
        return engine
