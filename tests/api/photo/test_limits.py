"""Each limit on what a photo's headers may promise: what is exactly at it is read, one more is refused."""

import struct
from types import SimpleNamespace
from typing import Any

import pytest

from api._photo import heic, limits
from api._photo.limits import excess, jpeg_scan

MAX_PIXELS = 1_000_000
FRAMES = [kind for kind in range(0xC0, 0xD0) if kind not in (0xC4, 0xC8, 0xCC)]
PROGRESSIVE = [0xC2, 0xC6, 0xCA, 0xCE]
START, END = b"\xff\xd8", b"\xff\xd9"


def segment(kind: int, body: bytes = b"") -> bytes:
    return b"\xff" + bytes([kind]) + struct.pack(">H", 2 + len(body)) + body


def frame(kind: int, width: int, height: int, planes: int = 3) -> bytes:
    return segment(kind, b"\x08" + struct.pack(">HHB", height, width, planes) + bytes(3 * planes))


def scan(planes: int = 3) -> bytes:
    return segment(0xDA, bytes([planes]) + bytes(2 * planes + 3)) + b"pixels\xff\x00\xff\xd0\xff\xd7more"


def jpeg(*parts: bytes) -> str | None:
    return excess("JPEG", START + b"".join(parts), MAX_PIXELS)


# --- JPEG


def test_so_many_segments_stand_before_a_jpegs_picture_and_no_more() -> None:
    rest = frame(0xC0, 8, 8) + scan() + END
    assert jpeg(segment(0xFE) * (limits.MAX_JPEG_SEGMENTS - 2), rest) is None
    said = jpeg(segment(0xFE) * (limits.MAX_JPEG_SEGMENTS - 1), rest)
    assert said == "too many parts before its picture"


def test_so_many_bytes_between_segments_mean_nothing_and_no_more() -> None:
    rest = frame(0xC0, 8, 8) + scan() + END
    half = limits.MAX_JPEG_JUNK // 2
    assert jpeg(bytes(half), segment(0xFE), b"\xff" * half, rest) is None, "fill bytes count as well"
    assert jpeg(bytes(half), segment(0xFE), b"\xff" * (half + 1), rest) == "too many parts before its picture"
    assert jpeg(segment(0xFE), bytes(limits.MAX_JPEG_JUNK)) is None
    assert jpeg(segment(0xFE), bytes(limits.MAX_JPEG_JUNK + 1)) == "too many parts before its picture"


@pytest.mark.parametrize("kind", FRAMES)
def test_every_kind_of_frame_says_how_large_the_picture_is(kind: int) -> None:
    large = frame(kind, 65_000, 65_000)
    assert jpeg(large, scan(1) * 2, END) == "too many scans"
    # With all planes in one scan the picture is whole, unless it is progressive.
    assert jpeg(large, scan(3) * 2, END) == ("too many scans" if kind in PROGRESSIVE else None)


@pytest.mark.parametrize("kind", [0xC4, 0xC8, 0xCC, 0xDB, 0xE1, 0xFE])
def test_what_only_looks_like_a_frame_is_none(kind: int) -> None:
    assert jpeg(frame(0xC2, 8, 8), frame(kind, 65_000, 65_000), scan() * 2, END) is None


@pytest.mark.parametrize("alone", [b"\xff\x01", *(b"\xff" + bytes([kind]) for kind in range(0xD0, 0xD9))])
def test_a_marker_without_a_length_hides_nothing(alone: bytes) -> None:
    assert jpeg(alone, frame(0xC2, 65_000, 65_000), scan() * 2, END) == "too many scans"


def test_a_jpeg_that_ends_before_its_picture_is_left_to_the_decoder() -> None:
    large = frame(0xC2, 65_000, 65_000) + scan()
    assert jpeg(END, large) is None
    assert jpeg(END + b"\0\2", large, scan() * 2) is None
    assert jpeg(large[:6]) is None


def test_a_progressive_jpeg_has_so_many_scans_and_no_more() -> None:
    small = frame(0xC2, 8, 8)
    assert jpeg(small, scan() * limits.MAX_SCANS, END) is None
    assert jpeg(small, scan() * (limits.MAX_SCANS + 1), END) == "too many scans"
    assert jpeg(small, scan(1) + (segment(0xC4) + scan(1)) * (limits.MAX_SCANS - 1), END) is None


