"""Models and strategies, and what they cost on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from stemwright.records import JsonObject, Record
from stemwright.separators import catalogue
from stemwright.separators.protocol import Availability, Family
from stemwright.strategies import draw, find
from stemwright.studio.work.runs import speed_of

if TYPE_CHECKING:
    from stemwright.studio.studio import Studio


class PublisherRecord(Record):
    """Where the weights of a model may be had."""

    name: str
    licence: str = Field(description="As this publisher states it, in a few words.")


class StatementRecord(Record):
    """What somebody says of the licence of weights."""

    text: str = Field(description="Word for word.")
    source: str


class ModelRecord(Record):
    """A model."""

    name: str
    family: str
    summary: str
    stems: tuple[str, ...]
    licence: str
    draft: bool
    sdr: str | None = Field(description="dB, mean of the stems on MUSDB18's test songs, as its authors published it.")
    download_bytes: int = Field(description="Of its first use, about; 0 for none.")
    publishers: tuple[PublisherRecord, ...] = Field(description="In the order in which they are asked.")
    statements: tuple[StatementRecord, ...] = Field(description="Everything known of the licence of the weights.")
    availability: Availability
    seconds_per_second: float | None = Field(description="Measured on this machine: work for a second of song.")


class Models(Record):
    """All models."""

    items: tuple[ModelRecord, ...]
    default: str


class NeededModel(Record):
    """A model that a strategy uses."""

    name: str
    state: Availability
    download_bytes: int = Field(description="Of its first use, about.")


class StrategyRecord(Record):
    """A strategy: a tree of models."""

    name: str
    origin: str = Field(description="`built in`, or the file that it is in.")
    summary: str
    quality: str
    speed: str
    stems: tuple[str, ...]
    state: Availability
    models: tuple[NeededModel, ...]
    download_bytes: int
    tree: JsonObject = Field(description="`source` and `outputs`: by slot a stem's name, or another such tree.")
    seconds_per_second: float | None = Field(description="Measured on this machine: work for a second of song.")


def list_models(studio: Studio) -> Models:
    """Every model, those that matter first at the top, whether it is here, and its measured speed."""
    with studio.db.session() as session:
        items = tuple(
            ModelRecord(
                name=info.name,
                family=info.family,
                summary=info.summary,
                stems=info.stems,
                licence=info.licence,
                draft=info.draft,
                sdr=info.sdr,
                download_bytes=info.download_bytes,
                publishers=tuple(PublisherRecord(name=one.name, licence=one.licence) for one in info.publishers),
                statements=tuple(StatementRecord(text=said.text, source=said.source) for said in info.statements),
                availability=_state(studio, family, info.name),
                seconds_per_second=speed_of(session, info.name),
            )
            for family, info in catalogue.list_models()
        )
    return Models(items=items, default=studio.workers.resolve(studio.config.model))


def _state(studio: Studio, family: Family, name: str) -> Availability:
    able = studio.workers.can_run(name)
    return family.availability(name, repo=studio.config.repo) if able is None else "ready" if able else "missing"


def list_strategies(studio: Studio) -> list[StrategyRecord]:
    """Every strategy: what it gives, what it would download, and its measured speed. Raises `StrategyError`."""
    repo = studio.config.repo
    with studio.db.session() as session:
        return [
            StrategyRecord(**draw.as_json(strategy, repo=repo), seconds_per_second=speed_of(session, strategy.name))
            for strategy in find.list_strategies(repo)
        ]
