"""The README's promises: every command in it exists, and those against the server really answer."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Server, clean_environment, require, require_program

VERSION = (ROOT / "model" / "latest").read_text().strip()
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
    shutil.copytree(ROOT / "web" / "samples", tmp_path / "web" / "samples")
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


def test_the_figures_of_the_readme_are_those_of_the_published_model() -> None:
    metadata = json.loads((ROOT / "model" / "versions" / VERSION / "metadata.json").read_text())
    test, megabytes = metadata["metrics"]["test"], metadata["weights"]["bytes"] / 1e6
    low, high = test["accuracy_interval"]
    words = " ".join(README.split())
    for figure in (
        f"{metadata['parameters'] / 1e6:.2f} million parameters in a file of {megabytes:.2f} MB",
        f"{test['accuracy']:.1%} of {test['photos']:,} test photos".replace("%", " %"),
        f"({low * 100:.1f} to {high * 100:.1f} %)",
        f"for {test['neither_unrecognized'] * 100:.0f} %",
        f"for {test['wrongly_unrecognized'] * 100:.1f} % of cats and dogs",
        f"model/versions/{VERSION}/README.md",
        f'"model_version": "{VERSION}"',
    ):
        assert figure in words, figure


def test_the_performance_table_is_what_the_benchmarks_printed() -> None:
    section = README.split("## How fast")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) > 8
    printed = (ROOT / "benchmarks" / "results" / "table.md").read_text().splitlines()
    for row in rows:
        assert row in printed
    assert printed[0] in section, "the machine and the versions"


def test_every_file_that_the_readme_links_to_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_readme_names_every_documented_endpoint(server: Server) -> None:
    with server.client() as client:
        for path in client.get("/openapi.json").json()["paths"]:
            assert f"`{path}`" in README or f"{path}`" in README, path
