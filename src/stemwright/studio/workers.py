"""Which models can run, and where: on this machine or, in a fleet, on what its workers say of themselves."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import Text, and_, case, cast, func, select

from stemwright import children
from stemwright.engine import choice
from stemwright.separators import catalogue
from stemwright.studio.store.tables import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stemwright.engine.settings import SeparationSettings
    from stemwright.studio.config import JobsConfig
    from stemwright.studio.store.database import Database

_ASK_TORCH: Final = (
    "import torch\n"
    "print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else "
    "'mps' if torch.backends.mps.is_available() else '')"
)
_ASKING: Final = 120.0  # seconds that torch may take to say so
_FRESH: Final = 1.0  # seconds for which nobody looks again
_KNOWN: Final = 7 * 86_400.0  # seconds after which it no longer counts what a worker could run that is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What the workers of a fleet can do; nothing is known before the first of them came."""

    models: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by queue: what each of its workers can run
    live: Mapping[str, int] = field(default_factory=dict)  # workers by queue

    def can_run(self, model: str) -> bool:
        """Whether there is a queue for a model."""
        return any(model in models for models in self.models.values())


def usable_models(repo: Path | None) -> tuple[str, ...]:
    """The models that this machine can run, though it may have to download some."""
    return tuple(
        info.name for family, info in catalogue.list_models() if family.availability(info.name, repo=repo) != "missing"
    )


def accelerator() -> str | None:
    """The GPU of this machine that torch can use, by its name; None where there is none. It takes a few seconds."""
    done = subprocess.run(  # in a process of its own: torch would stay in this one's memory
        [sys.executable, "-P", "-c", _ASK_TORCH],
        capture_output=True,
        text=True,
        check=False,
        env=children.environment(),
        timeout=_ASKING,
    )
    return done.stdout.strip() or None if done.returncode == 0 else None


class Workers:
    """Where runs can go. In a fleet a queue offers what all of its workers have, so that a run never meets another."""

    def __init__(self, db: Database, config: JobsConfig) -> None:
        self._db, self._config = db, config
        self._lock = threading.Lock()
        self._offers: Offers | None = None
        self._at = 0.0

    def offers(self) -> Offers:
        """What there is now, about a second old. Raises `DatabaseUnavailableError`."""
        if self._offers is None:
            self._offers = self._look()
        # Only one thread looks: others, who may hold a connection that it needs, never wait for it.
        elif time.monotonic() - self._at > _FRESH and self._lock.acquire(blocking=False):
            try:
                self._offers, self._at = self._look(), time.monotonic()
            finally:
                self._lock.release()
        return self._offers

    def slots(self) -> Mapping[str, int]:
        """How many runs of each queue can go on at once."""
        return self.offers().live if self._db.shared else self._config.slots

    def queue_for(self, model: str) -> str:
        """The queue for runs of a model or strategy. Raises `UnknownModelError`, `StrategyError`."""
        if not self._db.shared:
            return self._config.queue
        offered = self.offers().models.get("gpu", frozenset())
        return "gpu" if offered.issuperset(choice.needed(model, repo=self._config.repo)) else "cpu"

    def resolve(self, name: str) -> str:
        """The model that a name means, `auto` too."""
        offers = self.offers() if self._db.shared else None
        if name != catalogue.AUTO or not offers or not offers.models:
            return catalogue.resolve(name, repo=self._config.repo)
        return catalogue.BEST if offers.can_run(catalogue.BEST) else catalogue.DRAFT

    def can_run(self, model: str) -> bool | None:
        """Whether workers can run a model; None where this machine has to say."""
        offers = self.offers() if self._db.shared else None
        return offers.can_run(model) if offers and offers.models else None

    def is_alive(self, process: str) -> bool:
        """Whether a replica of the API lives, by the keeper that it has. Raises `DatabaseUnavailableError`."""
        mine = Worker.id.startswith(f"{process}.", autoescape=True), Worker.state == "live"
        fresh = Worker.seen_at > self._db.now() - self._config.dead
        with self._db.session() as session:
            return session.scalar(select(Worker.id).where(*mine, fresh).limit(1)) is not None

    def check(self, name: str, *, settings: SeparationSettings | None = None, transcribe: bool = False) -> None:
        """Refuse what cannot work. Raises as `choice.check`."""
        choice.check(
            self.resolve(name),
            settings=settings,
            transcribe=transcribe,
            repo=self._config.repo,
            can_run=self.can_run,
        )

    def _look(self) -> Offers:
        now, same = self._db.now(), cast(Worker.models, Text)
        alive = case((and_(Worker.state == "live", Worker.seen_at > now - self._config.dead), 1), else_=0)
        query = (
            select(Worker.queue, same, alive, func.count(), func.max(Worker.seen_at))
            .where(Worker.queue.in_(["cpu", "gpu"]), Worker.seen_at > now - _KNOWN)
            .group_by(Worker.queue, same, alive)
        )
        with self._db.session() as session:
            rows = session.execute(query).all()
        models, live = dict[str, frozenset[str]](), {"cpu": 0, "gpu": 0}
        for queue in live:
            here = [row for row in rows if row[0] == queue and row[2]]
            gone = sorted((row for row in rows if row[0] == queue and not row[2]), key=lambda row: float(row[4]))
            live[queue] = sum(int(row[3]) for row in here)
            kept = gone[-1:] if queue == "cpu" else []  # nobody may ever start a GPU worker again; `fleet.gpu` says so
            sets = [frozenset[str](json.loads(row[1])) for row in here or kept]
            if sets:
                models[queue] = frozenset.intersection(*sets)
        if self._config.gpu_models and not live["gpu"]:
            models["gpu"] = frozenset(self._config.gpu_models)
        return Offers(models=models, live=live)
