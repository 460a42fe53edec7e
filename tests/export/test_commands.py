"""The commands: quick to show their help, clear when something is wrong, the whole way in one."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api import _registry
from export.__main__ import main
from export.body import body as bodies
from tests.conftest import ROOT, clean_environment
from tests.export.conftest import LABELS, write_class


def test_the_help_is_fast_and_names_every_command() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = subprocess.run(
        [sys.executable, "-m", "export", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.6
    for command in ("train", "publish", "evaluate", "body"):
        assert f"export {command}" in text


@pytest.mark.long
def test_the_default_recipe_goes_the_whole_way_without_pytorch_and_in_a_terminal_of_another_encoding(
    tmp_path: Path,
) -> None:
    names = ("日本語", "köter")
    for kind, name in zip(LABELS, names, strict=True):
        write_class(tmp_path / "photos" / name, kind, 5)
    arguments = [
        "train",
        tmp_path / "photos",
        "--out",
        tmp_path / "run",
        "--publish",
        "--models",
        tmp_path / "models",
    ]
    # The bodies of these tests have fewer negatives, in this process and in that one.
    code = (
        f"import sys, pathlib; from export.body import body; body.BODIES = pathlib.Path({str(bodies.BODIES)!r})\n"
        f"from export.__main__ import main\nassert main({[*map(str, arguments), '--anyway']!r}) == 0\n"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**clean_environment(), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "False"
    assert "published 1.0.0" in result.stdout
    assert "python3 dev.py serve" in result.stdout
    assert "accuracy" in result.stdout
    assert set(_registry.read_model(tmp_path / "models").labels) == set(names)
    assert "日本語" in (tmp_path / "models" / "versions" / "1.0.0" / "README.md").read_text(encoding="utf-8")


@pytest.mark.long
def test_a_published_model_is_measured_by_kind(
    published: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "evaluate", "--data", str(photos / "photos"), "--neither", str(photos / "neither"), "--models", str(published),
    ]  # fmt: skip
    sheets = ["--errors", str(tmp_path / "errors"), "--plots", str(tmp_path / "plots")]
    assert main([*arguments, *sheets]) == 0
    printed = capsys.readouterr().out
    assert "Purrdict 1.0.0 on test" in printed
    assert "OOD rejection rate" in printed
    assert (tmp_path / "plots" / "confusion.png").exists()
    assert main([*arguments, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["photos"] == 10
    assert {line["class"] for line in figures["by_kind"]} == {*LABELS, "none"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "nowhere"],
        ["train"],
        ["publish", "--run", "nowhere"],
        ["evaluate", "--data", "nowhere"],
        ["train", "photos", "--recipe", "nothing"],
    ],
)
def test_errors_are_one_clear_sentence(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert "nowhere" in said or "photos" in said or "recipe" in said


@pytest.mark.long
def test_ctrl_c_ends_with_a_message_and_the_next_run_resumes(tmp_path: Path) -> None:
    for label in LABELS:
        write_class(tmp_path / "photos" / label, label, 400)
    command = [
        sys.executable,
        "-m",
        "export",
        "train",
        str(tmp_path / "photos"),
        "--out",
        str(tmp_path / "run"),
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    cache = Path(os.environ["PURRDICT_CACHE"])
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 200_000 for path in cache.glob("features-*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "nothing is lost" in said
    assert "Traceback" not in said
    assert not (tmp_path / "run" / "run.json").exists()
