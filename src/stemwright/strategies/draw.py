"""A strategy as lines for people and as JSON for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from stemwright.separators import catalogue
from stemwright.strategies.tree import Ensemble, ModelUse, Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stemwright.separators.protocol import Availability
    from stemwright.strategies.tree import Member, Source, Strategy


@dataclass(frozen=True, slots=True)
class Needs:
    """The models of a strategy, each with its state and the bytes that its first use downloads, about."""

    models: tuple[tuple[str, Availability, int], ...]

    @classmethod
    def of(cls, strategy: Strategy, *, repo: Path | None = None) -> Needs:
        """What a strategy needs here and now. Raises `UnknownModelError`."""
        found = []
        for name in strategy.models():
            own, folder = catalogue.at_path(name, repo=repo)
            family, info = catalogue.find_model(own, repo=folder)
            state = family.availability(own, repo=folder)
            found.append((name, state, 0 if state == "ready" else info.download_bytes))
        return cls(tuple(found))

    @property
    def state(self) -> Availability:
        """That of the model which is furthest from being usable."""
        states = [state for _, state, _ in self.models]
        return "missing" if "missing" in states else "download" if "download" in states else "ready"

    @property
    def download_bytes(self) -> int:
        """What the first use downloads, about."""
        return sum(size for _, _, size in self.models)


def lines(strategy: Strategy) -> Iterator[str]:
    """Yield the tree, drawn: each model, its slots below it, and what each becomes."""
    yield _words(strategy.root.source)
    yield from _below(strategy.root, "")


def as_json(strategy: Strategy, *, repo: Path | None = None) -> dict[str, Any]:
    """All of a strategy that JSON can hold. Raises `UnknownModelError`."""
    needs = Needs.of(strategy, repo=repo)
    return {
        "name": strategy.name,
        "origin": strategy.origin,
        **asdict(strategy.about),
        "stems": strategy.stems,
        "state": needs.state,
        "models": [{"name": name, "state": state, "download_bytes": size} for name, state, size in needs.models],
        "download_bytes": needs.download_bytes,
        "tree": tree_of(strategy),
    }


def tree_of(strategy: Strategy) -> dict[str, Any]:
    """The tree alone, as JSON can hold it: `source` and `outputs`, in which there may be further trees."""
    return _node(strategy.root)


def _below(node: Node, indent: str) -> Iterator[str]:
    rows: list[tuple[str, Node | None]] = []
    if isinstance(node.source, Ensemble):
        rows += [(f"+ {_member(member)}", None) for member in node.source.members]
    for output in node.outputs:
        target = output.target
        if isinstance(target, Node):
            rows.append((f"{output.slot}: {_words(target.source)}", target))
        else:
            rows.append((output.slot if output.slot == target else f"{output.slot}: {target}", None))
    for number, (words, subtree) in enumerate(rows, 1):
        last = number == len(rows)
        yield f"{indent}{'└── ' if last else '├── '}{words}"
        if subtree is not None:
            yield from _below(subtree, indent + ("    " if last else "│   "))


def _words(source: Source) -> str:
    if isinstance(source, ModelUse):
        settings = {"overlap": source.overlap, "shifts": source.shifts or None, "segment": source.segment}
        told = [f"{name} {value:g}" for name, value in settings.items() if value is not None]
        return f"[{', '.join([source.model, *told])}]"
    if isinstance(source, Ensemble):
        return f"[{source.method} of {len(source.members)}]"
    return f"[strategy {source.strategy.name}]"


def _member(member: Member) -> str:
    weights = [f"{slot} {weight:g}" for slot, weight in member.weights.items()]
    weights = [f"{member.weight:g}", *weights] if member.weight != 1 else weights
    return f"{_words(member.source)}{' × ' + ', '.join(weights) if weights else ''}"


def _node(node: Node) -> dict[str, Any]:
    return {
        "source": _source(node.source),
        "outputs": {
            output.slot: _node(output.target) if isinstance(output.target, Node) else output.target
            for output in node.outputs
        },
    }


def _source(source: Source) -> dict[str, Any]:
    if isinstance(source, ModelUse):
        return asdict(source)
    if isinstance(source, Ensemble):
        members = [
            _source(member.source) | {"weight": member.weight, "weights": member.weights} for member in source.members
        ]
        return {"ensemble": source.method, "of": members}
    return {"strategy": source.strategy.name, "tree": _node(source.strategy.root)}
