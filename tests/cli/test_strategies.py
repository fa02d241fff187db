"""`stemwright strategies`: what there is, what it needs, and trees drawn or refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli.command import run

if TYPE_CHECKING:
    from pathlib import Path


def test_list_names_every_preset_with_what_it_downloads() -> None:
    rows = {row.split()[0]: row for row in run("strategies").stdout.splitlines()[1:]}
    assert {*rows} == {"fast", "quick", "balanced", "best", "karaoke", "drums", "six", "successive"}
    assert "ready" in rows["fast"]
    listed = {one["name"]: one for one in json.loads(run("strategies", "--json").stdout)}
    assert (listed["fast"]["state"], listed["fast"]["download_bytes"]) == ("ready", 0)
    for name in ("balanced", "best"):
        if listed[name]["state"] != "ready":
            assert f"about {listed[name]['download_bytes'] / 1e6:.0f} MB" in rows[name]
    assert all(one["quality"] and one["speed"] and one["summary"] for one in listed.values())


def test_show_draws_the_tree_or_prints_it_as_json(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("_: sketch\nvocals: vocals\nnot_vocals:\n  _: sketch\n  drums: drums\n  residual: rest\n")
    drawn = run("strategies", "show", file).stdout
    assert "└── not_vocals: [sketch]\n    ├── drums\n    └── residual: rest" in drawn
    assert json.loads(run("strategies", "show", "mine.yaml", "--json", cwd=tmp_path).stdout)["stems"] == [
        "vocals",
        "drums",
        "rest",
    ]


def test_file_that_is_wrong_is_refused_in_one_line_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("_: sketch\nvocals: vocals\nnot_vocals:\n  _: sketch\n  drms: drums\n  residual: rest\n")
    done = run("strategies", "show", file, code=2)
    assert not done.stdout
    assert "(bad_strategy): mine.yaml:5: not_vocals.drms: there is no such slot" in done.stderr
    told = json.loads(run("strategies", "show", file, "--json", code=2).stdout)
    assert told["error"]["code"] == "bad_strategy"


def test_show_without_a_name_tells_how() -> None:
    assert "strategies show NAME|FILE" in run("strategies", "show", code=2).stderr
