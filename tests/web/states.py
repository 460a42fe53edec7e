"""Every state that the page can be in, each reached the way a person reaches it."""

from collections.abc import Callable
from typing import Any

from tests import models
from tests.web.actions import (
    BUSY,
    FAILED,
    NETWORK_ERRORS,
    TROUBLE,
    answer_here,
    choose,
    choose_cat,
    choose_place,
    ready,
    try_sample,
    unfold,
)
from tests.web.world import World, jpeg, sample, upload

Open = Callable[..., Any]
State = Callable[[World, Open], Any]
STATES: dict[str, State] = {}


def state(reach: State) -> State:
    STATES[reach.__name__.replace("_", "-")] = reach
    return reach


def away(world: World, **options: Any) -> str:
    """The page on an origin of its own, with an API that may be called."""
    return world.site(api=world.open.url, **options)


@state
def empty(world: World, visit: Open) -> Any:
    return ready(visit(world.server.url))


@state
def waking(world: World, visit: Open) -> Any:
    page = visit(world.site(api=world.held(world.open)[0]))
    page.wait_for_selector('#status:has-text("Still waking")')
    return page


@state
def dragging(world: World, visit: Open) -> Any:
    page = ready(visit(world.server.url))
    page.dispatch_event("#drop", "dragover")
    return page


@state
def nothing_dropped(world: World, visit: Open) -> Any:
    page = ready(visit(world.server.url))
    page.dispatch_event("#drop", "drop", {"dataTransfer": page.evaluate_handle("new DataTransfer()")})
    return page


@state
def busy(world: World, visit: Open) -> Any:
    page = visit(world.site(api=world.held(world.open)[0]))
    choose_cat(page, wait=BUSY)
    page.wait_for_selector('#stage[data-photo="shown"]')
    return page


@state
def busy_long(world: World, visit: Open) -> Any:
    page = busy(world, visit)
    page.wait_for_selector("text=Still waiting for the server")
    return page


@state
def answered(world: World, visit: Open) -> Any:
    page = ready(visit(world.server.url))
    try_sample(page)
    return page


@state
def answered_without_heat(world: World, visit: Open) -> Any:
    page = answered(world, visit)
    page.get_by_role("switch").uncheck()
    return page


@state
def not_recognized(world: World, visit: Open) -> Any:
    page = ready(visit(world.unsure.url))
    try_sample(page, "A cup of coffee")
    return page


@state
def batch_filling(world: World, visit: Open) -> Any:
    page = ready(visit(world.server.url))
    # The second and later answers stay away, so that the grid can be seen half full.
    seen = []

    def hold(route: Any) -> None:
        seen.append(route)
        if len(seen) == 1:
            route.continue_()

    page.route("**/predict?*", hold)
    choose(page, *_four(), wait="")
    page.wait_for_selector('.tile[data-state="answered"]')
    return page


@state
def batch_done(world: World, visit: Open) -> Any:
    page = ready(visit(world.server.url, faults=NETWORK_ERRORS))
    choose(page, *_four(), upload("broken.jpg", jpeg(sample("chelsea"))[:3000]), wait="")
    page.wait_for_selector("#batch-json")
    return page


@state
def history(world: World, visit: Open) -> Any:
    page = ready(visit(world.server.url))
    for name in ("A cat", "A cup of coffee", "A rocket"):
        try_sample(page, name)
    page.wait_for_selector(".tile >> nth=2")
    return page


def _with(world: World, visit: Open, labels: tuple[str, ...], threshold: float = 0.5) -> Any:
    page = ready(visit(world.of(labels, threshold).url))
    page.wait_for_selector('#footer-model:has-text("Model ")')
    return page


@state
def empty_of_five(world: World, visit: Open) -> Any:
    return _with(world, visit, models.FLOWERS)


@state
def classes_of_120(world: World, visit: Open) -> Any:
    page = _with(world, visit, models.CLASSES[120])
    page.locator("#classes summary").click()
    page.wait_for_selector("#classes-list li")
    return page


@state
def answered_of_120(world: World, visit: Open) -> Any:
    page = _with(world, visit, models.CLASSES[120])
    choose(page, *_four()[:1])
    return page


@state
def answered_of_37_unfolded(world: World, visit: Open) -> Any:
    page = _with(world, visit, models.CLASSES[37])
    choose(page, *_four()[:1])
    page.locator("#rest summary").click()
    page.wait_for_selector("#rest-bars li")
    return page


