"""Weights that several publishers have: the first that answers is taken, one that does not is left alone a while."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stemwright.disk import read_json, write_whole
from stemwright.errors import ModelUnavailableError, WeightsError
from stemwright.weights import store
from stemwright.weights.config import OnProgress, current
from stemwright.weights.download import probe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Literal

TROUBLE: Final = "trouble.json"  # in the cache: publishers that did not give what they should, and when
PATIENCE: Final = 600.0  # seconds for which such a publisher is not asked again


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What somebody says of the licence of weights."""

    text: str  # word for word
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """One place that has the weights of a model."""

    name: str
    parts: tuple[store.Remote, ...]  # all of them are needed
    licence: str  # in a few words
    statements: tuple[Statement, ...] = ()
    download_bytes: int = 0  # about


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Weights that are here."""

    publisher: Publisher
    folders: tuple[Path, ...]  # one a part

    def check(self) -> None:
        """Compare all files with what they were when they were downloaded. Raises `WeightsError`."""
        for part, folder in zip(self.publisher.parts, self.folders, strict=True):
            store.check(folder, part.files)

    def file(self, name: str) -> Path | None:
        """The file called so, or None."""
        return next((folder / name for folder in self.folders if (folder / name).is_file()), None)


def find(publishers: Sequence[Publisher]) -> Found | None:
    """The weights of the first publisher whose files are all here. Raises nothing."""
    for publisher in publishers:
        folders = tuple(folder for part in publisher.parts if (folder := store.find(part)))
        if len(folders) == len(publisher.parts):
            return Found(publisher=publisher, folders=folders)
    return None


def availability(publishers: Sequence[Publisher]) -> Literal["ready", "download", "missing"]:
    """Whether the weights are here, can be had, or cannot (offline, or every publisher failed a short while ago).

    Looks at the disk only; raises nothing.
    """
    if find(publishers):
        return "ready"
    if current().offline or len(_recent(publishers)) == len(publishers):
        return "missing"
    return "download"


def fetch(
    publishers: Sequence[Publisher], *, on_progress: OnProgress | None = None, again: bool = False, retry: bool = False
) -> Found:
    """The weights, from the first publisher that answers, where they are not here or are wanted `again`.

    A publisher that does not answer within two seconds, or whose files are not what they should be, is left alone for
    ten minutes, unless `retry` is set. Raises `WeightsError` (all that answered gave wrong files),
    `ModelUnavailableError` (offline, or none gave them), `DiskFullError`, `OutputError`, and what `on_progress` raises.
    """
    if not again and (found := find(publishers)):
        return found
    model = publishers[0].parts[0].model
    if current().offline:
        raise ModelUnavailableError(
            f"the weights of {model} are not on this machine, and Stemwright is offline; when connected:"
            f" stemwright models pull {model}"
        )
    recent = {} if retry or again else _recent(publishers)
    reasons = dict(recent)
    wrong: WeightsError | None = None
    for publisher in publishers:
        if publisher.name in recent:
            continue
        try:
            if reason := probe(publisher.parts[0].url, config=current()):
                raise ModelUnavailableError(reason)
            report = _with_total(publisher, on_progress or current().on_progress)
            folders = tuple(store.fetch(part, on_progress=report, again=again) for part in publisher.parts)
        except (ModelUnavailableError, WeightsError) as error:
            wrong = error if isinstance(error, WeightsError) else wrong
            reasons[publisher.name] = error.message
            _note(publisher.name, error.message)
        else:
            _note(publisher.name, None)
            return Found(publisher=publisher, folders=folders)
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    if wrong is not None:
        raise WeightsError(f"no publisher gave good weights of {model} ({told})")
    later = " They are asked again in ten minutes, or now by" if recent else " Connect and try again:"
    raise ModelUnavailableError(
        f"the weights of {model} could not be had ({told}).{later} stemwright models pull {model}"
    )


def _with_total(publisher: Publisher, on_progress: OnProgress | None) -> OnProgress | None:
    """The same, but told about how much there is in all where a client of a registry does not say."""
    if on_progress is None or len(publisher.parts) > 1:
        return on_progress
    about = publisher.download_bytes or None

    def report(label: str, done: int, total: int | None, /) -> None:
        if total is None and about is not None:
            done, total = min(done, about), about
        on_progress(label, done, total)

    return report


def troubles(publishers: Sequence[Publisher]) -> dict[str, str]:
    """What went wrong at which publisher in the last ten minutes. Raises nothing."""
    return _recent(publishers)


def _recent(publishers: Sequence[Publisher]) -> dict[str, str]:
    now, noted = time.time(), _noted()
    recent = {}
    for publisher in publishers:
        at, reason = noted.get(publisher.name, (0.0, ""))
        if 0 <= now - at < PATIENCE:
            recent[publisher.name] = reason
    return recent


def _noted() -> dict[str, tuple[float, str]]:
    try:
        notes = read_json(current().cache / TROUBLE)
        return {str(name): (float(note["at"]), str(note["reason"])) for name, note in notes.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # no more than a memory aid
        return {}


def _note(name: str, reason: str | None) -> None:
    """Remember what went wrong at a publisher, or that nothing does any more. Disk errors are ignored."""
    noted = _noted()
    if reason is None and name not in noted:
        return
    noted.pop(name, None)
    if reason is not None:
        noted[name] = (time.time(), reason)
    path = current().cache / TROUBLE
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, json.dumps({key: {"at": at, "reason": why} for key, (at, why) in noted.items()}).encode())
