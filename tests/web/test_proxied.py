"""Behind a proxy, without one: sub-paths, hosts, origins, HEAD, HTTP/1.0."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import socketio
from websockets.asyncio.client import connect

from server import Server, running
from sounds import sound, write_wav
from stemwright.app.http_settings import Http
from stemwright.web.common import WebConfig
from stemwright.web.middleware import Gate
from stemwright.web.proxied import Proxied
from stemwright.web.roots import OWN, path_of
from web.answers import Prepared, problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

ROOT = "/stemwright"
PAGE = "https://app.example.org"
HOST = "studio.example.org"


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server below a sub-path, with a door at a port of its own, that trusts proxies of this machine."""
    settings = {
        "STEMWRIGHT_HTTP_ROOT_PATH": ROOT,
        "STEMWRIGHT_HTTP_HOSTS": HOST,
        "STEMWRIGHT_HTTP_CORS_ORIGINS": PAGE,
        "STEMWRIGHT_HTTP_TRUSTED_PROXIES": "127.0.0.1",
    }
    with running(tmp_path_factory.mktemp("below") / "data", "--door", "drumalong=0", **settings) as server:
        yield server


@pytest.fixture(scope="module")
def job(below: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = write_wav(tmp_path_factory.mktemp("song") / "song.wav", sound("song", seconds=2), bits=16)
    with path.open("rb") as file:
        answer = below.http.post(f"{ROOT}/api/v1/jobs", files={"file": ("song.wav", file)}, data={"transcribe": "true"})
    assert answer.headers["location"] == f"{ROOT}/api/v1/jobs/{answer.json()['id']}"
    job = below.wait(answer.json()["id"])
    assert job["status"] == "succeeded", job
    return job


def links_in(value: object) -> set[str]:
    """All paths of the API in an answer."""
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list):
        return {link for one in value for link in links_in(one)}
    return {value} if isinstance(value, str) and "/api/v1/" in value else set()


# Sub-paths


@pytest.mark.parametrize("cut_off", [True, False])
def test_every_link_leads_somewhere_below_the_sub_path(below: Server, job: dict[str, Any], cut_off: bool) -> None:
    def get(path: str) -> httpx.Response:
        return below.http.get(path.removeprefix(ROOT) if cut_off else path)

    song = get(f"{ROOT}/api/v1/songs/{job['song_id']}").json()
    listed = get(f"{ROOT}/api/v1/jobs").json()
    links = links_in([job, song, listed])
    assert len(links) > 15
    for link in links:
        assert link.startswith(f"{ROOT}/api/v1/"), link
        assert get(link).status_code == 200, link


def test_what_is_pushed_has_the_sub_path(below: Server, job: dict[str, Any]) -> None:
    events = below.http.get(job["links"]["events"]).text
    [told] = [line.removeprefix("data: ") for line in events.splitlines() if line.startswith("data: ")]
    assert json.loads(told) == job

    async def listen() -> list[Any]:
        told = []
        address = below.url.replace("http", "ws", 1)
        async with asyncio.timeout(60), connect(f"{address}{job['links']['self']}/ws") as ws:
            told.append(json.loads(await ws.recv()))
        for path in (f"{ROOT}/socket.io", "socket.io"):
            async with asyncio.timeout(60), socketio.AsyncSimpleClient() as client:
                await client.connect(below.url, socketio_path=path, transports=["websocket"])
                await client.emit("subscribe", {"job_id": job["id"]})
                told.append((await client.receive())[1])
        return told

    assert asyncio.run(listen()) == [job, job, job]


def test_page_is_found_below_the_sub_path_and_its_files_relative_to_it(below: Server) -> None:
    for view, up in (("/", "./"), ("/add", "./"), ("/songs/01a2", "../")):
        html = below.http.get(f"{ROOT}{view}").text
        assert f'href="{up}icon.svg"' in html
        assert f'src="{up}assets/' in html
        assert '="/' not in html
    led = below.http.get(f"{ROOT}?a=1")
    assert (led.status_code, led.headers["location"]) == (307, f"{ROOT}/?a=1")
    assert below.http.get(f"{ROOT}/icon.svg").status_code == 200
    assert below.http.get(f"{ROOT}er/").status_code == 404


