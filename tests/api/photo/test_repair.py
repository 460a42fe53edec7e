"""Repairs, byte by byte: what is taken out or added, and what is left for the decoder to judge."""

import struct
import zlib

import pytest

from api._photo import repair
from api._photo.repair import with_end, with_padding, without_notes
from tests.hostile.bombs import png_chunk

END = b"\xff\xd9"
HEAD = b"\xff\xd8" + b"\xff\xc0\x00\x0b" + bytes(9) + b"\xff\xda\x00\x08" + bytes(6)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP = b"XML:com.adobe.xmp\0"
RAW = b"Raw profile type exif\0"


def png(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks)


IHDR, IDAT, IEND = png_chunk(b"IHDR", bytes(13)), png_chunk(b"IDAT", b"pixels"), png_chunk(b"IEND", b"")


# --- JPEG


def test_a_whole_jpeg_needs_no_end() -> None:
    assert with_end(HEAD + b"pixels" + END) is None
    assert with_end(HEAD + b"pixels" + END + b"more") is None, "an end marker with something behind it is one"
    assert with_end(b"\xff\xd8\xff\xfe\x00\x02") is None, "without a scan there is nothing to end"


def test_a_jpeg_without_its_end_gets_one_and_a_second_version_repeats_its_scan() -> None:
    assert with_end(HEAD + b"pixels") == (HEAD + b"pixels" + END, HEAD + b"pixelspixels" + END)


def test_half_an_end_marker_is_replaced() -> None:
    assert with_end(HEAD + b"pixels\xff") == with_end(HEAD + b"pixels")
    assert with_end(HEAD + b"~~\xff") == (HEAD + b"~~" + END, HEAD + b"~~~~" + END)


@pytest.mark.parametrize("fill", [b"\0", bytes(700)])
def test_zeros_that_fill_up_the_file_are_taken_away(fill: bytes) -> None:
    assert with_end(HEAD + b"pixels" + fill) == with_end(HEAD + b"pixels")


def test_a_zero_that_belongs_to_a_pixel_stays() -> None:
    data = HEAD + b"pixels\xff\x00"
    assert with_end(data + bytes(9)) == (data + END, data + b"pixels\xff\x00" + END)


# --- WebP


def test_a_webp_gets_its_last_byte_only_where_that_alone_is_missing() -> None:
    def webp(promised: int, there: int) -> bytes:
        return (b"RIFF" + struct.pack("<I", promised - 8) + b"WEBP").ljust(there, b"x")

    assert with_padding(webp(40, 39)) == webp(40, 39) + b"\0"
    for promised, there in ((40, 40), (40, 38), (40, 41), (41, 40)):
        assert with_padding(webp(promised, there)) == webp(promised, there)


# --- PNG


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"gAMA", b"acTL", b"pHYs"])
def test_what_no_pixel_depends_on_is_taken_out(kind: bytes) -> None:
    assert without_notes(png(IHDR, png_chunk(kind, b"a\0b"), IDAT, IEND)) == png(IHDR, IDAT, IEND)


@pytest.mark.parametrize("kind", [b"PLTE", b"tRNS", b"eXIf", b"ABCD", b"CgBI"])
def test_what_pixels_depend_on_or_no_decoder_may_skip_stays(kind: bytes) -> None:
    whole = png(IHDR, png_chunk(kind, b"abc"), IDAT, IEND)
    assert without_notes(whole) == whole


def texts(body: bytes) -> dict[bytes, bytes]:
    """The three kinds of text that may say how to turn the picture, with this in them."""
    return {
        b"tEXt": RAW + body,
        b"zTXt": RAW + b"\0" + zlib.compress(body),
        b"iTXt": XMP + b"\1\0en\0translated\0" + zlib.compress(body),
    }


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_a_text_that_may_say_how_to_turn_stays_up_to_a_megabyte(kind: bytes) -> None:
    for size, stays in ((10, True), (repair.MAX_TEXT_BYTES, True), (repair.MAX_TEXT_BYTES + 1, False)):
        whole = png(IHDR, png_chunk(kind, texts(bytes(size))[kind]), IDAT)
        assert (without_notes(whole) == whole) is stays, size


def test_a_plain_international_text_is_measured_as_it_stands() -> None:
    for size, stays in ((repair.MAX_TEXT_BYTES, True), (repair.MAX_TEXT_BYTES + 1, False)):
        whole = png(IHDR, png_chunk(b"iTXt", XMP + bytes(size)))
        assert (without_notes(whole) == whole) is stays


def test_a_text_that_does_not_unpack_or_has_a_wrong_checksum_is_taken_out() -> None:
    broken = png_chunk(b"zTXt", RAW + b"\0no zlib")
    wrong = png_chunk(b"tEXt", RAW + b"x")[:-1] + b"?"
    assert without_notes(png(IHDR, broken, wrong, IDAT)) == png(IHDR, IDAT)


def test_of_many_such_texts_two_stay() -> None:
    one = png_chunk(b"tEXt", RAW + b"x")
    assert without_notes(png(IHDR, one, one, one, IDAT)) == png(IHDR, one, one, IDAT)


@pytest.mark.parametrize("rest", [b"", b"\0\0\0\x05IDATabc", b"\0\0\0\0I", b"\0\0\0\0\1\2\3\4" + bytes(4)])
def test_from_where_parts_cannot_be_told_on_a_png_is_left_as_it_is(rest: bytes) -> None:
    assert without_notes(png(IHDR, png_chunk(b"tEXt", b"a\0b"), IDAT) + rest) == png(IHDR, IDAT) + rest
