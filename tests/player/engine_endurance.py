"""Ten minutes of six stems, in real time: underruns, drift, memory, and how soon a jump is heard. Run by hand:

cd tests && python -P -m player.engine_endurance [minutes]
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from playwright.sync_api import sync_playwright

from player.browser import chromium
from player.engine_page import Proof, build, imported, served
from server import running
from sounds import sound

if TYPE_CHECKING:
    from sounds import Samples

RATE, SECONDS = 44_100, 600
NAMES = ("bass", "drums", "guitar", "other", "piano", "vocals")


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


def measure(proof: Proof, processes: set[int], minutes: float) -> dict[str, Any]:
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
    while (passed := time.monotonic() - start) < minutes * 60 - 10:
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
        "played_s": round(passed),
        "statuses": statuses,
        "drift_from_audio_clock_ms": round(1000 * drift[0], 1),
        "drift_from_wall_clock_ms": round(1000 * drift[1], 1),  # more where the machine made the output wait
        "drift_of_an_idle_context_ms": round(1000 * drift[2], 1),
        "load": os.getloadavg()[0],
        "underruns": underruns[0],
        "underruns_of_an_idle_context": underruns[1],
        "renderer_private_mb": round(most[page]),
        "js_heap_mb": round(metrics["JSHeapUsedSize"] / 1e6, 1),
        "cpu_of_renderer_percent": round(100 * used[page] / passed, 1),
        "seek_to_sound_ms": {"median": round(statistics.median(waits[0])), "most": round(max(waits[0]))},
        "output_latency_ms": round(1000 * waits[2]),
    }


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
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
            result = measure(proof, renderers() - before, minutes)
            sys.stdout.write(json.dumps(result, indent=1) + "\n")
        browser.close()


if __name__ == "__main__":
    main()