def test_doors_are_below_the_sub_path_but_at_ports_of_their_own(below: Server, job: dict[str, Any]) -> None:
    led = below.http.get(f"{ROOT}/doors/demucs-web")
    assert led.headers["location"].endswith(f"{ROOT}/doors/demucs-web/")
    assert below.http.get(f"{ROOT}/doors/demucs-web/").status_code == 200
    songs = httpx.get(f"{below.doors['drumalong']}/api/v1/songs").json()
    assert songs is not None
    path = write_wav(below.data / "door.wav", sound("song", seconds=1, seed=3), bits=16)

    def begun(url: str, **headers: str) -> str:
        with path.open("rb") as file:
            answer = httpx.post(
                f"{url}/api/v1/process", files={"file": ("song.wav", file)}, headers=headers, timeout=60
            )
        return str(answer.json()["websocket_url"])

    host = below.url.removeprefix("http://")
    assert begun(f"{below.url}{ROOT}/doors/drumalong").startswith(f"ws://{host}{ROOT}/doors/drumalong/api/v1/ws/")
    away = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": HOST, "X-Forwarded-Prefix": "/music/studio"}
    address = begun(f"{below.url}/doors/drumalong", **away)
    assert address.startswith(f"wss://{HOST}/music/studio/doors/drumalong/api/v1/ws/")
    own = below.doors["drumalong"]
    assert begun(own).startswith(f"{own.replace('http', 'ws', 1)}/api/v1/ws/")


def test_openapi_names_the_sub_path(below: Server) -> None:
    assert below.http.get(f"{ROOT}/openapi.json").json()["servers"] == [{"url": ROOT}]


def seen(config: WebConfig, path: str, *, peer: str = "10.0.0.1", **headers: str) -> tuple[str, str, str]:
    """The sub-path, the path below it and the scheme that an app sees."""
    found: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        found.append(scope)

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {"type": "http", "method": "GET", "path": path, "scheme": "http", "headers": named}
    scope["client"] = (peer, 1)
    asyncio.run(Proxied(app, config)(scope, None, None))  # type: ignore[arg-type]
    [scope] = found
    return scope["root_path"], path_of(scope), scope["scheme"]


@pytest.mark.parametrize("root", ["", "/a", "/a/b.c-d_e~f"])
@pytest.mark.parametrize("path", ["/", "/api/v1/songs", "/aa", "/a%20b"])
def test_sub_path_may_be_cut_off_or_not(root: str, path: str) -> None:
    config = WebConfig(root_path=root)
    assert seen(config, path) == seen(config, f"{root}{path}") == (root, path, "http")


def test_only_trusted_proxies_are_believed() -> None:
    config = WebConfig(root_path="/set", trusted_proxies=("10.0.0.0/8",))
    said = {"x_forwarded_prefix": "/said/", "x_forwarded_proto": "https, http"}
    assert seen(config, "/x", **said) == ("/said", "/x", "https")
    assert seen(config, "/said/x", **said) == ("/said", "/x", "https")
    assert seen(config, "/x", peer="192.0.2.1", **said) == ("/set", "/x", "http")
    for wrong in ("//evil.example", "/../x", "https://evil.example", "/a b", "/songs", '/"><script>'):
        assert seen(config, "/x", x_forwarded_prefix=wrong, x_forwarded_proto="gopher") == ("/set", "/x", "http")


@pytest.mark.parametrize(
    "root",
    ["stemwright", "/a/", "/", "//a", "/a//b", "/../a", "/a/./b", "/a b", "/a?b", "/a%2fb", "/api", "/songs/x", 7],
)
def test_sub_paths_that_cannot_be_are_refused(root: object) -> None:
    with pytest.raises(ValueError, match=r"give a path such as|of its own"):
        Http(root_path=root)  # type: ignore[arg-type]


def test_no_path_of_the_studio_is_taken_for_a_sub_path(server: Server) -> None:
    paths = server.http.get("/openapi.json").json()["paths"]
    assert {path.split("/")[1] for path in paths} < OWN


# Hosts and origins