def test_all_scans_together_walk_over_so_many_pixels_and_no_more() -> None:
    large = frame(0xC2, 20_000, 4_000)  # a tenth of the limit
    assert limits.MAX_SCANNED_PIXELS == 10 * 20_000 * 4_000
    assert jpeg(large, scan() * 10, END) is None
    assert jpeg(large, scan() * 11, END) == "too many scans"
    # One without an end is decoded twice.
    assert jpeg(large, scan() * 5) is None
    assert jpeg(large, scan() * 6) == "too many scans"
    # What follows the end is not the picture.
    assert jpeg(large, scan() * 10, END, scan()) is None


def test_planes_in_scans_of_their_own_are_counted_like_a_progressive_files() -> None:
    large = frame(0xC0, 20_000, 4_000)
    assert jpeg(large, scan(1) * 10, END) is None
    assert jpeg(large, scan(1) * 11, END) == "too many scans"
    assert jpeg(large, scan(3) * 11, END) is None


def test_where_the_last_scan_of_a_jpeg_begins_and_whether_it_ends() -> None:
    head = START + segment(0xFE, b"a note") + frame(0xC2, 8, 8)
    first = len(head) + 14
    one = head + scan()
    assert jpeg_scan(one + END) == (first, True)
    assert jpeg_scan(one) == (first, False)
    assert jpeg_scan(one + segment(0xC4) + scan() + END) == (len(one) + 4 + 14, True)
    assert jpeg_scan(head) is None
    assert jpeg_scan(head + END + scan()) is None
    assert jpeg_scan(START + b"\xff\x01" + one[2:] + END) == (first + 2, True)
    assert jpeg_scan(one + b"\xff\xc4\x00") is None, "cut off within a header"


# --- PNG, BMP


def test_a_png_has_so_many_chunks_and_no_more() -> None:
    chunk = struct.pack(">I", 3) + b"tEXt" + b"a\0b" + bytes(4)
    for count, said in ((limits.MAX_PNG_CHUNKS, None), (limits.MAX_PNG_CHUNKS + 1, "too many chunks")):
        assert excess("PNG", b"\x89PNG\r\n\x1a\n" + chunk * count, MAX_PIXELS) == said


def bmp(width: int, height: int, compression: int, header: int = 40) -> str | None:
    data = bytes(14) + struct.pack("<IiiHHI", header, width, height, 1, 8, compression) + bytes(20)
    return excess("BMP", data, MAX_PIXELS)


@pytest.mark.parametrize("compression", [1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_run_length_coded_bmp_has_so_many_pixels_and_no_more(compression: int, sign: int) -> None:
    assert bmp(4_000, sign * 1_000, compression) is None
    assert bmp(4_001, sign * 1_000, compression) == "more than 4 million run-length coded pixels"
    assert bmp(4_001, sign * 1_000, compression, header=124) is not None


@pytest.mark.parametrize("compression", [0, 3])
def test_a_bmp_of_plain_pixels_is_bounded_by_its_size_alone(compression: int) -> None:
    assert bmp(9_000, 9_000, compression) is None


def test_the_old_header_of_a_bmp_has_no_compression() -> None:
    assert bmp(9_000, 9_000, 1, header=12) is None


# --- TIFF

WIDTH, LENGTH, STRIPS, TILES = 322, 323, 273, 324


def tiff(
    *entries: tuple[int, int, int, bytes], order: str = "<", big: bool = False, more: bytes = b""
) -> str | None:
    """A TIFF of these entries: tag, type, count, and what stands in the place of the value; `more` lies behind them."""
    name = b"II" if order == "<" else b"MM"
    room = 8 if big else 4
    directory = struct.pack(order + ("Q" if big else "H"), len(entries))
    for tag, kind, count, value in entries:
        directory += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, count) + value.ljust(
            room, b"\0"
        )
    head = struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 16) if big else (42, 8)))
    return excess("TIFF", name + head + directory + more, MAX_PIXELS)


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("tag", [STRIPS, TILES])
def test_a_tiff_has_so_many_strips_or_tiles_and_no_more(tag: int, order: str, big: bool) -> None:
    other = (256, 3, 10**6, b"")
    assert tiff(other, (tag, 4, limits.MAX_TIFF_PIECES, b""), order=order, big=big) is None
    said = tiff(other, (tag, 4, limits.MAX_TIFF_PIECES + 1, b""), order=order, big=big)
    assert said == "too many strips or tiles"


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize(("kind", "letter"), [(3, "H"), (4, "I"), (8, "H"), (9, "I"), (13, "I")])
def test_a_tile_is_no_larger_than_a_picture_may_be(kind: int, letter: str, order: str, big: bool) -> None:
    def tile(width: int, length: int) -> str | None:
        sides = ((tag, struct.pack(order + letter, side)) for tag, side in ((WIDTH, width), (LENGTH, length)))
        return tiff(*((tag, kind, 1, side) for tag, side in sides), order=order, big=big)

    assert tile(1_000, 1_000) is None
    assert tile(1_001, 1_000) == "too large tiles"
    assert tile(1_000, 1_001) == "too large tiles"


