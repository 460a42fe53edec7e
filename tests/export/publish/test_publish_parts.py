"""Publishing a run that was written by hand: in milliseconds, so that each of its promises is tested alone."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from api import _registry
from export import run as runs
from export.errors import ExportError
from export.files import read_json, write_json
from export.publish import changelog
from export.publish import publish as publishing
from export.publish.publish import PublishError, next_version, publish
from tests import models as tiny

NEEDS_NO_BODY = True

FIGURES = {
    "photos": 100, "accuracy": 0.9, "accuracy_interval": [0.8, 0.95], "wrongly_unrecognized": 0.01,
    "neither_unrecognized": 0.8, "neither_unrecognized_interval": [0.7, 0.9],
    "per_class": {
        "otter": {"photos": 50, "precision": 0.9, "recall": 0.9},
        "newt": {"photos": 50, "precision": 0.9, "recall": 0.9},
    },
}  # fmt: skip


def described(graph: bytes) -> dict[str, Any]:
    return {
        "labels": ["otter", "newt"], "input_size": tiny.INPUT_SIZE, "thresholds": {"recognized": 0.5},
        "temperature": 1.0, "chosen_on": "val", "architecture": "mean colour, linear", "parameters": 8,
        "latency_ms": 1.5,
        "weights": {
            "file": "model.onnx", "sha256": hashlib.sha256(graph).hexdigest(), "bytes": len(graph),
            "precision": "float32", "opset": 18,
        },
        "body": {"name": "none"}, "metrics": {"cross_validation": FIGURES},
        "training": {
            "command": "python -m export train photos", "commit": "abc", "hardware": "a computer", "seconds": 3.0,
            "cpu_seconds": 5.0, "photos": 200, "summary": ["/home/me/private.jpg is a copy"],
            "classes": {name: {"train": 80, "val": 10, "test": 10} for name in ("otter", "newt")},
            "recipe": {"name": "lite0", "views": ["whole"], "c": 10.0, "folds": 5, "finetune": {}},
        },
    }  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a finished run, whose logits are those of its graph."""
    folder = tmp_path / "run"
    folder.mkdir()
    graph = tiny._graph(2)
    (folder / runs.MODEL).write_bytes(graph)
    size = tiny.INPUT_SIZE
    pixels = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    (probabilities,) = onnxruntime.InferenceSession(graph).run(["probabilities"], {"pixels": pixels})
    # Every photo is recognized with 0.9: the odds of any label are 9.
    np.savez(folder / runs.PARITY, pixels=pixels, logits=np.log(probabilities) + np.log(9))
    write_json(folder / runs.METADATA, described(graph))
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def change(run: Path, path: str, value: Any) -> None:
    """Sets the value at `path`, keys joined by dots; None takes it out."""
    metadata = read_json(run / runs.METADATA)
    *keys, last = path.split(".")
    inner = metadata
    for key in keys:
        inner = inner[key]
    inner[last] = value
    if value is None:
        del inner[last]
    write_json(run / runs.METADATA, metadata)


def folders(models: Path) -> list[str]:
    return sorted(path.name for path in models.iterdir())


