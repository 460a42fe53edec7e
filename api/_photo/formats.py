"""Detects the format of a photo by its first bytes; file name and content type do not matter."""

from importlib.util import find_spec

from api._photo.errors import ImageError

# HEIC only where its decoder is installed.
READABLE = ("JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "AVIF", *(("HEIC",) if find_spec("pi_heif") else ()))

# First bytes → what people call the format. Those that Pillow could read but this service does not are here only so
# that the refusal can name them.
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "big-endian BigTIFF"),  # Pillow takes its head for a classic one, and libtiff does not
    (b"%PDF", "PDF"),
    (b"8BPS", "PSD"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"PK\x03\x04", "ZIP"),
    (b"%!PS", "PostScript"),
    (b"v/1\x01", "EXR"),
    (b"\x1aE\xdf\xa3", "WebM video"),
)
# What else a refusal says.
_HOW = {
    "HEIC": " On an iPhone choose Settings, Camera, Formats, Most Compatible; or export the photo as a JPEG.",
}
_AVIF_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def format_of(data: bytes) -> str:
    """The format of a file, one of READABLE.

    Raises:
        ImageError: it is another one, or none.
    """
    if not data:
        raise ImageError("The file is empty. Send a photo.")
    name = _sniff(data[:512])
    if name is None or name not in READABLE:
        what = f"{name} is not read here" if name else "This is no image that can be read"
        raise ImageError(
            f"{what}. Send a photo as {', '.join(READABLE[:-1])} or {READABLE[-1]}.{_HOW.get(name or '', '')}"
        )
    return name


def _sniff(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        # ISO media files: the major brand, then a minor version, then the brands that it is compatible with.
        brands = [head[8:12], *(head[i : i + 4] for i in range(16, min(len(head), _box_end(head)), 4))]
        if any(brand in _AVIF_BRANDS for brand in brands):
            return "AVIF"
        return "HEIC" if any(brand in _HEIC_BRANDS for brand in brands) else "MP4 video"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<svg", b"<?xml", b"<!doctype svg")):
        return "SVG" if b"svg" in text else "XML"
    if text.startswith((b"<!doctype html", b"<html")):
        return "HTML"
    return None


def _box_end(head: bytes) -> int:
    return int.from_bytes(head[:4], "big")
