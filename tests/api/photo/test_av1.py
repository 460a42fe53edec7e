"""Sizes that an AV1 stream states, in AVIF files made by hand from what a real encoder wrote."""

import struct
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from api._photo import av1, avif
from api._photo.errors import ImageError
from api._photo.image import decode
from tests.hostile.bombs import saved

SIDES = (256, 192)
_SEQUENCE, _FRAME = 1, 6


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def whole(kind: bytes, *parts: bytes) -> bytes:
    """A box with a version and flags, both 0."""
    return box(kind, bytes(4), *parts)


def container(stream: bytes, sides: tuple[int, int]) -> bytes:
    """An AVIF file of one picture, coded as this stream and said to be of this size."""
    ftyp = box(b"ftyp", b"avif", bytes(4), b"avifmif1miaf")

    def meta(offset: int) -> bytes:
        properties = [
            whole(b"ispe", struct.pack(">II", *sides)),
            whole(b"pixi", bytes([3, 8, 8, 8])),
            box(b"av1C", bytes([0x81, 0x00, 0x0C, 0x00])),
        ]
        return whole(
            b"meta",
            whole(b"hdlr", bytes(4), b"pict", bytes(13)),
            whole(b"pitm", struct.pack(">H", 1)),
            whole(b"iloc", bytes([0x44, 0]), struct.pack(">HHHHII", 1, 1, 0, 1, offset, len(stream))),
            whole(
                b"iinf", struct.pack(">H", 1), box(b"infe", b"\2\0\0\0", struct.pack(">HH", 1, 0), b"av01\0")
            ),
            box(
                b"iprp",
                box(b"ipco", *properties),
                whole(b"ipma", struct.pack(">IHB", 1, 1, 3), bytes([1, 2, 0x83])),
            ),
        )

    offset = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(offset) + box(b"mdat", stream)


def bits_of(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data)


