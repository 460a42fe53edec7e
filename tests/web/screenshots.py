"""Pictures of every state of the page, on a phone and a desktop, light and dark.

    python -m tests.web.screenshots FOLDER            all of them
    python -m tests.web.screenshots FOLDER answered   only the states whose name contains a word
    python -m tests.web.screenshots --readme          docs/screenshot.png, with the sample photo (CC0)

FOLDER must lie outside the repository.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.conftest import ROOT, require_program
from tests.web.conftest import CHROMIUM, FLAGS, SIZES
from tests.web.states import STATES, answered
from tests.web.world import World

README = {"viewport": {"width": 1180, "height": 780}, "color_scheme": "light"}
SETTLE_MS = 400


def main() -> int:
    parser = _parser()
    options = parser.parse_args()
    if not options.readme and not options.folder:
        parser.error("name a folder for the pictures, or --readme")
    if options.readme:
        _readme(ROOT / "docs" / "screenshot.png")
        return 0
    folder = options.folder.resolve()
    if folder.is_relative_to(ROOT):
        print("error: choose a folder outside the repository.", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    _all(folder, options.word)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("word", nargs="?", default="", help="only states whose name contains this")
    parser.add_argument("--readme", action="store_true", help="make docs/screenshot.png")
    return parser


def _all(folder: Path, word: str) -> None:
    with World() as world, sync_playwright() as playwright:
        browser = _browser(playwright)
        for name, reach in STATES.items():
            if word not in name:
                continue
            for size, device in SIZES.items():
                for scheme in ("light", "dark") if size != "narrow" else ("light",):
                    path = folder / f"{name}.{size}.{scheme}.png"
                    _shoot(browser, world, reach, path, {**device, "color_scheme": scheme})
                    print(path.name, flush=True)


def _shoot(browser: Any, world: World, reach: Any, path: Path, options: dict[str, Any]) -> None:
    context = browser.new_context(reduced_motion="reduce", service_workers="block", locale="en-US", **options)
    page = None

    def visit(url: str, **_: Any) -> Any:
        nonlocal page
        page = context.new_page()
        page.goto(url)
        return page

    page = reach(world, visit)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path, full_page=True)
    context.close()


def _readme(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with World() as world, sync_playwright() as playwright:
        _shoot(_browser(playwright), world, answered, path, README)
    with Image.open(path) as image:
        image.convert("RGB").save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


def _browser(playwright: Any) -> Any:
    return playwright.chromium.launch(executable_path=require_program(*CHROMIUM), args=FLAGS)


if __name__ == "__main__":
    sys.exit(main())
