"""The boxes of AVIF and HEIC files, in every form that the standard allows."""

import struct

import pytest

from api._photo.boxes import MAX_ITEMS, boxes, item_kinds, item_locations


def box(kind: bytes, content: bytes = b"", form: str = "short") -> bytes:
    if form == "long":
        return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
    if form == "to the end":
        return struct.pack(">I4s", 0, kind) + content
    return struct.pack(">I4s", 8 + len(content), kind) + content


def read(data: bytes, start: int = 0, end: int | None = None) -> list[tuple[bytes, bytes]]:
    found = boxes(data, start, len(data) if end is None else end)
    return [(kind, data[first:last]) for kind, first, last in found]


@pytest.mark.parametrize("form", ["short", "long"])
def test_boxes_are_read_one_after_another(form: str) -> None:
    data = box(b"ftyp", b"avif", form) + box(b"free", b"", form) + box(b"mdat", b"12345", form)
    assert read(data) == [(b"ftyp", b"avif"), (b"free", b""), (b"mdat", b"12345")]
    assert read(b"xx" + data, 2) == read(data)


def test_a_box_without_a_size_goes_to_the_end() -> None:
    assert read(box(b"ftyp") + box(b"mdat", b"123", "to the end")) == [(b"ftyp", b""), (b"mdat", b"123")]


def test_a_box_ends_where_what_holds_it_ends() -> None:
    data = box(b"meta", b"1234567890")
    assert read(data, end=12) == [(b"meta", b"1234")]
    assert read(data, end=8) == [(b"meta", b"")]
    assert read(data, end=7) == []


@pytest.mark.parametrize("size", [2, 7])
def test_a_box_smaller_than_its_own_head_ends_the_reading(size: int) -> None:
    assert read(box(b"free") + struct.pack(">I4s", size, b"evil") + bytes(40)) == [(b"free", b"")]
    assert read(struct.pack(">I4sQ", 1, b"evil", 15) + bytes(40)) == []


@pytest.mark.parametrize("version", [0, 1])
def test_the_kinds_of_items_are_listed(version: int) -> None:
    count = struct.pack(">H" if version == 0 else ">I", 3)
    entries = [
        box(b"infe", bytes([2, 0, 0, 0]) + struct.pack(">HH4s", 7, 0, b"av01")),
        box(b"free", b"nothing"),
        box(b"infe", bytes([3, 0, 0, 0]) + struct.pack(">IH4s", 70_000, 0, b"grid")),
    ]
    data = b"before" + bytes([version, 0, 0, 0]) + count + b"".join(entries)
    assert list(item_kinds(data, 6, len(data))) == [(7, b"av01"), (70_000, b"grid")]


FILE = bytes(range(200))


def locations(
    version: int,
    sizes: tuple[int, int, int, int],
    *items: tuple[int, int, int, list[tuple[int, int]]],
    inside: int = 0,
) -> list[tuple[int, list[bytes]]]:
    """What is read of an `iloc` behind FILE: of each item its number, how it is found, its base, and its pieces."""
    offset_size, length_size, base_size, index_size = sizes
    wide = 4 if version == 2 else 2

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, "big") if size else b""

    packed = offset_size << 12 | length_size << 8 | base_size << 4 | index_size
    data = bytes([version, 0, 0, 0]) + struct.pack(">H", packed) + number(len(items), wide)
    for item, method, base, pieces in items:
        data += (
            number(item, wide) + (number(method, 2) if version else b"") + b"\0\0" + number(base, base_size)
        )
        data += number(len(pieces), 2)
        for offset, length in pieces:
            data += (
                number(99, index_size if version else 0)
                + number(offset, offset_size)
                + number(length, length_size)
            )
    return list(item_locations(FILE + data, len(FILE), inside))


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("sizes", [(4, 4, 0, 0), (4, 4, 4, 0), (8, 8, 8, 4), (8, 4, 4, 8)])
def test_pieces_lie_where_base_and_offset_say(version: int, sizes: tuple[int, int, int, int]) -> None:
    base = 100 if sizes[2] else 0
    found = locations(version, sizes, (1, 0, base, [(10, 5), (20, 6)]), (2, 0, base, [(0, 3)]))
    assert found == [
        (1, [FILE[base + 10 : base + 15], FILE[base + 20 : base + 26]]),
        (2, [FILE[base : base + 3]]),
    ]


def test_pieces_may_lie_inside_the_box_for_data() -> None:
    inside = locations(1, (4, 4, 4, 0), (1, 1, 2, [(10, 5)]), inside=50)
    assert inside == [(1, [FILE[62:67]])]
    # Only the lowest four bits say how: the others are reserved.
    assert locations(1, (4, 4, 4, 0), (1, 0xFFF1, 2, [(10, 5)]), inside=50) == inside
    assert locations(1, (4, 4, 4, 0), (1, 0, 2, [(10, 5)]), inside=50) == [(1, [FILE[12:17]])]
    # The first version of the box cannot say so.
    assert locations(0, (4, 4, 4, 0), (1, 1, 2, [(10, 5)]), inside=50) == [(1, [FILE[12:17]])]


def test_a_piece_without_a_length_goes_to_the_end_of_the_file() -> None:
    ((_, (piece,)),) = locations(0, (4, 0, 0, 0), (1, 0, 0, [(190, 0)]))
    assert piece.startswith(FILE[190:])
    assert len(piece) > 10


def test_an_item_has_so_many_pieces_and_no_more() -> None:
    ((_, pieces),) = locations(0, (4, 4, 0, 0), (1, 0, 0, [(0, 1)] * MAX_ITEMS))
    assert len(pieces) == MAX_ITEMS
    with pytest.raises(IndexError, match="too many pieces"):
        locations(0, (4, 4, 0, 0), (1, 0, 0, [(0, 1)] * (MAX_ITEMS + 1)))


def test_all_pieces_together_are_no_more_than_twice_the_file() -> None:
    def take(*lengths: int) -> None:
        locations(0, (4, 4, 0, 0), *((number, 0, 0, [(0, length)]) for number, length in enumerate(lengths)))

    whole = len(FILE) + 8 + 2 * 14  # with the box itself behind it
    take(whole, whole)
    with pytest.raises(IndexError, match="too many pieces"):
        locations(0, (4, 4, 0, 0), *((number, 0, 0, [(0, 10_000)]) for number in range(3)))


def test_a_box_cut_off_is_an_error() -> None:
    with pytest.raises(IndexError, match="iloc is cut off"):
        list(item_locations(bytes([0, 0, 0, 0, 0x44, 0, 0, 5]), 0, 0))
