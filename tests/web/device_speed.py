"""How long the first answer on this device takes, and every later one, in Chromium on this machine.

    python -m tests.web.device_speed                 7 visits, 10 later photos each
    python -m tests.web.device_speed --dialog 2      somebody takes two seconds to find the photo
    python -m tests.web.device_speed --cpu 4         on a processor four times as slow

A visit starts with an empty cache. The first answer counts from the choice of the photo, with nothing of the runtime
and the model loaded yet, to the words on the page: download from localhost, compiling, starting, reading the photo,
running the network, and a second look where the answer asks for one. With --dialog the button has been pressed before:
that is when the page begins to load the model. Prints the median and the range in milliseconds. To compare checkouts
run it in both by turns: on a busy machine the figures of one run alone say little.
"""

import argparse
import base64
import json
import os
import platform
import statistics
import sys
from typing import Any

from playwright.sync_api import sync_playwright

from tests.conftest import require_program
from tests.web.conftest import CHROMIUM, FLAGS
from tests.web.world import World, jpeg, sample

LATER = ("coffee", "rocket", "chelsea")
ASK = """
async ([name, photo]) => {
  const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt());
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
  const [stage, input] = [document.getElementById("stage"), document.getElementById("files")];
  const answered = new Promise((resolve) => {
    const done = () => stage.dataset.state === "answered" && document.getElementById("photo-name").textContent === name;
    const observer = new MutationObserver(() => done() && (observer.disconnect(), resolve(performance.now())));
    observer.observe(stage, { attributes: true, childList: true, subtree: true, characterData: true });
  });
  const start = performance.now();
  input.files = transfer.files;
  input.dispatchEvent(new Event("change"));
  return (await answered) - start;
}
"""


def main() -> int:
    """Prints the figures; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visits", type=int, default=7)
    parser.add_argument("--later", type=int, default=10, help="photos after the first, in every visit")
    parser.add_argument("--dialog", type=float, default=0, help="seconds between the button and the photo")
    parser.add_argument("--cpu", type=float, default=1, help="slow the processor down by this factor")
    options = parser.parse_args()
    first, later = [], []
    with World() as world, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require_program(*CHROMIUM), args=FLAGS)
        for _ in range(options.visits):
            one, others = _visit(browser, world.server.url, options)
            first.append(one)
            later += others
    figures = {
        "visits": options.visits,
        "first_ms": _summary(first),
        "later_ms": _summary(later),
        "cpus": os.cpu_count(),
        "dialog_s": options.dialog,
        "cpu_factor": options.cpu,
        "machine": platform.machine(),
    }
    print(json.dumps(figures))
    return 0


def _visit(browser: Any, url: str, options: argparse.Namespace) -> tuple[float, list[float]]:
    context = browser.new_context(viewport={"width": 1000, "height": 720}, service_workers="block")
    context.add_init_script("localStorage.setItem('purrdict.where', 'browser')")
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".sample img")
    page.wait_for_load_state("networkidle")
    if options.cpu > 1:
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": options.cpu})
    if options.dialog:
        page.locator("#choose-files").dispatch_event("pointerdown")
        page.wait_for_timeout(options.dialog * 1000)
    first = _ask(page, "first.jpg", "chelsea")
    later = [_ask(page, f"{i}.jpg", LATER[i % len(LATER)]) for i in range(options.later)]
    context.close()
    return first, later


def _ask(page: Any, name: str, photo: str) -> float:
    return float(page.evaluate(ASK, [name, base64.b64encode(jpeg(sample(photo))).decode()]))


def _summary(values: list[float]) -> dict[str, int]:
    return {
        "median": round(statistics.median(values)),
        "least": round(min(values)),
        "most": round(max(values)),
    }


if __name__ == "__main__":
    sys.exit(main())
