"""Strategy files: what they mean, and that no file, however hostile, does more than give one clear message."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as some

from stemwright.errors import StemwrightError, StrategyError
from stemwright.strategies._yaml import MAX_BYTES, parse
from stemwright.strategies.read import Book, presets, read_file
from stemwright.strategies.tree import Ensemble, ModelUse, Node, Reference, Strategy

if TYPE_CHECKING:
    from pathlib import Path

SUCCESSIVE = """\
successive:
  _: "vocals_mel_band_roformer.ckpt"  # Model to use
  vocals: vocals                       # Final output
  not_vocals:                          # Feed into next model
    _: "kuielab_b_drums.onnx"
    drums: drums
    not_drums:
      _: "kuielab_a_bass.onnx"
      bass: bass
      not_bass: other
"""


def book(text: str) -> Book:
    return Book(parse(text.encode(), file="file.yaml"), name="file", origin="file.yaml", below=presets())


def tree(text: str) -> Strategy:
    made = book(text)
    return made.strategy(made.names[-1])


def under_strategies(text: str) -> str:
    return "strategies:\n" + "".join(f"  {line}\n" for line in text.splitlines())


def test_tree_of_source_003_is_read_as_it_stands() -> None:
    strategy = tree(under_strategies(SUCCESSIVE))
    assert strategy.name == "successive"
    assert strategy.stems == ("vocals", "drums", "bass", "other")
    assert strategy.models() == ("vocals_mel_band_roformer.ckpt", "kuielab_b_drums.onnx", "kuielab_a_bass.onnx")
    inner = strategy.root.outputs[1].target
    assert isinstance(inner, Node)
    assert (inner.place.path, inner.place.line) == ("successive.not_vocals", 6)


def test_other_parts_of_a_config_file_are_left_alone() -> None:
    config = under_strategies(SUCCESSIVE) + "profiles:\n  - {name: h4n, strategy: successive}\nauth: ${SECRET}\n"
    assert book(config).names == ("successive",)


def test_settings_of_a_node_are_read() -> None:
    strategy = tree("_: {model: htdemucs, overlap: 0.5, shifts: 2, segment: 5.5}\nvocals: a\nresidual: b")
    assert strategy.root.source == ModelUse(model="htdemucs", overlap=0.5, shifts=2, segment=5.5)


def test_ensemble_is_read_with_weights_for_single_slots() -> None:
    text = "_: {ensemble: mean, of: [a, {model: b, weight: 2, weights: {drums: 0}}]}\nvocals: v\nresidual: r"
    source = tree(text).root.source
    assert isinstance(source, Ensemble)
    first, second = source.members
    assert (first.weight_of("drums"), second.weight_of("drums"), second.weight_of("vocals")) == (1, 0, 2)


def test_strategies_refer_to_others_of_the_file_and_to_presets() -> None:
    inner = "{_: {strategy: six}, vocals: v, residual: r}"
    own = f"strategies:\n  fast: {{_: x, vocals: a, other: b}}\n  own: {{_: {{strategy: fast}}, a: c, b: {inner}}}"
    root = tree(own).root
    assert isinstance(root.source, Reference)
    assert root.source.strategy.models() == ("x",)  # the file's own goes before the preset
    lower = root.outputs[1].target
    assert isinstance(lower, Node)
    assert isinstance(lower.source, Reference)
    assert lower.source.strategy.origin == "built in"


def test_words_that_yaml_takes_for_truth_are_names_here() -> None:
    assert tree("_: on\nyes: no\nresidual: off").stems == ("no", "off")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing in it"),
        ("- a", "a strategy file is a mapping"),
        ("a: b", "neither a tree"),
        ("_: a", "file.yaml:1: a node says what becomes"),
        ("_: a\nx: {y: z}", "file.yaml:2: x: a node names its model with the key '_'"),
        ("_: a\nx:\n", "file.yaml:2: x: a stem's name is a word, not nothing"),
        ("_: a\nx: [b]", "file.yaml:2: x: a stem's name is a word, not a sequence"),
        ("_: a\nx: a/../b", "file.yaml:2: x: a stem's name is made of letters"),
        ("_: a\nx: .hidden", "a stem's name is made of letters"),
        ("_: a\nx: Mix", "no stem can be called Mix"),
        ("_: a\nx: b\nx: c", "file.yaml:3: x: x is named twice"),
        ("_: a\n_overlap: 0.5\nx: b", "file.yaml:2: _overlap: no such setting"),
        ("_: {model: a, speed: 1}\nx: b", "file.yaml:1: _.speed: no such setting here; there are: model, overlap"),
        ("_: {model: a, overlap: 1}\nx: b", "file.yaml:1: _.overlap: overlap is a number from 0 to 0.98, not '1'"),
        ("_: {model: a, overlap: nan}\nx: b", "overlap is a number"),
        ("_: {model: a, shifts: 1.5}\nx: b", "shifts is a whole number, not 1.5"),
        ("_: {model: a, shifts: -1}\nx: b", "shifts is a number from 0 to 100"),
        ("_: {}\nx: b", "give model:, strategy: or ensemble:"),
        ("_: {strategy: nosuch}\nx: b", "file.yaml:1: _.strategy: there is no strategy 'nosuch'"),
        ("_: {ensemble: sum, of: [a, b]}\nx: b", "an ensemble is one of mean, median, min, max"),
        ("_: {ensemble: mean}\nx: b", "lists its members below `of`"),
        ("_: {ensemble: mean, of: [a]}\nx: b", "file.yaml:1: _.of: an ensemble has 2 to 16 members, not 1"),
        ("_: {ensemble: max, of: [a, {model: b, weight: 2}]}\nx: b", "_.of.2.weight: max knows the weights 0 and 1"),
        ("_: {ensemble: mean, of: [a, {model: b, weight: -1}]}\nx: b", "a weight is a number from 0"),
        ("_: a\nx: {_: b", "file.yaml:2: not YAML"),
        ("_: a\n\tx: b", "not YAML"),
        ("_: a\nx: !!python/object/apply:os.system [id]", "file.yaml:2: x: tags"),
        ("_: a\nx: !secret b", "tags"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("_: a\nx: *nowhere", "not YAML"),
        ("strategies: {'a b': {_: x, y: z}}", "a strategy's name is made of"),
        ("strategies:\n  a: {_: {strategy: b}, x: y}\n  b: {_: {strategy: a}, x: y}", "in a circle: b > a > b"),
        ("_: a\nx: &x\n  _: b\n  y: *x", "file.yaml:4: x.y: it contains itself"),
    ],
)  # fmt: skip
def test_message_names_the_place_and_what_is_wrong_there(text: str, message: str) -> None:
    with pytest.raises(StrategyError) as caught:
        tree(text)
    assert message in caught.value.message
    assert caught.value.code == "bad_strategy"


def bomb() -> str:
    levels = ["a0: &a0 {_: m, x: y}"]
    levels += [f"a{n}: &a{n} {{{', '.join(f'k{i}: *a{n - 1}' for i in range(9))}, _: m}}" for n in range(1, 12)]
    return "\n".join(levels) + "\nstrategies: {top: *a11}"


def chain(length: int) -> str:
    rows = [f"  s{n}: {{_: {{strategy: s{n + 1}}}, x: y, residual: z}}" for n in range(length)]
    return "strategies:\n" + "\n".join(reversed([*rows, f"  s{length}: {{_: m, x: y}}"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(), "too large"),
        (chain(500), "refer to one another"),
        ("_: m\nx: " + "{_: m, x: " * 60 + "y" + "}" * 60, "too deeply"),
        ("[" * 30_000, "too deeply"),
        ("{a: " * 10_000, "too deeply"),
        ("_: " + "a" * (MAX_BYTES + 1), "64 KiB"),
        ("&a " * 10_000, "not YAML"),
        ("? " * 10_000, "too deeply"),
        ("\x00", "not YAML"),
        ("_: '\x1b[31m\u202e'\nx: '\x1b]0;pwned\x07'", "not YAML"),
        ('_: m\nx: "\\e[31mred"', "a stem's name"),
    ],
)  # fmt: skip
def test_hostile_file_is_refused_at_once(text: str, message: str) -> None:
    began = time.monotonic()
    with pytest.raises(StrategyError, match=message) as caught:
        tree(text)
    assert time.monotonic() - began < 5
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 500


@given(some.binary(max_size=200))
def test_any_bytes_are_a_strategy_or_a_message(data: bytes) -> None:
    try:
        made = Book(parse(data, file="f"), name="f", origin="f")
        for name in made.names:
            made.strategy(name)
    except StemwrightError:
        pass


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(StrategyError, match=str(tmp_path)):
        read_file(tmp_path / name)
