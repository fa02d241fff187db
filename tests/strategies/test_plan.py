"""Plans: what is the same is made once, what changes gets another key, and nothing is made for nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from separators_for_tests import spec
from stemwright.errors import StrategyError
from stemwright.strategies._yaml import parse
from stemwright.strategies.plan import Blend, Plan, Rest, Run, make_plan, needed, settings_digest
from stemwright.strategies.read import Book

if TYPE_CHECKING:
    from stemwright.separators.protocol import ModelSpec
    from stemwright.strategies.tree import ModelUse, Strategy

FOUR = ("vocals", "drums", "bass", "other")


def tree(text: str) -> Strategy:
    made = Book(parse(text.encode(), file="f.yaml"), name="f", origin="f.yaml")
    return made.strategy(made.names[-1])


def known(use: ModelUse, **changes: Any) -> ModelSpec:
    return spec(name=use.model, stems=FOUR, weights_digest=f"weights of {use.model}", shift=10, **changes)


def plan(text: str, *, song: str = "song", exact: bool = True, specs: Any = known) -> Plan:
    return make_plan(tree(text), song=song, specs=specs, exact=exact)


def test_equal_runs_on_equal_sounds_are_one() -> None:
    made = plan(
        """
strategies:
  a: {_: trunk, vocals: vocals, not_vocals: {_: x, drums: drums, residual: rest}}
  b: {_: trunk, vocals: vocals, not_vocals: {_: y, drums: drums, residual: rest}}
  both: {_: {ensemble: mean, of: [{strategy: a}, {strategy: b}]}, vocals: v, drums: d, rest: r}
"""
    )
    assert [run.use.model for run in made.runs()] == ["trunk", "x", "y"]
    assert made.runs()[0].paths == ["a", "b"]
    assert made.runs()[1].given == made.runs()[2].given
    assert isinstance(made.makers[made.leaves["v"]], Run)  # the same on both sides: no mean is needed
    assert isinstance(made.makers[made.leaves["d"]], Blend)


def test_changing_a_leaf_changes_no_key_of_the_trunk() -> None:
    one = plan("_: trunk\nvocals: v\nnot_vocals: {_: x, drums: d, residual: r}")
    other = plan("_: trunk\nvocals: voice\nnot_vocals: {_: {model: x, shifts: 1}, drums: d, residual: r}")
    assert one.leaves["v"] == other.leaves["voice"]
    assert one.leaves["d"] != other.leaves["d"]


@pytest.mark.parametrize(
    "source", ["y", "{model: x, overlap: 0.5}", "{model: x, shifts: 1}", "{ensemble: min, of: [x, y]}"]
)
def test_whatever_can_change_a_sample_changes_the_key(source: str) -> None:
    rest = "\nvocals: v\nresidual: r"
    assert plan("_: x" + rest).leaves["v"] != plan(f"_: {source}{rest}").leaves["v"]


def test_song_weights_and_segment_are_in_the_key() -> None:
    text = "_: x\nvocals: v\nresidual: r"
    first = plan(text).leaves["v"]
    assert plan(text, song="other").leaves["v"] != first
    assert plan(text, specs=lambda use: known(use, segment=99)).leaves["v"] != first
    assert plan(text, specs=lambda _: spec(name="x", stems=FOUR, weights_digest="new")).leaves["v"] != first


def test_settings_that_say_the_default_change_nothing() -> None:
    rest = "\nvocals: v\nresidual: r"
    assert plan("_: x" + rest).leaves == plan("_: {model: x, overlap: 0.25}" + rest).leaves


@pytest.mark.parametrize(("exact", "kind"), [(True, Rest), (False, Run)])
def test_other_takes_what_is_left_only_when_exact(exact: bool, kind: type) -> None:
    made = plan("_: x\nvocals: v\ndrums: d\nother: o\nbass: b", exact=exact)
    assert isinstance(made.makers[made.leaves["o"]], kind)
    assert {type(made.makers[made.leaves[stem]]) for stem in "vdb"} == {Run}
    assert set(made.runs()[0].stems.values()) == {"vocals", "drums", "bass", *(() if exact else ("other",))}


@pytest.mark.parametrize("slot", ["residual", "not_vocals"])
def test_rest_and_opposites_are_differences_even_when_not_exact(slot: str) -> None:
    made = plan(f"_: x\nvocals: v\n{slot}: r", exact=False)
    assert made.makers[made.leaves["r"]] == Rest(whole="song", parts=(made.leaves["v"],))


def test_only_what_the_wanted_stems_need_is_made() -> None:
    made = plan("_: trunk\nvocals: v\nnot_vocals: {_: x, drums: d, residual: r}")
    assert needed(made, ["v"]) == [made.leaves["v"]]
    assert [made.makers[sound] for sound in needed(made, ["d"])][-1] is made.makers[made.leaves["d"]]
    assert len(needed(made, ["d"])) == 3  # the trunk's vocals, the mix without them, the drums in it
    assert needed(made, ["d", "r"], is_there=lambda sound: sound == made.leaves["d"])[-1] == made.leaves["r"]
    assert not needed(made, ["d"], is_there=lambda _: True)


def test_sound_by_weights_without_a_digest_is_not_known_again() -> None:
    def half_known(use: ModelUse) -> ModelSpec:
        return known(use) if use.model == "x" else spec(name=use.model, stems=FOUR)

    made = plan("_: x\nvocals: v\nresidual: {_: y, drums: d, residual: {_: x, bass: b, residual: r}}", specs=half_known)
    assert [run.known for run in made.runs()] == [True, False, False]


def test_shifts_of_a_model_that_gains_nothing_by_them_are_refused_by_place() -> None:
    with pytest.raises(StrategyError, match=r"f.yaml:1: x gains nothing by shifts"):
        plan("_: {model: x, shifts: 2}\nvocals: v\nresidual: r", specs=lambda _: spec(name="x", stems=FOUR))


def test_digest_of_a_strategy_holds_names_settings_and_weights() -> None:
    texts = ["_: x\nvocals: v\nresidual: r", "_: x\nvocals: w\nresidual: r", "_: y\nvocals: v\nresidual: r"]
    digests = {settings_digest(tree(text), specs=known, exact=True) for text in texts}
    assert len(digests) == 3
    assert settings_digest(tree(texts[0]), specs=known, exact=True) in digests
