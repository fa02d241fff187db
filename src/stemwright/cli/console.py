"""What people see: progress on standard error, results on standard output, and nothing of it twice."""

from __future__ import annotations

import json
import os
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import markup
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stemwright.cli.songs import Found
    from stemwright.engine.song_result import OnProgress, SongResult, Stage
    from stemwright.errors import StemwrightError

_WIDE = 400  # columns
_SHARES: dict[Stage, tuple[float, float]] = {  # where each stage begins and ends on the bar, in percent
    "reading": (0, 3),
    "separating": (3, 90),
    "transcribing": (90, 94),
    "encoding": (94, 100),
}


def escape(text: str) -> str:
    """A text from outside as a terminal can show it: no markup, no control characters, nothing undecodable."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return markup.escape(shown)


def wide_console(*, stderr: bool = False) -> Console:
    """A console that never breaks the lines of a pipe or a file."""
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDE
    return console


class Reporter:
    """Says what becomes of each song: bars and words to people, lines to programs."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._out = wide_console()
        self._err = wide_console(stderr=True)
        self._said: set[tuple[str, str]] = set()
        self._rows: list[tuple[str, str, str]] = []  # (song, outcome, detail)
        self._progress: Progress | None = None
        self._count = self._number = 0
        self._passed: list[Path] = []
        self.failures = 0

    def refuse(self, error: StemwrightError) -> None:
        """The command cannot be run as typed."""
        if self._json:
            self._line({"status": "failed", "error": {"code": error.code, "message": error.message}})
        self._say(f"[red]error[/] ({error.code}): {escape(error.message)}")

    def interrupted(self) -> None:
        """Ctrl-C."""
        self._say("stopped; nothing half-written is left")

    @contextmanager
    def batch(self, found: Found) -> Iterator[None]:
        """Frame all songs: the bar before, the table after."""
        self._count = len(found.tasks)
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("·"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._err,
            transient=True,
            disable=self._json or not self._err.is_terminal,
        )
        with bar:
            self._progress = bar
            yield
        self._progress = None
        if untried := self._count - self._number:
            self._say(f"{untried} more song{'s' * (untried > 1)} not tried: they would fail in the same way")
        for folder in found.unreadable:
            self.failures += 1
            self._say(f"[red]{escape(folder)}[/]")
        if passed := [*found.ignored, *self._passed]:
            files, them = ("file was", "it") if len(passed) == 1 else ("files were", "them")
            self._say(f"{len(passed)} other {files} passed over (no sound in {them}, or unfinished): {_some(passed)}")
        if self._count > 1 and not self._json:
            self._table()

    @contextmanager
    def song(self, song: Path) -> Iterator[OnProgress]:
        """Frame one song; gives what the engine is to tell its progress to."""
        self._number += 1
        assert self._progress is not None  # noqa: S101  (for mypy: it is so by construction)
        progress, place = self._progress, f"{self._number}/{self._count} " if self._count > 1 else ""
        name = escape(song.name if len(song.name) <= 40 else f"{song.name[:39]}…")
        row = progress.add_task(f"{place}{name}", total=100)

        def on_progress(stage: Stage, fraction: float | None) -> None:
            begin, end = _SHARES[stage]
            percent = begin + (end - begin) * (fraction or 0)
            progress.update(row, completed=percent, description=f"{place}{name} · {stage}")

        try:
            yield on_progress
        finally:
            progress.remove_task(row)

    def downloading(self, label: str, done: int, total: int | None) -> None:
        """The weights of a model are on their way."""
        if self._progress is None or self._progress.disable:
            if not done:
                self._say(f"downloading {escape(label)}" + (f", {total / 1e6:.0f} MB" if total else ""))
            return
        rows = [task for task in self._progress.tasks if task.fields.get("download") == label]
        row = (
            rows[0].id if rows else self._progress.add_task(f"downloading {escape(label)}", total=total, download=label)
        )
        self._progress.update(row, completed=done, total=total)
        if done == total:
            self._progress.remove_task(row)

    def done(self, song: Path, result: SongResult) -> None:
        """One song is finished, or had been."""
        receipt = result.receipt
        status = "skipped" if result.skipped else "done"
        if self._json:
            files = {stem: str(path) for stem, path in result.files().items()}
            body: dict[str, object] = {"status": status, "song": str(song), "folder": str(result.root), "files": files}
            if receipt.drums:
                body["drums"] = {part: str(path) for part, path in result.chart_files().items()}
            self._line(body | {"receipt": receipt.model_dump(mode="json")})
        elif self._out.is_terminal:
            self._paragraph(song, result)
        else:
            if result.skipped:
                self._say(f"{escape(song.name)} was done before with these settings")
            for path in dict.fromkeys([*result.files().values(), *result.chart_files().values()]):
                sys.stdout.buffer.write(os.fsencode(path) + b"\n")
            sys.stdout.flush()
        for warning in result.warnings():
            if (warning.code, warning.message) in self._said:  # what holds for every song is said once
                continue
            self._said.add((warning.code, warning.message))
            self._say(f"[yellow]{escape(song.name)}[/] ({warning.code}): {escape(warning.message)}")
        self._rows.append((song.name, status, f"{len(receipt.stems)} stems by {_model(result)}"))

    def pass_over(self, song: Path) -> None:
        """A file of a folder turned out to be no recording."""
        self._passed.append(song)

    def failed(self, song: Path, *, code: str, message: str, trace: bool = False) -> None:
        """One song could not be done."""
        self.failures += 1
        if self._json:
            self._line({"status": "failed", "song": str(song), "error": {"code": code, "message": message}})
        if trace:
            self._err.print(traceback.format_exc(), markup=False)
        short = message.removeprefix(f"{song}: ").removeprefix(f"{song.name}: ")
        self._say(f"[red]{escape(song.name)}[/] ({code}): {escape(short)}")
        self._rows.append((song.name, "failed", f"{code}: {message}"))

    def unexpected(self, song: Path, error: Exception) -> None:
        """One song could not be done, for a reason that is not one of ours."""
        from stemwright.errors import as_output_error, resource_error

        if ours := as_output_error(error) if isinstance(error, OSError) else resource_error(error):
            self.failed(song, code=ours.code, message=ours.message)
        else:
            self.failed(song, code="internal", message=f"{type(error).__name__}: {error}", trace=True)

    def _paragraph(self, song: Path, result: SongResult) -> None:
        receipt = result.receipt
        if result.skipped:
            self._out.print(f"[bold]{escape(song.name)}[/] was done before with these settings; --force does it again")
        else:
            speed = f"{1 / receipt.real_time_factor:.1f}× real time" if receipt.real_time_factor else ""
            how = f"{_model(result)} on {receipt.device} in {receipt.elapsed:.1f} s"
            self._out.print(f"[bold]{escape(song.name)}[/] by {how}, {speed}")
        table = Table.grid(padding=(0, 2))
        for stem, path in zip(receipt.stems, result.files().values(), strict=True):
            lufs = stem.loudness.integrated_lufs
            loudness = "silent" if lufs is None else f"{lufs:.1f} LUFS"
            table.add_row("", escape(stem.name), loudness, escape(str(path)))
        for part, path in result.chart_files().items():
            table.add_row("", "drums", part.replace("_", ", "), escape(str(path)))
        self._out.print(table)

    def _table(self) -> None:
        table = Table("song", "outcome", "", box=None, pad_edge=False)
        colours = {"failed": "red", "skipped": "dim", "done": "green"}
        for song, outcome, detail in self._rows:
            table.add_row(escape(song), f"[{colours[outcome]}]{outcome}[/]", escape(detail))
        self._err.print(table)
        done = sum(outcome == "done" for _, outcome, _ in self._rows)
        skipped = sum(outcome == "skipped" for _, outcome, _ in self._rows)
        self._say(f"{done} done, {skipped} done before, {self.failures} failed")

    def _say(self, text: str) -> None:
        self._err.print(text)

    def _line(self, body: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(body) + "\n")  # ASCII: any name of a file, in any locale
        sys.stdout.flush()


def _some(paths: Sequence[Path], *, most: int = 5) -> str:
    names = [escape(path.name) for path in paths[:most]]
    return ", ".join([*names, "…"] if len(paths) > most else names)


def _model(result: SongResult) -> str:
    model = result.receipt.model
    return f"{model.name} (a draft)" if model.draft else model.name
