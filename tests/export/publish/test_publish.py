"""Publishing is whole or nothing, replaces nothing, and refuses what would be dishonest."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from api import _registry
from export import run as runs
from export.files import read_json, write_json
from export.publish import changelog, honesty
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
    model = _registry.load(published)
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


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "../1.0.0", "1.0.0-rc1", "latest"])
def test_what_is_no_version_is_refused(run: Path, tmp_path: Path, version: str) -> None:
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
    assert _registry.load(models).version == "1.0.0"


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
        "card": (publishing.card, "write"),
        "os.rename": (os, "rename"),
    }[step]
    monkeypatch.setattr(target, name, stop)
    with pytest.raises(PublishError, match="No space left"):
        publish(run, models)
    assert everything(models) == before


def test_a_model_no_better_than_the_commonest_class_is_refused(run: Path, tmp_path: Path) -> None:
    metadata = read_json(run / runs.METADATA)
    metadata["metrics"]["test"] |= {"accuracy": 0.6, "accuracy_interval": [0.45, 0.7]}
    write_json(run / runs.METADATA, metadata)
    with pytest.raises(PublishError, match="not clearly better"):
        publish(run, tmp_path / "models")
    assert not (tmp_path / "models" / "versions").exists()


def test_a_temperature_that_says_nothing_is_refused(run: Path) -> None:
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


def test_the_changelog_of_a_stranger_is_added_to_not_lost(tmp_path: Path, published: Path) -> None:
    path = tmp_path / "CHANGELOG.md"
    path.write_text("# Ours\n\nWords.\n\n- **0.9.0** old.\n", encoding="utf-8")
    changelog.add(path, json.loads((published / "versions" / "1.0.0" / "metadata.json").read_text()))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["# Ours", "", "Words."]
    assert lines[-1] == "- **0.9.0** old."
    assert any(line.startswith("- **1.0.0**") for line in lines)
