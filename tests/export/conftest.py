"""Photos to train on, generated, and a network trained on them for a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tests.conftest import require

for module in ("torch", "kornia", "lightning_fabric", "onnx", "onnxscript", "matplotlib", "tqdm"):
    try:
        __import__(module)
    except ImportError:
        collect_ignore_glob = ["test_*.py"]

LABELS = ("disc", "square")
SIZE = 64


@pytest.fixture(autouse=True)
def _training_side() -> None:
    require("torch")


def draw(kind: str, random: np.random.Generator) -> Image.Image:
    """A bright disc or square on a dark, blurred, coloured background; anything else gives the background alone."""
    background = Image.fromarray(random.integers(0, 110, (6, 6, 3), dtype=np.uint8)).resize((80, 72))
    photo = background.filter(ImageFilter.GaussianBlur(3))
    x, y, r = random.integers(24, 56), random.integers(24, 48), random.integers(12, 20)
    box = (int(x - r), int(y - r), int(x + r), int(y + r))
    if kind == "disc":
        ImageDraw.Draw(photo).ellipse(box, fill=(230, 60, 50))
    elif kind == "square":
        ImageDraw.Draw(photo).rectangle(box, fill=(70, 80, 240))
    return photo


def write_photos(root: Path, per_class: int, seed: int = 0) -> Path:
    """`root/photos/{train,val,test}/{disc,square}` and `root/neither/{train,val,test}`, as JPEG."""
    random = np.random.default_rng(seed)
    for split in ("train", "val", "test"):
        count = per_class if split == "train" else max(4, per_class // 3)
        for kind in (*LABELS, "neither"):
            folder = root / "neither" / split if kind == "neither" else root / "photos" / split / kind
            folder.mkdir(parents=True)
            for i in range(count):
                draw(kind, random).save(folder / f"{i:03}.jpg", quality=92)
    return root


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("generated"), per_class=48)


@pytest.fixture(scope="session")
def load_pixels(photos: Path) -> Callable[..., Any]:
    """Pixels of a split of the generated photos, neither included."""
    from export import data

    def load(split: str, size: int = SIZE, root: Path = photos) -> data.Pixels:
        found = data.find(root / "photos", split)
        return data.load(
            found + data.find_neither(root / "neither", split, found.labels), size, photos / "cache"
        )

    return load


@pytest.fixture(scope="session")
def recipe() -> Any:
    from export.train import Recipe

    return Recipe(
        network="tiny",
        sizes=((48, 4), (64, 3)),
        batch_size=8,
        learning_rate=0.05,
        ema_decay=0.9,
        neither_share=0.3,
        teacher_size=0,
    )


@pytest.fixture(scope="session")
def run(
    photos: Path, load_pixels: Callable[..., Any], recipe: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished run on the generated photos."""
    import torch

    from export.train import train

    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("run")
    train(recipe, load_pixels("train"), load_pixels("val"), out, command="python -m export train")
    return out


@pytest.fixture(scope="session")
def published(run: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that holds the finished run as 0.0.1."""
    from export.publish import publish

    models = tmp_path_factory.mktemp("models")
    publish(
        [run],
        "0.0.1",
        models,
        photos / "photos",
        photos / "neither",
        "python -m export publish",
        photos / "cache",
    )
    return models
