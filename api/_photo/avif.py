"""How many pixels the pictures coded inside an AVIF file really have.

The container states a size (`ispe`), the AV1 stream in it states another, and decoders believe the stream: a file of
3 KB that claims 64 x 64 pixels makes libavif decode 268 million and only then scale them down. So the stream's own
headers are read here before any decoder runs (av1.py). Pillow offers no limit of its own to pass on.

Layout: ISO/IEC 14496-12 (boxes), 23008-12 (items), AV1 Bitstream & Decoding Process Specification 5.3.
"""

import struct
from collections.abc import Iterator

from api._photo import av1
from api._photo.boxes import MAX_ITEMS, boxes, item_kinds, item_locations

# An image item holds a handful of units.
MAX_UNITS = 5_000

_SEQUENCE_HEADER = 1
_FRAMES = (3, 6, 7)  # a header alone, with the frame behind it, and the same header again
_ROAD_TO_SAMPLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def coded_pixels(data: bytes) -> int | None:
    """Pixels of the largest picture that a decoder of this file would make.

    Returns:
        The number, 0 when no AV1 stream is found (then nothing can be decoded), or None when the file has so many parts
        that they are not worth reading.

    Raises:
        struct.error, IndexError: cut off within a box.
    """
    largest, units, room = 0, 0, 2 * len(data)
    for number, (kind, payload) in enumerate(_payloads(data)):
        room -= len(payload)
        if number == MAX_ITEMS or room < 0:
            return None
        if kind == b"grid":
            largest = max(largest, _grid_pixels(payload))
            continue
        sequence = None
        for unit, body in _units(payload):
            units += 1
            if units > MAX_UNITS:
                return None
            if unit == _SEQUENCE_HEADER:
                sequence = av1.read_sequence(body)
                largest = max(largest, sequence.pixels)
            elif unit in _FRAMES and sequence is not None:
                largest = max(largest, av1.frame_pixels(sequence, body))
    return largest


def _payloads(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(item type, content) of every coded image and grid; of a sequence the first sample of each track."""
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"meta":
            yield from _items(data, start + 4, end)
        elif kind == b"moov":
            yield from _first_samples(data, start, end)


def _items(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    parts_of = {kind: (first, last) for kind, first, last in boxes(data, start, end)}
    if b"iloc" not in parts_of or b"iinf" not in parts_of:
        return
    kinds = dict(item_kinds(data, *parts_of[b"iinf"]))
    inside = parts_of.get(b"idat", (0, 0))[0]
    for item, parts in item_locations(data, parts_of[b"iloc"][0], inside):
        if kinds.get(item) in (b"av01", b"grid"):
            yield kinds[item], b"".join(parts)


def _first_samples(data: bytes, start: int, end: int, depth: int = 1) -> Iterator[tuple[bytes, bytes]]:
    if depth < len(_ROAD_TO_SAMPLES):
        for kind, first, last in boxes(data, start, end):
            if kind == _ROAD_TO_SAMPLES[depth]:
                yield from _first_samples(data, first, last, depth + 1)
        return
    tables = {kind: first for kind, first, _ in boxes(data, start, end)}
    if b"stsz" not in tables or not {b"stco", b"co64"} & set(tables):
        return
    each, _, first_size = struct.unpack_from(">III", data, tables[b"stsz"] + 4)
    form, at = (">Q", tables[b"co64"]) if b"co64" in tables else (">I", tables[b"stco"])
    (offset,) = struct.unpack_from(form, data, at + 8)
    yield b"av01", data[offset : offset + (each or first_size)]


def _grid_pixels(payload: bytes) -> int:
    width, height = struct.unpack_from(">II" if payload[1] & 1 else ">HH", payload, 4)
    return int(width * height)


def _units(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, content) of each open bitstream unit."""
    at = 0
    while at < len(payload):
        head = payload[at]
        at += 2 if head & 4 else 1
        size = len(payload) - at
        if head & 2:
            size = 0
            for place in range(8):
                byte = payload[at]
                at += 1
                size |= (byte & 127) << 7 * place
                if byte < 128:
                    break
        yield head >> 3 & 15, payload[at : at + min(size, 256)]
        at += size
