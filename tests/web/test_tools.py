"""What can be done with an answer: ask about a part, share it, look at the model, look through the camera."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import require_program
from tests.web.actions import ANSWERED, FAILED, choose, choose_place, pixels, ready, try_sample, unfold
from tests.web.conftest import CHROMIUM, DEFAULTS, FLAGS, Visit
from tests.web.world import SAMPLES, World, upload

pytestmark = pytest.mark.browser


def test_a_part_of_the_photo_is_asked_about_on_its_own(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    page.get_by_role("button", name="Ask about a part").click()
    box = page.locator("#photo").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.9, steps=3)
    page.mouse.up()
    page.get_by_role("button", name="Ask about this part").click()
    page.wait_for_function("() => document.getElementById('photo-name').textContent === 'chelsea part.jpg'")
    page.wait_for_selector(ANSWERED)
    page.wait_for_function("() => document.getElementById('photo').width < 300")
    size = page.evaluate("[photo.width, photo.height]")
    assert size == [pytest.approx(451 * 0.5, abs=4), pytest.approx(300 * 0.8, abs=4)]


def test_the_box_can_be_moved_by_keyboard_and_left(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    page.get_by_role("button", name="Ask about a part").click()
    left = page.locator(".crop-box").bounding_box()["x"]
    page.keyboard.press("ArrowRight")
    assert page.locator(".crop-box").bounding_box()["x"] > left
    page.keyboard.press("Escape")
    assert page.locator(".crop-box").count() == 0
    assert page.evaluate("document.activeElement.id") == "crop"


def test_another_photo_takes_the_box_away(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    page.get_by_role("button", name="Ask about a part").click()
    page.wait_for_selector(".crop-box")
    choose(page, upload("other.jpg", (SAMPLES / "coffee.jpg").read_bytes()))
    assert page.locator(".crop-box, .crop-bar").count() == 0
    assert page.get_attribute("#frame", "data-crop") is None
    page.get_by_role("button", name="Ask about a part").wait_for()


def test_the_answer_is_shared_as_a_picture(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Share").click()
    with Image.open(Path(download.value.path())) as card:
        assert card.size == (1200, 630)
        assert len(card.convert("RGB").getcolors(1_000_000) or []) > 1000
        # Under the heat map the photo is darker, and red where the cat is.
        shown = np.asarray(card.convert("RGB").crop((60, 150, 560, 480)), dtype=float)
    with Image.open(SAMPLES / "chelsea.jpg") as photo:
        plain = np.asarray(photo.convert("RGB"), dtype=float)
    assert shown[..., 2].mean() < 0.8 * plain[..., 2].mean()
    assert (shown[..., 0] - shown[..., 2]).max() > (plain[..., 0] - plain[..., 2]).max() + 15


def test_pressing_the_photo_shows_it_clean(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    opacity = "() => Number(getComputedStyle(document.getElementById('glow')).opacity)"
    page.wait_for_function(f"() => ({opacity})() === 1")
    page.locator("#frame").hover()
    page.mouse.down()
    page.wait_for_function(f"() => ({opacity})() === 0")
    page.mouse.up()
    page.wait_for_function(f"() => ({opacity})() === 1")


def test_the_model_says_what_it_knows_and_where_it_fails(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    page.get_by_role("button", name="About this model").click()
    said = page.inner_text("#card")
    with world.server.client() as client:
        metadata = client.get("/model/info").json()["metadata"]
    assert f"Model {metadata['version']}" in said
    assert f"{round(metadata['metrics']['test']['accuracy'] * 100, 1):g}%" in said
    assert "Its limits" in said


def test_two_labels_have_two_colours(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    page.route("**/predict?*", lambda route: route.fulfill(json=BOTH))
    try_sample(page)
    assert page.inner_text("#verdict") == "Cat and dog"
    assert "in different places" in page.inner_text("#verdict-note")
    assert page.locator(".heat-legend").count() == 2
    assert page.locator(".scale").get_attribute("data-verdict") == "both"
    shown = pixels(page)

    def colour(x: int, y: int) -> list[int]:
        return shown[(y * 32 + x) * 4 : (y * 32 + x) * 4 + 3]

    (red, _, blue), (other_red, _, other_blue) = colour(2, 16), colour(29, 16)
    assert red - blue > other_red - other_blue + 60


def _map(column: int) -> list[list[float]]:
    return [[float(x == column) for x in range(4)] for _ in range(4)]


_MAPS = [
    {"label": label, "rows": 4, "columns": 4, "values": _map(x)} for label, x in (("cat", 0), ("dog", 3))
]
BOTH = {
    "prediction": "cat",
    "confidence": 0.9,
    "probabilities": {"cat": 0.9, "dog": 0.1},
    "recognized": True,
    "present": ["cat", "dog"],
    "heatmap": _MAPS[0],
    "heatmaps": _MAPS,
    "model_version": "1.0.0",
    "processing_time_ms": 1.0,
    "timestamp": "2026-11-26T00:00:00.000Z",
}


def test_the_camera_is_answered_several_times_a_second_and_sends_nothing(world: World, browser: Any) -> None:
    flags = [*FLAGS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    chromium = browser.browser_type.launch(executable_path=require_program(*CHROMIUM), args=flags)
    try:
        page = chromium.new_context(**DEFAULTS).new_page()
        posted: list[str] = []
        page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
        ready_page(page, world)
        page.get_by_role("button", name="Live camera").click()
        page.wait_for_selector("dialog.live")
        looks = "Number(document.querySelector('dialog.live').dataset.looks ?? 0)"
        page.wait_for_function(f"() => {looks} >= 3", timeout=60_000)
        assert posted == []
        page.get_by_role("button", name="Ask about this").click()
        page.wait_for_selector(ANSWERED)
        assert page.inner_text("#photo-name") == "camera.jpg"
    finally:
        chromium.close()


@pytest.mark.parametrize("way", ["Close", "Ask about this", "Escape"])
def test_the_camera_is_off_when_its_window_is_closed(world: World, browser: Any, way: str) -> None:
    flags = [*FLAGS, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    chromium = browser.browser_type.launch(executable_path=require_program(*CHROMIUM), args=flags)
    try:
        page = chromium.new_context(**DEFAULTS).new_page()
        ready_page(page, world)
        page.evaluate(
            """() => {
              const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = async (wanted) => (window.seen = await ask(wanted));
            }"""
        )
        states = "window.seen?.getTracks().map(({ readyState }) => readyState).join()"
        page.get_by_role("button", name="Live camera").click()
        page.wait_for_function("() => document.querySelector('dialog.live video')?.videoWidth > 0")
        assert page.evaluate(states) == "live"
        if way == "Escape":
            page.keyboard.press("Escape")
        else:
            page.locator("dialog.live").get_by_role("button", name=way).click()
        page.wait_for_function(f"() => {states} === 'ended'")
    finally:
        chromium.close()


def ready_page(page: Any, world: World) -> None:
    page.goto(world.server.url)
    ready(page)


def test_a_camera_that_is_denied_says_what_to_do(world: World, visit: Visit) -> None:
    page = visit(world.server.url)
    ready(page)
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = "
        "() => Promise.reject(new DOMException('no', 'NotAllowedError')) }"
    )
    page.get_by_role("button", name="Live camera").click()
    page.wait_for_selector("text=Allow it in the site settings")


@pytest.mark.parametrize("kind", ["Python", "JavaScript"])
def test_the_request_is_there_as_code(world: World, visit: Visit, kind: str) -> None:
    page = ready(visit(world.server.url, permissions=["clipboard-read", "clipboard-write"]))
    try_sample(page)
    unfold(page)
    page.get_by_role("button", name=f"Copy as {kind}").click()
    page.wait_for_selector("text=Copied")
    assert f"{world.server.url}/predict?explain=true" in page.evaluate("navigator.clipboard.readText()")


def test_a_photo_that_was_cut_off_leads_to_the_server(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    choose_place(page, "This device")
    choose(page, upload("cut.jpg", b"\xff\xd8\xff" + bytes(300)), wait=FAILED)
    assert "cut off on the way" in page.inner_text("#verdict-note")
    assert page.get_by_role("button", name="Answer on our server").is_visible()


def test_german_is_spoken_where_the_browser_asks_for_it_and_colours_are_kept(
    world: World, visit: Visit
) -> None:
    page = visit(world.server.url, locale="de-AT")
    page.wait_for_selector('#status:has-text("Bereit")')
    assert page.get_attribute("html", "lang") == "de"
    page.get_by_role("button", name="Einstellungen").click()
    page.select_option("#settings-theme", "dark")
    page.get_by_role("button", name="Speichern").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    page.wait_for_selector("#page:not([hidden])")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark == "rgb(23, 21, 18)"


def test_from_right_to_left_the_heat_grows_to_the_left(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    page.evaluate("document.documentElement.dir = 'rtl'")
    try_sample(page)
    assert (
        page.evaluate("new DOMMatrix(getComputedStyle(document.querySelector('.heat-ramp')).transform).a")
        == -1
    )


def test_on_and_off_differ_in_forced_colours(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url, forced_colors="active"))
    try_sample(page)
    ground = "() => getComputedStyle(document.getElementById('heat-switch')).backgroundColor"
    on = page.evaluate(ground)
    page.get_by_role("switch").uncheck()
    assert page.evaluate(ground) != on


def test_letters_of_twice_the_size_overlap_nothing_in_the_header(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url, viewport={"width": 360, "height": 640}))
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    boxes = page.evaluate(
        "[...document.querySelector('.top').children].map(node => node.getBoundingClientRect().toJSON())"
    )
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            apart = (
                a["right"] <= b["left"] + 1
                or b["right"] <= a["left"] + 1
                or a["bottom"] <= b["top"] + 1
                or b["bottom"] <= a["top"] + 1
            )
            assert apart, (a, b)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
