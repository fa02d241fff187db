"""Routes for those who run the server: health and metrics."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from stemwright import __version__
from stemwright.studio import jobs
from stemwright.studio.fleet_state import FleetState, fleet_state
from stemwright.web import schemas
from stemwright.web.common import problems, state_of
from stemwright.web.problems import NoFleetPageError, NotReadyError

if TYPE_CHECKING:
    from stemwright.studio.store.database import Database
    from stemwright.studio.studio import Studio

router = APIRouter(tags=["operations"])
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_JOB_SECONDS: Final = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)


class RunMetrics:
    """What one process and its executors did: in a fleet each run is counted once, by whoever ended it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Histogram(
            "stemwright_job_seconds",
            "Runs that ended, by model and stage (waiting, working).",
            ["model", "stage", "status"],
            buckets=_JOB_SECONDS,
            registry=registry,
        )
        self._cached = Counter("stemwright_cache_hits", "Jobs whose stems were there.", registry=registry)
        self._since: float | None = None  # by the database's clock, which is not known yet
        self._began = time.monotonic()

    def look(self, db: Database, name: str) -> jobs.Figures:
        """Count what ended since the last look, or since this was made."""
        now = db.now()
        since = now - (time.monotonic() - self._began) if self._since is None else self._since
        found = jobs.figures(db, name, since=since, until=now)
        self._since = now
        self._cached.inc(found.cached)
        for run in found.ended:
            self._jobs.labels(run.model, "waiting", run.status).observe(run.waited)
            self._jobs.labels(run.model, "working", run.status).observe(run.worked)
        return found


class Metrics:
    """What Prometheus is told; labels are bounded: routes, never paths or ids."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "stemwright_http_requests", "Requests.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "stemwright_http_request_seconds",
            "Durations.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._queued = Gauge("stemwright_queue_length", "Waiting.", ["queue", "priority"], registry=self.registry)
        self._running = Gauge("stemwright_running", "Running.", ["queue"], registry=self.registry)
        self._workers = Gauge("stemwright_workers", "Workers that are alive.", ["queue"], registry=self.registry)
        self._runs = RunMetrics(self.registry)
        self._songs = Gauge("stemwright_songs", "Songs in the library.", registry=self.registry)
        self._disk = Gauge("stemwright_disk_bytes", "Of the data folder's disk.", ["kind"], registry=self.registry)
        self._looking = threading.Lock()

    def text(self, studio: Studio) -> bytes:
        """All figures, those of jobs fresh from the database."""
        with self._looking:
            self._look(studio)
        return generate_latest(self.registry)

    def _look(self, studio: Studio) -> None:
        self._queued.clear()
        self._running.clear()
        self._workers.clear()
        for name, queue in jobs.queue_state(studio).queues.items():
            self._running.labels(name).set(queue.running)
            self._workers.labels(name).set(queue.slots)
            for priority, count in queue.queued.items():
                self._queued.labels(name, priority.value).set(count)
        self._songs.set(self._runs.look(studio.db, studio.name).songs)
        usage = shutil.disk_usage(studio.incoming)
        for kind in ("total", "used", "free"):
            self._disk.labels(kind).set(getattr(usage, kind))


@router.head("/livez", include_in_schema=False)
@router.get("/livez", response_model=schemas.Life, responses=problems())
async def livez() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", response_model=schemas.Health, responses=problems(503))
async def readyz(request: Request) -> Any:
    """Whether work can be done: 503 if not."""
    health = await _looked(request)
    if health.status != "ok":
        faults = [f"{name} {state}" for name, state in health.checks.items() if state != "ok"]
        raise NotReadyError(", ".join(faults))
    return health


@router.head("/health", include_in_schema=False)
@router.get("/health", response_model=schemas.Health, responses=problems())
async def health(request: Request) -> Any:
    """What works and what does not; 200 either way."""
    return await _looked(request)


async def _looked(request: Request) -> schemas.Health:
    state = state_of(request)
    checks = {**await state.health.states()}
    if state.config.executor is not None:
        checks["executor"] = "ok" if state.config.executor() else "is not running"
    status: Literal["ok", "degraded"] = "ok" if set(checks.values()) == {"ok"} else "degraded"
    return schemas.Health(status=status, checks=checks, version=__version__)


@router.get("/api/v1/fleet", responses=problems(404, 503))
async def get_fleet(request: Request) -> FleetState:
    """Workers, queues, what runs where, and what failed; 404 unless the setting `fleet.page` shows it."""
    state = state_of(request)
    if not state.config.fleet_page:
        raise NoFleetPageError("the operator does not show this (fleet.page)")
    return await asyncio.to_thread(fleet_state, state.studio)


@router.get(
    "/metrics",
    response_class=Response,
    responses={**problems(), 200: {"description": "For Prometheus.", "content": {"text/plain": {}}}},
)
async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    state = state_of(request)
    content = await asyncio.to_thread(request.app.state.metrics.text, state.studio)
    return Response(content, media_type=CONTENT_TYPE_LATEST)
