"""What the operator sets, from `stemwright.yaml` and from the environment. docs/settings.md lists it all."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, create_model

from stemwright.app._settings_environment import CONFIG, read_environment
from stemwright.app._settings_file import find_file, read_file
from stemwright.app._settings_leaves import Leaf, Reading, Shown, leaves, nested
from stemwright.app.door_settings import Doors, groups_beside
from stemwright.app.fleet_settings import DatabaseSettings, FleetSettings, WorkerSettings
from stemwright.app.http_settings import Http
from stemwright.app.storage_settings import ObjectStorage
from stemwright.audio.decode import DecodeLimits
from stemwright.doors import catalogue
from stemwright.errors import OptionError
from stemwright.setting_values import (
    Alias,
    Device,
    Factor,
    Folder,
    Group,
    Host,
    InDays,
    InHours,
    InSeconds,
    Lower,
    Mirror,
    OptionalFolder,
    Peers,
    Size,
    WebhookSecret,
    Whole,
    Word,
)
from stemwright.words import without_secrets

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class SettingsError(OptionError):
    """Settings cannot be used."""

    code = "bad_settings"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)  # all that is wrong, each naming its variable, or its file and its key


def _default_data() -> Path:
    return _home_folder("XDG_DATA_HOME", ".local/share") or Path("stemwright-data").absolute()


def _default_cache() -> Path:
    return _home_folder("XDG_CACHE_HOME", ".cache") or Path("stemwright-cache").absolute()


def _home_folder(variable: str, below_home: str) -> Path | None:
    """The folder of XDG for us; None for a user without a home, as in some containers."""
    given = Path(os.environ.get(variable, ""))
    try:
        return (given if given.is_absolute() else Path.home() / below_home) / "stemwright"
    except RuntimeError:
        return None


class Jobs(Group):
    """How many jobs run at once, and how long one may take."""

    cpu_slots: Annotated[Whole, Alias("MAX_CONCURRENT_ANALYSIS")] = Field(
        default=1, ge=0, le=256, description="Jobs that run on the processor at once; 0 on a machine that takes none."
    )
    gpu_slots: Whole = Field(default=0, ge=0, le=64, description="Jobs that run on the GPU (`model.device`) at once.")
    timeout_factor: Factor = Field(
        default=30.0,
        ge=0,
        le=10_000,
        description="One step of a job (separating, a chart) may take this many times the song's duration …",
    )
    timeout_min: Annotated[InSeconds, Alias("ANALYSIS_TIMEOUT_MS", unit="ms")] = Field(
        default=600.0, gt=0, description="… and never less than this many seconds."
    )
    attempts: Whole = Field(default=3, ge=1, le=20, description="Times that a job is tried before it has failed.")
    ageing: InSeconds = Field(
        default=1800.0, gt=0, description="Seconds of waiting after which a job rises one class of priority."
    )
    engine_max_rss: Size = Field(
        default=6 << 30, ge=256 << 20, description="The engine process is replaced when it has grown above this memory."
    )
    engine_max_jobs: Whole = Field(
        default=50, ge=1, le=1_000_000, description="The engine process is replaced after this many jobs."
    )


class Model(Group):
    """Which model separates when a request names none, and where."""

    default: Annotated[Word, Alias("DEMUCS_MODEL")] = Field(
        default="auto", description="The model for requests that name none; see `stemwright models`."
    )
    device: Annotated[Device, Alias("DEMUCS_DEVICE")] = Field(
        default="auto", description="`auto`, `cpu`, `cuda`, `cuda:N` or `mps`; `cuda/half` in half precision."
    )
    repo: OptionalFolder = Field(
        default=None,
        description="A folder of weights, laid out as a model's own software has them, or of custom models.",
    )
    cache: Folder = Field(default_factory=_default_cache, description="The folder for weights that are downloaded.")
    offline: bool = Field(default=False, description="Never connect for weights, of the command line too.")
    mirror: Mirror = Field(
        default=None, description="Weights are fetched from `MIRROR/host/path` instead of `https://host/path`."
    )


class Retention(Group):
    """How long results stay."""

    results_days: InDays = Field(default=7.0, ge=0, le=36_500, description="Days that results are kept; 0: for ever.")
    disk_budget: Size = Field(
        default=0,
        description="The results that nobody has used for longest go when all take more than this; 0: no budget.",
    )
    disk_reserve: Size = Field(
        default=1_000_000_000, description="New jobs are refused (507) while the disk has less room than this."
    )
    sweep_seconds: InSeconds = Field(default=60.0, ge=1, description="Seconds between two looks for what has expired.")


class Making(Group):
    """What is made while a client waits: formats, mixes, imports."""

    slots: Whole = Field(
        default=0,
        ge=0,
        le=256,
        description="Files that are made on demand at once (formats, mixes, imports); 0: one more than the machine has "
        "cores. One song, and all long work together, get one fewer.",
    )
    waiting: Whole = Field(
        default=16,
        ge=0,
        le=1000,
        description="Requests for one song that wait for each slot; one more is `busy` (503).",
    )
    long_seconds: InSeconds = Field(
        default=1800.0, ge=0, description="Seconds of audio, of all stems together, from which such work is long."
    )
    max_import_duration: InSeconds = Field(
        default=21_600.0,
        gt=0,
        description="Seconds of all recordings of one import together; more is `too_long` (413).",
    )
    midi_max_bytes: Size = Field(
        default=10_000_000, gt=0, description="The largest MIDI file; a larger one is `too_large` (413)."
    )


class Callbacks(Group):
    """Requests that tell others that a job has ended."""

    secret: WebhookSecret = Field(
        default=None, description="Signs callbacks by Standard Webhooks: `whsec_` and 24 to 64 bytes in base64."
    )
    allow: Peers = Field(
        default=(),
        description="Host names and networks that may be called, and fetched from by doors, though their addresses are "
        "private.",
    )
    attempts: Whole = Field(default=4, ge=1, le=20, description="Times that a callback is tried.")
    timeout_seconds: InSeconds = Field(default=10.0, gt=0, le=300, description="Seconds that one try may take.")


class Log(Group):
    """What is written about the work."""

    format: Annotated[Literal["console", "json"], Lower] = Field(
        default="console", description="`console` for people or `json` for programs."
    )
    level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = Field(
        default="info", description="`debug`, `info`, `warning` or `error`."
    )


class Settings(Group):
    """All settings but those of doors, which `settings_model` adds.

    Made by hand it takes only what it is given; `load_settings` reads file and environment.
    """

    data: Annotated[Folder, Alias("DATA_DIR")] = Field(
        default_factory=_default_data, description="The folder for everything: database, uploads, results."
    )
    host: Host = Field(default="127.0.0.1", description="The address to listen on; `0.0.0.0` for all.")
    port: Whole = Field(default=8000, ge=0, le=65_535, description="The port to listen on; 0: any free one.")
    doors: Doors = Field(
        default=(),
        description="Doors with ports of their own beside `/doors/NAME/`, as `NAME=PORT` ([doors.md](doors.md)).",
    )
    upload_max_bytes: Size = Field(
        default=500_000_000, gt=0, description="The largest upload: 500 MB are 47 minutes of a CD as WAV."
    )
    idempotency_hours: InHours = Field(
        default=24.0, gt=0, le=8_784, description="Hours that an `Idempotency-Key` is remembered."
    )
    max_duration: InSeconds = Field(
        default=3600.0, gt=0, le=24 * 3600, description="Seconds of the longest recording, of the command line too."
    )
    max_bytes: Size = Field(
        default=4 << 30, gt=0, description="The largest recording that is read, of the command line too."
    )
    max_decoded_bytes: Size = Field(
        default=8 << 30,
        gt=0,
        description="The most bytes of samples (4 each) that all recordings of one import, or all stems of a remote "
        "worker, may decode to.",
    )
    decode_timeout: InSeconds = Field(
        default=120.0, gt=0, description="Seconds spent waiting for the decoder, of the command line too."
    )
    strategy_cache: Size = Field(
        default=2 << 30,
        description="Disk for what a strategy's models gave, on the command line, so that none runs again when another "
        "part of the strategy changes; 0: keep nothing.",
    )
    jobs: Jobs = Field(default_factory=Jobs)
    model: Model = Field(default_factory=Model)
    storage: ObjectStorage = Field(default_factory=ObjectStorage)
    retention: Retention = Field(default_factory=Retention)
    making: Making = Field(default_factory=Making)
    callbacks: Callbacks = Field(default_factory=Callbacks)
    http: Http = Field(default_factory=Http)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    fleet: FleetSettings = Field(default_factory=FleetSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    log: Log = Field(default_factory=Log)

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _file: Path | None = PrivateAttr(default=None)

    @property
    def file(self) -> Path | None:
        """The file that was read, absolute."""
        return self._file

    @property
    def door_ports(self) -> dict[str, int]:
        """The ports of the doors that have one of their own."""
        return {name: int(port) for name, _, port in (door.partition("=") for door in self.doors)}

    def door(self, name: str) -> Any:
        """The settings of a door, which are of the class that it says."""
        return getattr(self, name.replace("-", "_"))

    @property
    def doors_found(self) -> tuple[str, ...]:
        """The names of the doors whose settings are here."""
        return tuple(name.replace("_", "-") for name in type(self).model_fields if name not in Settings.model_fields)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it as the settings that the reader's process has: a class that is made has no name to find it by."""
        return _blank, (type(self) is not Settings,), self.__getstate__()

    def limits(self) -> DecodeLimits:
        """The limits for the decoder."""
        return DecodeLimits(duration=self.max_duration, size_bytes=self.max_bytes, wall_clock=self.decode_timeout)

    def describe(self) -> tuple[Described, ...]:
        """Every setting in force and where it comes from; secrets are asterisks."""
        described = []
        for leaf in leaves(type(self)):
            value: object = self
            for part in leaf.name.split("."):
                value = getattr(value, part)
            described.append(
                Described(
                    name=leaf.name,
                    variable=leaf.variable,
                    value=leaf.plain(value),
                    typed=leaf.typed(value),
                    origin=self._origins.get(leaf.name, "default"),
                )
            )
        return tuple(described)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One setting as `stemwright config` shows it."""

    name: str  # in the file, such as `jobs.cpu_slots`
    variable: str  # its own environment variable
    value: Shown  # as JSON has it
    typed: Shown  # as an operator types it, such as `6 GiB`
    origin: str  # `default`, `file`, or the name of the variable that set it


def settings_model() -> type[Settings]:
    """The class of all settings, with a group for each door that is found and works."""
    return _with_doors(tuple(groups_beside(Settings).working.items()))


@functools.cache
def _with_doors(groups: tuple[tuple[str, type[Group]], ...]) -> type[Settings]:
    fields: dict[str, Any] = {name.replace("-", "_"): (kind, Field(default_factory=kind)) for name, kind in groups}
    return create_model("Settings", __base__=Settings, __doc__="All settings.", __module__=__name__, **fields)


def _blank(with_doors: bool) -> Settings:  # noqa: FBT001  (pickle calls it so)
    kind = settings_model() if with_doors else Settings
    return kind.__new__(kind)


def groups_ignored(model: type[Settings]) -> set[str]:
    """The groups of doors that are registered and not in a model, as those of doors that do not work."""
    return {entry.group for entry in catalogue.entries()} - {*model.model_fields}


def door_problems(*, with_server: bool = True) -> tuple[str, ...]:
    """One sentence for each door that does not work; without the server what serves is not looked at."""
    wrong = groups_beside(Settings).problems
    return tuple((catalogue.problems(with_server=with_server) | wrong).values())


def environment() -> dict[str, str]:
    """The variables of this process, for files of doors that name some."""
    return dict(os.environ)


def load_settings(path: Path | None = None, *, file: bool = True, doors: bool = True) -> Settings:
    """Read the environment and the file, which is `path`, `$STEMWRIGHT_CONFIG` or `./stemwright.yaml`.

    Without `file` only the environment is read; without `doors` no code of a door is loaded, and nobody looks at their
    settings. The environment goes before the file. Raises `SettingsError` (an `OptionError`) naming all that is wrong
    at once, `UntrustedFileError` for a `./stemwright.yaml` of other users.
    """
    model = settings_model() if doors else Settings
    known = leaves(model)
    ignored = groups_ignored(model)
    named = path or os.environ.get(CONFIG) or None
    found = find_file(path, environ=os.environ) if file else None
    first = read_environment(os.environ, leaves=known, ignored=ignored)
    second = Reading()
    if found is not None:
        second = read_file(found, environ=os.environ, leaves=known, ignored=ignored, found=named is None)
    faults = second.faults + first.faults
    origins = second.origins | first.origins
    try:
        settings = model.model_validate(nested(second.values | first.values))
    except ValidationError as error:
        by_name = {leaf.name: leaf for leaf in known}
        faults += [
            _fault(details, known=by_name, origins=origins, file=found) for details in error.errors(include_url=False)
        ]
    if faults:
        raise SettingsError(faults)
    settings._origins, settings._file = origins, found
    return settings


def _fault(details: ErrorDetails, *, known: dict[str, Leaf], origins: dict[str, str], file: Path | None) -> str:
    """What pydantic found, with the name that the operator wrote, and never a secret."""
    place = [str(part) for part in details["loc"]]
    name = next((name for size in (1, 2) if (name := ".".join(place[:size])) in known), place[0])
    origin = origins.get(name, "default")
    where = {"file": f"{file}: {name}", "default": name}.get(origin, origin)
    message = details["msg"].removeprefix("Value error, ")
    shown = name in known and not known[name].secret  # a whole group may hold secrets
    got = "" if not shown else f" (it is {without_secrets(str(details['input']))[:80]!r})"
    return f"{where}: {message}{got}"
