"""Text files are UTF-8, with one kind of line end, whatever the machine's own habits are."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment

# What runs on the machines of others. export/ has its own rules, and tests run where developers are.
_FOLDERS = ("api", "deploy", "docs", "benchmarks", "export", "services")
PROGRAMS = sorted(
    [
        ROOT / "dev.py",
        *(
            path
            for name in _FOLDERS
            for path in (ROOT / name).rglob("*.py")
            if "node_modules" not in path.parts
        ),
    ]
)
_TEXT = {"read_text": 0, "write_text": 1}  # at which place each takes its encoding


def without_encoding(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        keywords = {keyword.arg for keyword in node.keywords}
        reads = name in _TEXT and len(node.args) <= _TEXT[name]
        opens = name == "open" and not any("b" in str(getattr(mode, "value", "")) for mode in node.args[-1:])
        others = isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") in (
            "os",
            "Image",
        )
        if (reads or (opens and not others) or "text" in keywords) and "encoding" not in keywords:
            yield f"{path.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_text_file_is_read_and_written_as_utf_8(path: Path) -> None:
    assert list(without_encoding(path)) == []


def test_git_gives_every_machine_the_same_line_ends() -> None:
    # bash, nginx, hashes of requirements and of vendored files all depend on them.
    names = [
        "dev.py",
        ".ci/run",
        "model/latest",
        "web/app.js",
        "deploy/nginx.conf",
        "model/versions/1.0.0/model.onnx",
    ]
    result = subprocess.run(
        ["git", "check-attr", "text", "eol", "--", *names],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if result.returncode:
        pytest.skip("this is no git checkout")
    said = [line.split(": ") for line in result.stdout.splitlines()]
    assert {name: value for name, attribute, value in said if attribute == "eol"} == dict.fromkeys(
        names, "lf"
    )
    kinds = {name: value for name, attribute, value in said if attribute == "text"}
    assert kinds.pop("model/versions/1.0.0/model.onnx") == "unset"
    assert set(kinds.values()) == {"auto"}


def test_committed_files_have_no_byte_order_mark_and_no_carriage_returns() -> None:
    for path in [*PROGRAMS, ROOT / "model/latest", *(ROOT / "web").glob("*.js"), *(ROOT / ".ci").iterdir()]:
        data = path.read_bytes()
        assert b"\r" not in data, path
        assert not data.startswith(b"\xef\xbb\xbf"), path


@pytest.mark.parametrize("command", [["deploy/site.py", "--help"], ["dev.py"], ["deploy/prune.py", "--help"]])
def test_a_command_explains_itself_on_a_terminal_that_knows_ascii_only(command: list[str]) -> None:
    environment = {**clean_environment(), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False
    )
    assert b"Traceback" not in result.stderr
    assert result.stdout


def test_the_site_is_put_together_under_an_ascii_locale(tmp_path: Path) -> None:
    environment = {**clean_environment(), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "deploy/site.py", str(tmp_path / "сайт"), "--api", "https://purrdict.example"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert os.path.exists(tmp_path / "сайт" / "index.html")
