"""CHANGELOG.md, the version that the API states, and the tags agree; every published model has its line."""

import re
import subprocess

from api._routes.info import API_VERSION
from tests.conftest import ROOT

RELEASES = re.findall(
    r"^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
)


def test_the_newest_release_is_the_version_that_the_api_states() -> None:
    assert RELEASES[0] == API_VERSION
    assert sorted(set(RELEASES), key=lambda name: [*map(int, name.split("."))], reverse=True) == RELEASES


def test_a_tagged_commit_states_the_version_of_its_tag() -> None:
    command = ["git", "tag", "--points-at", "HEAD", "--list", "v*"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert set(result.stdout.split()) <= {f"v{API_VERSION}"}


def test_every_published_model_has_a_line_in_its_changelog_the_newest_first() -> None:
    lines = re.findall(r"^- \*\*([\d.]+)\*\*", (ROOT / "model" / "CHANGELOG.md").read_text(), re.MULTILINE)
    published = {path.name for path in (ROOT / "model" / "versions").iterdir()}
    assert set(lines) == published
    assert lines == sorted(lines, key=lambda name: [*map(int, name.split("."))], reverse=True)
