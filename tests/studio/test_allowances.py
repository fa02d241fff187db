"""What a client may do in a minute, counted for all replicas together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from stemwright.studio import allowances
from stemwright.studio.store.database import Database
from stemwright.studio.store.tables import Allowance

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def replicas(database_url: str) -> Iterator[list[Database]]:
    made = [Database(database_url) for _ in range(2)]
    yield made
    for one in made:
        one.close()


def test_replicas_together_give_no_more_than_a_minute_s_worth(replicas: list[Database]) -> None:
    def ask(number: int) -> float:
        return allowances.take(replicas[number % 2], "client", per_minute=6)

    with ThreadPoolExecutor(4) as pool:
        waits = [*pool.map(ask, range(20))]
    assert sum(wait == 0 for wait in waits) == 6
    assert all(0 < wait <= 10 for wait in waits if wait)
    assert allowances.take(replicas[0], "another", per_minute=6) == 0


def test_allowance_refills_steadily_and_never_above_a_minute_s_worth(replicas: list[Database]) -> None:
    db = replicas[0]
    assert allowances.take(db, "client", per_minute=2) == allowances.take(db, "client", per_minute=2) == 0
    assert allowances.take(db, "client", per_minute=2) == pytest.approx(30, abs=2)
    for passed, takes in ((30, 1), (3600, 2)):
        with db.session() as session:
            session.get_one(Allowance, "client").at -= passed
        assert [allowances.take(db, "client", per_minute=2) == 0 for _ in range(3)] == [True] * takes + [False] * (
            3 - takes
        )


def test_allowances_that_are_whole_again_are_forgotten(replicas: list[Database]) -> None:
    db = replicas[0]
    for client in ("old", "new"):
        allowances.take(db, client, per_minute=2)
    with db.session() as session:
        session.get_one(Allowance, "old").at -= 1000
    allowances.forget(db, before=db.now() - 600)
    with db.session() as session:
        assert [row.client for row in session.query(Allowance)] == ["new"]
