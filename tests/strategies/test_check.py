"""A strategy is refused before anything runs when its parts do not fit, and the message says where and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stemwright.errors import StrategyError
from stemwright.strategies._yaml import parse
from stemwright.strategies.check import check, slots
from stemwright.strategies.find import list_strategies
from stemwright.strategies.read import Book, presets

if TYPE_CHECKING:
    from stemwright.strategies.tree import Strategy

pytestmark = pytest.mark.usefixtures("known_family")  # half and loud give vocals and other
FOUR = "vocals: vocals\ndrums: drums\nbass: bass\nother: other"


def tree(text: str) -> Strategy:
    made = Book(parse(text.encode(), file="f.yaml"), name="f", origin="f.yaml", below=presets())
    return made.strategy(made.names[-1])


@pytest.mark.parametrize(
    "text",
    [
        f"_: sketch\n{FOUR}",
        "_: sketch\nvocals: vocals\nnot_vocals: rest",
        "_: sketch\nvocals: vocals\nresidual: rest",
        f"_: sketch\n{FOUR}\nresidual: rest",
        "_: sketch\nnot_drums: {_: half, vocals: vocals, other: other}\ndrums: drums",
        "_: {ensemble: mean, of: [sketch, half]}\n" + FOUR,
        "_: {ensemble: max, of: [{model: sketch, weights: {drums: 0, bass: 0}}, half]}\nvocals: a\nother: b",
        "_: {strategy: fast}\n" + FOUR,
        "_: {ensemble: median, of: [{strategy: fast}, sketch, half]}\nvocals: v\nnot_vocals: r",
    ],
)
def test_what_accounts_for_every_slot_once_is_taken(text: str) -> None:
    check(tree(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("_: skech\nvocals: v", "f.yaml:1: there is no model 'skech'; did you mean sketch?"),
        ("_: sketch\nvocal: v\nresidual: r", "f.yaml:2: vocal: there is no such slot"),
        ("_: sketch\nvocal: v\nresidual: r", "did you mean vocals?"),
        ("_: sketch\nnot_guitar: v\nvocals: r", "not_guitar: there is no such slot"),
        ("_: sketch\nvocals: v\nother: o", "nothing is said of the slots drums, bass; name them, or residual"),
        ("_: half\nvocals: {_: sketch, drums: d}\nother: o", "f.yaml:2: vocals: nothing is said of the slots"),
        ("_: sketch\nvocals: v\ndrums: d\nnot_vocals: r", "not_vocals is all but vocals: name vocals beside it"),
        ("_: sketch\nnot_drums: d\nnot_vocals: r", "name drums beside it"),
        ("_: sketch\nnot_drums: d\ndrums: e\nresidual: r", "name drums beside it"),
        ("_: sketch\nresidual: r", "residual is what other slots leave"),
        ("_: sketch\nvocals: v\nnot_vocals: V", "f.yaml:3: not_vocals: the stem V is named twice, first in line 2"),
        ("_: half\nvocals: {_: half, vocals: a, other: b}\nother: a", "the stem a is named twice"),
        ("_: {ensemble: mean, of: [half, {model: loud, weights: {drums: 1}}]}\nvocals: v\nother: o",
         "f.yaml:1: _.of.2: a weight for drums, which it does not give; it gives vocals, other"),
        ("_: {strategy: karaoke}\nvocals: v\nother: o", "other: there is no such slot; there are vocals, instrumental"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_place(text: str, message: str) -> None:
    with pytest.raises(StrategyError) as caught:
        check(tree(text))
    assert message in caught.value.message


def test_ensemble_leaves_out_the_slots_that_no_member_has_a_weight_for() -> None:
    text = "_: {ensemble: min, of: [{model: sketch, weights: {drums: 0, bass: 0}}, half]}\nvocals: a\nother: b"
    known = {"sketch": ("vocals", "drums", "bass", "other"), "half": ("vocals", "other")}
    assert slots(tree(text).root.source, known.__getitem__) == ("vocals", "other")


def test_few_lines_cannot_ask_for_thousands_of_runs() -> None:
    twice = "{{_: {{ensemble: mean, of: [{{strategy: s{0}}}, {{strategy: s{0}}}]}}, a: a, b: b}}"
    rows = [f"  s{n}: {twice.format(n + 1)}" for n in range(7)]
    last = "strategies:\n  s7: {_: half, vocals: a, other: b}\n"
    with pytest.raises(StrategyError, match=r"f.yaml:9: s0: more than 64 runs"):
        check(tree(last + "\n".join(reversed(rows))))


def test_every_preset_is_sound() -> None:
    for strategy in list_strategies():
        check(strategy)
        about = strategy.about
        assert all((about.summary, about.quality, about.speed)), strategy.name
        assert strategy.models()


def test_names_of_presets_are_not_those_of_models() -> None:
    from stemwright.separators import catalogue

    assert not {strategy.name for strategy in list_strategies()} & {info.name for _, info in catalogue.list_models()}
