"""Crop, share, both labels, live camera, feedback and writer: on a narrow phone, a phone and a desktop."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import require_program
from tests.web.actions import ANSWERED, NETWORK_ERRORS, choose_cat, ready, try_sample
from tests.web.conftest import CHROMIUM, FLAGS, SIZES, Visit
from tests.web.services import Service
from tests.web.test_tools import BOTH
from tests.web.world import World

pytestmark = pytest.mark.browser


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> dict[str, Any]:
    return SIZES[request.param]


PRESSED = "button, select, textarea, summary, input:not([type=radio], [type=checkbox], [hidden])"


def _fits(page: Any) -> None:
    """Nothing needs scrolling sideways; what can be pressed is on the screen, and large enough for a finger."""
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        """([selector, width]) => [...document.querySelectorAll(selector)]
          .filter((node) => node.checkVisibility({ visibilityProperty: true }))
          .map((node) => [node.id || node.textContent, node.getBoundingClientRect()])
          .filter(([, { left, right, height }]) => left < 0 || right > width || height < 24)
          .map(([name]) => name)""",
        [PRESSED, width],
    )
    assert outside == []


def _answered(world: World, visit: Visit, size: dict[str, Any]) -> Any:
    page = ready(visit(world.server.url, **size))
    try_sample(page)
    page.wait_for_selector("#photo:not([hidden])")
    return page


def _drag(page: Any, start: tuple[float, float], end: tuple[float, float], touch: bool) -> None:
    if not touch:
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(*end, steps=3)
        page.mouse.up()
        return
    finger = page.context.new_cdp_session(page)
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    for kind, places in (
        ("touchStart", [start]),
        ("touchMove", [middle]),
        ("touchMove", [end]),
        ("touchEnd", []),
    ):
        points = [{"x": x, "y": y} for x, y in places]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_a_part_is_dragged_with_a_finger_or_a_mouse(world: World, visit: Visit, size: dict[str, Any]) -> None:
    page = _answered(world, visit, size)
    page.get_by_role("button", name="Ask about a part").click()
    page.locator("#photo").scroll_into_view_if_needed()
    box = page.locator("#photo").bounding_box()
    start, end = (
        (box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in ((0.1, 0.1), (0.6, 0.9))
    )
    _drag(page, start, end, touch=bool(size.get("has_touch")))
    _fits(page)
    page.get_by_role("button", name="Ask about this part").click()
    page.wait_for_function("() => document.getElementById('photo-name').textContent === 'chelsea part.jpg'")
    page.wait_for_selector(ANSWERED)
    page.wait_for_function("() => document.getElementById('photo').width < 300")
    width, height = page.evaluate("[photo.width, photo.height]")
    assert (width, height) == (pytest.approx(451 * 0.5, abs=6), pytest.approx(300 * 0.8, abs=6))


def test_an_answer_is_shared(world: World, visit: Visit, size: dict[str, Any]) -> None:
    page = _answered(world, visit, size)
    with page.expect_download() as download:
        page.get_by_role("button", name="Share").click()
    with Image.open(Path(download.value.path())) as card:
        assert card.size == (1200, 630)
    _fits(page)


def test_both_labels_are_said_and_explained(world: World, visit: Visit, size: dict[str, Any]) -> None:
    page = ready(visit(world.server.url, **size))
    page.route("**/predict?*", lambda route: route.fulfill(json=BOTH))
    try_sample(page)
    assert page.inner_text("#verdict") == "Cat and dog"
    assert page.locator(".heat-legend").count() == 2
    _fits(page)


def test_the_camera_fits_and_one_picture_of_it_is_asked_about(
    world: World, browser: Any, size: dict[str, Any]
) -> None:
    flags = [*FLAGS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    chromium = browser.browser_type.launch(executable_path=require_program(*CHROMIUM), args=flags)
    try:
        page = chromium.new_context(service_workers="block", locale="en-US", **size).new_page()
        page.goto(world.server.url)
        ready(page).get_by_role("button", name="Live camera").click()
        looks = "Number(document.querySelector('dialog.live')?.dataset.looks ?? 0)"
        page.wait_for_function(f"() => {looks} >= 2", timeout=90_000)
        dialog = page.locator("dialog.live").bounding_box()
        assert dialog["x"] >= 0
        assert dialog["x"] + dialog["width"] <= size["viewport"]["width"]
        assert dialog["y"] + dialog["height"] <= size["viewport"]["height"]
        page.get_by_role("button", name="Ask about this").click()
        page.wait_for_selector(ANSWERED)
        assert page.inner_text("#photo-name") == "camera.jpg"
    finally:
        chromium.close()


def test_feedback_is_given_and_taken_back(
    world: World, visit: Visit, size: dict[str, Any], feedback: Service
) -> None:
    page = ready(visit(world.site(api=world.open.url, feedback=feedback.url), **size))
    choose_cat(page)
    page.locator(".feedback").get_by_role("button", name="No", exact=True).click()
    _fits(page)
    page.get_by_role("button", name="It is dog").click()
    page.wait_for_selector("text=Thank you")
    assert [said["correction"] for said in feedback.said] == ["dog"]
    _fits(page)
    page.get_by_role("button", name="Take it back").click()
    page.wait_for_selector('.feedback >> text="Was this right?"')
    assert feedback.said == []


def test_a_draft_is_written(world: World, visit: Visit, size: dict[str, Any], writer: Service) -> None:
    writer.want("right")
    page = ready(visit(world.site(api=world.open.url, writer=writer.url), faults=NETWORK_ERRORS, **size))
    choose_cat(page)
    page.locator(".writer summary").click()
    page.get_by_label("Your notes").fill("Bella, " + "a-very-long-word" * 8)
    page.get_by_role("button", name="Write a draft").click()
    page.get_by_label("The writer's key").fill("right")
    _fits(page)
    page.get_by_role("button", name="Write a draft").click()
    page.wait_for_selector('.draft [role=status]:has-text("3 tokens")')
    _fits(page)
    assert page.inner_text(".draft-text").startswith("Meet Bella")
