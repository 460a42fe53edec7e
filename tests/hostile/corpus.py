"""Small valid files of every kind that the eight decoders read, strange ones first: what strangers really send.

`SEEDS` maps a name to the file and to the picture it shows; the fuzzers start from the same files.
"""

import functools
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from api._photo.formats import READABLE
from tests.hostile import embedded
from tests.hostile.bombs import bmp, gif_image, png_chunk, saved, segment, tiff
from tests.hostile.heic import tiled

SIDE = 128


@dataclass(frozen=True)
class Seed:
    """One file.

    Attributes:
        shows: the picture in it, as an RGB image.
        tolerance: mean difference of a channel, 0 to 255, that its compression is allowed.
    """

    data: bytes
    shows: Image.Image
    tolerance: float = 1.5


def picture() -> Image.Image:
    """A gradient whose four corners differ, so that a wrong turn or a swapped channel shows."""
    ramp = np.linspace(0, 255, SIDE)
    x, y = np.meshgrid(ramp, ramp)
    return Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))


@functools.cache
def seeds() -> dict[str, Seed]:
    """Every seed by its name."""
    return {**_jpeg(), **_png(), **_gif(), **_bmp(), **_tiff(), **_webp(), **_avif(), **_heic()}


def _jpeg() -> dict[str, Seed]:
    rgb = picture()
    grey = rgb.convert("L")
    plain = saved(rgb, "JPEG", quality=90)
    second = saved(Image.new("RGB", (SIDE, SIDE), "red"), "JPEG")
    turned = rgb.transpose(Image.Transpose.ROTATE_90)
    files: dict[str, tuple[bytes, Image.Image]] = {
        "plain": (plain, rgb),
        "grey": (saved(grey, "JPEG"), grey),
        "cmyk": (saved(rgb.convert("CMYK"), "JPEG", quality=95), rgb),
        "progressive": (saved(rgb, "JPEG", progressive=True, quality=90), rgb),
        "without subsampling": (saved(rgb, "JPEG", subsampling=0), rgb),
        "subsampled 4:1:1": (saved(rgb, "JPEG", subsampling="4:1:1"), rgb),
        "kept as RGB": (saved(rgb, "JPEG", keep_rgb=True), rgb),
        "restart markers": (saved(rgb, "JPEG", restart_marker_blocks=2), rgb),
        "colour profile and comment": (
            saved(rgb, "JPEG", icc_profile=bytes(70_000), comment=b"x" * 60_000),
            rgb,
        ),
        "several pictures (MPO)": (saved(rgb, "MPO", save_all=True, append_images=[grey]), rgb),
        "another picture behind it": (plain + second, rgb),
        "a video behind it": (plain + bytes(range(256)) * 400, rgb),
        "fill bytes between its segments": (plain[:2] + b"\xff" * 30 + plain[2:], rgb),
        "arithmetic coding": (embedded.JPEG_ARITHMETIC, rgb),
        "arithmetic coding, progressive": (embedded.JPEG_ARITHMETIC_PROGRESSIVE, rgb),
        "orientation 0": (_with_exif(rgb, 0), rgb),
        "orientation 9": (_with_exif(rgb, 9), rgb),
        "orientation 65535": (_with_exif(rgb, 65_535), rgb),
        "orientation as text": (saved(rgb, "JPEG", exif=_text_orientation()), rgb),
        "orientation in XMP": (plain[:2] + segment(0xE1, _xmp(8)) + plain[2:], turned),
        "orientation in broken XMP": (plain[:2] + segment(0xE1, _xmp(8)[:-20] + b"\xff\xfe<") + plain[2:], rgb),
        "thumbnail in its EXIF": (plain[:2] + segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0" + second) + plain[2:], rgb),
    }  # fmt: skip
    return {f"JPEG {name}": Seed(data, shows.convert("RGB"), 4) for name, (data, shows) in files.items()}


def _with_exif(image: Image.Image, orientation: int, format: str = "JPEG") -> bytes:  # noqa: A002
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, format, exif=exif)


def _text_orientation() -> bytes:
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI4s", 0x0112, 2, 4, b"up!\0") + bytes(4)


def _xmp(orientation: int) -> bytes:
    description = f'<rdf:Description tiff:Orientation="{orientation}"/>'
    return b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + description.encode() + b"</x:xmpmeta>"


def _png_of(
    pixels: np.ndarray, depth: int, colour: int, interlaced: bool = False, extra: bytes = b""
) -> bytes:
    """A PNG by hand: [h, w, channels] of the depth's own type, big-endian, no filters."""
    passes = _ADAM7 if interlaced else [(0, 0, 1, 1)]
    rows = b"".join(
        b"\0" + row.tobytes() for x, y, dx, dy in passes for row in np.ascontiguousarray(pixels[y::dy, x::dx])
    )
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    body = zlib.compress(rows)
    half = len(body) // 2
    data = png_chunk(b"IDAT", body[:half]) + png_chunk(b"IDAT") + png_chunk(b"IDAT", body[half:])
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + extra + data + png_chunk(b"IEND")


