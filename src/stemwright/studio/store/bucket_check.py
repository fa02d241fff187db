"""Whether a bucket can be used: by the studio itself, and by pages that send files to it and read stems from it."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stemwright.errors import StemwrightError, StorageUnavailableError
from stemwright.words import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from stemwright.studio.store.objects import ObjectStore

_WORDS: Final = b"stemwright doctor"
_OTHER: Final = b"stemwright ductor"  # as many bytes, and others
_SENT: Final = "x-amz-checksum-sha256"  # the header of an upload for which browsers ask first
_READ: Final = ("ETag", "Content-Range")  # headers of a stem that the player reads
_TIMEOUT: Final = 10.0  # seconds of a request
_CODE: Final = re.compile("<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)  # of S3's errors
_LINK: Final = 300  # seconds of a link


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, in a sentence, and whether it is as it must be."""

    name: str
    good: bool
    text: str


def check_bucket(store: ObjectStore) -> Finding:
    """Whether a bucket can be reached, written, read and deleted from."""
    key, step = _key(), "reached"
    try:
        store.ping()
        step = "written"
        store.put(key, _WORDS)
        step = "read"
        if store.get(key) != _WORDS:
            return Finding("bucket", False, "it gives other bytes than were put into it")
        step = "deleted from"
        store.delete([key])
    except StemwrightError as error:
        return Finding("bucket", False, f"cannot be {step}: {_reason(error)}")
    return Finding("bucket", True, "can be reached, written, read, and deleted from")


def check_pages(store: ObjectStore, origin: str, *, redirect: bool) -> Iterator[Finding]:
    """Whether pages of an origin, such as `https://studio.example.org`, can send songs to a bucket that signs.

    With `redirect` also whether they can read stems there. Tries it with small objects, as a browser would.
    """
    import httpx

    key = _key()
    try:
        with httpx.Client(timeout=_TIMEOUT) as http:
            yield from _uploads(store, http, key, origin=origin)
            if redirect:
                store.put(key, _WORDS)
                yield _reading(store, http, key, origin=origin)
    except (httpx.HTTPError, StorageUnavailableError) as error:
        yield Finding("pages", False, f"the bucket's signed addresses cannot be used: {_reason(error)}")
    finally:
        try:
            store.delete([key])
        except StemwrightError:  # that it cannot be deleted from was found before
            return


def _uploads(store: ObjectStore, http: httpx.Client, key: str, *, origin: str) -> Iterator[Finding]:
    name, digest = "uploads", hashlib.sha256(_WORDS).hexdigest()
    link = store.upload_link(key, size_bytes=len(_WORDS), sha256=digest, seconds=_LINK)
    if link is None:
        yield Finding(name, False, "no address can be signed: give storage.access_key_id and its secret")
        return
    url, headers = link
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": _SENT}
    lacking = _lacking(http.options(url, headers=asked), origin=origin)
    stored = http.put(url, headers={**headers, "Origin": origin}, content=_WORDS)
    if stored.is_success and not lacking and not _lets_in(stored, origin):
        lacking.append(f"the origin {origin} (in the answer to PUT)")
    if not stored.is_success:
        yield Finding(name, False, f"a signed PUT is answered with {stored.status_code}: {_in_short(stored.text)}")
    elif http.put(url, headers=headers, content=_OTHER).is_success:
        yield Finding(name, False, f"the bucket does not compare bytes with {_SENT}: it took others")
    elif lacking:
        yield Finding(
            name, False, f"the bucket's CORS rules lack {', '.join(lacking)}: songs go through the studio instead"
        )
    else:
        yield Finding(name, True, f"pages of {origin} can send songs to the bucket")


def _lacking(answer: httpx.Response, *, origin: str) -> list[str]:
    """What a preflight's answer does not allow."""
    if not answer.is_success or "access-control-allow-origin" not in answer.headers:
        return [f"the origin {origin} with PUT and the header {_SENT}"]
    lacking = [] if _lets_in(answer, origin) else [f"the origin {origin}"]
    if not {"PUT", "*"} & _listed(answer, "access-control-allow-methods"):
        lacking.append("the method PUT")
    if not {_SENT.upper(), "*"} & _listed(answer, "access-control-allow-headers"):
        lacking.append(f"the header {_SENT}")
    return lacking


def _reading(store: ObjectStore, http: httpx.Client, key: str, *, origin: str) -> Finding:
    name = "reading"
    link = store.link(key, seconds=_LINK, disposition="inline", media_type="text/plain")
    answer = http.get(str(link), headers={"Origin": origin, "Range": "bytes=0-3"})
    if not answer.is_success:
        return Finding(name, False, f"a signed GET is answered with {answer.status_code}: {_in_short(answer.text)}")
    lacking = [] if _lets_in(answer, origin) else [f"the origin {origin} with GET"]
    exposed = _listed(answer, "access-control-expose-headers")
    lacking += [f"the exposed header {one}" for one in _READ if not {one.upper(), "*"} & exposed]
    if lacking:
        return Finding(name, False, f"the bucket's CORS rules lack {', '.join(lacking)}: the player cannot play")
    return Finding(name, True, f"pages of {origin} can read stems from the bucket")


def _lets_in(answer: httpx.Response, origin: str) -> bool:
    return answer.headers.get("access-control-allow-origin") in {"*", origin}


def _listed(answer: httpx.Response, header: str) -> set[str]:
    return {one.strip().upper() for one in answer.headers.get(header, "").split(",")}


def _key() -> str:
    return f"doctor/{secrets.token_hex(8)}"


def _reason(error: Exception) -> str:
    """Why something failed, for the operator: what the store or the network said."""
    cause = error.__cause__ or error
    return _in_short(str(cause)) or type(cause).__name__


def _in_short(text: str) -> str:
    """What an answer of S3 says, without its XML and without secrets."""
    code = _CODE.search(text)
    return without_secrets(f"{code[1]}: {code[2]}" if code else text.strip())[:300]