def post(gate_config: WebConfig, *, peer: str = "10.0.0.1", path: str = "/api/v1/jobs", **headers: str) -> int:
    """The status of a POST that Gate refuses; 0 for one that it lets pass."""
    statuses: list[int] = []

    async def passed(_scope: Scope, _receive: Receive, _send: Send) -> None:
        statuses.append(0)

    async def send(message: Any) -> None:
        if "status" in message:
            statuses.append(message["status"])

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "scheme": "http", "query_string": b"", "headers": named}
    scope |= {"client": (peer, 1), "http_version": "1.1"}
    asyncio.run(Proxied(Gate(passed, gate_config), gate_config)(scope, None, send))  # type: ignore[arg-type]
    return statuses[0]


NGINX = "127.0.0.1:8000"  # what nginx calls the studio unless it is told otherwise
STUDIO = WebConfig(hosts=frozenset({"127.0.0.1", HOST}), cors_origins=(PAGE,), trusted_proxies=("10.0.0.0/8",))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": HOST, "origin": f"https://{HOST}"}, 0),
        ({"host": f"{HOST}:443", "origin": f"https://{HOST}"}, 0),  # nginx's `$host:$server_port`
        ({"host": HOST, "origin": f"http://{HOST}:80"}, 0),
        ({"host": f"{HOST}:8443", "origin": f"https://{HOST}:8443"}, 0),
        ({"host": NGINX, "origin": PAGE}, 0),  # listed
        ({"host": NGINX}, 0),  # no browser
        ({"host": NGINX, "origin": f"https://{HOST}", "sec_fetch_site": "same-origin"}, 0),  # the browser says so
        ({"host": NGINX, "x_forwarded_host": HOST, "origin": f"https://{HOST}"}, 0),  # Apache's default
        ({"host": NGINX, "origin": f"https://{HOST}"}, 403),  # nginx's default: this may be its neighbour's page
        ({"host": NGINX, "origin": f"https://{HOST}:9000", "sec_fetch_site": "same-site"}, 403),
        ({"host": HOST, "origin": f"https://{HOST}:9000"}, 403),
        ({"host": f"{HOST}:80", "origin": f"https://{HOST}"}, 403),
        ({"host": HOST, "origin": "https://evil.example"}, 403),
        ({"host": HOST, "origin": "https://evil.example", "sec_fetch_site": "cross-site"}, 403),
        ({"host": HOST, "origin": "null"}, 403),
        ({"host": HOST, "origin": "null", "sec_fetch_site": "same-origin"}, 403),
        ({"host": HOST, "origin": "https://[evil"}, 403),
        ({"host": HOST, "origin": "https://[evil", "sec_fetch_site": "same-origin"}, 403),
        ({"host": HOST, "origin": ""}, 403),
        ({"host": HOST, "origin": "https://evil.example:x"}, 403),
        # a page that points its own name at the proxy, which calls the studio 127.0.0.1
        ({"host": NGINX, "origin": "http://evil.example", "sec_fetch_site": "same-origin"}, 403),
        ({"host": NGINX, "x_forwarded_host": "evil.example", "origin": "http://evil.example"}, 421),
        ({"host": "evil.example", "x_forwarded_host": HOST, "origin": "http://evil.example"}, 421),
        ({"host": NGINX, "x_forwarded_host": f"{HOST}, evil.example", "origin": f"http://{HOST}"}, 421),
        ({"host": "[evil"}, 421),
        ({"host": ""}, 421),
        ({}, 0),  # HTTP/1.0: no browser
        ({"origin": f"https://{HOST}"}, 403),
    ],
)
def test_only_our_own_pages_and_listed_ones_may_post(headers: dict[str, str], status: int) -> None:
    assert post(STUDIO, **headers) == status


def test_host_of_a_proxy_that_nobody_trusts_is_not_believed() -> None:
    forged = {"host": NGINX, "x_forwarded_host": HOST, "origin": f"https://{HOST}"}
    assert post(STUDIO, peer="192.0.2.1", **forged) == 403


def test_foreign_page_may_not_open_a_session_of_socket_io(below: Server) -> None:
    for path in ("/socket.io/?EIO=4&transport=polling", f"{ROOT}/doors/demucs-web/socket.io/?EIO=4&transport=polling"):
        problem_of(below.http.get(path, headers={"Origin": "https://evil.example"}), 403, "foreign_origin")
        assert below.http.get(path, headers={"Origin": PAGE}).status_code == 200
        assert below.http.get(path).status_code == 200


