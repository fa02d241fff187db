"""Strategies as people and programs see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from stemwright.strategies._yaml import parse
from stemwright.strategies.draw import Needs, as_json, lines
from stemwright.strategies.read import Book, presets

if TYPE_CHECKING:
    from stemwright.strategies.tree import Strategy

TREE = """
_: {ensemble: mean, of: [half, {model: sketch, shifts: 2, overlap: 0.5, weight: 2, weights: {drums: 0, bass: 0}}]}
vocals: voice
other:
  _: {strategy: fast}
  drums: drums
  residual:
    _: loud
    vocals: a
    other: b
"""


def tree() -> Strategy:
    return Book(parse(TREE.encode(), file="f.yaml"), name="f", origin="f.yaml", below=presets()).strategy("f")


def test_tree_is_drawn() -> None:
    assert [*lines(tree())] == [
        "[mean of 2]",
        "├── + [half]",
        "├── + [sketch, overlap 0.5, shifts 2] × 2, drums 0, bass 0",
        "├── vocals: voice",
        "└── other: [strategy fast]",
        "    ├── drums",
        "    └── residual: [loud]",
        "        ├── vocals: a",
        "        └── other: b",
    ]


@pytest.mark.usefixtures("known_family")
def test_json_holds_the_whole_tree_and_what_it_needs() -> None:
    told = json.loads(json.dumps(as_json(tree())))
    assert (told["name"], told["stems"]) == ("f", ["voice", "drums", "a", "b"])
    assert [model["name"] for model in told["models"]] == ["half", "sketch", "loud"]
    assert (told["state"], told["download_bytes"]) == ("ready", 0)
    inner = told["tree"]["outputs"]["other"]
    assert inner["source"]["strategy"] == "fast"
    assert inner["source"]["tree"]["source"]["model"] == "sketch"
    assert told["tree"]["source"]["of"][1]["weights"] == {"drums": 0, "bass": 0}


def test_needs_are_those_of_the_model_that_is_furthest_away() -> None:
    models = (("a", "ready", 0), ("b", "download", 70), ("c", "missing", 30))
    needs = [Needs(models[:count]) for count in (1, 2, 3)]  # type: ignore[arg-type]
    assert [one.state for one in needs] == ["ready", "download", "missing"]
    assert [one.download_bytes for one in needs] == [0, 70, 100]
