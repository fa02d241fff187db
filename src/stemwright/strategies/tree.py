"""What a strategy is: a tree whose nodes take a sound apart and hand the parts on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from stemwright.errors import StrategyError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from stemwright.types import Seconds, StemName

RESIDUAL: Final = "residual"  # the slot for what the other slots of a node leave of its input
WITHOUT: Final = "not_"  # `not_X` is a node's input without X
Method: TypeAlias = Literal["mean", "median", "min", "max"]
METHODS: Final[tuple[Method, ...]] = ("mean", "median", "min", "max")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands."""

    file: str
    line: int  # the first is 1
    path: str = ""  # slots from the root, such as `not_vocals.drums`

    def below(self, name: str, *, line: int) -> Place:
        """The place of something within."""
        return Place(self.file, line, f"{self.path}.{name}" if self.path else name)

    def fault(self, message: str) -> StrategyError:
        """An error that names this place."""
        return StrategyError(f"{self.file}:{self.line}: {self.path + ': ' if self.path else ''}{message}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """A model and how it is run."""

    model: str
    overlap: float | None = None  # the model's own
    shifts: int = 0
    segment: Seconds | None = None  # the model's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Another strategy in the place of a model; its stems are the slots."""

    strategy: Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One of an ensemble; `weights` are for single slots, `weight` for the others."""

    source: ModelUse | Reference
    place: Place
    weight: float = 1.0
    weights: dict[str, float] = field(default_factory=dict)

    def weight_of(self, slot: str) -> float:
        """How much it counts for a slot; 0 when it is left out."""
        return self.weights.get(slot, self.weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Several models or strategies on the same input; each slot is made of what those give that have it.

    `mean` (weighted) and `median` are of samples, `min` and `max` of magnitudes in the spectrum.
    """

    method: Method
    members: tuple[Member, ...]


Source: TypeAlias = ModelUse | Reference | Ensemble


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One slot of a node, and what becomes of it: a stem of that name, or the input of a subtree."""

    slot: str
    target: StemName | Node
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One step: what takes the input apart, and where the parts go."""

    source: Source
    outputs: tuple[Output, ...]
    place: Place

    def leaves(self) -> Iterator[Output]:
        """The outputs that are stems, from here down, in the order of the file."""
        for output in self.outputs:
            if isinstance(output.target, Node):
                yield from output.target.leaves()
            else:
                yield output


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a strategy says about itself, for people."""

    summary: str = ""
    quality: str = ""
    speed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A named tree."""

    name: str
    root: Node
    about: About = About()
    origin: str = "built in"  # or the file

    @property
    def stems(self) -> tuple[StemName, ...]:
        """The stems that it gives, in the order of the file."""
        return tuple(str(leaf.target) for leaf in self.root.leaves())

    def models(self) -> tuple[str, ...]:
        """The models that it uses, each once, in the order of the file."""
        return tuple(dict.fromkeys(use.model for use, _ in uses(self.root)))


def pruned(node: Node, stems: Collection[StemName]) -> Node:
    """The same node without the subtrees that give none of these stems; what they would get is a leaf of no name."""
    outputs = []
    for output in node.outputs:
        target = output.target
        if isinstance(target, Node):
            wanted = any(leaf.target in stems for leaf in target.leaves())
            target = pruned(target, stems) if wanted else f"({output.place.path})"
        outputs.append(replace(output, target=target))
    return replace(node, outputs=tuple(outputs))


def uses(node: Node) -> Iterator[tuple[ModelUse, Place]]:
    """Every use of a model from here down, each strategy that is referred to once, with its place."""
    seen: set[int] = set()

    def of(source: Source, place: Place) -> Iterator[tuple[ModelUse, Place]]:
        if isinstance(source, ModelUse):
            yield source, place
        elif isinstance(source, Ensemble):
            for member in source.members:
                yield from of(member.source, member.place)
        elif id(source.strategy) not in seen:
            seen.add(id(source.strategy))
            yield from within(source.strategy.root)

    def within(node: Node) -> Iterator[tuple[ModelUse, Place]]:
        yield from of(node.source, node.place)
        for output in node.outputs:
            if isinstance(output.target, Node):
                yield from within(output.target)

    return within(node)
