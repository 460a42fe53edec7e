"""Publishing is whole or nothing, replaces nothing, and refuses what would be dishonest."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api import _registry
from export import run as runs
from export.errors import ExportError
from export.files import read_json, write_json
from export.measure.tables import cell
from export.publish import card, changelog, honesty
from export.publish import publish as publishing
from export.publish.publish import PublishError, next_version, publish


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def change(run: Path, **values: Any) -> None:
    metadata = read_json(run / runs.METADATA)
    write_json(run / runs.METADATA, metadata | values)


def everything(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_published_run_is_what_the_service_loads(published: Path, finished: Path) -> None:
    model = _registry.read_model(published)
    assert model.version == "1.0.0"
    assert model.weights == (finished / runs.MODEL).read_bytes()
    assert model.metadata["metrics"]["test"]["accuracy"] > 0.9


def test_the_next_version_is_a_minor_one_for_the_same_labels_and_a_major_one_for_others(
    published: Path, tmp_path: Path
) -> None:
    assert next_version(published, ["disc", "square"]) == "1.1.0"
    assert next_version(published, ["disc", "ring"]) == "2.0.0"
    assert next_version(tmp_path / "empty", ["a", "b"]) == "1.0.0"


def test_a_published_version_is_never_replaced(published: Path, run: Path, tmp_path: Path) -> None:
    models = shutil.copytree(published, tmp_path / "models")
    before = everything(models)
    with pytest.raises(PublishError, match=r"never replaced.*1\.1\.0"):
        publish(run, models, "1.0.0")
    assert everything(models) == before


@pytest.mark.parametrize(
    "version",
    ["1", "1.0", "v1.0.0", "../1.0.0", "1.0.0-rc1", "latest", "03.0.0", "٣.٠.٠", "1.0.100000", "1.0.0\n"],
)
def test_an_invalid_version_is_refused(run: Path, tmp_path: Path, version: str) -> None:
    with pytest.raises(PublishError, match="three numbers"):
        publish(run, tmp_path / "models", version)


def test_publishing_again_takes_the_next_version_and_the_changelog_its_line(
    published: Path, run: Path, tmp_path: Path
) -> None:
    models = shutil.copytree(published, tmp_path / "models")
    assert publish(run, models, note="More photos of discs.").version == "1.1.0"
    assert (models / "latest").read_text() == "1.1.0\n"
    lines = [line for line in (models / "CHANGELOG.md").read_text().splitlines() if line.startswith("- ")]
    assert [re.findall(r"\d\.\d\.\d", line)[0] for line in lines] == ["1.1.0", "1.0.0"]
    assert "More photos of discs." in lines[0]


def test_latest_stays_when_asked_to(published: Path, run: Path, tmp_path: Path) -> None:
    models = shutil.copytree(published, tmp_path / "models")
    publish(run, models, latest=False)
    assert _registry.read_model(models).version == "1.0.0"


@pytest.mark.parametrize("step", ["_move", "card", "os.rename"])
def test_interrupted_anywhere_what_was_published_is_untouched(
    published: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    models = shutil.copytree(published, tmp_path / "models")
    before = everything(models)

    def stop(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    target, name = {
        "_move": (publishing, "_move"),
        "card": (card, "write"),
        "os.rename": (os, "rename"),
    }[step]
    monkeypatch.setattr(target, name, stop)
    with pytest.raises(PublishError, match="No space left") as raised:
        publish(run, models)
    assert "Errno" not in str(raised.value)
    assert everything(models) == before


def test_a_model_no_better_than_the_most_frequent_class_is_refused(run: Path, tmp_path: Path) -> None:
    metadata = read_json(run / runs.METADATA)
    metadata["metrics"]["test"] |= {"accuracy": 0.6, "accuracy_interval": [0.45, 0.7]}
    write_json(run / runs.METADATA, metadata)
    with pytest.raises(PublishError, match="not clearly better"):
        publish(run, tmp_path / "models")
    assert not (tmp_path / "models" / "versions").exists()


def test_a_temperature_at_the_edge_of_what_is_tried_is_refused(run: Path) -> None:
    metadata = read_json(run / runs.METADATA)
    assert honesty.problems(metadata) == []
    assert "edge" in honesty.problems(metadata | {"temperature": 0.2})[0]


def test_a_model_that_recognizes_everything_is_refused(run: Path) -> None:
    metadata = read_json(run / runs.METADATA)
    metadata["metrics"]["test"] |= {"neither_unrecognized": 0.0, "neither_unrecognized_interval": [0.0, 0.02]}
    assert "100%" in honesty.problems(metadata)[0]


def test_anyway_publishes_a_poor_model_and_its_card_says_so(run: Path, tmp_path: Path) -> None:
    metadata = read_json(run / runs.METADATA)
    metadata["metrics"]["test"] |= {"accuracy": 0.6, "accuracy_interval": [0.45, 0.7]}
    write_json(run / runs.METADATA, metadata)
    model = publish(run, tmp_path / "models", anyway=True)
    assert "not clearly better" in (model.directory / "README.md").read_text()
    assert model.metadata["problems"]


def test_the_card_speaks_of_these_photos_and_of_no_others(published: Path) -> None:
    card = (published / "versions" / "1.0.0" / "README.md").read_text()
    for word in ("disc", "square", "Apache-2.0", "ImageNet", "confusion.png", "EfficientNet-Lite0"):
        assert word in card
    for word in ("cat", "dog", "pet", "shelter", "kaggle", "asirra", "animal "):
        assert not re.search(rf"\b{word}s?\b", card, re.IGNORECASE), word


def test_the_cards_figures_are_those_of_the_metadata(published: Path) -> None:
    folder = published / "versions" / "1.0.0"
    metadata = json.loads((folder / "metadata.json").read_text())
    card = (folder / "README.md").read_text()
    assert f"{metadata['metrics']['test']['accuracy']:.2%}" in card
    assert metadata["weights"]["sha256"] in card
    assert f"{metadata['metrics']['cross_validation']['neither_auroc']:.4f}" in card


def test_nothing_published_names_a_photo_or_a_folder_of_this_machine(published: Path, photos: Path) -> None:
    for name, content in everything(published).items():
        assert str(photos).encode() not in content, name
        assert b"/tmp/" not in content, name
        assert b"000.jpg" not in content, name


def test_labels_cannot_break_the_card(run: Path, tmp_path: Path) -> None:
    metadata = read_json(run / runs.METADATA)
    text = json.dumps(metadata).replace("disc", "a|b <i>日本</i>")
    (run / runs.METADATA).write_text(text, encoding="utf-8")
    card = (publish(run, tmp_path / "models").directory / "README.md").read_text(encoding="utf-8")
    assert r"a\|b &lt;i>日本&lt;/i>" in card
    assert "<i>" not in card


def test_an_existing_changelog_is_extended_not_overwritten(tmp_path: Path, published: Path) -> None:
    path = tmp_path / "CHANGELOG.md"
    path.write_text("# Ours\n\nWords.\n\n- **0.9.0** old.\n", encoding="utf-8")
    changelog.add_missing(path, [published / "versions" / "1.0.0"])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["# Ours", "", "Words."]
    assert lines[-1] == "- **0.9.0** old."
    assert any(line.startswith("- **1.0.0**") for line in lines)


KILLED = """
import os, signal, sys
from pathlib import Path
from export.publish import publish
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(publish, sys.argv[3], die)
publish.publish(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize(("step", "versions"), [("_move", ["1.1.0"]), ("_announce", ["1.2.0", "1.1.0"])])
def test_the_next_process_removes_what_a_killed_one_left(
    published: Path, run: Path, tmp_path: Path, step: str, versions: list[str]
) -> None:
    models = shutil.copytree(published, tmp_path / "models")
    command = [sys.executable, "-c", KILLED, str(run), str(models), step]
    root = Path(publishing.__file__).parents[2]
    assert subprocess.run(command, check=False, cwd=root).returncode == -signal.SIGKILL
    assert bool(list(models.glob(".staging-*"))) == (step == "_move")
    assert _registry.read_model(models).version == "1.0.0"
    publish(run, models)
    assert not list(models.glob(".staging-*"))
    lines = [line for line in (models / "CHANGELOG.md").read_text().splitlines() if line.startswith("- ")]
    assert [re.findall(r"\d\.\d\.\d", line)[0] for line in lines] == [*versions, "1.0.0"]


def test_the_staging_folder_of_a_running_process_is_left_alone(run: Path, tmp_path: Path) -> None:
    others = tmp_path / "models" / f".staging-{os.getppid()}"
    own = tmp_path / "models" / f".staging-{os.getpid()}"
    for folder in (others, own):
        (folder / "versions" / "1.0.0").mkdir(parents=True)
    publish(run, tmp_path / "models")
    assert others.exists()
    assert not own.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": "0.5.0", "metrics": 3}', "[" * 100_000])
def test_a_version_with_unreadable_metadata_gets_no_line_and_does_no_harm(
    run: Path, tmp_path: Path, text: str
) -> None:
    strange = tmp_path / "models" / "versions" / "0.5.0"
    strange.mkdir(parents=True)
    (strange / "metadata.json").write_text(text, encoding="utf-8")
    publish(run, tmp_path / "models")
    assert "0.5.0" not in (tmp_path / "models" / "CHANGELOG.md").read_text(encoding="utf-8")


def test_a_full_disk_after_the_move_reports_what_was_published(
    published: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = shutil.copytree(published, tmp_path / "models")

    def stop(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(changelog, "add_missing", stop)
    with pytest.raises(PublishError, match=r"1\.1\.0 lies in .*written: No space left"):
        publish(run, models)
    assert _registry.read_model(models).version == "1.0.0"
    assert _registry.read_model(models, "1.1.0").version == "1.1.0"


def test_only_folders_are_versions(run: Path, tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    for name in ("9.9.9", "1.0.0"):
        (versions / name).write_text("")
    (versions / "08.0.0").mkdir()
    assert next_version(tmp_path, ["disc", "square"]) == "1.0.0"


def test_latest_never_moves_back_to_an_older_number(
    published: Path, run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = shutil.copytree(published, tmp_path / "models")
    publish(run, models, "10.0.0")
    with caplog.at_level("INFO"):
        publish(run, models, "9.0.0")
    assert (models / "latest").read_text() == "10.0.0\n"
    assert "latest stays at 10.0.0" in caplog.text
    shutil.rmtree(models / "versions" / "10.0.0")
    publish(run, models, "9.1.0")
    assert (models / "latest").read_text() == "9.1.0\n"


def test_labels_and_notes_cannot_break_the_changelog(run: Path, tmp_path: Path) -> None:
    metadata = read_json(run / runs.METADATA)
    text = json.dumps(metadata).replace("disc", "<script>\\n# [a](b)")
    (run / runs.METADATA).write_text(text, encoding="utf-8")
    publish(run, tmp_path / "models", note="One.\n\n## Two <b>\udcff")
    written = (tmp_path / "models" / "CHANGELOG.md").read_text(encoding="utf-8")
    assert written.startswith(changelog.HEADING)
    lines = written.removeprefix(changelog.HEADING).strip().splitlines()
    assert len(lines) == 1
    assert r"&lt;script> # \[a\](b), square" in lines[0]
    assert "One. ## Two &lt;b>" in lines[0]


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("a|b", r"a\|b"), ("`a`", r"\`a\`"), ("**a**", r"\*\*a\*\*"), ("__a_b__ _c", r"\_\_a_b\_\_ \_c"),
        ("[a](b)", r"\[a\](b)"), (r"\[a\](b)", r"\\\[a\\\](b)"), ("a\n# b", "a # b"), ("<i>", "&lt;i>"),
        ("golden_retriever", "golden_retriever"), ("St. John's wort (50 %)", "St. John's wort (50 %)"),
        ("日本_犬", "日本_犬"), ("a-b & c__d", "a-b & c__d"),
    ],
)  # fmt: skip
def test_a_cell_is_plain_text_and_ordinary_labels_stay_as_they_are(label: str, shown: str) -> None:
    assert cell(label) == shown


def test_an_incomplete_run_is_a_clear_error_and_nothing_is_published(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "parity", lambda _: 0.0)
    whole = json.dumps(read_json(run / runs.METADATA))
    refused = set()
    for path in paths(json.loads(whole)):
        for spoil in ("missing", "null"):
            metadata = json.loads(whole)
            place = metadata
            for key in path[:-1]:
                place = place[key]
            if spoil == "missing":
                del place[path[-1]]
            else:
                place[path[-1]] = None
            write_json(run / runs.METADATA, metadata)
            models = tmp_path / "models"
            try:
                publish(run, models)
            except ExportError:
                refused.add(path[0])
                assert not (models / "versions").exists()
            shutil.rmtree(models, ignore_errors=True)
    assert {"labels", "input_size", "thresholds", "weights", "training", "metrics", "latency_ms"} <= refused


def paths(metadata: dict[str, Any]) -> list[tuple[str, ...]]:
    """The paths of all keys, down to four deep."""
    found: list[tuple[str, ...]] = [(key,) for key in metadata]
    for path in found:
        value: Any = metadata
        for key in path:
            value = value[key]
        if isinstance(value, dict) and len(path) < 4 and path[-1] != "per_class":
            found.extend((*path, key) for key in value)
    return found


def test_a_note_cannot_break_the_card(run: Path, tmp_path: Path) -> None:
    note = "First.\n```\n# A heading\n[a link](https://example.org)"
    model = publish(run, tmp_path / "models", note=note, command=f"python -m export publish --note '{note}'")
    card = (model.directory / "README.md").read_text(encoding="utf-8")
    assert "\n# A heading" not in card
    assert card.count("```") == 2
    assert "- First." in card


def test_a_run_whose_graph_and_head_disagree_is_not_published(run: Path, tmp_path: Path) -> None:
    with np.load(run / runs.PARITY) as stored:
        np.savez(run / runs.PARITY, pixels=stored["pixels"], logits=-stored["logits"])
    with pytest.raises(runs.RunError, match="differs from the fitted head"):
        publish(run, tmp_path / "models")
    assert not (tmp_path / "models" / "versions").exists()
