"""Files that are announced at one replica, sent to the bucket, and submitted at the other."""

from __future__ import annotations

import hashlib
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from stemwright.studio.store.tables import Job, PendingUpload, Song

if TYPE_CHECKING:
    from pathlib import Path

    from fleet.fleet import Fleet
    from server import Server

pytestmark = pytest.mark.slow


def sent(replica: Server, song: Path) -> str:
    """Announce a file at a replica and send it; the id of the upload."""
    content = song.read_bytes()
    facts = {"name": song.name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    upload = replica.http.post("/api/v1/uploads", json=facts).raise_for_status().json()
    assert upload["url"].startswith("http")
    httpx.put(upload["url"], content=content, headers=upload["headers"]).raise_for_status()
    return str(upload["upload_id"])


def submit(replica: Server, upload_id: str) -> Any:
    fields = {"upload_id": upload_id, "model": "sketch", "analysis": False}
    return replica.http.post("/api/v1/jobs", json=fields)


def test_upload_is_taken_once_though_both_replicas_are_asked(fleet: Fleet, song: Path) -> None:
    replicas = [fleet.api(), fleet.api()]
    upload_id = sent(replicas[0], song)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: submit(replicas[number % 2], upload_id), range(16)))
    assert sorted(answer.status_code for answer in answers) == [202] + [404] * 15
    assert (len(fleet.rows(Song)), len(fleet.rows(Job)), len(fleet.rows(PendingUpload))) == (1, 1, 0)
    job = next(answer.json() for answer in answers if answer.status_code == 202)
    fleet.worker().ready()
    assert replicas[1].wait(job["id"])["status"] == "succeeded"
    assert fleet.rows(Song)[0].upload_key == f"local/uploads/{upload_id}"
    fleet.assert_clean()


def test_upload_outlives_the_replica_that_died_while_it_took_it(fleet: Fleet, song: Path) -> None:
    first, second = fleet.api(), fleet.api()
    upload_id = sent(first, song)
    fleet.arm("api.row")
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(submit, first, upload_id)
        fleet.stopped("api.row")
        first.stop(signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            lost.result()
    fleet.release("api.row")
    assert (len(fleet.rows(Song)), len(fleet.rows(PendingUpload))) == (0, 1)
    taken = submit(second, upload_id)
    assert taken.status_code == 202, taken.text
    fleet.worker().ready()
    assert second.wait(taken.json()["id"])["status"] == "succeeded"
    fleet.assert_clean()
