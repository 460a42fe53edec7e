"""Decoding step by step: which decoder, how much of it, how long it took, and what becomes of each kind of pixel."""

import importlib
import io
import time
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from api._photo import image as room
from api._photo.errors import ImageError
from api._photo.image import decode, import_decoders
from tests.conftest import encode

SIZE = 32


@pytest.fixture
def grey() -> Image.Image:
    return Image.fromarray(np.tile(np.arange(0, 250, 5, dtype=np.uint8), (40, 1)))


def test_the_decoders_of_the_readable_formats_are_loaded_before_a_photo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(importlib, "import_module", loaded.append)
    monkeypatch.setattr(Image, "preinit", lambda: loaded.append("the usual ones"))
    import_decoders()
    named = [f"PIL.{name}ImagePlugin" for name in ("Avif", "Mpo", "Tiff", "WebP")]
    assert loaded == ["the usual ones", *named]
    monkeypatch.undo()
    for name in named:
        importlib.import_module(name)  # each is one that Pillow has


def test_what_must_be_decoded_whole_may_have_fewer_pixels_than_a_jpeg() -> None:
    for name, width, read in (("JPEG", 80, True), ("JPEG", 81, False), ("PNG", 50, True), ("PNG", 51, False)):
        data = encode(Image.new("RGB", (width, 100)), name)
        if read:
            assert decode(data, SIZE, 8_000).width == width
        else:
            with pytest.raises(
                ImageError, match=rf"{width} x 100 pixels; at most 0\.00[58] million"
            ) as caught:
                decode(data, SIZE, 8_000)
            assert (caught.value.status, caught.value.damaged) == (413, False)


