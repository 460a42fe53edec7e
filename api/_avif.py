"""How many pixels the pictures coded inside an AVIF file really have.

The container states a size (`ispe`), the AV1 stream in it states another, and decoders believe the stream: a file of
3 KB that claims 64 x 64 pixels makes libavif decode 268 million and only then scale them down. So the stream's own
headers are read here before any decoder runs. Pillow offers no limit of its own to pass on.

Layout: ISO/IEC 14496-12 (boxes), 23008-12 (items), AV1 Bitstream & Decoding Process Specification 5.3 and 5.5.
"""

import struct
from collections.abc import Callable, Iterator

# An image item holds a handful of units, a grid a few hundred items.
MAX_UNITS = 5_000
MAX_ITEMS = 1_000

_SEQUENCE_HEADER = 1
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
        for unit, body in _units(payload):
            units += 1
            if units > MAX_UNITS:
                return None
            if unit == _SEQUENCE_HEADER:
                largest = max(largest, _sequence_pixels(body))
    return largest


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, first byte of the content, byte after it) of each box."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", data, start + 8), 16
        stop = end if size == 0 else min(end, start + size)
        if stop < start + head:
            return
        yield kind, start + head, stop
        start = stop


def _payloads(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(item type, content) of every coded image and grid; of a sequence the first sample of each track."""
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind == b"meta":
            yield from _items(data, start + 4, end)
        elif kind == b"moov":
            yield from _first_samples(data, start, end)


def _items(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    boxes = {kind: (first, last) for kind, first, last in _boxes(data, start, end)}
    if b"iloc" not in boxes or b"iinf" not in boxes:
        return
    kinds = dict(_item_kinds(data, *boxes[b"iinf"]))
    inside = boxes.get(b"idat", (0, 0))[0]
    for item, parts in _locations(data, boxes[b"iloc"][0], inside):
        if kinds.get(item) in (b"av01", b"grid"):
            yield kinds[item], b"".join(parts)


def _item_kinds(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    first = start + (6 if data[start] == 0 else 8)
    for kind, at, _ in _boxes(data, first, end):
        if kind == b"infe":
            item, _, name = struct.unpack_from(">HH4s" if data[at] < 3 else ">IH4s", data, at + 4)
            yield item, name


def _locations(data: bytes, at: int, inside: int) -> Iterator[tuple[int, list[bytes]]]:
    """(item, its pieces), as the box `iloc` lists them."""
    version, sizes = data[at], struct.unpack_from(">H", data, at + 4)[0]
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version in (1, 2) else 0
    wide = 4 if version == 2 else 2
    at += 6

    def take(count: int) -> int:
        nonlocal at
        value = int.from_bytes(data[at : at + count], "big")
        at += count
        if at > len(data):
            raise IndexError("the box iloc is cut off")
        return value

    for _ in range(take(wide)):
        item = take(wide)
        method = take(2) & 15 if version in (1, 2) else 0
        take(2)
        base = take(base_size) + (inside if method == 1 else 0)
        parts = []
        for _ in range(take(2)):
            take(index_size)
            offset, length = base + take(offset_size), take(length_size)
            parts.append(data[offset : offset + length] if length else data[offset:])
            if len(parts) > MAX_ITEMS:
                raise IndexError("an item in too many pieces")
        yield item, parts


def _first_samples(data: bytes, start: int, end: int, depth: int = 1) -> Iterator[tuple[bytes, bytes]]:
    if depth < len(_ROAD_TO_SAMPLES):
        for kind, first, last in _boxes(data, start, end):
            if kind == _ROAD_TO_SAMPLES[depth]:
                yield from _first_samples(data, first, last, depth + 1)
        return
    boxes = {kind: first for kind, first, _ in _boxes(data, start, end)}
    if b"stsz" not in boxes or not {b"stco", b"co64"} & set(boxes):
        return
    each, _, first_size = struct.unpack_from(">III", data, boxes[b"stsz"] + 4)
    form, at = (">Q", boxes[b"co64"]) if b"co64" in boxes else (">I", boxes[b"stco"])
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


def _sequence_pixels(body: bytes) -> int:
    """The greatest frame of a sequence header, `max_frame_width_minus_1` and its like."""
    stream = int.from_bytes(body, "big")
    left = 8 * len(body)

    def bits(count: int) -> int:
        nonlocal left
        left -= count
        if left < 0:
            raise IndexError("the sequence header is cut off")
        return stream >> left & (1 << count) - 1

    bits(4)  # profile, still picture
    if bits(1):  # reduced still picture header
        bits(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits(4) + 1, bits(4) + 1
    return (bits(width_bits) + 1) * (bits(height_bits) + 1)


def _skip_operating_points(bits: Callable[[int], int]) -> None:
    delay_bits = 0
    if bits(1):  # timing info
        bits(64)
        if bits(1):  # equal picture interval, as an Exp-Golomb number
            zeros = 0
            while not bits(1):
                zeros += 1
            bits(zeros)
        if bits(1):  # decoder model
            delay_bits = bits(5) + 1
            bits(42)
    has_display_delay = bits(1)
    for _ in range(bits(5) + 1):
        bits(12)
        if bits(5) > 7:
            bits(1)
        if delay_bits and bits(1):
            bits(2 * delay_bits + 1)
        if has_display_delay and bits(1):
            bits(4)