def test_a_version_is_the_run_with_who_published_it_when_and_why(run: Path, models: Path) -> None:
    model = publish(run, models, note="More  dogs.", command="python -m export publish run")
    folder = models / "versions" / "1.0.0"
    published = read_json(folder / "metadata.json")
    wanted = read_json(run / runs.METADATA)
    training = {name: value for name, value in wanted["training"].items() if name != "summary"}
    moment = datetime.strptime(published.pop("created"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    assert published == wanted | {
        "version": "1.0.0", "problems": [],
        "training": training | {"publish_command": "python -m export publish run", "note": "More  dogs."},
    }  # fmt: skip
    assert (model.version, model.weights) == ("1.0.0", (run / runs.MODEL).read_bytes())
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("# Purrdict 1.0.0\n")
    assert "private" not in (folder / "metadata.json").read_text(encoding="utf-8")
    assert (models / "latest").read_text() == "1.0.0\n"
    assert "- **1.0.0** (" in (models / "CHANGELOG.md").read_text(encoding="utf-8")
    assert folders(models) == ["CHANGELOG.md", "latest", "versions"]


def test_of_a_run_plots_are_published_and_the_checkpoint_only_where_a_network_was_trained(
    run: Path, models: Path
) -> None:
    for name in (*runs.PLOTS[:2], *runs.SHEETS, runs.CHECKPOINT, runs.HEAD):
        (run / name).write_bytes(name.encode())
    publish(run, models)
    always = {"metadata.json", "model.onnx", "README.md", *runs.PLOTS[:2]}
    assert {path.name for path in (models / "versions" / "1.0.0").iterdir()} == always
    change(run, "training.recipe.finetune", {"seed": 1})
    change(run, "metrics", {"val": FIGURES})
    publish(run, models)
    second = models / "versions" / "1.1.0"
    assert {path.name for path in second.iterdir()} == always | {runs.CHECKPOINT}
    assert (second / runs.CHECKPOINT).read_bytes() == runs.CHECKPOINT.encode()


def test_a_problem_stops_the_publishing_unless_it_is_wanted_all_the_same(run: Path, models: Path) -> None:
    change(run, "temperature", 5.0)
    stored = dict(np.load(run / runs.PARITY))
    np.savez(run / runs.PARITY, pixels=stored["pixels"], logits=stored["logits"] * 5)
    change(run, "metrics.cross_validation.accuracy_interval", [0.4, 0.95])
    with pytest.raises(
        PublishError, match=r"^Not published, because it is not clearly .*; and its temp.*--anyway"
    ):
        publish(run, models)
    assert not models.exists()
    publish(run, models, anyway=True)
    problems = read_json(models / "versions/1.0.0/metadata.json")["problems"]
    assert [problem.split(",")[0].split(":")[0] for problem in problems] == [
        "it is not clearly better than always answering otter", "its temperature",
    ]  # fmt: skip


def test_the_card_compares_with_the_runs_beside_it(run: Path, models: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in run.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    change(other, "training.recipe.name", "another")
    publish(run, models, beside=[other])
    lines = read_json(models / "versions/1.0.0/metadata.json")["runs"]
    assert [line["recipe"] for line in lines] == ["lite0", "another"]
    publish(run, models)
    assert "runs" not in read_json(models / "versions/1.1.0/metadata.json")


def test_the_difference_of_the_graph_is_told(
    run: Path, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    publish(run, models)
    assert "the graph differs from the fitted head by" in caplog.text
    (run / runs.PARITY).write_bytes(b"")
    with pytest.raises(ExportError, match="cannot be read"):
        publish(run, models)


KINDS = publishing.NEEDED | {
    f"metrics.cross_validation.{key}": kind for key, kind in publishing.NEEDED_FIGURES.items()
}


# Without its checksum a graph is not even read.
@pytest.mark.parametrize("path", sorted(KINDS.keys() - {"weights.sha256"}))
def test_a_run_that_lacks_a_value_or_has_another_kind_there_is_not_published(
    run: Path, models: Path, path: str
) -> None:
    before = read_json(run / runs.METADATA)
    for value in (None, 7 if KINDS[path] is str else "text"):
        change(run, path, value)
        with pytest.raises(
            PublishError, match=f"is not complete: it lacks {path}, .*something of another kind"
        ):
            publish(run, models)
        write_json(run / runs.METADATA, before)
    assert not models.exists()


def test_the_figures_that_must_be_there_follow_from_how_the_run_was_made(run: Path, models: Path) -> None:
    change(run, "metrics", {"val": FIGURES})
    with pytest.raises(
        PublishError, match=r"lacks metrics\.cross_validation, metrics\.cross_validation\.photos, "
    ):
        publish(run, models)
    change(run, "training.recipe.finetune", {"seed": 1})
    publish(run, models)
    change(run, "metrics", {"cross_validation": FIGURES})
    with pytest.raises(PublishError, match=r"lacks metrics\.val, "):
        publish(run, models)
    change(run, "training.recipe.finetune", {})
    change(run, "metrics", {"cross_validation": FIGURES, "test": {"photos": 3}})
    with pytest.raises(PublishError, match=r"lacks metrics\.test\.accuracy, "):
        publish(run, models)


def test_an_optional_part_that_is_broken_is_an_error_and_no_crash(run: Path, models: Path) -> None:
    for path, value in (("negatives", 7), ("metrics.cross_validation.by_source", 7), ("runs", [{"seed": 1}])):
        before = read_json(run / runs.METADATA)
        change(run, path, value)
        with pytest.raises(
            PublishError, match=r"The run\.json of .* is not complete: \w+Error .* Train again\."
        ):
            publish(run, models)
        write_json(run / runs.METADATA, before)
    assert not (models / "versions" / "1.0.0").exists()
    assert not (models / "latest").exists()


# --- versions


def published(models: Path, *versions: str, labels: tuple[str, ...] = ("otter", "newt")) -> Path:
    for version in versions:
        tiny.publish(models, labels, version=version)
    return models


@pytest.mark.parametrize(
    ("known", "labels", "following"),
    [
        ((), ["otter", "newt"], "1.0.0"),
        (("1.0.0",), ["otter", "newt"], "1.1.0"),
        (("1.0.0",), ["newt", "otter"], "2.0.0"),
        (("2.9.7", "2.10.3"), ["otter", "newt"], "2.11.0"),
        (("2.9.7", "10.0.1", "9.0.0"), ["otter"], "11.0.0"),
        (("0.1.2", "0.1.10"), ["otter", "newt"], "0.2.0"),
    ],
)
def test_the_next_version_follows_the_newest_by_number(
    models: Path, known: tuple[str, ...], labels: list[str], following: str
) -> None:
    assert next_version(published(models, *known), labels) == following


def test_after_a_version_that_cannot_be_read_comes_a_major_one(models: Path) -> None:
    (published(models, "1.2.3") / "versions/1.2.3/metadata.json").write_text("{")
    assert next_version(models, ["otter", "newt"]) == "2.0.0"


def test_what_is_no_folder_or_no_version_is_not_counted(models: Path) -> None:
    published(models, "1.0.0")
    (models / "versions" / "7.0.0").write_text("a file")
    for name in ("8.0", "9.0.0.1", "v9.0.0", "09.0.0"):
        (models / "versions" / name).mkdir()
    assert next_version(models, ["otter", "newt"]) == "1.1.0"


def test_a_version_is_refused_where_it_is_none_or_there_already(run: Path, models: Path) -> None:
    published(models, "1.0.0")
    with pytest.raises(PublishError, match=r"^'2\.0' is no version; .* like 1\.1\.0\.$"):
        publish(run, models, "2.0")
    with pytest.raises(
        PublishError, match=r"^1\.0\.0 is published already.* free one is 1\.1\.0; leave --version"
    ):
        publish(run, models, "1.0.0")
    assert publish(run, models, "3.4.5").version == "3.4.5"


# --- latest and the changelog


@pytest.mark.parametrize(
    ("named", "then"),
    [
        ("1.0.0", "2.0.0\n"), ("10.0.0", "10.0.0"), ("2.0.0", "2.0.0\n"), ("2.0.1", "2.0.1"), ("nonsense", "2.0.0\n"),
        ("99.0.0", "2.0.0\n"), ("\ufeff10.0.0\r\n", "\ufeff10.0.0\r\n"), (None, "2.0.0\n"),
    ],
)  # fmt: skip
def test_latest_moves_on_but_never_back_to_an_older_version(
    run: Path, models: Path, named: str | None, then: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    published(models, "1.0.0", "2.0.1", "10.0.0")
    (models / "latest").unlink()
    if named:
        (models / "latest").write_bytes(named.encode())
    publish(run, models, "2.0.0")
    assert (models / "latest").read_bytes().decode() == then
    stays = f"latest stays at {(named or '').strip(chr(0xFEFF)).strip()}, which is newer than 2.0.0"
    assert (stays in caplog.text) is (then != "2.0.0\n")


def test_latest_stays_where_it_is_told_to(run: Path, models: Path) -> None:
    published(models, "1.0.0")
    publish(run, models, latest=False)
    assert (models / "latest").read_text() == "1.0.0"
    assert "**1.1.0**" in (models / "CHANGELOG.md").read_text(encoding="utf-8")


def described_as(models: Path, version: str) -> Path:
    folder = models / "versions" / version
    folder.mkdir(parents=True)
    more = {"version": version, "created": "2026-11-26T06:00:00Z"}
    write_json(folder / "metadata.json", described(b"") | more)
    return folder


def test_the_changelog_gets_a_line_for_each_version_that_has_none_the_newest_first(models: Path) -> None:
    path = models / "CHANGELOG.md"
    changelog.add_missing(path, [])
    assert not path.exists(), "nothing to add"
    first, second, third = (described_as(models, version) for version in ("1.0.0", "1.1.0", "1x1.0"))
    changelog.add_missing(path, [first])
    one = path.read_text(encoding="utf-8")
    assert one.startswith(
        f"{changelog.HEADING}\n- **1.0.0** (2026-11-26): otter, newt; 90.0% in cross-validation"
    )
    assert one.endswith("mean colour, linear.\n")
    changelog.add_missing(path, [first, second])
    both = path.read_text(encoding="utf-8")
    line = one.removeprefix(f"{changelog.HEADING}\n")
    assert both == f"{changelog.HEADING}\n{line.replace('1.0.0', '1.1.0')}{line}"
    before = path.stat().st_mtime_ns
    changelog.add_missing(path, [first, second])
    assert path.stat().st_mtime_ns == before, "a complete changelog is not written again"
    changelog.add_missing(path, [third])
    assert "- **1x1.0**" in path.read_text(encoding="utf-8"), "1.1.0 is another name"


def test_an_older_version_that_a_killed_process_left_gets_its_line_below(run: Path, models: Path) -> None:
    described_as(models, "3.0.0")
    described_as(models, "1.0.0")
    publish(run, models, "2.0.0")
    text = (models / "CHANGELOG.md").read_text(encoding="utf-8")
    assert [line[4:9] for line in text.splitlines() if line.startswith("- **")] == ["2.0.0", "3.0.0", "1.0.0"]


def test_words_between_the_heading_and_the_lines_stay(models: Path) -> None:
    path = models / "CHANGELOG.md"
    models.mkdir()
    path.write_text("\ufeff# Mine\n\nAbout it.\n\n- **1.0.0**: by hand\n\nThe end.\n", encoding="utf-8")
    changelog.add_missing(path, [described_as(models, "1.1.0")])
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Mine\n\nAbout it.\n\n- **1.1.0** (")
    assert text.endswith("linear.\n- **1.0.0**: by hand\n\nThe end.\n")


def test_a_version_that_says_it_is_another_gets_no_line(models: Path) -> None:
    folder = described_as(models, "1.0.0")
    write_json(folder / "metadata.json", read_json(folder / "metadata.json") | {"version": "9.0.0"})
    for broken in ([], {"version": "1.0.0"}, {"version": "1.0.0", "metrics": 7}):
        other = models / "versions" / f"2.0.{len(str(broken))}"
        other.mkdir()
        write_json(other / "metadata.json", broken)
    changelog.add_missing(models / "CHANGELOG.md", sorted((models / "versions").iterdir()))
    assert not (models / "CHANGELOG.md").exists()


def test_where_the_changelog_cannot_be_written_what_was_published_is_told(run: Path, models: Path) -> None:
    models.mkdir()
    (models / "CHANGELOG.md").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(
        PublishError, match=r"1\.0\.0 lies in .*versions.1\.0\.0, whole, but .* write 1\.0\.0 into"
    ):
        publish(run, models)
    assert _registry.read_model(models, "1.0.0").version == "1.0.0"


# --- staging


def test_only_what_a_process_left_that_has_ended_is_removed(
    run: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [
        ".staging-4000001",
        f".staging-{os.getpid()}",
        ".staging-4000002",
        ".staging-4000003",
        ".staging-x",
        "staging-7",
    ]
    for name in left:
        (models / name / "versions").mkdir(parents=True)
    asked: list[tuple[int, int]] = []

    def kill(pid: int, signal: int) -> None:
        asked.append((pid, signal))
        if pid == 4000001:
            raise ProcessLookupError
        if pid == 4000002:
            raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    publish(run, models)
    assert folders(models) == sorted(
        [
            ".staging-4000002",
            ".staging-4000003",
            ".staging-x",
            "staging-7",
            "CHANGELOG.md",
            "latest",
            "versions",
        ]
    )
    assert sorted(asked) == [(4000001, 0), (4000002, 0), (4000003, 0)]


@pytest.mark.parametrize(
    ("age", "runs_still"), [(publishing.LONGEST - 60, True), (publishing.LONGEST + 60, False)]
)
def test_on_windows_the_age_of_a_folder_says_whether_its_process_runs(
    models: Path, monkeypatch: pytest.MonkeyPatch, age: float, runs_still: bool
) -> None:
    folder = models / ".staging-7"
    folder.mkdir(parents=True)
    os.utime(folder, (time.time() - age,) * 2)
    killed: list[Any] = []
    fake = SimpleNamespace(name="nt", kill=lambda *given: killed.append(given), getpid=os.getpid)
    monkeypatch.setattr(publishing, "os", fake)
    publishing._remove_abandoned(models)
    assert (folder.exists(), killed) == (runs_still, [])


def test_a_disk_that_is_full_is_told_and_leaves_nothing(
    run: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    published(models, "1.0.0")
    before = {path: path.read_bytes() for path in models.rglob("*") if path.is_file()}
    monkeypatch.setattr(publishing, "write_text", full)
    with pytest.raises(
        PublishError, match=r"^1\.1\.0 was not published: No space left on device\. What was published"
    ):
        publish(run, models)
    assert {path: path.read_bytes() for path in models.rglob("*") if path.is_file()} == before
    assert folders(models) == ["latest", "versions"]


def test_what_somebody_else_published_meanwhile_is_not_replaced(
    run: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = publishing.card.write

    def slow(*given: Any) -> str:
        published(models, "1.0.0", labels=("another",))
        return write(*given)

    monkeypatch.setattr(publishing.card, "write", slow)
    with pytest.raises(PublishError, match=r"1\.0\.0 was published by somebody else meanwhile: "):
        publish(run, models)
    assert read_json(models / "versions/1.0.0/metadata.json")["labels"] == ["another"]
    assert folders(models) == ["latest", "versions"]


def test_a_model_that_the_service_would_not_load_is_not_published(run: Path, models: Path) -> None:
    change(run, "input_size", 0)
    with pytest.raises(_registry.ModelError, match="input size of 0"):
        publish(run, models)
    assert folders(models) == []
