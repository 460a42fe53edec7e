"""The example of a desktop's first screen: really answered, and in nobody's way."""

from typing import Any

import pytest

from tests import models
from tests.conftest import LocalServer
from tests.web.actions import (
    ANSWERED,
    NETWORK_ERRORS,
    TROUBLE,
    answer_here,
    choose,
    choose_cat,
    choose_place,
    ready,
)
from tests.web.conftest import Visit
from tests.web.world import SAMPLES, World, jpeg, sample, upload

pytestmark = pytest.mark.browser

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
SMALLER: list[dict[str, Any]] = [
    {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    {"viewport": {"width": 1000, "height": 800}},
    {"viewport": {"width": 1280, "height": 500}},
]
SHOWN = "#example:not([data-waiting])"


def _percent(value: float) -> str:
    # The page never claims more than 99.9 %.
    return ">99.9%" if 0.999 < value < 1 else f"{round(value * 100, 1):g}%"


def _said(server: LocalServer) -> str:
    """What the page says of the example, from the server's own answer."""
    with server.client() as client:
        photo = (SAMPLES / "chelsea.jpg").read_bytes()
        answer = client.post("/predict", files={"file": ("chelsea.jpg", photo)}).json()
    return f"{answer['prediction'].capitalize()}, {_percent(answer['confidence'])} sure"


def _requests(page: Any) -> list[str]:
    seen: list[str] = []
    page.on("request", lambda request: seen.append(f"{request.method} {request.url}"))
    return seen


@pytest.mark.parametrize("labels", [None, ("cat", "dog"), ("dog", "cat")])
def test_a_desktop_shows_an_example_with_the_answer_of_the_model_that_is_served(
    world: World, visit: Visit, labels: tuple[str, str] | None
) -> None:
    server = world.of(labels) if labels else world.server
    page = visit(server.url, **DESKTOP)
    page.wait_for_selector(SHOWN)
    said = _said(server)
    assert page.inner_text("#example-answer") == said
    assert page.get_by_role("button", name=f"Open the example. A cat: {said}").is_visible()


def test_an_example_of_none_of_the_labels_says_so(world: World, visit: Visit) -> None:
    page = visit(world.unsure.url, **DESKTOP)
    page.wait_for_selector(SHOWN)
    assert "This looks like neither cat nor dog" in page.inner_text("#example-answer")


def test_the_example_shows_where_the_network_looked(world: World, visit: Visit) -> None:
    page = visit(world.server.url, **DESKTOP)
    page.wait_for_selector("#example[data-warm]")
    brightest = page.evaluate(
        """() => {
          const glow = document.getElementById("example-glow");
          const { data } = glow.getContext("2d").getImageData(0, 0, glow.width, glow.height);
          return data.reduce((most, value, i) => (i % 4 === 0 ? Math.max(most, value) : most), 0);
        }"""
    )
    assert brightest > 200


@pytest.mark.parametrize("options", SMALLER, ids=["phone", "narrow", "low"])
def test_a_screen_without_room_for_it_loads_nothing_of_it(
    world: World, visit: Visit, options: dict[str, Any]
) -> None:
    page = visit("about:blank", **options)
    requests = _requests(page)
    page.goto(world.server.url)
    ready(page).wait_for_selector(".sample img")
    page.wait_for_load_state("networkidle")
    assert not page.locator("#example").is_visible()
    assert [one for one in requests if "example" in one or one.startswith("POST")] == []


def test_who_saves_data_is_spared_the_example(world: World, visit: Visit) -> None:
    page = visit("about:blank", **DESKTOP)
    page.add_init_script(
        "Object.defineProperty(navigator, 'connection', { value: { saveData: true, effectiveType: '4g' } })"
    )
    requests = _requests(page)
    page.goto(world.server.url)
    ready(page).wait_for_selector(".sample img")
    page.wait_for_load_state("networkidle")
    assert [one for one in requests if "example" in one or one.startswith("POST")] == []
    assert not page.locator("#example").is_visible()


def test_the_example_comes_after_the_page_itself(world: World, visit: Visit) -> None:
    page = visit(world.server.url, **DESKTOP)
    page.wait_for_selector(SHOWN)
    loaded, began = page.evaluate(
        """() => [performance.getEntriesByType("navigation")[0].loadEventStart,
          performance.getEntriesByName(new URL("view/example.js", location).href)[0].startTime]"""
    )
    assert 0 < loaded <= began


def test_nothing_moves_when_the_example_comes(world: World, visit: Visit) -> None:
    page = visit("about:blank", **DESKTOP)
    page.add_init_script(
        "window.shifted = 0; new PerformanceObserver((list) => {"
        "for (const { value } of list.getEntries()) shifted += value }).observe({ type: 'layout-shift' })"
    )
    page.goto(world.server.url)
    page.wait_for_selector(SHOWN)
    assert page.evaluate("shifted") < 0.01


def test_classes_without_samples_get_no_example_and_the_question_the_whole_width(
    world: World, visit: Visit
) -> None:
    page = visit(world.of(models.FLOWERS).url, **DESKTOP)
    ready(page).wait_for_selector('#footer-model:has-text("Model ")')
    assert not page.locator("#example").is_visible()
    box = page.locator("#question").bounding_box()
    assert box["x"] + box["width"] / 2 == pytest.approx(640, abs=2)


def test_without_anybody_to_answer_there_is_no_example(world: World, visit: Visit) -> None:
    registry = world.registry(("cat", "dog"))
    page = visit(world.site(model=registry, api=world.stopped()), faults=NETWORK_ERRORS, **DESKTOP)
    page.wait_for_selector(TROUBLE)
    page.wait_for_selector(".sample")
    page.wait_for_selector("#example", state="hidden")


def test_the_model_on_this_device_answers_the_example_and_nothing_is_sent(world: World, visit: Visit) -> None:
    page = visit(world.site(model=world.model_with(), api=world.stopped()), faults=NETWORK_ERRORS, **DESKTOP)
    page.wait_for_selector(TROUBLE)
    requests = _requests(page)
    choose_place(page, "This device")
    page.wait_for_selector(SHOWN, timeout=60_000)
    assert page.inner_text("#example-answer") == _said(world.server)
    assert [one for one in requests if one.startswith("POST")] == []


def test_an_example_opens_with_its_whole_answer_and_comes_back_after_starting_over(
    world: World, visit: Visit
) -> None:
    page = visit(world.server.url, **DESKTOP)
    page.wait_for_selector(SHOWN)
    page.locator("#example-open").click()
    page.wait_for_selector(ANSWERED)
    assert page.inner_text("#photo-name") == "chelsea.jpg"
    assert not page.locator("#example").is_visible()
    # Question and example leave no gap where they were.
    assert page.locator(".choose").bounding_box()["y"] < 80
    choose_cat(page)
    page.get_by_role("button", name="Clear").click()
    page.wait_for_selector("#example")


def test_a_visitors_photo_does_not_wait_behind_the_example(world: World, visit: Visit) -> None:
    page = visit("about:blank", **DESKTOP)
    stopped: list[str] = []
    page.on("requestfailed", lambda request: stopped.append(request.failure))

    def hold(route: Any) -> None:
        if b"photo.jpg" in (route.request.post_data_buffer or b""):
            route.continue_()

    page.route("**/predict?*", hold)
    with page.expect_request("**/predict?*"):
        page.goto(world.server.url)
    choose(page, upload("photo.jpg", jpeg(sample("rocket"))))
    assert stopped == ["net::ERR_ABORTED"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_at_the_example(world: World, visit: Visit, axe: str, scheme: str) -> None:
    page = visit(world.server.url, color_scheme=scheme, **DESKTOP)
    page.wait_for_selector(SHOWN)
    page.evaluate(axe)
    assert page.evaluate("axe.run().then(({ violations }) => violations.map(({ id }) => id))") == []


@pytest.mark.parametrize(("width", "height"), [(1200, 800), (1600, 900), (1000, 480), (1500, 500)])
def test_a_landscape_photo_leaves_no_empty_half(world: World, visit: Visit, width: int, height: int) -> None:
    page = ready(visit(world.server.url, **DESKTOP))
    choose(page, upload("wide.jpg", jpeg(sample("shepherd").resize((width, height)))))
    page.wait_for_selector("#photo:not([hidden])")
    photo = page.locator("#photo").bounding_box()
    verdict = page.locator(".verdict").bounding_box()
    beside = verdict["x"] > photo["x"] + photo["width"]
    # Beside the photo stands no more than half of it below it; or the photo has the whole width.
    assert photo["height"] > verdict["height"] / 2 if beside else photo["width"] > 850


def test_room_for_the_example_is_the_same_in_style_and_script() -> None:
    root = SAMPLES.parent
    script = (root / "app.js").read_text().split('ROOMY = "')[1].split('"')[0]
    assert f"@media {script} {{" in (root / "style.css").read_text()


def test_a_server_that_wants_a_key_is_not_asked_for_an_example(world: World, visit: Visit) -> None:
    page = visit("about:blank", **DESKTOP)
    requests = _requests(page)
    page.goto(world.keyed.url)
    page.wait_for_selector('#status:has-text("API key needed")')
    page.wait_for_selector(".sample img")
    page.wait_for_selector("#example", state="hidden")
    assert [one for one in requests if one.startswith("POST")] == []


def test_the_device_is_asked_only_when_it_is_loaded(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url, **DESKTOP))
    page.wait_for_selector(SHOWN)
    answer_here(page)
    page.wait_for_selector(SHOWN)
    assert page.inner_text("#example-answer") == _said(world.server)
