"""The container that AVIF and HEIC share: boxes, and the items that they hold.

Layout: ISO/IEC 14496-12 (boxes), 23008-12 (items).
"""

import struct
from collections.abc import Iterator

# A grid has a few hundred items.
MAX_ITEMS = 1_000


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, offset of the content, offset of its end) of each box."""
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


def item_kinds(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """(item id, item type) of each entry of the box `iinf`."""
    first = start + (6 if data[start] == 0 else 8)
    for kind, at, _ in boxes(data, first, end):
        if kind == b"infe":
            item, _, name = struct.unpack_from(">HH4s" if data[at] < 3 else ">IH4s", data, at + 4)
            yield item, name


def item_locations(data: bytes, at: int, inside: int) -> Iterator[tuple[int, list[bytes]]]:
    """(item id, extents of its data) of each entry of the box `iloc`.

    Raises:
        IndexError: the box is cut off, or its pieces are many, or together twice as large as the file they lie in.
    """
    room = 2 * len(data)
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
            room -= len(parts[-1])
            if len(parts) > MAX_ITEMS or room < 0:
                raise IndexError("an item in too many pieces")
        yield item, parts
