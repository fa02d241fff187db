"""Real proxies before a real studio, configured word for word as docs/proxy.md says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest
import socketio
import yaml
from websockets.asyncio.client import connect
from websockets.typing import Origin

from needs import require
from server import Server, running
from sounds import sound, write_wav
from web.answers import problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCUMENT = (Path(__file__).parents[2] / "docs" / "proxy.md").read_text(encoding="utf-8")
ROOT = "/stemwright"
NAME = "example.org"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def put(text: str, **changes: tuple[str, str]) -> str:
    """A configuration with other addresses than the document's, each of which is there once."""
    for old, new in changes.values():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int, server: Server, root: str) -> list[str]:
    """The command of an nginx of one's own, with the document's configuration."""
    whole, below = blocks("nginx")
    if root:
        location = re.search(r"^    location / \{\n.*?^    \}\n", whole, re.DOTALL | re.MULTILINE)
        assert location
        whole = whole.replace(location[0], below)
    studio = server.url.removeprefix("http://")
    snippet = put(whole, listen=("listen 80;", f"listen 127.0.0.1:{port};"), studio=("127.0.0.1:8000", studio))
    temp = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""  # its workers could not enter the folder as another user
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/log;\nevents {{}}\n"
        f"http {{ access_log off;\n{temp}\n{snippet}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "log")]