def bytes_of(bits: str) -> bytes:
    assert len(bits) % 8 == 0
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def unit(kind: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([kind << 3 | 2]) + length + bytes([size]) + body


def encoded() -> tuple[bytes, bytes]:
    """The sequence header and the first frame of a real file whose frames may state their size."""
    noise = Image.effect_noise(SIDES, 60).convert("RGB")
    data = saved(noise, "AVIF", save_all=True, append_images=[noise.rotate(90)], speed=8, codec="aom")
    kind, stream = next(avif._payloads(data))
    assert kind == b"av01"
    found: dict[int, bytes] = {}
    at = 0
    while at < len(stream):
        head, at, size, shift = stream[at], at + 1, 0, 0
        assert head & 6 == 2, "a size, no extension"
        while True:
            size |= (stream[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if stream[at - 1] < 128:
                break
        found.setdefault(head >> 3, stream[at : at + size])
        at += size
    return found[_SEQUENCE], found[_FRAME]


def stating(frame: bytes, order_bits: int, *sides: tuple[int, int]) -> bytes:
    """The frame with a size of its own: numbers and the bits that each takes."""
    # Not an earlier one; a key frame, shown; cdf update; screen content or not, and then whole motion or not.
    bits = bits_of(frame)
    assert bits.startswith("0001")
    flag = 7 if bits[5] == "1" else 6
    assert bits[flag] == "0"
    behind = flag + 1 + order_bits
    own = "".join(f"{side - 1:0{count}b}" for side, count in sides)
    return bytes_of(bits[:flag] + "1" + bits[flag + 1 : behind] + own + bits[behind:])


def test_a_frame_that_states_its_own_size_is_found_where_a_decoder_finds_it() -> None:
    header, frame = encoded()
    sequence = av1.read_sequence(header)
    assert (sequence.width_bits, sequence.height_bits, sequence.reduced) == (8, 8, False)
    same = stating(frame, sequence.order_bits, (SIDES[0], 8), (SIDES[1], 8))
    files = [container(unit(_SEQUENCE, header) + unit(_FRAME, picture), SIDES) for picture in (frame, same)]
    first, second = (decode(file, 64).pixels for file in files)
    assert np.array_equal(first, second), "a decoder reads the size from the very bits that were put in"
    for width, height in ((256, 192), (256, 256), (1, 2)):
        picture = stating(frame, sequence.order_bits, (width, 8), (height, 8))
        assert av1.frame_pixels(sequence, picture) == width * height


def test_a_frame_larger_than_its_sequence_allows_never_reaches_a_decoder() -> None:
    header, frame = encoded()
    # The same header with sixteen bits for each side: 64 x 64 at most, it says.
    bits = bits_of(header)
    sizes = f"{7:04b}{7:04b}{SIDES[0] - 1:08b}{SIDES[1] - 1:08b}"
    assert bits.count(sizes) == 1
    bits = bits.replace(sizes, f"{15:04b}{15:04b}{63:016b}{63:016b}")
    wide = bytes_of(bits)
    sequence = av1.read_sequence(wide)
    assert sequence.pixels == 64 * 64
    huge = stating(frame, sequence.order_bits, (16_000, 16), (16_000, 16))
    stream = unit(_SEQUENCE, wide) + unit(_FRAME, huge)
    start = time.process_time()
    with pytest.raises(ImageError, match="pictures of over") as caught:
        decode(container(stream, (64, 64)), 64)
    assert caught.value.status == 413
    assert time.process_time() - start < 0.5


def test_a_frame_that_nobody_can_begin_with_counts_as_the_greatest_that_it_has_room_for() -> None:
    sequence = av1.Sequence(pixels=64, width_bits=12, height_bits=12, order_bits=7)
    inner = "0" + "01" + "1" + "0" * 3 + "1"  # another frame than a key frame, shown, with a size of its own
    assert av1.frame_pixels(sequence, bytes_of(inner)) == 1 << 24
    again = "1" + "0" * 7
    assert av1.frame_pixels(sequence, bytes_of(again)) == 64


def test_a_header_that_is_cut_off_is_no_size() -> None:
    header, frame = encoded()
    with pytest.raises(IndexError):
        av1.read_sequence(header[:3])
    with pytest.raises(IndexError):
        av1.frame_pixels(av1.read_sequence(header), frame[:0])


# --- headers with every option of the specification, written bit by bit

# What fills the places that nobody asks about: read in the wrong place, it is another number.
FILLING = "10" * 100


def header(
    *,
    reduced: bool = False,
    timing: str = "",
    model: bool = False,
    delays: bool = False,
    points: tuple[int, ...] = (4,),
    ids: bool = False,
    ordered: bool = False,
    screen: str = "1",
    motion: str = "1",
) -> bytes:
    """A sequence header of 300 x 200 pixels at most, its sides in 10 and 9 bits.

    Args:
        timing: empty, "equal" where all frames are shown for the same time, or "each".
        points: levels of the operating points; above 7 each has a tier, too.
        screen, motion: "1" where each frame chooses, or "0" and the choice for all.
    """  # fmt: skip
    bits = "0000" + ("1" if reduced else "0")
    if reduced:
        bits += FILLING[:5]
    else:
        bits += "1" + FILLING[:64] if timing else "0"
        if timing:
            bits += "1" + "0001" + "101" if timing == "equal" else "0"
            # 32 bits of a clock, then three lengths: of delays 7, of removal, of a time 11.
            bits += f"1{6:05b}{FILLING[:32]}{3:05b}{10:05b}" if model else "0"
        bits += "1" if delays else "0"
        bits += f"{len(points) - 1:05b}"
        for level in points:
            bits += FILLING[:12] + f"{level:05b}" + ("1" if level > 7 else "")
            bits += "1" + FILLING[:15] if model and timing else ""
            bits += "1" + FILLING[:4] if delays else ""
    bits += f"{9:04b}{8:04b}{299:010b}{199:09b}"
    if not reduced:
        bits += f"1{5:04b}{2:03b}" if ids else "0"  # numbers of 5 + 2 + 2 + 1 bits
        bits += FILLING[:7] + ("1" + FILLING[:2] if ordered else "0") + screen
        bits += motion if screen != "00" else ""
        bits += f"{6:03b}" if ordered else ""
    return bytes_of(bits + FILLING[: -len(bits) % 8])


def picture(
    kind: str = "key",
    shown: bool = True,
    own: bool = True,
    *,
    time_bits: int = 0,
    screen: str = "1",
    motion: str = "",
    id_bits: int = 0,
    order_bits: int = 0,
) -> bytes:
    """A frame header; with a size of its own it is 17 x 500."""  # fmt: skip
    bits = "0" + {"key": "00", "inter": "01", "switch": "11"}[kind]
    bits += "1" + FILLING[:time_bits] if shown else "0" + "1"
    bits += "" if kind == "switch" or (kind == "key" and shown) else "0"
    bits += "0" + screen + motion + FILLING[:id_bits]
    bits += "" if kind == "switch" else ("1" if own else "0")
    bits += FILLING[:order_bits] + f"{16:010b}{499:09b}"
    return bytes_of(bits + FILLING[: -len(bits) % 8])


WHOLE, OWN, ROOM = 300 * 200, 17 * 500, 1 << 19


@pytest.mark.parametrize(
    ("options", "frame"),
    [
        ({}, {"motion": "0"}),
        ({}, {"screen": "0"}),
        ({"points": (8, 7, 4)}, {"screen": "0"}),
        ({"delays": True, "points": (4, 9)}, {"screen": "0"}),
        ({"timing": "equal"}, {"screen": "0"}),
        ({"timing": "each"}, {"screen": "0"}),
        ({"screen": "00"}, {"screen": ""}),
        ({"screen": "00", "ordered": True}, {"screen": "", "order_bits": 7}),
        ({"screen": "01", "motion": "00", "ordered": True}, {"screen": "", "order_bits": 7}),
        ({"screen": "01", "motion": "00"}, {"screen": ""}),
        ({"screen": "01", "motion": "01"}, {"screen": ""}),
        ({"screen": "01"}, {"screen": "", "motion": "1"}),
        ({"motion": "01"}, {}),
        ({"motion": "01"}, {"screen": "0"}),
        ({"ids": True}, {"screen": "0", "id_bits": 10}),
        ({"ordered": True}, {"screen": "0", "order_bits": 7}),
        ({"ordered": True, "ids": True}, {"motion": "1", "id_bits": 10, "order_bits": 7}),
    ],
)
def test_whatever_stands_before_it_the_size_is_read_where_it_is(
    options: dict[str, Any], frame: dict[str, Any]
) -> None:
    sequence = av1.read_sequence(header(**options))
    assert (sequence.pixels, sequence.width_bits, sequence.height_bits) == (WHOLE, 10, 9)
    assert av1.frame_pixels(sequence, picture(**frame)) == OWN
    assert av1.frame_pixels(sequence, picture(**frame, own=False)) == WHOLE


def test_frames_with_a_clock_of_their_own_count_as_the_greatest_that_they_have_room_for() -> None:
    for timing, time_bits in (("each", 11), ("equal", 0)):
        sequence = av1.read_sequence(header(timing=timing, model=True, delays=True, points=(4, 12)))
        assert (sequence.pixels, sequence.decoder_model, sequence.time_bits) == (WHOLE, True, time_bits)
        own, same = (picture(own=own, screen="0", time_bits=time_bits) for own in (True, False))
        assert (av1.frame_pixels(sequence, own), av1.frame_pixels(sequence, same)) == (ROOM, WHOLE)


@pytest.mark.parametrize(("kind", "shown"), [("inter", True), ("inter", False), ("key", False)])
def test_what_no_decoder_begins_with_may_say_that_it_is_as_its_sequence(kind: str, shown: bool) -> None:
    sequence = av1.read_sequence(header(ids=True))
    own, same = (picture(kind, shown, own, screen="0", id_bits=10) for own in (True, False))
    assert (av1.frame_pixels(sequence, own), av1.frame_pixels(sequence, same)) == (ROOM, WHOLE)


def test_a_frame_to_switch_at_always_has_a_size_of_its_own() -> None:
    sequence = av1.read_sequence(header())
    assert av1.frame_pixels(sequence, picture("switch", screen="0")) == ROOM
    assert av1.frame_pixels(sequence, picture("switch", False, screen="0")) == ROOM


def test_the_frame_of_a_still_picture_with_a_short_header_is_as_large_as_that_says() -> None:
    sequence = av1.read_sequence(header(reduced=True))
    assert (sequence.reduced, sequence.pixels) == (True, WHOLE)
    assert av1.frame_pixels(sequence, b"") == WHOLE


def test_a_header_ends_with_the_last_bit_that_is_asked_for() -> None:
    bits = bits_of(header(reduced=True))[: 5 + 5 + 8 + 19]
    short = bytes_of(bits.rjust(40, "0"))
    assert av1._Bits(short).take(40) == int(bits, 2)
    with pytest.raises(IndexError, match="AV1 is cut off"):
        av1._Bits(short).take(41)
