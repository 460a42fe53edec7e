"""The network in the browser: the same file, the same answers, and no photo leaves."""

import base64
import json
import os
import re
import shutil
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.web.actions import (
    ANSWERED,
    FAILED,
    NETWORK_ERRORS,
    TROUBLE,
    WARM,
    answer_here,
    choose,
    choose_place,
    facts,
    pixels,
    probabilities,
    ready,
    try_sample,
)
from tests.web.actions import SAMPLES as SHOWN
from tests.web.conftest import Visit
from tests.web.world import World, large_photo, upload

pytestmark = pytest.mark.browser

MODEL = ROOT / "model"
TOLERANCE = 0.02


@pytest.mark.parametrize("size", [(451, 300), (1024, 683), (100, 90), (224, 224), (7, 3)])
def test_the_resize_is_pillows_to_the_bit(world: World, visit: Visit, size: tuple[int, int]) -> None:
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    expected = Image.fromarray(values).resize((160, 160), Image.Resampling.BILINEAR)
    opaque = np.dstack([values, np.full(size[::-1], 255, np.uint8)])
    page = ready(visit(world.server.url))
    resized = page.evaluate(
        """async ([rgba, width, height]) => {
          const { resize } = await import("./local/resize.js");
          const bytes = Uint8ClampedArray.from(atob(rgba), (letter) => letter.charCodeAt());
          return btoa(String.fromCharCode(...resize(bytes, width, height, 160)));
        }""",
        [base64.b64encode(opaque.tobytes()).decode(), *size],
    )
    assert base64.b64decode(resized) == expected.tobytes()


@pytest.mark.parametrize("name", SHOWN)
def test_browser_and_api_agree_on_the_samples(world: World, visit: Visit, name: str) -> None:
    page = ready(visit(world.server.url))
    _agree(page, lambda: try_sample(page, name))


