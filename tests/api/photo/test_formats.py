"""The format of a file, by its first bytes: read, or refused by its name."""

import pytest

from api._photo.errors import ImageError
from api._photo.formats import READABLE, format_of


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"),
        (b"BM", "BMP"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"RIFF\1\2\3\4WEBP", "WebP"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF"), (b"\0\0\0\x18ftypavis\0\0\0\0", "AVIF"),
    ],
)  # fmt: skip
def test_a_photo_is_known_by_its_first_bytes(head: bytes, name: str) -> None:
    assert format_of(head + bytes(100)) == name


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"])
def test_every_brand_of_heic_is_known(brand: bytes) -> None:
    pytest.importorskip("pi_heif")
    assert format_of(b"\0\0\0\x18ftyp" + brand + bytes(100)) == "HEIC"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"MM\0+", "big-endian BigTIFF"), (b"%PDF-1.7", "PDF"), (b"8BPS", "PSD"), (b"\0\0\1\0", "ICO"),
        (b"\0\0\0\x0cjP  ", "JPEG 2000"), (b"\xff\x4f\xff\x51", "JPEG 2000"), (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL ", "JPEG XL"), (b"PK\3\4", "ZIP"), (b"%!PS", "PostScript"), (b"v/1\1", "EXR"),
        (b"\x1aE\xdf\xa3", "WebM video"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_refused_by_its_name(head: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=f"{name} is not read here"):
        format_of(head + bytes(100))


def test_an_empty_file_and_an_unknown_one_are_refused_as_such() -> None:
    with pytest.raises(ImageError, match="empty"):
        format_of(b"")
    with pytest.raises(ImageError, match="no image that can be read"):
        format_of(b"hello" * 20)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf \t\r\n<SVG/>", "SVG"),
        (b"<?xml version='1.0'?>" + b" " * 300 + b"<svg/>", "SVG"),
        (b"<!DOCTYPE svg PUBLIC '-//W3C//DTD'>", "SVG"),
        (b"<?xml version='1.0'?><feed/>", "XML"),
        (b"<!doctype html><p>svg", "HTML"),
        (b"\n<HTML lang='en'>", "HTML"),
    ],
)
def test_text_that_browsers_show_is_named(text: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=f"^{name} is not read here"):
        format_of(text)


def ftyp(*brands: bytes, size: int | None = None, behind: bytes = b"") -> bytes:
    content = brands[0] + bytes(4) + b"".join(brands[1:])
    length = 8 + len(content) if size is None else size
    return length.to_bytes(4, "big") + b"ftyp" + content + behind


def test_a_film_is_told_from_a_picture_by_all_the_brands_in_its_first_box() -> None:
    assert format_of(ftyp(b"mif1", b"miaf", b"avif")) == "AVIF"
    with pytest.raises(ImageError, match="MP4 video is not read here"):
        format_of(ftyp(b"isom", b"mp42"))
    # What stands behind the box, or in the place of the version, is no brand.
    with pytest.raises(ImageError, match="MP4 video"):
        format_of(ftyp(b"isom", b"mp42", behind=b"avif"))
    with pytest.raises(ImageError, match="MP4 video"):
        format_of(b"\0\0\0\x14ftypisomavifmp42")
    # A box that says it is longer than what there is.
    assert format_of(ftyp(b"isom", b"avif", size=2**31)) == "AVIF"


def test_a_refusal_names_all_that_would_do_and_how_to_get_there() -> None:
    with pytest.raises(ImageError, match=r"Send a photo as JPEG, PNG, .* or \w+\.$") as caught:
        format_of(b"%PDF-1.7")
    for name in READABLE:
        assert name in str(caught.value)


def test_riff_is_a_webp_only_where_it_says_so() -> None:
    with pytest.raises(ImageError, match="no image that can be read"):
        format_of(b"RIFF\1\2\3\4WAVE")