def test_of_a_side_that_stands_there_twice_the_larger_counts() -> None:
    small, large = struct.pack("<I", 16), struct.pack("<I", 70_000)
    for first, second in ((small, large), (large, small)):
        assert tiff((WIDTH, 4, 1, first), (LENGTH, 4, 1, large), (WIDTH, 4, 1, second)) == "too large tiles"


def test_sides_of_a_byte_are_read_as_bytes() -> None:
    for kind in (1, 6):
        assert tiff((WIDTH, kind, 1, b"\x10\xff\xff"), (LENGTH, 4, 1, struct.pack("<I", 60_000))) is None


@pytest.mark.parametrize("kind", [16, 17, 18])
def test_a_side_of_eight_bytes_lies_elsewhere_in_a_small_tiff_and_in_place_in_a_big_one(kind: int) -> None:
    length = (LENGTH, 4, 1, struct.pack("<I", 1_000))
    at = struct.pack("<I", 8 + 2 + 2 * 12)
    for side, said in ((1_000, None), (1_001, "too large tiles")):
        value = struct.pack("<Q", side)
        assert tiff((WIDTH, kind, 1, at), length, more=value) == said
        assert tiff((WIDTH, kind, 1, value), length, big=True) == said


def test_a_tiff_cut_off_in_its_directory_is_left_to_the_decoder() -> None:
    assert excess("TIFF", b"II*\0\x08\0\0\0\x05\0", MAX_PIXELS) is None
    assert excess("TIFF", b"II*\0", MAX_PIXELS) is None


# --- AVIF, HEIC: the pixels that are coded, which their own modules count


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (MAX_PIXELS, None),
        (MAX_PIXELS + 1, "pictures of over 1 million pixels in it"),
        (None, "too many parts"),
    ],
)
def test_the_pictures_in_an_avif_have_so_many_pixels(
    monkeypatch: pytest.MonkeyPatch, pixels: int | None, said: str | None
) -> None:
    monkeypatch.setattr(limits, "coded_pixels", lambda data: pixels)
    assert excess("AVIF", b"", MAX_PIXELS) == said


def test_an_avif_in_which_no_picture_is_found_is_not_given_to_its_decoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "coded_pixels", lambda data: 0)
    with pytest.raises(IndexError):
        excess("AVIF", b"", MAX_PIXELS)


@pytest.mark.parametrize("lever", ["shown", "decoded", "painted"])
def test_what_a_heic_costs_is_bounded_in_three_ways(monkeypatch: pytest.MonkeyPatch, lever: str) -> None:
    shares = {"shown": 1, "decoded": heic.DECODED_SHARE, "painted": heic.PAINTED_SHARE}
    at_most: dict[str, Any] = {name: int(share * MAX_PIXELS) for name, share in shares.items()}
    monkeypatch.setattr(heic, "cost", lambda data: SimpleNamespace(**at_most))
    assert excess("HEIC", b"", MAX_PIXELS) is None
    at_most[lever] += 1
    assert excess("HEIC", b"", MAX_PIXELS) == "pictures of over 1 million pixels in it"


@pytest.mark.parametrize("name", ["GIF", "WebP"])
def test_formats_without_such_a_lever_are_not_looked_into(name: str) -> None:
    assert excess(name, b"\xff" * 100, MAX_PIXELS) is None
