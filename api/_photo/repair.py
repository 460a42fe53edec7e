"""Repairs valid files that Pillow calls damaged, and files with so little damage that every browser shows them.

Nothing here looks at a pixel. A PNG loses its notes, which Pillow reads with limits of its own. A JPEG whose end was
cut off gets one, and a second version that tells how much of its picture is missing.
"""

import zlib

from api._photo.limits import jpeg_scan

# Parts of a PNG that a decoder may skip, though they make pixels transparent, or may say how to turn them.
_PNG_NEEDED = {b"tRNS", b"eXIf"}
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# The texts that may say how to turn the picture too, and how much of each is unpacked.
_PNG_ORIENTATION = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
MAX_TEXT_BYTES = 1_000_000
_JPEG_END = b"\xff\xd9"


def without_notes(png: bytes) -> bytes:
    """The PNG without texts, colour profile, animation and whatever else does not change its first picture's pixels.

    A file whose parts cannot be told is left as it is from there on, for its decoder to judge.
    """
    kept, at, texts = [png[:8]], 8, 0
    while at + 12 <= len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        kind = png[at + 4 : at + 8]
        if end > len(png) or not kind.isalpha():
            break
        # A capital letter means that no decoder may skip it; this one may not know it, and will say so.
        text = kind in _PNG_TEXTS and texts < len(_PNG_ORIENTATION) and _turns(kind, png[at + 8 : end - 4])
        texts += text
        if kind in _PNG_NEEDED or kind[:1].isupper() or (text and _is_intact(png[at:end])):
            kept.append(png[at:end])
        at = end
    kept.append(png[at:])
    return b"".join(kept)


def _turns(kind: bytes, body: bytes) -> bool:
    keyword = next((word for word in _PNG_ORIENTATION if body.startswith(word)), None)
    if keyword is None:
        return False
    rest = body[len(keyword) :]
    if kind == b"tEXt" or (kind == b"iTXt" and rest[:1] == b"\0"):
        return len(rest) <= MAX_TEXT_BYTES
    # zTXt has one byte in front of what is packed; iTXt two, a language and a translated keyword.
    packed = rest[1:] if kind == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(packed, MAX_TEXT_BYTES)
    except zlib.error:
        return False
    return not unpacker.unconsumed_tail


def _is_intact(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def with_end(jpeg: bytes) -> tuple[bytes, bytes] | None:
    """A JPEG that was cut off before its end marker, in two versions that have one; None where it needs none.

    In the first, what is missing is grey. In the second its own last scan is repeated there instead. Decoders read as
    much of it as the picture lacks, so both give the same pixels exactly where the file was whole.
    """
    if jpeg.endswith(_JPEG_END):
        return None
    scan = jpeg_scan(jpeg)
    if scan is None or scan[1]:
        return None
    start = scan[0]
    data = jpeg.rstrip(b"\0")  # some programs fill up what they could not save
    if len(data) == len(jpeg):
        data = data.rstrip(b"\xff")  # half a marker
    elif data.endswith(b"\xff"):
        data += b"\0"  # the pixel byte 0xFF is written 0xFF00
    return data + _JPEG_END, data + jpeg[start : len(data)] + _JPEG_END


def with_padding(webp: bytes) -> bytes:
    """A WebP that lacks only the last byte, which fills it up to an even number: with that byte."""
    promised = int.from_bytes(webp[4:8], "little") + 8
    return webp + b"\0" if promised == len(webp) + 1 and promised % 2 == 0 else webp
