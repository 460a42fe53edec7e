"""Copies, lopsided classes and wrong labels are noticed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from PIL import Image

from export import check
from export.body.extract import Features
from export.photos.find import Photos
from export.photos.hashes import difference_hash


def features(pictures: list[np.ndarray], targets: list[int]) -> Features:
    """Pictures as the body would see them, less the body: their own small versions."""
    small = [np.asarray(Image.fromarray(p).resize((12, 12)), np.float32).ravel() - 100 for p in pictures]
    photos = Photos(
        ("a", "b"),
        tuple(Path(f"{i}.jpg") for i in range(len(pictures))),
        tuple(targets),
        ("",) * len(pictures),
    )
    hashes = np.array([difference_hash(picture) for picture in pictures], dtype=np.uint64)
    return Features(photos, np.stack(small)[:, None], hashes, tuple(p.tobytes()[:999] for p in pictures))


def picture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((224, 224), Image.Resampling.BICUBIC))


def worse(original: np.ndarray) -> np.ndarray:
    """The same picture, smaller and darker."""
    small = Image.fromarray(original).resize((90, 90)).resize((224, 224))
    return (np.asarray(small) * 0.97).astype(np.uint8)


def test_near_copies_in_another_split_are_found_and_different_photos_are_not() -> None:
    pictures = [picture(i) for i in range(30)]
    copies = check.find_copies(features(pictures, [0] * 30), features([worse(pictures[3])], [0]))
    assert copies.between_splits == ((3, 30),)


def test_the_same_file_in_two_classes_is_found() -> None:
    pictures = [picture(i) for i in range(10)]
    copies = check.find_copies(
        features([*pictures, pictures[2]], [0] * 10 + [1]), features([picture(99)], [0])
    )
    assert copies.between_classes == ((2, 10),)


def test_each_copy_within_a_class_is_found_once() -> None:
    copies = check.find_copies(features([picture(1), picture(1)], [0, 0]), features([picture(2)], [0]))
    assert copies.doubles == (1,)
    assert not copies.between_splits
    assert not copies.between_classes


def test_classes_of_very_different_size_are_reported() -> None:
    assert "cat has 90" in check.lopsided(["cat", "dog"], [90, 30])
    assert check.lopsided(["cat", "dog"], [90, 31]) == ""


def test_a_label_that_the_other_photos_contradict_is_doubtful_and_a_close_call_is_not() -> None:
    probabilities = np.array([[0.9, 0.1], [0.02, 0.98], [0.45, 0.55], [0.05, 0.95]])
    assert check.doubtful(probabilities, np.array([0, 0, 0, 0])).tolist() == [1, 3]


def test_very_many_copies_of_one_photo_are_each_found_and_take_no_time() -> None:
    once = features([picture(1)], [0])
    many = 5000
    copied = Features(
        Photos(("a", "b"), once.photos.paths * many, (0,) * many, ("",) * many), once.values.repeat(many, axis=0),
        once.hashes.repeat(many), once.digests * many,
    )  # fmt: skip
    started = time.process_time()
    copies = check.find_copies(once, copied)
    assert {second for _, second in copies.between_splits} == set(range(1, many + 1))
    assert time.process_time() - started < 5
