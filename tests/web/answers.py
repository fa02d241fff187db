"""What the tests of the API share: the prepared song, and what every problem has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from server import Server
    from sounds import Samples

SECONDS, RATE = 3.0, 44_100


@dataclass(frozen=True)
class Prepared:
    """A song in the library, and what it was made of."""

    server: Server
    path: Path
    samples: Samples
    job: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.job["links"]["song"])

    def stem(self, file: str) -> str:
        return f"{self.url}/stems/{file}"


def problem_of(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem that an answer is, with what all of them have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["code"] == code, body
    assert body["title"]
    assert body["detail"]
    return body


def wrong_fields(answer: Any) -> set[str]:
    """The fields that a 422 names."""
    return {fault["field"] for fault in problem_of(answer, 422, answer.json()["code"])["errors"]}


def faults(server: Server) -> list[str]:
    """What went wrong in a server's API process without being told to a client: the last of each traceback."""
    lines = server.log.read_text().splitlines()
    return [line[-400:] for line in lines if "Traceback" in line and '"process": "executor"' not in line]