_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def _png() -> dict[str, Seed]:
    rgb = picture()
    grey = rgb.convert("L")
    pixels = np.asarray(rgb)
    deep = (pixels.astype(">u2") * 257).astype(">u2")
    alpha = np.full((SIDE, SIDE, 1), 65_535, ">u2")
    palette = rgb.quantize(200)
    small = rgb.quantize(14)
    plain = saved(rgb, "PNG")
    half = rgb.convert("RGBA")
    half.putalpha(128)
    files: dict[str, tuple[bytes, Image.Image]] = {
        "plain": (plain, rgb),
        "16 bits a channel": (_png_of(deep, 16, 2), rgb),
        "16 bits and alpha": (_png_of(np.concatenate([deep, alpha], axis=-1), 16, 6), rgb),
        "16-bit grey and alpha": (
            _png_of(np.concatenate([(np.asarray(grey).astype(">u2") * 257)[..., None], alpha], axis=-1).astype(">u2"),
                    16, 4), grey),
        "interlaced": (_png_of(pixels, 8, 2, interlaced=True), rgb),
        "palette": (saved(palette, "PNG"), palette),
        "palette of 4 bits": (saved(small, "PNG", bits=4), small),
        "palette of 2 bits": (saved(rgb.quantize(4), "PNG", bits=2), rgb.quantize(4)),
        "bilevel": (saved(rgb.convert("1"), "PNG"), rgb.convert("1")),
        "grey and alpha": (saved(grey.convert("LA"), "PNG"), grey),
        "half transparent": (saved(half, "PNG"), Image.blend(rgb, Image.new("RGB", rgb.size, "white"), 0.498)),
        "a transparent colour": (saved(rgb, "PNG", transparency=(1, 2, 3)), rgb),
        "animated (APNG)": (saved(rgb, "PNG", save_all=True, append_images=[Image.new("RGB", rgb.size)]), rgb),
        "orientation in eXIf": (_with_exif(rgb, 8, "PNG"), rgb.transpose(Image.Transpose.ROTATE_90)),
        "unknown chunks of no length": (_png_of(pixels, 8, 2, extra=png_chunk(b"juNk") * 20), rgb),
        "text, compressed and not": (
            _png_of(pixels, 8, 2, extra=png_chunk(b"tEXt", b"a\0b") + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"b"))
                    + png_chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(b"b"))), rgb),
        "a broken colour profile": (_png_of(pixels, 8, 2, extra=png_chunk(b"iCCP", b"x\0\0garbage")), rgb),
        "something behind its end": (plain + b"<script>alert(1)</script>", rgb),
    }  # fmt: skip
    return {f"PNG {name}": Seed(data, shows.convert("RGB")) for name, (data, shows) in files.items()}


def _gif() -> dict[str, Seed]:
    palette = picture().quantize(200)
    red = Image.new("P", palette.size, 0)
    corner = (
        b"GIF89a"
        + struct.pack("<HHBBB", 8, 8, 0x80, 1, 0)
        + b"\xff\0\0\0\0\xff"
        + gif_image(4, 4, _lzw_zeros())
        + b";"
    )
    files = {
        "interlaced": (saved(palette, "GIF", interlace=1), palette),
        "not interlaced": (saved(palette, "GIF", interlace=0), palette),
        "animated": (saved(palette, "GIF", save_all=True, append_images=[red, red], loop=0), palette),
        "with a comment": (saved(palette, "GIF", comment=b"c" * 1000), palette),
        "a frame smaller than its screen": (corner, Image.new("RGB", (8, 8), "red")),
    }  # fmt: skip
    return {f"GIF {name}": Seed(data, shows.convert("RGB")) for name, (data, shows) in files.items()}


