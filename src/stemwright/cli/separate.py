"""`stemwright separate`: songs and folders in, stems out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stemwright.cli.console import Reporter
    from stemwright.cli.songs import Task
    from stemwright.engine.options import PeaksFormat, SeparateOptions
    from stemwright.engine.separate import Engine

DEFAULT_OUTPUT = Path("stems")
_STEM_MP4 = {"stem.mp4": "m4a", "stem.mp4-alac": "alac16"}


class PeaksChoice(StrEnum):
    """Which waveform overviews to write."""

    none = "none"
    json = "json"
    dat = "dat"
    both = "both"


_PEAKS: dict[PeaksChoice, tuple[PeaksFormat, ...]] = {
    PeaksChoice.none: (),
    PeaksChoice.json: ("json",),
    PeaksChoice.dat: ("dat",),
    PeaksChoice.both: ("json", "dat"),
}


def separate(  # noqa: PLR0913, PLR0917  (one parameter an option of the command)
    songs: Annotated[list[Path], typer.Argument(metavar="SONG|FOLDER...", help="Recordings, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the stems go.")] = DEFAULT_OUTPUT,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="NAME|FILE", help="See `stemwright models`; or a YAML of a model of your own."
        ),
    ] = "auto",
    strategy: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="A tree of models in the place of one; see `stemwright strategies`."),
    ] = None,
    repo: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A folder of weights: those of a model's own software, or your own."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never connect for weights.")] = False,
    settings: Mapping[str, Any] = MappingProxyType({}),
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="wav16, wav24, wav32f, flac16, flac24, mp3, opus, m4a, alac16, alac24, stem.mp4 or stem.mp4-alac.",
        ),
    ] = "flac",
    bitrate: Annotated[str | None, typer.Option(metavar="KBPS", help="Of mp3, opus and m4a, such as 192.")] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1, mps; cuda/half.")] = "auto",
    name_template: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="File names of {song} {stem} {ext} {artist} {title} {album} {model}. Default: {song}/{stem}.{ext}",
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The same as --no-exact.")] = False,
    peaks: Annotated[PeaksChoice, typer.Option(help="Waveform overviews as audiowaveform files.")] = PeaksChoice.none,
    picture: Annotated[bool, typer.Option("--picture", help="Draw the waveforms as an SVG.")] = False,
    drums: Annotated[
        bool, typer.Option("--drums", help="Write the drum stem as a chart, MIDI and a picture of them too.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a song, and nothing else, on standard output.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Do it again though it is done; overwrite files that are in the way.")
    ] = False,
    max_duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Refuse longer recordings. Default: one hour.")
    ] = None,
    track: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Of a file with several audio tracks. Default: its default one."),
    ] = None,
) -> None:
    """Take songs apart.

    Each song becomes a folder of stems with a receipt.json that says how they were made. A song that was done before
    with the same settings is skipped. A folder goes on after a song that fails, and the exit code is 1 then.
    """
    from stemwright.cli.console import Reporter
    from stemwright.cli.songs import find_songs
    from stemwright.engine.separate import Engine
    from stemwright.engine.settings import SeparationSettings
    from stemwright.errors import NoSongsError, StemwrightError

    reporter = Reporter(as_json=as_json)
    try:
        options = _options(
            model=model,
            strategy=strategy,
            repo=repo,
            offline=offline,
            reporter=reporter,
            settings=SeparationSettings.typed({**settings, **({"exact": False} if raw else {})}),
            format_=format_,
            bitrate=bitrate,
            device=device,
            template=name_template,
            peaks=peaks,
            picture=picture,
            drums=drums,
            force=force,
            max_duration=max_duration,
            track=track,
        )
        engine = Engine(options)
    except StemwrightError as error:
        reporter.refuse(error)
        raise typer.Exit(2) from error
    try:
        found = find_songs(songs, output)
        if not found.tasks:
            reporter.refuse(NoSongsError(f"no song in {', '.join(map(str, songs))}"))
            raise typer.Exit(1)
        with reporter.batch(found):
            for task in found.tasks:
                if not _one(engine, task, reporter):
                    break
    except KeyboardInterrupt:
        reporter.interrupted()
        raise typer.Exit(130) from None
    if reporter.failures:
        raise typer.Exit(1)


def _one(engine: Engine, task: Task, reporter: Reporter) -> bool:
    """Separate one song and say what became of it; False when no other song can fare better."""
    from stemwright.cli.speeds import note_speed
    from stemwright.errors import NoAudioStreamError, OptionError, SetupError, StemwrightError

    try:
        with reporter.song(task.song) as on_progress:
            result = engine.separate(task.song, task.root, name=task.name, on_progress=on_progress)
    except StemwrightError as error:
        if isinstance(error, NoAudioStreamError) and not task.named:  # a film without sound, in a folder
            reporter.pass_over(task.song)
            return True
        reporter.failed(task.song, code=error.code, message=error.message)
        return not isinstance(error, SetupError | OptionError)
    except Exception as error:  # noqa: BLE001  (the edge of a job: the other songs go on)
        reporter.unexpected(task.song, error)
    else:
        if not result.skipped:
            receipt = result.receipt
            note_speed(receipt.model.name, duration=receipt.input.duration, elapsed=receipt.elapsed)
        reporter.done(task.song, result)
    return True


def _options(  # noqa: PLR0913
    *,
    model: str,
    strategy: str | None,
    repo: Path | None,
    offline: bool,
    reporter: Reporter,
    format_: str,
    bitrate: str | None,
    template: str | None,
    peaks: PeaksChoice,
    max_duration: float | None,
    **same: Any,
) -> SeparateOptions:
    """What was typed, as options of the engine. Raises `OptionError`."""
    from dataclasses import replace

    from stemwright.app.settings import load_settings
    from stemwright.app.weights import use_weights
    from stemwright.audio.formats import parse_format
    from stemwright.engine.naming import NameTemplate
    from stemwright.engine.options import SeparateOptions
    from stemwright.errors import OptionError
    from stemwright.separators import catalogue

    ours = load_settings()
    use_weights(ours, offline=offline, on_progress=reporter.downloading)
    model, repo = catalogue.at_path(model, repo=repo)
    limits = ours.limits()
    if max_duration is not None:
        limits = replace(limits, duration=max_duration)
    word = format_.strip().lower().removeprefix(".")
    codec = _STEM_MP4.get(word)
    try:
        form = parse_format(codec or word)
    except OptionError as error:
        raise OptionError(f"{error.message}, {', '.join(_STEM_MP4)}") from error
    return SeparateOptions(
        **_strategy(strategy, repo, model=model, budget=ours.strategy_cache),
        model=model,
        repo=repo,
        format=form,
        stem_mp4=codec is not None,
        bitrate=_bits(bitrate),
        template=NameTemplate() if template is None else NameTemplate(template),
        peaks=_PEAKS[peaks],
        limits=limits,
        **same,
    )


def _strategy(reference: str | None, repo: Path | None, *, model: str, budget: int) -> dict[str, Any]:
    """The options that a strategy needs.

    Raises `UnknownStrategyError`, `StrategyError`, and `UnknownModelError` for a strategy that is given as `model`.
    """
    from stemwright.engine.trees.intermediates import Intermediates
    from stemwright.errors import UnknownModelError
    from stemwright.separators import catalogue
    from stemwright.strategies.find import find_strategy, is_strategy
    from stemwright.weights.config import current

    if reference is None:
        if is_strategy(model, repo=repo):
            try:
                catalogue.find_model(model, repo=repo)
            except UnknownModelError:
                raise UnknownModelError(f"{model} is a strategy: use --strategy {model}") from None
        return {}
    kept = Intermediates(current().cache / "strategies", budget=budget)
    return {"strategy": find_strategy(reference, repo=repo), "intermediates": kept}


def _bits(text: str | None) -> int | None:
    """`192` or `192k` as bits a second. Raises `OptionError`."""
    from stemwright.errors import OptionError

    if text is None:
        return None
    digits = text.strip().lower().removesuffix("k")
    if not digits.isdecimal():
        raise OptionError(f"bit rate {text!r}: give kbit/s, such as 192")
    return int(digits) * 1000
