"""What the options name, loaded: a model on its own, or a strategy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemwright.engine.prefetch import prefetch
from stemwright.engine.song_separator import Origin, Settings
from stemwright.engine.trees.tree import Tree
from stemwright.engine.unmix import Unmixer
from stemwright.errors import OptionError
from stemwright.separators import catalogue
from stemwright.separators.protocol import LoadOptions
from stemwright.types import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from stemwright.engine.options import SeparateOptions
    from stemwright.engine.receipt import NodeRecord
    from stemwright.engine.song_separator import SongSeparator
    from stemwright.engine.unmix import SongShape
    from stemwright.separators.protocol import ModelInfo, Separator
    from stemwright.types import Digest, Samples, StemName


@dataclass(frozen=True, slots=True)
class Single:
    """One model."""

    separator: Separator
    options: SeparateOptions

    @property
    def info(self) -> ModelInfo:
        """The model."""
        return self.separator.spec.info

    @property
    def digest(self) -> Digest | None:
        """Of its weights."""
        return self.separator.spec.weights_digest

    @property
    def origin(self) -> Origin:
        """Where its weights come from."""
        spec = self.separator.spec
        publisher = spec.publisher.name if spec.publisher else None
        return Origin(licence=spec.licence, publisher=publisher, back_end=spec.back_end)

    @property
    def device(self) -> str:
        """The device really used."""
        return self.separator.device

    @property
    def settings(self) -> Settings:
        """How it is run, its defaults filled in."""
        spec, options = self.separator.spec, self.options.settings
        return Settings(
            overlap=spec.overlap if options.overlap is None else options.overlap,
            shifts=options.shifts if spec.shift else 0,
            segment=spec.segment / spec.sample_rate,
        )

    def song(
        self,
        digest: Digest,  # noqa: ARG002
        *,
        shape: SongShape,
        folder: Path,  # noqa: ARG002
        on_progress: Callable[[float], None],
    ) -> SingleRun:
        """Prepare one song."""
        options = self.options.settings
        return SingleRun(
            Unmixer(self.separator, shape, overlap=options.overlap, shifts=options.shifts, on_progress=on_progress)
        )

    def with_less_memory(self) -> tuple[Single, Notice] | None:
        """The same model set to need less memory, or None when at the end."""
        smaller = self.separator.with_less_memory()
        if smaller is None:
            return None
        seconds = smaller.spec.segment / smaller.spec.sample_rate
        text = f"the device's memory did not suffice: started again with segments of {seconds:.2f} s"
        notice = Notice("less_memory", f"{text}, {smaller.batch_size} at once")
        return Single(smaller, self.options), notice


@dataclass(frozen=True, slots=True)
class SingleRun:
    """One song through one model."""

    unmixer: Unmixer
    notices: tuple[Notice, ...] = ()

    def peak_bytes(self) -> int:
        """Nothing of it is on the disk."""
        return 0

    def run(self, blocks: Iterable[Samples]) -> Iterator[tuple[Samples, Samples]]:
        """As the protocol says; a thread works ahead."""
        return prefetch(self.unmixer.run(blocks))

    def nodes(self) -> tuple[NodeRecord, ...]:
        """None: it is no strategy."""
        return ()


def tree_of(options: SeparateOptions) -> Tree | None:
    """The strategy that the options name, not loaded yet. Raises `StrategyError`."""
    if options.strategy is None:
        return None
    return Tree(
        options.strategy,
        device=options.device,
        repo=options.repo,
        exact=options.settings.exact,
        intermediates=options.intermediates,
    )


def load(
    options: SeparateOptions, *, tree: Tree | None, needed: tuple[StemName, ...] | None
) -> tuple[SongSeparator, tuple[Notice, ...]]:
    """Load what the options name, for the stems that are `needed`, or all; and what the user must be told of it.

    Raises the `SetupError`s of loading a model, `UnknownModelError`, `OptionError`.
    """
    reason = None
    loaded: SongSeparator
    if tree is not None:
        tree.load(stems=needed)
        loaded = tree
    else:
        how = LoadOptions(
            device=options.device,
            repo=options.repo,
            segment=options.settings.segment,
            stems=needed,
            raw=not options.settings.exact,
        )
        if options.model == "auto":
            separator, reason = catalogue.choose_auto(how)
        else:
            separator = catalogue.load(options.model, options=how)
        if options.settings.shifts and not separator.spec.shift:
            raise OptionError(f"{separator.spec.info.name} gains nothing by shifts; leave --shifts out")
        loaded = Single(separator, options)
    info = loaded.info
    draft = (Notice("draft", catalogue.about_draft(info.name, reason)),) if info.draft else ()
    return loaded, draft
