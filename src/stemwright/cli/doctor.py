"""`stemwright doctor`: what this machine has, and what it lacks."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENCODERS = ("pcm_s16le", "pcm_s24le", "pcm_f32le", "flac", "libmp3lame", "libopus", "aac", "alac")
_ROOM = 5 << 30  # bytes: an hour of four stereo stems at 44.1 kHz, as samples
_SERVER = ("fastapi", "sqlalchemy")  # packages of the extra
_MANY = 20  # models of one family: more are counted, not listed


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    state: Literal["ok", "note", "fault"]  # a fault keeps Stemwright from working
    text: str


def doctor(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder whose disk is looked at.")
    ] = Path(),
    origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Where the studio's page is, such as https://studio.example.org: see whether the bucket lets it in.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Say what this machine has and lacks.

    Looks at ffmpeg, devices, extras, weights, disk, and the bucket where the settings name one, with a small object
    that it puts there for a moment. The exit code is 1 when something needed is missing.
    """
    checks = [*_base(), *_ffmpeg(), *_devices(), *_models(), *_doors(), *_disk(output), *_storage(origin or [])]
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        from rich.markup import escape
        from rich.table import Table

        from stemwright.cli.console import wide_console

        marks = {"ok": "[green]✓[/]", "note": "[yellow]–[/]", "fault": "[red]✗[/]"}
        table = Table.grid(padding=(0, 1))
        for check in checks:
            table.add_row(marks[check.state], f"[bold]{check.name}[/]", escape(check.text))
        wide_console().print(table)
    if any(check.state == "fault" for check in checks):
        raise typer.Exit(1)


def _base() -> Iterator[Check]:
    import os
    import platform

    from stemwright import __version__

    yield Check("stemwright", "ok", f"{__version__} on Python {platform.python_version()}, {platform.platform()}")
    yield Check("processor", "ok", f"{os.cpu_count()} threads")


def _ffmpeg() -> Iterator[Check]:
    import subprocess

    from stemwright.audio.ffmpeg import ffmpeg_version, find_ffmpeg
    from stemwright.errors import FfmpegMissingError

    try:
        path = find_ffmpeg()
    except FfmpegMissingError as error:
        yield Check("ffmpeg", "fault", error.message)
        return
    yield Check("ffmpeg", "ok", f"{ffmpeg_version()} at {path}")
    command = [path, "-hide_banner", "-encoders"]
    listing = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, text=True, check=False).stdout
    present = {words[1] for line in listing.splitlines() if len(words := line.split()) > 1}
    lacking = [encoder for encoder in _ENCODERS if encoder not in present]
    if lacking:
        yield Check("encoders", "note", f"this ffmpeg lacks {', '.join(lacking)}: those formats cannot be written")
    else:
        yield Check("encoders", "ok", "wav, flac, mp3, opus, aac, alac")


def _devices() -> Iterator[Check]:
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        yield Check("devices", "ok", "cpu (cuda and mps need torch: pip install torch)")
        return
    import torch

    devices = ["cpu"]
    devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    yield Check("devices", "ok", ", ".join(devices))


def _models() -> Iterator[Check]:
    import importlib.util
    from collections import Counter
    from importlib import metadata

    from stemwright.app.settings import load_settings
    from stemwright.app.weights import use_weights
    from stemwright.errors import OptionError
    from stemwright.separators import catalogue
    from stemwright.weights.config import current
    from stemwright.weights.publishers import troubles

    try:
        use_weights(load_settings())
    except OptionError as error:
        yield Check("settings", "fault", error.message)
    for package, what_for in catalogue.extras().items():
        if importlib.util.find_spec(package) is None:
            yield Check(package, "note", f"not installed: {what_for}")
        else:
            yield Check(package, "ok", metadata.version(package))
    listed = catalogue.list_models()
    count = Counter(info.family for _, info in listed)
    here: Counter[str] = Counter()
    for family, info in listed:
        state = family.availability(info.name)
        if count[info.family] > _MANY:
            here[info.family] += state == "ready"
            continue
        match state:
            case "ready":
                yield Check(info.name, "ok", "ready")
            case "download":
                yield Check(
                    info.name, "note", f"weights are downloaded at first use ({info.download_bytes / 1e6:.0f} MB)"
                )
            case "missing":
                wrong = "; ".join(f"{name}: {reason}" for name, reason in troubles(info.publishers).items())
                why = wrong or f"needs the extra [{info.family}]"
                yield Check(info.name, "note", "offline, and not here" if current().offline else why)
    for name, number in here.items():
        yield Check(name, "ok", f"{count[name]} models, {number} of them here; `stemwright models` lists them")
    for problem in catalogue.problems():
        yield Check("separators", "fault", problem)


def _doors() -> Iterator[Check]:
    import importlib.util

    from stemwright.app.settings import door_problems
    from stemwright.doors import catalogue

    server = all(map(importlib.util.find_spec, _SERVER))
    if server:
        yield Check("doors", "ok", ", ".join(entry.name for entry in catalogue.entries()))
    else:
        yield Check("doors", "note", "not served: the server needs the extra [server]")
    for problem in door_problems(with_server=server):
        yield Check("doors", "fault", problem)


def _storage(origins: list[str]) -> Iterator[Check]:
    """What can be done with the bucket, by us and by pages of these origins, else of those that the settings list."""
    import importlib.util
    import logging

    from stemwright.app.settings import load_settings
    from stemwright.errors import OptionError, StemwrightError

    try:
        settings = load_settings()
    except OptionError:  # told already
        return
    given = settings.storage
    if given.url is None or not given.url.startswith("s3://") or not all(map(importlib.util.find_spec, _SERVER)):
        return
    from stemwright.app.wiring import open_store
    from stemwright.studio.store.bucket_check import check_bucket, check_pages

    logging.getLogger("stemwright.storage").disabled = True  # the table says why
    try:
        store = open_store(settings)
    except StemwrightError as error:
        yield Check("bucket", "fault", error.message)
        return
    found = check_bucket(store)
    yield Check(found.name, "ok" if found.good else "fault", f"{given.url}: {found.text}")
    if not found.good:
        return
    listed = origins or [one for one in settings.http.cors_origins if one != "*"]
    for one in listed:
        for page in check_pages(store, one.rstrip("/"), redirect=given.redirect):
            bad: Literal["fault", "note"] = "note" if page.name == "uploads" else "fault"  # songs find another way
            yield Check(page.name, "ok" if page.good else bad, page.text)
    if not listed:
        yield Check("pages", "note", "whether the bucket lets the page in was not tried: give its --origin https://…")


def _disk(output: Path) -> Iterator[Check]:
    import shutil
    import tempfile

    for name, folder in (("output disk", output), ("temporary disk", Path(tempfile.gettempdir()))):
        place = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
        free = shutil.disk_usage(place).free
        state: Literal["ok", "note"] = "ok" if free > _ROOM else "note"
        hint = "" if state == "ok" else ": an hour of music needs about 5 GB while it is separated"
        yield Check(name, state, f"{free / 1e9:.0f} GB free at {place}{hint}")
