"""`stemwright transcribe`: a song or a drum recording in, a drum chart and MIDI out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from stemwright.audio.decode import DecodeLimits
    from stemwright.drums.chart import Chart
    from stemwright.types import Notice

DEFAULT_OUTPUT = Path("charts")
_BY_SKETCH = "the drums were taken out of the mix by sketch, which gives a draft; --drums-only takes a better stem"


def transcribe(
    song: Annotated[Path, typer.Argument(metavar="SONG_OR_STEM", help="A song, or a recording of drums.")],
    drums_only: Annotated[
        bool, typer.Option("--drums-only", help="It is drums alone: nothing needs to be separated first.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the chart goes.")] = (
        DEFAULT_OUTPUT
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a chart that is there.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, and nothing else, on standard output.")
    ] = False,
) -> None:
    """Write the drums of a song as a chart on eight lanes, and as MIDI.

    The chart is a folder of the song's name with chart.json, chart.mid at the times that were played, and, where the
    tempo is clear, chart-quantised.mid. Of a song the drums are first taken out by the bundled separator.
    """
    from stemwright.cli.console import escape, wide_console
    from stemwright.errors import StemwrightError

    errors = wide_console(stderr=True)
    try:
        chart, files, notices = _chart(song, output=output, drums_only=drums_only, force=force)
    except StemwrightError as error:
        if as_json:
            _print({"status": "failed", "song": str(song), "error": {"code": error.code, "message": error.message}})
        errors.print(f"[red]{escape(song.name)}[/] ({error.code}): {escape(error.message)}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        errors.print("stopped; nothing half-written is left")
        raise typer.Exit(130) from None
    if as_json:
        _print(_record(song, chart, files, notices))
    else:
        for path in files.values():
            typer.echo(path)
        errors.print(f"{escape(song.name)}: {_sentence(chart)}")
    for notice in notices:
        errors.print(f"[yellow]{escape(song.name)}[/] ({notice.code}): {escape(notice.message)}")


def _chart(
    song: Path, *, output: Path, drums_only: bool, force: bool
) -> tuple[Chart, dict[str, Path], tuple[Notice, ...]]:
    """Transcribe, and write the files. Raises `StemwrightError`s."""
    from stemwright.app.settings import load_settings
    from stemwright.drums.chart import ABOUT_DRAFT
    from stemwright.engine.naming import safe_name
    from stemwright.engine.output import as_output_error
    from stemwright.errors import OutputExistsError
    from stemwright.types import Notice

    limits = load_settings().limits()
    folder = output / safe_name(song.stem)
    files = {"chart": folder / "chart.json", "midi": folder / "chart.mid"}
    if not force and (there := next((path for path in files.values() if path.exists()), None)):
        raise OutputExistsError(f"{there} is there already; --force overwrites it")
    with _drums_of(song, limits=limits, drums_only=drums_only) as (drums, notices):
        chart, heard = _listen(drums, limits=limits)
    if drums_only:
        notices += heard
    if chart.draft:
        notices += (Notice("draft", ABOUT_DRAFT),)
    try:
        _write(chart, files)
        if chart.beats:
            files["midi_quantised"] = folder / "chart-quantised.mid"
    except OSError as error:
        raise as_output_error(error) from error
    return chart, files, notices


def _drums_of(
    song: Path, *, limits: DecodeLimits, drums_only: bool
) -> AbstractContextManager[tuple[Path, tuple[Notice, ...]]]:
    """The file to listen to: the song itself, or its drums in a temporary folder; and what is to be said of it."""
    import tempfile
    from contextlib import contextmanager

    from stemwright.audio.formats import parse_format
    from stemwright.engine.options import SeparateOptions
    from stemwright.engine.separate import Engine
    from stemwright.types import Notice

    @contextmanager
    def drums() -> Iterator[tuple[Path, tuple[Notice, ...]]]:
        if drums_only:
            yield song, ()
            return
        options = SeparateOptions(model="sketch", stems=("drums",), format=parse_format("wav32f"), limits=limits)
        with tempfile.TemporaryDirectory(prefix="stemwright-") as folder:
            result = Engine(options).separate(song, Path(folder))
            warnings = [Notice(warning.code, warning.message) for warning in result.warnings()]
            notices = tuple(Notice("draft", _BY_SKETCH) if warning.code == "draft" else warning for warning in warnings)
            yield result.files()["drums"], notices

    return drums()


def _listen(drums: Path, *, limits: DecodeLimits) -> tuple[Chart, tuple[Notice, ...]]:
    """The chart of a recording of drums, with what was wrong with the recording."""
    from stemwright.analysis.tempo import TempoMeter
    from stemwright.audio.decode import open_audio
    from stemwright.drums.transcribe import Transcriber

    with open_audio(drums, limits=limits) as stream:
        rate = stream.info.sample_rate
        transcriber, meter = Transcriber(rate, channels=stream.info.channels), TempoMeter(rate)
        for block in stream:
            transcriber.add(block)
            meter.add(block)
        notices = tuple(stream.notices)
    tempo = meter.tempo()
    return transcriber.finish(bpm=tempo.bpm, octave_bpm=tempo.octave), notices


def _write(chart: Chart, files: dict[str, Path]) -> None:
    """The chart's files, each whole or not at all."""
    from stemwright.drums.midi import midi_bytes

    folder = files["chart"].parent
    folder.mkdir(parents=True, exist_ok=True)
    quantised = folder / "chart-quantised.mid"
    contents = {files["midi"]: midi_bytes(chart)}
    if chart.beats:
        contents[quantised] = midi_bytes(chart, quantise=True)
    else:
        quantised.unlink(missing_ok=True)  # of an earlier chart
    contents[files["chart"]] = chart.dumps().encode()
    for path, data in contents.items():
        partial = path.with_name(f".{path.name}.partial")
        try:
            partial.write_bytes(data)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _record(song: Path, chart: Chart, files: dict[str, Path], notices: tuple[Notice, ...]) -> dict[str, Any]:
    return {
        "status": "done",
        "song": str(song),
        "files": {name: str(path) for name, path in files.items()},
        "onsets": len(chart.strokes),
        "bpm": round(chart.beats.bpm, 2) if chart.beats else None,
        "duration": round(chart.duration, 4),
        "draft": chart.draft,
        "warnings": [{"code": notice.code, "message": notice.message} for notice in notices],
    }


def _sentence(chart: Chart) -> str:
    strokes = f"{len(chart.strokes)} strokes"
    if not chart.beats:
        return f"{strokes}, no clear tempo"
    other = f", or counted otherwise {chart.octave_bpm:.1f}" if chart.octave_bpm else ""
    return f"{strokes}, {chart.beats.bpm:.1f} BPM{other}"


def _print(body: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(body) + "\n")
    sys.stdout.flush()
