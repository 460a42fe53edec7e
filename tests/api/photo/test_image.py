"""Decoding: what must work works, what must not is refused, and the pixels are the right ones."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from api._photo.errors import ImageError
from api._photo.image import decode
from tests.conftest import encode
from tests.hostile.bombs import png_chunk

SIZE = 64


@pytest.fixture
def picture() -> Image.Image:
    """A gradient whose four corners differ, so that a wrong turn shows."""
    x, y = np.meshgrid(np.linspace(0, 255, 120), np.linspace(0, 255, 80))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


def expected(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)).astype(int)


def difference(image: Image.Image, data: bytes) -> float:
    """Largest difference of a channel, 0 to 255, between a file's pixels and those of the image it was made of."""
    return float(np.abs(decode(data, SIZE).pixels.astype(int) - expected(image)).max())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_turned_phone_photo_comes_upright(picture: Image.Image, format: str, orientation: int) -> None:  # noqa: A002
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = ImageOps.exif_transpose(picture)  # a copy without the note
    data = encode(stored, format, exif=exif, quality=95)
    noted = picture.copy()
    noted.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(noted)
    photo = decode(data, SIZE)
    assert (photo.width, photo.height) == upright.size
    assert np.abs(photo.pixels.astype(int) - expected(upright)).mean() < 4


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P"])
def test_lossless_formats_keep_their_pixels(picture: Image.Image, format: str, mode: str) -> None:  # noqa: A002
    # A GIF has 256 colours: what it keeps is the palette image that is made on saving.
    image = picture.convert("P" if (format, mode) == ("GIF", "RGB") else mode)
    assert difference(image.convert("L") if mode == "1" else image, encode(image, format)) <= 2


def test_cmyk_jpeg_looks_like_its_rgb(picture: Image.Image) -> None:
    assert difference(picture, encode(picture.convert("CMYK"), "JPEG", quality=95)) < 30


def test_sixteen_bit_grey_is_scaled_not_clipped(picture: Image.Image) -> None:
    grey = picture.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    for format in ("PNG", "TIFF"):  # noqa: A001
        assert difference(grey, encode(deep, format)) <= 2


def test_float_and_32_bit_greys_are_stretched_to_black_and_white(picture: Image.Image) -> None:
    grey = ImageOps.autocontrast(picture.convert("L"))
    for deep in (np.asarray(grey).astype(np.float32) / 255, np.asarray(grey).astype(np.int32) * 1000):
        assert difference(grey, encode(Image.fromarray(deep), "TIFF")) <= 3


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (40, 40), (200, 0, 0, 0))
    assert (decode(encode(clear, "PNG"), SIZE).pixels == 255).all()
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([200, 0, 0] + [0] * 765)
    assert (decode(encode(palette, "PNG", transparency=0), SIZE).pixels == 255).all()
    grey = Image.new("L", (40, 40), 7)
    assert (decode(encode(grey, "PNG", transparency=7), SIZE).pixels == 255).all()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(picture: Image.Image, format: str) -> None:  # noqa: A002
    second = Image.new("RGB", picture.size, "white")
    data = encode(picture, format, save_all=True, append_images=[second], lossless=True)
    assert np.abs(decode(data, SIZE).pixels.astype(int) - expected(picture)).mean() < 6


@pytest.mark.parametrize("size", [(1, 1), (10, 3000), (3000, 10), (1, 5000)])
def test_odd_sizes_work(size: tuple[int, int]) -> None:
    photo = decode(encode(Image.new("RGB", size, (10, 20, 30)), "PNG"), SIZE)
    assert photo.pixels.shape == (SIZE, SIZE, 3)
    assert (photo.pixels == (10, 20, 30)).all()


def test_a_large_jpeg_gives_nearly_the_pixels_of_a_full_decode(picture: Image.Image) -> None:
    large = picture.resize((2400, 1600), Image.Resampling.BICUBIC)
    assert difference(large, encode(large, "JPEG", quality=92)) <= 8


