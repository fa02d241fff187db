"""`stemwright transcribe`: a song or a drum recording in, a drum chart and MIDI out."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from stemwright.audio.decode import DecodeLimits
    from stemwright.drums.chart import Chart
    from stemwright.engine.drum_chart import Heard
    from stemwright.engine.output import Staging
    from stemwright.engine.song_result import OnProgress
    from stemwright.types import Notice

    Separate = Callable[..., tuple[Path, tuple[Notice, ...]]]  # takes the drums out of a song


DEFAULT_OUTPUT = Path("charts")
_BY_DRAFT = "the drums were taken out of the mix by a draft model; --drums-only takes a better stem"


def transcribe(  # noqa: PLR0913, PLR0917  (typer reads the options off the signature)
    song: Annotated[Path, typer.Argument(metavar="SONG_OR_STEM", help="A song, or a recording of drums.")],
    drums_only: Annotated[
        bool, typer.Option("--drums-only", help="It is drums alone: nothing needs to be separated first.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the chart goes.")] = (
        DEFAULT_OUTPUT
    ),
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME", help="What takes the drums out; see `stemwright models`.")
    ] = "auto",
    offline: Annotated[bool, typer.Option("--offline", help="Never connect, for weights of models neither.")] = False,
    png: Annotated[bool, typer.Option("--png", help="Draw the picture as PNG too; needs the extra `picture`.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Overwrite a chart that is there, and remove what only it had; other files stay."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")
    ] = False,
    max_duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Refuse longer recordings. Default: one hour.")
    ] = None,
) -> None:
    """Write the drums of a song as a chart on eight lanes, and as MIDI.

    They are a folder of the song's name with drums.json, drums.mid at the times that were played, drums-quantised.mid
    where the tempo is clear, and a picture, drums.svg. A model takes the drums out of a song first.
    """
    from stemwright.app.settings import load_settings
    from stemwright.app.weights import use_weights
    from stemwright.cli.console import Reporter, escape, wide_console
    from stemwright.cli.songs import Found, Task
    from stemwright.errors import StemwrightError

    errors, reporter = wide_console(stderr=True), Reporter(as_json=as_json)
    try:
        settings = load_settings()
        use_weights(settings, offline=offline, on_progress=reporter.downloading)
        with reporter.batch(Found((Task(song, output),), (), ())), reporter.song(song) as on_progress:
            separate = None if drums_only else partial(_drums_of, song, model=model, on_progress=on_progress)
            limits = settings.limits()
            if max_duration is not None:
                limits = replace(limits, duration=max_duration)
            heard, files, notices = _chart(song, output=output, separate=separate, png=png, force=force, limits=limits)
    except StemwrightError as error:
        if as_json:
            _print({"status": "failed", "song": str(song), "error": {"code": error.code, "message": error.message}})
        errors.print(f"[red]{escape(song.name)}[/] ({error.code}): {escape(error.message)}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        errors.print("stopped; nothing half-written is left")
        raise typer.Exit(130) from None
    if as_json:
        _print(_record(song, heard.chart, files, notices))
    else:
        for path in files.values():
            typer.echo(path)
        errors.print(f"{escape(song.name)}: {_sentence(heard.chart)}")
    for notice in notices:
        errors.print(f"[yellow]{escape(song.name)}[/] ({notice.code}): {escape(notice.message)}")


def _chart(
    song: Path, *, output: Path, separate: Separate | None, png: bool, force: bool, limits: DecodeLimits
) -> tuple[Heard, dict[str, Path], tuple[Notice, ...]]:
    """Transcribe, and write the files; `separate` takes the drums out first. Raises `StemwrightError`s."""
    from stemwright.audio.sniff import sniff
    from stemwright.drums.picture import check_png
    from stemwright.engine.naming import safe_name
    from stemwright.engine.output import check_places, staging, sweep
    from stemwright.errors import OutputExistsError, writing

    if png:
        check_png()
    folder = safe_name(song.stem)
    names = {part: PurePosixPath(folder, name) for part, name in _names().items()}

    def check() -> None:
        check_places(output, [*names.values()], song=song)
        if not force and (found := next((output / name for name in names.values() if (output / name).exists()), None)):
            raise OutputExistsError(f"{found} is there already; --force overwrites it")

    sniff(song)
    with writing():
        left = sweep(output)
        check()
        with staging(output) as stage:
            drums, notices = separate(folder=stage.new_file("stems"), limits=limits) if separate else (song, ())
            heard, damage = _listen(drums, limits=limits)
            files = _write(heard, stage, title=song.stem, png=png)
            stage.publish(
                {names[part]: path for part, path in files.items()},
                receipt=names["chart"],
                check=check,
                stale=[names[part] for part in _of_chart(output / folder) - files.keys()],
            )
    notices += (() if separate else damage) + heard.notices + left
    return heard, {part: output / names[part] for part in files}, notices


def _drums_of(
    song: Path, *, model: str, on_progress: OnProgress, folder: Path, limits: DecodeLimits
) -> tuple[Path, tuple[Notice, ...]]:
    """The drums of a song as a file in a folder, and what is to be said of them."""
    from stemwright.audio.formats import parse_format
    from stemwright.engine.options import SeparateOptions
    from stemwright.engine.separate import Engine
    from stemwright.engine.settings import SeparationSettings
    from stemwright.types import Notice

    options = SeparateOptions(
        model=model, settings=SeparationSettings(stems=("drums",)), format=parse_format("wav32f"), limits=limits
    )
    result = Engine(options).separate(song, folder, on_progress=on_progress)
    warnings = [Notice(warning.code, warning.message) for warning in result.warnings()]
    notices = tuple(Notice("draft", _BY_DRAFT) if warning.code == "draft" else warning for warning in warnings)
    return result.files()["drums"], notices


def _listen(drums: Path, *, limits: DecodeLimits) -> tuple[Heard, tuple[Notice, ...]]:
    """The chart of a recording of drums, with what was wrong with the recording."""
    from stemwright.audio.decode import open_audio
    from stemwright.engine.drum_chart import listen

    with open_audio(drums, limits=limits) as stream:
        heard = listen(stream, sample_rate=stream.info.sample_rate, channels=stream.info.channels)
        return heard, tuple(stream.notices)


def _names() -> dict[str, str]:
    """What the files of a chart are called, all that there may be."""
    from stemwright.engine.drum_names import PARTS, STEM

    return {**{str(part): ".".join(of) for part, of in PARTS.items()}, "picture_png": f"{STEM}.png"}


def _write(heard: Heard, stage: Staging, *, title: str, png: bool) -> dict[str, Path]:
    """The chart's files in the staging folder. Raises OSError, `RendererMissingError`."""
    from stemwright.drums.picture import as_png
    from stemwright.engine.drum_chart import write

    names = _names()
    made = write(heard, title=title, path_of=lambda part: stage.new_file(names[part]))
    files = {str(part): path for part, path in made.items()}
    if png:
        files["picture_png"] = stage.new_file(names["picture_png"])
        files["picture_png"].write_bytes(as_png(files["picture"].read_text(encoding="utf-8")))
    return files