def test_browser_and_api_agree_on_a_20_megapixel_photo(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    photo = upload("DSC_0042.JPG", large_photo())
    _agree(page, lambda: choose(page, photo))


def _agree(page: Any, ask: Any) -> None:
    ask()
    assert "this device" not in facts(page)["Answered by"]
    page.wait_for_selector(WARM)
    far, verdict, heat = probabilities(page), page.inner_text("#verdict"), pixels(page)
    answer_here(page)
    page.get_by_role("button", name="Clear").click() if page.locator("#history").is_visible() else None
    page.evaluate("photo.removeAttribute('aria-label')")
    ask()
    page.wait_for_selector('#facts:has-text("this device")', state="attached")
    assert page.inner_text("#verdict") == verdict
    assert probabilities(page) == pytest.approx(far, abs=TOLERANCE)
    page.wait_for_selector(WARM)
    assert np.abs(np.subtract(pixels(page), heat)).mean() < 10


def test_nothing_of_the_runtime_is_loaded_before_it_is_asked_for(world: World, visit: Visit) -> None:
    page = visit("about:blank")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(world.server.url)
    ready(page)
    try_sample(page)
    assert not [url for url in requests if "vendor" in url or "model.onnx" in url or "local/worker" in url]
    answer_here(page)
    assert [url for url in requests if url.endswith(".wasm")]


def test_no_photo_leaves_a_browser_that_answers_itself(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    answer_here(page)
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    try_sample(page)
    assert facts(page)["Sent"] == "nothing"
    assert posted == []


def test_a_published_page_answers_without_any_api(world: World, visit: Visit) -> None:
    page = visit(world.site(model=MODEL, api=world.stopped()), faults=NETWORK_ERRORS)
    # Nobody has to ask: this device stands in.
    try_sample(page, wait="")
    page.wait_for_selector(ANSWERED, timeout=60_000)
    assert "this device, model" in facts(page)["Answered by"]
    assert "Until then this device answers" in page.inner_text("#notice-text")


def test_a_page_without_a_model_beside_it_takes_the_one_of_the_api(world: World, visit: Visit) -> None:
    page = ready(visit(world.site(api=world.open.url), faults="404"))
    answer_here(page)
    try_sample(page)


def test_a_photo_chosen_while_the_model_loads_waits_for_it(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    held: list[Any] = []
    page.route("**/model/model.onnx", lambda route: held.append(route))
    choose_place(page, "This device")
    page.wait_for_selector('#where-note:has-text("Loading the model:")')
    assert page.get_by_role("progressbar").first.is_visible()
    try_sample(page, wait='#stage[data-state="busy"]')
    held[0].continue_()
    page.wait_for_selector(ANSWERED, timeout=60_000)


def test_a_browser_too_old_to_run_the_model_is_told_before_the_download(world: World, visit: Visit) -> None:
    page = visit("about:blank")
    # What a browser without WebAssembly SIMD says of any module that has some of it.
    page.add_init_script("WebAssembly.validate = () => false")
    page.goto(world.server.url)
    ready(page)
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    choose_place(page, "This device")
    page.wait_for_selector(TROUBLE)
    assert "too old to run the model: it lacks WebAssembly SIMD" in page.inner_text("#notice-text")
    try_sample(page, wait=FAILED)
    assert "lacks WebAssembly SIMD" in page.inner_text("#verdict-note")
    assert not [url for url in loaded if url.endswith((".wasm", ".onnx"))]
    page.locator("#stage").get_by_role("button", name="Answer on our server").click()
    page.wait_for_selector(ANSWERED)


def test_the_progress_of_the_download_counts_the_bytes_on_the_way(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    page.evaluate(
        """() => {
          window.totals = [];
          new MutationObserver(() => totals.push(document.getElementById("where-note").textContent))
            .observe(document.getElementById("where-note"), { childList: true });
        }"""
    )
    answer_here(page)
    said = [words for words in page.evaluate("totals") if words.startswith("Loading the model:")]
    assert said
    totals = {
        words.split(" of ")[1].replace("\xa0", " ").removesuffix("…").removesuffix(".") for words in said
    }
    # The runtime and the model as they are sent, not as they are unpacked, and never one of them alone.
    assert all(re.match(r"(3\.[67]|4\.[01]) MB", total) for total in totals), totals


def test_a_batch_is_answered_in_the_browser(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    answer_here(page)
    photo = (ROOT / "web" / "samples" / "chelsea.jpg").read_bytes()
    choose(page, *[upload(f"{i}.jpg", photo) for i in range(4)], wait="")
    page.wait_for_selector("#batch-json")
    assert page.locator('#batch-tiles .tile[data-state="answered"]').count() == 4


def test_many_photos_are_answered_by_several_networks_and_all_of_them_say_the_same(
    world: World, visit: Visit
) -> None:
    page = ready(visit(world.server.url))
    workers: list[str] = []
    page.on("worker", lambda worker: workers.append(worker.url))
    answer_here(page)
    photos = [(ROOT / "web" / "samples" / f"{name}.jpg").read_bytes() for name in ("chelsea", "shepherd")]
    choose(page, *[upload(f"{i}.jpg", photos[i % 2]) for i in range(40)], wait="")
    page.wait_for_selector("#batch-json", timeout=60_000)
    networks = sum(url.endswith("local/worker.js") for url in workers)
    assert min(2, os.cpu_count() or 1) <= networks <= min(4, os.cpu_count() or 1)
    with page.expect_download() as download:
        page.locator("#batch-json").click()
    answers = json.loads(download.value.path().read_text(encoding="utf-8"))
    said = [{json.dumps(answer["probabilities"]) for answer in answers[i::2]} for i in (0, 1)]
    assert [len(answers), *map(len, said)] == [40, 1, 1]


def test_of_one_batch_all_answers_come_from_one_model(world: World, visit: Visit) -> None:
    url = world.site(model=MODEL)
    model = world.pages[max(world.pages)] / "model"
    for file in model.iterdir():
        # What has changed just now browsers ask for again.
        os.utime(file)
    page = visit(url, faults=NETWORK_ERRORS)
    photo = (ROOT / "web" / "samples" / "chelsea.jpg").read_bytes()
    choose(page, upload("first.jpg", photo))
    # Another one is published while the page is open: networks that start now would find it.
    with page.expect_response(lambda response: response.url.endswith("model.onnx")) as fetched:
        for file in (MODEL / "versions" / "1.0.0").iterdir():
            shutil.copy(file, model)
        choose(page, *[upload(f"{i}.jpg", photo) for i in range(40)], wait="")
    assert fetched.value.ok
    page.wait_for_selector("#batch-json", timeout=60_000)
    with page.expect_download() as download:
        page.locator("#batch-json").click()
    answers = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert {answer["model_version"] for answer in answers} == {(MODEL / "latest").read_text().strip()}


def test_a_photo_of_neither_is_told_in_the_browser_too(world: World, visit: Visit) -> None:
    page = ready(visit(world.unsure.url))
    answer_here(page)
    try_sample(page, "A cup of coffee")
    assert page.inner_text("#verdict") == "Neither cat nor dog"


def test_a_damaged_model_is_refused(world: World, visit: Visit) -> None:
    broken = world.model_with()
    weights = next(broken.rglob("*.onnx"))
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    page = ready(visit(world.site(model=broken, api=world.open.url)))
    choose_place(page, "This device")
    page.wait_for_selector(TROUBLE, timeout=60_000)
    assert "damaged" in page.inner_text("#notice-text")


def test_a_model_that_cannot_be_had_is_said_and_can_be_tried_again(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url, faults=NETWORK_ERRORS))
    page.route("**/model/metadata.json", lambda route: route.abort())
    choose_place(page, "This device")
    page.wait_for_selector(TROUBLE)
    assert "no model file" in page.inner_text("#notice-text")
    page.unroute("**/model/metadata.json")
    page.locator("#notice").get_by_role("button", name="Try again").click()
    page.wait_for_selector('#status:has-text("Ready, on this device")', timeout=60_000)


def test_a_photo_that_only_the_api_can_open_is_sent_back_to_it(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    answer_here(page)
    choose(page, upload("scan.tiff", b"II*\0" + bytes(500), "image/tiff"), wait=FAILED)
    assert "let our server answer" in page.inner_text("#verdict-note")


@pytest.mark.parametrize("saving", [False, True])
def test_who_reaches_for_a_photo_finds_the_model_on_its_way_unless_they_save_data(
    world: World, visit: Visit, saving: bool
) -> None:
    page = visit("about:blank")
    page.add_init_script(
        "try { localStorage.setItem('purrdict.where', 'browser') } catch {}"
        f"Object.defineProperty(navigator, 'connection', {{ value: {{ saveData: {str(saving).lower()} }} }})"
    )
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(world.server.url)
    page.wait_for_selector(".sample img")
    assert not [url for url in requests if url.endswith(".wasm")]
    page.locator("#choose-files").dispatch_event("pointerdown")
    if not saving:
        page.wait_for_selector('#where-note:has-text("The model is loaded")', timeout=60_000)
    try_sample(page, wait="")
    page.wait_for_selector(ANSWERED, timeout=60_000)
    loaded = next(i for i, url in enumerate(requests) if url.endswith(".wasm"))
    asked = next(i for i, url in enumerate(requests) if url.endswith("chelsea.jpg"))
    assert (loaded > asked) == saving


def test_the_runtime_comes_while_the_model_is_still_asked_for(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    held: list[Any] = []
    page.route("**/model/metadata.json", lambda route: held.append(route))
    with page.expect_response("**/*.wasm"):
        choose_place(page, "This device")
    held[0].continue_()
    page.wait_for_selector('#where-note:has-text("The model is loaded")', timeout=60_000)
