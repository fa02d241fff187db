"""What a separator is: a model described by data, and one function from a chunk of mix to chunks of stems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from stemwright.types import Digest, SampleRate, StemName
    from stemwright.weights.config import OnProgress
    from stemwright.weights.publishers import Publisher, Statement

Availability: TypeAlias = Literal["ready", "download", "missing"]


HALF: Final = "/half"


def is_half(device: str) -> bool:
    """Whether a device is asked to compute in float16: its stems are others than those in float32.

    >>> is_half("cuda:0/half"), is_half("cuda:0")
    (True, False)
    """
    return device.endswith(HALF)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model as a catalogue lists it, before it is loaded."""

    name: str
    family: str
    summary: str
    stems: tuple[StemName, ...]
    licence: str
    source: str  # where its weights come from
    download_bytes: int = 0  # what a first use downloads, about; 0 when nothing
    draft: bool = False  # the result is a sketch, not a final separation
    cost: float = 1.0  # the time that a song takes, about, where htdemucs takes 1
    sdr: str | None = None  # dB, mean of the stems on MUSDB18-HQ's test songs, as its authors published it
    publishers: tuple[Publisher, ...] = ()  # where its weights may be had
    statements: tuple[Statement, ...] = ()  # what is said of their licence, word for word


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A loaded model: all that the engine needs to know to run it.

    A chunk is `segment` samples long. The first and the last `context` samples of what comes out are discarded; the
    rest is blended with its neighbours by triangular weights, `overlap` being the share that two chunks have in common.
    """

    info: ModelInfo
    stems: tuple[StemName, ...]
    sample_rate: SampleRate
    channels: int
    segment: int  # samples
    shorter: bool = False  # the last chunk is handed over as long as it is, not centred in a segment
    context: int = 0  # samples
    overlap: float = 0.25  # the default: 0 <= overlap < 1
    shift: int = 0  # samples, the longest random delay of the shift trick; 0 when shifts do not help
    standardise: bool = False  # the mix is scaled to mean 0 and deviation 1 over the whole song
    weights_digest: Digest | None = None
    publisher: Publisher | None = None  # that the weights came from, where it is known
    back_end: str = "onnxruntime"  # what runs the network

    @property
    def licence(self) -> str:
        """Of the weights, as the publisher that they came from states it."""
        return self.publisher.licence if self.publisher else self.info.licence


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How to load a model."""

    device: str = "auto"  # auto, cpu, cuda, cuda:N or mps; with /half at its end in half precision
    repo: Path | None = None  # a local folder of weights
    stems: tuple[StemName, ...] | None = None  # those that will be used; others may be returned as zeros
    segment: float | None = None  # seconds; the model's own when None
    raw: bool = False  # stems as the model's own software gives them, though they do not add up to the mix


class Separator(Protocol):
    """A loaded model."""

    @property
    def spec(self) -> ModelSpec:
        """What the engine needs to know."""
        ...

    @property
    def device(self) -> str:
        """The device really used, such as `cpu`, `cuda:0` or `cuda:0/half`."""
        ...

    @property
    def batch_size(self) -> int:
        """How many chunks to hand over at once."""
        ...

    def separate(self, chunks: npt.NDArray[np.float32], /) -> npt.NDArray[np.float32]:
        """Split chunks of a mix into stems.

        Input: `[B, C, T]` float32, T = `spec.segment`, or less if `spec.shorter`. Output: `[B, S, C, T]` float32, stems
        in the order of the spec.
        Raises `errors.OutOfMemoryError` when the device's memory does not suffice.
        """
        ...

    def with_less_memory(self) -> Separator | None:
        """The same model set to need less memory (smaller batch, then half the segment), or None when at the end."""
        ...


class Family(Protocol):
    """A kind of models that one back end runs, registered under the entry point group `stemwright.separators`."""

    @property
    def name(self) -> str:
        """The family's name."""
        ...

    def models(self) -> tuple[ModelInfo, ...]:
        """The models that this family knows by name."""
        ...

    def availability(self, name: str, /, *, repo: Path | None = None) -> Availability:
        """Whether a model can be used now (`ready`), after a `download`, or lacks packages or files (`missing`)."""
        ...

    def load(self, name: str, /, options: LoadOptions) -> Separator:
        """Load a model.

        Raises `ModelUnavailableError`, `WeightsError`, `DeviceUnavailableError`, `UnknownModelError`.
        """
        ...


@runtime_checkable
class Downloads(Protocol):
    """What a family whose weights can be downloaded has besides."""

    def pull(self, name: str, /, *, on_progress: OnProgress | None = None, again: bool = False) -> None:
        """Download what `load` needs, `again` even where it is here; what is here stays until the new is whole.

        Raises `UnknownModelError`, `ModelUnavailableError`, `WeightsError`, and what `on_progress` raises.
        """
        ...
