"""A door of somebody else's package does all that ours do; one that does not work harms nothing."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from cli.command import run
from doors.strangers import DOOR, SETTINGS, install, install_jukebox
from server import running
from stemwright.app.serve import _without_doors_secrets
from stemwright.app.settings import SettingsError, door_problems, load_settings, settings_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages, for this process and its children."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    before = {*sys.modules}
    yield folder
    for name in {*sys.modules} - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def jukebox(site: Path) -> Path:
    return install_jukebox(site)


# ---- a door of one's own ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("jukebox")
def test_stranger_s_door_is_served_on_the_main_port_and_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("jukebox: {greeting: Salve}\n")
    config = {"STEMWRIGHT_CONFIG": str(tmp_path / "my.yaml")}
    with running(tmp_path / "data", "--door", "jukebox=0", **config) as server:
        said = {"greeting": "Salve", "model": "sketch", "home": "jukebox"}
        assert server.http.get("/doors/jukebox/hello").json() == said
        assert httpx.get(f"{server.doors['jukebox']}/hello").json() == said
        assert server.http.get("/doors/jukebox", follow_redirects=False).status_code == 307
        assert server.http.get("/doors/drumalong/health").status_code == 200
    with running(tmp_path / "data", STEMWRIGHT_JUKEBOX_GREETING="Ahoy", **config) as server:
        assert server.http.get("/doors/jukebox/hello").json()["greeting"] == "Ahoy"


@pytest.mark.usefixtures("jukebox")
def test_settings_of_a_stranger_s_door_are_shown_as_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stemwright.yaml").write_text("doors: [jukebox=8002]\njukebox:\n  greeting: Salve\n")
    monkeypatch.setenv("STEMWRIGHT_JUKEBOX_COIN", "hunter2")
    done = run("config", "--json", cwd=tmp_path)
    rows = {row["name"]: (row["value"], row["origin"], row["variable"]) for row in json.loads(done.stdout)}
    assert rows["jukebox.greeting"] == ("Salve", "file", "STEMWRIGHT_JUKEBOX_GREETING")
    assert rows["jukebox.coin"] == ("********", "STEMWRIGHT_JUKEBOX_COIN", "STEMWRIGHT_JUKEBOX_COIN")
    assert rows["doors"][0] == ["jukebox=8002"]
    assert "hunter2" not in done.stdout
    monkeypatch.setenv("JUKEBOX_HELLO", "Servus")
    assert "greeting: Servus  # JUKEBOX_HELLO" in run("config", cwd=tmp_path).stdout


@pytest.mark.usefixtures("jukebox")
def test_wrong_settings_of_a_stranger_s_door_are_told_as_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stemwright.yaml").write_text("jukebox: {greting: Salve, greeting: ''}\ndoors: jukebox=70000\n")
    monkeypatch.setenv("STEMWRIGHT_JUKEBOX_COINS", "1")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    text = "\n".join(caught.value.faults)
    assert "jukebox.greting: there is no such setting; did you mean jukebox.greeting?" in text
    assert "STEMWRIGHT_JUKEBOX_COINS: there is no such setting; did you mean STEMWRIGHT_JUKEBOX_COIN?" in text
    assert "give a port from 0 to 65535, such as jukebox=8001" in text


@pytest.mark.usefixtures("jukebox")
def test_command_of_a_stranger_s_door_is_one_of_stemwright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("--help")
    assert "greet" in done.stdout
    assert "process" in done.stdout
    assert done.stderr == ""
    monkeypatch.setenv("STEMWRIGHT_JUKEBOX_GREETING", "Salve")
    assert run("greet", "Ada").stdout == "Salve, Ada\n"
    assert "Whom to greet" in run("greet", "--help").stdout
    assert "✓ doors" in run("doctor").stdout


def test_executor_gets_no_secret_of_any_door_and_loads_none(jukebox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(jukebox, "ruin", "ruined_door", settings="import nowhere")
    for name in os.environ:
        if name.startswith("STEMWRIGHT_"):
            monkeypatch.delenv(name)
    text = "port: 1\ndoors: ruin=9\njukebox: {coin: '${COIN}'}\nruin: {a: 1}\n"  # `COIN` may be left out too
    (jukebox.parent / "stemwright.yaml").write_text(text)
    settings = load_settings(doors=False)
    assert (settings.port, settings.door_ports) == (1, {"ruin": 9})
    assert "jukebox_door" not in sys.modules
    given = {
        "STEMWRIGHT_JUKEBOX_COIN": "a",
        "STEMWRIGHT_RUIN_SECRET": "b",
        "R2_SECRET_ACCESS_KEY": "c",  # of the store, which is no door's
        "STEMWRIGHT_JUKEBOX_GREETING": "d",
        "STEMWRIGHT_CALLBACKS_SECRET": "e",
        "STEMWRIGHT_MAX_BYTES": "1GB",
        "PATH": "f",
    }
    assert "".join(_without_doors_secrets(given).values()) == "cde1GBf"


# ---- what does not work ----------------------------------------------------------------------------------------------


def test_doors_that_do_not_load_are_told_and_the_rest_is_served(site: Path, tmp_path: Path) -> None:
    install(site, "ruin", "ruined_door", __init__="import nowhere_at_all")
    install(site, "wreck", "wrecked_door", settings=SETTINGS, door="raise SystemExit(3)")
    install(site, "shed", "shed_door", settings=SETTINGS, door=DOOR.replace("return Door", "raise OSError(7)  #"))
    (tmp_path / "my.yaml").write_text("doors: [ruin=0, wreck=0, shed=0, mismo=0]\nruin: {a: {b: 1}}\n")
    config = {"STEMWRIGHT_CONFIG": str(tmp_path / "my.yaml"), "STEMWRIGHT_RUIN_DEPTH": "3"}
    with running(tmp_path / "data", **config) as server:
        assert [*server.doors] == ["mismo"]  # nobody waits at a port where nothing answers
        for name in ("ruin", "wreck", "shed"):
            assert server.http.get(f"/doors/{name}/hello").status_code == 404
        assert server.http.get("/doors/mismo/health").status_code == 200
    log = server.log.read_text()
    assert "the door ruin does not work: ruined_door.settings: ModuleNotFoundError: No module named 'nowhere" in log
    assert "the door wreck does not work: wrecked_door.door: SystemExit: 3" in log
    assert "OSError: 7" in log


def test_command_line_goes_on_without_doors_that_do_not_load(site: Path) -> None:
    install(site, "ruin", "ruined_door", __init__="import nowhere_at_all")
    install(site, "attic", "attic_door", settings=SETTINGS, door=DOOR, command="COMMAND = {}")
    done = run("--help")
    assert "process" in done.stdout
    told = done.stderr.splitlines()
    assert len(told) == 2
    assert told[0].startswith("warning: the door attic does not work: attic_door.command: AttributeError: ")
    assert told[1].startswith("warning: the door ruin does not work: ruined_door.command: ModuleNotFoundError: ")
    faults = [one for one in json.loads(run("doctor", "--json", code=1).stdout) if one["state"] == "fault"]
    assert [one["name"] for one in faults] == ["doors", "doors"]
    assert "settings are ignored: the door ruin does not work: ruined_door.settings: " in run("config").stderr


def test_command_whose_name_is_taken_replaces_nothing(jukebox: Path) -> None:
    text = "def told():\n    print('mine')\n\nCOMMANDS = dict.fromkeys(['serve', 'process', 'greet', 'dance'], told)\n"
    install(jukebox, "attic", "attic_door", settings=SETTINGS, door=DOOR, command=text)
    done = run("dance")
    assert done.stdout == "mine\n"
    assert done.stderr.splitlines() == [
        "warning: the command serve of the door attic is left out: Stemwright has one of that name",
        "warning: the command process of the door attic is left out: the door stemset has one of that name",
        "warning: the command greet of the door jukebox is left out: the door attic has one of that name",
    ]
    assert "Run the studio server" in run("serve", "--help").stdout
    assert "PROFILE" in run("process", "--help").stdout


def field(name: str, default: str = "'x'") -> str:
    return f"from stemwright.setting_values import Group\n\nclass Settings(Group):\n    {name}: str = {default}\n"


@pytest.mark.parametrize(
    ("name", "settings", "fault"),
    [
        ("jobs", SETTINGS, "jobs is the name of a setting already"),
        ("copy", SETTINGS, "copy is the name of a setting already"),
        ("temp", SETTINGS, "temp is a folder of the studio already"),
        ("max", field("bytes"), "STEMWRIGHT_MAX_BYTES is the variable of a setting already"),
        ("demucs", field("web_model"), "STEMWRIGHT_DEMUCS_WEB_MODEL is the variable of a setting already"),
        ("den", field("key").replace(" = 'x'", ""), "every setting needs a default that is valid: key"),
        ("hut", "Settings = dict", "Settings is no class of stemwright.setting_values.Group"),
        ("yurt", "", "has no attribute 'Settings'"),
    ],
)
def test_settings_that_cannot_stand_beside_the_others_are_left_out(
    site: Path, name: str, settings: str, fault: str
) -> None:
    install(site, name, f"{name}_of_a_stranger", settings=settings, door=DOOR)
    [told] = door_problems()
    assert told.startswith(f"the door {name} does not work: {name}_of_a_stranger.settings: ")
    assert fault in told
    assert {"jobs", "demucs_web"} <= {*settings_model().model_fields}
    assert load_settings().jobs.attempts == 3


def test_door_of_a_name_that_is_taken_replaces_nothing(site: Path) -> None:
    install(site, "mismo", "another_mismo", settings=field("greeting"), door=DOOR)
    install(site, "Big_Door", "big_door", settings=SETTINGS, door=DOOR)
    assert {*door_problems()} == {
        "the door mismo is registered twice; that of another_mismo is left out",
        "the door 'Big_Door' (big_door) needs a name such as `my-door`",
    }
    assert "library" in type(load_settings().door("mismo")).model_fields
