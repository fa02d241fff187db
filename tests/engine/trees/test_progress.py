"""One share of many steps: honest about time as soon as it can be known, and never falling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stemwright.engine.trees import progress
from stemwright.engine.trees.progress import Shares

if TYPE_CHECKING:
    from collections.abc import Hashable


class Clock:
    """Time as the test wants it."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def run(
    steps: list[tuple[Hashable, float]], seconds: list[float], learnt: dict[Hashable, float], clock: Clock
) -> list[float]:
    """The shares that are told at the quarters of each step, which takes so many seconds."""
    told: list[float] = []
    shares = Shares(steps, seconds=10, learnt=learnt, report=told.append)
    for took in seconds:
        shares.begin()
        for quarter in range(1, 5):
            clock.now += took / 4
            shares.at(quarter / 4)
        shares.end()
    return told


def test_steps_count_by_their_costs_where_nothing_else_is_known(clock: Clock) -> None:
    told = run([("a", 1.0), ("b", 3.0)], [2, 6], {}, clock)
    assert told == pytest.approx(
        [
            0,
            *(2 * quarter / 4 / 8 for quarter in range(1, 5)),
            0.25,
            *((2 + 6 * quarter / 4) / 8 for quarter in range(1, 5)),
        ]
    )


def test_steps_count_by_their_times_from_the_second_song_on(clock: Clock) -> None:
    learnt: dict[Hashable, float] = {}
    run([("a", 1.0), ("b", 1.0)], [1, 9], learnt, clock)
    assert learnt == pytest.approx({"a": 0.1, "b": 0.9})
    told = run([("a", 1.0), ("b", 1.0)], [1, 9], learnt, clock)
    assert told[4] == pytest.approx(0.1)
    assert told[7] == pytest.approx(0.55)


def test_costs_that_were_wrong_never_make_it_fall(clock: Clock) -> None:
    told = run([("a", 9.0), ("b", 1.0), ("a", 9.0)], [1, 9, 1], {}, clock)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)


def test_it_is_one_at_the_end_and_zero_at_the_begin(clock: Clock) -> None:
    told: list[float] = []
    shares = Shares([("a", 1.0)], seconds=1, learnt={}, report=told.append)
    shares.begin()
    clock.now += 1
    shares.end()
    shares.at(1.0)
    assert told == [0, 1]
