"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import stemwright

SOURCE = Path(stemwright.__file__).parents[1]
HOUSE = Path(__file__).parents[1]
EXAMPLES = sorted(
    str(path.relative_to(root).with_suffix("")).replace("/", ".")
    for root, folders in ((SOURCE, ["stemwright"]), (HOUSE, ["training", "benchmarks", "demo"]))
    for folder in folders
    for path in (root / folder).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed
