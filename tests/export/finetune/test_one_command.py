"""The command that made the published cats and dogs, from folders of photos to a model that is served."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api import _registry
from tests.conftest import ROOT, clean_environment
from tests.export.finetune.conftest import write

# A folder with cats-vs-dogs, pets-elsewhere and neither, of which every hundredth photo is taken. Without it the photos
# are drawn.
PHOTOS = "PURRDICT_PHOTOS"
SOURCES = ("cats-vs-dogs", "pets-elsewhere")
SCENES = ("rooms", "streets", "people-faces")


def a_hundredth(of: Path, root: Path) -> None:
    for folder in sorted(
        {path.parent for name in (*SOURCES, "neither") for path in (of / name).rglob("*.*")}
    ):
        target = root / folder.relative_to(of)
        target.mkdir(parents=True)
        for photo in sorted(folder.iterdir())[::100]:
            (target / photo.name).symlink_to(photo)


def drawn(root: Path) -> None:
    for seed, (split, count) in enumerate({"train": 16, "val": 6, "test": 6}.items()):
        for number, source in enumerate(SOURCES):
            for label, kind in (("cat", "disc"), ("dog", "square")):
                write(root / source / split / label, kind, count // (1 + number), 10 * seed + number)
        for number, kind in enumerate(SCENES):
            write(root / "neither" / split / kind, "background", count // 2, 10 * seed + number)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    if PHOTOS in os.environ:
        a_hundredth(Path(os.environ[PHOTOS]), root)
    else:
        drawn(root)
    return root


@pytest.mark.long
def test_one_command_leads_from_photos_to_a_published_model(photos: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    command = [
        sys.executable, "-m", "export", "train", "--data", *(str(photos / name) for name in SOURCES),
        "--neither", str(photos / "neither"), "--recipe", "wild", "--devices", "1", "--out", str(tmp_path / "run"),
        "--publish", "--anyway", "--models", str(models),
    ]  # fmt: skip
    environment = clean_environment(PURRDICT_CACHE=str(tmp_path / "cache"))
    finished = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    model = _registry.read_model(models)
    assert model.labels == ("cat", "dog")
    assert len(model.weights) < 4e6
    assert (model.directory / "body.pt").stat().st_size < 20e6
    card = (model.directory / "README.md").read_text(encoding="utf-8")
    for section in ("By where the photos come from", "Is the heatmap about", "learning.png", "operating.png"):
        assert section in card
    assert str(tmp_path) not in card
    assert "published 1.0.0" in finished.stdout
