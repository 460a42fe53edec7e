"""Files made to hurt: small to send, dear to read. Each is built here, in code, and none is kept.

A bomb is a function without arguments that returns the bytes; building some takes a second.
"""

import functools
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

# The default upload limit: nothing larger reaches a decoder.
UPLOAD = 4_500_000
# The most pixels that are read: of a JPEG, and of a format that has to be decoded whole.
LIMIT = (8000, 5000)
WHOLE = (6250, 4000)
BOMBS: dict[str, Callable[[], bytes]] = {}


def bomb(function: Callable[[], bytes]) -> Callable[[], bytes]:
    """Registers a bomb under its function's name."""
    BOMBS[function.__name__] = functools.lru_cache(maxsize=1)(function)
    return BOMBS[function.__name__]


# --- pieces of the formats -----------------------------------------------------------------------------------------


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, interlaced: bool = False,
        extra: bytes = b"", body: bytes | None = None) -> bytes:  # fmt: skip
    """A black PNG; `extra` are chunks before the pixels, `body` replaces the compressed pixels."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    palette = png_chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    if body is None:
        # Interlaced rows add filter bytes: a little more than is needed does no harm.
        rows = height * 2 + 64 if interlaced else height
        body = _zeros(rows * (1 + (width * channels * depth + 7) // 8))
    start = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + palette + extra
    return start + png_chunk(b"IDAT", body) + png_chunk(b"IEND")


def _zeros(count: int) -> bytes:
    """A zlib stream of this many zero bytes."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


def tiff(width: int, height: int, tags: dict[int, tuple[int, list[int]]], data: bytes = b"") -> bytes:
    """A little-endian TIFF whose one directory holds `tags` ({tag: (type, values)}); `data` starts at byte 8."""
    sizes = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}
    entries = {256: (4, [width]), 257: (4, [height]), **tags}
    directory_at = 8 + len(data) + len(data) % 2
    outside_at = directory_at + 2 + 12 * len(entries) + 4
    directory, outside = struct.pack("<H", len(entries)), b""
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}{sizes[kind]}", *values)
        directory += struct.pack("<HHI", tag, kind, len(values))
        if kind == 16:
            directory += struct.pack("<I", values[0])  # where the number lies
        elif len(packed) <= 4:
            directory += packed.ljust(4, b"\0")
        else:
            directory += struct.pack("<I", outside_at + len(outside))
            outside += packed
    head = b"II*\0" + struct.pack("<I", directory_at)
    return head + data.ljust(directory_at - 8, b"\0") + directory + bytes(4) + outside


