"""Multipart bodies: any way of cutting them gives the same form, and what is wrong with one is said."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import itertools
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from stemwright.errors import DiskFullError, OutputError, StemwrightError, TooLargeError
from stemwright.web.problems import InvalidFieldsError, MalformedError, StalledError, UnsupportedMediaTypeError
from stemwright.web.uploads import received

B = "xXx"
AUDIO = bytes(range(256)) * 5 + b"\r\n--xX\r\n--xXy\r\n\r\n--"


def part(name: str, content: bytes, *, file: str | None = None, newline: bytes = b"\r\n") -> bytes:
    named = f'form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
    head = f"--{B}\r\nContent-Disposition: {named}\r\n\r\n".encode()
    return head.replace(b"\r\n", newline) + content + newline


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{B}--\r\n".encode()


def plenty(_: int) -> None:
    """The disk has room."""


LIMITS: dict[str, Any] = {"max_bytes": 10_000, "room": plenty}


def receive(
    content: bytes,
    *,
    cuts: list[int] | None = None,
    kind: str = f"multipart/form-data; boundary={B}",
    announced: int = 0,
    **limits: Any,
) -> Any:
    """Fields, files as (field, name, bytes, digest is right), and how many files are left at the end."""
    bounds = [0, *sorted({min(cut, len(content)) for cut in cuts or []}), len(content)]
    waiting = [content[a:b] for a, b in itertools.pairwise(bounds)]

    async def come() -> dict[str, Any]:
        return {"type": "http.request", "body": waiting.pop(0) if waiting else b"", "more_body": bool(waiting)}

    async def run(folder: Path) -> Any:
        headers = [(b"content-type", kind.encode())]
        headers += [(b"content-length", str(announced).encode())] if announced else []
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        async with received(Request(scope, come), folder, **{**LIMITS, **limits}) as form:
            files = [
                (name, one.name, one.path.read_bytes(), hashlib.sha256(one.path.read_bytes()).hexdigest() == one.digest)
                for name, one in form.files
            ]
            assert len([*folder.iterdir()]) == len(files)
            return form.fields, files

    with tempfile.TemporaryDirectory() as folder:
        try:
            return asyncio.run(run(Path(folder)))
        finally:
            assert not [*Path(folder).iterdir()]


@given(cuts=st.lists(st.integers(0, 1800), max_size=60), last=st.booleans())
def test_any_cutting_and_order_gives_the_same_form(cuts: list[int], last: bool) -> None:
    parts = [part("file", AUDIO, file="a.wav"), part("model", "skätch".encode()), part("stems", b"")]
    fields, files = receive(body(*(reversed(parts) if last else parts)), cuts=cuts)
    assert fields == {"model": "skätch", "stems": ""}
    assert files == [("file", "a.wav", AUDIO, True)]


@given(content=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=10))
def test_any_bytes_are_a_form_or_one_of_our_errors(content: bytes, cuts: list[int]) -> None:
    for whole in (content, part("a", content), body(part("a", content)), part("a", content, file="b")[:-3]):
        with contextlib.suppress(MalformedError, InvalidFieldsError):
            receive(whole, cuts=cuts)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("C:\\Music\\a.wav", "a.wav"),
        ("../../etc/passwd", "passwd"),
        ('a\\"b.wav', 'a"b.wav'),
        ("say %22hi%22.wav", 'say "hi".wav'),
        ("Grüße 🎵.wav", "Grüße 🎵.wav"),
        ("", "untitled"),
        ("a/", "untitled"),
        ("x" * 300, "x" * 255),
    ],
)
def test_file_name_is_the_last_part_of_what_the_client_says(given: str, shown: str) -> None:
    assert receive(body(part("file", AUDIO, file=given)))[1][0][1] == shown


def test_file_name_in_extended_form_is_understood() -> None:
    head = f"--{B}\r\nContent-Disposition: form-data; name=file; filename*=utf-8''Gr%C3%BC%C3%9Fe.wav\r\n\r\n".encode()
    assert receive(body(head + AUDIO + b"\r\n"))[1] == [("file", "Grüße.wav", AUDIO, True)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing of the kind",
        body(part("file", AUDIO, file="a"))[: -len(f"--{B}--\r\n")],
        part("file", AUDIO, file="a")[:-4],
        body(part("file", AUDIO, file="a")).replace(B.encode(), b"other"),
        body(part("file", AUDIO, file="a", newline=b"\n")),
        f"--{B}\r\nno header\r\n\r\nx\r\n--{B}--".encode(),
        f"--{B}\r\n{'X-A: b' * 2000}\r\n\r\nx\r\n--{B}--".encode(),
        f"--{B}\r\n".encode() + b"X-A: b\r\n" * 50 + f"\r\nx\r\n--{B}--".encode(),
    ],
)
def test_body_that_is_no_multipart_is_malformed(content: bytes) -> None:
    with pytest.raises(MalformedError):
        receive(content)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/mixed; boundary=xXx"]
)
def test_other_kinds_of_body_are_not_understood(kind: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        receive(body(), kind=kind)


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 300]
)
def test_boundary_that_cannot_be_is_malformed(kind: str) -> None:
    with pytest.raises(MalformedError):
        receive(body(part("a", b"b")), kind=kind)


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ([part("a", b"1"), part("a", b"2")], "a"),
        ([part("a", b"x" * 16_385)], "a"),
        ([part(f"f{number}", b"") for number in range(65)], "f64"),
        ([part("file", AUDIO, file="a"), part("more", AUDIO, file="b")], "more"),
    ],
)
def test_too_much_of_anything_names_its_field(parts: list[bytes], field: str) -> None:
    with pytest.raises(InvalidFieldsError) as error:
        receive(body(*parts))
    assert [fault.field for fault in error.value.errors] == [field]


def test_body_that_stops_coming_is_given_up_and_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stemwright.web.bodies._TIMEOUT", 0.05)
    waiting = [part("file", AUDIO, file="a")]

    async def come() -> dict[str, Any]:
        while not waiting:
            await asyncio.sleep(1)
        return {"type": "http.request", "body": waiting.pop(), "more_body": True}

    async def run() -> None:
        headers = [(b"content-type", f"multipart/form-data; boundary={B}".encode())]
        request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, come)
        with pytest.raises(StalledError):
            async with received(request, tmp_path, room=plenty, max_bytes=10_000):
                pass

    asyncio.run(run())
    assert not [*tmp_path.iterdir()]


def test_body_that_comes_byte_by_byte_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stemwright.web.bodies._TIMEOUT", 0.3)
    content = itertools.chain(part("file", AUDIO[:20], file="a"), itertools.repeat(0))
    came = 0

    async def come() -> dict[str, Any]:
        nonlocal came
        came += 1
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": bytes([next(content)]), "more_body": True}

    async def run() -> None:
        headers = [(b"content-type", f"multipart/form-data; boundary={B}".encode())]
        request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, come)
        with pytest.raises(StalledError, match="only"):
            async with received(request, tmp_path, room=plenty, max_bytes=10_000):
                pass

    asyncio.run(run())
    assert 5 < came < 100
    assert not [*tmp_path.iterdir()]


def test_file_larger_than_allowed_is_refused_while_it_comes() -> None:
    assert receive(body(part("file", b"x" * 10_000, file="a")))
    with pytest.raises(TooLargeError):
        receive(body(part("file", b"x" * 10_001, file="a")), cuts=[*range(0, 10_000, 500)])


def test_each_of_several_files_may_be_as_large_as_allowed() -> None:
    parts = [part("files", b"x" * 10_000, file=f"{number}.wav") for number in range(3)]
    assert len(receive(body(*parts), max_files=3)[1]) == 3


def test_room_is_asked_for_what_is_announced_and_again_for_each_megabyte() -> None:
    asked: list[int] = []

    def room(size_bytes: int) -> None:
        asked.append(size_bytes)
        if len(asked) > 2:
            raise DiskFullError("no more")

    content = body(part("file", b"x" * (5 << 20), file="a.wav"))
    cuts = [*range(0, len(content), 1 << 18)]
    with pytest.raises(DiskFullError):
        receive(content, cuts=cuts, max_bytes=10 << 20, room=room, announced=len(content))
    assert asked == [len(content), 0, 0]


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, DiskFullError), (errno.EACCES, OutputError)])
def test_disk_that_takes_no_more_amid_a_body_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StemwrightError]
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("stemwright.web.uploads.tempfile.NamedTemporaryFile", full)
    with pytest.raises(kind):
        receive(body(part("file", AUDIO, file="a.wav")))


def cost(content: bytes, **limits: Any) -> float:
    """Seconds of processor time until a body that comes in pieces of 64 KiB is a form or refused."""
    before = time.process_time()
    with contextlib.suppress(MalformedError, InvalidFieldsError, TooLargeError):
        receive(content, cuts=[*range(65_536, len(content), 65_536)], max_bytes=1 << 24, **limits)
    return time.process_time() - before


@pytest.mark.parametrize(
    "head",
    [b"a:b\r\n" * 1_700_000, b"X-" + b"a" * 8_000_000 + b": b\r\n", b"a: " + b"b" * 8_000_000 + b"\r\n"],
    ids=["many headers", "a long name", "a long value"],
)
def test_eight_megabytes_of_part_headers_are_refused_at_once(head: bytes) -> None:
    """The attack as it was found: python-multipart 0.0.20 took 17 s, a file of this size 0.02 s."""
    content = f"--{B}\r\n".encode() + head + b"\r\nx\r\n"
    with pytest.raises(MalformedError):
        receive(content, cuts=[*range(65_536, len(content), 65_536)], max_bytes=1 << 24)
    assert cost(content) < 5 * cost(body(part("file", bytes(8 << 20), file="a"))) + 0.05


def test_a_hundred_thousand_parts_are_refused_at_once() -> None:
    """Sibling: many parts with small headers."""
    content = body(*(part(f"n{n}", b"") for n in range(100_000)))
    with pytest.raises(InvalidFieldsError, match="more than 64"):
        receive(content, cuts=[*range(65_536, len(content), 65_536)], max_bytes=1 << 24)
    assert cost(content) < 5 * cost(body(part("file", bytes(8 << 20), file="a"))) + 0.05
