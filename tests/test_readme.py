"""What the README and the pages under docs/ say is true: commands, curl calls, figures and links."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, Server, clean_environment, require, require_program

VERSION = (ROOT / "model" / "latest").read_text().strip()
README = (ROOT / "README.md").read_text()
API_PAGE = (ROOT / "docs" / "API.md").read_text()
BENCHMARKS = (ROOT / "docs" / "BENCHMARKS.md").read_text()
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCKS = re.findall(r"```sh\n(.*?)```", README + API_PAGE, re.DOTALL)
COMMANDS = [line.split("   #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
CURLS = [command for command in COMMANDS if command.startswith("curl")]
PYTHON = [command for command in COMMANDS if command.startswith("python")]


def test_the_first_two_commands_need_no_other_set_up() -> None:
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
    rows = [
        f"{line['photos']:,} | {_percent(line['accuracy'])} ({_interval(line['accuracy_interval'])}) "
        f"| {_percent(line['wrongly_unrecognized'])} |"
        for line in test["by_source"]
    ]
    kinds = test["over_kinds"]
    neither = f"{_percent(kinds['mean'])} (worst kind: {_percent(kinds['worst'])})"
    words = " ".join(README.split())
    for figure in (
        *rows, neither, f"neither, {kinds['kinds']} kinds", f"in a file of {megabytes:.1f} MB",
        f"model/versions/{VERSION}/README.md", f'"model_version": "{VERSION}"',
    ):  # fmt: skip
        assert figure in words, figure


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _interval(interval: list[float]) -> str:
    return " to ".join(f"{share * 100:.1f}" for share in interval)


def test_the_benchmarks_page_has_the_table_that_the_benchmarks_printed() -> None:
    rows = [line for line in BENCHMARKS.split("<!-- /table -->")[0].splitlines() if line.startswith("| ")]
    printed = (ROOT / "benchmarks" / "results" / "table.md").read_text().splitlines()
    assert rows == [line for line in printed if line.startswith("| ")]
    assert len(rows) > 8
    assert printed[0] in BENCHMARKS, "the machine and the versions"


def test_the_training_figures_are_those_that_the_benchmark_printed() -> None:
    printed = (ROOT / "benchmarks" / "results" / "own-classes.md").read_text()
    page = BENCHMARKS.replace(" %", "%").splitlines()
    for name, row in (("flowers", "| five flowers |"), ("rubbish", "| six kinds of rubbish |")):
        runs = re.findall(
            rf"^\| {name} \| \w+ \| lite0 \| ([\d.%]+) \| [\d.%]+ \| ([\d.%]+) \|", printed, re.M
        )
        assert len(runs) == 3
        assert f"{row} {' | '.join('; '.join(run) for run in runs)} |" in page


def test_the_speeds_in_the_readme_are_rounded_from_that_table() -> None:
    printed = (ROOT / "benchmarks" / "results" / "table.md").read_text()
    measured = dict(re.findall(r"^\| ([^|]+) \| ([\d.]+)", printed, re.MULTILINE))
    for sentence in (
        f"cold start to the first answered photo: {float(measured['cold start to first photo, s']):.2f} s",
        f"a photo of 500 x 375 pixels: {float(measured['p50 of a 500 x 375 JPEG, ms']):.1f} ms",
        f"with 8 clients: {float(measured['photos a second, 8 clients']):.0f} photos a second",
        f"memory after 10,000 photos: {measured['memory after 10,000 photos, MB']} MB",
    ):
        assert sentence in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_the_pages_leads_somewhere(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\(([^)#:]*)(#([\w-]+))?\)", page.read_text()):
        path = (page.parent / target) if target else page
        assert path.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{target}#{anchor}"


def test_the_readme_links_to_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#:]+\.md)\)", README))
    assert linked >= {path.relative_to(ROOT).as_posix() for path in PAGES} - {"README.md"}


def test_the_page_about_the_api_names_every_documented_endpoint(client: httpx.Client) -> None:
    for path in client.get("/openapi.json").json()["paths"]:
        assert f"`{path}`" in API_PAGE or f"{path}`" in API_PAGE, path
