"""Models of a tree: loaded once, few kept in memory, and what is missing named."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import separators_for_tests
from separators_for_tests import Known, share, spec
from stemwright.engine.trees.models import Models, key_of
from stemwright.errors import UnknownModelError
from stemwright.strategies.tree import ModelUse

if TYPE_CHECKING:
    from stemwright.separators.protocol import LoadOptions

NAMES = ("one", "two", "three")


@pytest.fixture
def loaded(known_family: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of models, in the order in which they are loaded."""
    order: list[str] = []
    for name in NAMES:
        made = Known(spec(name=name), (share(0.5), share(0.5)))
        monkeypatch.setitem(separators_for_tests.MODELS, name, partial(replace, made))

    def load(self: object, name: str, /, options: LoadOptions) -> Known:
        order.append(name)
        return separators_for_tests.MODELS[name]()

    monkeypatch.setattr(separators_for_tests.KnownFamily, "load", load)
    return order


def models(*names: str, **how: Any) -> Models:
    return Models(names, **{"device": "cpu", "repo": None, "exact": True} | how)


def test_two_models_stay_in_memory_and_the_one_used_longest_ago_goes(loaded: list[str]) -> None:
    made = models(*NAMES)
    one, two, three = (ModelUse(model=name) for name in NAMES)
    first = made.separator(one, stems=None)
    made.separator(two, stems=None)
    assert made.separator(one, stems=None) is first
    made.separator(three, stems=None)
    assert made.separator(one, stems=None) is first
    made.separator(two, stems=None)
    assert loaded == ["one", "two", "three", "two"]


def test_what_is_known_of_a_model_outlives_it(loaded: list[str]) -> None:
    made = models(*NAMES)
    for _ in range(2):
        assert [made.spec_of(ModelUse(model=name)).info.name for name in NAMES] == [*NAMES]
    assert loaded == [*NAMES]
    assert [*made.specs] == [(name, None) for name in NAMES]
    assert made.device == "cpu"


def test_model_with_another_segment_is_another_in_memory() -> None:
    assert key_of(ModelUse(model="one")) != key_of(ModelUse(model="one", segment=5.0))
    assert key_of(ModelUse(model="one")) == key_of(ModelUse(model="one", overlap=0.5, shifts=2))


def test_half_precision_is_told_by_the_device(loaded: list[str]) -> None:
    assert models("one", device="cuda/half").half
    assert not models("one").half


def test_model_that_nobody_has_is_refused(loaded: list[str]) -> None:
    with pytest.raises(UnknownModelError):
        models("one", "no such model")


def test_missing_models_are_named_each_once(loaded: list[str]) -> None:
    made = models("one", "spleeter:2stems")
    assert made.missing(["one", "spleeter:2stems", "spleeter:2stems"]) == ["spleeter:2stems"]
