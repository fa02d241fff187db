"""Ten minutes of six stems in a browser, in real time: `python -m benchmarks.player` writes PLAYER.md."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import numpy as np
from playwright.sync_api import sync_playwright

from benchmarks import HERE, machine
from player.browser import chromium  # of tests/
from player.engine_page import Proof, build, imported, served
from server import running
from sounds import sound

if TYPE_CHECKING:
    from sounds import Samples

RESULTS: Final = HERE / "PLAYER.md"
SECONDS: Final = 600
NAMES: Final = ("bass", "drums", "guitar", "other", "piano", "vocals")


def stem(seed: int) -> Samples:
    """A stem of some seconds that are repeated, louder and softer, so that its FLAC is neither small nor even."""
    piece = sound("song", seconds=10, seed=seed) * 0.3 + sound("noise", seconds=10, seed=seed) * 0.1
    return np.concatenate([piece * (0.2 + 0.8 * ((k * 7 + seed) % 10) / 10) for k in range(SECONDS // 10)], axis=1)


def memory_mb(process_id: int) -> float:
    """What a process holds for itself, in MB."""
    lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def cpu_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def renderers() -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"--type=renderer" in path.read_bytes():
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


def measure(proof: Proof, processes: set[int]) -> dict[str, Any]:
    """Play, then jump about; the page's process is the one of these that works most."""
    heap = proof.page.context.new_cdp_session(proof.page)
    heap.send("Performance.enable")
    proof.run("""
        await proof.wait(2)
        await engine.play()
        await proof.until(() => engine.position() > 1)
        const { sampleRate } = proof.context
        proof.other = new AudioContext({ sampleRate, latencyHint: 0.08 })  // of the same device, with nothing to do
        new ConstantSourceNode(proof.other, { offset: 0 }).connect(proof.other.destination)
        await proof.other.resume()
        await proof.wait(1)
        proof.from = [performance.now(), proof.context.currentTime, engine.position(), proof.other.currentTime]
    """)
    start, cpu = time.monotonic(), {one: cpu_seconds(one) for one in processes}
    most = dict.fromkeys(processes, 0.0)
    while (passed := time.monotonic() - start) < SECONDS - 10:
        most = {one: max(before, memory_mb(one)) for one, before in most.items()}
        time.sleep(2)
    used = {one: cpu_seconds(one) - before for one, before in cpu.items()}
    page = max(used, key=lambda one: used[one])
    drift = proof.run("""
        const [now, here, place, other] = proof.from
        const played = engine.position() - place
        const wall = (performance.now() - now) / 1000
        return [proof.context.currentTime - here - played, wall - played, wall - (proof.other.currentTime - other)]
    """)
    statuses = proof.run("return proof.statuses")
    underruns = proof.run("return [proof.context, proof.other].map((one) => one.playbackStats.underrunEvents)")
    waits = proof.run("""
        const waits = []
        await engine.play()
        for (let k = 1; k <= 20; k++) {
            const target = (k * 347) % 590
            const start = performance.now()
            engine.seek(target)
            await proof.until(() => engine.position() > target)
            waits.push(performance.now() - start)
        }
        return [waits, engine.position(), proof.context.outputLatency]
    """)
    metrics = {one["name"]: one["value"] for one in heap.send("Performance.getMetrics")["metrics"]}
    return {
        "played": passed,
        "statuses": statuses,
        "drift": drift,
        "underruns": underruns,
        "memory": most[page],
        "heap": metrics["JSHeapUsedSize"] / 1e6,
        "cpu": used[page] / passed,
        "seeks": waits[0],
        "latency": waits[2],
    }


def rows_of(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What was found, for a reader."""
    drift, seeks = [1000 * one for one in found["drift"]], found["seeks"]
    return [
        ("played on end, six stems", f"{found['played']:.0f} s; {', '.join(found['statuses'])}", "never buffering"),
        (
            "times that the output lacked samples; of an idle context beside it",
            "{}; {}".format(*found["underruns"]),
            "0",
        ),
        ("ahead of the audio clock", f"{drift[0]:.1f} ms", "0"),
        (
            "behind the wall clock; an idle context",
            f"{drift[1]:.0f} ms; {drift[2]:.0f} ms",
            "no more than the idle one",
        ),
        (
            "memory of the page's process at most; its JavaScript heap",
            f"{found['memory']:.0f} MB; {found['heap']:.1f} MB",
            "300 MB",
        ),
        ("processor time of the page", f"{found['cpu']:.0%} of a core", ""),
        (
            f"a jump until it is heard, median and worst of {len(seeks)}; of that, output latency",
            f"{statistics.median(seeks):.0f}, {max(seeks):.0f} ms; {1000 * found['latency']:.0f} ms",
            "",
        ),
    ]


def main() -> None:
    """Measure, and write it down."""
    about = machine.describe(load=machine.load_average())
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        running(
            Path(folder) / "data", STEMWRIGHT_UPLOAD_MAX_BYTES="1 GB", STEMWRIGHT_HTTP_RATE_PER_MINUTE="600"
        ) as server,
    ):
        stems = {name: stem(seed) for seed, name in enumerate(NAMES)}
        assert server.process
        os.setpriority(os.PRIO_PGRP, server.process.pid, 5)  # the import is no hurry
        server.http.timeout = httpx.Timeout(1800)
        song = imported(server.http, Path(folder), stems)
        stems.clear()
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--enable-precise-memory-info"]
        before = renderers()
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
        with served(build(Path(folder) / "page"), server.http) as front:
            proof = Proof(browser.new_page(), front.origin)
            proof.open(song)
            proof.run("await engine.play(); await proof.wait(3)")
            found = measure(proof, renderers() - before)
        browser.close()
    machine.write_table(RESULTS, title="How the player keeps up", about=about, rows=rows_of(found))


if __name__ == "__main__":
    main()
