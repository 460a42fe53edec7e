"""Contact sheets: many photos in one image, each with a line or two about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from export.files import printable, replacing

COLUMNS, SIDE, LINE = 6, 180, 15


def draw(cells: Sequence[tuple[Path, Sequence[str]]], path: Path) -> None:
    """Draw photos, each with its lines of text below it, into one PNG."""
    texts = max((len(lines) for _, lines in cells), default=0)
    height = SIDE + LINE * texts + 6
    columns = min(COLUMNS, max(1, len(cells)))
    sheet = Image.new("RGB", (columns * SIDE, math.ceil(len(cells) / columns) * height or 1), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for place, (photo, lines) in enumerate(cells):
        left, top = place % columns * SIDE, place // columns * height
        small = _thumbnail(photo)
        sheet.paste(small, (left + (SIDE - small.width) // 2, top + (SIDE - small.height) // 2))
        for number, line in enumerate(lines):
            text = _fitting(printable(line), font)
            pen.text(
                (left + 4, top + SIDE + number * LINE),
                text,
                fill="black" if number == 0 else "gray",
                font=font,
            )
    with replacing(path) as beside:
        sheet.save(beside)


def _thumbnail(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.draft("RGB", (SIDE, SIDE))
            photo = ImageOps.exif_transpose(image).convert("RGB")
    except Exception:  # the photo was readable before; whatever is wrong now, a gap in the sheet does no harm
        return Image.new("RGB", (SIDE // 2, SIDE // 2), "lightgray")
    photo.thumbnail((SIDE - 6, SIDE - 6))
    return photo


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    while text and font.getlength(text) > SIDE - 8:
        text = text[:-1]
    return text
