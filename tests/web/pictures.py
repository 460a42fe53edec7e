"""The pictures that the page is installed and shared with, drawn from icons/icon.svg.

python -m tests.web.pictures       web/icons/*.png
"""

import sys
from typing import Any

from playwright.sync_api import sync_playwright

from tests.conftest import require_program
from tests.web.conftest import CHROMIUM, FLAGS
from tests.web.world import WEB

ICONS = WEB / "icons"
PAPER = "#faf7f2"
# Name, side, and the part of the side that the drawing takes: systems cut masked icons to a circle.
SIZES = (("180", 180, 0.8), ("192", 192, 1.0), ("512", 512, 1.0), ("maskable", 512, 0.6))
PREVIEW = """
<body style="margin:0;width:1200px;height:630px;display:flex;align-items:center;gap:70px;padding:0 90px;
  box-sizing:border-box;background:{paper};font-family:system-ui,sans-serif;color:#26211b">
  <div style="width:330px">{icon}</div>
  <div><div style="font-size:96px;font-weight:700;letter-spacing:-0.03em">Purrdict</div>
  <div style="font-size:38px;line-height:1.35;color:#675e53;margin-top:18px;max-width:640px">
  Drop a photo: a small network says what it shows, how sure it is, and where it looked.</div></div>
</body>"""


def main() -> int:
    """Draws them all; returns the exit status."""
    icon = (ICONS / "icon.svg").read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require_program(*CHROMIUM), args=FLAGS)
        for name, side, share in SIZES:
            ground = PAPER if share < 1 else "transparent"
            body = (
                f'<body style="margin:0;height:{side}px;display:grid;place-items:center;background:{ground}">'
            )
            _draw(browser, f'{body}<div style="width:{side * share}px">{icon}</div>', (side, side), name)
        _draw(browser, PREVIEW.format(icon=icon, paper=PAPER), (1200, 630), "preview")
    return 0


def _draw(browser: Any, content: str, size: tuple[int, int], name: str) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.set_content(content)
    page.screenshot(path=ICONS / f"{name}.png", omit_background=True)
    page.close()
    print(f"web/icons/{name}.png: {(ICONS / f'{name}.png').stat().st_size:,} bytes")


if __name__ == "__main__":
    sys.exit(main())
