"""Writes the models whose functions the page's reduced runtime keeps (README.md in this folder).

    python -m deploy.runtime.models FOLDER

Every published version, and the published body with heads for other numbers of classes, as `export` makes them: the
kernels take other ways for other sizes. The weights of those heads are noise, because only the shapes count. With each
FOLDER/NAME.onnx the side of its input in pixels: FOLDER/NAME.size.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from export.body.body import BODIES, load
from export.graph.assemble import assemble
from export.head import Head

VERSIONS = Path(__file__).parent.parent.parent / "model" / "versions"
BODY = "lite0"
CLASSES = (2, 3, 4, 5, 8, 13, 20, 37, 120, 1000)


def main(arguments: list[str] | None = None) -> int:
    """Writes them; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, weights, size in models():
        (folder / f"{name}.onnx").write_bytes(weights)
        (folder / f"{name}.size").write_text(str(size), encoding="utf-8")
        print(name)
    return 0


def models() -> Iterator[tuple[str, bytes, int]]:
    """Name, ONNX file and side of the input in pixels of each."""
    for path in sorted(VERSIONS.glob("*/model.onnx")):
        yield (
            path.parent.name,
            path.read_bytes(),
            json.loads(path.with_name("metadata.json").read_text(encoding="utf-8"))["input_size"],
        )
    body = load(BODIES / BODY)
    for classes in CLASSES:
        yield f"{BODY}-{classes}", own(classes), body.input_size


def own(classes: int) -> bytes:
    """The published body with a head of noise for so many classes, as an ONNX file."""
    body = load(BODIES / BODY)
    random = np.random.default_rng(classes)
    weights = random.normal(0, 1, (classes, body.channels)).astype(np.float32)
    return assemble(body, Head(weights, random.normal(0, 1, classes).astype(np.float32)), 1.0)


if __name__ == "__main__":
    sys.exit(main())
