"""A strategy as a plan: which model runs on which sound, and what is made of what comes out, nothing twice.

Every sound has a key, the digest of all that can change a sample of it: the song, and the models with their weights and
settings on the way from it. Equal keys are one sound, in one tree and from one run of the program to the next.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from stemwright.strategies.tree import Member, Method, ModelUse, Node, Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from stemwright.separators.protocol import ModelSpec
    from stemwright.strategies.tree import Place, Source, Strategy
    from stemwright.types import Digest, StemName


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A model run on a sound; `stems` are those that are used, by the keys that they get."""

    use: ModelUse
    given: Digest
    stems: dict[Digest, StemName]  # filled while the plan is made
    paths: list[str]  # where in the tree
    known: bool  # all weights on the way have digests, so that the keys hold

    def used_stems(self, sounds: Collection[Digest]) -> tuple[StemName, ...]:
        """Its stems that are among these sounds, in a fixed order."""
        return tuple(sorted({stem for sound, stem in self.stems.items() if sound in sounds}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A sound without some of its parts."""

    whole: Digest
    parts: tuple[Digest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """One stem by several models made one; `parts` are sounds and weights above 0."""

    method: Method
    parts: tuple[tuple[Digest, float], ...]


Step: TypeAlias = Run | Rest | Blend


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is to be done: what makes each sound but the song, and which sounds are the stems."""

    song: Digest
    makers: dict[Digest, Step]
    leaves: dict[StemName, Digest]

    def runs(self) -> list[Run]:
        """Each run of a model once, in the order of the tree."""
        return list({id(step): step for step in self.makers.values() if isinstance(step, Run)}.values())


def make_plan(strategy: Strategy, *, song: Digest, specs: Callable[[ModelUse], ModelSpec], exact: bool) -> Plan:
    """The plan of a strategy for the song with this key.

    With `exact` the parts of every node add up to its input: its slot `other`, or else the last one, is what the other
    slots leave, so that no model need give it. Raises `StrategyError` for shifts of a model that gains nothing by them.
    """
    planner = _Planner(song, specs=specs, exact=exact)
    leaves = planner.node(strategy.root, song)
    return Plan(song=song, makers=planner.makers, leaves=leaves)


def settings_digest(strategy: Strategy, *, specs: Callable[[ModelUse], ModelSpec], exact: bool) -> Digest:
    """A digest of all of a strategy that can change a sample: its tree, the weights, the settings."""
    leaves = make_plan(strategy, song="", specs=specs, exact=exact).leaves
    return digest_of(leaves)


def digest_of(parts: object) -> Digest:
    """SHA-256 of anything that JSON can hold; other values count as their texts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class _Planner:
    def __init__(self, song: Digest, *, specs: Callable[[ModelUse], ModelSpec], exact: bool) -> None:
        self.makers: dict[Digest, Step] = {}
        self._song, self._specs, self._exact = song, specs, exact
        self._runs: dict[Digest, Run] = {}
        self._done: dict[tuple[int, Digest], dict[StemName, Digest]] = {}

    def node(self, node: Node, given: Digest) -> dict[StemName, Digest]:
        """The stems from a node down, for the sound that goes in."""
        if (id(node), given) in self._done:
            return self._done[id(node), given]
        sounds = self._outputs(node, given)
        leaves: dict[StemName, Digest] = {}
        for output in node.outputs:
            if isinstance(output.target, Node):
                leaves |= self.node(output.target, sounds[output.slot])
            else:
                leaves[output.target] = sounds[output.slot]
        self._done[id(node), given] = leaves
        return leaves

    def _outputs(self, node: Node, given: Digest) -> dict[str, Digest]:
        """The sound of each slot that a node names. What models leave over is in the slot that takes the rest."""
        named = [output.slot for output in node.outputs]
        slots = self._slots(node.source)
        direct = [slot for slot in named if slot in slots]
        derived = [slot for slot in named if slot not in slots]
        rest = derived[0] if derived else None
        if rest is None and self._exact:
            rest = "other" if "other" in direct else direct[-1]
        sounds = {slot: self._estimate(node.source, slot, given, node.place) for slot in direct if slot != rest}
        if rest is not None:
            sounds[rest] = self._rest(given, [*sounds.values()])
        return sounds

    def _slots(self, source: Source) -> tuple[str, ...]:
        if isinstance(source, ModelUse):
            return self._specs(source).stems
        if isinstance(source, Reference):
            return source.strategy.stems
        return tuple(
            dict.fromkeys(
                slot for member in source.members for slot in self._slots(member.source) if member.weight_of(slot)
            )
        )

    def _estimate(self, source: Source, slot: str, given: Digest, place: Place) -> Digest:
        """What a source gives as a slot."""
        if isinstance(source, ModelUse):
            return self._run(source, slot, given, place)
        if isinstance(source, Reference):
            return self.node(source.strategy.root, given)[slot]
        having: list[Member] = [
            member for member in source.members if slot in self._slots(member.source) and member.weight_of(slot)
        ]
        parts = tuple(
            (self._estimate(member.source, slot, given, member.place), member.weight_of(slot)) for member in having
        )
        if len({sound for sound, _ in parts}) == 1:
            return parts[0][0]
        return self._add(["blend", source.method, parts], Blend(method=source.method, parts=parts))

    def _run(self, use: ModelUse, stem: StemName, given: Digest, place: Place) -> Digest:
        spec = self._specs(use)
        if use.shifts and not spec.shift:
            raise place.fault(f"{spec.info.name} gains nothing by shifts")
        overlap = spec.overlap if use.overlap is None else use.overlap
        model = [spec.info.family, spec.info.name, spec.weights_digest, self._exact]
        how = [*model, overlap, use.shifts, spec.segment, given]
        key = digest_of(["run", *how])
        known = spec.weights_digest is not None and self._is_known(given)
        run = self._runs.setdefault(key, Run(use=use, given=given, stems={}, paths=[], known=known))
        if place.path not in run.paths:
            run.paths.append(place.path)
        sound = digest_of([key, stem])
        run.stems[sound] = stem
        self.makers[sound] = run
        return sound

    def _is_known(self, sound: Digest) -> bool:
        step = self.makers.get(sound)
        match step:
            case Run():
                return step.known
            case Rest():
                return all(map(self._is_known, (step.whole, *step.parts)))
            case Blend():
                return all(self._is_known(part) for part, _ in step.parts)
        return True

    def _rest(self, whole: Digest, parts: list[Digest]) -> Digest:
        return self._add(["rest", whole, sorted(parts)], Rest(whole=whole, parts=tuple(parts)))

    def _add(self, what: object, step: Step) -> Digest:
        key = digest_of(what)
        self.makers.setdefault(key, step)
        return key


def needed(
    plan: Plan, stems: Iterable[StemName], *, is_there: Callable[[Digest], bool] = lambda _: False
) -> list[Digest]:
    """The sounds that these stems are made of, themselves included, each after all that it needs.

    Those that are there already are left out, and so is what only they need; each is asked for once.
    """
    order: dict[Digest, bool] = {}

    def visit(sound: Digest) -> None:
        if sound in order or sound == plan.song:
            return
        there = is_there(sound)
        if not there:
            for source in sources(plan.makers[sound]):
                visit(source)
        order[sound] = there

    for stem in stems:
        visit(plan.leaves[stem])
    return [sound for sound, there in order.items() if not there]


def sources(step: Step) -> list[Digest]:
    """The sounds that a step works on."""
    match step:
        case Run():
            return [step.given]
        case Rest():
            return [step.whole, *step.parts]
        case Blend():
            return [part for part, _ in step.parts]
