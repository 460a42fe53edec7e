"""For everybody: rules of axe-core in every state, the keyboard alone, small screens, calm screens."""

from typing import Any

import pytest

from tests.web.actions import ANSWERED, ready, try_sample
from tests.web.conftest import Visit
from tests.web.states import STATES
from tests.web.world import World

pytestmark = pytest.mark.browser

# States with a fault log it to the console, and that is their point; what is tested here is another matter.
ANYTHING = "."
# Colours that fade from one scheme into the other are in neither.
SETTLED = "document.getAnimations().every(({ playState }) => playState !== 'running')"


@pytest.mark.parametrize("name", STATES)
def test_axe_finds_nothing_on_a_light_or_a_dark_page(world: World, visit: Visit, axe: str, name: str) -> None:
    page = STATES[name](world, lambda url, **_: visit(url, faults=ANYTHING))
    page.wait_for_timeout(300)
    page.evaluate(axe)
    for scheme in ("light", "dark"):
        # To reach a state takes longer than to judge it, and only the style sheet knows of the scheme.
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(SETTLED)
        violations = page.evaluate(
            "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map("
            "({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`))"
        )
        assert violations == [], scheme


@pytest.mark.parametrize("name", STATES)
def test_a_screen_320_pixels_wide_needs_no_sideways_scrolling(world: World, visit: Visit, name: str) -> None:
    options: dict[str, Any] = {
        "viewport": {"width": 320, "height": 640},
        "has_touch": True,
        "is_mobile": True,
    }
    page = STATES[name](world, lambda url, **_: visit(url, faults=ANYTHING, **options))
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    cut = page.evaluate(
        """() => [...document.querySelectorAll("button, h1, h2, dd, p, legend, label")]
          .filter(node => node.offsetParent && node.scrollWidth > node.clientWidth + 1
            && getComputedStyle(node).display !== "inline" && node.clientWidth > 1)
          .map(node => node.outerHTML)"""
    )
    assert cut == []


def test_everything_can_be_done_with_the_keyboard(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    page.wait_for_selector(".sample")
    ways_in = ["choose-files", "choose-folder", "choose-live", *["sample"] * 4]
    stops = ["open-settings", *ways_in, "where", "footer-docs", "footer-card"]
    for stop in stops:
        page.keyboard.press("Tab")
        assert (
            page.evaluate("(({ id, name, className }) => id || name || className)(document.activeElement)")
            == stop
        )
    page.locator(".sample").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(ANSWERED)
    page.locator("#heat-switch").focus()
    page.keyboard.press("Space")
    assert not page.locator("#heat-switch").is_checked()
    page.locator("#open-settings").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.id") == "open-settings"
    page.locator('[name="where"]').first.focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="This device").is_checked()
    page.wait_for_selector('#status:has-text("Ready, on this device")', timeout=60_000)


def test_what_has_the_keyboard_is_marked(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    for selector in (
        "#open-settings",
        "#choose-files",
        ".sample",
        "#heat-switch",
        "#copy-curl",
        "#footer-docs",
    ):
        page.locator(selector).first.focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", selector


def test_nothing_moves_for_people_who_asked_for_calm(world: World, visit: Visit) -> None:
    page = STATES["busy"](world, lambda url, **_: visit(url, reduced_motion="reduce"))
    moving = page.evaluate(
        "document.getAnimations({ subtree: true })"
        ".filter(({ effect }) => effect.getComputedTiming().duration > 10).length"
    )
    assert moving == 0


def test_waiting_moves_for_everybody_else(world: World, visit: Visit) -> None:
    page = STATES["busy"](world, lambda url, **_: visit(url, reduced_motion="no-preference"))
    assert page.evaluate("document.getAnimations({ subtree: true }).length") > 0


def test_without_scripts_the_page_says_what_it_needs(world: World, visit: Visit) -> None:
    page = visit(world.server.url, java_script_enabled=False)
    said = page.inner_text("body")
    assert "That needs JavaScript: allow it for this page" in said
    # It is for visitors, not for developers, and nothing has failed.
    assert "curl" not in said
    assert "could not start" not in said
