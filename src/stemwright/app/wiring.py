"""From settings to a studio: what is where, and what is given to whom."""

from __future__ import annotations

import ipaddress
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemwright.app.settings import environment
from stemwright.disk import make_private
from stemwright.engine.process.pool import EnginePool
from stemwright.errors import SetupError, writing
from stemwright.strategies.find import list_strategies
from stemwright.studio.config import JobsConfig
from stemwright.studio.store.database import Database, sqlite_url
from stemwright.studio.store.objects import ObjectStore, Storage
from stemwright.studio.studio import Studio
from stemwright.studio.work.executor import Role
from stemwright.studio.work.liveness import KEEPER, Member, fresh_id
from stemwright.studio.work.queue import Queue, has_jobs, prepare_jobs
from stemwright.studio.work.worker import LOCAL_WORKER
from stemwright.studio.workers import Workers, accelerator, usable_models
from stemwright.web.common import WebConfig
from stemwright.words import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from stemwright.app.settings import Settings


_CLOCK: Final = 840.0  # seconds: S3 refuses requests that are signed more than 15 minutes early or late


class WrongClockError(SetupError):
    """The clock of this machine is wrong."""

    code = "wrong_clock"


def database(settings: Settings) -> Database:
    """The database as it is. Raises `SetupError` when its driver is missing."""
    url = settings.database.url
    return Database(
        url.get_secret_value() if url else sqlite_url(settings.data / "studio.db"), pool=settings.database.pool
    )


def open_database(settings: Settings) -> Database:
    """The database, with its tables in their newest form.

    Raises `NeedsMigrationError` where one that is shared lacks them, and `DatabaseUnavailableError`.
    """
    db = database(settings)
    if db.shared:
        db.verify()
        check_clock(db, settings)
    else:
        migrate(db)
    return db


def check_clock(db: Database, settings: Settings) -> None:
    """See that a bucket will take what this machine signs, once the database was asked. Raises `WrongClockError`."""
    wrong = time.time() - db.now()
    if abs(wrong) > _CLOCK and (settings.storage.url or "").startswith("s3://"):
        raise WrongClockError(
            f"this machine's clock is {abs(wrong) / 60:.0f} minutes {'ahead' if wrong > 0 else 'behind'}: the store "
            "refuses what it signs; set the clock (timedatectl set-ntp true)"
        )


def migrate(db: Database) -> None:
    """Give the database its tables, or bring them to their newest form."""
    db.migrate()
    if db.shared or not has_jobs(db):  # DBOS is loaded for that; a file's tables are looked at once we listen
        prepare_jobs(db)


def process_name(settings: Settings) -> str:
    """What this process is called in the database."""
    return fresh_id() if settings.database.url else LOCAL_WORKER


def where_it_is(settings: Settings) -> str:
    """Where rows and files are, for the operator; no password."""
    url = settings.database.url
    shared = f", database {without_secrets(url.get_secret_value())}" if url else ""
    objects = settings.storage.url
    return f"data in {settings.data}{shared}{f', objects in {objects}' if objects else ''}"


def role_of(settings: Settings, config: JobsConfig, *, queue: str, name: str, child: bool) -> Role:
    """What an executor of a fleet does: it takes runs from a queue or, if that is `keeper`, keeps house.

    Raises `SetupError` for a worker that is to use a GPU and has none.
    """
    if queue == KEEPER:
        return Role(id=name, slots={}, member=Member(id=name, queue=queue), child=child)
    device = "cpu"
    if queue == "gpu":
        found = accelerator() if settings.model.device != "cpu" else None
        if found is None:
            raise SetupError(
                "a worker for the queue gpu needs a GPU, torch, and model.device not cpu: stemwright doctor"
            )
        device = found
    member = Member(id=name, queue=queue, device=device[:32], models=usable_models(config.repo))
    idle = settings.worker.idle if not child and settings.worker.idle else None
    return Role(id=name, slots={queue: 1}, keeps=False, member=member, idle=idle, child=child)


def open_store(settings: Settings) -> ObjectStore:
    """Where files are kept; a folder is made its user's alone. Raises `OutputError`, `ObjectsElsewhereError`."""
    given = settings.storage
    _see_that_nothing_is_left_behind(settings)
    url = given.url or f"file://{settings.data / 'objects'}"
    if url.startswith("file://"):
        with writing():
            make_private(Path(url.removeprefix("file://")))
    return ObjectStore(
        Storage(
            url=url,
            endpoint=given.endpoint,
            region=given.region,
            access_key_id=given.access_key_id,
            secret_access_key=given.secret_access_key.get_secret_value() if given.secret_access_key else None,
            public_url=given.public_url,
        )
    )


class ObjectsElsewhereError(SetupError):
    """Songs lie in the data folder, and the settings name another place for objects."""

    code = "objects_elsewhere"