def _lzw_zeros() -> bytes:
    # Minimum code size 2: clear, sixteen zeros one by one (the table grows to 4 bits), end.
    bits, at = 0, 0
    for code, width in [(4, 3), (0, 3), (0, 3), (0, 3), *[(0, 4)] * 8, *[(0, 5)] * 5, (5, 5)]:
        bits |= code << at
        at += width
    data = bits.to_bytes((at + 7) // 8, "little")
    return bytes([2, len(data)]) + data + b"\0"


def _bmp() -> dict[str, Seed]:
    rgb = picture()
    grey = rgb.convert("L")
    pixels = np.asarray(rgb)
    bgr = np.ascontiguousarray(pixels[::-1, :, ::-1])
    five = (pixels >> 3).astype("<u2")
    fifteen = (five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]).astype("<u2")
    os2 = (
        b"BM"
        + struct.pack("<IHHI", 26 + bgr.size, 0, 0, 26)
        + struct.pack("<IHHHH", 12, SIDE, SIDE, 1, 24)
        + bgr.tobytes()
    )
    flat = Image.new("RGB", (8, 2), (1, 1, 1))
    files = {
        "24 bits": (saved(rgb, "BMP"), rgb),
        "32 bits": (saved(rgb.convert("RGBA"), "BMP"), rgb),
        "16 bits": (bmp(SIDE, SIDE, 16, 0, fifteen[::-1].tobytes()), Image.fromarray(pixels & 0xF8)),
        "top to bottom": (bmp(SIDE, -SIDE, 24, 0, np.ascontiguousarray(pixels[:, :, ::-1]).tobytes()), rgb),
        "of OS/2": (os2, rgb),
        "grey": (saved(grey, "BMP"), grey),
        "bilevel": (saved(rgb.convert("1"), "BMP"), rgb.convert("1")),
        "run-length coded": (bmp(8, 2, 8, 1, b"\x08\x01\0\0\x08\x01\0\1"), flat),
    }  # fmt: skip
    return {f"BMP {name}": Seed(data, shows.convert("RGB"), 5) for name, (data, shows) in files.items()}


