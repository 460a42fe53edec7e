"""The small pictures of the samples, one strip for each set: a visit loads one file instead of one a sample.

python -m tests.web.sample_strips    web/samples/STRIP.webp for every row of SAMPLES in web/view/classes.js
"""

import re
import sys

from PIL import Image

from tests.web.world import SAMPLES, WEB, sample

SIDE = 112
QUALITY = 80
# Where the square is cut: left, top and side in shares of the width, the height and the shorter side; else the middle.
CUTS = {"shepherd": (0.63, 0.0, 0.48)}


def rows() -> dict[str, list[str]]:
    """The strips of the page: name of the file → names of the photos, from left to right."""
    source = (WEB / "view" / "classes.js").read_text(encoding="utf-8")
    found = re.findall(r'strip: "([\w-]+)", photos: \[(.*?)\]', source)
    return {strip: re.findall(r'"(\w+)"', photos) for strip, photos in found}


def strip(photos: list[str]) -> Image.Image:
    """The squares of these samples, side by side."""
    image = Image.new("RGB", (SIDE * len(photos), SIDE))
    for i, name in enumerate(photos):
        image.paste(_square(name), (i * SIDE, 0))
    return image


def _square(name: str) -> Image.Image:
    photo = sample(name)
    width, height = photo.size
    side = min(photo.size)
    left, top = (width - side) / 2, (height - side) / 2
    if name in CUTS:
        left, top, side = CUTS[name][0] * width, CUTS[name][1] * height, round(CUTS[name][2] * side)
    box = (round(left), round(top), round(left + side), round(top + side))
    return photo.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box)


def main() -> int:
    """Makes them all; returns the exit status."""
    for name, photos in rows().items():
        path = SAMPLES / f"{name}.webp"
        strip(photos).save(path, "WEBP", quality=QUALITY, method=6)
        print(f"{path.relative_to(WEB.parent)}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