def test_a_picture_that_pillow_itself_calls_a_bomb_is_too_large_not_damaged(
    grey: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", grey.width * grey.height // 2 - 1)
    with pytest.raises(ImageError, match="too many pixels") as caught:
        decode(encode(grey, "PNG"), SIZE)
    assert caught.value.status == 413


def test_what_pillow_only_warns_of_is_read_in_silence(
    grey: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", grey.width * grey.height - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(encode(grey, "PNG"), SIZE).width == grey.width


def test_a_decoder_that_cannot_be_loaded_just_now_is_no_fault_of_the_photo(
    grey: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ImportError("too many open files")

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ImageError, match="PNG cannot be read just now") as caught:
        decode(encode(grey, "PNG"), SIZE)
    assert caught.value.status == 503


def test_only_the_decoder_of_the_format_that_the_first_bytes_name_is_tried(
    grey: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []
    opened = Image.open

    def spy(file: Any, **more: Any) -> Any:
        tried.append(more)
        return opened(file, **more)

    monkeypatch.setattr(Image, "open", spy)
    for name in ("JPEG", "PNG", "WEBP"):
        decode(encode(grey, name), SIZE)
    assert tried == [{"formats": ("JPEG",)}, {"formats": ("PNG",)}, {"formats": ("WEBP",)}]


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    draft = JpegImagePlugin.JpegImageFile.draft

    def spy(self: Any, *given: Any) -> Any:
        asked.append(given)
        return draft(self, *given)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", spy)
    decode(encode(Image.new("RGB", (800, 600)), "JPEG"), SIZE)
    assert asked == [(None, (48, 48))], "one and a half times what the network takes, and no less"


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_an_image_without_pixels_is_refused(size: tuple[int, int]) -> None:
    image: Any = SimpleNamespace(size=size)
    with pytest.raises(ImageError, match="no pixels"):
        room._check_size(image, 100)


def test_a_size_that_turns_out_larger_while_decoding_is_refused_as_well(
    grey: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Growing(Image.Image):
        def load(self) -> Any:
            self._size = (4_000, 4_000)
            return super().load()

        def draft(self, mode: Any, size: Any) -> None:
            pass

    growing = Growing()
    growing.im, growing._mode, growing._size = grey.im, grey.mode, grey.size
    monkeypatch.setattr(room, "_open", lambda *_: growing)
    with pytest.raises(ImageError, match="4,000 x 4,000"):
        decode(encode(grey, "PNG"), SIZE, 1_000_000)


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second, then two, then three, each time it is read."""

    def clock() -> Iterator[float]:
        now = step = 0.0
        while True:
            step += 1
            now += step
            yield now

    reading = clock()
    monkeypatch.setattr(time, "perf_counter", lambda: next(reading))


@pytest.mark.usefixtures("ticks")
def test_the_milliseconds_of_decoding_and_of_resizing_are_told_apart(grey: Image.Image) -> None:
    photo = decode(encode(grey, "PNG"), SIZE)
    assert (photo.decode_ms, photo.resize_ms) == (2_000, 3_000)


@pytest.mark.usefixtures("ticks")
def test_a_jpeg_that_is_decoded_twice_took_as_long_as_both_times(cat: Image.Image) -> None:
    photo = decode(encode(cat, "JPEG")[:-2], SIZE)
    assert (photo.decode_ms, photo.resize_ms) == (2_000 + 5_000, 3_000 + 6_000)


def test_a_jpeg_cut_off_in_its_picture_is_called_by_its_name(cat: Image.Image) -> None:
    data = encode(cat, "JPEG")
    with pytest.raises(ImageError, match=r"This JPEG file is damaged") as caught:
        decode(data[: len(data) * 9 // 10], SIZE)
    assert (caught.value.status, caught.value.damaged) == (400, True)


# --- modes


def palette(**info: Any) -> Image.Image:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 100, 0])
    image.info.update(info)
    return image


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (palette(), "RGB"),
        (palette(transparency=0), "RGBA"),
        (palette().convert("PA"), "RGBA"),
        (Image.new("1", (4, 4)), "L"),
        (Image.new("LAB", (4, 4)), "RGB"),
        (Image.new("RGBA", (4, 4)), "RGBA"),
        (Image.new("CMYK", (4, 4)), "CMYK"),
        (Image.new("L", (4, 4)), "L"),
    ],
)
def test_what_cannot_be_averaged_is_converted_and_all_else_is_left(image: Image.Image, mode: str) -> None:
    assert room._resizable(image).mode == mode


@pytest.mark.parametrize(
    ("mode", "wanted"), [("L", "RGBA"), ("RGB", "RGBA"), ("CMYK", "CMYK"), ("RGBA", "RGBA")]
)
def test_a_colour_that_counts_as_transparent_becomes_transparency(mode: str, wanted: str) -> None:
    image = Image.new(mode, (4, 4), 0)
    image.info["transparency"] = 0 if mode == "L" else (0, 0, 0)
    assert room._resizable(image).mode == wanted


@pytest.mark.parametrize(("bits", "white"), [(12, 0xFFF), (16, 0xFFFF)])
def test_deep_greys_fill_what_eight_bits_can_show(bits: int, white: int) -> None:
    image: Any = Image.fromarray(np.full((4, 4), white, np.uint16))
    image.tag_v2 = {0x0102: (bits,)}
    assert (np.asarray(room._resizable(image)) == 255).all()


def tiff(values: np.ndarray) -> np.ndarray:
    return decode(encode(Image.fromarray(values), "TIFF"), SIZE).pixels[..., 0].astype(int)


def test_darkest_and_brightest_of_32_bit_greys_become_black_and_white() -> None:
    ramp = np.tile(np.linspace(-50, 50, SIZE, dtype=np.float32), (SIZE, 1))
    wanted = np.linspace(0, 255, SIZE)
    for values in (ramp, ramp + 1_000, ramp - 1_000, (ramp * 100).astype(np.int32), ramp / 1e6):
        assert np.abs(tiff(values)[0] - wanted).max() <= 2


def test_a_grey_of_one_value_is_black() -> None:
    assert (tiff(np.full((SIZE, SIZE), 7.5, np.float32)) == 0).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_values_that_are_no_numbers_are_refused_with_what_to_do(value: float) -> None:
    values = np.ones((SIZE, SIZE), np.float32)
    values[0, 0] = value
    with pytest.raises(ImageError, match="values that are no numbers"):
        tiff(values)


def test_a_photo_whose_note_on_its_turn_is_missing_is_upright(grey: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a note on something else"
    for data in (encode(grey, "JPEG"), encode(grey, "JPEG", exif=exif)):
        with Image.open(io.BytesIO(data)) as image:
            assert room._orientation(image) == 1


def test_what_is_decoded_whole_may_have_fewer_pixels_than_a_jpeg(cat: Image.Image) -> None:
    small = cat.resize((10, 10))
    assert decode(encode(small, "JPEG"), SIZE, max_pixels=100).width == 10
    assert decode(encode(small, "PNG"), SIZE, max_pixels=160).width == 10
    for kind, most in (("JPEG", 99), ("PNG", 159), ("PNG", 100)):
        with pytest.raises(ImageError) as caught:
            decode(encode(small, kind), SIZE, max_pixels=most)
        assert caught.value.status == 413
