"""What our database does when packets to it vanish. Run as root in a network of its own: `unshare -n`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import text

from postgres import Postgres
from stemwright.errors import DatabaseUnavailableError
from stemwright.studio.store.database import Database

LOCAL = ("127.0.0.1", "127.0.0.0/8")


def ip(*words: str) -> None:
    """Change a route."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


def main() -> None:
    """Ask, lose all packets, ask again, and once more when they pass."""
    ip("link", "set", "lo", "up")
    server = Postgres(tcp=True)
    db = Database(server.url())
    try:
        with db.session() as session:
            session.execute(text("SELECT 1"))
            for route in LOCAL:
                ip("route", "del", "local", route, "table", "local")
            ip("route", "add", "blackhole", "127.0.0.0/8", "table", "local")
            began = time.monotonic()
            session.execute(text("SELECT 1"))
    except DatabaseUnavailableError as error:
        said = {"error": type(error).__name__, "seconds": time.monotonic() - began}
    ip("route", "del", "blackhole", "127.0.0.0/8", "table", "local")
    for route in LOCAL[::-1]:
        ip("route", "add", "local", route, "dev", "lo", "table", "local")
    with db.session() as session:
        said["afterwards"] = session.execute(text("SELECT 1")).scalar_one()
    sys.stdout.write(json.dumps(said))
    db.close()
    server.remove()


if __name__ == "__main__":
    main()
