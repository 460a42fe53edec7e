"""Training on generated photos: it learns, it resumes exactly, it survives being stopped, it says what is wrong."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from export import run as runs
from export.body import body as bodies
from export.body.extract import Cache, extract
from export.errors import ExportError
from export.files import write_json
from export.finetune import augment, checkpoint, devices, loop, pixels, schedule
from export.finetune import train as training
from export.finetune.checkpoint import LAST, TrainingError
from export.finetune.learner import Learner
from export.finetune.settings import Settings
from export.head import Head
from export.measure import calibration
from export.photos.find import Found, Photos, find, find_neither
from export.publish.publish import publish
from export.recipe import Recipe, RecipeError
from tests.conftest import ROOT
from tests.export.conftest import draw
from tests.export.finetune.conftest import TINY, Train, write, write_all

SHORT: dict[str, Any] = {"sizes": [[32, 2]]}


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / runs.LEARNING).read_text().splitlines()]


def weights(out: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(out / runs.CHECKPOINT, weights_only=True)["weights"]
    return state


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def interrupted(train: Train, out: Path, epochs: int) -> None:
    """A training that Ctrl-C stops in the middle of the epoch after so many."""
    steps_of_an_epoch = 9
    left = epochs * steps_of_an_epoch + 3

    def recolour(*given: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return augment.recolour(*given)

    with mock.patch("export.finetune.loop.recolour", recolour), pytest.raises(KeyboardInterrupt):
        train(out, **SHORT)


def test_a_tiny_network_learns_the_labels_and_what_is_none_of_them(run: Path) -> None:
    found = lines(run)
    assert [line["epoch"] for line in found] == list(range(1, 8))
    assert [line["size"] for line in found] == [32] * 5 + [48] * 2
    assert found[-1]["loss"] < 0.7 * found[0]["loss"]
    assert found[-1]["val_accuracy"] >= 0.9
    assert found[-1]["val_none_unrecognized"] >= 0.7


def test_the_trained_body_has_features_that_separate_the_classes(run: Path) -> None:
    body = bodies.load(run / training.BODY)
    assert (body.input_size, body.channels, len(body.negatives)) == (48, 16, 0)
    assert body.metadata["training"]["settings"]["network"] == "tiny"
    assert "tmp" not in json.dumps(body.metadata)
    random = np.random.default_rng(9)
    pixels = {
        kind: np.stack([np.asarray(draw(kind, random).resize((48, 48))) for _ in range(12)])
        for kind in ("disc", "square")
    }
    rows = {
        kind: body.normalise(
            np.asarray(body.session().run(["features"], {"pixels": each})[0]).mean(axis=(2, 3))
        )
        for kind, each in pixels.items()
    }
    centres = {kind: each[:6].mean(axis=0) for kind, each in rows.items()}
    for kind, each in rows.items():
        other = next(name for name in rows if name != kind)
        nearer = ((each[6:] - centres[kind]) ** 2).sum(axis=1) < ((each[6:] - centres[other]) ** 2).sum(
            axis=1
        )
        assert nearer.mean() >= 0.8, kind


def test_it_becomes_a_run_like_any_other(run: Path) -> None:
    finished = runs.load(run)
    assert finished.metadata["labels"] == ["disc", "square"]
    assert finished.metadata["input_size"] == 48
    assert finished.metadata["architecture"].startswith("residual CNN")
    # Choosing on the folds would be choosing on what the network has learned by heart.
    assert finished.metadata["chosen_on"] == "val"
    assert runs.parity(finished) <= runs.TOLERANCE


def test_the_threshold_is_chosen_on_val_alone(run: Path, photos: Path) -> None:
    """The network has seen the photos of train, those of none as well: it judges them more easily than new ones."""
    body, metadata = bodies.load(run / training.BODY), runs.load(run).metadata
    with np.load(run / runs.HEAD) as stored:
        head = Head(stored["weights"], stored["bias"])
    labels = ("disc", "square")
    own, others = (
        calibration.recognized(
            head.logits(extract(body, some, Cache(None, body)).values[:, 0]), metadata["temperature"]
        )
        for some in (
            find(photos / "photos").splits["val"], find_neither(photos / "none", labels).splits["val"]
        )
    )  # fmt: skip
    wanted = calibration.threshold(own, others)
    assert metadata["thresholds"]["recognized"] == pytest.approx(wanted, abs=1e-5)
    assert wanted != pytest.approx(calibration.threshold(own), abs=1e-3)
    assert metadata["metrics"]["val"]["neither_photos"] == len(others)


def test_its_run_shows_how_it_learned_and_whether_the_heatmap_means_anything(run: Path) -> None:
    assert (run / "learning.png").stat().st_size > 5000
    masking = runs.load(run).metadata["masking"]
    assert masking["hot"]["confidence"] < masking["cold"]["confidence"]


def test_it_is_published_with_its_checkpoint_and_compared_with_other_runs(run: Path, tmp_path: Path) -> None:
    metadata = runs.load(run).metadata
    for name, seed, accuracy in (("one", 1, 0.5), ("two", 2, 0.7)):
        shutil.copytree(run, tmp_path / name)
        changed = json.loads(json.dumps(metadata))
        changed["training"]["recipe"]["finetune"]["seed"] = seed
        changed["metrics"]["val"]["accuracy"] = accuracy
        write_json(tmp_path / name / runs.METADATA, changed)
    shutil.copytree(run, tmp_path / "other")
    changed["training"]["recipe"] |= {"name": "frozen", "finetune": {}}
    write_json(tmp_path / "other" / runs.METADATA, changed)
    beside = [tmp_path / name for name in ("one", "two", "other")]
    model = publish(run, tmp_path / "models", anyway=True, beside=beside)
    assert (model.directory / runs.CHECKPOINT).read_bytes() == (run / runs.CHECKPOINT).read_bytes()
    card = (model.directory / "README.md").read_text(encoding="utf-8")
    seeds, others = card.split("## Seeds")[1].split("## What else was tried")
    mean = (metadata["metrics"]["val"]["accuracy"] + 0.5 + 0.7) / 3
    assert re.search(rf"\| mean +\| {mean:.2%}", seeds)
    assert [row for row in ("seed 0", "seed 1", "seed 2") if row not in seeds] == []
    assert "`frozen`" in others.split("## ")[0]
    assert "learning.png" in card


def test_runs_that_were_measured_on_other_photos_are_not_compared(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "other")
    changed = runs.load(run).metadata
    changed["metrics"]["val"]["photos"] += 1
    write_json(tmp_path / "other" / runs.METADATA, changed)
    with pytest.raises(ExportError, match="no comparison"):
        publish(run, tmp_path / "models", anyway=True, beside=[tmp_path / "other"])
    assert not (tmp_path / "models" / "latest").exists()


def test_without_photos_of_none_it_tells_the_labels_apart(train: Train, tmp_path: Path) -> None:
    said: list[str] = []
    train(tmp_path, none=False, said=said, sizes=[[32, 4]])
    last = lines(tmp_path)[-1]
    assert last["val_accuracy"] >= 0.8
    assert "val_none_unrecognized" not in last
    assert len(said) == 1
    assert "give some with --neither" in said[0]


@pytest.mark.parametrize(("none", "classes"), [(False, 2), (True, 3)])
def test_none_of_the_labels_is_a_class_only_where_there_are_photos_of_it(
    none: bool, classes: int, train: Train, tmp_path: Path
) -> None:
    train(tmp_path, none=none, sizes=[[32, 1]], learning_rate=0.0, head_learning_rate=0.0)
    # The head has learned nothing: every class is equally likely.
    (line,) = lines(tmp_path)
    assert line["loss"] == pytest.approx(np.log(classes), abs=1e-3)
    assert line["val_loss"] == pytest.approx(np.log(classes), abs=1e-3)


def test_a_resumed_training_equals_an_uninterrupted_one(train: Train, tmp_path: Path) -> None:
    train(tmp_path / "whole", **SHORT)
    interrupted(train, tmp_path / "cut", epochs=1)
    assert len(lines(tmp_path / "cut")) == 1
    assert not (tmp_path / "cut" / runs.CHECKPOINT).exists()
    torch.manual_seed(123)  # as in another process
    train(tmp_path / "cut", resume=True, **SHORT)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    strip = [[{**line, "seconds": 0} for line in lines(tmp_path / name)] for name in ("whole", "cut")]
    assert strip[0] == strip[1]


def test_another_seed_is_another_training(train: Train, tmp_path: Path) -> None:
    for seed in (0, 1):
        train(tmp_path / str(seed), sizes=[[32, 1]], seed=seed)
    assert not same(weights(tmp_path / "0"), weights(tmp_path / "1"))


def test_decoded_photos_are_kept_for_resuming_and_gone_afterwards(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        interrupted(train, tmp_path, epochs=1)
    assert (tmp_path / loop.PIXELS / "train.npy").stat().st_size > 72 * 36 * 36 * 3
    assert "decoded photos take" in caplog.text
    monkeypatch.setattr("export.finetune.pixels.decode", lambda *_: pytest.fail("decoded again"))
    train(tmp_path, resume=True, **SHORT)
    assert not (tmp_path / "pixels").exists()


def test_a_checkpoint_is_not_overwritten(train: Train, run: Path, tmp_path: Path) -> None:
    shutil.copy(run / LAST, tmp_path)
    before = (tmp_path / LAST).read_bytes()
    with pytest.raises(TrainingError, match="--resume"):
        train(tmp_path)
    assert (tmp_path / LAST).read_bytes() == before


def test_resuming_before_there_is_a_checkpoint_starts_and_says_so(train: Train, tmp_path: Path) -> None:
    said: list[str] = []
    train(tmp_path, resume=True, said=said, sizes=[[32, 1]])
    assert "starts at the beginning" in said[0]
    assert len(lines(tmp_path)) == 1


def test_a_checkpoint_of_another_recipe_is_not_resumed(train: Train, run: Path, tmp_path: Path) -> None:
    shutil.copy(run / LAST, tmp_path)
    with pytest.raises(TrainingError, match="another recipe"):
        train(tmp_path, resume=True, learning_rate=0.001)


def test_a_checkpoint_with_a_class_of_another_name_is_not_resumed(
    train: Train, run: Path, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos, tmp_path / "renamed")
    for split in ("train", "val"):
        (tmp_path / "renamed/photos" / split / "square").rename(tmp_path / "renamed/photos" / split / "tile")
    shutil.copy(run / LAST, tmp_path)
    with pytest.raises(TrainingError, match=r"other labels: without tile and with square"):
        train(tmp_path, root=tmp_path / "renamed", resume=True)


def test_a_checkpoint_of_other_photos_is_not_resumed(
    train: Train, run: Path, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos, tmp_path / "more")
    write(tmp_path / "more/photos/train/disc/later", "disc", 1, seed=77)
    shutil.copy(run / LAST, tmp_path)
    with pytest.raises(TrainingError, match="other photos"):
        train(tmp_path, root=tmp_path / "more", resume=True)


def test_the_same_photos_in_another_folder_are_the_same_photos(
    train: Train, run: Path, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos, tmp_path / "moved")
    for name in (LAST, runs.LEARNING):
        shutil.copy(run / name, tmp_path)
    train(tmp_path, root=tmp_path / "moved", resume=True)
    assert same(weights(tmp_path), weights(run))


@pytest.mark.parametrize("kind", ["cut off", "damaged", "something else", "empty"])
def test_a_damaged_checkpoint_is_refused_with_a_clear_error(
    kind: str, train: Train, run: Path, tmp_path: Path
) -> None:
    content = bytearray((run / LAST).read_bytes())
    if kind == "damaged":
        content[len(content) // 2] ^= 0xFF
    changed = {"cut off": content[: len(content) // 2], "something else": b"PK" + b"x" * 999, "empty": b""}
    (tmp_path / LAST).write_bytes(bytes(changed.get(kind, content)))
    with pytest.raises(TrainingError, match="no readable checkpoint"):
        train(tmp_path, resume=True)


def test_a_checkpoint_that_cannot_be_written_keeps_the_previous_one(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(train, tmp_path, epochs=1)
    before = (tmp_path / LAST).read_bytes()

    def full(_: Any, path: Path, __: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("lightning_fabric.Fabric.save", full)
        with pytest.raises(TrainingError, match=r"No space left.*--resume"):
            train(tmp_path, resume=True, **SHORT)
    assert (tmp_path / LAST).read_bytes() == before
    assert list(tmp_path.glob(".*part*")) == []
    (tmp_path / ".last.4711.part.ckpt").write_bytes(b"of a process that was killed")
    train(tmp_path, resume=True, **SHORT)
    assert list(tmp_path.glob(".*part*")) == []


def test_a_nan_loss_is_an_error_that_says_what_to_do(train: Train, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"Lower learning_rate \(1e\+12\)"):
        train(tmp_path, learning_rate=1e12, head_learning_rate=1e12, warmup=0.0, **SHORT)
    assert not (tmp_path / runs.CHECKPOINT).exists()


def test_fewer_photos_than_a_batch_are_trained_on(train: Train, tmp_path: Path) -> None:
    write_all(tmp_path / "few", train=2, val=1)
    train(tmp_path, root=tmp_path / "few", none=False, batch_size=64, **SHORT)
    assert all(np.isfinite(line["loss"]) for line in lines(tmp_path))


def test_without_val_it_trains_measures_nothing_and_warns(train: Train, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "photos" / "train", tmp_path / "photos" / "train")
    said: list[str] = []
    train(tmp_path, root=tmp_path, none=False, said=said, sizes=[[32, 1]])
    assert "Hold some photos back" in said[0]
    assert set(lines(tmp_path)[0]) == {"epoch", "size", "loss", "seconds"}


def test_unreadable_photos_are_left_out_and_reported(train: Train, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "some")
    (tmp_path / "some/photos/train/disc/000.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing")
    said: list[str] = []
    train(tmp_path, root=tmp_path / "some", said=said, sizes=[[32, 1]])
    assert len(said) == 1
    assert "000.png" in said[0]


def test_a_class_without_a_readable_photo_is_an_error_before_the_training_starts(
    train: Train, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos, tmp_path / "some")
    for path in (tmp_path / "some/photos/train/disc").iterdir():
        path.write_bytes(b"GIF89a")
    with pytest.raises(TrainingError, match="None of the training photos of disc can be read"):
        train(tmp_path, root=tmp_path / "some")
    assert not (tmp_path / LAST).exists()


def test_a_network_can_be_trained_further_on_other_labels(
    train: Train, run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photos, tmp_path / "other")
    for split in ("train", "val"):
        folder = tmp_path / "other/photos" / split
        (folder / "disc").rename(folder / "zebra")  # so that the order of the classes is turned as well
    heads: list[Any] = []
    original = Learner.fit_head

    def fit_head(self: Learner, *given: Any) -> None:
        original(self, *given)
        heads.append(self.head)

    monkeypatch.setattr(Learner, "fit_head", fit_head)
    start = {
        "start_from": str(run / runs.CHECKPOINT),
        "sizes": [[48, 1]],
        "learning_rate": 0.0,
        "head_learning_rate": 0.0,
    }
    train(tmp_path, root=tmp_path / "other", norm="frozen", **start)
    assert same(weights(tmp_path), weights(run))
    assert len(heads) == 1, "the head is fitted anew"
    assert lines(tmp_path)[0]["val_accuracy"] >= 0.9


def test_a_body_trained_from_the_pretrained_one_keeps_its_negatives() -> None:
    said: list[str] = []
    kept = training._negatives(Recipe(), Settings(), Found(("a", "b"), {}), said.append)
    assert isinstance(kept, bodies.Body)
    assert kept.name == "lite0"
    assert said == []


def test_more_photos_of_none_than_the_epochs_show_are_not_decoded(
    train: Train, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    original = pixels._decode_one

    def decode_one(path: Path, size: int) -> Any:
        decoded.append(path)
        return original(path, size)

    monkeypatch.setattr(pixels, "_decode_one", decode_one)
    train(tmp_path, sizes=[[32, 1]], none_share=0.1)
    assert sum(path.is_relative_to(photos / "none/train") for path in decoded) == 5


def test_a_training_does_not_start_from_weights_of_another_architecture(
    train: Train, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="another kind, tiny; the recipe trains compact"):
        train(tmp_path, network="compact", start_from=str(run / runs.CHECKPOINT))
    with pytest.raises(TrainingError, match="There is no network"):
        train(tmp_path, start_from="nowhere.pt")
    (tmp_path / "broken.pt").write_bytes((run / runs.CHECKPOINT).read_bytes()[:500])
    with pytest.raises(TrainingError, match="no readable network"):
        train(tmp_path, start_from=str(tmp_path / "broken.pt"))


def test_a_body_that_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    found = Found(("a", "b"), {"train": Photos(("a", "b")), "val": Photos(("a", "b"))})
    with pytest.raises(RecipeError, match="lite9 cannot be trained further"):
        training.train_body(Recipe(body="lite9", finetune={"sizes": [[64, 1]]}), found, found, tmp_path)


def test_the_time_that_training_takes_is_forecast_early(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        train(tmp_path, sizes=[[32, 2]])
    (said,) = [line for line in caplog.messages if line.startswith("about ")]
    assert said.endswith("for 2 epochs")


def test_the_forecast_knows_that_larger_photos_take_longer() -> None:
    chosen = Settings(sizes=((100, 1), (200, 2)))
    # 10 steps, then 2 x 10 that take four times as long, less the 3 that are done.
    assert schedule.forecast(chosen, 0, 3, 10, 10.0) == "about 14 minutes for 3 epochs"
    assert schedule.forecast(chosen, 2, 0, 10, 1.0) == "about 10 seconds for 1 epoch"
    assert schedule.forecast(chosen, 0, 0, 1000, 1.0) == "about 2.5 hours for 3 epochs"


def test_the_learning_rate_rises_and_falls_and_no_step_is_wasted() -> None:
    rates = [schedule.rate(0.25, (step + 0.5) / 8) for step in range(8)]
    assert rates[:2] == [0.25, 0.75]
    assert rates[2] > 0.95
    assert rates == sorted(rates[:3]) + sorted(rates[3:], reverse=True)
    assert rates[-1] > 0
    assert schedule.rate(0.0, 0.0) == 1.0


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ("fpu avx2", "32-true"), ("avx512f avx512_bf16", "bf16-mixed"), ("amx_bf16 amx_tile", "bf16-mixed"),
        (None, "32-true"),
    ],
)  # fmt: skip
def test_bfloat16_is_used_only_where_the_processor_has_it(
    flags: str | None, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    if flags:
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nprocessor\t: 1\n")
    assert devices.precision(tmp_path / "cpuinfo") == wanted


@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_is_used_only_where_the_gpu_has_it(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert devices.precision() == ("bf16-mixed" if native else "32-true")


def test_it_trains_in_bfloat16_as_well(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "precision", lambda: "bf16-mixed")
    train(tmp_path, sizes=[[32, 3]])
    found = lines(tmp_path)
    assert found[-1]["loss"] < found[0]["loss"]
    assert {value.dtype for value in weights(tmp_path).values() if value.is_floating_point()} == {
        torch.float32
    }


def test_body_pt_holds_the_averaged_weights_and_no_head(run: Path) -> None:
    state = torch.load(run / LAST, weights_only=True)
    average = {name.removeprefix("module."): value for name, value in state["average"].items()}
    kept = weights(run)
    assert not [name for name in kept if "head" in name]
    assert all(torch.equal(value, average[f"network.{name}"]) for name, value in kept.items())
    assert not all(torch.equal(value, state["learner"][f"network.{name}"]) for name, value in kept.items())


def test_checkpoints_of_runs_that_differ_in_one_thing_differ() -> None:
    one = checkpoint.Identity("{}", "tiny", ("a", "b"), "0123")
    assert set(one.values()) == {"format", *(field.name for field in dataclasses.fields(one))}


SCRIPT = """
import sys
from pathlib import Path
from unittest import mock
from export.finetune.train import train_body
from export.photos.find import Found, find
from export.recipe import Recipe

