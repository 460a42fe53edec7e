"""Publishing: whole or not at all, checked, described, and what was published before untouched."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from api import _registry
from api._classifier import Classifier
from export import __main__ as command_line
from export import card, publish
from export.train import LAST, TrainingError, load_checkpoint, read_metrics


def _state(models: Path) -> dict[str, str]:
    files = (path for path in sorted(models.rglob("*")) if path.is_file())
    return {str(path.relative_to(models)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _publish(runs: list[Path], photos: Path, models: Path, version: str, **options: Any) -> Any:
    return publish.publish(
        runs, version, models, photos / "photos", photos / "neither", "python -m export publish", photos / "cache",
        **options,
    )  # fmt: skip


def test_the_service_can_load_what_was_published(published: Path, photos: Path) -> None:
    model = _registry.load(published)
    assert (model.version, model.labels, model.input_size) == ("0.0.1", ("disc", "square"), 64)
    prediction = Classifier(model).predict(
        publish.data.load(publish.data.find(photos / "photos", "test"), 64, photos / "cache").array[:1],
        explain=True,
    )[0]
    assert prediction.label == "disc"
    assert prediction.heatmap is not None
    assert prediction.heatmap.shape == (8, 8)


def test_the_card_says_how_far_the_seed_alone_moves_the_figures(published: Path) -> None:
    folder = published / "versions" / "0.0.1"
    metadata = json.loads((folder / "metadata.json").read_text())
    assert "## Seeds" not in card.write(metadata, folder)
    run = {"sizes": [[96, 5], [128, 1]], "command": "python -m export train --seed 0"}
    metadata["seeds"] = [
        {"seed": seed, "val_accuracy": accuracy, "val_neither": 0.5, **run}
        for seed, accuracy in enumerate((0.94, 0.95, 0.96))
    ]
    text = card.write(metadata, folder)
    assert "| mean ± standard deviation | 95.00% ± 1.00% | 50.00% ± 0.00% |" in text
    assert "5 at 96 pixels, then 1 at 128 pixels" in text
    assert run["command"] in text


def test_metadata_and_card_carry_the_same_figures(published: Path) -> None:
    folder = published / "versions" / "0.0.1"
    metadata = json.loads((folder / "metadata.json").read_text())
    text = (folder / "README.md").read_text()
    assert text == card.write(metadata, folder)
    test = metadata["metrics"]["test"]
    assert test["accuracy"] >= 0.85
    assert f"{test['accuracy']:.2%} ({test['accuracy_interval'][0]:.2%}" in text
    assert f"{test['neither_unrecognized']:.2%}" in text
    assert metadata["weights"]["sha256"] in text
    assert test["accuracy"] >= test["float_accuracy"] - 0.1
    assert {"confusion.png", "learning.png", "recognized.png", "reliability.png", "robustness.png"} == {
        path.name for path in folder.glob("*.png")
    }
    assert str(Path.home()) not in text
    assert not list(published.glob(".staging*"))


def test_the_size_served_is_the_one_with_the_least_loss_on_val(run: Path, photos: Path) -> None:
    checkpoint = load_checkpoint(run / LAST)
    val = publish.find(photos / "photos", photos / "neither", "val", checkpoint.labels)
    assert publish._choose_size(checkpoint, [8, 64, 16], val, photos / "cache") == 64


def test_a_published_version_is_not_replaced_by_accident(published: Path, run: Path, photos: Path) -> None:
    before = _state(published)
    with pytest.raises(publish.PublishError, match="--replace"):
        _publish([run], photos, published, "0.0.1")
    with pytest.raises(publish.PublishError, match="no version"):
        _publish([run], photos, published, "../latest")
    assert _state(published) == before


def test_a_full_disk_leaves_the_published_model_untouched(
    published: Path, run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _state(published)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(publish, "quantize", full)
    with pytest.raises(publish.PublishError, match=r"No space left.*untouched"):
        _publish([run], photos, published, "0.0.1", replace=True)
    assert _state(published) == before
    assert _registry.load(published).version == "0.0.1"


@pytest.mark.parametrize("step", ["_measure", "_move"])
def test_a_kill_at_any_step_leaves_the_published_model_untouched(
    published: Path, run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = _state(published)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publish, step, killed)
    monkeypatch.setattr(publish, "_build", _prebuilt(published))
    with pytest.raises(KeyboardInterrupt):
        _publish([run], photos, published, "0.0.2")
    assert _state(published) == before


def test_of_several_runs_the_card_names_all_and_the_curves_show_all(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    models, another = tmp_path / "models", tmp_path / "another"
    shutil.copytree(run, another)
    model = _publish([another, run], photos, models, "0.0.2")
    assert model.metadata["training"]["mean_of"] == ["another", run.name]
    assert f"the mean of those of another and {run.name}" in (model.directory / "README.md").read_text()
    lines, alone = read_metrics(model.directory), read_metrics(run)
    assert [line["run"] for line in lines] == ["another"] * len(alone) + [run.name] * len(alone)
    assert (model.directory / "learning.png").stat().st_size > 1000


def test_weights_that_the_service_would_refuse_are_not_moved_into_place(
    published: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(published, models)
    before = _state(models)
    with publish.staging(models, "0.0.2") as folder:
        shutil.copytree(models / "versions" / "0.0.1", folder, dirs_exist_ok=True)
        (folder / "model.onnx").write_bytes(b"damaged")
        with pytest.raises(_registry.ModelError):
            publish._move(models, "0.0.2", folder, latest=True)
    assert _state(models) == before


def test_a_replacement_and_latest_move_together(published: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(published, models)
    for version, latest in (("0.0.1", False), ("0.1.0", True)):
        with publish.staging(models, version) as folder:
            shutil.copytree(models / "versions" / "0.0.1", folder, dirs_exist_ok=True)
            metadata = json.loads((folder / "metadata.json").read_text()) | {
                "version": version,
                "name": "new",
            }
            (folder / "metadata.json").write_text(json.dumps(metadata))
            publish._move(models, version, folder, latest)
    assert (models / "latest").read_text() == "0.1.0\n"
    assert _registry.load(models, "0.0.1").metadata["name"] == "new"
    assert sorted(path.name for path in (models / "versions").iterdir()) == ["0.0.1", "0.1.0"]


def test_a_run_without_checkpoint_is_refused_before_anything_is_built(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=LAST):
        _publish([tmp_path], photos, tmp_path / "models", "1.0.0")
    assert not (tmp_path / "models").exists()


def test_evaluate_prints_the_table_of_the_published_file(
    published: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        "--data",
        str(photos / "photos"),
        "--neither",
        str(photos / "neither"),
        "--models",
        str(published),
    ]
    assert command_line.main(["evaluate", *folders, "--errors", str(tmp_path)]) == 0
    metadata = json.loads((published / "versions" / "0.0.1" / "metadata.json").read_text())
    printed = capsys.readouterr().out
    assert f"{metadata['metrics']['test']['accuracy']:.2%}" in printed
    assert (tmp_path / "errors.png").exists()
    assert command_line.main(["evaluate", *folders, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == metadata["metrics"]["test"]["accuracy"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluate", "--data", "nowhere"], "nowhere is no folder"),
        (["train", "--data", "nowhere", "--out", "runs"], "nowhere is no folder"),
        (
            ["publish", "--data", "nowhere", "--run", "runs", "--version", "1.0.0", "--models", "m"],
            "does not exist",
        ),
    ],
)
def test_a_wrong_folder_gives_a_sentence_and_no_traceback(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, published: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert (
        command_line.main([*arguments, *(["--models", str(published)] if arguments[0] == "evaluate" else [])])
        == 2
    )
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "evaluate", "publish"])
def test_help_explains_every_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        command_line.main([command, "--help"])
    assert exit_info.value.code == 0
    printed = capsys.readouterr().out
    assert "--data DATA" in printed
    assert "--neither NEITHER" in printed


def _prebuilt(published: Path) -> Any:
    """What `_build` returns, from the published file: the steps after it are what is tested."""

    def build(*_: Any) -> Any:
        model = _registry.load(published)
        return model, model

    return build
