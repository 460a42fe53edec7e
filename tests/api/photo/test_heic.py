"""HEIC: what phones store is read where the decoder is installed, and no file of a few bytes asks for endless work."""

import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image

from api._photo import formats, heic
from api._photo.errors import ImageError
from api._photo.formats import READABLE
from api._photo.image import decode
from tests.conftest import ROOT, clean_environment, require
from tests.hostile import embedded
from tests.hostile.corpus import picture, seeds
from tests.hostile.heic import (
    HEADER,
    SIDE,
    STREAM,
    Heic,
    Item,
    another_slice,
    box,
    full,
    grid,
    size,
    tiled,
    with_size,
)
from tests.hostile.heic import picture as coded

SIZE = 64


@pytest.fixture(autouse=True)
def _decoder() -> None:
    require("pi_heif")


def shown(data: bytes) -> np.ndarray:
    return decode(data, SIZE).pixels.astype(int)


def like(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)).astype(int)


FILES = {
    "of an iPhone's kind": (embedded.HEIC_PLAIN, picture()),
    "with transparency": (embedded.HEIC_ALPHA, picture()),
    "of ten bits": (embedded.HEIC_TEN_BIT, picture()),
    "turned": (
        Heic([Item(b"hvc1", STREAM, (1, 2, 3))], [size(SIDE, SIDE), HEADER, box(b"irot", b"\1")]).build(),
        picture().transpose(Image.Transpose.ROTATE_90),
    ),
    "mirrored": (
        Heic([Item(b"hvc1", STREAM, (1, 2, 3))], [size(SIDE, SIDE), HEADER, box(b"imir", b"\1")]).build(),
        picture().transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    ),
    "of one tile": (tiled(1, 1).build(), picture()),
    "built by hand": (Heic([coded()]).build(), picture()),
    "behind another item": (
        Heic([coded(), Item(b"iden", b"", (1,))], references=[(b"dimg", 2, [1])], primary=2).build(),
        picture(),
    ),
}


@pytest.mark.parametrize(("data", "image"), FILES.values(), ids=FILES)
def test_a_heic_shows_its_picture(data: bytes, image: Image.Image) -> None:
    assert np.abs(shown(data) - like(image)).mean() < 4
    assert decode(data, SIZE).format == "HEIC"
    assert (decode(data, SIZE).width, decode(data, SIZE).height) == (SIDE, SIDE)


def test_a_transparent_heic_is_the_same_picture_each_time_whatever_else_is_decoded() -> None:
    """Pillow shares the memory it is given with a picture that has transparency; the decoder takes its own back."""
    require("pi_heif")
    data = seeds()["HEIC with alpha"].data
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: decode(data, 224).pixels.tobytes(), range(60)))
    assert len(found) == 1


def test_a_heic_of_tiles_is_put_together() -> None:
    photo = decode(tiled(2, 3).build(), SIZE)
    assert (photo.width, photo.height) == (3 * SIDE, 2 * SIDE)
    whole = Image.new("RGB", (3 * SIDE, 2 * SIDE))
    for x in range(3):
        for y in range(2):
            whole.paste(picture(), (x * SIDE, y * SIDE))
    assert np.abs(photo.pixels.astype(int) - like(whole)).mean() < 6


def test_a_heic_is_answered_by_the_service(client: httpx.Client) -> None:
    for request in (
        {"files": {"file": ("IMG_1.HEIC", embedded.HEIC_PLAIN, "image/heic")}},
        {"content": embedded.HEIC_PLAIN, "headers": {"Content-Type": "image/heic"}},
    ):
        response = client.post("/predict", **request)
        assert (response.status_code, set(response.json()["probabilities"])) == (200, {"cat", "dog"})
    assert "image/heic" in client.get("/openapi.json").text


