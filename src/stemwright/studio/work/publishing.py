"""The rows of stems that were made: once, whoever made the same meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from stemwright.studio.store.tables import File, Separation, new_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from stemwright.studio.work.steps import Made, StoredFile


def separation_of(session: Session, owner: str, made: Made, *, now: float) -> Separation | None:
    """The separation that was found or made; that of equal ones that somebody made meanwhile; None if it is gone."""
    wanted = Separation.id == made.found if made.found else Separation.key == made.key
    touch = update(Separation).where(Separation.owner == owner, wanted).values(used_at=now)
    session.execute(touch, execution_options={"synchronize_session": False})  # from here on it stays
    there = session.scalar(select(Separation).where(Separation.owner == owner, wanted))
    if there:
        _add_chart(session, there, made)
    if there or made.receipt is None:
        return there
    receipt = made.receipt
    separation = Separation(
        id=made.id,
        owner=owner,
        key=made.key,
        pcm_digest=receipt.input.digest,
        model=receipt.model.name,
        draft=receipt.model.draft,
        receipt=receipt,
        duration=receipt.input.duration,
        elapsed=receipt.elapsed,
    )
    session.add(separation)
    session.flush()
    charted = _chart_names(made)
    _add_files(session, separation, [file for file in made.files if file.name not in charted])
    _add_chart(session, separation, made)
    return separation


def _add_files(session: Session, separation: Separation, files: Iterable[StoredFile]) -> None:
    session.add_all(
        File(
            id=new_id(),
            owner=separation.owner,
            separation_id=separation.id,
            name=file.name,
            object_key=file.object_key,
            size_bytes=file.size_bytes,
            digest=file.digest,
        )
        for file in files
    )


def _chart_names(made: Made) -> set[str]:
    return {*made.chart.drums.files.values()} if made.chart else set()


def _add_chart(session: Session, separation: Separation, made: Made) -> None:
    """Add the drum chart that was made to a separation that has none."""
    receipt = separation.receipt
    if not made.chart or receipt.drums:
        return
    warnings = (*receipt.warnings, *made.chart.warnings)
    separation.receipt = receipt.model_copy(update={"drums": made.chart.drums, "warnings": warnings})
    charted = _chart_names(made)
    _add_files(session, separation, [file for file in made.files if file.name in charted])
