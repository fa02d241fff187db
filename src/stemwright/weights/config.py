"""Where weights are kept and how they may be had; set once at the start of a process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

HUB: Final = "https://huggingface.co"


class OnProgress(Protocol):
    """Is told how far a download is; may raise to stop it."""

    def __call__(self, label: str, done: int, total: int | None, /) -> None:
        """Take the bytes that are here, and those that there are, or None where the publisher does not say."""


def _default_cache() -> Path:
    try:
        return Path.home() / ".cache" / "stemwright"
    except RuntimeError:  # a user without a home, as in some containers
        return Path("stemwright-cache").absolute()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How weights may be had."""

    cache: Path = field(default_factory=_default_cache)
    offline: bool = False  # never connect
    mirror: str | None = None  # asked for `MIRROR/host/path` instead of `https://host/path`
    hub: str = HUB  # asked instead of the Hugging Face hub (HF_ENDPOINT)
    hub_cache: Path | None = None  # where Hugging Face's own tools keep what they downloaded; read only
    on_progress: OnProgress | None = None  # of downloads at first use


_current = Config()


def configure(config: Config) -> None:
    """Set how this process gets weights."""
    global _current  # noqa: PLW0603  (one a process, as its environment is)
    _current = config


def current() -> Config:
    """How this process gets weights."""
    return _current
