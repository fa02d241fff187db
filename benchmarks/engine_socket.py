"""How soon Mismo's audio engine is answered: `python -m benchmarks.engine_socket` prints the rows of a table."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from websockets.sync.client import connect

from benchmarks import machine
from server import running  # of tests/
from sounds import sound, write_wav

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

SONGS: Final = 5
PLAIN: Final = 200  # requests without stems, one after the other
LOADS: Final = 30  # requests with stems, a second apart, as fast as anybody loads tracks


def main() -> None:
    """Measure, and print it."""
    print(*machine.describe(load=machine.load_average()), sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        library.mkdir()
        for number in range(SONGS):
            write_wav(library / f"{number}.wav", sound("song", seconds=30.0, seed=number), bits=16)
        with running(Path(folder) / "data", STEMWRIGHT_MISMO_LIBRARY=str(library)) as server:
            server.http.post("/doors/mismo/api/library/scan").raise_for_status()
            tracks = [track["id"] for track in server.http.get("/doors/mismo/api/tracks").json()["tracks"]]
            with connect(f"{server.url.replace('http', 'ws', 1)}/doors/mismo/ws") as socket:
                plain = [ask(socket, tracks[n % SONGS], f"p{n}", stems=False) for n in range(PLAIN)]
                loads = []
                for number in range(LOADS):
                    loads.append(ask(socket, tracks[number % SONGS], f"s{number}", stems=True))
                    time.sleep(1)
    print("\n| getTrackInfo, p50, max | measured | aim |\n|---|---|---|")
    for what, took in (("nothing else to do", plain), (f"stems of {SONGS} songs are being made", loads)):
        print(f"| {what} | {statistics.median(took):.1f}, {max(took):.1f} ms | 10 ms (median) |")


def ask(socket: ClientConnection, track: str, request: str, *, stems: bool) -> float:
    """Milliseconds until the answer; news that come before it are passed over."""
    began = time.perf_counter()
    socket.send(json.dumps({"command": "getTrackInfo", "trackId": track, "stems": stems, "requestId": request}))
    while True:
        message = json.loads(socket.recv(timeout=60))
        if message["requestId"] == request and "type" not in message:
            return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
