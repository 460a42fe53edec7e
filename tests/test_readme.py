"""The README's promises: every command in it exists, and those against the server really answer."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Server, clean_environment, require, require_program

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("   #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
CURLS = [command for command in COMMANDS if command.startswith("curl")]
PYTHON = [command for command in COMMANDS if command.startswith("python")]


def test_the_first_two_commands_are_all_the_set_up() -> None:
    assert COMMANDS[:2] == ["python3 dev.py serve", "python3 dev.py test"]


def test_ci_runs_exactly_the_readmes_test_command() -> None:
    assert COMMANDS[1] in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.parametrize("command", CURLS)
def test_every_curl_answers(command: str, server: Server, cat_jpeg: bytes, tmp_path: Path) -> None:
    require_program("curl")
    for name in ("photo.jpg", "one.jpg", "two.jpg"):
        (tmp_path / name).write_bytes(cat_jpeg)
    arguments = [word.replace("http://127.0.0.1:8000", server.url) for word in shlex.split(command)]
    arguments[1:1] = ["--silent", "--fail", "--noproxy", "*"]
    result = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert '"prediction":"cat"' in result.stdout.replace(" ", "")


@pytest.mark.parametrize("command", PYTHON)
def test_every_python_command_is_one_that_its_help_knows(command: str) -> None:
    words = shlex.split(command)[1:]
    if words[0] == "dev.py":
        call, flags = ["dev.py", "--help"], [words[1]]
    else:
        if words[1] == "export":
            require("torch")
        call, flags = [*words[:3], "--help"], [word for word in words[3:] if word.startswith("--")]
    result = subprocess.run(
        [sys.executable, *call], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=True
    )
    for flag in flags:
        assert flag in result.stdout, command


def test_every_file_that_the_readme_links_to_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_readme_names_every_documented_endpoint(server: Server) -> None:
    with server.client() as client:
        for path in client.get("/openapi.json").json()["paths"]:
            assert f"`{path}`" in README or f"{path}`" in README, path
