"""Choosing photos: every way in, and what leaves the browser."""

import io
from typing import Any

import pytest
from PIL import Image

from tests.conftest import require
from tests.hostile import embedded
from tests.web.actions import (
    FAILED,
    NETWORK_ERRORS,
    choose,
    drop,
    facts,
    number,
    paste,
    probabilities,
    ready,
    try_sample,
)
from tests.web.actions import SAMPLES as SHOWN
from tests.web.conftest import Visit
from tests.web.world import SAMPLES, World, jpeg, large_photo, sample, upload

pytestmark = pytest.mark.browser

CAT = (SAMPLES / "chelsea.jpg").read_bytes()


@pytest.mark.parametrize("way", [choose, drop, paste])
def test_a_photo_comes_in_by_choosing_dropping_and_pasting(world: World, visit: Visit, way: Any) -> None:
    page = ready(visit(world.server.url))
    way(page, upload("my cat.jpg", CAT))
    page.wait_for_selector('#stage[data-state="answered"]')
    assert page.inner_text("#photo-name") == "my cat.jpg"


def test_the_button_opens_the_file_picker(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    with page.expect_file_chooser() as picker:
        page.get_by_role("button", name="Choose photos").click()
    assert picker.value.is_multiple()
    picker.value.set_files([upload("a.jpg", CAT)])
    page.wait_for_selector('#stage[data-state="answered"]')


def test_phones_are_offered_the_camera_and_desktops_are_not(world: World, visit: Visit) -> None:
    phone = ready(visit(world.server.url, has_touch=True, is_mobile=True))
    with phone.expect_file_chooser() as picker:
        phone.get_by_role("button", name="Take a photo").tap()
    assert picker.value.element.get_attribute("capture") == "environment"
    desktop = ready(visit(world.server.url))
    assert not desktop.get_by_role("button", name="Take a photo").is_visible()


def test_dropping_something_without_a_photo_says_what_to_drop(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    drop(page)
    page.wait_for_selector('#drop-message:has-text("Drop or paste the photo file itself")')
    choose(page, upload("a.jpg", CAT))
    assert page.inner_text("#drop-message") == ""


def test_pasting_text_is_left_alone(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    paste(page)
    assert page.locator("#stage").is_hidden()
    assert page.inner_text("#drop-message") == ""


def test_the_same_file_can_be_chosen_twice(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    for _ in range(2):
        choose(page, upload("a.jpg", CAT))
    page.wait_for_selector("#history .tile >> nth=1")


@pytest.mark.parametrize("name", SHOWN)
def test_each_sample_gets_an_answer(world: World, visit: Visit, name: str) -> None:
    page = ready(visit(world.server.url))
    try_sample(page, name)
    assert max(probabilities(page).values()) >= 0.5


def test_a_20_megapixel_photo_goes_out_upright_and_small_and_the_page_says_so(
    world: World, visit: Visit
) -> None:
    photo = large_photo()
    address, sent = world.recorder(world.server)
    page = ready(visit(address))
    choose(page, upload("DSC_0042.JPG", photo))
    with Image.open(io.BytesIO(sent.photos()[0])) as image:
        assert (image.format, image.size) == ("JPEG", (683, 1024))
        assert 0x0112 not in image.getexif()
        upright = image.convert("RGB").resize((64, 64))
    turned = sample("chelsea").transpose(Image.Transpose.ROTATE_270).resize((64, 64))
    assert _distance(upright, turned) < 12
    assert len(photo) > 4_500_000 > 20 * len(sent.photos()[0])
    said = facts(page)
    assert "MB" in said["Sent"]
    assert number(said["Sent"]) == pytest.approx(len(sent.photos()[0]) / 1000, abs=0.6)
    assert said["Size"] == "683 × 1,024, from 3,648 × 5,472"


def test_a_small_photo_goes_out_as_it_is(world: World, visit: Visit) -> None:
    address, sent = world.recorder(world.server)
    page = ready(visit(address))
    choose(page, upload("a.jpg", CAT))
    assert sent.photos() == [CAT]
    assert facts(page)["Sent"] == f"{len(CAT) / 1000:.0f} kB, as it was"


def test_a_photo_on_its_side_is_shown_upright(world: World, visit: Visit) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    page = ready(visit(world.server.url))
    choose(page, upload("side.jpg", jpeg(sample("chelsea"), exif=exif)))
    page.wait_for_function("() => photo.width === 300 && photo.height === 451")


def test_a_browser_that_cannot_be_told_to_turn_photos_turns_them_all_the_same(
    world: World, visit: Visit
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    page = ready(visit(world.server.url))
    # What browsers do with an option value from after their time.
    page.evaluate("() => { window.createImageBitmap = () => Promise.reject(new TypeError('no such value')) }")
    choose(page, upload("side.jpg", jpeg(sample("chelsea"), exif=exif)))
    page.wait_for_function("() => photo.width === 300 && photo.height === 451")


def test_what_is_transparent_lies_on_white(world: World, visit: Visit) -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (1500, 900), (255, 0, 0, 0)).save(buffer, "PNG")
    address, sent = world.recorder(world.server)
    page = ready(visit(address))
    choose(page, upload("logo.png", buffer.getvalue(), "image/png"))
    with Image.open(io.BytesIO(sent.photos()[0])) as image:
        assert image.convert("RGB").getpixel((500, 300)) == (255, 255, 255)


def test_a_file_that_is_no_photo_never_leaves_the_browser(world: World, visit: Visit) -> None:
    address, sent = world.recorder(world.server)
    page = ready(visit(address))
    choose(page, upload("taxes.pdf", b"%PDF-1.7", "application/pdf"), wait=FAILED)
    assert page.inner_text("#verdict-note") == (
        "taxes.pdf is no photo. Choose a picture, such as a JPEG or PNG file."
    )
    assert not page.get_by_role("button", name="Try again").is_visible()
    assert sent.photos() == []


def test_an_empty_file_is_said_to_be_empty(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    choose(page, upload("a.jpg", b""), wait=FAILED)
    assert "is empty" in page.inner_text("#verdict-note")


def test_a_broken_photo_shows_the_sentence_of_the_api(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url, faults=NETWORK_ERRORS))
    choose(page, upload("a.jpg", CAT[:200]), wait=FAILED)
    with world.server.client() as client:
        detail = client.post("/predict", files={"file": ("a.jpg", CAT[:200])}).json()["detail"]
    assert page.inner_text("#verdict-note") == f"The API cannot read this photo. {detail}"


def test_a_format_that_only_the_api_knows_goes_out_as_it_is(world: World, visit: Visit) -> None:
    buffer = io.BytesIO()
    sample("chelsea").save(buffer, "TIFF")
    page = ready(visit(world.server.url))
    choose(page, upload("scan.tiff", buffer.getvalue(), "image/tiff"))
    assert "This browser cannot show this photo" in page.inner_text("#stage")
    assert page.get_by_role("meter").count() == 2


def test_heic_says_how_to_get_a_jpeg(world: World, visit: Visit) -> None:
    address, sent = world.recorder(world.server)
    page = ready(visit(address, faults=NETWORK_ERRORS))
    heic = b"\0\0\0\x18ftypheic" + bytes(2000)
    choose(page, upload("IMG_1.HEIC", heic, ""), wait=FAILED)
    assert "Most Compatible" in page.inner_text("#verdict-note")
    assert sent.photos() == [heic]
    choose(page, upload("IMG_2.HEIC", heic + bytes(4_500_000), "image/heic"), wait=FAILED)
    assert "Most Compatible" in page.inner_text("#verdict-note")
    assert len(sent.photos()) == 1


def test_heic_goes_to_an_api_that_reads_it(world: World, visit: Visit) -> None:
    require("pi_heif")
    page = ready(visit(world.server.url))
    choose(page, upload("IMG_1.HEIC", embedded.HEIC_PLAIN, ""))
    assert "This browser cannot show this photo" in page.inner_text("#stage")
    assert page.get_by_role("meter").count() == 2


# Chromium as if it were Safari: it opens HEIC, as a bitmap or only as what an <img> shows.
OPENS_HEIC = """
const cat = fetch("/samples/chelsea.jpg").then((response) => response.blob());
const isHeic = async (blob) => (await blob.slice(4, 12).text()) === "ftypheic";
const bitmap = createImageBitmap;
globalThis.createImageBitmap = async (blob, ...options) => {
  if (!(blob instanceof Blob) || !(await isHeic(blob))) return bitmap(blob, ...options);
  if (AS_IMG) throw new DOMException("The source image could not be decoded.", "InvalidStateError");
  return bitmap(await cat);
};
const url = URL.createObjectURL;
const decode = HTMLImageElement.prototype.decode;
const heic = new Set();
URL.createObjectURL = (blob) => {
  const address = url.call(URL, blob);
  if (blob.type === "image/heic") heic.add(address);
  return address;
};
HTMLImageElement.prototype.decode = async function () {
  if (heic.has(this.src)) this.src = url.call(URL, await cat);
  return decode.call(this);
};
"""


@pytest.mark.parametrize("as_img", ["true", "false"])
def test_a_browser_that_opens_heic_sends_a_small_jpeg(world: World, visit: Visit, as_img: str) -> None:
    address, sent = world.recorder(world.server)
    page = visit(address)
    page.add_init_script(OPENS_HEIC.replace("AS_IMG", as_img))
    page.reload()
    ready(page)
    choose(page, upload("IMG_1.HEIC", embedded.HEIC_PLAIN + bytes(5_000_000), ""))
    (photo,) = sent.photos()
    assert photo.startswith(b"\xff\xd8\xff")
    assert "cat" in page.inner_text("#verdict").lower()


def test_a_file_too_large_to_send_unopened_never_leaves_the_browser(world: World, visit: Visit) -> None:
    address, sent = world.recorder(world.server)
    page = ready(visit(address))
    choose(page, upload("scan.tiff", b"II*\0" + bytes(5_000_000), "image/tiff"), wait=FAILED)
    assert "at 5\xa0MB it is too large to send as it is" in page.inner_text("#verdict-note")
    assert sent.photos() == []


def _distance(a: Image.Image, b: Image.Image) -> float:
    """Mean difference of two pictures' channels, 0 to 255."""
    values = zip(a.tobytes(), b.tobytes(), strict=True)
    return sum(abs(x - y) for x, y in values) / len(a.tobytes())
