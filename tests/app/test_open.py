"""Who reaches the server: nobody from elsewhere unless the operator says so, and no page under a name of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from server import Server, running
from stemwright.app.wiring import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROFILES = "profiles: [{name: a, source_folder: ., strategy: sketch}]\n"
AUTH = "auth: {google_client_id: a, google_client_secret: b, jwt_secret: c, allowed_emails: [d@example.org]}\n"


def refused(folder: Path, *arguments: str, **environment: str) -> str:
    """What a server says that does not start; it must not."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("STEMWRIGHT_", "STEMSET_"))}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "stemwright", "serve", "--port", "0", "--data", str(folder / "data"), *arguments],
        env={**own, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Stemwright is at" not in done.stdout
    return done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
@pytest.mark.parametrize("doors", [(), ("--door", "mismo=0")], ids=["alone", "with a door"])
def test_address_that_others_reach_must_be_meant(tmp_path: Path, host: str, doors: tuple[str, ...]) -> None:
    said = refused(tmp_path, "--host", host, *doors)
    assert "http.open: true" in said
    assert "[open_server]" in said


def test_setting_of_the_environment_must_be_meant_too(tmp_path: Path) -> None:
    assert "http.open: true" in refused(tmp_path, STEMWRIGHT_HOST="0.0.0.0")
    assert "http.open: true" in refused(tmp_path, STEMWRIGHT_HOST="::ffff:0.0.0.0")


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:10.0.0.1", False),
        ("192.168.1.2", False),
        ("fe80::1%lo", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for others, called `studio.example.org`."""
    meant = {"STEMWRIGHT_HTTP_OPEN": "true", "STEMWRIGHT_HTTP_HOSTS": "studio.example.org"}
    with running(
        tmp_path_factory.mktemp("open") / "data",
        STEMWRIGHT_HOST="0.0.0.0",
        STEMWRIGHT_DOORS="mismo=0",
        **meant,
    ) as server:
        yield server


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("studio.example.org", 200),
        ("STUDIO.example.org:8000", 200),
        ("localhost", 200),
        ("192.168.7.8:8000", 200),
        ("[fd00::7]:8000", 200),
        ("evil.example.net", 421),
        ("studio.example.org.evil.example.net", 421),
        ("192.168.7.8.evil.example.net", 421),
        ("2130706433", 421),
        ("", 421),
    ],
)
def test_open_server_knows_addresses_and_its_names(opened: Server, name: str, status: int) -> None:
    for base in (opened.url, opened.doors["mismo"]):
        url = base.replace("0.0.0.0", "127.0.0.1")
        answer = httpx.get(f"{url}/health", headers={"Host": name})
        assert answer.status_code == status, (base, answer.text)


@pytest.mark.parametrize("host", ["127.0.0.2", "127.9.9.9"])
def test_page_that_points_its_name_at_another_loopback_address_is_turned_away(tmp_path: Path, host: str) -> None:
    with running(tmp_path / "data", STEMWRIGHT_HOST=host) as server:
        for name, status in (("rebound.example.net", 421), (host, 200), ("localhost", 200), ("10.0.0.1", 421)):
            answer = server.http.get("/api/v1/songs", headers={"Host": name})
            assert answer.status_code == status, (name, answer.text)
        port = server.url.rpartition(":")[2]
        with httpx.stream(
            "GET", f"{server.url}/doors/stemset/api/profiles", headers={"Host": f"a.example:{port}"}
        ) as got:
            assert got.status_code == 421


def config(folder: Path, *, auth: bool = True, env: str = "") -> Path:
    """A `config.yaml` of Stemset's with a `.env` beside it."""
    (folder / "stemset").mkdir()
    (folder / "stemset" / ".env").write_text(env)
    path = folder / "stemset" / "config.yaml"
    path.write_text(PROFILES + AUTH * auth)
    return path


@pytest.mark.parametrize(
    ("auth", "env", "environment"),
    [
        (True, "", {}),  # the attack as it was found: 200 to all on every port
        (False, "", {"STEMSET_BYPASS_AUTH": "false"}),
        (False, "STEMSET_BYPASS_AUTH=false\n", {}),
        (True, "STEMSET_BYPASS_AUTH=0\n", {}),
        (True, "STEMSET_BYPASS_AUTH=true\n", {"STEMWRIGHT_STEMSET_BYPASS_AUTH": "no"}),
        (True, "STEMSET_BYPASS_AUTH=\n", {}),
    ],
)
def test_server_whose_people_are_to_sign_in_does_not_start(
    tmp_path: Path, auth: bool, env: str, environment: dict[str, str]
) -> None:
    path = config(tmp_path, auth=auth, env=env)
    said = refused(tmp_path, STEMWRIGHT_STEMSET_CONFIG=str(path), **environment)
    assert "stemset.bypass_auth: true" in said
    assert "[bad_config]" in said


def test_bypass_that_is_nonsense_is_refused(tmp_path: Path) -> None:
    path = config(tmp_path, env="STEMSET_BYPASS_AUTH=perhaps\n")
    assert "give true or false" in refused(tmp_path, STEMWRIGHT_STEMSET_CONFIG=str(path))


def test_sign_in_that_is_off_is_refused_without_a_configuration_too(tmp_path: Path) -> None:
    assert "stemset.bypass_auth: true" in refused(tmp_path, STEMSET_BYPASS_AUTH="false")


@pytest.mark.parametrize(
    ("auth", "env", "environment"),
    [
        (False, "", {}),
        (True, "STEMSET_BYPASS_AUTH=true\n", {}),
        (True, "STEMSET_BYPASS_AUTH=false\n", {"STEMSET_BYPASS_AUTH": "true"}),
    ],
)
def test_server_starts_where_nobody_is_to_sign_in(
    tmp_path: Path, auth: bool, env: str, environment: dict[str, str]
) -> None:
    path = config(tmp_path, auth=auth, env=env)
    with running(tmp_path / "data", STEMWRIGHT_STEMSET_CONFIG=str(path), **environment) as server:
        assert server.http.get("/doors/stemset/api/profiles").json()[0]["name"] == "a"
