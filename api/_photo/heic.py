"""HEIC, the photos of iPhones: what a file will cost to decode, and its decoder.

As in an AVIF, decoders believe the video stream and not the container around it, and a file may ask for far more than
one picture: a thousand tiles, slices that paint the same pixels again and again, a second picture for transparency. So
what the decoder would do is added up here first, and a file that is not built as cameras build theirs is refused.

The decoder is pi-heif, a package that need not be installed. It is imported for the first HEIC that passes, this module
for the first that comes.

Layout: ISO/IEC 14496-12 (boxes), 23008-12 (items), 14496-15 (hvcC), ITU-T H.265 7.3.1 to 7.3.2 (HEVC).
"""

import importlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image

from api._photo.boxes import MAX_ITEMS, boxes, item_kinds, item_locations

# Units of the video stream in all of a file. A photo of 48 megapixels has some hundred tiles, of one unit each.
MAX_UNITS = 5_000
# Tiles reach over the picture's edge, and a picture may have another one for its transparency: so much more is decoded
# than is seen. A picture in several slices may be painted as many times.
DECODED_SHARE = 1.25
PAINTED_SHARE = 2

_SEQUENCE_PARAMETERS = 33
_PICTURE_DATA = range(32)
_ALPHA = (b"auxid:1", b"alpha")


@dataclass(frozen=True)
class Cost:
    """What decoding takes.

    Attributes:
        shown: pixels of the picture.
        decoded: pixels of all that is decoded for it.
        painted: the same, each as many times as slices may paint it.
    """

    shown: int
    decoded: int
    painted: int


def cost(data: bytes) -> Cost:
    """What decoding the file's first picture takes.

    Raises:
        struct.error, IndexError, KeyError: it is cut off, or not built as cameras build theirs.
    """
    return _Items(data).cost()


class _Items:
    """The items of a file, and what is said of them."""

    def __init__(self, data: bytes) -> None:
        (meta,) = _only(data, 0, len(data), (b"meta",))
        parts = dict(
            zip(_META, _only(data, meta[0] + 4, meta[1], _META, may_lack=(b"iref", b"idat")), strict=True)
        )
        first = parts[b"pitm"][0]
        (self.primary,) = struct.unpack_from(">H" if data[first] == 0 else ">I", data, first + 4)
        self.kinds = dict(_few(item_kinds(data, *parts[b"iinf"])))
        inside = parts[b"idat"][0]
        locations = _few(item_locations(data, parts[b"iloc"][0], inside))
        self.payloads = {item: b"".join(pieces) for item, pieces in locations}
        self.references: list[tuple[bytes, int, list[int]]] = list(_few(_references(data, *parts[b"iref"])))
        ((first, last), (links, _)) = _only(data, *parts[b"iprp"], (b"ipco", b"ipma"))
        every = [(kind, data[start:end]) for kind, start, end in _few(boxes(data, first, last))]
        self.properties = {
            item: [every[i] for i in which] for item, which in _few(_links(data, links, len(every)))
        }
        self._check_copies(len(data))
        self.units = 0

    def cost(self) -> Cost:
        """The cost of the primary item."""
        shown, decoded, painted = self._cost(self.primary)
        for kind, source, targets in self.references:
            if kind == b"auxl" and self.primary in targets and self._is_alpha(source):
                _, more, again = self._cost(source)
                decoded, painted = decoded + more, painted + again
        return Cost(shown, decoded, painted)

    def _cost(self, item: int) -> tuple[int, int, int]:
        if self.kinds[item] == b"hvc1":
            return self._coded(item)
        if self.kinds[item] == b"iden":
            return self._coded(self._derived_from(item)[0])
        if self.kinds[item] != b"grid":
            raise IndexError("no picture in HEVC")
        payload = self.payloads[item]
        width, height = struct.unpack_from(">II" if payload[1] & 1 else ">HH", payload, 4)
        # The same tile may stand in many places, and is decoded for each.
        tiles = {tile: self._coded(tile) for tile in set(self._derived_from(item))}
        costs = [tiles[tile] for tile in self._derived_from(item)]
        return width * height, sum(cost[1] for cost in costs), sum(cost[2] for cost in costs)

    def _derived_from(self, item: int) -> list[int]:
        ((_, _, targets),) = [entry for entry in self.references if entry[0] == b"dimg" and entry[1] == item]
        return targets

    def _is_alpha(self, item: int) -> bool:
        return any(
            kind == b"auxC" and any(word in body for word in _ALPHA) for kind, body in self.properties[item]
        )

    def _coded(self, item: int) -> tuple[int, int, int]:
        """Pixels of a coded picture, as its own stream says them: shown, decoded, painted."""
        if self.kinds[item] != b"hvc1":
            raise IndexError("a tile that is no picture in HEVC")
        properties = self.properties[item]
        ((width, height),) = [
            struct.unpack_from(">II", body, 4) for kind, body in properties if kind == b"ispe"
        ]
        ((_, header),) = [entry for entry in properties if entry[0] == b"hvcC"]
        pixels = pictures = slices = 0
        for unit in [*_header_units(header), *_stream_units(self.payloads[item])]:
            self.units += 1
            if self.units > MAX_UNITS:
                raise IndexError("too many units")
            kind, layer = unit[0] >> 1 & 63, (unit[0] & 1) << 5 | unit[1] >> 3
            if layer:
                continue  # the other eye of a spatial photo, which is not decoded
            if kind == _SEQUENCE_PARAMETERS:
                pixels = max(pixels, _sequence_pixels(unit))
            if kind in _PICTURE_DATA:
                slices += 1
                pictures += unit[2] >> 7  # the first slice of a picture
        if pictures != 1 or not pixels:
            raise IndexError("not one picture in an item")
        pixels = max(pixels, width * height)
        return width * height, pixels, pixels * slices

    def _check_copies(self, size: int) -> None:
        # Notes and colour profiles are copied for each picture that shares them.
        notes = sum(
            len(self.payloads.get(source, b"")) * len(targets)
            for kind, source, targets in self.references
            if kind == b"cdsc"
        )
        shared = sum(len(body) for properties in self.properties.values() for _, body in properties)
        if notes + shared > 4 * size + 100_000:
            raise IndexError("notes shared by too many pictures")


