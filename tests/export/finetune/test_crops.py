"""What an epoch is made of: all photos, in batches that are never empty, in crops that anybody can draw again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from export.finetune.augment import recolour
from export.finetune.crops import SMALL, Batches, Crops, Whole, random_box, samples
from export.finetune.pixels import Pixels
from export.finetune.settings import Settings
from export.photos.find import Photos


def pixels(own: int = 20, none: int = 4, side: int = 40) -> Pixels:
    count = own + none
    targets = tuple(i % 2 for i in range(own)) + (2,) * none
    photos = Photos(("a", "b"), (Path("x"),) * count, targets, ("",) * count)
    array = np.random.default_rng(0).integers(0, 256, (count + 3, side, side, 3), dtype=np.uint8)
    # Three photos in the array could not be read.
    return Pixels(photos, array, np.arange(count) + 3, ("",) * count)


def crops(seed: int = 0, epoch: int = 0) -> Crops:
    some, settings = pixels(), Settings(colour=0.3, seed=seed)
    return Crops(some, samples(some, settings, epoch), 32, settings, epoch)


@pytest.mark.parametrize(
    ("count", "size"), [(1, 64), (2, 64), (5, 4), (64, 64), (65, 64), (97, 64), (563, 16)]
)
def test_every_photo_is_in_one_batch_and_batches_are_of_nearly_the_same_size(count: int, size: int) -> None:
    batches = list(Batches(count, size, seed=0, epoch=0))
    assert sorted(number for batch in batches for number in batch) == list(range(count))
    assert len(batches) == len(Batches(count, size, 0, 0))
    lengths = [len(batch) for batch in batches]
    assert max(lengths) - min(lengths) <= 1
    assert 1 <= max(lengths) <= 1.5 * size


def test_the_order_is_another_in_each_epoch_and_the_same_when_drawn_again() -> None:
    first, again, next_one, other_seed = (
        list(Batches(50, 8, seed, epoch)) for seed, epoch in ((0, 1), (0, 1), (0, 2), (1, 1))
    )
    assert first == again
    assert first not in (next_one, other_seed)


@pytest.mark.parametrize("count", [1, 5, 50])
def test_several_processes_share_each_batch_and_none_goes_without(count: int) -> None:
    whole = list(Batches(count, 8, 0, 0))
    shares = [list(Batches(count, 8, 0, 0, process, 3)) for process in range(3)]
    for number, batch in enumerate(whole):
        parts = [share[number] for share in shares]
        assert all(parts)
        assert {each for part in parts for each in part} == set(batch)


def test_photos_of_none_take_turns_to_fill_their_share() -> None:
    settings = Settings(none_share=0.2)
    few, many = pixels(own=80, none=7), pixels(own=80, none=50)
    for some in (few, many):
        drawn = samples(some, settings, 0)
        assert (drawn.targets == 2).sum() == 20
        assert set(drawn.rows[:80] - 3) == set(range(80))
    seen = {row for epoch in range(3) for row in samples(many, settings, epoch).rows[80:]}
    assert len(seen) == 50
    assert len(samples(pixels(own=8, none=0), settings, 0)) == 8


def test_crops_of_photos_of_none_may_be_smaller_than_crops_of_the_classes() -> None:
    drawn = samples(pixels(), Settings(crop_scale=0.4, none_crop_scale=0.1), 0)
    assert set(drawn.scales[drawn.targets == 2]) == {0.1}
    assert set(drawn.scales[drawn.targets < 2]) == {0.4}


def test_a_crop_depends_on_seed_epoch_and_number_alone() -> None:
    first, again = crops(0, 1)[5], crops(0, 1)[5]
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[2], again[2])
    for other in (crops(0, 2)[5], crops(1, 1)[5]):
        assert not torch.equal(first[0], other[0])
        assert not torch.equal(first[2], other[2])


def test_a_crop_is_of_its_own_photo_and_half_of_them_are_mirrored() -> None:
    some = pixels(own=200, none=0)
    gradient = np.linspace(0, 255, 40).astype(np.uint8)
    some.array[:] = 0
    some.array[..., 0] = gradient[None, None, :]
    some.array[..., 1] = np.arange(203, dtype=np.uint8)[:, None, None]
    all_of_them = Crops(some, samples(some, Settings(), 0), 32, Settings(colour=0.0), 0)
    mirrored = 0
    for number in range(200):
        crop, target, _ = all_of_them[number]
        assert crop.shape == (3, 32, 32)
        row = int(crop[1, 0, 0])
        assert row == some.rows[number]
        assert target == some.photos.targets[number]
        mirrored += bool(crop[0, 0, 0] > crop[0, 0, -1])
    assert 70 < mirrored < 130


def test_crops_stay_inside_their_photo_and_cover_their_share_of_it() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        top, left, height, width = random_box(random, 64, 0.4)
        assert 0 <= top < top + height <= 64
        assert 0 <= left < left + width <= 64
        # Sides are rounded to whole pixels, and a long side ends at the photo's edge.
        assert height * width >= 0.3 * 64 * 64


def test_the_whole_photo_at_its_own_size_is_left_as_it_is() -> None:
    some = pixels()
    photo, target = Whole(some, 40)[3]
    np.testing.assert_array_equal(photo.permute(1, 2, 0).numpy(), some.array[6])
    assert target == 1
    assert Whole(some, 20)[3][0].shape == (3, 20, 20)


def test_recolouring_changes_brightness_contrast_and_saturation_only() -> None:
    crop = torch.randint(60, 160, (2, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)

    def changed(*factors: float) -> torch.Tensor:
        return recolour(crop, torch.tensor([[1.0, 1.0, 1.0], factors]))

    plain = crop.float()
    torch.testing.assert_close(changed(1.3, 0.7, 0.5)[0], plain[0])
    torch.testing.assert_close(changed(1.2, 1.0, 1.0)[1], 1.2 * plain[1])
    assert changed(1.0, 0.5, 1.0)[1].std() == pytest.approx(0.5 * plain[1].std().item(), rel=0.02)
    grey = changed(1.0, 1.0, 0.0)[1]
    torch.testing.assert_close(grey[0], grey[1])
    torch.testing.assert_close(grey[0], 0.299 * plain[1, 0] + 0.587 * plain[1, 1] + 0.114 * plain[1, 2])
    bright = changed(5.0, 1.0, 1.0)[1]
    assert bright.max() == 255


def test_settings_reach_the_crops() -> None:
    some = pixels()
    settings = dataclasses.replace(Settings(), crop_scale=1.0, none_crop_scale=1.0, colour=0.0)
    drawn = Crops(some, samples(some, settings, 0), 40, settings, 0)
    crop, _, factors = drawn[0]
    photo = torch.from_numpy(some.array[3]).permute(2, 0, 1)
    # Only its sides' ratio is drawn then.
    assert torch.equal(factors, torch.ones(3))
    assert abs(crop.float().mean() - photo.float().mean()) < 5


def from_two_places(many: int = 90, few: int = 10) -> Pixels:
    some = pixels(own=many + few, none=0)
    kinds = ("kaggle",) * many + ("elsewhere",) * few
    return dataclasses.replace(some, photos=dataclasses.replace(some.photos, kinds=kinds))


@pytest.mark.parametrize(("power", "of_few"), [(1.0, 10), (0.5, 25), (0.0, 50)])
def test_photos_from_a_small_folder_are_shown_more_often_by_the_power_of_balance(
    power: float, of_few: int
) -> None:
    some = from_two_places()
    rows = samples(some, Settings(balance=power), 0).rows - 3
    assert len(rows) == 100
    assert (rows >= 90).sum() == of_few
    assert set(rows[rows >= 90]) == set(range(90, 100))


def test_each_epoch_shows_different_photos_of_a_large_folder_until_all_were_shown() -> None:
    some = from_two_places()
    seen = {row for epoch in range(3) for row in samples(some, Settings(balance=0.5), epoch).rows - 3}
    assert seen == set(range(100))


def with_scenes() -> Pixels:
    """Black photos of the classes, and of none: grey scenes and white faces."""
    some = pixels(own=100, none=8)
    some.array[:] = 0
    some.array[103:107] = 100
    some.array[107:] = 255
    kinds = ("",) * 100 + ("rooms",) * 4 + ("faces",) * 4
    return dataclasses.replace(some, photos=dataclasses.replace(some.photos, kinds=kinds))


def test_photos_shown_small_lie_whole_in_a_scene_and_keep_their_class() -> None:
    some = with_scenes()
    settings = Settings(zoom_out=0.99, scenes=("rooms",), colour=0.0)
    drawn = Crops(some, samples(some, settings, 0), 32, settings, 0)
    sides, corners = [], set()
    for number in range(100):
        crop, target, _ = drawn[number]
        assert target == some.photos.targets[number]
        if crop.max() == 0:
            continue
        assert set(crop.flatten().tolist()) == {0, 100}
        rows, columns = torch.where(crop[0] == 0)
        top, left = int(rows.min()), int(columns.min())
        side = int(rows.max()) - top + 1
        assert side == int(columns.max()) - left + 1
        assert (crop[0] == 0).sum() == side * side
        sides.append(side)
        corners.add((top, left))
    assert len(sides) > 90
    assert round(SMALL[0] * 32) <= min(sides) < max(sides) <= round(SMALL[1] * 32)
    assert len(corners) > 50


def test_photos_of_none_are_shown_small_as_well_and_the_share_is_kept() -> None:
    some = with_scenes()
    settings = Settings(zoom_out=0.3, scenes=("rooms",), none_share=0.5, colour=0.0)
    drawn = Crops(some, samples(some, settings, 0), 32, settings, 0)
    small = [len(set(drawn[number][0].flatten().tolist())) > 1 for number in range(len(drawn))]
    assert 15 < sum(small[:100]) < 45
    # Of the photos of none, a scene in a scene looks like a scene; faces show that they are small.
    assert 5 < sum(small[100:]) < 30
