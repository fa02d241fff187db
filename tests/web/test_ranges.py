"""Byte ranges, tags and names of files, without a server."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from stemwright.studio.files import Served
from stemwright.web.ranges import byte_range, disposition, serve

CONTENT = bytes(range(256)) * 4
FILE = Served(object_key="k", size_bytes=len(CONTENT), digest="d" * 64, media_type="audio/flac", file_name="a.flac")
TAG = f'"{FILE.digest}"'


def answer(method: str = "GET", **headers: str) -> Any:
    """What `serve` makes of a request; `store.read` gives the bounds that it was asked for."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "method": method, "path": "/", "headers": raw, "query_string": b""})
    asked: list[tuple[int, int]] = []

    async def nothing() -> Any:
        yield b""

    def read(key: str, *, start: int, end: int) -> Any:
        asked.append((start, end))
        return nothing()

    response = serve(request, cast("Any", SimpleNamespace(read=read)), FILE)
    return SimpleNamespace(status=response.status_code, headers=response.headers, asked=asked)


@given(first=st.integers(0, 2000), last=st.integers(0, 2000), size=st.integers(0, 1024))
def test_first_to_last_is_the_slice_that_python_gives(first: int, last: int, size: int) -> None:
    content, found = CONTENT[:size], byte_range(f"bytes={first}-{last}", size=size)
    if last < first:
        assert found is None
    elif first >= size:
        assert found == ()
    else:
        assert found
        assert content[found[0] : found[1]] == content[first : last + 1]


@given(first=st.integers(0, 2000), size=st.integers(0, 1024))
def test_open_end_goes_to_the_end(first: int, size: int) -> None:
    found = byte_range(f"bytes={first}-", size=size)
    assert CONTENT[:size][slice(*found)] == CONTENT[first:size] if found else first >= size


@given(length=st.integers(0, 2000), size=st.integers(0, 1024))
def test_suffix_is_the_last_bytes(length: int, size: int) -> None:
    found = byte_range(f"bytes=-{length}", size=size)
    wanted = CONTENT[:size][-length:] if length else b""
    assert (CONTENT[:size][slice(*found)] if found else b"") == wanted


@given(st.text())
def test_any_header_is_a_part_nothing_or_ignored(header: str) -> None:
    found = byte_range(header, size=1024)
    if found:
        assert 0 <= found[0] < found[1] <= 1024


@pytest.mark.parametrize(
    "header", ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=0-1,3-4", "items=0-1"]
)
def test_what_is_no_single_range_is_ignored(header: str) -> None:
    assert byte_range(header, size=1024) is None
    assert answer(range=header).status == 200


def test_part_is_answered_206_with_its_place() -> None:
    part = answer(range="bytes=10-19")
    assert (part.status, part.asked) == (206, [(10, 20)])
    assert part.headers["content-range"] == "bytes 10-19/1024"
    assert part.headers["content-length"] == "10"
    assert part.headers["etag"] == TAG


def test_range_behind_the_end_is_416_with_the_size() -> None:
    outside = answer(range="bytes=1024-")
    assert (outside.status, outside.headers["content-range"], outside.asked) == (416, "bytes */1024", [])


@pytest.mark.parametrize(
    ("condition", "status"), [(TAG, 206), ('"other"', 200), (f"W/{TAG}", 200), ("Sat, 01 Jan 2000 00:00:00 GMT", 200)]
)
def test_if_range_gives_the_part_of_that_very_file_only(condition: str, status: int) -> None:
    assert answer(range="bytes=0-9", if_range=condition).status == status


@pytest.mark.parametrize(
    ("condition", "status"),
    [(TAG, 304), (f"W/{TAG}", 304), ("*", 304), (f'"a", {TAG}', 304), ('"other"', 200), ("", 200)],
)
def test_if_none_match_gives_304_for_what_the_client_has(condition: str, status: int) -> None:
    unchanged = answer(if_none_match=condition, range="bytes=0-9" if status == 304 else "")
    assert unchanged.status == status
    assert unchanged.headers["etag"] == TAG


def test_head_reads_nothing_and_ignores_ranges() -> None:
    head = answer("HEAD", range="bytes=0-9")
    assert (head.status, head.headers["content-length"], head.asked) == (200, "1024", [])


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80), st.booleans())
def test_any_name_survives_and_never_breaks_out_of_its_quotes(name: str, attachment: bool) -> None:
    header = disposition(name, attachment=attachment)
    found = re.fullmatch(r"(inline|attachment); filename=\"([\x20-\x7e]*)\"; filename\*=UTF-8''([\x21-\x7e]+)", header)
    assert found
    assert found[1] == ("attachment" if attachment else "inline")
    assert not {*'"\\'} & {*found[2]}
    assert unquote(found[3]) == name
