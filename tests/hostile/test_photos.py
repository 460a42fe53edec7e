"""Hostile photos: whatever bytes come, the answer is a picture or a refusal with its reason, soon, in little memory."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from api._photo.errors import ImageError
from api._photo.image import decode
from tests.hostile.bombs import BOMBS, LIMIT, WHOLE, png, saved
from tests.hostile.corpus import SIDE, seeds
from tests.hostile.cost import Cost, measure

SIZE = 64
# What is promised of any one file: seconds of CPU, megabytes. CPU seconds of a machine that others use too are longer
# ones, so that a test only fails at twice as many; `python -m tests.hostile photos` prints what was measured.
CPU_S, PEAK_MB = 1.0, 600

# One of each format, for the default tests; `python -m tests.hostile`, part of CI, measures all of them.
LITTLE_BOMBS = [
    "avif_whose_picture_is_larger_than_its_header_says_small",
    "bmp_of_empty_lines",
    "gif_frame_that_is_cleared_before_it_is_refused",
    "jpeg_with_hundreds_of_thousands_of_scans",
    "png_with_text_that_unpacks_to_gigabytes",
    "tiff_tile_whose_size_lies_elsewhere",
    "webp_header_that_lies",
]


def outcome(data: bytes) -> str:
    """What `decode` says; anything but a picture or a refusal is raised and fails the test."""
    try:
        photo = decode(data, SIZE)
    except ImageError as refusal:
        error = refusal
    else:
        assert photo.pixels.shape == (SIZE, SIZE, 3)
        assert photo.pixels.dtype == np.uint8
        return "200"
    assert error.status in (400, 413)
    assert str(error).endswith(".")
    return str(error.status)


@pytest.mark.parametrize("name", sorted(seeds()))
def test_a_strange_but_valid_file_gives_the_right_pixels(name: str) -> None:
    seed = seeds()[name]
    shown = np.asarray(seed.shows.resize((SIZE, SIZE), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(decode(seed.data, SIZE).pixels - shown).mean() <= seed.tolerance


def test_a_file_named_wrongly_is_read_by_its_bytes_and_leading_junk_is_refused() -> None:
    jpeg = seeds()["JPEG plain"].data
    assert decode(jpeg, SIZE).format == "JPEG"
    for junk in (b"\n", b"\xef\xbb\xbf", b"GET / HTTP/1.1\r\n\r\n", bytes(512)):
        assert outcome(junk + jpeg) == "400"


def test_a_big_endian_bigtiff_whose_head_its_two_readers_understand_differently_is_refused_by_name() -> None:
    with pytest.raises(ImageError, match="big-endian BigTIFF is not read"):
        decode(b"MM\0+\0\x08\0\0" + bytes(100), SIZE)


@pytest.mark.parametrize("name", ["JPEG plain", "PNG palette of 4 bits", "GIF animated", "BMP run-length coded",
                                  "TIFF packed by JPEG", "WebP lossy", "AVIF plain", "TIFF fax group3"])  # fmt: skip
def test_a_file_cut_off_anywhere_is_a_picture_or_a_refusal(name: str) -> None:
    data = seeds()[name].data
    # Every byte of the headers, then enough of the rest for the default tests; the long ones cut at every byte.
    for length in {*range(min(len(data), 200)), *range(200, len(data), max(1, len(data) // 150))}:
        outcome(data[:length])


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(seeds()))
def test_a_file_cut_off_at_every_byte_is_a_picture_or_a_refusal(name: str) -> None:
    data = seeds()[name].data
    for length in range(0, len(data), 1 + len(data) // 6000):
        outcome(data[:length])


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(seeds()))
def test_a_file_with_any_bit_of_its_head_turned_is_a_picture_or_a_refusal(name: str) -> None:
    data = bytearray(seeds()[name].data)
    for bit in range(8 * min(len(data), 400)):
        data[bit // 8] ^= 1 << bit % 8
        outcome(bytes(data))
        data[bit // 8] ^= 1 << bit % 8


edits = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from(["set", "delete", "insert", "repeat"]), st.binary(max_size=8)),
    min_size=1,
    max_size=8,
)  # fmt: skip


def edited(data: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
    for place, kind, new in changes:
        at = place % (len(data) + 1)
        if kind == "repeat":
            data = data[:at] + data[max(0, at - 64) : at] * 20 + data[at:]
        else:
            cut = {"set": len(new), "delete": 1 + len(new), "insert": 0}[kind]
            data = data[:at] + (b"" if kind == "delete" else new) + data[at + cut :]
    return data


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(sorted(seeds())), changes=edits)
def test_a_file_changed_at_random_is_a_picture_or_a_refusal(
    name: str, changes: list[tuple[int, str, bytes]]
) -> None:
    outcome(edited(seeds()[name].data, changes))


@settings(max_examples=200, deadline=None)
@given(first=st.sampled_from(sorted(seeds())), rest=st.binary(max_size=200), keep=st.integers(2, 64))
def test_a_real_head_on_random_bytes_is_a_picture_or_a_refusal(first: str, rest: bytes, keep: int) -> None:
    outcome(seeds()[first].data[:keep] + rest)


@settings(max_examples=100, deadline=None)
@given(
    first=st.sampled_from(sorted(seeds())), second=st.sampled_from(sorted(seeds())), keep=st.integers(4, 300)
)
def test_two_files_in_one_are_a_picture_or_a_refusal(first: str, second: str, keep: int) -> None:
    outcome(seeds()[first].data[:keep] + seeds()[second].data)


def test_what_is_also_a_page_or_a_script_is_still_only_a_picture() -> None:
    for tail in (b"<html><script>alert(1)</script>", b"\nPK\x03\x04", b"%PDF-1.7", b"#!/bin/sh\nrm -rf /"):
        for name in ("JPEG plain", "PNG plain", "GIF interlaced"):
            assert outcome(seeds()[name].data + tail) == "200"


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads what Linux says in /proc")


@linux
@pytest.mark.parametrize("name", LITTLE_BOMBS)
def test_a_bomb_costs_little(name: str) -> None:
    assert_cheap(measure(BOMBS[name]()))


@linux
@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(BOMBS) - set(LITTLE_BOMBS)))
def test_every_other_bomb_costs_little_too(name: str) -> None:
    cost = measure(BOMBS[name]())
    assert_cheap(cost)
    if "just_under" in name and "pillows" not in name:
        assert cost.outcome == "200", "a photo of this size is promised to be read"


def assert_cheap(cost: Cost) -> None:
    assert cost.outcome[:3] in ("200", "400", "413"), cost
    assert cost.cpu_s < 2 * CPU_S, cost
    assert cost.peak_mb < PEAK_MB, cost


def test_a_camera_photo_of_24_megapixels_is_read_in_every_format_that_fits_the_upload() -> None:
    photo = Image.linear_gradient("L").resize((6000, 4000)).convert("RGB")
    assert outcome(saved(photo, "JPEG", quality=50)) == "200"
    assert outcome(png(6000, 4000)) == "200"


def test_a_jpeg_may_have_more_pixels_than_a_format_that_is_decoded_whole() -> None:
    assert outcome(saved(Image.new("L", LIMIT), "JPEG")) == "200"
    assert outcome(png(WHOLE[0], WHOLE[1], depth=1, colour=0)) == "200"
    with pytest.raises(ImageError, match="at most 25 million"):
        decode(png(WHOLE[0], WHOLE[1] + 1, depth=1, colour=0), SIZE)


def test_a_progressive_photo_of_many_scans_is_still_a_photo() -> None:
    data = BOMBS["jpeg_with_scans_just_under_the_limit"]()
    assert outcome(data) == "200"


def test_an_avif_is_refused_for_what_is_coded_in_it_whatever_its_container_says() -> None:
    data = BOMBS["avif_whose_picture_is_larger_than_its_header_says_small"]()
    with pytest.raises(ImageError, match=r"0\.01 million") as caught:
        decode(data, SIZE, max_pixels=16_000)
    assert caught.value.status == 413


def test_an_avif_whose_parts_cannot_be_told_never_reaches_its_decoder() -> None:
    data = seeds()["AVIF plain"].data
    for name in (b"iloc", b"iinf", b"infe", b"av01"):
        with pytest.raises(ImageError):
            decode(data.replace(name, b"xxxx"), SIZE)


def test_the_seeds_cover_every_format_that_is_read() -> None:
    from api._photo.formats import READABLE

    assert {name.split()[0] for name in seeds()} == set(READABLE)
    assert all(decode(seed.data, SIZE).format == name.split()[0] for name, seed in seeds().items())
    assert SIDE > SIZE
