"""HEIC files built by hand around one coded picture: grids, copies, and what no camera writes."""

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.hostile import embedded

Box = bytes


def box(kind: bytes, *parts: bytes) -> Box:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> Box:
    return box(kind, bytes([version]) + flags.to_bytes(3, "big"), *parts)


def between(data: bytes, kind: bytes) -> Box:
    """The first box of this kind."""
    at = data.index(kind) - 4
    return data[at : at + int.from_bytes(data[at : at + 4], "big")]


HEADER = between(embedded.HEIC_PLAIN, b"hvcC")
STREAM = between(embedded.HEIC_PLAIN, b"mdat")[8:]
SIDE = 128


def another_slice() -> bytes:
    """The stream's last unit, which is its one slice, as one that does not begin a picture."""
    at = 0
    while (end := at + 4 + int.from_bytes(STREAM[at : at + 4], "big")) < len(STREAM):
        at = end
    unit = bytearray(STREAM[at:end])
    unit[6] &= 0x7F
    return bytes(unit)


def size(width: int, height: int) -> Box:
    return full(b"ispe", struct.pack(">II", width, height))


def grid(rows: int, columns: int, width: int, height: int) -> bytes:
    """The content of a grid item."""
    return bytes([0, 1, rows - 1, columns - 1]) + struct.pack(">II", width, height)


@dataclass
class Item:
    kind: bytes
    payload: bytes
    properties: Sequence[int] = ()  # counted from 1


def picture(stream: bytes = STREAM) -> Item:
    """A coded picture of 128 x 128, with properties 1 and 2."""
    return Item(b"hvc1", stream, (1, 2))


@dataclass
class Heic:
    """A file; items are counted from 1, and the first is the primary one."""

    items: list[Item]
    properties: list[Box] = field(default_factory=lambda: [size(SIDE, SIDE), HEADER])
    references: list[tuple[bytes, int, Sequence[int]]] = field(default_factory=list)
    primary: int = 1

    def build(self) -> bytes:
        *places, _ = itertools.accumulate((len(item.payload) for item in self.items), initial=0)
        entries = b"".join(
            full(b"infe", struct.pack(">HH4s", number, 0, item.kind), b"\0", version=2)
            for number, item in enumerate(self.items, 1)
        )
        locations = b"".join(
            struct.pack(">HHHHII", number, 1, 0, 1, place, len(item.payload))
            for number, (item, place) in enumerate(zip(self.items, places, strict=True), 1)
        )
        links = b"".join(
            struct.pack(">HB", number, len(item.properties)) + bytes(item.properties)
            for number, item in enumerate(self.items, 1)
        )
        references = b"".join(
            box(kind, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))
            for kind, source, targets in self.references
        )
        meta = full(
            b"meta",
            full(b"hdlr", bytes(4), b"pict", bytes(13)),
            full(b"pitm", struct.pack(">H", self.primary)),
            full(b"iinf", struct.pack(">H", len(self.items)), entries),
            full(b"iloc", b"\x44\x00", struct.pack(">H", len(self.items)), locations, version=1),
            *([full(b"iref", references)] if references else []),
            box(
                b"iprp",
                box(b"ipco", *self.properties),
                full(b"ipma", struct.pack(">I", len(self.items)), links),
            ),
            box(b"idat", *(item.payload for item in self.items)),
        )
        return box(b"ftyp", b"heic", bytes(4), b"mif1heic") + meta


def tiled(rows: int, columns: int, tiles: int | None = None) -> Heic:
    """A grid whose places show the same picture; `tiles`: how many items there are for it."""
    count = rows * columns
    tiles = count if tiles is None else tiles
    return Heic(
        [Item(b"grid", grid(rows, columns, SIDE * columns, SIDE * rows), (3,)), *[picture()] * tiles],
        [size(SIDE, SIDE), HEADER, size(SIDE * columns, SIDE * rows)],
        [(b"dimg", 1, [2 + i % tiles for i in range(count)])],
    )


def with_size(header: Box, width: int, height: int) -> Box:
    """The header, whose stream says another size than the container."""
    at = header.index(
        b"\x42\x01\x01"
    )  # the sequence's parameters, with no layers: the size stands 15 bytes on
    unit_size = int.from_bytes(header[at - 2 : at], "big")
    unit = header[at : at + unit_size].replace(b"\0\0\3", b"\0\0")
    bits = int.from_bytes(unit, "big")
    text = f"{bits:0{8 * len(unit)}b}"
    start = 16 + 4 + 3 + 1 + 96  # up to the parameters' number
    assert text[start : start + 4] == "1010", "number 0, chroma 4:2:0"
    rest = text[start + 4 :]
    for _ in range(2):
        zeros = rest.index("1")
        rest = rest[2 * zeros + 1 :]
    text = text[: start + 4] + _golomb(width) + _golomb(height) + rest
    text += "0" * (-len(text) % 8)
    plain = int(text, 2).to_bytes(len(text) // 8, "big")
    escaped = bytearray()
    for byte in plain:
        if escaped[-2:] == b"\0\0" and byte <= 3:
            escaped.append(3)
        escaped.append(byte)
    changed = header[: at - 2] + struct.pack(">H", len(escaped)) + bytes(escaped) + header[at + unit_size :]
    return struct.pack(">I", len(changed)) + changed[4:]


def _golomb(value: int) -> str:
    word = f"{value + 1:b}"
    return "0" * (len(word) - 1) + word
