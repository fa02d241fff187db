"""What several processes wrote into the outbox is there for the next one."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from stemwright.studio import outbox
from studio.shelves import idle

if TYPE_CHECKING:
    from pathlib import Path

MANY = 20
WRITER = """
import sys
from types import SimpleNamespace
from stemwright.records import Fault
from stemwright.studio import outbox
from stemwright.studio.store.database import Database

url, who, many = sys.argv[1:]
studio = SimpleNamespace(db=Database(url))
for number in range(int(many)):
    for message in ("first", "last"):
        facts = Fault(code=who, message=message)
        outbox.note(studio, door="test", name=f"{who}-{number}", facts=facts, owner="local", open=number % 2 == 0)
"""


def test_entries_of_two_processes_that_write_at_once_are_all_there_for_a_third(
    tmp_path: Path, database_url: str
) -> None:
    with idle(tmp_path, database_url) as studio:
        url = studio.db.url
    command = [sys.executable, "-c", WRITER, url]
    writers = [subprocess.Popen([*command, who, str(MANY)]) for who in ("one", "two")]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    (tmp_path / "incoming").rmdir()
    with idle(tmp_path, database_url) as studio:
        found = {one.name: one for one in outbox.all_entries(studio, door="test", owner="local")}
        still_open = {one.name for one in outbox.open_entries(studio, door="test")}
    assert found.keys() == {f"{who}-{number}" for who in ("one", "two") for number in range(MANY)}
    assert still_open == {name for name in found if int(name.partition("-")[2]) % 2 == 0}
    assert {entry.facts["message"] for entry in found.values()} == {"last"}
