"""One file from a server on this machine, under everything that can go wrong."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import http.client
import random
from typing import TYPE_CHECKING

import pytest

from certificates import make_certificate
from needs import needs
from stemwright import errors
from stemwright.weights.config import Config, current
from stemwright.weights.download import Wanted, download
from studio.work.receivers import Receiver, listening

if TYPE_CHECKING:
    from pathlib import Path

    from weights.publisher import Publisher

BODY = random.Random(1).randbytes(700_001)
DIGEST = hashlib.sha256(BODY).hexdigest()

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def part(tmp_path: Path, publisher: Publisher) -> Path:
    publisher.files["/w.bin"] = BODY
    return tmp_path / "w.part"


def get(publisher: Publisher, part: Path, *, sha256: str | None = DIGEST, config: Config | None = None) -> list[int]:
    """Download it, check it, and return the bytes that were reported on the way."""
    done: list[int] = []
    wanted = Wanted(url=f"{publisher.url}/w.bin", sha256=sha256)
    digest = download(wanted, part, config=config or current(), on_progress=lambda have, _: done.append(have))
    assert digest == DIGEST
    assert part.read_bytes() == BODY
    return done


def test_file_comes_whole_and_progress_ends_at_its_size(publisher: Publisher, part: Path) -> None:
    done = get(publisher, part)
    assert done[0] == 0
    assert done[-1] == len(BODY)
    assert done == sorted(done)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("length", [True, False])
def test_broken_connection_is_gone_on_with(publisher: Publisher, part: Path, ranges: bool, length: bool) -> None:
    publisher.cuts, publisher.cut_after, publisher.ranges = 2, 300_000, ranges
    if not length and not ranges:
        publisher.cuts = 0  # nobody could tell that the end is missing before the digest says so
    publisher.length = length or publisher.cuts > 0
    get(publisher, part)
    asked = [wanted for _, wanted in publisher.asked]
    assert asked == ([None, "bytes=300000-", "bytes=600000-"] if ranges and publisher.length else asked)


def test_network_that_is_gone_for_a_moment_is_asked_again(
    publisher: Publisher, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, gone = http.client.HTTPResponse.read1, [OSError(errno.EHOSTUNREACH, "No route to host")]

    def flaky(answer: http.client.HTTPResponse, size: int) -> bytes:
        if gone:
            raise gone.pop()
        return read(answer, size)

    monkeypatch.setattr(http.client.HTTPResponse, "read1", flaky)
    get(publisher, part)
    assert not gone


def test_what_an_earlier_process_left_is_gone_on_with(publisher: Publisher, part: Path) -> None:
    publisher.cuts, publisher.cut_after = 4, 100_000
    with pytest.raises(errors.ModelUnavailableError, match="400000 of 700001"):
        get(publisher, part)
    assert part.stat().st_size == 400_000
    publisher.asked.clear()
    get(publisher, part)
    assert publisher.asked == [("/w.bin", "bytes=400000-")]


def test_left_part_of_another_version_is_not_used(publisher: Publisher, part: Path) -> None:
    publisher.files["/w.bin"] = b"old" * 200_000
    publisher.cuts, publisher.cut_after = 4, 100_000
    with pytest.raises(errors.ModelUnavailableError):
        get(publisher, part)
    publisher.files["/w.bin"], publisher.tag = BODY, '"two"'
    get(publisher, part)


def test_left_part_that_is_damaged_is_fetched_again(publisher: Publisher, part: Path) -> None:
    publisher.cuts, publisher.cut_after = 4, 100_000
    with pytest.raises(errors.ModelUnavailableError):
        get(publisher, part)
    part.write_bytes(bytes(400_000))
    publisher.asked.clear()
    get(publisher, part)
    assert [wanted for _, wanted in publisher.asked] == ["bytes=400000-", None]


def test_left_part_that_is_too_long_is_fetched_again(publisher: Publisher, part: Path) -> None:
    publisher.cuts, publisher.cut_after = 4, 100_000
    with pytest.raises(errors.ModelUnavailableError):
        get(publisher, part)
    part.write_bytes(bytes(800_000))
    get(publisher, part)


def test_without_a_digest_nothing_left_is_trusted(publisher: Publisher, part: Path) -> None:
    publisher.cuts, publisher.cut_after = 4, 100_000
    with pytest.raises(errors.ModelUnavailableError):
        get(publisher, part, sha256=None)
    publisher.asked.clear()
    get(publisher, part, sha256=None)
    assert publisher.asked == [("/w.bin", None)]


def test_wrong_digest_is_refused_and_leaves_nothing(publisher: Publisher, part: Path) -> None:
    with pytest.raises(errors.WeightsError, match=f"SHA-256 is {DIGEST}, not {'0' * 64}"):
        get(publisher, part, sha256="0" * 64)
    assert not list(part.parent.glob("w.part*"))
    assert len(publisher.asked) == 1


def test_server_that_is_busy_is_asked_again_and_one_that_says_no_is_not(publisher: Publisher, part: Path) -> None:
    publisher.errors = [503, 429]
    get(publisher, part)
    publisher.errors = [404]
    publisher.asked.clear()
    with pytest.raises(errors.ModelUnavailableError, match="Not Found"):
        get(publisher, part.with_name("other"))
    assert len(publisher.asked) == 1


def test_file_that_is_too_large_is_refused(publisher: Publisher, part: Path) -> None:
    for length in (True, False):
        publisher.length = length
        with pytest.raises(errors.WeightsError, match="refused"):
            download(Wanted(url=f"{publisher.url}/w.bin", sha256=DIGEST, largest=500_000), part, config=current())
        assert not part.exists()


def test_offline_never_connects(publisher: Publisher, part: Path) -> None:
    with pytest.raises(errors.ModelUnavailableError, match="offline"):
        get(publisher, part, config=dataclasses.replace(current(), offline=True))
    assert publisher.asked == []


def test_nobody_listening_is_said_so(part: Path) -> None:
    with pytest.raises(errors.ModelUnavailableError, match=r"could not be fetched.*refused"):
        download(Wanted(url="http://127.0.0.1:1/w.bin", sha256=DIGEST), part, config=current())


@pytest.mark.parametrize(
    "url", ["http://weights.test/w.bin", "ftp://weights.test/w.bin", "file:///etc/passwd", "w.bin"]
)
def test_only_https_is_fetched(part: Path, url: str) -> None:
    with pytest.raises(errors.ModelUnavailableError, match="HTTPS only"):
        download(Wanted(url=url, sha256=DIGEST), part, config=current())


def test_redirects_are_followed_but_not_to_what_is_not_https(publisher: Publisher, part: Path) -> None:
    publisher.redirects = {"/first": "/w.bin", "/bad": "http://weights.test/w.bin", "/file": "file:///etc/passwd"}
    download(Wanted(url=f"{publisher.url}/first", sha256=DIGEST), part, config=current())
    for path in ("/bad", "/file"):
        with pytest.raises(errors.ModelUnavailableError):
            download(Wanted(url=f"{publisher.url}{path}", sha256=DIGEST), part, config=current())


@needs("openssl")
@pytest.mark.parametrize(("name", "trusted"), [("DNS:localhost", False), ("DNS:weights.test", True)])
def test_who_has_no_certificate_of_the_host_is_not_asked_whatever_its_address(
    part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trusted: bool
) -> None:
    certificate = make_certificate(tmp_path, name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with listening(Receiver(), certificate=certificate) as server:
        wanted = Wanted(url=server.url(host="localhost", scheme="https"))
        with pytest.raises(errors.ModelUnavailableError, match="certificate"):
            download(wanted, part, config=current())
    assert not server.got


def test_mirror_is_asked_in_the_place_of_the_publisher(publisher: Publisher, part: Path) -> None:
    publisher.files["/base/weights.test/a/w.bin"] = BODY
    config = dataclasses.replace(current(), mirror=f"{publisher.url}/base")
    assert download(Wanted(url="https://weights.test/a/w.bin", sha256=DIGEST), part, config=config) == DIGEST


def test_proxy_of_the_system_is_used(publisher: Publisher, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", publisher.url)
    monkeypatch.setenv("no_proxy", "")
    config = dataclasses.replace(current(), mirror="http://localhost:1")
    publisher.files["http://localhost:1/weights.test/w.bin"] = BODY
    assert download(Wanted(url="https://weights.test/w.bin", sha256=DIGEST), part, config=config) == DIGEST
    assert publisher.asked[0][0] == "http://localhost:1/weights.test/w.bin"
