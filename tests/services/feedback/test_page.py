"""The owner's page in a real browser."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.conftest import require, require_program
from tests.services.feedback.conftest import KEY, running, said

pytestmark = pytest.mark.services
MARKUP = "<img src=x onerror=document.title=1>"


def test_the_owner_sees_figures_and_photos_and_text_of_strangers_stays_text(
    tmp_path: Path, photo: bytes
) -> None:
    playwright = require("playwright.sync_api")
    chromium = require_program("chromium", "chromium-browser", "google-chrome")
    with running(tmp_path) as service, playwright.sync_playwright() as started:
        fields = {name: str(value) for name, value in said(correction=MARKUP, consent=True).items()}
        sent = httpx.post(
            f"{service.url}/feedback", data=fields, files={"photo": ("p.jpg", photo)}, trust_env=False
        )
        assert sent.status_code == 201
        service.send(request_id="r2")
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{service.url}/feedback/owner/")
        page.fill("#key", "not the key")
        page.click("#unlock button")
        page.get_by_text("Send the owner's key").wait_for()
        page.fill("#key", KEY)
        page.click("#unlock button")
        page.locator("#latest img[src^='blob:']").wait_for()
        page.evaluate("document.querySelector('#latest img').decode()")
        assert page.inner_text("#total").startswith("50.0 % of 2")
        assert page.locator("svg").count() == 4
        assert MARKUP in page.inner_text("#latest")
        assert page.title() == "Purrdict: was this right?", "nothing of a stranger ran"
        page.on("dialog", lambda dialog: dialog.accept())
        page.click("#latest button")
        page.locator("#latest li").wait_for(state="detached")
        page.locator("#total", has_text="100.0 % of 1").wait_for()
        assert page.inner_text("#total").startswith("100.0 % of 1")
        page.click("#leave")
        page.reload()
        assert page.locator("#unlock").is_visible(), "the key went with the lock"
        browser.close()
