"""`python -m api predict`: the classifier without a server."""

import json
import subprocess
import sys
from pathlib import Path

import httpx

from tests.commands import run
from tests.conftest import ROOT, clean_environment


def test_the_command_line_answers_as_the_service_does(
    client: httpx.Client, cat_jpeg: bytes, tmp_path: Path
) -> None:
    photo = tmp_path / "chelsea.jpg"
    photo.write_bytes(cat_jpeg)
    result = subprocess.run(
        [sys.executable, "-m", "api", "predict", "--json", photo],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    served = client.post("/predict", files={"file": cat_jpeg}).json()
    assert answer.pop("file") == str(photo)
    assert answer == {name: served[name] for name in answer}
    assert set(answer) == {
        "prediction",
        "confidence",
        "probabilities",
        "recognized",
        "present",
        "model_version",
    }


def test_a_folder_gives_a_row_for_each_file_and_status_1_when_one_is_no_photo(
    cat_jpeg: bytes, tmp_path: Path
) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "cat.jpg").write_bytes(cat_jpeg)
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / ".hidden").write_text("no photo either")
    result = run("predict", tmp_path)
    assert result.returncode == 1
    cat, notes = result.stdout.splitlines()
    assert cat.split()[:2] == [str(tmp_path / "inner" / "cat.jpg"), "cat"]
    assert notes.split()[:2] == [str(tmp_path / "notes.txt"), "error"]
    assert "Traceback" not in result.stderr


def test_a_photo_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = run("predict", tmp_path / "nowhere.jpg")
    assert result.returncode == 1
    assert "nowhere.jpg" in result.stdout


def test_an_empty_folder_is_no_success(tmp_path: Path) -> None:
    result = run("predict", tmp_path)
    assert result.returncode == 1
    assert "no file" in result.stderr


def test_without_a_model_the_command_says_so(cat_jpeg: bytes, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(cat_jpeg)
    result = run("predict", tmp_path / "cat.jpg", MODEL_DIR=str(tmp_path))
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert "latest" in result.stderr


def test_a_wrong_setting_stops_the_command_and_names_the_variable(tmp_path: Path) -> None:
    result = run("predict", tmp_path, THREADS="many")
    assert result.returncode == 2
    assert "THREADS" in result.stderr
