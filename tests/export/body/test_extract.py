"""Features: the same whether they come from the body or from the cache, and nothing that was computed is lost."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export import files
from export.body import body as bodies
from export.body import extract as extracting
from export.body.body import Body
from export.body.extract import Cache, extract
from export.errors import ExportError
from export.photos.find import Photos, find
from tests.conftest import ROOT
from tests.export.conftest import write_class


@pytest.fixture(scope="module")
def body() -> Body:
    return bodies.load(ROOT / "model" / "bodies" / "lite0")


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    for kind in ("disc", "square"):
        write_class(tmp_path / "photos" / kind, kind, 5)
    return find(tmp_path / "photos").splits["train"]


class Counting:
    """An extractor that counts the photos that reach the body."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.stop_after = 0, 10**9
        original = extracting._Extractor.__call__

        def call(extractor: extracting._Extractor, content: bytes) -> tuple[int, np.ndarray]:
            if self.count >= self.stop_after:
                raise KeyboardInterrupt
            self.count += 1
            return original(extractor, content)

        monkeypatch.setattr(extracting._Extractor, "__call__", call)


def test_the_second_time_everything_comes_unchanged_from_the_cache(
    body: Body, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch)
    first = extract(body, photos, Cache(tmp_path / "cache", body), ("whole", "flipped"))
    second = extract(body, photos, Cache(tmp_path / "cache", body), ("whole", "flipped"))
    assert counting.count == len(photos)
    assert np.array_equal(first.values, second.values)
    assert np.array_equal(first.hashes, second.hashes)
    assert first.digests == second.digests


def test_the_cache_key_is_the_content_not_the_name(
    body: Body, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(body, photos, Cache(tmp_path / "cache", body))
    counting = Counting(monkeypatch)
    os.rename(tmp_path / "photos", tmp_path / "moved")
    moved = find(tmp_path / "moved").splits["train"]
    extract(body, moved, Cache(tmp_path / "cache", body))
    assert counting.count == 0
    write_class(tmp_path / "moved" / "disc", "square", 1, seed=9)
    extract(body, moved, Cache(tmp_path / "cache", body))
    assert counting.count == 1


def test_after_an_interruption_what_was_computed_is_there(
    body: Body, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extracting, "CHUNK", 2)
    counting = Counting(monkeypatch)
    counting.stop_after = 6
    with pytest.raises(KeyboardInterrupt):
        extract(body, photos, Cache(tmp_path / "cache", body))
    counting.count, counting.stop_after = 0, 10**9
    extract(body, photos, Cache(tmp_path / "cache", body))
    assert counting.count <= 6


def test_a_mirrored_view_is_that_of_the_mirrored_photo(body: Body, photos: Photos, tmp_path: Path) -> None:
    for path in photos.paths:
        with Image.open(path) as image:
            image.resize((224, 224)).save(path.with_suffix(".png"))
            image.resize((224, 224)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path.with_suffix(".bmp"))
    plain = Photos(
        photos.labels, tuple(p.with_suffix(".png") for p in photos.paths), photos.targets, photos.kinds
    )
    mirrored = Photos(
        photos.labels, tuple(p.with_suffix(".bmp") for p in photos.paths), photos.targets, photos.kinds
    )
    both = extract(body, plain, Cache(None, body), ("whole", "flipped"))
    one = extract(body, mirrored, Cache(None, body))
    assert np.allclose(both.values[:, 1], one.values[:, 0], atol=1e-3)
    assert not np.allclose(both.values[:, 0], one.values[:, 0], atol=1e-3)


def test_a_zoomed_view_is_that_of_the_photos_middle(body: Body, photos: Photos) -> None:
    original = Image.fromarray(np.random.default_rng(0).integers(0, 256, (288, 288, 3), dtype=np.uint8))
    original.save(photos.paths[0].with_suffix(".png"))
    original.crop((32, 32, 256, 256)).save(photos.paths[1].with_suffix(".png"))
    some = Photos(photos.labels, tuple(p.with_suffix(".png") for p in photos.paths[:2]), (0, 0), ("", ""))
    features = extract(body, some, Cache(None, body), extracting.VIEWS)
    assert np.allclose(features.values[0, 2], features.values[1, 0], atol=1e-3)
    assert np.allclose(features.values[0, 3], features.values[1, 1], atol=1e-3)


def test_unreadable_photos_are_named_and_the_others_used(body: Body, photos: Photos) -> None:
    photos.paths[3].write_bytes(b"no photo")
    photos.paths[4].unlink()
    features = extract(body, photos, Cache(None, body))
    assert len(features.photos) == len(features.values) == len(photos) - 2
    assert photos.paths[3] not in features.photos.paths
    assert photos.paths[3].name in features.skipped[0]
    assert photos.paths[4].name in features.skipped[1]


def test_if_no_photo_can_be_read_it_says_so(body: Body, photos: Photos) -> None:
    for path in photos.paths:
        path.write_bytes(b"no photo")
    with pytest.raises(ExportError, match="None of the 10 photos can be read"):
        extract(body, photos, Cache(None, body))


def test_photos_above_the_services_limit_are_read_here(
    body: Body, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (9000, 6000), "teal").save(photos.paths[0], quality=30)
    assert not extract(body, photos, Cache(None, body)).skipped


def test_a_cache_that_cannot_be_written_does_not_stop_the_run(
    body: Body, photos: Photos, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    cache = Cache(in_the_way / "cache", body)
    assert len(extract(body, photos, cache).photos) == len(photos)
    assert "not kept" in cache.problem


def test_a_full_disk_does_not_stop_the_run(
    body: Body, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "cache", body)
    assert cache._table is not None
    cache._table.execute("PRAGMA max_page_count = 4")
    assert len(extract(body, photos, cache).photos) == len(photos)
    assert "full" in cache.problem


def test_a_damaged_cache_does_not_stop_the_run(body: Body, photos: Photos, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", body)
    cache.close()
    cache.path.write_bytes(b"this is no database, whatever its name says" * 100)
    assert len(extract(body, photos, Cache(tmp_path / "cache", body)).photos) == len(photos)


def test_features_of_another_body_are_not_mixed_up(body: Body, photos: Photos, tmp_path: Path) -> None:
    import dataclasses

    other = dataclasses.replace(body, scale=body.scale * 2)
    assert Cache(tmp_path, body).path != Cache(tmp_path, other).path
    half = extract(other, photos, Cache(tmp_path, other))
    whole = extract(body, photos, Cache(tmp_path, body))
    assert np.allclose(half.values * 2, whole.values, atol=1e-2)


def test_features_of_many_photos_are_kept_on_disk(
    body: Body, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "IN_MEMORY", 1000)
    assert isinstance(extract(body, photos, Cache(None, body)).values.base, np.memmap)


def test_the_sqlite_file_is_closed(body: Body, tmp_path: Path) -> None:
    cache = Cache(tmp_path, body)
    cache.close()
    with sqlite3.connect(cache.path) as table:
        assert table.execute("SELECT count(*) FROM photos").fetchone() == (0,)
    table.close()


def test_other_views_of_the_same_photos_are_not_mixed_up(body: Body, photos: Photos, tmp_path: Path) -> None:
    one = extract(body, photos, Cache(tmp_path / "cache", body))
    two = extract(body, photos, Cache(tmp_path / "cache", body), ("whole", "flipped"))
    assert two.values.shape == (len(photos), 2, body.channels)
    assert np.allclose(one.values[:, 0], two.values[:, 0], atol=1e-3)
