"""What runs in the engine process: one request a line on standard input, answers as lines on standard output."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stemwright import failpoints
from stemwright.engine.process import messages
from stemwright.engine.process.messages import VERSION, Progress, Said
from stemwright.engine.process.processes import kill_own_descendants, step_back
from stemwright.engine.receipt import NoticeRecord
from stemwright.engine.song_facts import AnalysisRecord, KeyRecord, SongFacts, TempoRecord
from stemwright.errors import StemwrightError, as_output_error, resource_error
from stemwright.records import Fault, JsonObject, Record
from stemwright.weights import config
from stemwright.words import plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from stemwright.analysis.key import KeyMeter
    from stemwright.analysis.tempo import TempoMeter
    from stemwright.audio.loudness import LoudnessMeter
    from stemwright.engine.options import SeparateOptions
    from stemwright.engine.process.messages import AnyRequest
    from stemwright.engine.receipt import Loudness
    from stemwright.engine.separate import Engine
    from stemwright.engine.warm import WarmEngines
    from stemwright.types import Notice, Samples

_EVERY: Final = 0.2  # seconds between two reports of one stage


class Child:
    """Answers requests, with the models of earlier ones still loaded."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers
        config.configure(replace(config.current(), on_progress=self._downloading))
        self._engines: WarmEngines | None = None  # loaded with the first song
        self._stage, self._told = "", 0.0

    def answer(self, line: str) -> None:
        """Do what a line asks for, and answer."""
        try:
            result = self._do(messages.request_of(line))
        except StemwrightError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  (the edge of a job)
            traceback.print_exc()
            if ours := as_output_error(error) if isinstance(error, OSError) else resource_error(error):
                self._fail(ours)
            else:
                self._say(error=Fault(code="internal", message=f"{type(error).__name__}: {error}"))
        else:
            self._say(result=result.model_dump(mode="json"))

    def _do(self, request: AnyRequest) -> Record:
        made: Record
        match request:
            case messages.Scan():
                made = self._scan(request)
            case messages.Separate():
                made = self._separate(request)
            case messages.Transcribe():
                made = self._transcribe(request)
            case messages.Import():
                made = self._import(request)
            case messages.Transcode():
                made = _transcode(request)
            case messages.Align():
                made = _align(request)
            case messages.Mix():
                made = _mix(request)
            case messages.PackStems():
                made = _pack(request)
        return made

    def _fail(self, error: StemwrightError) -> None:
        self._say(error=Fault(code=error.code, message=error.message))

    def _say(
        self, *, progress: Progress | None = None, error: Fault | None = None, result: JsonObject | None = None
    ) -> None:
        said = Said(version=VERSION, progress=progress, error=error, result=result)
        self._answers.write(said.model_dump_json() + "\n")
        self._answers.flush()

    def _progress(self, stage: str, fraction: float | None, /) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._told < _EVERY and fraction != 1:
            return
        if stage != self._stage:
            failpoints.reached(stage)
        self._stage, self._told = stage, now
        self._say(progress=Progress(stage=stage, fraction=fraction))

    def _downloading(self, _label: str, done: int, total: int | None, /) -> None:
        """Weights are on their way."""
        self._progress("downloading", done / total if total else None)

    def _scan(self, request: messages.Scan) -> SongFacts:
        from stemwright.audio.decode import open_audio
        from stemwright.audio.digest import PcmDigest
        from stemwright.audio.tags import read_tags

        self._progress("hashing", None)
        meters = _Meters(wanted=request.analysis, loudness=request.loudness)
        with open_audio(request.song, limits=request.limits, track=request.track) as stream:
            info = stream.info
            digest = PcmDigest(info.sample_rate, info.channels)
            for block in stream:
                digest.update(block)
                meters.add(info.sample_rate, block, mask=info.speaker_mask)
                self._progress("hashing", None)
            frames, notices = stream.frames, stream.notices
        tags, _ = read_tags(request.song, demuxer=info.container, track=info.track)
        return SongFacts(
            pcm_digest=digest.hexdigest(),
            duration=frames / info.sample_rate,
            sample_rate=info.sample_rate,
            channels=info.channels,
            title=plain(tags.text.get("title", "")),
            artist=plain(tags.text.get("artist", "")),
            analysis=meters.result(notices),
        )

    def _separate(self, request: messages.Separate) -> Record:
        self._stage = ""
        engine = self._engine(request)
        made = engine.separate(request.song, request.root, file_name=request.file_name, on_progress=self._progress)
        return made.receipt

    def _transcribe(self, request: messages.Transcribe) -> messages.ChartRecord:
        from stemwright.audio.decode import open_audio
        from stemwright.engine import drum_chart
        from stemwright.engine.drum_names import PARTS
        from stemwright.engine.stored import STORED

        self._stage, done = "", 0
        with open_audio(request.drums, limits=STORED) as stream:
            total = max(1, round(request.seconds * stream.info.sample_rate))

            def step(frames: int) -> None:
                nonlocal done
                done += frames
                self._progress("transcribing", min(1.0, done / total))

            heard = drum_chart.listen(
                stream, sample_rate=stream.info.sample_rate, channels=stream.info.channels, on_block=step
            )
        made = drum_chart.write(
            heard, title=request.title, path_of=lambda part: Path(request.root, ".".join(PARTS[part]))
        )
        record = heard.record({part: path.name for part, path in made.items()})
        return messages.ChartRecord(drums=record, warnings=_records((*stream.notices, *heard.notices)))

    def _engine(self, request: messages.Separate) -> Engine:
        from stemwright.engine.warm import WarmEngines
        from stemwright.separators.catalogue import resolve

        # what `auto` stands for changes when weights come, and when publishers may be asked again
        what = request.model_copy(update={"song": Path(), "root": Path(), "file_name": ""}).model_dump_json()
        self._engines = self._engines or WarmEngines()
        return self._engines.engine((what, resolve(request.model, repo=request.repo)), lambda: _options(request))

    def _import(self, request: messages.Import) -> messages.ImportRecord:
        from stemwright.engine.import_receipt import receipt_of
        from stemwright.engine.imported import Most, import_stems

        began = time.monotonic()
        meters = _Meters(wanted=True)
        most = Most(seconds=request.most_seconds, decoded_bytes=request.most_decoded_bytes)
        made = import_stems(request.files, request.root, limits=request.limits, most=most, on_mix=meters.add)
        size = sum(path.stat().st_size for path in request.files.values())
        receipt = receipt_of(made, request.root, size_bytes=size, elapsed=time.monotonic() - began)
        (request.root / "receipt.json").write_text(receipt.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return messages.ImportRecord(receipt=receipt, analysis=meters.result())


def _options(request: messages.Separate) -> SeparateOptions:
    from stemwright.audio.formats import parse_format
    from stemwright.engine.choice import strategy_of
    from stemwright.engine.naming import NameTemplate
    from stemwright.engine.options import SeparateOptions

    strategy = strategy_of(request.model, repo=request.repo)
    return SeparateOptions(
        model=request.model if strategy is None else "auto",
        strategy=strategy,
        repo=request.repo,
        device=request.device,
        settings=request.settings,
        format=parse_format(request.format),
        peaks=("dat",),
        template=NameTemplate("{stem}.{ext}"),
        limits=request.limits,
        track=request.track,
    )


def _transcode(request: messages.Transcode) -> messages.Nothing:
    from stemwright.audio.formats import parse_format
    from stemwright.engine.mixdown import transcode

    form = parse_format(request.format)
    for source, target in request.files.items():
        transcode(source, target, format=form, bitrate=request.bitrate, promise=request.promises.get(source))
    return messages.Nothing()


def _align(request: messages.Align) -> messages.Nothing:
    from stemwright.audio.formats import parse_format
    from stemwright.engine.mixdown import recording

    recording(
        request.source,
        request.target,
        format=parse_format(request.format),
        digest=request.digest,
        track=request.track,
        sample_rate=request.sample_rate,
        gain_db=request.gain_db,
    )
    return messages.Nothing()


def _mix(request: messages.Mix) -> messages.MixRecord:
    from stemwright.audio.formats import parse_format
    from stemwright.engine.mixdown import mixdown

    made = mixdown(
        request.stems,
        request.target,
        strips=request.strips,
        format=parse_format(request.format),
        start=request.start,
        end=request.end,
    )
    return messages.MixRecord(gain_db=made.gain_db)


def _pack(request: messages.PackStems) -> messages.Nothing:
    from stemwright.audio.formats import parse_format
    from stemwright.engine.mixdown import stem_mp4

    stem_mp4(request.stems, request.target, format=parse_format(request.format))
    return messages.Nothing()


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

    def result(self, notices: Iterable[Notice] = ()) -> AnalysisRecord | None:
        """What was found, with what was noticed on the way; None where nothing was wanted."""
        if self._meters is None:
            return None
        tempo, key = self._meters[0].tempo(), self._meters[1].key()
        octave = None if tempo.octave is None else round(tempo.octave, 3)
        return AnalysisRecord(
            tempo=TempoRecord(
                bpm=round(tempo.bpm, 3),
                confidence=round(tempo.confidence, 3),
                octave=octave,
                octave_strength=round(tempo.octave_strength, 3),
            )
            if tempo.bpm
            else None,
            key=KeyRecord(**{name: getattr(key, name) for name in KeyRecord.model_fields}) if key else None,
            loudness=self._loudness_found(),
            warnings=_records(notices),
        )

    def _loudness_found(self) -> Loudness | None:
        """The loudness as a receipt has it, where it was measured."""
        from stemwright.engine.receipt import Loudness

        if self._level is None:
            return None
        lufs, peak = self._level.integrated_lufs(), self._level.true_peak_dbtp()
        return Loudness(
            integrated_lufs=None if lufs is None else round(lufs, 2),
            true_peak_dbtp=None if peak is None else round(peak, 2),
        )


def _records(notices: Iterable[Notice]) -> tuple[NoticeRecord, ...]:
    return tuple(map(NoticeRecord.of, notices))


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
        child.answer(line)


def _listen(requests: list[str], there: threading.Condition) -> None:
    for line in sys.stdin:
        with there:
            requests.append(line)
            there.notify()
    kill_own_descendants()
    os._exit(3)
