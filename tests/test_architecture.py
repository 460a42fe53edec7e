"""docs/ARCHITECTURE.md draws the real tree, and tests/ mirrors it."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
# Their subfolders are data, fixtures or one folder for each platform, not parts of the design.
LEAVES = {"deploy", "docs", "tests"}
# What tests/ has beside a mirror of the tree.
OTHER_TESTS = {"hostile", "mutants", "platforms"}


def drawn() -> set[str]:
    """The folders of the tree on the page: top-level ones and the level below, like `api/_photo`."""
    tree = PAGE.split("<!-- tree -->\n```\n")[1].split("```")[0]
    found, top = set(), ""
    for indent, name, meaning in re.findall(r"^( *)([\w-]+)/ +(\S.*)$", tree, re.MULTILINE):
        assert meaning
        top = top if indent else name
        found.add(f"{top}/{name}" if indent else name)
    assert len(found) == len(tree.splitlines()), "every line of the tree is a folder and what it is for"
    return found


def tracked() -> Iterator[list[str]]:
    """The path of every file that git knows or would add, in parts."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    if result.returncode:
        pytest.skip("this is no git checkout")
    for name in result.stdout.split("\0"):
        if name and not name.startswith(".") and (ROOT / name).exists():
            yield name.split("/")


def test_every_folder_on_the_page_exists() -> None:
    assert {name for name in drawn() if not (ROOT / name).is_dir()} == set()


def test_every_folder_is_on_the_page() -> None:
    folders = set()
    for parts in tracked():
        folders |= {"/".join(parts[:depth]) for depth in (1, 2) if len(parts) > depth}
    assert {
        name for name in folders if name.split("/")[0] not in LEAVES or "/" not in name
    } == drawn() & folders


def test_every_file_that_the_page_names_exists() -> None:
    for name in re.findall(r"`([\w./-]+/[\w.-]+\.\w+)`", PAGE):
        assert "NAME" in name or (ROOT / name).exists(), name


def test_the_tests_mirror_the_tree() -> None:
    folders = {parts[1] for parts in tracked() if parts[0] == "tests" and len(parts) > 2}
    assert folders - OTHER_TESTS <= drawn()


def test_contributing_names_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:api|docs|deploy|export|tests|web|\.ci)/[\w./-]*)`", text)
    assert len(named) > 30
    for name in named:
        assert "NAME" in name or "VERSION" in name or (ROOT / name).exists(), name