if __name__ == "__main__":
    root, out, processes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    found = find(root / "photos")
    recipe = Recipe(name="tiny", finetune={settings})
    with mock.patch("export.finetune.make.make"):
        train_body(recipe, found, Found(found.labels, {{}}), out, "", False, processes, print)
    print("the first process goes on")
"""


@pytest.mark.long
def test_two_processes_train_the_same_network_as_one(photos: Path, tmp_path: Path) -> None:
    # With frozen norms the order in which a batch is summed up is all that differs.
    script = tmp_path / "script.py"
    chosen = {**TINY, "norm": "frozen", "sizes": [[32, 2]], "learning_rate": 0.001, "batch_size": 16}
    script.write_text(SCRIPT.format(settings=chosen))
    for processes in (1, 2):
        found = subprocess.run(
            [sys.executable, script, photos, tmp_path / str(processes), str(processes)],
            cwd=ROOT, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stderr
        assert found.stdout.count("the first process goes on") == 1
    one, two = weights(tmp_path / "1"), weights(tmp_path / "2")
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=1e-3, rtol=1e-3)
    assert lines(tmp_path / "1")[-1]["val_accuracy"] == lines(tmp_path / "2")[-1]["val_accuracy"]


def test_the_weights_that_are_kept_hold_the_pretrained_ones_share(
    train: Train, run: Path, tmp_path: Path
) -> None:
    start = weights(run)
    for share in (0.0, 0.25):
        train(tmp_path / str(share), start_from=str(run / runs.CHECKPOINT), pretrained_share=share, **SHORT)
    trained, kept = weights(tmp_path / "0.0"), weights(tmp_path / "0.25")
    assert not same(start, trained)
    for name, value in trained.items():
        if value.is_floating_point():
            torch.testing.assert_close(kept[name], 0.25 * start[name] + 0.75 * value)
