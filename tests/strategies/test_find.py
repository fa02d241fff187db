"""A strategy by the name that a user gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stemwright.errors import StrategyError, UnknownStrategyError
from stemwright.strategies.find import find_strategy, is_strategy, list_strategies

if TYPE_CHECKING:
    from pathlib import Path

TWO = "strategies:\n  a: {_: sketch, vocals: v, residual: r}\n  b: {_: {strategy: a}, v: w, r: x}\n"


def test_presets_are_found_by_name() -> None:
    names = [strategy.name for strategy in list_strategies()]
    assert {"fast", "quick", "balanced", "best", "karaoke", "drums", "six", "successive"} == {*names}
    assert [find_strategy(name).name for name in names] == names
    assert is_strategy("best")
    assert not is_strategy("sketch")


def test_strategies_of_ones_own_go_before_those_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "strategies.yaml").write_text(TWO.replace(" b:", " fast:"))
    names = [strategy.name for strategy in list_strategies(tmp_path)]
    assert names[:2] == ["a", "fast"]
    assert sorted(names[2:]) == sorted({strategy.name for strategy in list_strategies()} - {"fast"})
    assert find_strategy("fast", repo=tmp_path).stems == ("w", "x")
    assert find_strategy("a", repo=tmp_path).origin == "strategies.yaml"
    assert is_strategy("a", repo=tmp_path)
    assert not is_strategy("a")


def test_strategies_of_ones_own_that_are_wrong_are_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "strategies.yaml").write_text("strategies:\n  a: {_: sketch, vocals: v, vocals: w}\n")
    with pytest.raises(StrategyError, match=r"strategies\.yaml.*twice"):
        find_strategy("fast", repo=tmp_path)


def test_model_alone_is_a_strategy_of_all_its_slots() -> None:
    strategy = find_strategy("hdemucs_mmi")  # as a profile of source 003 has it
    assert strategy.models() == ("hdemucs_mmi",)
    assert strategy.stems == ("drums", "bass", "other", "vocals")


def test_file_of_one_tree_is_called_as_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("_: sketch\nvocals: v\nresidual: r\n")
    strategy = find_strategy(str(tmp_path / "mine.yaml"))
    assert (strategy.name, strategy.origin) == ("mine", str(tmp_path / "mine.yaml"))


def test_one_of_several_in_a_file_is_named_behind_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "two.yml").write_text(TWO)
    monkeypatch.chdir(tmp_path)
    assert find_strategy("two.yml#b").stems == ("w", "x")
    with pytest.raises(UnknownStrategyError, match=r"two.yml has several strategies; say two.yml#NAME, one of: a, b"):
        find_strategy("two.yml")
    with pytest.raises(UnknownStrategyError, match=r"two.yml has no strategy 'c'; it has: a, b"):
        find_strategy("two.yml#c")
    with pytest.raises(UnknownStrategyError, match="has no strategy 'best'"):  # a preset is not in the file
        find_strategy("two.yml#best")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("ballanced", "there is no strategy 'ballanced'; did you mean balanced?"),
        ("auto", "there are: fast, quick, balanced"),
        ("", "there are: fast"),
        ("nosuch.yaml", "nosuch.yaml: No such file"),
        ("no/such", "no/such: No such file"),
        ("a\x00b.yaml", "no name of a file"),
    ],
)
def test_name_that_is_none_is_refused(reference: str, message: str) -> None:
    with pytest.raises((UnknownStrategyError, StrategyError)) as caught:
        find_strategy(reference)
    assert message in caught.value.message


def test_model_that_only_a_folder_has_needs_a_file_that_names_its_slots(tmp_path: Path) -> None:
    make_repo = pytest.importorskip("tiny_demucs").make_repo
    make_repo(tmp_path, name="own", samplerate=8000)
    with pytest.raises(StrategyError, match="write its slots into a file"):
        find_strategy("own", repo=tmp_path)
    (tmp_path / "tree.yaml").write_text("_: own\nvocals: v\nresidual: r\n")
    assert find_strategy(str(tmp_path / "tree.yaml"), repo=tmp_path).stems == ("v", "r")
