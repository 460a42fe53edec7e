"""`python -m api predict`: the classifier without a server."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from api._classifier import Classifier, Prediction
from api._commands import predict
from tests.commands import run


def test_the_command_line_answers_as_the_service_does(
    client: httpx.Client, cat_jpeg: bytes, tmp_path: Path
) -> None:
    photo = tmp_path / "chelsea.jpg"
    photo.write_bytes(cat_jpeg)
    result = run("predict", "--json", photo)
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


def test_the_table_has_its_answers_below_each_other_and_says_where_it_doubts(
    cat_jpeg: bytes, coffee: Image.Image, client: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(cat_jpeg)
    coffee.save(tmp_path / "a cup.png")
    (tmp_path / "b.txt").write_bytes(b"")
    cat, cup = (
        client.post("/predict", files={"file": (tmp_path / name).read_bytes()}).json()
        for name in ("a.jpg", "a cup.png")
    )
    assert (cat["recognized"], cup["recognized"]) == (True, False)
    result = run("predict", tmp_path / "a.jpg", tmp_path / "a cup.png", tmp_path / "b.txt")
    assert result.stdout.splitlines() == [
        f"{tmp_path}/a.jpg      cat  {cat['confidence']:7.2%}",
        f"{tmp_path}/a cup.png  {cup['prediction']}  {cup['confidence']:7.2%}  looks like none of the labels",
        f"{tmp_path}/b.txt      error  The file is empty. Send a photo.",
    ]
    assert (result.returncode, result.stderr) == (1, "")


def test_the_version_of_the_settings_is_the_one_that_answers(cat_jpeg: bytes, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(cat_jpeg)
    result = run("predict", "--json", tmp_path / "cat.jpg", MODEL_VERSION="0.2.0")
    assert json.loads(result.stdout)["model_version"] == "0.2.0"


def test_a_label_is_written_as_people_write_it_and_a_long_one_moves_its_own_figure_alone() -> None:
    def row(label: str, width: int) -> str:
        return predict._row(Prediction(label, 0.5, {label: 0.5}, recognized=True, recognized_score=1), width)

    assert row("Car_side", 10) == "Car side     50.00%"
    assert row("a_label_of_more_than_24_letters", 24) == "a label of more than 24 letters   50.00%"


@pytest.mark.parametrize(("count", "said"), [(1, "1 file"), (2, "2 files")])
def test_what_is_left_out_is_counted(cat_jpeg: bytes, tmp_path: Path, count: int, said: str) -> None:
    (tmp_path / "cat.jpg").write_bytes(cat_jpeg)
    for number in range(count):
        (tmp_path / f"{number}.xmp").write_text("a note")
    result = run("predict", tmp_path)
    assert result.returncode == 0
    assert result.stderr == f"left out: {said} of the kinds that lie beside photos, like notes on edits\n"


def test_what_cannot_be_looked_for_is_said_and_the_rest_is_answered(cat_jpeg: bytes, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(cat_jpeg)
    result = run("predict", tmp_path / "cat.jpg", tmp_path / "*.gif")
    assert result.returncode == 1
    assert result.stderr == f"error: no file matches {tmp_path}/*.gif\n"
    assert len(result.stdout.splitlines()) == 1
    # Not said twice.
    assert run("predict", tmp_path / "*.gif").stderr.count("error") == 1


def test_a_photo_of_more_pixels_than_are_allowed_is_refused(cat_jpeg: bytes, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(cat_jpeg)
    result = run("predict", "--json", tmp_path / "cat.jpg", MAX_PIXELS="1000")
    assert result.returncode == 1
    answer = json.loads(result.stdout)
    assert set(answer) == {"file", "error"}
    assert "pixels" in answer["error"]


@pytest.mark.parametrize(
    ("photos", "setting", "within_one", "at_once"),
    [(1, "", 3, 3), (2, "", 1, 3), (1, "5", 5, 5), (2, "5", 1, 5)],
)
def test_one_photo_gets_all_threads_and_several_get_one_each(
    monkeypatch: pytest.MonkeyPatch,
    cat_jpeg: bytes,
    tmp_path: Path,
    photos: int,
    setting: str,
    within_one: int,
    at_once: int,
) -> None:
    found: list[int] = []

    def classifier(model: Any, threads: int) -> Classifier:
        found.append(threads)
        return Classifier(model, 1)

    def in_order(work: Any, jobs: Any, threads: int) -> Any:
        found.append(threads)
        return map(work, jobs)

    monkeypatch.setattr(predict, "Classifier", classifier)
    monkeypatch.setattr(predict, "in_order", in_order)
    monkeypatch.setattr(predict, "available_cpus", lambda: 3)
    for number in range(photos):
        (tmp_path / f"{number}.jpg").write_bytes(cat_jpeg)
    assert run("predict", tmp_path, THREADS=setting).returncode == 0
    assert found == [within_one, at_once]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("out", "err", "shown"), [(io.StringIO, _Terminal, True), (_Terminal, _Terminal, False),
                                                   (io.StringIO, io.StringIO, False)])  # fmt: skip
def test_a_line_tells_how_far_it_is_where_the_rows_go_elsewhere(
    monkeypatch: pytest.MonkeyPatch, cat_jpeg: bytes, tmp_path: Path, out: type, err: type, shown: bool
) -> None:
    from api.__main__ import main

    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(cat_jpeg if number else b"no photo")
    output, errors = out(), err()
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr("api._commands.progress._TERMINAL_S", -1)
    assert main(["predict", str(tmp_path)]) == 1
    assert len(output.getvalue().splitlines()) == 3
    lines = errors.getvalue().split("\r")
    if not shown:
        assert lines == [""]
        return
    assert [line.partition(" photos/s")[0].rpartition(",")[0] for line in lines[:3]] == [
        "1 photos, 33 %", "2 photos, 66 %", "3 photos, 100 %",
    ]  # fmt: skip
    assert all(line.endswith(", 1 error\x1b[K") for line in lines[:3])
    assert lines[3:] == ["\x1b[K", ""], "and leaves the line when it is done"