def _see_that_nothing_is_left_behind(settings: Settings) -> None:
    """Refuse another place while songs are in the data folder: the sweep would take them for lost, and forget them.

    Raises `ObjectsElsewhereError`.
    """
    before = settings.data / "objects"
    if settings.storage.url in {None, f"file://{before}"}:
        return
    if any(path.parent.name != "doors" for path in before.glob("*/*")):
        raise ObjectsElsewhereError(
            f"songs are in {before}, and storage.url names another place: copy what is in that folder there, with the "
            "same keys, then remove the folder; or take storage.url (R2_BUCKET_NAME) away"
        )


def jobs_config(settings: Settings) -> JobsConfig:
    """What jobs need to know."""
    slots = {"cpu": settings.jobs.cpu_slots, "gpu": settings.jobs.gpu_slots}
    secret = settings.callbacks.secret
    return JobsConfig(
        work=settings.data / "work",
        temp=settings.data / "temp" / "jobs",
        engine_command=(sys.executable, "-P", "-m", "stemwright.app.engine"),
        limits=settings.limits(),
        engine_environment=_of_engine(settings),
        environment=environment(),
        model=settings.model.default,
        device=settings.model.device,
        repo=settings.model.repo,
        slots=slots,
        attempts=settings.jobs.attempts,
        timeout_factor=settings.jobs.timeout_factor,
        timeout_min=settings.jobs.timeout_min,
        ageing=settings.jobs.ageing,
        engine_max_rss=settings.jobs.engine_max_rss,
        engine_max_jobs=settings.jobs.engine_max_jobs,
        long_seconds=settings.making.long_seconds,
        max_import_duration=settings.making.max_import_duration,
        max_decoded_bytes=settings.max_decoded_bytes,
        midi_max_bytes=settings.making.midi_max_bytes,
        callback_secret=secret.get_secret_value() if secret else None,
        callback_allow=settings.callbacks.allow,
        callback_attempts=settings.callbacks.attempts,
        callback_timeout=settings.callbacks.timeout_seconds,
        results_seconds=settings.retention.results_days * 86400,
        disk_budget=settings.retention.disk_budget,
        disk_reserve=settings.retention.disk_reserve,
        sweep_seconds=settings.retention.sweep_seconds,
        beat=settings.fleet.beat,
        dead=settings.fleet.dead,
        gpu_models=settings.fleet.gpu,
        wake_url=settings.fleet.wake_url,
        wake_token=token.get_secret_value() if (token := settings.fleet.wake_token) else None,
    )


def _of_engine(settings: Settings) -> dict[str, str]:
    """The settings that an engine process reads: how it gets weights. It reads no file of settings, and no secret."""
    model = settings.model
    return {
        "STEMWRIGHT_MODEL_CACHE": str(model.cache),
        "STEMWRIGHT_MODEL_OFFLINE": "true" if model.offline else "",
        "STEMWRIGHT_MODEL_MIRROR": model.mirror or "",
    }


def open_studio(settings: Settings, *, name: str) -> Studio:
    """A studio over the data folder. Raises `StrategyError` where the operator's strategies cannot be read."""
    list_strategies(settings.model.repo)
    db, config = open_database(settings), jobs_config(settings)
    incoming = settings.data / "incoming"
    incoming.mkdir(exist_ok=True, mode=0o700)
    return Studio(
        db=db,
        store=open_store(settings),
        queue=Queue(db, config),
        workers=Workers(db, config),
        config=config,
        encoders=EnginePool(
            config.engine_command,
            max_rss=config.engine_max_rss,
            max_calls=config.engine_max_jobs,
            size=settings.making.slots or max(2, os.cpu_count() or 1) + 1,
            waiting=settings.making.waiting,
            temp=settings.data / "temp" / "encoders",
            environment=config.engine_environment,
        ),
        upload_max_bytes=settings.upload_max_bytes,
        incoming=incoming,
        idempotency_seconds=settings.idempotency_hours * 3600,
        name=name,
    )


def web_config(settings: Settings, *, executor: Callable[[], bool]) -> WebConfig:
    """What the web needs to know."""
    return WebConfig(
        cors_origins=settings.http.cors_origins,
        hosts=_hosts(settings),
        any_address=not is_loopback(settings.host),
        trusted_proxies=tuple(map(str, settings.http.trusted_proxies)),
        root_path=settings.http.root_path or "",
        fleet_page=settings.fleet.page,
        rate_per_minute=settings.http.rate_per_minute,
        uploads_per_minute=settings.http.uploads_per_minute,
        link_seconds=int(settings.storage.link_seconds) if settings.storage.redirect else None,
        executor=executor,
    )


def _hosts(settings: Settings) -> frozenset[str]:
    """The names under which the server may be called; a page that has a name of its own point here is turned away."""
    return frozenset({"localhost", "127.0.0.1", "::1", settings.host.lower(), *map(str.lower, settings.http.hosts)})


def is_loopback(host: str) -> bool:
    """Whether a host, as it is written or bound, is this machine alone.

    >>> is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("studio")
    (True, True, False, False)
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
