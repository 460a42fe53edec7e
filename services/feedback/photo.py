"""A photo of a stranger → a small JPEG with nothing in it but the picture."""

from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import dataclass

from PIL import Image, ImageOps

# Training looks at 224 pixels; this leaves room to crop and for larger inputs later.
LONGEST_SIDE = 640
QUALITY = 88
# A JPEG is decoded at a fraction of its size; of other formats every pixel takes four bytes, and some of them twice.
MAX_PIXELS = {"JPEG": 40_000_000}
MAX_PIXELS_OTHERS = 16_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
# Decoding takes memory: two photos at a time, however many requests there are.
_DECODING = threading.BoundedSemaphore(2)


class PhotoError(ValueError):
    """The bytes cannot be kept as a photo; the message says what to do."""


@dataclass(frozen=True)
class Photo:
    """A JPEG as it is stored; its sha256 tells photos apart."""

    jpeg: bytes
    width: int
    height: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.jpeg).hexdigest()


def clean(data: bytes) -> Photo:
    """Decodes, turns upright, shrinks and encodes anew, so that no place, no camera's name and no comment stays.

    Raises PhotoError.
    """
    if not data:
        raise PhotoError("The photo is empty. Send a photo, or leave the field out.")
    with _DECODING:
        try:
            picture = _decode(data)
        except PhotoError:
            raise
        except MemoryError as error:
            raise PhotoError("The photo is too large to be read. Send a smaller one.") from error
        except Exception as error:  # decoders raise anything: OSError, SyntaxError, struct.error ...
            raise PhotoError(
                "The photo cannot be read. Send it as JPEG, PNG, WebP, GIF or AVIF, whole."
            ) from error
        # A picture of its own: Pillow would write the comment of the one that was opened into the new file.
        bare = Image.new("RGB", picture.size)
        bare.paste(picture)
        buffer = io.BytesIO()
        bare.save(buffer, "JPEG", quality=QUALITY)
        return Photo(buffer.getvalue(), *bare.size)


def _decode(data: bytes) -> Image.Image:
    opened = Image.open(io.BytesIO(data), formats=FORMATS)
    most = MAX_PIXELS.get(opened.format or "", MAX_PIXELS_OTHERS)
    if opened.width * opened.height > most:
        raise PhotoError(f"The photo has more than {most // 1_000_000} million pixels. Shrink it first.")
    opened.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    picture: Image.Image = ImageOps.exif_transpose(opened)
    transparent = picture.mode in ("RGBA", "LA", "PA", "P")
    picture = picture.convert("RGBA" if transparent else "RGB")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if transparent:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture
