"""What a photo's headers say it will cost, read before any decoder runs.

A limit on pixels alone does not bound the work: a JPEG may walk over its pixels a hundred thousand times, a TIFF may
name a million strips, a tile may be larger than the picture. Each format with such a lever is checked here, by reading
no more than its headers. What passes may still be broken; that is for the decoder to find.

The numbers are set so that the worst file that passes takes under a second of one core (tests/hostile measures it).
"""

import re
import struct
from collections.abc import Iterator

from api._photo.avif import coded_pixels

# Of a JPEG, which is decoded at a fraction of its size.
DEFAULT_MAX_PIXELS = 40_000_000
# Only JPEG decodes at a fraction of its size. What has to be decoded whole takes up to 16 bytes a pixel (WebP), so
# fewer of them are read: 25 million where JPEG may have 40.
WHOLE_SHARE = 0.625
# JPEG. Every scan of a progressive file walks over the whole picture: encoders write about ten, optimizers under fifty.
MAX_SCANNED_PIXELS = 800_000_000
MAX_SCANS = 200
# Segments before the picture: a colour profile of 16 MB has 255, the rest of a photo's notes a few dozen.
MAX_JPEG_SEGMENTS = 1_000
# Bytes between segments that belong to none. Real files have a few.
MAX_JPEG_JUNK = 65_536
# PNG. A chunk for every 4 KB of pixels is usual.
MAX_PNG_CHUNKS = 50_000
# TIFF. One strip a row is legal, and so are small tiles.
MAX_TIFF_PIECES = 65_536
# BMP with run-length coding is unpacked by Python, not by C, one pixel at a time where it comes to the worst.
MAX_BMP_RUN_PIXELS = 4_000_000

_JPEG_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
# Within a scan 0xFF00 is a pixel byte and 0xFFD0-0xFFD7 are restarts: neither ends it.
_JPEG_AFTER_SCAN = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_JPEG_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_JPEG_START_OF_SCAN = 0xDA
_JPEG_END = 0xD9
_JPEG_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length behind them

_TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH = 322, 323
_TIFF_PIECES = (273, 324)  # offsets of strips, of tiles
_TIFF_READ = (_TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH)
# Types of whole numbers that libtiff takes for a size; all others have four bytes. It refuses a negative one itself.
_TIFF_WHOLE = {1: "B", 3: "H", 6: "B", 8: "H", 16: "Q", 17: "Q", 18: "Q"}


def excess(name: str, data: bytes, max_pixels: int) -> str | None:
    """Why decoding this file would cost too much, as the words after "The file has"; None if it would not.

    Args:
        name: the format that its first bytes say.
        max_pixels: the most that a tile of a TIFF or a picture coded in an AVIF or a HEIC may have.

    Raises:
        struct.error, IndexError, KeyError, ValueError: the parts of an AVIF or a HEIC cannot be told; its decoder must
            not try what was not checked.
    """
    if name == "AVIF":
        return _avif(data, max_pixels)
    if name == "HEIC":
        return _heic_excess(data, max_pixels)
    try:
        if name == "JPEG":
            return _jpeg(data)
        if name == "PNG":
            return _png(data)
        if name == "TIFF":
            return _tiff(data, max_pixels)
        if name == "BMP":
            return _bmp(data)
    except (struct.error, IndexError):
        return None  # cut off within a header: the decoder will say so
    return None


def _jpeg(data: bytes) -> str | None:
    segments = junk = pixels = planes = 0
    progressive = False
    at = 2
    while marker := _JPEG_MARKER.search(data, at):
        segments += 1
        junk += marker.end() - at - 2
        if segments > MAX_JPEG_SEGMENTS or junk > MAX_JPEG_JUNK:
            return "too many parts before its picture"
        kind, at = marker[1][0], marker.end()
        if kind in _JPEG_ALONE:
            continue
        if kind == _JPEG_END:
            return None
        if kind in _JPEG_START_OF_FRAME:
            height, width, planes = struct.unpack_from(">HHB", data, at + 3)
            pixels, progressive = width * height, kind in _JPEG_PROGRESSIVE
        if kind == _JPEG_START_OF_SCAN:
            # One scan with all planes is the whole picture; libjpeg reads no further.
            whole = not progressive and data[at + 2] >= planes
            return None if whole else _jpeg_scans(data, at, pixels)
        at += struct.unpack_from(">H", data, at)[0]
    return "too many parts before its picture" if len(data) - at > MAX_JPEG_JUNK else None


