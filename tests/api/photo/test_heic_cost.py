"""What decoding a HEIC takes, added up from its parts in every form that the standards allow."""

import struct
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from api._photo import heic
from api._photo.boxes import MAX_ITEMS
from api._photo.heic import Cost, cost
from tests.conftest import require
from tests.hostile import embedded
from tests.hostile.heic import (
    HEADER,
    SIDE,
    STREAM,
    Heic,
    Item,
    another_slice,
    box,
    full,
    grid,
    size,
    tiled,
    with_size,
)
from tests.hostile.heic import picture as coded

ONE = SIDE * SIDE
AUXILIARY = b"urn:mpeg:hevc:2015:auxid:"


def cost_of(*given: object, **more: object) -> tuple[int, int, int]:
    found = cost(Heic(*given, **more).build())  # type: ignore[arg-type]
    return found.shown, found.decoded, found.painted


def test_a_picture_costs_what_it_shows() -> None:
    assert cost(embedded.HEIC_PLAIN) == Cost(ONE, ONE, ONE)
    assert cost_of([coded()]) == (ONE, ONE, ONE)


def test_of_the_sizes_that_container_and_stream_say_the_larger_is_decoded() -> None:
    assert cost_of([coded()], [size(200, 100), HEADER]) == (20_000, 20_000, 20_000)
    assert cost_of([coded()], [size(SIDE, SIDE), with_size(HEADER, 640, 480)]) == (ONE, 307_200, 307_200)
    assert cost_of([coded()], [size(SIDE, SIDE), with_size(HEADER, 64, 48)]) == (ONE, ONE, ONE)


def test_each_slice_may_paint_the_whole_picture() -> None:
    assert cost_of([coded(STREAM + another_slice() * 2)]) == (ONE, ONE, 3 * ONE)


