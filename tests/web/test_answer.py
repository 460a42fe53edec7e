"""The answer: what the API said, shown, heard, copied, saved and kept."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require_program
from tests.web.actions import (
    ANSWERED,
    BUSY,
    FAILED,
    NETWORK_ERRORS,
    WARM,
    choose,
    choose_cat,
    facts,
    number,
    pixels,
    probabilities,
    ready,
    try_sample,
    unfold,
)
from tests.web.conftest import Visit
from tests.web.world import SAMPLES, World, jpeg, sample, upload

pytestmark = pytest.mark.browser

CAT = (SAMPLES / "chelsea.jpg").read_bytes()


def _api_answer(world: World, data: bytes = CAT) -> dict[str, Any]:
    with world.server.client() as client:
        answer: dict[str, Any] = client.post(
            "/predict?explain=true", files={"file": ("cat.jpg", data)}
        ).json()
    return answer


def test_the_scale_shows_what_the_api_answered(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    expected = _api_answer(world)
    shown = probabilities(page)
    assert shown == pytest.approx(expected["probabilities"], abs=0.0006)
    assert page.inner_text("#verdict").lower() == expected["prediction"]
    # The page never claims more than 99.9 %.
    sure = min(100 * expected["confidence"], 99.9)
    assert number(page.inner_text("#verdict-sure")) == pytest.approx(sure, abs=0.06)
    first, second = expected["probabilities"].values()
    assert page.locator(".scale").get_attribute("data-verdict") == ("first" if first > second else "second")
    track, marker = (page.locator(f".scale-{part}").bounding_box() for part in ("track", "marker"))
    place = (marker["x"] + marker["width"] / 2 - track["x"]) / track["width"]
    assert place == pytest.approx(second, abs=0.03)


def test_a_photo_of_neither_stands_in_the_middle_of_the_scale(world: World, visit: Visit) -> None:
    page = ready(visit(world.unsure.url))
    try_sample(page, "A cup of coffee")
    assert page.locator(".scale").get_attribute("data-verdict") == "neither"
    track, marker = (page.locator(f".scale-{part}").bounding_box() for part in ("track", "marker"))
    assert marker["x"] + marker["width"] / 2 == pytest.approx(track["x"] + track["width"] / 2, abs=3)


def test_bars_stand_in_the_order_of_their_probabilities(world: World, visit: Visit) -> None:
    page = ready(visit(world.of(("one", "two", "three")).url))
    choose_cat(page)
    values = list(probabilities(page).values())
    assert values == sorted(values, reverse=True)
    widths = [bar.bounding_box()["width"] for bar in page.locator(".bar-fill").all()]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 3


def test_the_answer_is_announced_to_screen_readers(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    label = _api_answer(world)["prediction"].capitalize()
    page.wait_for_selector(f'#live[role="status"]:has-text("{label}, ")', state="attached")


def test_a_photo_of_neither_is_not_given_a_label(world: World, visit: Visit) -> None:
    page = ready(visit(world.unsure.url))
    try_sample(page, "A cup of coffee")
    assert page.inner_text("#verdict") == "Neither cat nor dog"
    assert "looks like neither cat nor dog" in page.inner_text("#verdict-note")
    assert not page.locator("#verdict-sure").is_visible()
    page.wait_for_selector('#live:has-text("looks like neither cat")', state="attached")


def test_the_page_asks_about_the_labels_of_the_model(world: World, visit: Visit) -> None:
    server = world.api(MODEL_DIR=str(world.model_with(labels=["otter", "newt"])))
    page = ready(visit(server.url))
    page.wait_for_selector('h1:has-text("Otter or newt?")')
    assert page.title() == "Purrdict: Otter or newt?"
    choose_cat(page)
    assert set(probabilities(page)) == {"otter", "newt"}


def test_the_heat_map_lies_over_the_photo_and_can_be_switched_off(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    page.wait_for_selector(WARM)
    warm = pixels(page)
    page.get_by_role("switch", name="Show where it looked").uncheck()
    page.wait_for_selector("#photo:not([aria-label*='heat map'])")
    assert not page.locator("#heat-legends").is_visible()
    assert pixels(page) != warm
    page.get_by_role("switch").check()
    page.wait_for_selector(WARM)
    assert pixels(page) == warm


def test_the_heat_map_glows_where_the_api_says_that_most_speaks_for_the_label(
    world: World, visit: Visit
) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    heatmap = _api_answer(world)["heatmap"]
    places = page.evaluate(
        """async heatmap => {
          const { drawHeatmap } = await import("./view/heatmap.js");
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [heatmap.columns * 10, heatmap.rows * 10];
          drawHeatmap(canvas, [heatmap]);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const light = (row, column) =>
            [0, 1, 2].reduce((sum, i) => sum + data[((row * 10 + 5) * canvas.width + column * 10 + 5) * 4 + i], 0);
          return heatmap.values.map((values, row) => values.map((_, column) => light(row, column)));
        }""",
        heatmap,
    )
    cells = [
        (value, light)
        for row, lights in zip(heatmap["values"], places, strict=True)
        for value, light in zip(row, lights, strict=True)
    ]
    assert max(cells)[1] == max(light for _, light in cells)
    cold = [light for value, light in cells if value < 0.1]
    warm = [light for value, light in cells if value > 0.9]
    assert not cold or max(cold) < min(warm)


def test_the_heat_map_is_described_to_those_who_cannot_see_it(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    described = page.evaluate(
        """async () => {
          const { hottestPlace } = await import("./view/heatmap.js");
          const map = (row, column) => ({
            rows: 6, columns: 6,
            values: Array.from({ length: 6 }, (_, y) =>
              Array.from({ length: 6 }, (_, x) => Number(y === row && x === column))),
          });
          return [map(0, 5), map(3, 3), map(5, 0), map(9, 9)].map(hottestPlace);
        }"""
    )
    assert described == [[0, 2], [1, 1], [2, 0], None]


def test_the_times_of_network_and_model_are_shown(world: World, visit: Visit) -> None:
    page = visit(world.site(api=world.slow(world.open, 0.3)))
    try_sample(page)
    said = facts(page)
    assert said["Network"].endswith("s")
    assert number(said["Network"]) * (1000 if said["Network"].endswith(" s") else 1) >= 300
    assert said["Model"].endswith(" ms")


def test_the_curl_command_gives_the_same_answer_in_a_terminal(
    world: World, visit: Visit, tmp_path: Path
) -> None:
    name = 'Mimi\'s "best"; photo.jpg'
    (tmp_path / name).write_bytes(CAT)
    page = ready(visit(world.server.url, permissions=["clipboard-read", "clipboard-write"]))
    choose(page, upload(name, CAT))
    unfold(page)
    page.get_by_role("button", name="Copy as curl").click()
    page.wait_for_selector("text=Copied")
    command = page.evaluate("navigator.clipboard.readText()")
    require_program("curl")
    result = subprocess.run(
        [*shlex.split(command), "--silent", "--noproxy", "*"], cwd=tmp_path, capture_output=True, check=True
    )
    assert json.loads(result.stdout)["probabilities"] == _api_answer(world)["probabilities"]


def test_the_curl_command_never_holds_the_key(world: World, visit: Visit) -> None:
    page = visit(world.keyed.url, insist=True, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("API key").fill("right")
    page.get_by_role("button", name="Save").click()
    try_sample(page)
    unfold(page)
    page.get_by_role("button", name="Copy as curl").click()
    page.wait_for_selector("text=Copied")
    command = page.evaluate("navigator.clipboard.readText()")
    assert '"X-API-Key: $API_KEY"' in command
    assert "right" not in command


def test_where_copying_is_not_allowed_the_command_is_shown(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()) }")
    unfold(page)
    page.get_by_role("button", name="Copy as curl").click()
    page.wait_for_selector("#command-text")
    shown = page.get_by_label("Here is the command").input_value()
    assert shown.startswith("curl -F ")


def test_the_answer_is_saved_as_json(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    unfold(page)
    with page.expect_download() as download:
        page.locator("#save-json").click()
    saved = json.loads(Path(download.value.path()).read_text())
    expected = _api_answer(world)
    for key in ("prediction", "confidence", "probabilities", "recognized", "heatmap", "model_version"):
        assert saved[key] == expected[key]
    assert (saved["file"], saved["sent_bytes"], saved["answered_by"]) == ("chelsea.jpg", len(CAT), "api")
    assert download.value.suggested_filename == "chelsea.jpg.json"


def test_a_batch_fills_in_answer_by_answer_with_a_failure_in_its_place(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url, faults=NETWORK_ERRORS))
    held: list[Any] = []
    page.route("**/predict?*", lambda route: held.append(route))
    names = ["chelsea", "coffee", "rocket"]
    files = [upload(f"{name}.jpg", (SAMPLES / f"{name}.jpg").read_bytes()) for name in names]
    choose(page, *files, upload("broken.jpg", CAT[:200]), wait="")
    page.wait_for_selector('.tile[data-state="busy"] >> nth=2')
    assert page.locator("#batch-tiles .tile").count() == 4
    assert page.inner_text("#batch-progress-text") == "0 of 4 answered"
    # Never more at once than a small function takes.
    page.wait_for_timeout(200)
    assert len(held) == 3
    for done in range(1, 5):
        while not held:
            page.wait_for_timeout(20)
        held.pop(0).continue_()
        page.wait_for_function(
            "done => [...document.querySelectorAll('#batch-tiles .tile')].filter("
            "tile => ['answered', 'failed'].includes(tile.dataset.state)).length === done",
            arg=done,
        )
    states = [tile.get_attribute("data-state") for tile in page.locator("#batch-tiles .tile").all()]
    assert states == ["answered", "answered", "answered", "failed"]
    page.wait_for_selector('#batch-state:has-text("1 × no answer")')
    page.wait_for_selector('#live:has-text("All 4 photos are done")', state="attached")


def test_a_tile_of_the_batch_shows_its_photo_large(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    choose(page, upload("one.jpg", CAT), upload("two.jpg", jpeg(sample("coffee"))), wait="")
    page.wait_for_selector("#batch-json")
    page.locator("#batch-tiles").get_by_role("button", name="two.jpg").click()
    assert page.inner_text("#photo-name") == "two.jpg"
    page.wait_for_function("() => photo.width === 600")
    assert page.locator('.tile[aria-pressed="true"]').get_attribute("title") == "two.jpg"


def test_a_batch_is_saved_as_one_json_list(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url, faults=NETWORK_ERRORS))
    choose(page, upload("one.jpg", CAT), upload("two.jpg", CAT[:200]), wait="")
    page.wait_for_selector("#batch-json")
    with page.expect_download() as download:
        page.locator("#batch-json").click()
    first, second = json.loads(Path(download.value.path()).read_text())
    assert first["probabilities"] == _api_answer(world)["probabilities"]
    assert "cannot read this photo" in second["error"]


def test_the_history_keeps_the_visit_and_can_be_cleared(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    for name in ("A cat", "A cup of coffee"):
        try_sample(page, name)
    tiles = page.locator("#history .tile")
    assert [tile.get_attribute("title") for tile in tiles.all()] == ["coffee.jpg", "chelsea.jpg"]
    tiles.nth(1).click()
    assert page.inner_text("#photo-name") == "chelsea.jpg"
    page.wait_for_function("() => photo.width === 451")
    page.get_by_role("button", name="Clear").click()
    assert not page.locator("#history").is_visible()
    assert not page.locator("#stage").is_visible()
    assert page.evaluate("document.activeElement.id") == "choose-files"


def test_nothing_of_the_visit_is_kept_after_it(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    try_sample(page)
    kept = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
    assert kept == [0, 0, ""]


def test_waiting_can_be_cancelled_and_tried_again(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    held: list[Any] = []
    page.route("**/predict?*", lambda route: held.append(route))
    try_sample(page, wait=BUSY)
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_selector(FAILED)
    assert page.inner_text("#verdict-note") == "Cancelled."
    page.unroute("**/predict?*")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector(ANSWERED)
