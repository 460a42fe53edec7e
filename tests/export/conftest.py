"""Photos to train on, generated, and a run on them: the real body, so that what is tested is what users get."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tests.conftest import require

LABELS = ("disc", "square")

collect_ignore_glob = []
if not all(importlib.util.find_spec(module) for module in ("sklearn", "onnx", "matplotlib", "tqdm")):
    collect_ignore_glob = ["test_*.py", "*/test_*.py"]


@pytest.fixture(autouse=True)
def _training_side() -> None:
    require("sklearn")


@pytest.fixture(autouse=True)
def _no_cache_of_the_developers_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PURRDICT_CACHE", str(tmp_path / "cache"))


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


def write_class(folder: Path, kind: str, count: int, seed: int = 0) -> Path:
    """So many photos of a kind as JPEG in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([seed, *kind.encode()])
    for i in range(count):
        draw(kind, random).save(folder / f"{i:03}.jpg", quality=92)
    return folder


def write_photos(root: Path, per_class: int, seed: int = 0) -> Path:
    """`root/photos/{train,val,test}/{disc,square}` and `root/neither/{train,val,test}`, as JPEG."""
    for number, split in enumerate(("train", "val", "test")):
        count = per_class if split == "train" else max(4, per_class // 3)
        for kind in LABELS:
            write_class(root / "photos" / split / kind, kind, count, seed * 10 + number)
        write_class(root / "neither" / split, "neither", count, seed * 10 + number)
    return root


@pytest.fixture
def without_plots_and_stopwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing and timing take half of a run's seconds; `finished` has both."""
    from export.measure import plots, scores

    monkeypatch.setattr(plots, "draw_all", lambda *_: [])
    monkeypatch.setattr(scores, "latency_ms", lambda *_: 1.0)


def _no_test_needs_a_body(request: pytest.FixtureRequest) -> bool:
    """Whether all tests of this process are of modules that say so: preparing one takes longer than such tests do."""
    own = Path(__file__).parent
    return all(
        getattr(item.module, "NEEDS_NO_BODY", False)  # type: ignore[attr-defined]
        for item in request.session.items
        if own in item.path.parents
    )


@pytest.fixture(autouse=True, scope="session")
def _one_session_for_each_graph(request: pytest.FixtureRequest) -> Iterator[None]:
    """The body's graph takes onnxruntime longer to prepare than most tests take to run it."""
    require("sklearn")
    if _no_test_needs_a_body(request):
        yield
        return
    from export import run
    from export.body import body as bodies

    session = functools.lru_cache(maxsize=4)(bodies.session)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "session", session)
        patch.setattr(run, "session", session)
        yield


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of photos that several tests write: the same bytes have the same features."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture(autouse=True, scope="session")
def _a_tenth_of_the_negatives(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """The real body with a tenth of its negatives: fitting on all of them would take most of the tests' time."""
    require("sklearn")
    if _no_test_needs_a_body(request):
        yield
        return
    from export.body import body as bodies
    from export.files import read_json, write_json

    folder = shutil.copytree(bodies.BODIES / "lite0", tmp_path_factory.mktemp("bodies") / "lite0")
    with np.load(folder / bodies.FEATURES) as stored:
        arrays = dict(stored)
    arrays |= {name: arrays[name][::10] for name in ("codes", "kinds")}
    np.savez_compressed(folder / bodies.FEATURES, **arrays)
    metadata = read_json(folder / bodies.METADATA)
    metadata["features"]["sha256"] = hashlib.sha256((folder / bodies.FEATURES).read_bytes()).hexdigest()
    write_json(folder / bodies.METADATA, metadata)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "BODIES", folder.parent)
        yield


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated photos of discs and squares, with all splits, and of neither."""
    return write_photos(tmp_path_factory.mktemp("generated"), per_class=16)


@pytest.fixture(scope="session")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of the default recipe on the generated photos, one for all processes."""
    from export import recipe
    from export.train import train

    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished-run"
    with require("filelock").FileLock(f"{out}.lock"):
        if not (out / "model.onnx").exists():
            train(
                [photos / "photos"], out, recipe.load("lite0"), photos / "neither", photos / "cache",
                "python -m export train photos",
            )  # fmt: skip
    return out


@pytest.fixture(scope="session")
def published(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that holds the finished run as 1.0.0."""
    from export.publish.publish import publish

    models = tmp_path_factory.mktemp("models")
    publish(finished, models, command="python -m export publish")
    return models