@pytest.mark.parametrize("name", [AUXILIARY + b"1\0", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"])
def test_a_transparency_is_decoded_too(name: bytes) -> None:
    items = [coded(), Item(b"hvc1", STREAM + another_slice(), (1, 2, 3)), coded()]
    properties = [size(SIDE, SIDE), HEADER, full(b"auxC", name)]
    assert cost_of(items, properties, [(b"auxl", 2, [3, 1])]) == (ONE, 2 * ONE, 3 * ONE)
    assert cost_of(items, properties, [(b"auxl", 2, [3])]) == (ONE, ONE, ONE), "another picture's"
    assert cost_of(items, properties, [(b"thmb", 2, [1])]) == (ONE, ONE, ONE), "a thumbnail"
    depth = [*properties[:2], full(b"auxC", AUXILIARY + b"2\0")]
    assert cost_of(items, depth, [(b"auxl", 2, [1])]) == (ONE, ONE, ONE), "a depth map"
    other = [*properties[:2], full(b"colr", name)]
    assert cost_of(items, other, [(b"auxl", 2, [1])]) == (ONE, ONE, ONE), "a profile of this name"


def test_a_copy_costs_what_it_copies() -> None:
    items = [Item(b"iden", b"", (3,)), coded(), coded()]
    properties = [size(SIDE, SIDE), HEADER, size(9, 9)]
    links = [(b"dimg", 3, [2]), (b"cdsc", 1, [3]), (b"dimg", 1, [2])]
    assert cost_of(items, properties, links) == (ONE, ONE, ONE)


def test_a_tile_costs_its_pixels_for_each_place_where_it_stands() -> None:
    for tiles in (1, 6):
        assert cost(tiled(2, 3, tiles).build()) == Cost(6 * ONE, 6 * ONE, 6 * ONE)
    short = bytes([0, 0, 0, 1]) + struct.pack(">HH", 200, 100)
    items = [Item(b"grid", short, (1,)), coded(STREAM + another_slice())]
    assert cost_of(items, references=[(b"dimg", 1, [2, 2])]) == (20_000, 2 * ONE, 4 * ONE)


def units(*sequences: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in sequences)


def parameters(layer: int = 0, width: int = 6_000) -> bytes:
    header = with_size(HEADER, width, width)
    at = header.index(b"\x42\x01\x01")
    unit = header[at : at + int.from_bytes(header[at - 2 : at], "big")]
    return bytes([unit[0] | layer >> 5, (layer & 31) << 3 | 1]) + unit[2:]


@pytest.mark.parametrize("layer", [1, 16, 32, 63])
def test_the_other_eye_of_a_spatial_photo_costs_nothing(layer: int) -> None:
    assert cost_of([coded(units(parameters(layer)) + STREAM)]) == (ONE, ONE, ONE)


def test_parameters_in_the_midst_of_a_stream_count_and_the_largest_wins() -> None:
    stream = units(parameters(width=600), parameters(width=300)) + STREAM
    assert cost_of([coded(stream)]) == (ONE, 360_000, 360_000)


def test_all_tiles_together_have_so_many_units_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    header = len(list(heic._header_units(HEADER[8:])))
    each = header + len(list(heic._stream_units(STREAM)))
    assert header >= 3, "parameters of the video, of its sequence and of its picture"
    for tiles in (1, 4):
        monkeypatch.setattr(heic, "MAX_UNITS", tiles * each)
        cost(tiled(2, 2, tiles).build())
        monkeypatch.setattr(heic, "MAX_UNITS", tiles * each - 1)
        with pytest.raises(IndexError, match="too many units"):
            cost(tiled(2, 2, tiles).build())


def test_pictures_share_notes_and_properties_up_to_four_times_the_file() -> None:
    items = heic._Items(Heic([coded()]).build())
    shared = sum(len(body) for body in ([part[8:] for part in (size(1, 1), HEADER)]))
    items.references = [(b"cdsc", 9, [1, 1]), (b"auxl", 9, [1]), (b"cdsc", 8, [1])]
    size_of_file = 1_000
    items.payloads[9] = bytes((4 * size_of_file + 100_000 - shared) // 2)
    items._check_copies(size_of_file)
    items.payloads[9] += b"\0"
    with pytest.raises(IndexError, match="shared by too many pictures"):
        items._check_copies(size_of_file)


def test_lists_have_so_many_entries_and_no_more() -> None:
    assert len(list(heic._few(iter(range(2 * MAX_ITEMS))))) == 2 * MAX_ITEMS
    with pytest.raises(IndexError, match="too many entries"):
        list(heic._few(iter(range(2 * MAX_ITEMS + 1))))


def test_of_boxes_that_count_there_is_one() -> None:
    def find(*kinds: bytes) -> list[bytes]:
        data = b"".join(box(kind, kind) for kind in kinds)
        found = heic._only(data, 0, len(data), (b"pitm", b"iref"), may_lack=(b"iref",))
        return [data[first:last] for first, last in found]

    assert find(b"free", b"iref", b"free", b"pitm") == [b"pitm", b"iref"]
    assert find(b"pitm") == [b"pitm", b""]
    for twice in (b"pitm", b"iref"):
        with pytest.raises(IndexError, match="twice"):
            find(b"pitm", b"iref", twice)
    with pytest.raises(KeyError):
        find(b"iref")


def references(version: int, *entries: tuple[bytes, int, Sequence[int]], cut: int = 0) -> list[object]:
    letter = "I" if version else "H"
    parts = [
        box(kind, struct.pack(f">{letter}H{len(to)}{letter}", source, len(to), *to)[: -cut or None])
        for kind, source, to in entries
    ]
    data = b"before" + bytes([version, 0, 0, 0]) + b"".join(parts)
    return list(heic._references(data, 6, len(data)))


@pytest.mark.parametrize("version", [0, 1])
def test_references_are_read_with_numbers_of_two_bytes_or_four(version: int) -> None:
    entries = [(b"dimg", 7, [1, 2, 300]), (b"auxl", 9, [7]), (b"thmb", 3, [])]
    assert references(version, *entries) == entries
    assert references(version, (b"dimg", 1, [5] * MAX_ITEMS))
    for count, cut in ((MAX_ITEMS + 1, 0), (3, 1)):
        with pytest.raises(IndexError, match="too many references"):
            references(version, (b"dimg", 1, [5] * count), cut=cut)
    assert list(heic._references(b"", 0, 0)) == []


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("wide", [0, 1])
def test_links_are_read_in_each_of_their_four_forms(version: int, wide: int) -> None:
    must = 0x8000 if wide else 0x80  # a reader must understand the property

    def read(count: int) -> list[object]:
        data = b"before" + bytes([version, 0, 0, wide]) + struct.pack(">I", 2)
        for item, indexes in ((5, (1, must | 3, 0)), (6, (2,))):
            data += struct.pack(f">{'I' if version else 'H'}B", item, len(indexes))
            data += struct.pack(f">{len(indexes)}{'H' if wide else 'B'}", *indexes)
        return list(heic._links(data, 6, count))

    assert read(3) == [(5, [0, 2]), (6, [1])]
    with pytest.raises(IndexError, match="not there"):
        read(2)


def test_the_units_of_a_header_are_listed_by_kind() -> None:
    def header(length_size: int) -> bytes:
        listed = (
            b"\x20"
            + struct.pack(">H", 2)
            + b"\0\3abc"
            + b"\0\4defg"
            + b"\x21"
            + struct.pack(">H", 1)
            + b"\0\3hij"
        )
        return bytes(21) + bytes([length_size - 1]) + b"\2" + listed

    assert list(heic._header_units(header(4))) == [b"abc", b"defg", b"hij"]
    for length_size in (1, 2, 3):
        with pytest.raises(IndexError, match="no camera writes"):
            list(heic._header_units(header(length_size)))


def test_of_a_unit_only_the_head_is_read_and_it_lies_in_the_file_whole() -> None:
    data = bytes(range(250)) * 4
    assert list(heic._stream_units(units(data, b"abc"))) == [data[:512], b"abc"]
    assert heic._unit(data, 997, 3) == data[997:]
    for at, length in ((998, 3), (0, 2)):
        with pytest.raises(IndexError, match="cut off"):
            heic._unit(data, at, length)


def golomb(value: int) -> str:
    word = f"{value + 1:b}"
    return "0" * (len(word) - 1) + word


@pytest.mark.parametrize("chroma", [0, 1, 3])
@pytest.mark.parametrize("layers", [(), ((1, 1), (0, 1)), ((1, 0), (1, 1), (0, 0))])
def test_the_size_of_a_sequence_is_read_behind_all_that_may_stand_before_it(
    chroma: int, layers: Sequence[tuple[int, int]]
) -> None:
    filling = "10" * 60
    bits = "0101" + f"{len(layers):03b}" + filling[:97]
    if layers:
        bits += "".join(f"{profile}{level}" for profile, level in layers) + "11" * (8 - len(layers))
        bits += "".join(filling[: 88 * profile] + filling[: 8 * level] for profile, level in layers)
    bits += golomb(5) + golomb(chroma) + ("1" if chroma == 3 else "") + golomb(4_000) + golomb(300)
    exact = len(bits) % 8 == 0
    body = int(bits + "1" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8, "big")
    assert heic._sequence_pixels(b"\x42\1" + body) == 1_200_000
    with pytest.raises(IndexError, match="parameters are cut off"):
        heic._sequence_pixels(b"\x42\1" + body[: -1 if exact else -2])


def test_a_three_that_only_keeps_zeros_apart_is_no_part_of_a_number() -> None:
    bits = "0000" + "000" + "0" * 97 + golomb(0) + golomb(1) + golomb(640) + golomb(480)
    body = int(bits + "1" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8, "big")
    apart = body.replace(b"\0\0", b"\0\0\3")
    assert apart != body
    assert heic._sequence_pixels(b"\x42\1" + apart) == 307_200


def test_the_primary_item_and_places_may_have_numbers_of_four_bytes() -> None:
    data = Heic(
        [coded(), Item(b"hvc1", STREAM, (3, 2))], [size(SIDE, SIDE), HEADER, size(9, 200)], primary=2
    ).build()
    short, wide = full(b"pitm", struct.pack(">H", 2)), full(b"pitm", struct.pack(">I", 2), version=1)
    at = data.index(b"meta") - 4
    grown = struct.pack(">I", int.from_bytes(data[at : at + 4], "big") + 2)
    changed = (data[:at] + grown + data[at + 4 :]).replace(short, wide)
    assert cost(data) == cost(changed) == Cost(1_800, ONE, ONE)


@pytest.mark.parametrize(
    ("heic_file", "says"),
    [
        (Heic([Item(b"av01", STREAM, (1, 2))]), "no picture in HEVC"),
        (Heic([Item(b"grid", grid(1, 1, 9, 9), (1,)), Item(b"av01", STREAM, (1, 2))], references=[(b"dimg", 1, [2])]),
         "a tile that is no picture"),
        (Heic([coded(STREAM * 2)]), "not one picture"),
        (Heic([coded(another_slice())]), "not one picture"),
    ],
)  # fmt: skip
def test_what_no_camera_writes_is_refused(heic_file: Heic, says: str) -> None:
    with pytest.raises(IndexError, match=says):
        cost(heic_file.build())


def test_the_decoder_leaves_what_nobody_asked_for_and_takes_one_thread() -> None:
    options = require("pi_heif").options
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = True
    options.DECODE_THREADS = 4
    heic.decode_heic(embedded.HEIC_PLAIN)
    assert (options.THUMBNAILS, options.DEPTH_IMAGES, options.AUX_IMAGES) == (False, False, False)
    assert options.DECODE_THREADS == 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBa"])
def test_a_picture_that_was_multiplied_by_its_transparency_is_divided_again(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A red of half the strength, two pixels and a filling in each of its two rows.
    pixel = bytes([64, 0, 0, 128][: len(mode)])
    row = pixel * 2 + b"\xff" * 5
    picture = SimpleNamespace(mode=mode, size=(2, 2), stride=len(row), data=row * 2)
    other = SimpleNamespace(mode="L", size=(1, 1), stride=1, data=b"x")

    class File(list[Any]):
        primary_index = 1

    given: list[Any] = []

    def open_heif(*given_: Any, **options: Any) -> File:
        given.append((given_, options))
        return File([other, picture])

    module = SimpleNamespace(options=SimpleNamespace(), open_heif=open_heif)
    monkeypatch.setattr(heic, "importlib", SimpleNamespace(import_module=lambda _: module))
    image = heic.decode_heic(b"a file")
    assert given == [((b"a file",), {"convert_hdr_to_8bit": True})]
    assert image.mode == ("RGBA" if mode == "RGBa" else mode)
    expected = (127, 0, 0, 128) if mode == "RGBa" else tuple(pixel)
    assert [image.getpixel((x, y)) for x in (0, 1) for y in (0, 1)] == [expected] * 4
