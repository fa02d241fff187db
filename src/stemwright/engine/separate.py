"""One song to its stems on disk: scan, separate, encode, publish, and a receipt of it all."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stemwright.audio.decode import open_audio
from stemwright.audio.ffmpeg import ffmpeg_version
from stemwright.audio.resample import Resampler, resampled_length
from stemwright.audio.sniff import sniff
from stemwright.audio.tags import Tags, read_tags
from stemwright.drums.frames import DrumNetwork
from stemwright.engine import drum_chart, loading, naming, output
from stemwright.engine.drum_names import STEM, no_stem
from stemwright.engine.key import result_key
from stemwright.engine.mixing import StemMixer
from stemwright.engine.prefetch import prefetch
from stemwright.engine.receipt import (
    InputRecord,
    ModelRecord,
    NoticeRecord,
    Receipt,
    SettingsRecord,
    versions,
)
from stemwright.engine.render import Measured, Meter, Names, Renderer, Rendering
from stemwright.engine.scan import Scan, scanning, song_blocks
from stemwright.engine.scratch import ScratchAudio
from stemwright.engine.song_result import SongResult
from stemwright.errors import NoDrumStemError, OptionError, OutOfMemoryError, OutputExistsError, as_output_error
from stemwright.memory import give_back
from stemwright.separators import catalogue
from stemwright.types import Notice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path, PurePosixPath

    from stemwright.engine.options import SeparateOptions
    from stemwright.engine.output import Staging
    from stemwright.engine.receipt import FileRecord, NodeRecord
    from stemwright.engine.song_result import OnProgress, Stage
    from stemwright.engine.song_separator import SongSeparator
    from stemwright.separators.protocol import ModelInfo
    from stemwright.types import Digest, SampleRate, StemName

_READ_AHEAD = 14  # blocks of the song: a chunk of the model's, so that it need not wait for the decoder


@dataclass(slots=True, kw_only=True)
class _Separated:
    """The stems as samples, and what was measured on the way."""

    separator: SongSeparator
    nodes: tuple[NodeRecord, ...]
    sample_rate: SampleRate
    audio: dict[StemName, ScratchAudio]
    mix: ScratchAudio | None
    measured_mix: Measured
    residual_db: float | None
    notices: tuple[Notice, ...]


class Engine:
    """Separates songs with one set of options; the model stays loaded from one song to the next."""

    def __init__(self, options: SeparateOptions) -> None:
        """Check what can be checked without loading anything heavy.

        Raises `UnknownModelError`, `UnknownStemError`, `StrategyError`.
        """
        self.options = options
        self._separator: SongSeparator | None = None
        self._drums: DrumNetwork | None = None
        self._choice: tuple[Notice, ...] = ()
        self._needed: tuple[StemName, ...] | None = None
        self._tree = loading.tree_of(options)
        if self._tree is not None:
            self._needed = self._mixer(self._tree.info).needed
        elif options.model != "auto":
            info = catalogue.find_model(options.model, repo=options.repo)[1]
            if options.repo is None:  # what a folder has under that name is known when it is loaded
                self._needed = self._mixer(info).needed
        self._written: set[Path] = set()  # receipts of this engine's songs

    def separate(
        self,
        song: Path,
        root: Path,
        *,
        name: str | None = None,
        file_name: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> SongResult:
        """Separate one song into files below `root`; templates call it `name`, or as its file without the ending.

        The receipt calls it `file_name`, or as its file.

        Raises the `InputError`s of decoding, the `SetupError`s of loading a model, `UnknownStemError`, `OptionError`,
        `OutputExistsError`, `OutputError`, `OutOfMemoryError`, and what `on_progress` raises; then nothing is left.
        """
        try:
            return self._one(song, root, name or song.stem, on_progress or _silent, file_name=file_name or song.name)
        except OSError as error:
            raise as_output_error(error) from error

    def _one(self, song: Path, root: Path, name: str, report: OnProgress, *, file_name: str) -> SongResult:
        started = time.monotonic()
        options = self.options
        report("reading", None)
        sniff(song)  # a file that is not audio does not wait for a model
        with scanning(
            song, limits=options.limits, track=options.track, on_block=lambda: report("reading", None)
        ) as reading:
            separator = self._load()
            found = reading.result()
        stems = self._mixer(separator.info).stems
        tags, tag_notices = read_tags(song, demuxer=found.info.container, track=found.info.track)
        names = self._names(name, tags, stems, model=separator.info.name)
        key = result_key(
            found.digest,
            [separator.info.family, separator.info.name, separator.digest],
            self._settings(separator, stems, found.shape.sample_rate).model_dump(mode="json"),
            device=options.device,
            tags=tags.identity(),
            files=sorted(map(str, names.all())),
            drums=[drum_chart.VERSION, self._drums.digest] if self._drums else None,
        )
        left = output.sweep(root)
        earlier = output.earlier_receipt(root / names.receipt)
        if earlier and earlier.key == key and not options.force and output.is_whole(earlier, root):
            return SongResult(root=root, receipt=earlier, skipped=True, notices=(*self._choice, *left))
        check = self._guard(song, found, names, root, draft=separator.info.draft)
        check()
        with output.staging(root) as stage:
            separated = self._separate(song, found, separator, stage, report)
            charted = drum_chart.make(
                separated.audio,
                sample_rate=separated.sample_rate,
                network=self._drums,
                stage=stage,
                names=names,
                title=tags.text.get("title") or names.song,
                on_progress=lambda fraction: report("transcribing", fraction),
            )
            give_back()
            rendering = Renderer(
                names,
                stage=stage,
                tags=tags,
                sample_rate=separated.sample_rate,
                on_progress=lambda fraction: report("encoding", fraction),
            ).render(separated.audio, mix=separated.mix, measured_mix=separated.measured_mix)
            staged = rendering.files | (charted.files if charted else {})
            stale = output.stale_beside(root, names.receipt, {*names.all()} - staged.keys())
            receipt = self._receipt(
                file_name,
                found,
                separated,
                rendering,
                charted,
                key=key,
                extra=tag_notices,
                staged=staged,
                names=names,
                kept=output.kept_beside(root, names.receipt, digest=found.digest, without={*staged, *stale}),
                elapsed=time.monotonic() - started,
            )
            draft = stage.new_file("receipt.json")
            draft.write_text(receipt.model_dump_json(indent=2) + "\n", encoding="utf-8")
            stage.publish(staged | {names.receipt: draft}, receipt=names.receipt, check=check, stale=stale)
        self._written.add((root / names.receipt).absolute())
        return SongResult(root=root, receipt=receipt, notices=left)

    def _guard(self, song: Path, found: Scan, names: Names, root: Path, *, draft: bool) -> Callable[[], None]:
        """What makes sure, now and again before publishing, that nothing of another origin is overwritten."""
        if (root / names.receipt).absolute() in self._written:  # even with `force`
            raise OutputExistsError(
                f"{song.name} would overwrite another song of this run; tell them apart by the name template"
            )
        this = output.SourceSong(path=song, digest=found.digest, draft=draft)
        return lambda: output.check_free(root, names.all(), receipt=names.receipt, song=this, force=self.options.force)

    def _load(self) -> SongSeparator:
        """The model or the strategy, loaded once."""
        if self._separator is None:
            self._separator, self._choice = loading.load(self.options, tree=self._tree, needed=self._needed)
            self._drums = DrumNetwork() if self.options.drums else None
        return self._separator

    def _mixer(self, info: ModelInfo) -> StemMixer:
        """What makes the stems that are wanted. Raises `UnknownStemError`, `NoDrumStemError`."""
        exact = self.options.settings.exact and self._tree is None  # a strategy's stems add up as they come
        mixer = StemMixer(info, wanted=self.options.settings.stems, exact=exact)
        if self.options.drums and STEM not in mixer.stems:
            raise NoDrumStemError(no_stem(mixer.stems))
        return mixer

    def _names(self, song: str, tags: Tags, stems: tuple[StemName, ...], *, model: str) -> Names:
        """Where the song's files go."""
        if self.options.stem_mp4 and len(stems) != 4:
            raise OptionError(f"a .stem.mp4 holds four stems, not {len(stems)} ({', '.join(stems)})")
        name = naming.safe_name(song)
        fields = {
            "song": name,
            "model": model,
            **{field: tags.text.get(field, "") for field in ("artist", "title", "album")},
        }
        template = self.options.template
        return Names(
            song=name,
            model=model,
            of=lambda stem, extension: template.path(fields, stem=stem, ext=extension),
            stems=stems,
            options=self.options,
        )

    def _settings(self, separator: SongSeparator, stems: tuple[StemName, ...], rate: SampleRate) -> SettingsRecord:
        options, settings = self.options, separator.settings
        return SettingsRecord(
            stems=stems,
            overlap=settings.overlap,
            shifts=settings.shifts,
            segment=settings.segment,
            exact=options.settings.exact,
            format=f"stem.mp4 ({options.format.name})" if options.stem_mp4 else options.format.name,
            bitrate=options.format.check_bitrate(options.bitrate),
            sample_rate=self._output_rate(rate),
        )

    def _output_rate(self, rate: SampleRate) -> SampleRate:
        return self.options.format.nearest_rate(self.options.settings.sample_rate or rate)

    def _separate(
        self, song: Path, found: Scan, separator: SongSeparator, stage: Staging, report: OnProgress
    ) -> _Separated:
        """Run the model; where its memory does not suffice, again with less."""
        notices: list[Notice] = []
        while True:
            try:
                return self._attempt(song, found, separator, stage, report, notices=notices)
            except OutOfMemoryError:
                smaller = separator.with_less_memory()
                if smaller is None:
                    raise
                separator, notice = smaller  # for this song; the next may do with the whole
                notices.append(notice)

    def _attempt(
        self,
        song: Path,
        found: Scan,
        separator: SongSeparator,
        stage: Staging,
        report: OnProgress,
        *,
        notices: list[Notice],
    ) -> _Separated:
        options, shape = self.options, found.shape
        rate = self._output_rate(shape.sample_rate)
        mixer = self._mixer(separator.info)
        meter = Meter(shape.sample_rate, shape.channels, peaks=options.wants_peaks)
        streams = [*mixer.stems, *(["mix"] if options.stem_mp4 else [])]
        run = separator.song(
            found.digest,
            shape=shape,
            folder=stage.folder,
            on_progress=lambda fraction: report("separating", fraction),
        )
        frames = resampled_length(shape.frames, in_rate=shape.sample_rate, out_rate=rate)
        # float32 between the steps, and at most as much again for the files
        stage.require(run.peak_bytes() + len(streams) * shape.channels * frames * 8)
        audio = {name: ScratchAudio(stage.new_file(f"{name}.f32"), shape.channels) for name in streams}
        resampler = Resampler(shape.sample_rate, rate, channels=len(streams) * shape.channels)

        def write(flat: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
            for scratch, block in zip(audio.values(), flat.reshape(len(streams), shape.channels, -1), strict=True):
                scratch.write(block)

        with ExitStack() as stack:
            for scratch in audio.values():
                stack.enter_context(closing(scratch))
            stream = stack.enter_context(open_audio(song, limits=options.limits, track=found.info.track))
            blocks = stack.enter_context(
                closing(prefetch(song_blocks(stream, expected=found.digest), most=_READ_AHEAD))
            )
            for mix, estimates in run.run(blocks):
                meter.add(mix)
                stems = mixer.mix(mix, estimates)
                block = np.concatenate([stems, mix[None]]) if options.stem_mp4 else stems
                write(resampler.push(block.reshape(-1, block.shape[-1])))
            write(resampler.finish())
        return _Separated(
            separator=separator,
            nodes=run.nodes(),
            sample_rate=rate,
            mix=audio.pop("mix") if options.stem_mp4 else None,
            audio=audio,
            measured_mix=meter.measured(),
            residual_db=mixer.residual_db(),
            notices=(*notices, *run.notices),
        )

    def _receipt(  # noqa: PLR0913
        self,
        file_name: str,
        found: Scan,
        separated: _Separated,
        rendering: Rendering,
        charted: drum_chart.Charted | None,
        *,
        key: Digest,
        extra: tuple[Notice, ...],
        staged: dict[PurePosixPath, Path],
        names: Names,
        kept: dict[str, FileRecord | None],
        elapsed: float,
    ) -> Receipt:
        separator, shape, info = separated.separator, found.shape, found.info
        model, mixer = separator.info, self._mixer(separator.info)
        duration = shape.frames / shape.sample_rate
        rates: tuple[Notice, ...] = ()
        wanted = self.options.settings.sample_rate or shape.sample_rate
        if separated.sample_rate != wanted:
            text = f"{self.options.format.name} cannot carry {wanted} Hz: the stems are at {separated.sample_rate} Hz"
            rates = (Notice("resampled", text),)
        beside = {name: path for name, path in staged.items() if str(name) not in {one.file for one in rendering.stems}}
        of_chart = charted.notices if charted else ()
        notices = (*self._choice, *found.notices, *extra, *separated.notices, *rates, *rendering.notices, *of_chart)
        return Receipt(
            key=key,
            input=InputRecord(
                name=file_name.encode("utf-8", "replace").decode(),  # names of files may be no text
                digest=found.digest,
                size_bytes=found.size_bytes,
                container=info.container,
                sample_rate=info.sample_rate,
                channels=info.channels,
                frames=shape.frames,
                duration=duration,
                track=info.track,
                late=info.late,
                loudness=separated.measured_mix.loudness,
            ),
            model=ModelRecord(
                requested=self.options.model if self._tree is None else model.name,
                name=model.name,
                family=model.family,
                licence=separator.origin.licence,
                draft=model.draft,
                weights_digest=separator.digest,
                publisher=separator.origin.publisher,
                back_end=separator.origin.back_end,
            ),
            nodes=separated.nodes,
            device=separator.device,
            settings=self._settings(separator, mixer.stems, shape.sample_rate),
            gain_db=rendering.gain_db,
            residual_db=None if separated.residual_db is None else round(separated.residual_db, 2),
            residual_added_to=mixer.remainder,
            elapsed=round(elapsed, 3),
            real_time_factor=round(elapsed / duration, 5),
            versions=versions(ffmpeg_version()),
            warnings=tuple(NoticeRecord.of(notice) for notice in notices),
            stems=rendering.stems,
            drums=charted.record if charted else None,
            files=tuple(sorted(map(str, (*staged, names.receipt)))),
            kept=tuple(kept),
            others=(*output.records(beside), *filter(None, kept.values())),
        )


def _silent(_stage: Stage, _fraction: float | None, /) -> None:
    """Report to nobody."""
