"""Without a network: after one visit the page, the runtime and the model are here, in one version."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from deploy import site as publishing
from tests.conftest import ROOT
from tests.web.actions import ANSWERED, FAILED, NETWORK_ERRORS, choose_cat, choose_place, ready
from tests.web.conftest import Visit
from tests.web.world import World

pytestmark = pytest.mark.browser

ALLOWED: dict[str, Any] = {"service_workers": "allow"}
FAULTS = NETWORK_ERRORS + "|ERR_|did not arrive"


def _kept(page: Any) -> Any:
    page.wait_for_selector('html[data-kept="all"]', timeout=90_000, state="attached")
    return page


def test_after_one_visit_everything_works_without_a_network(world: World, visit: Visit) -> None:
    page = _kept(ready(visit(world.server.url, faults=FAULTS, **ALLOWED)))
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector('#status:has-text("Offline")')
    choose_cat(page)
    assert page.inner_text("#verdict") == "Cat"
    assert "because it is offline" in page.inner_text("#verdict-by")


def test_a_photo_asked_about_offline_is_answered_when_the_network_is_back(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url, faults=FAULTS))
    page.evaluate("document.body.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }))")
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    choose_cat(page, wait=FAILED)
    page.context.set_offline(False)
    page.wait_for_selector(ANSWERED)


def _site(world: World) -> tuple[str, Path]:
    url = world.site(model=ROOT / "model", api=world.stopped())
    folder = world.pages[max(world.pages)]
    publishing.configure(folder)
    return url, folder


def _replace(path: Path, before: str, after: str) -> None:
    content = path.read_text(encoding="utf-8").replace(before, after, 1)
    if path.parent.is_symlink():
        # The page's own folder, which becomes one of links to its files.
        folder, page = path.parent, path.parent.resolve()
        folder.unlink()
        folder.mkdir()
        for file in page.iterdir():
            os.symlink(file, folder / file.name)
    path.unlink()  # a link to the page's own file
    path.write_text(content, encoding="utf-8")


def test_a_newer_version_is_offered_and_comes_whole(world: World, visit: Visit) -> None:
    url, folder = _site(world)
    page = visit(url, faults=FAULTS, **ALLOWED)
    _kept(page)
    _replace(folder / "index.html", "<title>Purrdict</title>", '<title>Purrdict</title><meta name="fresh">')
    publishing.configure(folder)
    page.reload()
    assert page.locator("meta[name=fresh]").count() == 0
    page.get_by_role("button", name="Load it").click()
    page.wait_for_selector("meta[name=fresh]", state="attached")
    assert not page.locator("#update").is_visible()


def test_a_tab_keeps_the_version_that_it_was_opened_with(world: World, visit: Visit) -> None:
    url, folder = _site(world)
    tab = _kept(visit(url, faults=FAULTS, **ALLOWED))
    other = tab.context.new_page()
    # Both are there before the newer one: a reload alone must not take it.
    other.goto(url)
    before = set(_versions(tab))
    _replace(folder / "view" / "dialog.js", "export ", "document.body.dataset.dialog = 'newer';\nexport ")
    publishing.configure(folder)
    other.reload()
    other.get_by_role("button", name="Load it").click()
    _open_settings(other)
    assert other.get_attribute("body", "data-dialog") == "newer"
    # It has not asked for this part of the page yet, and the server has only the newer one now.
    _open_settings(tab)
    assert tab.get_attribute("body", "data-dialog") is None
    tab.close()
    other.reload()
    deadline = time.monotonic() + 30
    while before & set(_versions(other)):
        assert time.monotonic() < deadline, "the older version is kept for nobody"
        other.wait_for_timeout(100)
    assert len(_versions(other)) == 1


def _versions(page: Any) -> list[str]:
    names: list[str] = page.evaluate("caches.keys()")
    return [name for name in names if name.startswith("purrdict /")]


def _open_settings(page: Any) -> None:
    page.get_by_role("button", name="Settings", exact=True).click()
    page.wait_for_selector("dialog[open]")


def test_a_version_that_arrives_damaged_is_never_used(world: World, visit: Visit) -> None:
    url, folder = _site(world)
    page = visit(url, faults=FAULTS, **ALLOWED)
    _kept(page)
    _replace(folder / "index.html", "<title>Purrdict</title>", '<title>Purrdict</title><meta name="fresh">')
    publishing.configure(folder)
    # Announced, and changed again before it is fetched: what is had is no version that anybody published.
    (folder / "index.html").write_text("<!doctype html><title>half</title>", encoding="utf-8")
    page.reload()
    page.wait_for_selector("#page:not([hidden])")
    page.wait_for_timeout(1500)
    assert not page.locator("#update").is_visible()
    assert page.locator("#choose-files").is_visible()


def test_where_nothing_may_be_kept_the_page_works_as_ever(world: World, visit: Visit) -> None:
    page = visit("about:blank", faults=FAULTS, **ALLOWED)
    page.add_init_script(
        """caches.open = () => Promise.reject(new DOMException("denied", "SecurityError"));
        for (const name of ["localStorage", "sessionStorage"])
          Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });"""
    )
    page.goto(world.server.url)
    ready(page)
    choose_cat(page)


def test_a_server_that_wants_a_key_says_so_at_once_and_this_device_answers(
    world: World, visit: Visit
) -> None:
    page = visit(world.keyed.url, faults=NETWORK_ERRORS)
    page.wait_for_selector('#status:has-text("API key needed")')
    choose_cat(page)
    assert "because the server wants a key" in page.inner_text("#verdict-by")


def test_the_choice_of_who_answers_is_remembered(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    choose_place(page, "This device")
    page.reload()
    assert page.get_by_role("radio", name="This device").is_checked()


def test_it_can_be_installed(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    manifest = page.evaluate("fetch('manifest.json').then((response) => response.json())")
    assert {"name", "start_url", "display", "icons"} <= set(manifest)
    sizes = page.evaluate(
        """icons => Promise.all(icons.filter(({ type }) => type === "image/png").map(async ({ src, sizes }) => {
          const bitmap = await createImageBitmap(await (await fetch(src)).blob());
          return sizes === `${bitmap.width}x${bitmap.height}`;
        }))""",
        manifest["icons"],
    )
    assert sizes == [True, True, True]
