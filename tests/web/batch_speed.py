"""How long many photos take on the page, and whether it stays quick meanwhile.

    python -m tests.web.batch_speed                      300 photos of 500 x 375 on the server
    python -m tests.web.batch_speed --photos 3000 --where browser
    python -m tests.web.batch_speed --photos 3000 --trace   the main thread's tasks by their CPU time, too

Prints the seconds from the choice to the last answer, the main thread's tasks over 50 ms (the Long Tasks API, which
counts the time that other programs had the processor, too: a trace tells them apart), and the page's JavaScript heap
before and after. The photos are made: the sample cat (CC0) with noise of its own in each.
"""

import argparse
import base64
import contextlib
import io
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.conftest import require_program
from tests.web.actions import choose_place
from tests.web.conftest import CHROMIUM, FLAGS
from tests.web.world import SAMPLES, World

WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries())
    longTasks.push([Math.round(startTime), Math.round(duration)]);
}).observe({ type: "longtask" });
"""
# The files are made in the page, from one photo each time with other bytes: 3,000 through the debugging protocol would
# take longer than the answers.
CHOOSE = """
async ([photos, count]) => {
  const transfer = new DataTransfer();
  for (let i = 0; i < count; i++) {
    const bytes = Uint8Array.from(atob(photos[i % photos.length]), (letter) => letter.charCodeAt());
    transfer.items.add(new File([bytes], `photo ${i}.jpg`, { type: "image/jpeg" }));
    if (i % 50 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
  window.prepared = transfer.files;
}
"""
GO = """
() => {
  document.getElementById("files").files = window.prepared;
  longTasks.length = 0;
  document.getElementById("files").dispatchEvent(new Event("change"));
}
"""
DONE = "() => document.getElementById('batch-json').checkVisibility()"


def main() -> int:
    """Prints the figures; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--size", type=int, nargs=2, default=(500, 375), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--where", choices=("api", "browser"), default="api")
    parser.add_argument(
        "--trace", action="store_true", help="the CPU time of the longest task; slows it down a little"
    )
    options = parser.parse_args()
    with World() as world, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require_program(*CHROMIUM), args=[*FLAGS, "--enable-precise-memory-info"]
        )
        print(json.dumps(_measure(world, browser, options)))
    return 0


def _measure(world: World, browser: Any, options: argparse.Namespace) -> dict[str, Any]:
    page = browser.new_context(viewport={"width": 1280, "height": 800}, service_workers="block").new_page()
    page.add_init_script(WATCH)
    page.goto(world.server.url)
    page.wait_for_selector('#status[data-state="ready"]')
    if options.where == "browser":
        choose_place(page, "This device")
        page.wait_for_selector('#status:has-text("Ready, on this device")', timeout=60_000)
    page.evaluate(CHOOSE, [_photos(*options.size), options.photos])
    heap = "() => Math.round(performance.memory.usedJSHeapSize / 1e6)"
    before = page.evaluate(heap)
    if options.trace:
        browser.start_tracing(page=page, categories=["toplevel"])
    start, used = time.perf_counter(), _cpu(os.getpid())
    page.evaluate(GO)
    page.wait_for_function(DONE, timeout=600_000, polling=100)
    seconds = time.perf_counter() - start
    cpu = {name: round(now - used.get(name, 0), 1) for name, now in _cpu(os.getpid()).items()}
    tasks = page.evaluate("longTasks")
    traced = _traced(browser.stop_tracing()) if options.trace else {}
    return {
        "photos": options.photos,
        "where": options.where,
        "seconds": round(seconds, 2),
        "cpu_seconds": cpu,
        "tasks_over_50_ms": len(tasks),
        "longest_ms": max((duration for _, duration in tasks), default=0),
        **traced,
        "heap_mb": [before, page.evaluate(heap)],
        "tiles_in_document": page.locator("#batch-tiles .tile").count(),
    }


def _traced(trace: bytes) -> dict[str, Any]:
    """The CPU time of the longest tasks of the page's main thread."""
    events = json.loads(trace)["traceEvents"]
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"].get("name") == "CrRendererMain"
    }
    spent = [
        event.get("tdur", 0) / 1000
        for event in events
        if event.get("ph") == "X" and (event["pid"], event["tid"]) in main and "RunTask" in event["name"]
    ]
    return {
        "tasks_over_50_ms_of_cpu": sum(one > 50 for one in spent),
        "longest_ms_of_cpu": round(max(spent)),
        "tasks": len(spent),
    }


def _cpu(parent: int) -> dict[str, float]:
    """CPU seconds of this process's descendants so far, by what they are."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            rest = path.read_text(encoding="utf-8").rpartition(")")[2].split()
            stats[int(path.parent.name)] = (
                int(rest[1]),
                (int(rest[11]) + int(rest[12])) / os.sysconf("SC_CLK_TCK"),
            )
    found: dict[str, float] = {}
    for pid, (_, seconds) in stats.items():
        ancestors, above = [], pid
        while above in stats:
            above = stats[above][0]
            ancestors.append(above)
        if parent not in ancestors:
            continue
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            kind = re.search(r"--type=(\S+?)[\0 ]", command)
            name = kind.group(1) if kind else "server" if "api" in command else "browser"
            found[name] = found.get(name, 0) + seconds
    return found


def _photos(width: int, height: int) -> list[str]:
    """Base64 of ten JPEG files."""
    with Image.open(SAMPLES / "chelsea.jpg") as image:
        cat = np.asarray(image.convert("RGB").resize((width, height)), dtype=np.int16)
    photos = []
    for seed in range(10):
        noise = np.random.default_rng(seed).integers(-20, 20, cat.shape)
        buffer = io.BytesIO()
        Image.fromarray(np.clip(cat + noise, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
        photos.append(base64.b64encode(buffer.getvalue()).decode())
    return photos


if __name__ == "__main__":
    sys.exit(main())
