"""What people and networks really bring: no photos, odd photos, full disks, cut connections, wrong clocks."""

import functools
import http.server
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from deploy import site as publishing
from tests.conftest import ROOT, require_program
from tests.web.actions import (
    ANSWERED,
    FAILED,
    NETWORK_ERRORS,
    TROUBLE,
    answer_here,
    choose,
    choose_cat,
    choose_place,
    facts,
    ready,
    try_sample,
)
from tests.web.conftest import CHROMIUM, DEFAULTS, FLAGS, Visit
from tests.web.services import Feedback, Service
from tests.web.world import SAMPLES, World, jpeg, sample, serving, upload

pytestmark = pytest.mark.browser

CAT = (SAMPLES / "chelsea.jpg").read_bytes()
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(5000)
WEBM = b"\x1a\x45\xdf\xa3" + bytes(5000)
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF"
FAULTS = NETWORK_ERRORS + "|ERR_"


# --- files


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("holiday.mp4", MP4, "video/mp4"),
        ("holiday.webm", WEBM, "video/webm"),
        ("holiday.mov", MP4, ""),
        ("taxes.pdf", PDF, "application/pdf"),
        ("taxes.pdf", PDF, ""),
        ("notes.txt", b"a cat", "text/plain"),
    ],
)
def test_what_is_no_photo_is_called_so_and_never_leaves_the_browser(
    world: World, visit: Visit, name: str, data: bytes, kind: str
) -> None:
    address, sent = world.recorder(world.server)
    page = ready(visit(address))
    choose(page, upload(name, data, kind), wait=FAILED)
    said = page.inner_text("#verdict-note")
    assert said == f"{name} is no photo. Choose a picture, such as a JPEG or PNG file."
    assert sent.photos() == []
    # The page goes on as ever.
    choose_cat(page)


@pytest.mark.parametrize(
    ("name", "data"), [("taxes.jpg", PDF), ("clip.jpg", MP4), ("nothing.png", bytes(3000))]
)
@pytest.mark.parametrize("where", ["server", "device"])
def test_something_else_with_the_name_of_a_photo_ends_in_a_sentence(
    world: World, visit: Visit, name: str, data: bytes, where: str
) -> None:
    page = ready(visit(world.server.url, faults=NETWORK_ERRORS))
    if where == "device":
        answer_here(page)
    choose(page, upload(name, data), wait=FAILED)
    said = page.inner_text("#verdict-note")
    assert said.startswith(
        "The API cannot read this photo." if where == "server" else "This device cannot open"
    )
    assert page.inner_text("#verdict") == "No answer"


