"""Photos decoded once into an array on disk: the service's own pixels, kept only as long as they are right."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from api._photo.image import decode
from export.errors import ExportError
from export.finetune import pixels as room
from export.photos.find import Photos, find

from .conftest import write


def split(root: Path, name: str = "train") -> Photos:
    return find(root / "photos").splits[name]


def load(photos: Photos, folder: Path, size: int = 40) -> tuple[room.Pixels, list[str]]:
    said: list[str] = []
    return room.load(photos, size, folder, "train", said.append), said


def no_decoding(*_: Any) -> NoReturn:
    pytest.fail("decoded again")


def test_pixels_are_those_of_the_service(photos: Path, tmp_path: Path) -> None:
    pixels, said = load(split(photos), tmp_path)
    assert said == []
    for number in (0, 7, len(pixels.photos) - 1):
        served = decode(pixels.photos.paths[number].read_bytes(), 40).pixels
        np.testing.assert_array_equal(pixels.array[pixels.rows[number]], served)


def test_decoded_photos_are_kept_on_disk_not_in_memory(photos: Path, tmp_path: Path) -> None:
    pixels, _ = load(split(photos), tmp_path)
    assert isinstance(pixels.array, np.memmap)
    assert not pixels.array.flags.writeable


def test_the_second_time_nothing_is_decoded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = load(split(photos), tmp_path)
    monkeypatch.setattr(room, "decode", no_decoding)
    second, _ = load(split(photos), tmp_path)
    np.testing.assert_array_equal(first.array, second.array)
    assert first.digest == second.digest


@pytest.mark.parametrize("change", ["content", "another photo", "size", "order", "cut off", "facts"])
def test_any_change_of_the_photos_decodes_them_again(change: str, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "photos", tmp_path / "photos")
    folder, size = tmp_path / "pixels", 40
    found = split(tmp_path)
    first, _ = load(found, folder)
    if change == "content":
        shutil.copy(found.paths[-1], found.paths[0])
        os.utime(found.paths[0], ns=(1, 1))
    elif change == "another photo":
        write(tmp_path / "photos/train/disc/more", "disc", 1, seed=5)
        found = split(tmp_path)
    elif change == "size":
        size = 32
    elif change == "order":
        found = found.take(range(len(found))[::-1])
    elif change == "cut off":
        (folder / "train.npy").unlink()
    else:
        (folder / "train.json").write_text("{")
    again, _ = load(found, folder, size)
    assert (again.digest == first.digest) == (change not in ("content", "another photo"))
    for number in (0, len(found) - 1):
        served = decode(found.paths[number].read_bytes(), size).pixels
        np.testing.assert_array_equal(again.array[again.rows[number]], served)


def test_unreadable_photos_are_left_out_and_named_in_every_run(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "photos", tmp_path / "photos")
    found = split(tmp_path)
    for number in range(room.MOST_NAMED + 2):
        found.paths[number].write_bytes(b"\x89PNG\r\n\x1a\n and nothing")
    for _ in range(2):
        pixels, said = load(found, tmp_path / "pixels")
        assert len(said) == room.MOST_NAMED + 1
        assert "000.png" in said[0]
        assert said[-1] == "12 photos of train in all could not be read"
        assert pixels.photos.paths == found.paths[12:]
        served = decode(found.paths[12].read_bytes(), 40).pixels
        np.testing.assert_array_equal(pixels.array[pixels.rows[0]], served)


def test_photos_that_are_all_unreadable_are_an_error_not_an_empty_training(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    with pytest.raises(ExportError, match="None of the 1 photos of train can be read"):
        load(Photos(("a", "b"), (tmp_path / "a.gif",), (0,), ("",)), tmp_path)


def test_an_empty_set_of_photos_is_no_error(tmp_path: Path) -> None:
    pixels, said = load(Photos(("a", "b")), tmp_path)
    assert (len(pixels.photos), len(pixels.array), said) == (0, 0, [])


def test_an_interruption_leaves_no_half_decoded_array(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(split(photos), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_an_error_before_anything_is_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(ExportError, match="Make room, or choose another --out"):
        load(split(photos), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_digest_depends_on_content_and_class_not_on_names(photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "photos", tmp_path / "photos")
    first, _ = load(split(photos), tmp_path / "a")
    (tmp_path / "photos/train/disc/000.png").rename(tmp_path / "photos/train/disc/zzz.png")
    renamed, _ = load(split(tmp_path), tmp_path / "b")
    assert renamed.digest == first.digest
    shutil.move(tmp_path / "photos/train/disc/zzz.png", tmp_path / "photos/train/square/zzz.png")
    moved, _ = load(split(tmp_path), tmp_path / "c")
    assert moved.digest != first.digest
