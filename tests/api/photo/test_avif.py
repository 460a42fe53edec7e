"""Where an AVIF hides its pictures, and how many parts of it are looked at."""

import struct
from typing import Any

import pytest

from api._photo import avif
from api._photo.avif import MAX_UNITS, coded_pixels
from api._photo.boxes import MAX_ITEMS
from tests.api.photo.test_av1 import OWN, WHOLE, box, header, picture, unit, whole

SEQUENCE = unit(1, header())
LARGER = unit(3, picture("inter", screen="0"))  # has room for more than its sequence says
ROOM = 1 << 19


def heif(*items: tuple[bytes, bytes], inside: bool = False, lacking: bytes = b"") -> bytes:
    """A file of these items, type and content, in `mdat` or inside `idat`."""
    count = len(items)

    def meta(offset: int) -> bytes:
        places, kinds = b"", b""
        for number, (kind, content) in enumerate(items, 1):
            places += struct.pack(">HHHHII", number, 1 if inside else 0, 0, 1, offset, len(content))
            kinds += box(b"infe", b"\2\0\0\0", struct.pack(">HH", number, 0), kind + b"\0")
            offset += len(content)
        parts = {
            b"iloc": box(b"iloc", b"\1\0\0\0", bytes([0x44, 0]), struct.pack(">H", count), places),
            b"iinf": whole(b"iinf", struct.pack(">H", count), kinds),
            b"idat": box(b"idat", *(content for _, content in items)) if inside else b"",
        }
        return whole(b"meta", *(part for kind, part in parts.items() if kind != lacking))

    if inside:
        return box(b"ftyp", b"avif") + meta(0)
    start = box(b"ftyp", b"avif")
    return start + meta(len(start) + len(meta(0)) + 8) + box(b"mdat", *(content for _, content in items))


def grid(width: int, height: int, wide: bool = False) -> bytes:
    return bytes([0, 1 if wide else 0, 0, 0]) + struct.pack(">II" if wide else ">HH", width, height)


@pytest.mark.parametrize("inside", [False, True])
def test_the_largest_of_all_pictures_and_grids_counts(inside: bool) -> None:
    for items, pixels in (
        ([(b"av01", SEQUENCE)], WHOLE),
        ([(b"av01", SEQUENCE + LARGER)], ROOM),
        ([(b"av01", SEQUENCE), (b"grid", grid(1_000, 700))], 700_000),
        ([(b"grid", grid(1_000, 700)), (b"av01", SEQUENCE)], 700_000),
        ([(b"grid", grid(70_000, 2, wide=True)), (b"av01", SEQUENCE)], 140_000),
        ([(b"grid", grid(10, 7)), (b"av01", SEQUENCE)], WHOLE),
        ([(b"Exif", grid(1_000, 700)), (b"av01", SEQUENCE)], WHOLE),
    ):
        assert coded_pixels(heif(*items, inside=inside)) == pixels


def test_each_kind_of_frame_may_state_a_size_and_nothing_else_may() -> None:
    body = picture(screen="0")
    small = unit(1, header())
    for kind in {*range(16)} - {1}:
        found = coded_pixels(heif((b"av01", small + unit(kind, picture("inter", screen="0")))))
        assert found == (ROOM if kind in (3, 6, 7) else WHOLE), kind
    assert OWN < WHOLE, "a frame smaller than its sequence does not make the picture smaller"
    assert coded_pixels(heif((b"av01", small + unit(6, body)))) == WHOLE
    assert coded_pixels(heif((b"av01", unit(6, body)))) == 0, "without a sequence there is no frame"


def test_a_unit_may_have_a_second_byte_a_long_size_or_none() -> None:
    padding = unit(15, bytes(300))  # a size of two bytes
    for stream in (
        padding + SEQUENCE + LARGER,
        bytes([1 << 3 | 4 | 2, 0x55, len(header())]) + header() + LARGER,
        SEQUENCE + bytes([3 << 3]) + picture("inter", screen="0"),  # to the end
        SEQUENCE + bytes([3 << 3 | 4, 0]) + picture("inter", screen="0"),
        bytes([15 << 3 | 2, 0x82, 0x80, 0]) + bytes(2) + SEQUENCE + LARGER,
    ):
        assert coded_pixels(heif((b"av01", stream))) == ROOM


def test_no_more_of_a_unit_is_copied_than_a_header_can_have() -> None:
    ((_, body), (_, last)) = avif._units(unit(6, bytes(range(256)) * 4) + unit(6, b"ab"))
    assert (body, last) == (bytes(range(256)), b"ab")


@pytest.mark.parametrize("lacking", [b"iloc", b"iinf"])
def test_a_file_that_does_not_say_where_or_what_its_items_are_has_no_picture(lacking: bytes) -> None:
    assert coded_pixels(heif((b"av01", SEQUENCE), lacking=lacking)) == 0


def test_so_many_items_and_units_are_looked_at_and_no_more() -> None:
    tiny = (b"grid", grid(2, 3))
    assert coded_pixels(heif(*[tiny] * MAX_ITEMS)) == 6
    assert coded_pixels(heif(*[tiny] * (MAX_ITEMS + 1))) is None
    empty = unit(15, b"")
    assert coded_pixels(heif((b"av01", SEQUENCE + empty * (MAX_UNITS - 1)))) == WHOLE
    assert coded_pixels(heif((b"av01", SEQUENCE + empty * MAX_UNITS))) is None


def test_all_items_together_are_no_more_than_twice_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*lengths: int) -> int | None:
        monkeypatch.setattr(avif, "_payloads", lambda data: ((b"av01", bytes(length)) for length in lengths))
        return coded_pixels(bytes(100))

    assert read(100, 100) == 0
    assert read(100, 101) is None


def track(
    *, form: str = ">I", each: int = 0, lacking: bytes = b"", road: tuple[bytes, ...] = avif._ROAD_TO_SAMPLES
) -> bytes:
    """A film whose first sample is a sequence header, and whose second is none."""  # fmt: skip
    start = box(b"ftyp", b"avis") + box(b"mdat", SEQUENCE, b"\xff" * 50)

    def film(offset: int) -> bytes:
        sizes = [] if each else [len(SEQUENCE), 50]
        tables: dict[bytes, bytes] = {
            b"stsz": whole(
                b"stsz", struct.pack(">II", each, 2), *(struct.pack(">I", size) for size in sizes)
            ),
            b"stco" if form == ">I" else b"co64": b"",
        }
        name = next(kind for kind in tables if kind != b"stsz")
        tables[name] = whole(name, struct.pack(">I", 1), struct.pack(form, offset))
        inner = b"".join(part for kind, part in tables.items() if kind != lacking)
        for kind in reversed(road):
            inner = box(b"free", b"12345") + box(kind, inner)
        return inner

    return start + film(len(start) - 50 - len(SEQUENCE))


@pytest.mark.parametrize("form", [">I", ">Q"])
@pytest.mark.parametrize("each", [0, len(SEQUENCE)])
def test_of_a_film_the_first_sample_of_each_track_counts(form: str, each: int) -> None:
    assert coded_pixels(track(form=form, each=each)) == WHOLE


@pytest.mark.parametrize(
    "broken",
    [
        {"lacking": b"stsz"}, {"lacking": b"stco"}, {"form": ">Q", "lacking": b"co64"},
        {"road": (b"moov", b"trak", b"mdia", b"minf")}, {"road": (b"moov", b"trak", b"mdia", b"free", b"stbl")},
    ],
)  # fmt: skip
def test_a_track_without_its_tables_has_no_picture(broken: dict[str, Any]) -> None:
    assert coded_pixels(track(**broken)) == 0