WIDE = with_size(HEADER, 20_000, 20_000)
SLICES = STREAM * 40
BOMBS: dict[str, tuple[bytes, int]] = {
    "a container that says so": (Heic([coded()], [size(8000, 8000), HEADER]).build(), 413),
    "a stream that says so": (Heic([coded()], [size(SIDE, SIDE), WIDE]).build(), 413),
    "a stream that says so in its midst": (
        Heic([coded(struct.pack(">I", len(WIDE)) + WIDE[WIDE.index(b"\x42\x01\x01"):] + STREAM)]).build(), 400),
    "a grid that says so": (
        Heic([Item(b"grid", grid(1, 1, 60_000, 60_000), (3,)), coded()],
             [size(SIDE, SIDE), HEADER, size(60_000, 60_000)], [(b"dimg", 1, [2])]).build(), 413),
    "a transparency that says so": (
        Heic([coded(), Item(b"hvc1", STREAM, (1, 3, 4))],
             [size(SIDE, SIDE), HEADER, WIDE, full(b"auxC", b"urn:mpeg:hevc:2015:auxid:1\0")],
             [(b"auxl", 2, [1])]).build(), 413),
    "the same large tile a thousand times": (
        Heic([Item(b"grid", grid(25, 40, 5000, 5000), (3,)), Item(b"hvc1", STREAM, (4, 5))],
             [size(SIDE, SIDE), HEADER, size(5000, 5000), size(1000, 1000), with_size(HEADER, 1000, 1000)],
             [(b"dimg", 1, [2] * 1000)]).build(), 413),
    "more tiles than any camera's": (tiled(60, 60, tiles=1).build(), 400),
    "many pictures in one item": (Heic([coded(SLICES)]).build(), 400),
    "many slices of one picture": (
Heic([coded(STREAM + another_slice() * 2000)], [size(2048, 2048), with_size(HEADER, 2048, 2048)]).build(), 413),
    "grids of grids": (
        Heic([Item(b"grid", grid(2, 2, 256, 256), (1,)), Item(b"grid", grid(2, 2, 128, 128), (1,)), coded()],
             references=[(b"dimg", 1, [2] * 4), (b"dimg", 2, [3] * 4)]).build(), 400),
    "a grid of itself": (
        Heic([Item(b"grid", grid(1, 1, 128, 128), (1,)), coded()], references=[(b"dimg", 1, [1])]).build(), 400),
    "an item that is itself": (
        Heic([Item(b"iden", b"", (1,)), coded()], references=[(b"dimg", 1, [1])]).build(), 400),
    "an item that nobody decodes": (Heic([Item(b"av01", STREAM, (1, 2))]).build(), 400),
    "thousands of items": (Heic([coded()] * 3000).build(), 400),
    "notes that a thousand pictures share": (
        Heic([*[coded()] * 900, Item(b"Exif", bytes(1_000_000))],
             references=[(b"cdsc", 901, list(range(1, 901)))]).build(), 400),
    "a profile that a thousand pictures share": (
        Heic([Item(b"hvc1", STREAM, (1, 2, 3))] * 900,
             [size(SIDE, SIDE), HEADER, full(b"colr", b"prof" + bytes(1_000_000))]).build(), 400),
    "two directories": (Heic([coded()]).build() + Heic([coded()]).build()[24:], 400),
    "lengths without end": (Heic([coded(b"\0\0\0\3\x42\1\1" * 10_000)]).build(), 400),
    "nothing in it": (Heic([coded(b"")]).build(), 400),
}  # fmt: skip


@pytest.mark.parametrize(("data", "status"), BOMBS.values(), ids=BOMBS)
def test_a_heic_that_asks_for_too_much_never_reaches_its_decoder(
    data: bytes, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(data: bytes) -> Image.Image:
        raise AssertionError("the decoder was called")

    monkeypatch.setattr(heic, "decode_heic", reached)
    start = time.process_time()
    with pytest.raises(ImageError) as caught:
        decode(data, SIZE)
    assert not isinstance(caught.value.__cause__, AssertionError)
    assert caught.value.status == status
    assert time.process_time() - start < 0.5


def test_limits_follow_max_pixels() -> None:
    assert decode(embedded.HEIC_PLAIN, SIZE, max_pixels=30_000)
    with pytest.raises(ImageError, match=r"0\.01 million"):
        decode(embedded.HEIC_PLAIN, SIZE, max_pixels=16_000)


@pytest.mark.parametrize(
    "name", [b"meta", b"iloc", b"iinf", b"infe", b"hvc1", b"hvcC", b"ispe", b"ipma", b"pitm"]
)
def test_a_heic_whose_parts_cannot_be_told_never_reaches_its_decoder(
    name: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heic, "decode_heic", lambda data: pytest.fail("the decoder was called"))
    with pytest.raises(ImageError, match="damaged"):
        decode(embedded.HEIC_PLAIN.replace(name, b"xxxx"), SIZE)


@pytest.mark.parametrize("data", [embedded.HEIC_PLAIN, embedded.HEIC_ALPHA, tiled(2, 2).build()])
def test_a_heic_cut_off_or_changed_anywhere_is_a_picture_or_a_refusal(data: bytes) -> None:
    changed = [data[:length] for length in range(12, len(data), 31)]
    for at in range(12, min(len(data), 700), 7):
        changed += [data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :] for bit in (1, 128)]
    statuses = set()
    for file in changed:
        try:
            decode(file, SIZE)
        except ImageError as refusal:
            statuses.add(refusal.status)
    assert statuses <= {400, 413}


def test_without_the_decoder_a_refusal_says_how_to_convert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "READABLE", tuple(name for name in READABLE if name != "HEIC"))
    with pytest.raises(ImageError, match=r"^HEIC is not read here\. .*Most Compatible") as caught:
        decode(embedded.HEIC_PLAIN, SIZE)
    assert caught.value.status == 400


def test_a_decoder_that_cannot_be_loaded_just_now_is_asked_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("_pi_heif", "pi_heif")]:
        monkeypatch.delitem(sys.modules, name)
    with monkeypatch.context() as gone:
        gone.setitem(sys.modules, "_pi_heif", None)
        with pytest.raises(ImageError, match="just now") as caught:
            decode(embedded.HEIC_PLAIN, SIZE)
    assert caught.value.status == 503
    assert decode(embedded.HEIC_PLAIN, SIZE).format == "HEIC"


def test_a_service_that_is_sent_no_heic_never_loads_the_decoder() -> None:
    code = (
        "import sys, api.index; from api._photo.image import decode, import_decoders; import_decoders(); "
        "decode(open('web/samples/chelsea.jpg', 'rb').read(), 64); "
        "sys.exit(any(name.split('.')[0] in ('pi_heif', '_pi_heif') for name in sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean_environment(), timeout=60, check=False
    )
    assert run.returncode == 0


def test_a_heic_leaves_the_other_formats_as_they_were() -> None:
    decode(embedded.HEIC_PLAIN, SIZE)
    assert "HEIF" not in Image.ID
