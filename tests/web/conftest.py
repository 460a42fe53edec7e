"""A real Chromium for the page, and visits to it that fail on any error in the browser's console."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing, require, require_program
from tests.web.services import Feedback, Service, Writer
from tests.web.world import NGROK_HOST, PUBLIC_HOST, World

HERE = Path(__file__).resolve().parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Chromium without a window's parts, half the processor time for the same page: for all that needs no question of the
# browser itself (may this page use the camera, may it reach this machine?), which only the whole one asks.
HEADLESS = ("chromium-headless-shell", "chrome-headless-shell", *CHROMIUM)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {NGROK_HOST} 127.0.0.1, MAP {PUBLIC_HOST} 127.0.0.1",
]


# For this folder, not the session: Playwright keeps an event loop running in this thread, where others want their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    playwright = require("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=require_program(*HEADLESS), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.fixture
def feedback() -> Iterator[Service]:
    with Service(Feedback) as service:
        yield service


@pytest.fixture
def writer() -> Iterator[Service]:
    with Service(Writer) as service:
        yield service


Visit = Callable[..., Any]
# The page's three sizes: what was made for one of them has to work in all.
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SIZES: dict[str, dict[str, Any]] = {
    "narrow": {**PHONE, "viewport": {"width": 320, "height": 640}},
    "phone": PHONE,
    "desktop": {"viewport": {"width": 1280, "height": 800}},
}
# Requests that a service worker answers are seen by nobody else: only the tests of it let it be.
# A window of this width has no room for the example, which asks a question of its own (test_example.py).
DEFAULTS = {
    "reduced_motion": "reduce",
    "service_workers": "block",
    "locale": "en-US",
    "viewport": {"width": 1000, "height": 720},
}


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Opens the page at an address and returns Playwright's page.

    `visit(url, faults="pattern")` says which console errors are the point of the test; any other fails it.
    `insist=True` is a visitor who chose the server on an earlier visit: this device does not stand in for it.
    """
    found: list[str] = []
    contexts = []

    def open_page(url: str, *, faults: str | None = None, insist: bool = False, **options: Any) -> Any:
        context = browser.new_context(**{**DEFAULTS, **options})
        if insist:
            context.add_init_script("try { localStorage.setItem('purrdict.where', 'api') } catch {}")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)

        def note(words: str) -> None:
            blocked = "Service Worker registration blocked" in words
            if not (blocked or (faults and re.search(faults, words))):
                found.append(words)

        page.on(
            "console", lambda message: note(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: note(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert found == []


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, as npm installed it."""
    path = HERE / "node_modules" / "axe-core" / "axe.min.js"
    if not path.exists():
        missing("axe-core is not installed: npm ci --prefix tests/web")
    return path.read_text()