def test_garbage_exif_does_not_spoil_a_good_photo(picture: Image.Image) -> None:
    for exif in (b"Exif\x00\x00garbage", b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"Exif\x00\x00" + bytes(50)):
        assert decode(encode(picture, "JPEG", exif=exif), SIZE).pixels.shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_truncated_file_is_refused_with_a_sentence(picture: Image.Image, format: str) -> None:  # noqa: A002
    data = encode(picture, format)
    with pytest.raises(ImageError, match="damaged or cut off") as caught:
        decode(data[: len(data) // 2], SIZE)
    assert caught.value.status == 400


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )


def test_a_pixel_bomb_is_refused_by_its_header(picture: Image.Image) -> None:
    idat = b"IDAT" + zlib.compress(b"")
    bomb = (
        png_header(50_000, 50_000)
        + struct.pack(">I", len(idat) - 4)
        + idat
        + struct.pack(">I", zlib.crc32(idat))
    )
    with pytest.raises(ImageError, match="million") as caught:
        decode(bomb, SIZE)
    assert caught.value.status == 413
    with pytest.raises(ImageError, match="12,000 x 12,000") as caught:
        decode(encode(Image.new("1", (12_000, 12_000)), "PNG"), SIZE)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello", "no image"),
        (b"\xff\xd8\xff", "JPEG file is damaged"),
        (b"%PDF-1.7\n", "PDF is not read"),
        (b'<?xml version="1.0"?><svg/>', "SVG is not read"),
        (b"<!DOCTYPE html><html>", "HTML is not read"),
        (b"8BPS\x00\x01", "PSD is not read"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isommp42", "MP4 video is not read"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000 is not read"),
    ],
)
def test_what_is_not_read_is_refused_by_name(data: bytes, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        decode(data, SIZE)


def test_a_format_off_the_list_never_reaches_its_decoder(picture: Image.Image) -> None:
    for format in ("ICO", "PPM", "TGA", "PCX", "SGI", "JPEG2000", "EPS", "PDF"):  # noqa: A001
        with pytest.raises(ImageError, match="Send a photo as JPEG"):
            decode(encode(picture, format), SIZE)


def test_the_size_reported_is_the_photos_own(picture: Image.Image) -> None:
    large = picture.resize((2400, 1600))
    photo = decode(encode(large, "JPEG"), SIZE)
    assert (photo.width, photo.height, photo.format) == (2400, 1600, "JPEG")
    assert photo.decode_ms > 0
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP")
    assert decode(buffer.getvalue(), SIZE).format == "WebP"


# --- valid, or as good as: what browsers and phones show is read


def png_with(image: Image.Image, *chunks: bytes, behind: bool = False) -> bytes:
    data = encode(image, "PNG")
    at = len(data) - 12 if behind else 33
    return data[:at] + b"".join(chunks) + data[at:]


LONG = b"long " * 400_000
NOTES = {
    "compressed text": png_chunk(b"zTXt", b"note\0\0" + zlib.compress(LONG)),
    "compressed international text": png_chunk(b"iTXt", b"note\0\1\0\0\0" + zlib.compress(LONG)),
    "plain text": png_chunk(b"tEXt", b"note\0" + LONG),
    "XMP": png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(LONG)),
    "EXIF as text": png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(LONG)),
    "a colour profile": png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(LONG)),
    "a broken colour profile": png_chunk(b"iCCP", b""),
    "seventy texts of a megabyte": png_chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(1_000_000))) * 70,
    "a text with a wrong checksum": png_chunk(b"tEXt", b"a\0b")[:-1] + b"?",
    "XMP with a wrong checksum": png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>")[:-1] + b"?",
    "a resolution too short": png_chunk(b"pHYs", b"\0"),
    "a gamma too short": png_chunk(b"gAMA", b"\0"),
    "primaries too short": png_chunk(b"cHRM", b"\0"),
    "an animation too short": png_chunk(b"acTL", b"\0") + png_chunk(b"fcTL", b"\0"),
}


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_notes_in_a_png_do_not_spoil_its_picture(picture: Image.Image, note: bytes, behind: bool) -> None:
    assert difference(picture, png_with(picture, note, behind=behind)) <= 2


def test_a_png_that_says_in_its_texts_how_to_turn_it_is_still_turned(picture: Image.Image) -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
    upright = picture.transpose(Image.Transpose.ROTATE_90)
    for body in (b"\0\0\0\0" + xmp, b"\1\0\0\0" + zlib.compress(xmp)):
        text = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0" + body)
        many = png_chunk(b"tEXt", b"a\0b") * 100
        assert difference(upright, png_with(picture, many, text, NOTES["compressed text"])) <= 2


def test_a_png_cut_off_in_its_pixels_is_still_refused(picture: Image.Image) -> None:
    data = png_with(picture, NOTES["compressed text"])
    with pytest.raises(ImageError, match="damaged or cut off"):
        decode(data[: len(data) - len(encode(picture, "PNG")) // 2], SIZE)


JPEGS = {
    "plain": {},
    "progressive": {"progressive": True},
    "with restart markers": {"restart_marker_blocks": 4},
    "with one restart": {"restart_marker_rows": 3},
    "optimized": {"optimize": True},
    "not subsampled": {"subsampling": 0},
}


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
@pytest.mark.parametrize("fill", [b"", bytes(700), b"\0"])
@pytest.mark.parametrize("lacks", [1, 2, 3])
def test_a_jpeg_that_lacks_only_its_end_is_read(
    cat: Image.Image, options: dict[str, Any], lacks: int, fill: bytes
) -> None:
    whole = encode(cat, "JPEG", quality=92, **options)
    expected, photo = decode(whole, SIZE), decode(whole[:-lacks] + fill, SIZE)
    assert (photo.width, photo.height, photo.format) == (expected.width, expected.height, "JPEG")
    differing = (photo.pixels != expected.pixels).any(axis=-1).mean()
    assert differing == 0 if lacks <= 2 else differing < 0.01


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
@pytest.mark.parametrize("fill", [b"", bytes(50_000)])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.95])
def test_a_jpeg_that_lacks_part_of_its_picture_is_refused(
    cat: Image.Image, options: dict[str, Any], share: float, fill: bytes
) -> None:
    whole = encode(cat, "JPEG", quality=92, **options)
    with pytest.raises(ImageError, match="damaged or cut off"):
        decode(whole[: int(len(whole) * share)] + fill, SIZE)


def test_a_jpeg_without_its_end_is_turned_as_its_exif_says(cat: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = encode(cat, "JPEG", exif=exif)
    photo = decode(whole[:-2], SIZE)
    assert (photo.pixels == decode(whole, SIZE).pixels).all()
    assert (photo.width, photo.height) == cat.size[::-1]


def test_a_webp_that_lacks_its_padding_is_read(picture: Image.Image) -> None:
    padded = next(
        data for quality in range(60, 100) if (data := encode(picture, "WEBP", quality=quality))[-1] == 0
    )
    assert (decode(padded[:-1], SIZE).pixels == decode(padded, SIZE).pixels).all()