def segment(marker: int, body: bytes = b"") -> bytes:
    """One JPEG segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def saved(image: Image.Image, format: str, **options: object) -> bytes:  # noqa: A002 - Pillow's own name
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def flat(width: int, height: int, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height))


@functools.lru_cache(maxsize=1)
def textured(width: int, height: int) -> Image.Image:
    """A picture with something in every block, that still compresses."""
    y, x = np.mgrid[0:height, 0:width].astype(np.uint32)
    grey = ((x * 7 + y * 3) % 251 ^ (x >> 4) + (y >> 5)).astype(np.uint8)
    return Image.fromarray(np.stack([grey, grey[::-1], 255 - grey], axis=-1))


def small_jpeg() -> bytes:
    return saved(flat(64, 64), "JPEG")


# --- PNG -----------------------------------------------------------------------------------------------------------


@bomb
def png_rgb_just_under_the_limit() -> bytes:
    return png(*WHOLE)


@bomb
def png_sixteen_bit_rgba_just_under_the_limit() -> bytes:
    return png(*WHOLE, depth=16, colour=6)


@bomb
def png_interlaced_just_under_the_limit() -> bytes:
    return png(*WHOLE, colour=6, interlaced=True)


@bomb
def png_palette_just_under_the_limit() -> bytes:
    return png(*WHOLE, colour=3, extra=png_chunk(b"tRNS", bytes(200)))


@bomb
def png_bilevel_just_under_the_limit() -> bytes:
    return png(*WHOLE, depth=1, colour=0)


@bomb
def png_sixteen_bit_grey_just_under_the_limit() -> bytes:
    return png(*WHOLE, depth=16, colour=0)


@bomb
def png_grey_with_a_transparent_shade_just_under_the_limit() -> bytes:
    return png(*WHOLE, colour=0, extra=png_chunk(b"tRNS", bytes(2)))


@bomb
def png_far_over_the_limit() -> bytes:
    return png(100_000, 100_000, body=_zeros(1000))


@bomb
def png_of_the_greatest_size_that_fits_the_header() -> bytes:
    return png(2**31 - 1, 2**31 - 1, body=_zeros(1000))


@bomb
def png_of_one_pixel_with_a_hundred_megabytes_behind_it() -> bytes:
    return png(1, 1, body=_zeros(1 << 27))


@bomb
def png_with_hundreds_of_thousands_of_chunks() -> bytes:
    return png(8, 8, extra=png_chunk(b"juNk") * (UPLOAD // 12 - 100))


@bomb
def png_with_hundreds_of_thousands_of_pixel_chunks() -> bytes:
    whole = png(8, 8)
    at = whole.index(b"IDAT") - 4
    return whole[:at] + png_chunk(b"IDAT") * (UPLOAD // 12 - 100) + whole[at:]


@bomb
def png_with_text_that_unpacks_to_gigabytes() -> bytes:
    text = png_chunk(b"zTXt", b"note\0\0" + _zeros(1 << 24))
    return png(8, 8, extra=text * (UPLOAD // len(text) - 1))


@bomb
def png_with_texts_just_under_pillows_own_limit() -> bytes:
    text = png_chunk(b"zTXt", b"note\0\0" + _zeros((1 << 20) - 1))
    return png(8, 8, extra=text * 63)


@bomb
def png_with_a_colour_profile_that_unpacks_to_a_hundred_megabytes() -> bytes:
    return png(8, 8, extra=png_chunk(b"iCCP", b"icc\0\0" + _zeros(1 << 27)))


@bomb
def png_with_tens_of_thousands_of_frames() -> bytes:
    control = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 1, 0, 0))
    return png(8, 8, extra=png_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)) + control * 100)


# --- JPEG ----------------------------------------------------------------------------------------------------------


@bomb
def jpeg_just_under_the_limit() -> bytes:
    return saved(textured(*LIMIT), "JPEG", quality=30)


@bomb
def jpeg_progressive_just_under_the_limit() -> bytes:
    return saved(textured(*LIMIT), "JPEG", quality=30, progressive=True)


@bomb
def jpeg_without_its_end_just_under_the_limit() -> bytes:
    return jpeg_just_under_the_limit()[:-2]


@bomb
def jpeg_progressive_without_its_end_just_under_the_limit() -> bytes:
    return jpeg_progressive_just_under_the_limit()[:-2]


@bomb
def jpeg_cmyk_just_under_the_limit() -> bytes:
    return saved(flat(*LIMIT, "CMYK"), "JPEG")


@bomb
def jpeg_without_subsampling_just_under_the_limit() -> bytes:
    return saved(textured(*LIMIT), "JPEG", quality=20, subsampling=0)


@bomb
def jpeg_one_pixel_high_and_too_long_to_shrink() -> bytes:
    return saved(flat(65_000, 600), "JPEG")


@bomb
def jpeg_of_the_greatest_size_that_fits_the_header() -> bytes:
    data = bytearray(small_jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    return bytes(data)


@bomb
def jpeg_header_that_lies_up_to_the_limit() -> bytes:
    data = bytearray(small_jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 5000, 8000)
    return bytes(data)


def _scans(width: int, height: int, scan: bytes, count: int, marker: bytes) -> bytes:
    data = saved(flat(width, height), "JPEG", progressive=True)
    end = data.rindex(b"\xff\xd9")
    return data[:end] + scan * count + b"\xff\xd9" if marker in data else b""


@bomb
def jpeg_with_hundreds_of_thousands_of_scans() -> bytes:
    # A refinement of one coefficient with no data: libjpeg walks over the whole picture for every one of them.
    scan = segment(0xDA, bytes([1, 1, 0, 1, 1, 0x10])) + b"\0"
    return _scans(4000, 4000, scan, UPLOAD // len(scan) - 5000, b"\xff\xc2")


@bomb
def jpeg_with_scans_just_under_the_limit() -> bytes:
    scan = segment(0xDA, bytes([1, 1, 0, 1, 1, 0x10])) + b"\0"
    return _scans(4000, 4000, scan, 39, b"\xff\xc2")


@bomb
def jpeg_of_one_plane_a_scan_repeated() -> bytes:
    # Baseline, but its planes come one by one: libjpeg then reads scans until the end of the file.
    data = bytearray(saved(flat(3000, 3000), "JPEG"))
    start = data.index(b"\xff\xda")
    scan = segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + b"\0"
    return bytes(data[:start]) + scan * 300_000 + b"\xff\xd9"


@bomb
def jpeg_with_a_million_comments() -> bytes:
    data = small_jpeg()
    return data[:2] + segment(0xFE) * (UPLOAD // 4 - 1000) + data[2:]


@bomb
def jpeg_with_exif_in_hundreds_of_thousands_of_pieces() -> bytes:
    data = small_jpeg()
    piece = segment(0xE1, b"Exif\0\0x")
    return data[:2] + piece * (UPLOAD // len(piece) - 1000) + data[2:]


@bomb
def jpeg_with_junk_before_its_frame() -> bytes:
    data = small_jpeg()
    return data[:2] + segment(0xFE) + bytes(UPLOAD - 5000) + data[2:]


@bomb
def jpeg_with_fill_bytes_before_its_frame() -> bytes:
    data = small_jpeg()
    return data[:2] + b"\xff" * (UPLOAD - 5000) + data[2:]


@bomb
def jpeg_with_tables_without_end() -> bytes:
    data = small_jpeg()
    table = segment(0xDB, bytes([0]) + bytes([1] * 64))
    return data[:2] + table * (UPLOAD // len(table) - 100) + data[2:]


@bomb
def jpeg_with_a_photoshop_block_of_a_hundred_thousand_resources() -> bytes:
    data = small_jpeg()
    block = segment(0xED, b"Photoshop 3.0\0" + (b"8BIM" + bytes(8)) * 5000)
    return data[:2] + block * (UPLOAD // len(block) - 1) + data[2:]


@bomb
def jpeg_with_exif_of_sixty_thousand_tags() -> bytes:
    entry = b"".join(struct.pack("<HHII", 1000 + i, 3, 1, 1) for i in range(5400))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5400) + entry + bytes(4)
    data = small_jpeg()
    return data[:2] + segment(0xE1, exif[:65_000]) + data[2:]


@bomb
def jpeg_with_exif_that_points_at_itself() -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, 8) for tag in (0x8769, 0x8825, 0xA005))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 3) + entries + struct.pack("<I", 8)
    data = small_jpeg()
    return data[:2] + segment(0xE1, exif) + data[2:]


@bomb
def jpeg_with_several_pictures_that_point_at_themselves() -> bytes:
    entries = struct.pack("<HHII", 0xB001, 4, 1, 1_000_000) + struct.pack("<HHII", 0xB002, 7, 16, 8)
    body = b"MPF\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + bytes(4)
    data = small_jpeg()
    return data[:2] + segment(0xE2, body) + data[2:]


# --- GIF -----------------------------------------------------------------------------------------------------------


def gif(screen: tuple[int, int], blocks: bytes, image: bytes | None = None) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + blocks + (gif_image(1, 1) if image is None else image) + b";"


def gif_image(width: int, height: int, data: bytes = b"\x02\x02\x44\x01\x00") -> bytes:
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + data


@bomb
def gif_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE, "P"), "GIF")


@bomb
def gif_screen_of_four_billion_pixels() -> bytes:
    return gif((65_535, 65_535), b"")


@bomb
def gif_small_screen_with_a_huge_frame() -> bytes:
    return gif((1, 1), b"", gif_image(65_535, 65_535))


@bomb
def gif_frame_that_is_cleared_before_it_is_refused() -> bytes:
    control = b"!\xf9\x04\x08\0\0\0\0"
    return gif((1, 1), control, gif_image(65_535, 2_700))


@bomb
def gif_with_two_million_comments() -> bytes:
    return gif((1, 1), b"!\xfe" + b"\x01c" * (UPLOAD // 2 - 100) + b"\0")


@bomb
def gif_with_a_million_extensions() -> bytes:
    return gif((1, 1), b"!\x01\0" * (UPLOAD // 3 - 100))


@bomb
def gif_with_junk_between_its_blocks() -> bytes:
    return gif((1, 1), b"x" * (UPLOAD - 100))


@bomb
def gif_with_a_hundred_thousand_frames() -> bytes:
    return gif((1, 1), b"", gif_image(1, 1) * 200_000)


# --- BMP -----------------------------------------------------------------------------------------------------------


def bmp(width: int, height: int, bits: int, compression: int, data: bytes, colours: int = 0) -> bytes:
    palette = bytes(range(256)) * 4 if bits <= 8 else b""
    palette = palette[: 4 * (colours or 1 << bits)]
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, colours, 0)
    offset = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + head + palette + data


@bomb
def bmp_runs_just_under_the_limit() -> bytes:
    return bmp(2000, 2000, 8, 1, (b"\xfa\x00" * 8 + b"\0\0") * 2000 + b"\0\1")


@bomb
def bmp_of_empty_lines() -> bytes:
    return bmp(8000, 5000, 8, 1, b"\x01\x01\0\0" * 5000 + b"\0\1")


@bomb
def bmp_of_empty_lines_just_under_the_limit() -> bytes:
    return bmp(2000, 2000, 8, 1, b"\x01\x01\0\0" * 2000 + b"\0\1")


@bomb
def bmp_four_bit_runs_just_under_the_limit() -> bytes:
    return bmp(2000, 2000, 4, 2, (b"\xfa\x12" * 8 + b"\0\0") * 2000 + b"\0\1")


@bomb
def bmp_bilevel_just_under_the_limit() -> bytes:
    return bmp(6240, 4000, 1, 0, b"\x5a" * (780 * 4000))


@bomb
def bmp_of_the_greatest_size_that_fits_the_header() -> bytes:
    return bmp(2**31 - 1, 2**31 - 1, 24, 0, b"")


# --- TIFF ----------------------------------------------------------------------------------------------------------


def _rgb_tiff(width: int, height: int, compression: int, data: bytes, **more: int) -> bytes:
    tags = {258: (3, [8, 8, 8]), 259: (3, [compression]), 262: (3, [2]), 273: (4, [8]), 277: (3, [3]),
            278: (4, [height]), 279: (4, [len(data)])}  # fmt: skip
    return tiff(width, height, tags | {int(k[1:]): (4, [v]) for k, v in more.items()}, data)


@bomb
def tiff_deflate_just_under_the_limit() -> bytes:
    return _rgb_tiff(*WHOLE, 8, _zeros(3 * WHOLE[0] * WHOLE[1]))


@bomb
def tiff_lzw_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE), "TIFF", compression="tiff_lzw")


@bomb
def tiff_rgba_lzw_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE, "RGBA"), "TIFF", compression="tiff_lzw")


@bomb
def tiff_lzma_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE), "TIFF", compression="lzma")


@bomb
def tiff_zstd_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE), "TIFF", compression="zstd")


@bomb
def tiff_jpeg_just_under_the_limit() -> bytes:
    return saved(textured(*WHOLE), "TIFF", compression="jpeg")


@bomb
def tiff_packbits_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE), "TIFF", compression="packbits")


@bomb
def tiff_fax_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE, "1"), "TIFF", compression="group4")


@bomb
def tiff_float_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE, "F"), "TIFF", compression="tiff_adobe_deflate")


@bomb
def tiff_32_bit_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE, "I"), "TIFF", compression="tiff_adobe_deflate")


@bomb
def tiff_lab_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE, "LAB"), "TIFF", compression="tiff_lzw")


@bomb
def tiff_turned_just_under_the_limit() -> bytes:
    return _rgb_tiff(*WHOLE, 8, _zeros(3 * WHOLE[0] * WHOLE[1]), t274=6)


@bomb
def tiff_of_a_million_strips_of_the_same_bytes() -> bytes:
    count = UPLOAD // 4 - 30_000
    tags = {258: (3, [8]), 259: (3, [1]), 262: (3, [1]), 273: (4, [8] * count), 278: (4, [1])}
    return tiff(1, count, tags, bytes(70_000))


@bomb
def tiff_of_a_million_compressed_strips() -> bytes:
    count = UPLOAD // 8 - 30_000
    body = zlib.compress(b"\0")
    tags = {258: (3, [8]), 259: (3, [8]), 262: (3, [1]), 273: (4, [8] * count), 278: (4, [1]),
            279: (4, [len(body)] * count)}  # fmt: skip
    return tiff(1, count, tags, body)


@bomb
def tiff_tile_far_larger_than_the_picture() -> bytes:
    body = _zeros(30_000 * 30_000)
    tags = {258: (3, [8]), 259: (3, [8]), 262: (3, [1]), 322: (4, [30_000]), 323: (4, [30_000]),
            324: (4, [8]), 325: (4, [len(body)])}  # fmt: skip
    return tiff(16, 16, tags, body)


@bomb
def tiff_tile_of_two_gigabytes_that_are_not_there() -> bytes:
    tags = {258: (3, [8]), 259: (3, [8]), 262: (3, [1]), 322: (4, [65_520]), 323: (4, [32_000]),
            324: (4, [8]), 325: (4, [10])}  # fmt: skip
    return tiff(16, 16, tags, _zeros(100))


@bomb
def tiff_tile_whose_size_lies_elsewhere() -> bytes:
    # As 64-bit numbers, which a classic TIFF has no room for in its directory.
    size = struct.pack("<Q", 30_000)
    body = _zeros(1 << 24)
    tags = {258: (3, [8]), 259: (3, [8]), 262: (3, [1]), 322: (16, [8]), 323: (16, [8]), 324: (4, [16]),
            325: (4, [len(body)])}  # fmt: skip
    return tiff(16, 16, tags, size + body)


@bomb
def tiff_strip_far_larger_than_the_picture() -> bytes:
    body = _zeros(1 << 27)
    tags = {258: (3, [8]), 259: (3, [8]), 262: (3, [1]), 273: (4, [8]), 278: (4, [2**31]),
            279: (4, [len(body)])}  # fmt: skip
    return tiff(16, 16, tags, body)


@bomb
def tiff_of_raw_strips_just_under_the_limit() -> bytes:
    tags = {258: (3, [8]), 259: (3, [1]), 262: (3, [1]), 273: (4, [8] * 65_536), 278: (4, [1])}
    return tiff(300, 65_536, tags, bytes(70_000))


@bomb
def tiff_tile_just_under_the_limit() -> bytes:
    body = _zeros(5008 * 4992 * 4)
    tags = {258: (3, [8, 8, 8, 8]), 259: (3, [8]), 262: (3, [2]), 277: (3, [4]), 338: (3, [2]), 322: (4, [5008]),
            323: (4, [4976]), 324: (4, [8]), 325: (4, [len(body)])}  # fmt: skip
    return tiff(16, 16, tags, body)


@bomb
def tiff_many_small_tiles_of_the_same_bytes() -> bytes:
    body = _zeros(16 * 16 * 3)
    count = 500 * 312
    tags = {258: (3, [8, 8, 8]), 259: (3, [8]), 262: (3, [2]), 277: (3, [3]), 322: (4, [16]), 323: (4, [16]),
            324: (4, [8] * count), 325: (4, [len(body)] * count)}  # fmt: skip
    return tiff(8000, 4992, tags, body)


@bomb
def tiff_of_sixty_thousand_tags() -> bytes:
    tags = {tag: (3, [1]) for tag in range(1000, 64_000) if tag not in (33723, 34675, 34377)}
    base = {258: (3, [8]), 259: (3, [1]), 262: (3, [1]), 273: (4, [8]), 278: (4, [1]), 279: (4, [1])}
    return tiff(1, 1, tags | base, b"\0")


@bomb
def tiff_of_the_greatest_size_that_fits_the_header() -> bytes:
    return _rgb_tiff(2**32 - 1, 2**32 - 1, 8, b"")


@bomb
def tiff_whose_directory_points_at_itself() -> bytes:
    data = bytearray(saved(flat(8, 8), "TIFF"))
    at = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, at)[0]
    struct.pack_into("<I", data, at + 2 + 12 * count, at)
    return bytes(data)


# --- WebP ----------------------------------------------------------------------------------------------------------


@bomb
def webp_lossless_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE), "WEBP", lossless=True, method=0, quality=0)


@bomb
def webp_lossy_just_under_the_limit() -> bytes:
    return saved(textured(*WHOLE), "WEBP", quality=5, method=0)


@bomb
def webp_textured_lossless_just_under_the_limit() -> bytes:
    return saved(textured(*WHOLE), "WEBP", lossless=True, method=0, quality=0)


@bomb
def webp_with_alpha_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE, "RGBA"), "WEBP", method=0)


@bomb
def webp_canvas_of_the_greatest_size() -> bytes:
    return _webp_canvas(16_777_215, 255)


@bomb
def webp_canvas_just_under_pillows_own_limit() -> bytes:
    return _webp_canvas(16_000, 11_000)


def _webp_canvas(width: int, height: int) -> bytes:
    frame = saved(flat(8, 8), "WEBP", lossless=True)[12:]
    where = (0).to_bytes(3, "little") * 2 + (7).to_bytes(3, "little") * 2 + (10).to_bytes(3, "little") + b"\0"
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size
    chunks += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    chunks += b"ANMF" + struct.pack("<I", len(where + frame)) + where + frame
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


@bomb
def webp_header_that_lies() -> bytes:
    data = bytearray(saved(flat(8, 8), "WEBP", lossless=True))
    data[21:25] = struct.pack("<I", 16_383 | 16_383 << 14)
    return bytes(data)


@bomb
def webp_with_tens_of_thousands_of_frames() -> bytes:
    frame = saved(flat(1, 1), "WEBP", lossless=True)[12:]
    where = bytes(12) + (10).to_bytes(3, "little") + b"\0"
    one = b"ANMF" + struct.pack("<I", len(where + frame)) + where + frame
    chunks = (
        b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + bytes(6) + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    )
    chunks += one * (4_000_000 // len(one))
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


@bomb
def webp_with_a_million_unknown_chunks() -> bytes:
    data = saved(flat(8, 8), "WEBP", lossless=True)
    size = bytes([7, 0, 0, 7, 0, 0])
    chunks = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size + data[12:] + (b"junk" + bytes(4)) * 500_000
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


# --- AVIF ----------------------------------------------------------------------------------------------------------


@bomb
def avif_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE), "AVIF", speed=10, quality=30)


@bomb
def avif_textured_just_under_the_limit() -> bytes:
    return saved(textured(*WHOLE), "AVIF", speed=10, quality=30)


@bomb
def avif_with_alpha_just_under_the_limit() -> bytes:
    return saved(flat(*WHOLE, "RGBA"), "AVIF", speed=10, quality=30)


@bomb
def avif_whose_picture_is_larger_than_its_header_says() -> bytes:
    data = bytearray(saved(flat(12_000, 12_000, "L"), "AVIF", speed=10, quality=10))
    at = data.index(b"ispe")
    data[at + 8 : at + 16] = struct.pack(">II", 64, 64)
    return bytes(data)


@bomb
def avif_whose_picture_is_larger_than_its_header_says_small() -> bytes:
    data = bytearray(saved(flat(128, 128), "AVIF", speed=10))
    at = data.index(b"ispe")
    data[at + 8 : at + 16] = struct.pack(">II", 8, 8)
    return bytes(data)


@bomb
def avif_over_the_limit() -> bytes:
    return saved(flat(10_000, 8000, "L"), "AVIF", speed=10, quality=10)