def _jpeg_scans(data: bytes, at: int, pixels: int) -> str | None:
    scans, ended = 1, False
    while marker := _JPEG_AFTER_SCAN.search(data, at):
        kind, at = marker[1][0], marker.end()
        if kind == _JPEG_END:
            ended = True
            break
        scans += kind == _JPEG_START_OF_SCAN
        if scans > MAX_SCANS or scans * pixels > MAX_SCANNED_PIXELS:
            return "too many scans"
    # One without an end is decoded twice (repair.py).
    return None if ended or 2 * scans * pixels <= MAX_SCANNED_PIXELS else "too many scans"


def jpeg_scan(data: bytes) -> tuple[int, bool] | None:
    """Where the pixels of the first picture's last scan begin, and whether an end marker follows them.

    None where there is no scan. Call `excess` first: it bounds the work.
    """
    at, start = 2, 0
    try:
        while marker := (_JPEG_AFTER_SCAN if start else _JPEG_MARKER).search(data, at):
            kind, at = marker[1][0], marker.end()
            if kind == _JPEG_END:
                return (start, True) if start else None
            if kind == _JPEG_START_OF_SCAN:
                start = at + struct.unpack_from(">H", data, at)[0]
            if kind not in _JPEG_ALONE:
                at += struct.unpack_from(">H", data, at)[0]
    except struct.error:
        return None  # cut off within a header
    return (start, False) if start else None


def _png(data: bytes) -> str | None:
    at = 8
    for _ in range(MAX_PNG_CHUNKS):
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at >= len(data):
            return None
    return "too many chunks"


def _bmp(data: bytes) -> str | None:
    header, width, height = struct.unpack_from("<Iii", data, 14)
    if header < 40:
        return None
    (compression,) = struct.unpack_from("<I", data, 30)
    if compression in (1, 2) and abs(width * height) > MAX_BMP_RUN_PIXELS:
        return f"more than {MAX_BMP_RUN_PIXELS // 1_000_000} million run-length coded pixels"
    return None


def _tiff(data: bytes, max_pixels: int) -> str | None:
    sides = {_TIFF_TILE_WIDTH: 0, _TIFF_TILE_LENGTH: 0}
    for tag, count, value in _tiff_entries(data):
        if tag in _TIFF_PIECES and count > MAX_TIFF_PIECES:
            return "too many strips or tiles"
        if tag in sides:
            # A tag may stand there twice, and readers differ on which one counts.
            sides[tag] = max(sides[tag], value)
    if sides[_TIFF_TILE_WIDTH] * sides[_TIFF_TILE_LENGTH] > max_pixels:
        return "too large tiles"
    return None


def _tiff_entries(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(tag, count, value) of the first directory's entries; the value only of those that count here, else 0."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] == b"+\0"
    offset, number, entry = ("Q", "Q", "HHQ") if big else ("I", "H", "HHI")
    (at,) = struct.unpack_from(order + offset, data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + number, data, at)
    at += struct.calcsize(order + number)
    room = 8 if big else 4
    for _ in range(min(entries, 65_535)):
        tag, kind, count = struct.unpack_from(order + entry, data, at)
        at += struct.calcsize(order + entry)
        letter = _TIFF_WHOLE.get(kind, "I")
        place = at
        if struct.calcsize(letter) > room:
            (place,) = struct.unpack_from(order + "I", data, at)
        (value,) = struct.unpack_from(order + letter, data, place) if tag in _TIFF_READ else (0,)
        at += room
        yield tag, count, value


def _avif(data: bytes, max_pixels: int) -> str | None:
    pixels = coded_pixels(data)
    if pixels is None:
        return "too many parts"
    if pixels == 0:
        raise IndexError("no AV1 stream in it")
    return f"pictures of over {max_pixels / 1e6:g} million pixels in it" if pixels > max_pixels else None


def _heic_excess(data: bytes, max_pixels: int) -> str | None:
    from api._photo import heic  # for the first HEIC only: a start need not pay for it

    cost = heic.cost(data)
    if (
        cost.shown > max_pixels
        or cost.decoded > heic.DECODED_SHARE * max_pixels
        or cost.painted > heic.PAINTED_SHARE * max_pixels
    ):
        return f"pictures of over {max_pixels / 1e6:g} million pixels in it"
    return None