def test_refusal_says_what_to_set_in_the_proxy(below: Server) -> None:
    answer = below.http.post(f"{ROOT}/api/v1/jobs", headers={"Origin": f"http://{HOST}"}, files={"file": b"x"})
    detail = problem_of(answer, 403, "foreign_origin")["detail"]
    assert "proxy_set_header Host $http_host" in detail
    assert f"http://{HOST}" in detail
    assert below.url.removeprefix("http://") in detail


# HEAD


def test_head_of_everything_that_has_a_get(prepared: Prepared) -> None:
    """Of all paths in the description, and of those that are not in it; with GET's status and type, without a body."""
    http = prepared.server.http
    song, job = prepared.job["song_id"], prepared.job["id"]
    named = {"song_id": song, "job_id": job, "token": "flac", "ext": "flac", "stem": "vocals"}
    paths = [path for path, methods in http.get("/openapi.json").json()["paths"].items() if "get" in methods]
    assert len(paths) > 20
    others = ["/", "/add", "/icon.svg", "/openapi.json", "/doors/demucs-web/", "/doors/drumalong/api/v1/songs"]
    for template in [*paths, *others]:
        path = template
        for name, value in named.items():
            path = path.replace(f"{{{name}}}", value)
        head = http.head(path, headers={"Range": "bytes=0-1"})
        assert head.content == b""
        with http.stream("GET", path) as get:  # some never end
            assert head.status_code == get.status_code, path
            assert head.headers.get("content-type") == get.headers.get("content-type"), path


def test_head_opens_no_session_and_posts_nothing(prepared: Prepared) -> None:
    http = prepared.server.http
    assert http.head("/socket.io/?EIO=4&transport=polling").status_code in {400, 405}
    assert http.head(f"/api/v1/jobs/{prepared.job['id']}/retry").status_code == 405
    assert http.head("/api/v1/nothing").status_code == 404
    assert http.head(f"/api/v1/jobs/{prepared.job['id']}/events").status_code == 200
    assert 'method="HEAD",route="/api/v1/jobs/{job_id}/events"' in http.get("/metrics").text


# HTTP/1.0


def raw(server: Server, request: str) -> int:
    """The status of a request as it is written."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(request.encode())
        return int(connection.recv(4096).split()[1])


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/api/v1/songs", "/", "/doors/drumalong/health"])
def test_http_1_0_needs_no_host(server: Server, path: str) -> None:
    assert raw(server, f"GET {path} HTTP/1.0\r\n\r\n") == raw(server, f"HEAD {path} HTTP/1.0\r\n\r\n") == 200
    assert raw(server, f"GET {path} HTTP/1.0\r\nHost: evil.example\r\n\r\n") == 421
    assert raw(server, f"GET {path} HTTP/1.1\r\n\r\n") == 400


def test_foreign_page_may_not_post_by_http_1_0(server: Server) -> None:
    assert raw(server, "POST /api/v1/songs HTTP/1.0\r\nOrigin: https://evil.example\r\n\r\n") == 403


# Files in pages of other origins


@pytest.mark.parametrize(
    ("referer", "policy"),
    [
        (f"{PAGE}/", "cross-origin"),
        (f"{PAGE}/player?x=https://evil.example", "cross-origin"),
        (PAGE, "cross-origin"),
        ("https://evil.example/", "same-origin"),
        (f"https://evil.example/?{PAGE}/", "same-origin"),
        (f"{PAGE}.evil.example/", "same-origin"),
        (f"{PAGE}:8443/", "same-origin"),
        ("http://app.example.org/", "same-origin"),
        (f"{PAGE}@evil.example/", "same-origin"),
        ("", "same-origin"),
    ],
)
def test_files_are_for_pages_of_listed_origins(below: Server, job: dict[str, Any], referer: str, policy: str) -> None:
    for path in (job["result"]["stems"]["vocals"], job["result"]["drums"]["picture"], f"{ROOT}/icon.svg"):
        answer = below.http.get(path, headers={"Referer": referer} if referer else {})
        assert answer.headers["cross-origin-resource-policy"] == policy
        assert "Referer" in answer.headers.get_list("vary")


def test_without_listed_origins_files_are_for_our_own_pages(prepared: Prepared) -> None:
    answer = prepared.server.http.get(prepared.stem("vocals.flac"), headers={"Referer": f"{PAGE}/"})
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
