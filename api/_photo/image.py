"""An uploaded file → the square of uint8 pixels that the network takes.

The order is what keeps it cheap and safe: name the format from its first bytes, refuse what is not on the short list
before any decoder runs, refuse headers that promise endless work (limits.py), read the size from the header, refuse
too many pixels before any is decoded, let JPEG decode at a fraction of its size, resize, and only then turn, convert
and flatten, on an image of input size.
"""

import importlib
import io
import math
import time
import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from api._photo.errors import ImageError, damaged, too_large
from api._photo.formats import format_of
from api._photo.limits import DEFAULT_MAX_PIXELS, WHOLE_SHARE, excess
from api._photo.repair import with_end, with_padding, without_notes

# Decode JPEG at no less than this many times the target. At 1.0 a photo of 640 x 480 would take little more than half
# the time, but probabilities would move by some hundredths from those of the browser, and of the photos trained on.
DRAFT_GAP = 1.5

# Let `resize` shrink in two steps above this many times the target: Pillow's documentation calls 2.0 nearly, 3.0
# indistinguishable from the one-step result.
REDUCING_GAP = 2.0

# Of a JPEG that was cut off at its very end, the most that may be missing, as a share of the network's input: the last
# blocks of the last row. Browsers show such a photo as whole.
MAX_MISSING_SHARE = 0.01

_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 0x0102
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Photo:
    """A photo ready for the network.

    Attributes:
        pixels: uint8 [size, size, 3], RGB, upright, the whole photo squashed to a square.
        width, height: the photo's own size in pixels, upright.
        format: the format that its first bytes say.
        decode_ms, resize_ms: milliseconds spent.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: str
    decode_ms: float
    resize_ms: float


def import_decoders() -> None:
    """Imports the decoders of the formats that are read, and no others.

    Pillow would import them at the first file that needs one, and with that one all forty that it has. Should the
    process be out of file descriptors at that moment, WebP and AVIF would count as not installed from then on.
    """
    Image.preinit()  # BMP, GIF, JPEG, PNG
    for name in ("AvifImagePlugin", "MpoImagePlugin", "TiffImagePlugin", "WebPImagePlugin"):
        importlib.import_module(f"PIL.{name}")


def decode(data: bytes, size: int, max_pixels: int = DEFAULT_MAX_PIXELS) -> Photo:
    """Decodes a photo of any readable format into the network's input.

    The whole photo is squashed to a square rather than cropped: an animal at the edge counts, and the heatmap covers
    everything that the user sent. Of an animation the first frame counts; transparency lies on white.

    Args:
        data: the file as uploaded.
        size: side of the square in pixels.
        max_pixels: width times height above which a JPEG is refused before it is decoded; other formats, which have
            to be decoded whole, are refused above WHOLE_SHARE of it.

    Raises:
        ImageError: empty, of a format that is not read, damaged, or too large.
    """
    name = format_of(data)
    if name != "JPEG":
        max_pixels = int(max_pixels * WHOLE_SHARE)
    try:
        if what := excess(name, data, max_pixels):
            raise ImageError(f"The {name} file has {what}. Save the photo again and send that.", 413)
        if name == "PNG":
            data = without_notes(data)
        elif name == "WebP":
            data = with_padding(data)
        elif name == "JPEG" and (versions := with_end(data)):
            return _decode_cut_off(versions, size, max_pixels)
        return _decode(name, data, size, max_pixels)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise too_large(max_pixels) from error
    except ImportError as error:
        # Without file descriptors no decoder can be loaded; what failed is tried again for the next photo.
        raise ImageError(f"{name} cannot be read just now. Send it again in a few seconds.", 503) from error
    except Exception as error:
        # Decoders of hostile bytes fail in many ways (OSError, SyntaxError, struct.error, IndexError, MemoryError ...):
        # whatever it was, the client's photo is what cannot be read, and the server is fine.
        raise damaged(name) from error


def _decode_cut_off(versions: tuple[bytes, bytes], size: int, max_pixels: int) -> Photo:
    """Decodes a JPEG without its end, given two versions that differ in what replaces the missing part.

    Raises:
        ImageError: more than a hundredth of the picture is missing.
    """
    photo, other = (_decode("JPEG", version, size, max_pixels) for version in versions)
    missing = (photo.pixels != other.pixels).any(axis=-1).mean()
    if missing > MAX_MISSING_SHARE:
        raise damaged("JPEG")
    times = photo.decode_ms + other.decode_ms, photo.resize_ms + other.resize_ms
    return replace(photo, decode_ms=times[0], resize_ms=times[1])


def _decode(name: str, data: bytes, size: int, max_pixels: int) -> Photo:
    start = time.perf_counter()
    with warnings.catch_warnings():
        # Pillow warns of big pictures and of odd metadata; the limit here is max_pixels, and logs are for requests.
        warnings.simplefilter("ignore")
        with _open(name, data) as image:
            _check_size(image, max_pixels)
            width, height = image.size
            # Formats other than JPEG ignore it.
            image.draft(None, (math.ceil(size * DRAFT_GAP), math.ceil(size * DRAFT_GAP)))
            image.load()
            _check_size(image, max_pixels)
            # Asked only now: loading a TIFF turns it and clears the note.
            turn = _orientation(image)
            decoded = time.perf_counter()
            pixels = _pixels(image, size, turn)
    if turn in (5, 6, 7, 8):
        width, height = height, width
    end = time.perf_counter()
    return Photo(pixels, width, height, name, (decoded - start) * 1e3, (end - decoded) * 1e3)


def _open(name: str, data: bytes) -> Image.Image:
    if name != "HEIC":
        return Image.open(io.BytesIO(data), formats=(name.upper(),))
    from api._photo import heic  # for the first HEIC only: a start need not pay for it

    return heic.decode_heic(data)


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError("The image has no pixels. Send a photo.")
    if width * height > max_pixels:
        raise too_large(max_pixels, image.size)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        # EXIF is the camera's note about the photo: when it is garbage, the photo may still be good.
        return 1


def _pixels(image: Image.Image, size: int, turn: int) -> NDArray[np.uint8]:
    image = _resizable(image)
    image = image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=REDUCING_GAP)
    if turn in _TURN:
        # The target is a square, so turning after resizing gives the same picture as before it, for a fraction.
        image = image.transpose(_TURN[turn])
    if "A" in image.getbands():
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _resizable(image: Image.Image) -> Image.Image:
    """Converts only modes whose pixels cannot be averaged: palettes, bilevel, and depths over eight bits."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("L", "RGB") and "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode == "LAB":
        # Its second band is called A too, and is no transparency.
        return image.convert("RGB")
    if image.mode.startswith("I;16"):
        # Pillow keeps the twelve bits of a microscope's TIFF as they are; all else fills sixteen.
        depth = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))[0]
        return Image.fromarray((np.asarray(image) >> (4 if depth == 12 else 8)).astype(np.uint8))
    if image.mode in ("I", "F"):
        return _stretched(image)
    return image


def _stretched(image: Image.Image) -> Image.Image:
    """32-bit greys have no standard range, so the darkest and the brightest value become black and white."""
    low, high = image.getextrema()
    low, high = float(low), float(high)  # type: ignore[arg-type]  # one band, so a pair of numbers
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageError(
            "The image holds values that are no numbers. Save it with 8 bits a channel and send it again."
        )
    scale = 255.0 / (high - low) if high > low else 0.0
    return image.convert("F").point(lambda value: value * scale + (-low * scale)).convert("L")
