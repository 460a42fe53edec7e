"""Many photos at once: found, sorted, stepped through, saved, and never too many for the page."""

import csv
import http.server
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.web.actions import FAILED, NETWORK_ERRORS, choose, drop, ready
from tests.web.conftest import Visit
from tests.web.world import SAMPLES, World, serving, upload

pytestmark = pytest.mark.browser

PHOTOS = {name: (SAMPLES / f"{name}.jpg").read_bytes() for name in ("chelsea", "coffee", "rocket")}


def _many(count: int) -> list[dict[str, Any]]:
    names = list(PHOTOS)
    return [upload(f"{i}.jpg", PHOTOS[names[i % 3]]) for i in range(count)]


def _done(world: World, visit: Visit, *files: dict[str, Any], faults: str | None = None) -> Any:
    page = ready(visit(world.server.url, faults=faults))
    choose(page, *files, wait="")
    page.wait_for_selector("#batch-json", timeout=60_000)
    return page


def _titles(page: Any) -> list[str]:
    return [tile.get_attribute("title") for tile in page.locator("#batch-tiles .tile").all()]


def test_of_many_photos_only_those_on_the_screen_are_in_the_document(world: World, visit: Visit) -> None:
    page = _done(world, visit, *_many(200))
    assert page.locator("#batch-tiles .tile").count() < 100
    assert page.locator("#batch-tiles li").first.get_attribute("aria-setsize") == "200"
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector('#batch-tiles [title="199.jpg"]')
    assert "68 × cat" in page.inner_text("#batch-state") or "67 × cat" in page.inner_text("#batch-state")


def test_a_filter_and_an_order_show_what_is_looked_for(world: World, visit: Visit) -> None:
    page = _done(world, visit, *_many(9))
    page.select_option("#batch-filter", "none")
    assert set(_titles(page)) == {"1.jpg", "2.jpg", "4.jpg", "5.jpg", "7.jpg", "8.jpg"}
    page.select_option("#batch-filter", "label:cat")
    assert set(_titles(page)) == {"0.jpg", "3.jpg", "6.jpg"}
    page.select_option("#batch-filter", "all")
    page.select_option("#batch-sort", "unsure")
    assert set(_titles(page)[:3]) == {"0.jpg", "3.jpg", "6.jpg"}


def test_previous_next_keys_and_back_to_the_list_keep_the_place(world: World, visit: Visit) -> None:
    page = _done(world, visit, *_many(6))
    assert page.inner_text("#position") == "1 of 6"
    assert page.locator("#previous").is_disabled()
    page.get_by_role("button", name="Next photo").click()
    page.locator("#verdict").focus()
    page.keyboard.press("ArrowRight")
    assert (page.inner_text("#position"), page.inner_text("#photo-name")) == ("3 of 6", "2.jpg")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.title") == "1.jpg"


def test_a_batch_is_saved_as_a_table_and_as_json_without_heat_maps(world: World, visit: Visit) -> None:
    broken = upload("broken.jpg", PHOTOS["chelsea"][:200])
    page = _done(world, visit, *_many(3), broken, faults=NETWORK_ERRORS)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))
    assert [row["file"] for row in rows] == ["0.jpg", "1.jpg", "2.jpg", "broken.jpg"]
    assert (rows[0]["prediction"], rows[0]["recognized"], rows[1]["recognized"]) == ("cat", "true", "false")
    assert "cannot read this photo" in rows[3]["error"]
    with page.expect_download() as download:
        page.locator("#batch-json").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert len(saved) == 4
    assert "heatmap" not in saved[0]


def test_starting_over_leaves_nothing(world: World, visit: Visit) -> None:
    page = _done(world, visit, *_many(3))
    page.get_by_role("button", name="Start over").click()
    for part in ("#batch", "#stage", "#history"):
        assert not page.locator(part).is_visible()
    assert page.evaluate("document.activeElement.id") == "choose-files"


def test_of_a_folder_the_photos_are_taken_and_the_rest_is_counted(
    world: World, visit: Visit, tmp_path: Path
) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("b.jpg", "inner/a.jpg"):
        (tmp_path / name).write_bytes(PHOTOS["chelsea"])
    (tmp_path / "notes.txt").write_text("milk")
    page = ready(visit(world.server.url))
    page.locator("#folder").set_input_files(tmp_path)
    page.wait_for_selector("#batch-json")
    assert set(_titles(page)) == {"a.jpg", "b.jpg"}
    assert page.inner_text("#drop-message") == "1 other file was left out."


def _paste(page: Any, words: str) -> None:
    page.evaluate(
        """words => {
          const transfer = new DataTransfer();
          transfer.setData("text/plain", words);
          document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
        }""",
        words,
    )


def test_an_address_that_is_pasted_is_fetched_by_the_browser_and_asked_about(
    world: World, visit: Visit
) -> None:
    page = ready(visit(world.server.url))
    _paste(page, f"{world.server.url}/samples/coffee.jpg")
    page.wait_for_selector('#stage[data-state="answered"]')
    assert page.inner_text("#photo-name") == "coffee.jpg"


def test_who_has_the_picture_of_an_address_does_not_hear_where_it_was_pasted(
    world: World, visit: Visit
) -> None:
    asked: list[dict[str, str]] = []

    class Pictures(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            for name, value in (("Content-Type", "image/jpeg"), ("Access-Control-Allow-Origin", "*")):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(PHOTOS["coffee"])

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    # The API forbids it in a header; a static host does not.
    page = ready(visit(world.site(api=world.open.url)))
    with serving(Pictures) as elsewhere:
        _paste(page, f"{elsewhere}/coffee.jpg")
        page.wait_for_selector('#stage[data-state="answered"]')
    assert [{"referer", "cookie"} & set(headers) for headers in asked] == [set()]


def test_an_address_that_may_not_be_read_is_explained(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url, faults=NETWORK_ERRORS + "|CORS"))
    elsewhere = world.site()
    _paste(page, f"{elsewhere}samples/coffee.jpg")
    page.wait_for_selector(FAILED)
    assert "does not let other pages read its pictures" in page.inner_text("#verdict-note")


def test_a_photo_pasted_into_an_open_dialog_is_not_asked_about_behind_it(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    page.get_by_role("button", name="Settings", exact=True).click()
    page.wait_for_selector("dialog[open]")
    page.evaluate(
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File(["x"], "a.jpg", { type: "image/jpeg" }));
          document.getElementById("settings-api").dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
        }"""
    )
    page.keyboard.press("Escape")
    # Had it been asked about, it would be beside this one now.
    choose(page, *_many(1))
    assert page.locator("#history").is_hidden()


def test_files_dropped_without_folders_come_as_they_are(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    drop(page, *_many(2))
    page.wait_for_selector("#batch-json")
    assert _titles(page) == ["0.jpg", "1.jpg"]
