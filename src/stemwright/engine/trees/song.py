"""One song through a strategy: the plan's steps in order, each sound kept on disk for as long as it is needed."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stemwright.engine.prefetch import prefetch
from stemwright.engine.receipt import PIPELINE, NodeRecord
from stemwright.engine.trees.blend import blend, rest
from stemwright.engine.trees.progress import Shares
from stemwright.engine.trees.sound import Sound
from stemwright.engine.unmix import Unmixer
from stemwright.errors import OutOfMemoryError
from stemwright.memory import give_back
from stemwright.strategies.plan import Blend, Rest, Run, digest_of, make_plan, needed, sources
from stemwright.types import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from pathlib import Path

    from stemwright.engine.trees.intermediates import Intermediates
    from stemwright.engine.trees.models import Models
    from stemwright.engine.unmix import SongShape
    from stemwright.separators.protocol import Separator
    from stemwright.strategies.plan import Step
    from stemwright.strategies.tree import Strategy
    from stemwright.types import Digest, Samples, StemName

_LIGHT: Final = 0.01  # what a step without a model costs, where htdemucs costs 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeWork:
    """What is done with every song: the tree, its models, and the stems that are wanted."""

    used: Strategy  # as much of the tree as the wanted stems need
    order: tuple[StemName, ...]  # all stems of the whole strategy
    stems: tuple[StemName, ...]  # those that are wanted
    models: Models
    intermediates: Intermediates | None


class TreeRun:
    """One song, taken apart once."""

    def __init__(
        self, work: TreeWork, digest: Digest, *, shape: SongShape, folder: Path, on_progress: Callable[[float], None]
    ) -> None:
        """`folder` is private to this song; nothing but what it makes is deleted there."""
        self._work, self._shape, self._folder, self._report = work, shape, folder, on_progress
        song = digest_of(["song", PIPELINE, work.models.half, digest, shape.sample_rate, shape.channels, shape.frames])
        self._plan = make_plan(work.used, song=song, specs=work.models.spec_of, exact=work.models.exact)
        self._leaves = {stem: self._plan.leaves[stem] for stem in work.stems}
        self._all = {*needed(self._plan, work.stems)}
        self._sounds: dict[Digest, Sound] = {}
        self._devices: dict[int, str] = {}  # of the runs that were made now
        self._segments: dict[int, float] = {}
        self.notices: list[Notice] = []

    def peak_bytes(self) -> int:
        """The room on the disk that all sounds can take at once."""
        waiting = self._waiting([*self._all])
        steps = self._steps(needed(self._plan, self._work.stems))
        there, most = {self._plan.song}, 1
        for made, step in steps:
            there |= {*made}
            most = max(most, len(there))
            there -= self._released(waiting, step)
        return most * self._shape.frames * self._shape.channels * 4

    def run(self, blocks: Iterable[Samples]) -> Iterator[tuple[Samples, Samples]]:
        """Take the song, `[C, T]` float32 a block; yield mix and stems in step, `[C, t]` and `[S, C, t]` float32.

        The stems are all of the strategy's, in its order; those that are not wanted are zeros. Raises as the models do,
        `DiskFullError`, `OutputError`, and what `on_progress` raises.
        """
        left = needed(self._plan, self._work.stems, is_there=self._is_kept)
        steps = self._steps(left)
        costs = [(("song",), _LIGHT), *(self._cost(step) for _, step in steps)]
        shares = Shares(
            costs,
            seconds=self._shape.frames / self._shape.sample_rate,
            learnt=self._work.models.learnt,
            report=self._report,
        )
        shares.begin()
        self._write(self._plan.song, blocks)
        shares.end()
        waiting = self._waiting(left)
        for made, step in steps:
            shares.begin()
            self._make(made, step, shares.at)
            shares.end()
            for sound in self._released(waiting, step):
                self._sounds.pop(sound).remove()
            give_back()
        shares.at(1.0)
        yield from self._in_step()

    def nodes(self) -> tuple[NodeRecord, ...]:
        """What was done by which model, for the receipt."""
        records = []
        for run in self._plan.runs():
            stems = run.used_stems(self._all)
            if not stems:
                continue
            spec, use = self._work.models.spec_of(run.use), run.use
            records.append(
                NodeRecord(
                    paths=tuple(run.paths),
                    model=spec.info.name,
                    family=spec.info.family,
                    licence=spec.licence,
                    draft=spec.info.draft,
                    weights_digest=spec.weights_digest,
                    publisher=spec.publisher.name if spec.publisher else None,
                    back_end=spec.back_end,
                    device=self._devices.get(id(run)),
                    stems=stems,
                    overlap=spec.overlap if use.overlap is None else use.overlap,
                    shifts=use.shifts,
                    segment=self._segments.get(id(run), spec.segment / spec.sample_rate),
                )
            )
        return tuple(records)

    def _is_kept(self, sound: Digest) -> bool:
        """Whether a sound was made before, and is a file here now."""
        step, kept = self._plan.makers[sound], self._work.intermediates
        if kept is None or not isinstance(step, Run) or not step.known:
            return False
        found = kept.fetch(sound, self._path(sound), channels=self._shape.channels, frames=self._shape.frames)
        if found is not None:
            self._sounds[sound] = found
            self._report(0.0)
        return found is not None

    def _steps(self, left: list[Digest]) -> list[tuple[list[Digest], Step]]:
        """The steps that make these sounds, each once, with all that it makes of them."""
        steps: dict[int, tuple[list[Digest], Step]] = {}
        for sound in left:
            step = self._plan.makers[sound]
            steps.setdefault(id(step), ([], step))[0].append(sound)
        return [*steps.values()]

    def _waiting(self, left: list[Digest]) -> dict[Digest, int]:
        """How many steps, and the song's end, still need each sound."""
        counts = dict.fromkeys([*self._leaves.values(), self._plan.song], 1)
        for _, step in self._steps(left):
            for sound in {*sources(step)}:
                counts[sound] = counts.get(sound, 0) + 1
        return counts

    @staticmethod
    def _released(waiting: dict[Digest, int], step: Step) -> set[Digest]:
        """Count a step as done; the sounds that nothing needs any more."""
        for sound in {*sources(step)}:
            waiting[sound] -= 1
        return {sound for sound in {*sources(step)} if not waiting[sound]}

    def _make(self, made: list[Digest], step: Step, at: Callable[[float], None]) -> None:
        match step:
            case Run():
                self._run(made, step, at)
            case Rest():
                parts = [self._sounds[part] for part in step.parts]
                self._write(made[0], rest(self._sounds[step.whole], parts), at)
            case Blend():
                weighed = [(self._sounds[part], weight) for part, weight in step.parts]
                self._write(made[0], blend(step.method, weighed), at)

    def _run(self, made: list[Digest], run: Run, at: Callable[[float], None]) -> None:
        """Run a model; where its memory does not suffice, again with less."""
        stems = run.used_stems(self._all)
        whole: Separator = self._work.models.separator(run.use, stems=stems)
        separator = whole
        began = time.monotonic()
        while True:
            try:
                self._attempt(separator, made, run, at)
                break
            except OutOfMemoryError:
                smaller = separator.with_less_memory()
                if smaller is None:
                    raise
                separator = smaller
                seconds = separator.spec.segment / separator.spec.sample_rate
                text = (
                    f"the device's memory did not suffice for {run.use.model}: again with segments of {seconds:.2f} s"
                )
                self.notices.append(Notice("less_memory", f"{text}, {separator.batch_size} at once"))
        self._devices[id(run)] = separator.device
        self._segments[id(run)] = separator.spec.segment / separator.spec.sample_rate
        kept = self._work.intermediates
        if kept is not None and run.known and separator.spec.segment == whole.spec.segment:
            for sound in made:
                kept.keep(sound, self._sounds[sound], took=time.monotonic() - began)

    def _attempt(self, separator: Separator, made: list[Digest], run: Run, at: Callable[[float], None]) -> None:
        given = self._sounds[run.given]
        shape = self._shape if run.given == self._plan.song else given.shape(self._shape.sample_rate)
        sounds = {key: Sound.at(self._path(key), channels=shape.channels) for key in made}
        places = {key: separator.spec.stems.index(run.stems[key]) for key in made}
        unmixer = Unmixer(separator, shape, overlap=run.use.overlap, shifts=run.use.shifts, on_progress=at)
        with ExitStack() as stack:
            for sound in sounds.values():
                stack.enter_context(closing(sound))
            for _, estimates in stack.enter_context(closing(prefetch(unmixer.run(given.blocks())))):
                for key, place in places.items():
                    sounds[key].write(estimates[place])
        self._sounds |= sounds

    def _write(self, key: Digest, blocks: Iterable[Samples], at: Callable[[float], None] | None = None) -> None:
        """Write a sound; `at` is told the share that is written."""
        with closing(Sound.at(self._path(key), channels=self._shape.channels)) as sound:
            for block in blocks:
                sound.write(block)
                if at:
                    at(min(1.0, sound.scratch.frames / self._shape.frames))
                else:
                    self._report(0.0)
        self._sounds[key] = sound

    def _in_step(self) -> Iterator[tuple[Samples, Samples]]:
        order = self._work.order
        streams = [(order.index(stem), self._sounds[sound].blocks()) for stem, sound in self._leaves.items()]
        for mix in self._sounds[self._plan.song].blocks():
            estimates = np.zeros((len(order), *mix.shape), np.float32)
            for place, stream in streams:
                estimates[place] = next(stream)
            yield mix, estimates

    def _cost(self, step: Step) -> tuple[Hashable, float]:
        """What a step is known by, and what it costs, about."""
        if not isinstance(step, Run):
            return (type(step).__name__, len(sources(step))), _LIGHT
        spec, use = self._work.models.spec_of(step.use), step.use
        overlap = spec.overlap if use.overlap is None else use.overlap
        cost = spec.info.cost * max(1, use.shifts) * (1 - spec.overlap) / (1 - overlap)
        return (use.model, use.segment, overlap, use.shifts, step.used_stems(self._all)), cost

    def _path(self, sound: Digest) -> Path:
        return self._folder / f"{sound}.sound"