def _tiff() -> dict[str, Seed]:
    rgb = picture()
    grey = rgb.convert("L")
    pixels = np.asarray(rgb)
    deep = np.asarray(grey).astype(np.uint16)
    files: dict[str, tuple[bytes, Image.Image]] = {
        f"packed by {name}": (saved(rgb, "TIFF", compression=name), rgb)
        for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma", "zstd")
    }
    files |= {
        "packed by JPEG": (saved(rgb, "TIFF", compression="jpeg", quality=95), rgb),
        **{f"fax {name}": (saved(rgb.convert("1"), "TIFF", compression=name), rgb.convert("1"))
           for name in ("group3", "group4", "tiff_ccitt")},
        "big-endian": (_tiff_big_endian(deep), grey),
        "BigTIFF": (saved(rgb, "TIFF", big_tiff=True), rgb),
        "several pages": (saved(rgb, "TIFF", save_all=True, append_images=[grey, grey]), rgb),
        "CMYK": (saved(rgb.convert("CMYK"), "TIFF"), rgb),
        "YCbCr": (saved(rgb.convert("YCbCr"), "TIFF"), rgb),
        "palette": (saved(rgb.quantize(200), "TIFF"), rgb.quantize(200)),
        "grey and alpha": (saved(grey.convert("LA"), "TIFF"), grey),
        "palette and alpha": (saved(rgb.quantize(200).convert("PA"), "TIFF"), rgb.quantize(200)),
        "RGBX": (saved(rgb.convert("RGBX"), "TIFF"), rgb),
        "white is zero": (_tiff_of(255 - np.asarray(grey), {262: (3, [0])}), grey),
        "16 bits a channel": (_tiff_of((pixels.astype(np.uint16) * 257), {258: (3, [16, 16, 16]), 262: (3, [2])}), rgb),
        "16-bit grey": (_tiff_of(deep * 257, {258: (3, [16])}), grey),
        "12-bit grey": (_tiff_of(_twelve_bits(deep * 16 + deep // 16), {258: (3, [12])}, grey.size), grey),
        "planes apart": (_tiff_of(np.ascontiguousarray(pixels.transpose(2, 0, 1)), _PLANAR, rgb.size), rgb),
        "in tiles": (_tiff_tiled(pixels), rgb),
        "premultiplied alpha": (
            _tiff_of(np.concatenate([pixels, np.full((SIDE, SIDE, 1), 255, np.uint8)], axis=-1),
                     {258: (3, [8] * 4), 262: (3, [2]), 277: (3, [4]), 338: (3, [1])}), rgb),
        "one strip a row": (_tiff_of(pixels, {262: (3, [2]), 258: (3, [8] * 3), 278: (4, [1]),
                                              273: (4, [8 + 3 * SIDE * row for row in range(SIDE)])}), rgb),
    }  # fmt: skip
    # LAB has other corners than RGB: only what lies within both can be compared.
    lab = Image.new("LAB", (SIDE, SIDE), (128, 128, 128))
    files["LAB"] = (saved(lab, "TIFF"), Image.new("RGB", (SIDE, SIDE), (119, 119, 119)))
    return {f"TIFF {name}": Seed(data, shows.convert("RGB"), 5) for name, (data, shows) in files.items()}


_PLANAR: dict[int, tuple[int, list[int]]] = {
    258: (3, [8, 8, 8]), 262: (3, [2]), 277: (3, [3]), 284: (3, [2]), 273: (4, [8 + i * SIDE * SIDE for i in range(3)]),
    279: (4, [SIDE * SIDE] * 3),
}  # fmt: skip


def _tiff_of(
    array: np.ndarray, tags: dict[int, tuple[int, list[int]]], size: tuple[int, int] | None = None
) -> bytes:
    """An unpacked TIFF of this array, little-endian; `tags` add to those of an 8-bit grey."""
    width, height = size or (array.shape[1], array.shape[0])
    channels = array.shape[2] if array.ndim == 3 and size is None else 1
    data = array.tobytes()
    base: dict[int, tuple[int, list[int]]] = {
        258: (3, [8]), 259: (3, [1]), 262: (3, [1]), 273: (4, [8]), 277: (3, [channels]), 278: (4, [height]),
        279: (4, [len(data)]),
    }  # fmt: skip
    return tiff(width, height, base | tags, data)


def _tiff_tiled(pixels: np.ndarray) -> bytes:
    tiles = [pixels[y : y + 64, x : x + 64] for y in (0, 64) for x in (0, 64)]
    data = b"".join(np.ascontiguousarray(tile).tobytes() for tile in tiles)
    size = 64 * 64 * 3
    tags = {258: (3, [8] * 3), 259: (3, [1]), 262: (3, [2]), 277: (3, [3]), 322: (3, [64]), 323: (3, [64]),
            324: (4, [8 + i * size for i in range(4)]), 325: (4, [size] * 4)}  # fmt: skip
    return tiff(SIDE, SIDE, tags, data)


def _tiff_big_endian(grey: np.ndarray) -> bytes:
    data = (grey * 257).astype(">u2").tobytes()
    values = {256: (4, SIDE), 257: (4, SIDE), 258: (3, 16), 259: (3, 1), 262: (3, 1), 273: (4, 8), 277: (3, 1),
              278: (4, SIDE), 279: (4, len(data))}  # fmt: skip
    directory = struct.pack(">H", len(values))
    for tag, (kind, value) in values.items():
        packed = struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
        directory += struct.pack(">HHI", tag, kind, 1) + packed
    return b"MM\0*" + struct.pack(">I", 8 + len(data)) + data + directory + bytes(4)


def _twelve_bits(values: np.ndarray) -> np.ndarray:
    first, second = values[:, 0::2].astype(np.uint32), values[:, 1::2].astype(np.uint32)
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8)


def _webp() -> dict[str, Seed]:
    rgb = picture()
    clear = rgb.convert("RGBA")
    clear.putalpha(0)
    frames: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", rgb.size)]}
    files = {
        "lossless": (saved(rgb, "WEBP", lossless=True), rgb),
        "lossy": (saved(rgb, "WEBP", quality=90), rgb),
        "animated": (saved(rgb, "WEBP", quality=90, **frames), rgb),
        "wholly transparent": (
            saved(clear, "WEBP", lossless=True, exact=True),
            Image.new("RGB", rgb.size, "white"),
        ),
        "orientation": (_with_exif(rgb, 8, "WEBP"), rgb.transpose(Image.Transpose.ROTATE_90)),
        "something behind its end": (saved(rgb, "WEBP", quality=90) + b"behind", rgb),
    }
    return {f"WebP {name}": Seed(data, shows, 5) for name, (data, shows) in files.items()}


def _avif() -> dict[str, Seed]:
    rgb = picture()
    files = {
        "plain": (saved(rgb, "AVIF"), rgb),
        "4:4:4": (saved(rgb, "AVIF", subsampling="4:4:4"), rgb),
        "grey": (saved(rgb.convert("L"), "AVIF"), rgb.convert("L")),
        "with alpha": (saved(rgb.convert("RGBA"), "AVIF"), rgb),
        "animated": (saved(rgb, "AVIF", save_all=True, append_images=[Image.new("RGB", rgb.size)]), rgb),
        "orientation": (_with_exif(rgb, 8, "AVIF"), rgb.transpose(Image.Transpose.ROTATE_90)),
        "of ten bits": (embedded.AVIF_TEN_BIT, rgb),
        "a grid of four": (embedded.AVIF_GRID, rgb),
    }
    return {f"AVIF {name}": Seed(data, shows.convert("RGB"), 5) for name, (data, shows) in files.items()}


def _heic() -> dict[str, Seed]:
    """None where the decoder is not installed: then no HEIC reaches one."""
    if "HEIC" not in READABLE:
        return {}
    rgb = picture()
    files = {
        "plain": embedded.HEIC_PLAIN,
        "with alpha": embedded.HEIC_ALPHA,
        "of ten bits": embedded.HEIC_TEN_BIT,
        "of one tile": tiled(1, 1).build(),
    }
    return {f"HEIC {name}": Seed(data, rgb, 5) for name, data in files.items()}