_META = (b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat")


def _few(entries: Iterator[Any]) -> Iterator[Any]:
    for number, entry in enumerate(entries):
        if number == 2 * MAX_ITEMS:
            raise IndexError("too many entries")
        yield entry


def _only(
    data: bytes, start: int, end: int, kinds: tuple[bytes, ...], may_lack: tuple[bytes, ...] = ()
) -> list[tuple[int, int]]:
    """Where the content of the one box of each kind lies: of several, decoders differ on which one counts."""
    found: dict[bytes, tuple[int, int]] = dict.fromkeys(may_lack, (0, 0))
    for kind, first, last in _few(boxes(data, start, end)):
        if kind in kinds and found.get(kind, (0, 0)) != (0, 0):
            raise IndexError("a box stands there twice")
        found[kind] = first, last
    return [found[kind] for kind in kinds]


def _references(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, list[int]]]:
    """(type, from which item, to which items)"""
    if not end:
        return
    letter = ">H" if data[start] == 0 else ">I"
    size = struct.calcsize(letter)
    for kind, at, last in boxes(data, start + 4, end):
        (source,) = struct.unpack_from(letter, data, at)
        (count,) = struct.unpack_from(">H", data, at + size)
        if count > MAX_ITEMS or at + 2 + size * (count + 1) > last:
            raise IndexError("too many references")
        yield kind, source, list(struct.unpack_from(f">{count}{letter[1]}", data, at + size + 2))


def _links(data: bytes, at: int, count: int) -> Iterator[tuple[int, list[int]]]:
    """(item, its properties, counted from 0), as the box `ipma` lists them."""
    version, wide = data[at], data[at + 3] & 1
    (entries,) = struct.unpack_from(">I", data, at + 4)
    at += 8
    for _ in range(entries):
        (item,) = struct.unpack_from(">I" if version else ">H", data, at)
        at += 4 if version else 2
        number, at = data[at], at + 1
        indexes = struct.unpack_from(f">{number}{'H' if wide else 'B'}", data, at)
        at += number * (2 if wide else 1)
        which = [(index & (0x7FFF if wide else 0x7F)) - 1 for index in indexes]
        if any(index >= count for index in which):
            raise IndexError("a property that is not there")
        yield item, [index for index in which if index >= 0]


def _header_units(header: bytes) -> Iterator[bytes]:
    """The units in the box `hvcC`, which the decoder gets first."""
    if header[21] & 3 != 3:
        raise IndexError("lengths of a size that no camera writes")
    at = 23
    for _ in range(header[22]):
        (count,) = struct.unpack_from(">H", header, at + 1)
        at += 3
        for _ in range(count):
            (size,) = struct.unpack_from(">H", header, at)
            yield _unit(header, at + 2, size)
            at += 2 + size


def _stream_units(payload: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(payload):
        (size,) = struct.unpack_from(">I", payload, at)
        yield _unit(payload, at + 4, size)
        at += 4 + size


def _unit(data: bytes, at: int, size: int) -> bytes:
    """The head of a unit, which is all that is asked of it."""
    if size < 3 or at + size > len(data):
        raise IndexError("a unit is cut off")
    return data[at : at + min(size, 512)]


def _sequence_pixels(unit: bytes) -> int:
    """The size of the pictures of a sequence, `pic_width_in_luma_samples` and its like."""
    # Within a unit two zero bytes are followed by a three that means nothing, where they could pass for its end.
    body = unit[2:].replace(b"\0\0\3", b"\0\0")
    stream, left = int.from_bytes(body, "big"), 8 * len(body)

    def bits(count: int) -> int:
        nonlocal left
        left -= count
        if left < 0:
            raise IndexError("the sequence's parameters are cut off")
        return stream >> left & (1 << count) - 1

    bits(4)
    layers = bits(3)
    bits(1 + 88 + 8)  # nesting, profile, level
    if layers:
        present = [(bits(1), bits(1)) for _ in range(8)]
        for profile, level in present[:layers]:
            bits(88 * profile + 8 * level)
    _golomb(bits)
    if _golomb(bits) == 3:  # chroma
        bits(1)
    return _golomb(bits) * _golomb(bits)


def _golomb(bits: Callable[[int], int]) -> int:
    zeros = 0
    while not bits(1):
        zeros += 1
    return (1 << zeros) - 1 + bits(zeros)


def decode_heic(data: bytes) -> Image.Image:
    """Decodes the file's first picture, turned as the file says. Call `cost` first.

    Raises:
        ImportError: pi-heif cannot be imported just now, as without file descriptors.
        Exception: whatever its decoder finds wrong.
    """
    # Its own package would remember a failure; this one alone does not.
    importlib.import_module("_pi_heif")
    pi_heif = importlib.import_module("pi_heif")
    pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False
    pi_heif.options.DECODE_THREADS = 1  # photos are decoded side by side already
    file = pi_heif.open_heif(data, convert_hdr_to_8bit=True)
    picture = file[file.primary_index]
    pixels = picture.data
    # A copy: `frombuffer` would go on using the memory of a transparent picture, which its decoder takes back.
    image = Image.frombytes(picture.mode, picture.size, pixels, "raw", picture.mode, picture.stride, 1)
    return image.convert("RGBA") if image.mode == "RGBa" else image
