"""What runs in the engine process: one request a line on standard input, answers as lines on standard output."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stemwright import failpoints
from stemwright.engine.process.processes import kill_own_descendants, step_back
from stemwright.errors import StemwrightError, as_output_error, resource_error
from stemwright.weights import config
from stemwright.words import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TextIO

    from stemwright.analysis.key import KeyMeter
    from stemwright.analysis.tempo import TempoMeter
    from stemwright.audio.decode import DecodeLimits
    from stemwright.audio.loudness import LoudnessMeter
    from stemwright.engine.separate import Engine
    from stemwright.types import Notice, Samples

_EVERY: Final = 0.2  # seconds between two reports of one stage
_WARM: Final = 2  # engines with their models that are kept


class Child:
    """Answers requests, with the models of earlier ones still loaded."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        config.configure(replace(config.current(), on_progress=self._downloading))
        self._engines: dict[str, Engine] = {}
        self._stage, self._told = "", 0.0
        self._does: dict[str, Callable[..., dict[str, Any]]] = {
            "scan": self._scan,
            "separate": self._separate,
            "transcribe": self._transcribe,
            "transcode": self._transcode,
            "recording": self._recording,
            "mixdown": self._mixdown,
            "stem_mp4": self._stem_mp4,
            "import": self._import,
        }

    def answer(self, request: dict[str, Any]) -> None:
        """Do what a request says, and answer."""
        try:
            result = self._does[request.pop("what")](**request)
        except StemwrightError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  (the edge of a job)
            traceback.print_exc()
            if ours := as_output_error(error) if isinstance(error, OSError) else resource_error(error):
                self._fail(ours)
            else:
                self._say(error={"code": "internal", "message": f"{type(error).__name__}: {error}"})
        else:
            self._say(result=result)

    def _fail(self, error: StemwrightError) -> None:
        self._say(error={"code": error.code, "message": error.message})

    def _say(self, **what: Any) -> None:
        self._answers.write(json.dumps(what) + "\n")
        self._answers.flush()

    def _progress(self, stage: str, fraction: float | None, /) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._told < _EVERY and fraction != 1:
            return
        if stage != self._stage:
            failpoints.reached(stage)
        self._stage, self._told = stage, now
        self._say(stage=stage, fraction=fraction)

    def _downloading(self, _label: str, done: int, total: int | None, /) -> None:
        """Weights are on their way."""
        self._progress("downloading", done / total if total else None)

    def _scan(self, *, song: str, limits: dict[str, Any], analysis: bool, loudness: bool) -> dict[str, Any]:
        """The facts of a song: its digest, length, tags, tempo, key and loudness."""
        from stemwright.audio.decode import open_audio
        from stemwright.audio.digest import PcmDigest
        from stemwright.audio.tags import read_tags

        path = Path(song)
        self._progress("hashing", None)
        meter = _Meters(wanted=analysis, loudness=loudness)
        with open_audio(path, limits=_limits(limits)) as stream:
            info = stream.info
            digest = PcmDigest(info.sample_rate, info.channels)
            for block in stream:
                digest.update(block)
                meter.add(info.sample_rate, block, mask=info.speaker_mask)
                self._progress("hashing", None)
            frames, notices = stream.frames, stream.notices
        tags, _ = read_tags(path, demuxer=info.container)
        found = meter.result()
        if found is not None and notices:
            found["warnings"] = _told(notices)
        return {
            "pcm_digest": digest.hexdigest(),
            "duration": frames / info.sample_rate,
            "sample_rate": info.sample_rate,
            "channels": info.channels,
            "title": plain(tags.text.get("title", "")),
            "artist": plain(tags.text.get("artist", "")),
            "analysis": found,
        }

    def _separate(self, *, song: str, root: str, options: dict[str, Any]) -> dict[str, Any]:
        """Stems, their overviews and the receipt as files of a folder; the receipt."""
        self._stage = ""
        engine = self._engine(options)
        result = engine.separate(Path(song), Path(root), on_progress=self._progress)
        receipt: dict[str, Any] = json.loads(result.receipt.model_dump_json())
        return receipt

    def _transcribe(self, *, drums: str, root: str, title: str, seconds: float) -> dict[str, Any]:
        """The chart of a drum stem of so many seconds as files of a folder; what a receipt says of it."""
        from stemwright.audio.decode import open_audio
        from stemwright.engine import drum_chart
        from stemwright.engine.drum_names import PARTS
        from stemwright.engine.stored import STORED

        self._stage, done = "", 0
        with open_audio(Path(drums), limits=STORED) as stream:
            total = max(1, round(seconds * stream.info.sample_rate))

            def step(frames: int) -> None:
                nonlocal done
                done += frames
                self._progress("transcribing", min(1.0, done / total))

            heard = drum_chart.listen(
                stream, sample_rate=stream.info.sample_rate, channels=stream.info.channels, on_block=step
            )
        made = drum_chart.write(heard, title=title, path_of=lambda part: Path(root, ".".join(PARTS[part])))
        record = heard.record({part: path.name for part, path in made.items()})
        warnings = _told((*stream.notices, *heard.notices))
        return {"drums": record.model_dump(mode="json"), "warnings": warnings}

    def _engine(self, options: dict[str, Any]) -> Engine:
        from stemwright.audio.formats import parse_format
        from stemwright.engine.choice import resolve, strategy_of
        from stemwright.engine.naming import NameTemplate
        from stemwright.engine.options import SeparateOptions
        from stemwright.engine.separate import Engine

        repo = Path(options["repo"]) if options["repo"] else None
        # what `auto` stands for changes when weights come, and when publishers may be asked again
        key = json.dumps([options, resolve(options["model"], repo=repo)], sort_keys=True)
        if key not in self._engines:
            while len(self._engines) >= _WARM:
                del self._engines[next(iter(self._engines))]
            strategy = strategy_of(options["model"], repo=repo)
            self._engines[key] = Engine(
                SeparateOptions(
                    model=options["model"] if strategy is None else "auto",
                    strategy=strategy,
                    repo=repo,
                    device=options["device"],
                    stems=tuple(options["stems"]) if options["stems"] else None,
                    sample_rate=options["sample_rate"],
                    format=parse_format(options["format"]),
                    peaks=("dat",),
                    template=NameTemplate("{stem}.{ext}"),
                    limits=_limits(options["limits"]),
                )
            )
        return self._engines[key]

    def _transcode(self, *, source: str, target: str, format: str) -> dict[str, Any]:  # noqa: A002
        from stemwright.audio.formats import parse_format
        from stemwright.engine.mixdown import transcode

        transcode(Path(source), Path(target), format=parse_format(format))
        return {}

    def _recording(self, *, source: str, target: str, format: str, **of: Any) -> dict[str, Any]:  # noqa: A002
        from stemwright.audio.formats import parse_format
        from stemwright.engine.mixdown import recording

        recording(Path(source), Path(target), format=parse_format(format), **of)
        return {}

    def _mixdown(
        self,
        *,
        stems: dict[str, str],
        target: str,
        format: str,  # noqa: A002
        strips: dict[str, Any],
        **how: Any,
    ) -> dict[str, Any]:
        from stemwright.audio.formats import parse_format
        from stemwright.engine.channel_strip import ChannelStrip
        from stemwright.engine.mixdown import mixdown

        settings = {name: ChannelStrip(**strip) for name, strip in strips.items()}
        made = mixdown(_paths(stems), Path(target), strips=settings, format=parse_format(format), **how)
        return {"gain_db": made.gain_db}

    def _stem_mp4(self, *, stems: dict[str, str], target: str, format: str) -> dict[str, Any]:  # noqa: A002
        from stemwright.audio.formats import parse_format
        from stemwright.engine.mixdown import stem_mp4

        stem_mp4(_paths(stems), Path(target), format=parse_format(format))
        return {}

    def _import(
        self, *, files: dict[str, str], root: str, limits: dict[str, Any], most: dict[str, Any]
    ) -> dict[str, Any]:
        from stemwright.engine.imported import Most, import_stems

        meters = _Meters(wanted=True)
        made = import_stems(_paths(files), Path(root), limits=_limits(limits), most=Most(**most), on_mix=meters.add)
        notices = [*made.notices, *(notice for stem in made.stems for notice in stem.notices)]
        receipt = {
            "input": {
                "digest": made.digest,
                "duration": made.duration,
                "sample_rate": made.sample_rate,
                "channels": made.channels,
                "loudness": made.mix_loudness.model_dump(),
            },
            "model": {"name": "imported", "draft": False},
            "settings": {"format": made.format.name, "stems": [stem.record.name for stem in made.stems]},
            "gain_db": made.gain_db,
            "residual_db": None,
            "warnings": _told(notices),
            "stems": [stem.record.model_dump(mode="json") for stem in made.stems],
        }
        (Path(root) / "receipt.json").write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")
        return {"receipt": receipt, "analysis": meters.result()}


