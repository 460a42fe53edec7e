"""A tiny network, trained for a few seconds on generated photos."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from tests.conftest import require
from tests.export.conftest import draw

# Looked for and not imported: PyTorch takes seconds, which only the tests that use it should cost.
_NEEDED = ("torch", "lightning_fabric", "onnx", "onnxscript", "sklearn", "tqdm")
if not all(importlib.util.find_spec(module) for module in _NEEDED):
    # Their imports would fail before any test could say why; test_needs.py says it.
    collect_ignore_glob = ["test_[!n]*.py"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where the long tests are left out anyway, no process need import PyTorch, which takes seconds, to find them."""
    return "not long" in config.option.markexpr and collection_path.name != "test_needs.py" or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever trains with PyTorch is long."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name != "test_needs.py":
            item.add_marker("long")


SIZE = 32
# The settings of a run that learns in seconds.
TINY: dict[str, Any] = {
    "network": "tiny", "norm": "updated", "sizes": [[32, 5], [48, 2]], "batch_size": 8, "learning_rate": 0.02,
    "head_learning_rate": 0.02, "weight_decay": 0.001, "crop_scale": 0.6, "none_share": 0.3, "none_crop_scale": 0.5,
    "label_smoothing": 0.0, "ema_decay": 0.9,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _network_training() -> None:
    require("torch")


def write(folder: Path, kind: str, count: int, seed: int = 0) -> None:
    """So many photos of a kind, as PNG."""
    random = np.random.default_rng((seed, len(kind)))
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        draw(kind, random).save(folder / f"{i:03}.png")


def write_all(root: Path, train: int = 24, val: int = 8) -> Path:
    """`root/photos/{train,val}/{disc,square}` and `root/none/{train,val}`."""
    for seed, (split, count) in enumerate({"train": train, "val": val}.items()):
        for kind in ("disc", "square"):
            write(root / "photos" / split / kind, kind, count, seed)
        write(root / "none" / split, "background", count, seed)
    return root


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("generated"))


Train = Callable[..., Any]


@pytest.fixture(scope="session")
def train(photos: Path) -> Train:
    """Trains on the generated photos: `train(out, root=..., none=False, **settings)`; what is said goes to `said`.

    The body, which takes seconds, is not made.
    """
    torch = require("torch")
    torch.set_num_threads(1)
    from export.finetune.train import train_body
    from export.photos.find import Found, find, find_neither
    from export.recipe import Recipe

    def run(
        out: Path, root: Path = photos, none: bool = True, resume: bool = False, said: list[str] | None = None,
        **settings: Any,
    ) -> Any:  # fmt: skip
        found = find(root / "photos")
        others = find_neither(root / "none", found.labels) if none else Found(found.labels, {})
        recipe = Recipe(name="tiny", finetune={**TINY, **settings})
        say = (said if said is not None else []).append
        with mock.patch("export.finetune.make.make"):
            return train_body(recipe, found, others, out, "python -m export train", resume, 1, say)

    return run


@pytest.fixture(scope="session")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, from photos to the served graph."""
    require("torch").set_num_threads(1)
    from export.recipe import Recipe
    from export.train import train

    out = tmp_path_factory.mktemp("run")
    train([photos / "photos"], out, Recipe(name="tiny", finetune=TINY), photos / "none", None, devices=1)
    return out