def caddy(folder: Path, port: int, server: Server, root: str) -> list[str]:
    """The command of a Caddy of one's own, with the document's configuration."""
    assert root == ROOT
    [whole] = blocks("caddyfile")
    studio = server.url.removeprefix("http://")
    site = put(whole, site=(f"{NAME} {{", f"http://{NAME}:{port} {{"), studio=("127.0.0.1:8000", studio))
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{site}")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@contextlib.contextmanager
def proxied(
    folder: Path, server: Server, root: str, *, command: Callable[[Path, int, Server, str], list[str]]
) -> Iterator[httpx.Client]:
    """A proxy for the time of a block, and a client that calls it by its name."""
    port = free_port()
    folder.mkdir()
    arguments = command(folder, port, server, root)
    environment = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(arguments, stdout=said, stderr=said, env=environment, start_new_session=True)
    try:
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, (folder / "said").read_text()
            assert time.monotonic() < end, (folder / "said").read_text()
            time.sleep(0.05)
        headers = {"Host": f"{NAME}:{port}", "Origin": f"http://{NAME}:{port}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            yield client
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # Caddy would wait for its connections
        process.wait(30)


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def kind(request: pytest.FixtureRequest) -> Any:
    require(request.param.__name__)
    return request.param


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A studio with the settings of the document."""
    folder = tmp_path_factory.mktemp("below")
    settings = next(block for block in blocks("yaml") if "root_path" in block)
    assert yaml.safe_load(settings)["http"]["root_path"] == ROOT
    (folder / "stemwright.yaml").write_text(settings)
    with running(folder / "data", STEMWRIGHT_CONFIG=str(folder / "stemwright.yaml")) as server:
        yield server


@pytest.fixture(scope="module")
def http(kind: Any, below: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the proxy before the studio below a sub-path."""
    with proxied(tmp_path_factory.mktemp("proxy") / "of", below, ROOT, command=kind) as client:
        yield client


@pytest.fixture(scope="module")
def job(http: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A song that was taken apart through the proxy, and each state of it that came as an event."""
    seed = http.base_url.port or 0  # another song for each proxy
    path = write_wav(tmp_path_factory.mktemp("song") / "song.wav", sound("song", seconds=12, seed=seed), bits=16)
    with path.open("rb") as file:  # more than nginx's own limit of 1 MB
        assert path.stat().st_size > 1_048_576
        answer = http.post(f"{ROOT}/api/v1/jobs", files={"file": ("song.wav", file)}, data={"analysis": "false"})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["links"]["self"]
    told = events(http, answer.json()["links"]["events"])
    assert told[-1]["status"] == "succeeded", told[-1]
    assert len(told) > 1
    assert told[0]["status"] in {"queued", "running"}  # they came as they were sent
    return told[-1]


def events(http: httpx.Client, path: str) -> list[dict[str, Any]]:
    with http.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]


def test_first_event_comes_before_the_last_is_there(http: httpx.Client, job: dict[str, Any]) -> None:
    """Of a stream that does not end: a proxy that holds answers back would give nothing."""
    with http.stream("GET", f"{ROOT}/api/v1/events", timeout=10) as answer:
        assert next(answer.iter_lines()) == "retry: 2000"
    assert job["id"]


def test_range_of_a_stem(http: httpx.Client, job: dict[str, Any]) -> None:
    url = job["result"]["stems"]["vocals"]
    assert url.startswith(f"{ROOT}/api/v1/songs/")
    whole = http.get(url)
    part = http.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.headers["content-range"]) == (206, f"bytes 100-199/{len(whole.content)}")
    assert part.content == whole.content[100:200]
    assert http.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    head = http.head(url)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(whole.content)))
    assert http.head(job["links"]["self"]).status_code == 200


def test_states_come_by_websocket_and_socket_io(http: httpx.Client, job: dict[str, Any]) -> None:
    origin = http.headers["origin"]

    async def listen() -> list[Any]:
        told = []
        headers = {"Host": http.headers["host"], "Origin": origin}
        url = f"{origin.replace('http', 'ws', 1)}{job['links']['self']}/ws"
        sock = socket.create_connection(("127.0.0.1", http.base_url.port or 0))
        async with asyncio.timeout(60), connect(url, sock=sock, origin=Origin(origin)) as ws:
            told.append(json.loads(await ws.recv()))
        for transport in ("websocket", "polling"):
            async with (
                asyncio.timeout(60),
                aiohttp.ClientSession(headers=headers) as session,
                socketio.AsyncSimpleClient(http_session=session) as client,
            ):
                path = f"{ROOT}/socket.io"
                await client.connect(str(http.base_url), socketio_path=path, transports=[transport], headers=headers)
                await client.emit("subscribe", {"job_id": job["id"]})
                told.append((await client.receive())[1])
        return told

    assert asyncio.run(listen()) == [job, job, job]


def test_page_and_its_files_are_below_the_sub_path(http: httpx.Client) -> None:
    led = http.get(ROOT)
    assert led.status_code == 308
    assert led.headers["location"] in {f"{ROOT}/", f"{http.headers['origin']}{ROOT}/"}
    html = http.get(f"{ROOT}/songs/01a2").text
    script = re.search(r'src="\.\.(/assets/[^"]+)"', html)
    assert script
    assert "javascript" in http.get(f"{ROOT}{script[1]}").headers["content-type"]
    assert http.get(f"{ROOT}/doors/demucs-web/").status_code == 200
    assert http.get("/api/v1/songs").status_code in {200, 404}  # Caddy answers with nothing


def test_foreign_page_may_not_post_through_the_proxy(http: httpx.Client) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:8000"}):
        answer = http.post(f"{ROOT}/api/v1/jobs", headers=headers, files={"file": b"x"})
        problem_of(answer, 403, "foreign_origin")


def test_upload_of_a_client_is_refused_by_the_studio_not_by_the_proxy(http: httpx.Client) -> None:
    answer = http.post(f"{ROOT}/api/v1/jobs", files={"file": ("a.wav", b"RIFF")}, data={"model": "nothing"})
    assert answer.headers["content-type"] == "application/problem+json"


def test_nginx_at_the_root_needs_no_sub_path(server: Server, tmp_path: Path) -> None:
    require("nginx")
    with (
        running(tmp_path / "data", STEMWRIGHT_HTTP_HOSTS=NAME) as studio,
        proxied(tmp_path / "nginx", studio, "", command=nginx) as http,
    ):
        assert 'src="./assets/' in http.get("/").text
        assert http.post("/api/v1/jobs/nothing/retry").status_code == 404
        assert http.get("/livez").status_code == 200


def test_nginx_that_calls_the_studio_by_another_name_is_told_what_to_set(server: Server, tmp_path: Path) -> None:
    """Its default: `Host: 127.0.0.1:8000`, whatever the page's address is."""
    require("nginx")

    def by_default(folder: Path, port: int, studio: Server, root: str) -> list[str]:
        command = nginx(folder, port, studio, root)
        path = folder / "nginx.conf"
        path.write_text(put(path.read_text(), host=("proxy_set_header Host $http_host;", "")))
        return command

    with proxied(tmp_path / "nginx", server, "", command=by_default) as http:
        assert http.get("/api/v1/songs").status_code == 200
        problem = problem_of(http.post("/api/v1/jobs", files={"file": b"x"}), 403, "foreign_origin")
        assert "proxy_set_header Host $http_host" in problem["detail"]
        foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}
        problem_of(http.post("/api/v1/jobs", headers=foreign, files={"file": b"x"}), 403, "foreign_origin")
