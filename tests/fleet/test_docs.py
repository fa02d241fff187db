"""docs/fleet.md is true: its commands start a fleet, its query counts, and its backup comes back."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

import needs
from fleet.fleet import Fleet, until
from stemwright.studio.store.objects import ObjectStore
from stemwright.studio.store.tables import Run
from stemwright.studio.work.retention import sweep
from stemwright.studio.workers import accelerator

if TYPE_CHECKING:
    from postgres import Postgres
    from s3 import S3

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def test_commands_of_the_page_start_a_fleet(tmp_path: Path, server: Postgres, s3: S3, song: Path) -> None:
    exported = dict(re.findall(r"\b([A-Z][A-Z0-9_]+)=(\S+)", SHELL[0]))
    with Fleet.opened(tmp_path / "fleet", server, s3) as fleet:
        assert exported.keys() <= fleet.environment.keys()  # with addresses of their own these are what the page sets
        lines = SHELL[1].strip().splitlines()
        assert [shlex.split(line.replace("STEMWRIGHT_JOBS_CPU_SLOTS=0 ", ""))[1] for line in lines] == [
            *("migrate", "serve", "worker", "worker")
        ]
        assert "is at" in fleet.command("migrate").stdout
        api = fleet.api()
        worker = fleet.worker(*shlex.split(lines[2])[2:]).ready()
        assert api.wait(api.submit(song)["id"])["status"] == "succeeded"
        assert worker.process.poll() is None
        if accelerator() is None:
            done = fleet.command(*shlex.split(lines[3])[1:], "--data", str(tmp_path / "gpu"))
            assert done.returncode == 1
            assert "needs a GPU" in done.stderr
        [query] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
        with fleet.database() as db, db.engine.connect() as connection:
            assert connection.execute(text(query)).scalar() == 0


def test_database_of_another_edition_is_refused_with_what_to_do(tmp_path: Path, server: Postgres, s3: S3) -> None:
    with Fleet.opened(tmp_path / "fleet", server, s3, tables=False) as fleet:
        for command in (("serve", "--port", "0"), ("worker",)):
            done = fleet.command(*command, "--data", str(tmp_path / "data"))
            assert done.returncode == 1
            assert "stemwright migrate" in done.stderr
            assert "needs_migration" in done.stderr
        assert "is at" in fleet.command("migrate").stdout
        with fleet.database() as db, db.session() as session:
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert "newer edition" in fleet.command("worker", "--data", str(tmp_path / "data")).stderr


def test_worker_without_a_shared_database_says_what_it_lacks(tmp_path: Path) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("STEMWRIGHT_", "DATABASE_"))}
    command = [sys.executable, "-P", "-m", "stemwright", "worker", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain, cwd=tmp_path)
    assert done.returncode == 2
    assert "no_shared_database" in done.stderr
    assert not (tmp_path / "data").exists()


def test_backup_comes_back_with_its_songs_and_the_work_that_was_under_way(
    tmp_path: Path, server: Postgres, s3: S3, song: Path
) -> None:
    """The database is copied first, then the objects; what is deleted in between costs its own rows only."""
    dump, (saving, restoring) = tmp_path / "studio.dump", SHELL[2:4]
    tools = needs.INITDB.parent
    with Fleet.opened(tmp_path / "old", server, s3) as old:
        api, _ = old.api(), old.worker().ready()
        kept = api.wait(api.submit(song)["id"])
        stems = old.stems(kept)
        gone = api.wait(api.submit(song, model="sketch", overlap="0.3")["id"])
        old.arm("engine.separating")
        going = api.submit(song, model="sketch", overlap="0.4")
        old.stopped("engine.separating")
        url = old.url.replace("+psycopg", "")
        subprocess.run([tools / "pg_dump", *_options(saving), f"--file={dump}", url], check=True)
        separation = gone["result"]["separation"]
        lost = {one.key for one in ObjectStore(old.storage).list() if separation in one.key}
        copies = {
            one.key: ObjectStore(old.storage).get(one.key)
            for one in ObjectStore(old.storage).list()
            if one.key not in lost
        }
    with Fleet.opened(tmp_path / "new", server, s3, tables=False) as new:
        for key, content in copies.items():
            ObjectStore(new.storage).put(key, content)
        url = new.url.replace("+psycopg", "")
        subprocess.run([tools / "pg_restore", *_options(restoring), f"--dbname={url}", dump], check=True)
        assert "is at" in new.command("migrate").stdout
        api, _ = new.api(), new.worker().ready()
        assert new.stems(kept) == stems
        assert api.wait(going["id"])["status"] == "succeeded"
        until(lambda: new.workflows() == 0)
        with new.database() as db:
            assert sweep(db, ObjectStore(new.storage), new.config(sweep_grace=-60.0)).get("objects") is None
        new.assert_clean()
        assert {run.status for run in new.rows(Run)} == {"succeeded"}


def _options(block: str) -> list[str]:
    """What the page gives the first or second program of PostgreSQL in a block, but for the addresses."""
    [line] = [line for line in block.splitlines() if line.startswith("pg_")]
    return [
        word for word in shlex.split(line)[1:] if word.startswith("--") and "file=" not in word and "dbname" not in word
    ]
