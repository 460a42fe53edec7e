"""How often two animals are found in photos of both, and how often in photos of one.

    python -m benchmarks.both PHOTOS                 PHOTOS/CLASS/... as for training; two classes of the served model
    python -m benchmarks.both PHOTOS --search        also what other numbers of api/_present.py would do

Composites: a photo of each class side by side, at the same height, each pair once, left and right in turn. Singles:
other photos, alone. Choose on val; report on test. Prints one JSON line for each setting: `both` is the share of
composites in which both were found, `one_called_both` that of single animals, `again` the share of single photos looked
at twice.
"""

import argparse
import itertools
import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from api import _present, _registry, _settings
from api._classifier import Classifier, _cut

HEIGHT = 448
PHOTO = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Look:
    """What is known of one photo: the label beside the likeliest, at its first and its second look."""

    probability: float
    advantage: float
    again: float
    again_recognized: bool
    recognized: bool

    def found(self, rule: _present.Rule) -> bool:
        """Whether `rule` calls it a photo of both."""
        return self.looked(rule) and _present.confirmed(self.again, self.again_recognized, rule)

    def looked(self, rule: _present.Rule) -> bool:
        """Whether `rule` looks twice."""
        return (
            self.recognized
            and self.probability >= rule.least_probability
            and self.advantage >= rule.least_advantage
        )


def main() -> int:
    """Prints the figures; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument(
        "--classes", nargs=2, metavar=("A", "B"), help="default: the first two of the model's labels"
    )
    parser.add_argument("--count", type=int, default=200, help="composites, and singles of each class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--search", action="store_true")
    options = parser.parse_args()
    settings = _settings.read_settings()
    classifier = Classifier(_registry.read_model(settings.model_dir, settings.model_version))
    names = options.classes or classifier.model.labels[:2]
    files = [_files(options.photos / name, options.seed) for name in names]
    count = min(options.count, len(files[0]) // 2, len(files[1]) // 2)
    if count < 1:
        print(f"error: {options.photos} has no photos in {' and '.join(names)}.", file=sys.stderr)
        return 2
    pairs = zip(files[0][:count], files[1][:count], strict=True)
    both = [_look(classifier, _side_by_side(pair, bool(i % 2))) for i, pair in enumerate(pairs)]
    one = [_look(classifier, _opened(path)) for half in files for path in half[count : 2 * count]]
    rules = [_present.RULE, *(_others() if options.search else [])]
    for rule in rules:
        print(
            json.dumps(
                {
                    "model": classifier.model.version,
                    "pairs": len(both),
                    "singles": len(one),
                    **_rates(both, one, rule),
                }
            )
        )
    return 0


def _rates(both: list[Look], one: list[Look], rule: _present.Rule) -> dict[str, float]:
    return {
        "least_probability": rule.least_probability,
        "least_advantage": rule.least_advantage,
        "least_second_look": rule.least_second_look,
        "both": round(sum(look.found(rule) for look in both) / len(both), 4),
        "one_called_both": round(sum(look.found(rule) for look in one) / len(one), 4),
        "again": round(sum(look.looked(rule) for look in one) / len(one), 4),
    }


def _others() -> list[_present.Rule]:
    grid = itertools.product(
        (0.0005, 0.001, 0.002, 0.005), (0.0, 0.1, 0.2, 0.3), (0.8, 0.9, 0.95, 0.97, 0.98)
    )
    return [
        _present.Rule(least_probability=p, least_advantage=advantage, least_second_look=again)
        for p, advantage, again in grid
    ]


def _look(classifier: Classifier, photo: Image.Image) -> Look:
    """Both looks, whatever the first one says."""
    size = classifier.model.input_size
    pixels = np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR))
    probabilities, score, maps = _outputs(classifier, pixels)
    best, other = np.argsort(-probabilities)[:2]
    advantage, box = _present.best_half(maps[other], maps[best], size)
    known = score >= classifier.model.recognized_threshold
    again, again_score, _ = _outputs(classifier, _cut(pixels, box))
    again_known = again_score >= classifier.model.recognized_threshold
    return Look(float(probabilities[other]), advantage, float(again[other]), again_known, known)


def _outputs(
    classifier: Classifier, pixels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], float, NDArray[np.float32]]:
    names = ["probabilities", "recognized", "heatmap"]
    probabilities, recognized, maps = classifier._session.run(names, {"pixels": pixels[np.newaxis]})
    return probabilities[0], float(recognized[0]), maps[0]


def _files(folder: Path, seed: int) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO)
    random.Random(seed).shuffle(found)
    return found


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _side_by_side(pair: tuple[Path, Path], swapped: bool) -> Image.Image:
    photos = [_opened(path) for path in pair]
    photos = [photo.resize((max(1, round(photo.width * HEIGHT / photo.height)), HEIGHT)) for photo in photos]
    left, right = reversed(photos) if swapped else photos
    whole = Image.new("RGB", (left.width + right.width, HEIGHT))
    whole.paste(left, (0, 0))
    whole.paste(right, (left.width, 0))
    return whole


if __name__ == "__main__":
    sys.exit(main())