@state
def batch_of_120(world: World, visit: Open) -> Any:
    page = _with(world, visit, models.CLASSES[120])
    choose(page, *_four(), wait="")
    page.wait_for_selector("#batch-json")
    return page


@state
def odd_labels_listed(world: World, visit: Open) -> Any:
    page = _with(world, visit, models.ODD)
    page.locator("#classes summary").click()
    page.wait_for_selector("#classes-list li")
    return page


@state
def odd_labels_answered(world: World, visit: Open) -> Any:
    # Of labels as long as these every photo's answer is long.
    page = _with(world, visit, ("a" * 70, *models.ODD[-1:]))
    choose(page, *_four(), wait="")
    page.wait_for_selector("#batch-json")
    return page


@state
def none_of_five(world: World, visit: Open) -> Any:
    page = _with(world, visit, models.FLOWERS, 1.01)
    choose(page, *_four()[:1])
    return page


@state
def unreadable(world: World, visit: Open) -> Any:
    page = ready(visit(world.server.url, faults=NETWORK_ERRORS))
    choose(page, upload("holiday.heic", b"\0\0\0\x18ftypheic" + bytes(2000), "image/heic"), wait=FAILED)
    return page


@state
def no_photo(world: World, visit: Open) -> Any:
    page = ready(visit(world.server.url))
    choose(page, upload("shopping list.txt", b"milk, eggs", "text/plain"), wait=FAILED)
    return page


@state
def unreachable(world: World, visit: Open) -> Any:
    page = visit(world.site(api=world.stopped()), faults=NETWORK_ERRORS)
    page.wait_for_selector(TROUBLE)
    return page


@state
def unreachable_with_photo(world: World, visit: Open) -> Any:
    page = unreachable(world, visit)
    choose_cat(page, wait=FAILED)
    return page


@state
def refused(world: World, visit: Open) -> Any:
    page = visit(world.site(api=world.server.url), faults=NETWORK_ERRORS)
    page.wait_for_selector(TROUBLE)
    return page


@state
def offline(world: World, visit: Open) -> Any:
    page = ready(visit(world.server.url))
    page.context.set_offline(True)
    page.wait_for_selector(TROUBLE)
    return page


@state
def without_model(world: World, visit: Open) -> Any:
    page = visit(world.empty.url, faults=NETWORK_ERRORS)
    page.wait_for_selector(TROUBLE)
    return page


@state
def key_needed(world: World, visit: Open) -> Any:
    page = visit(world.keyed.url, faults=NETWORK_ERRORS)
    page.wait_for_selector('#status:has-text("API key needed")')
    choose_cat(page)
    return page


@state
def settings(world: World, visit: Open) -> Any:
    page = ready(visit(away(world)))
    page.get_by_role("button", name="Settings", exact=True).click()
    return page


@state
def settings_wrong(world: World, visit: Open) -> Any:
    page = settings(world, visit)
    page.get_by_label("Address of the API").fill("ftp://example.com")
    page.get_by_role("button", name="Save").click()
    return page


@state
def browser_loading(world: World, visit: Open) -> Any:
    page = ready(visit(world.server.url))
    page.route("**/model/model.onnx", lambda route: None)
    choose_place(page, "This device")
    page.wait_for_selector('#where-note:has-text("Loading the model:")')
    return page


@state
def browser_answered(world: World, visit: Open) -> Any:
    page = ready(visit(world.server.url))
    answer_here(page)
    try_sample(page)
    return page


@state
def browser_failed(world: World, visit: Open) -> Any:
    site = world.site(api=world.stopped())
    page = visit(site, faults=NETWORK_ERRORS)
    # Only now: a click on a page that still moves meets something else.
    page.wait_for_selector(TROUBLE)
    choose_place(page, "This device")
    page.wait_for_selector(f"{TROUBLE}:has-text('Model not loaded')")
    return page


@state
def copying_refused(world: World, visit: Open) -> Any:
    page = answered(world, visit)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()) }")
    unfold(page)
    page.get_by_role("button", name="Copy as curl").click()
    page.wait_for_selector("#command-text")
    return page


def _four() -> list[dict[str, Any]]:
    return [
        upload(f"photo {i}.jpg", jpeg(sample(name)))
        for i, name in enumerate(["chelsea", "coffee", "rocket", "chelsea"], start=1)
    ]