@pytest.mark.parametrize("where", ["server", "device"])
def test_a_drawing_is_answered_and_what_is_in_it_does_not_run(world: World, visit: Visit, where: str) -> None:
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300" onload="top.ran = true">'
        '<script>top.ran = true; fetch("/health?from-svg")</script>'
        '<rect width="400" height="300" fill="teal"/><circle cx="200" cy="150" r="90" fill="orange"/></svg>'
    )
    page = ready(visit(world.server.url))
    if where == "device":
        answer_here(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    choose(page, upload("drawing.svg", drawing.encode(), "image/svg+xml"), wait="")
    page.wait_for_selector(f"{ANSWERED}, {FAILED}")
    if page.locator(FAILED).count():
        assert "cannot open drawing.svg" in page.inner_text("#verdict-note")
    assert page.evaluate("window.ran") is None
    assert not [url for url in requests if "from-svg" in url]


def _moving(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [sample("chelsea").resize((320, 213)), *[Image.new("RGB", (320, 213), "navy")] * 4]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=40, loop=0)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("where", ["server", "device"])
def test_of_a_moving_picture_the_first_one_is_answered(
    world: World, visit: Visit, kind: str, where: str
) -> None:
    page = ready(visit(world.server.url))
    if where == "device":
        answer_here(page)
    choose(page, upload(f"moving.{kind.lower()}", _moving(kind), f"image/{kind.lower()}"))
    assert page.inner_text("#verdict") == "Cat"


@pytest.mark.parametrize("where", ["server", "device"])
def test_fifty_megapixels_are_answered_small(world: World, visit: Visit, where: str) -> None:
    page = ready(visit(world.server.url))
    if where == "device":
        answer_here(page)
    huge = jpeg(sample("chelsea").resize((8688, 5792)), quality=85)
    choose(page, upload("huge.jpg", huge), wait="")
    page.wait_for_selector(ANSWERED, timeout=60_000)
    assert page.inner_text("#verdict") == "Cat"
    assert facts(page)["Size"] == "1,024 × 683, from 8,688 × 5,792"


def test_four_hundred_files_of_which_half_are_no_photos_all_get_their_word(
    world: World, visit: Visit
) -> None:
    page = ready(visit(world.server.url))
    small = jpeg(sample("chelsea").resize((120, 80)))
    files = [
        upload(f"{i}.jpg", small) if i % 2 else upload(f"{i}.pdf", PDF, "application/pdf") for i in range(400)
    ]
    page.locator("#files").set_input_files(files)
    page.wait_for_selector("#batch-json", timeout=120_000)
    assert "200 × no answer" in page.inner_text("#batch-state")
    assert page.locator("#batch-tiles .tile").count() < 100
    page.select_option("#batch-filter", "failed")
    page.locator("#batch-tiles .tile").first.click()
    assert "is no photo" in page.inner_text("#verdict-note")


def test_a_file_that_is_deleted_meanwhile_is_said_to_be_gone(
    world: World, visit: Visit, tmp_path: Path
) -> None:
    photos = [tmp_path / name for name in ("one.jpg", "two.jpg")]
    for path in photos:
        path.write_bytes(CAT)
    with Service(Feedback) as feedback:
        page = ready(visit(world.site(api=world.open.url, feedback=feedback.url), faults="FILE_NOT_FOUND"))
        page.locator("#files").set_input_files(photos)
        page.wait_for_selector("#batch-json")
        for path in photos:
            path.unlink()
        page.get_by_label("Keep the photo").check()
        page.locator(".feedback").get_by_role("button", name="Yes").click()
        page.wait_for_selector("text=one.jpg cannot be read any more")
        page.get_by_role("button", name="Ask about a part").click()
        page.get_by_role("button", name="Ask about this part").click()
        page.wait_for_selector(FAILED)
    assert "one.jpg cannot be read any more" in page.inner_text("#verdict-note")


# --- what keeps things


def test_a_full_disk_keeps_nothing_and_stops_nobody(world: World, visit: Visit) -> None:
    page = visit("about:blank", faults=FAULTS, service_workers="allow")
    page.add_init_script(
        """const full = () => { window.refusals = (window.refusals ?? 0) + 1;
            throw new DOMException("The quota has been exceeded.", "QuotaExceededError"); };
        Cache.prototype.put = async () => full();
        Storage.prototype.setItem = full;"""
    )
    page.goto(world.server.url)
    ready(page)
    page.wait_for_function("() => window.refusals > 0")
    page.get_by_role("button", name="Settings", exact=True).click()
    page.select_option("#settings-theme", "dark")
    page.get_by_role("button", name="Save").click()
    choose_cat(page)
    answer_here(page)
    try_sample(page, "A German shepherd")
    assert page.inner_text("#verdict") == "Dog"


def test_a_page_that_an_older_service_worker_keeps_gets_the_newer_one(world: World, visit: Visit) -> None:
    url = world.site(model=ROOT / "model", api=world.stopped())
    folder = world.pages[max(world.pages)]
    # The worker of an earlier version knew its own files only, and handed them out whatever came.
    _write(folder / "sw.js", OLDER_WORKER)
    publishing.configure(folder)
    page = visit(url, faults=FAULTS, service_workers="allow")
    page.wait_for_function("() => navigator.serviceWorker.controller", timeout=60_000)
    assert page.evaluate(WHICH) == "older"
    # Servers that date files to the second cannot tell this one from the older.
    dated = (folder / "sw.js").stat().st_mtime
    _write(folder / "sw.js", (ROOT / "web" / "sw.js").read_text(encoding="utf-8"))
    os.utime(folder / "sw.js", (dated, dated))
    publishing.configure(folder)
    page.reload()
    page.wait_for_selector('html[data-kept="all"]', timeout=90_000, state="attached")
    # The browser looks for a newer worker some time after the page has loaded.
    deadline = time.monotonic() + 60
    while page.evaluate(WHICH) == "older":
        assert time.monotonic() < deadline, "the older worker keeps the page"
        page.wait_for_timeout(200)
    page.context.set_offline(True)
    page.reload()
    choose_cat(page)
    assert page.inner_text("#verdict") == "Cat"


OLDER_WORKER = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  if (new URL(event.request.url).pathname.endsWith("~which")) event.respondWith(new Response("older"));
});
"""
WHICH = "async () => { const answer = await fetch('~which'); return answer.ok ? answer.text() : 'newer'; }"


def _write(path: Path, content: str) -> None:
    path.unlink()  # a link to the page's own file
    path.write_text(content, encoding="utf-8")


# --- the way here


class _Cutting(http.server.SimpleHTTPRequestHandler):
    """Announces whole model files and sends half of them while `cut` is set."""

    cut = True

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        if _Cutting.cut and self.path.endswith(".onnx"):
            outputfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        outputfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def cutting(world: World) -> Iterator[str]:
    world.site(model=ROOT / "model", api=world.stopped())
    folder = world.pages[max(world.pages)]
    publishing.configure(folder)
    _Cutting.cut = True
    with serving(functools.partial(_Cutting, directory=str(folder.parent))) as address:
        yield f"{address}/{folder.name}/"


def test_a_model_cut_off_on_the_way_is_said_and_fetched_again(visit: Visit, cutting: str) -> None:
    page = visit(cutting, faults=FAULTS)
    page.wait_for_selector(TROUBLE)
    choose_place(page, "This device")
    page.wait_for_selector('#status:has-text("Model not loaded")', timeout=60_000)
    choose_cat(page, wait=FAILED)
    _Cutting.cut = False
    page.locator("#retry").click()
    page.wait_for_selector(ANSWERED, timeout=60_000)
    assert page.inner_text("#verdict") == "Cat"


def test_a_model_cut_off_on_the_way_is_never_kept(visit: Visit, cutting: str) -> None:
    page = visit(cutting, faults=FAULTS, service_workers="allow")
    page.wait_for_selector('html[data-kept="page"]', timeout=60_000, state="attached")
    with page.expect_event("requestfailed", lambda request: request.url.endswith(".onnx"), timeout=60_000):
        page.reload()
    kept = (
        "async () => (await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name))"
        ".keys()).map(({ url }) => url)))).flat().filter((url) => url.endsWith('.onnx')).length"
    )
    assert page.evaluate(kept) == 0
    _Cutting.cut = False
    page.reload()
    page.wait_for_selector('html[data-kept="all"]', timeout=90_000, state="attached")
    assert page.evaluate(kept) == 1


@pytest.mark.parametrize("year", [1980, 2099])
def test_a_wrong_clock_changes_nothing(world: World, visit: Visit, year: int) -> None:
    page = visit("about:blank", faults=FAULTS, service_workers="allow")
    page.add_init_script(
        f"""const Real = Date;
        const shift = new Real({year}, 0, 1) - Real.now();
        globalThis.Date = class extends Real {{
          constructor(...values) {{ super(...(values.length ? values : [Real.now() + shift])); }}
          static now() {{ return Real.now() + shift; }}
        }};"""
    )
    page.goto(world.server.url)
    ready(page)
    choose_cat(page)
    page.wait_for_selector('html[data-kept="all"]', timeout=90_000, state="attached")
    answer_here(page)
    try_sample(page, "A German shepherd")
    assert page.inner_text("#verdict") == "Dog"
    assert page.evaluate("new Date().getFullYear()") == year


# --- the camera


def test_a_device_without_a_camera_says_so(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    page.get_by_role("button", name="Live camera").click()
    page.wait_for_selector("text=There is no camera on this device.")


def test_a_camera_that_the_browser_keeps_from_the_page_says_what_to_do(world: World, browser: Any) -> None:
    flags = [*FLAGS, "--use-fake-device-for-media-stream"]
    chromium = browser.browser_type.launch(executable_path=require_program(*CHROMIUM), args=flags)
    try:
        page = chromium.new_context(**DEFAULTS).new_page()
        page.goto(world.server.url)
        ready(page)
        page.get_by_role("button", name="Live camera").click()
        page.wait_for_selector("text=Allow it in the site settings")
    finally:
        chromium.close()