def _of_chart(folder: Path) -> set[str]:
    """Which optional files there came with an earlier chart of ours, as its other files tell."""
    from stemwright.disk import read_json

    names = {part: folder / name for part, name in _names().items()}
    try:
        match read_json(names["chart"]):
            case {"model": {"weights_digest": str()}, "bpm": bpm}:
                quantised = {"midi_quantised"} if bpm else set()
                return quantised | ({"picture_png"} if _is_drawn(names["picture_png"], names["picture"]) else set())
    except (OSError, ValueError):
        pass
    return set()


def _is_drawn(png: Path, picture: Path) -> bool:
    """Whether a PNG is as large as one of this picture is."""
    from stemwright.disk import read_small

    try:
        head = read_small(png)
        size = re.search(rb'width="(\d+)" height="(\d+)"', read_small(picture))
    except OSError:
        return False
    drawn = [int.from_bytes(head[16:20]), int.from_bytes(head[20:24])]
    return size is not None and drawn == [2 * int(side) for side in size.groups()]


def _record(song: Path, chart: Chart, files: dict[str, Path], notices: tuple[Notice, ...]) -> dict[str, Any]:
    return {
        "status": "done",
        "song": str(song),
        "files": {name: str(path) for name, path in files.items()},
        "onsets": len(chart.hits),
        "bpm": round(chart.beats.bpm, 2) if chart.beats else None,
        "duration": round(chart.duration, 4),
        "warnings": [{"code": notice.code, "message": notice.message} for notice in notices],
    }


def _sentence(chart: Chart) -> str:
    hits = f"{len(chart.hits)} hits"
    if not chart.beats:
        return f"{hits}, no clear tempo"
    octave = chart.beats.octave_bpm
    other = f", or counted otherwise {octave:.1f}" if octave else ""
    return f"{hits}, {chart.beats.bpm:.1f} BPM{other}"


def _print(body: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(body) + "\n")
    sys.stdout.flush()