class _Meters:
    """Tempo and key, or nothing where they are not wanted; where it is wanted loudness too, of the downmix."""

    def __init__(self, *, wanted: bool, loudness: bool = False) -> None:
        self._wanted, self._loudness = wanted, loudness
        self._meters: tuple[TempoMeter, KeyMeter] | None = None
        self._level: LoudnessMeter | None = None

    def add(self, sample_rate: int, block: Samples, *, mask: int = 0) -> None:
        """Take the next samples, `[C, T]` float32; `mask` names the speakers of more than two channels."""
        if self._wanted and self._meters is None:
            from stemwright.analysis.key import KeyMeter
            from stemwright.analysis.tempo import TempoMeter

            self._meters = TempoMeter(sample_rate), KeyMeter(sample_rate)
        for meter in self._meters or ():
            meter.add(block)
        if self._loudness:
            self._add_level(sample_rate, block, mask=mask)

    def _add_level(self, sample_rate: int, block: Samples, *, mask: int) -> None:
        from stemwright.audio.channels import to_stereo
        from stemwright.audio.loudness import LoudnessMeter

        block = block if block.shape[0] <= 2 else to_stereo(block, mask=mask)
        self._level = self._level or LoudnessMeter(sample_rate, channels=block.shape[0])
        self._level.add(block)

    def result(self) -> dict[str, Any] | None:
        """What was found; None for a tempo or a key that is not there."""
        if self._meters is None:
            return None
        tempo, key = self._meters[0].tempo(), self._meters[1].key()
        beats = {name: getattr(tempo, name) for name in ("bpm", "confidence", "octave", "octave_strength")}
        tones = ("name", "tonic", "mode", "camelot", "open_key", "confidence")
        return {
            "tempo": {name: value and round(value, 3) for name, value in beats.items()} if tempo.bpm else None,
            "key": {name: getattr(key, name) for name in tones} if key else None,
            **self._levels(),
        }

    def _levels(self) -> dict[str, Any]:
        """The loudness as a receipt has it, where it was measured."""
        if self._level is None:
            return {}
        level = {"integrated_lufs": self._level.integrated_lufs(), "true_peak_dbtp": self._level.true_peak_dbtp()}
        return {"loudness": {name: None if value is None else round(value, 2) for name, value in level.items()}}


def _told(notices: Iterable[Notice]) -> list[dict[str, str]]:
    return [{"code": notice.code, "message": notice.message} for notice in notices]


def _limits(given: dict[str, Any]) -> DecodeLimits:
    from stemwright.audio.decode import DecodeLimits

    return DecodeLimits(**given)


def _paths(files: dict[str, str]) -> dict[str, Path]:
    return {name: Path(path) for name, path in files.items()}


def run() -> None:
    """Answer until standard input ends; end at once when the parent is gone, whatever is being done."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    for number in (signal.SIGTERM, signal.SIGINT):  # sent to all of a service at once; the executor decides
        signal.signal(number, signal.SIG_IGN)
    step_back()
    requests: list[str] = []
    there = threading.Condition()
    threading.Thread(target=_listen, args=(requests, there), daemon=True).start()
    child = Child(answers)
    while True:
        with there:
            there.wait_for(lambda: requests)
            line = requests.pop(0)
        child.answer(json.loads(line))


def _listen(requests: list[str], there: threading.Condition) -> None:
    for line in sys.stdin:
        with there:
            requests.append(line)
            there.notify()
    kill_own_descendants()
    os._exit(3)
