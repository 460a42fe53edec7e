"""Photos on disk to pixels: layouts, splits, bad files, the cache, crops."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from api._image import decode
from export import data


def _photo(path: Path, colour: tuple[int, int, int] = (200, 10, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), colour).save(path)
    return path


def test_labels_are_the_folders_in_alphabetical_order(photos: Path) -> None:
    found = data.find(photos / "photos", "train")
    assert found.labels == ("disc", "square")
    assert found.count(0) == found.count(1) == 48
    assert all(
        path.parent.name == found.labels[t] for path, t in zip(found.paths, found.targets, strict=True)
    )


def test_petimages_is_split_by_name_without_overlap_and_the_same_each_time(tmp_path: Path) -> None:
    for label in ("Cat", "Dog"):
        for i in range(120):
            _photo(tmp_path / "PetImages" / label / f"{i}.jpg")
    splits = {split: data.find(tmp_path, split) for split in ("train", "val", "test", "all")}
    assert splits["all"].labels == ("cat", "dog")
    names = [set(splits[split].paths) for split in ("train", "val", "test")]
    assert sum(map(len, names)) == len(set.union(*names)) == 240 == len(splits["all"])
    assert all(names)
    assert len(names[0]) > 150
    assert data.find(tmp_path / "PetImages", "val") == splits["val"]


def test_an_unreadable_photo_is_reported_and_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for label in ("a", "b"):
        for i in range(3):
            _photo(tmp_path / "d" / "train" / label / f"{i}.png")
    (tmp_path / "d" / "train" / "a" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing")
    (tmp_path / "d" / "train" / "b" / "notes.txt").write_text("no photo")
    with caplog.at_level(logging.WARNING):
        pixels = data.load(data.find(tmp_path / "d", "train"), 16, tmp_path / "cache")
    assert pixels.array.shape == (5, 16, 16, 3)
    assert pixels.targets.tolist() == [0, 0, 1, 1, 1]
    assert "a/1.png" in caplog.text.replace(os.sep, "/")
    again = data.load(data.find(tmp_path / "d", "train"), 16, tmp_path / "cache")
    assert again.skipped == pixels.skipped
    assert len(again.skipped) == 1


def test_photos_that_are_all_unreadable_are_an_error_not_an_empty_training(tmp_path: Path) -> None:
    for label in ("a", "b"):
        _photo(tmp_path / "d" / label / "0.jpg").write_bytes(b"GIF89a")
    with pytest.raises(data.DataError, match="None of the 2 photos"):
        data.load(data.find(tmp_path / "d", "all"), 16, tmp_path / "cache")


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    _photo(tmp_path / "train" / "cat" / "0.jpg")
    (tmp_path / "train" / "dog").mkdir()
    with pytest.raises(data.DataError, match="dog has no photos"):
        data.find(tmp_path, "train")


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    _photo(tmp_path / "train" / "cat" / "0.jpg")
    with pytest.raises(data.DataError, match="at least two"):
        data.find(tmp_path, "train")


def test_a_missing_folder_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(data.DataError, match="--data"):
        data.find(tmp_path / "nowhere", "train")
    with pytest.raises(data.DataError, match="--neither"):
        data.find_neither(tmp_path / "nowhere", "train", ("a", "b"))


def test_labels_of_a_published_model_must_all_be_there(photos: Path) -> None:
    with pytest.raises(data.DataError, match="no folder for cat"):
        data.find(photos / "photos", "test", ("cat", "disc"))


def test_pixels_are_those_of_the_service(photos: Path, load_pixels: Callable[..., Any]) -> None:
    pixels = load_pixels("val")
    for row in (0, 7, len(pixels.photos) - 1):
        served = decode(pixels.photos.paths[row].read_bytes(), 64).pixels
        np.testing.assert_array_equal(pixels.array[row], served)


def test_the_cache_is_read_when_photos_are_the_same_and_rebuilt_when_one_changes(tmp_path: Path) -> None:
    for label in ("a", "b"):
        _photo(tmp_path / "d" / label / "0.png")
    cache = tmp_path / "cache"
    first = data.load(data.find(tmp_path / "d", "all"), 8, cache)
    files = sorted(cache.iterdir())
    data.load(data.find(tmp_path / "d", "all"), 8, cache)
    assert sorted(cache.iterdir()) == files
    _photo(tmp_path / "d" / "a" / "0.png", (5, 250, 5))
    os.utime(tmp_path / "d" / "a" / "0.png", ns=(1, 1))
    changed = data.load(data.find(tmp_path / "d", "all"), 8, cache)
    assert changed.fingerprint != first.fingerprint
    assert changed.array[0, 0, 0].tolist() == [5, 250, 5]


def test_a_crop_depends_on_seed_view_and_number_alone(load_pixels: Callable[..., Any]) -> None:
    pixels = load_pixels("train")
    samples = data.samples(pixels.targets, 64, 2, scale=0.4, neither_share=0.3)

    def crop(seed: int, view: int) -> torch.Tensor:
        return data.Crops(pixels.array, samples, 32, seed, view)[5][0]

    assert torch.equal(crop(0, 1), crop(0, 1))
    assert not torch.equal(crop(0, 1), crop(0, 2))
    assert not torch.equal(crop(0, 1), crop(1, 1))


def test_crops_stay_inside_their_region_and_cover_their_share_of_it(load_pixels: Callable[..., Any]) -> None:
    pixels = load_pixels("train")
    samples = data.samples(pixels.targets, 64, 2, scale=0.4, neither_share=0.3, close_share=0.5)
    for view in range(3):
        crops = data.Crops(pixels.array, samples, 32, view=view)
        for number in range(len(samples)):
            top, left, height, width = crops.box(number)
            region_top, region_left, region_height, region_width = samples.regions[number]
            assert region_top <= top < top + height <= region_top + region_height <= 64
            assert region_left <= left < left + width <= region_left + region_width <= 64
            # Sides are rounded to whole pixels, and a long side ends at the region's edge.
            assert height * width >= 0.3 * region_height * region_width


def test_crops_of_neither_may_be_smaller_than_those_that_must_not_lose_the_animal() -> None:
    samples = data.samples(
        np.array([0, 1, 2] * 9), 64, 2, scale=0.4, neither_share=0.5, close_share=0.2, neither_scale=0.1
    )
    assert set(samples.scales[samples.targets == 2]) == {0.1}
    assert set(samples.scales[samples.targets < 2]) == {0.4}


def test_photos_of_neither_fill_their_share_and_close_crops_come_last() -> None:
    targets = np.array([0] * 50 + [1] * 50 + [2] * 7)
    samples = data.samples(targets, 64, 2, scale=0.4, neither_share=0.2, close_share=0.1)
    assert (samples.targets == 2).sum() == 25
    assert len(samples) == 100 + 25 + 10
    assert samples.close == 10
    areas = samples.regions[:, 2] * samples.regions[:, 3] / 64**2
    assert (areas[:-10] == 1).all()
    assert ((areas[-10:] > 0.04) & (areas[-10:] < 0.31)).all()
    assert (samples.targets[-10:] < 2).all()


def test_the_whole_photo_at_its_own_size_is_left_as_it_is(load_pixels: Callable[..., Any]) -> None:
    pixels = load_pixels("val")
    crop, target, number = data.Crops(pixels.array, data.whole(pixels.targets, 64), 64)[3]
    np.testing.assert_array_equal(crop.permute(1, 2, 0).numpy(), pixels.array[3])
    assert (target, number) == (0, 3)
