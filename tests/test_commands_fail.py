"""Where a command cannot write, or something lies in its way, it says so in a sentence."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import dev
from tests.conftest import ROOT, clean_environment


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=clean_environment() | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file where a command would like to have a folder."""
    path = tmp_path / "a-file"
    path.write_text("x")
    return path


@pytest.mark.parametrize("inside", ["", "inside", "inside/deeper"])
def test_an_environment_that_cannot_be_created_is_a_clear_error(file: Path, inside: str) -> None:
    result = run("dev.py", "install", PURRDICT_VENV=str(file / inside))
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert str(file) in result.stderr


def test_a_python_without_venv_is_told_what_to_install(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, venv, dev\n"
        "def create(*_, **__): raise subprocess.CalledProcessError(1, 'ensurepip')\n"
        "venv.create = create\nsys.exit(dev.main(['install']))"
    )
    result = run("-c", code, PURRDICT_VENV=str(tmp_path / "venv"))
    assert result.returncode == 2
    assert "python3-venv" in result.stderr


def test_a_half_created_environment_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "venv"
    # What an interrupted first run leaves: an interpreter, and no pip.
    venv.create(folder, with_pip=False)
    made: list[dict[str, object]] = []
    # pip itself takes seven seconds to install.
    monkeypatch.setattr(venv, "create", lambda target, **options: made.append({"at": target, **options}))
    monkeypatch.setattr(dev, "ENVIRONMENT", folder)
    monkeypatch.setattr(dev, "PYTHON", folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    assert dev.install([]) == 0
    assert made == [{"at": folder, "with_pip": True, "clear": True}]


@pytest.mark.parametrize("inside", ["", "inside", "inside/deeper"])
def test_a_site_that_cannot_be_written_is_a_clear_error(file: Path, inside: str) -> None:
    result = run("deploy/site.py", file / inside)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")


def test_a_site_without_a_published_model_is_a_clear_error(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, importlib.util as u\n"
        "s = u.spec_from_file_location('site_of_pages', 'deploy/site.py')\n"
        "site = u.module_from_spec(s)\ns.loader.exec_module(site)\n"
        "site.ROOT = pathlib.Path(sys.argv[1])\nsys.exit(site.main([sys.argv[2]]))"
    )
    result = run("-c", code, tmp_path / "empty", tmp_path / "site")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert "latest" in result.stderr
    assert not (tmp_path / "site").exists()


def test_pruning_without_permission_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime" / "tools").mkdir(parents=True)
    code = (
        "import sys, shutil, importlib.util as u\n"
        "def barred(path): raise PermissionError(13, 'Permission denied', str(path))\n"
        "shutil.rmtree = barred\n"
        "s = u.spec_from_file_location('prune', 'deploy/prune.py')\n"
        "p = u.module_from_spec(s)\ns.loader.exec_module(p)\n"
        "sys.exit(p.main([sys.argv[1]]))"
    )
    result = run("-c", code, tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")


@pytest.mark.skipif(os.name == "nt", reason="HOME is no variable of Windows")
def test_commands_need_no_home(file: Path, tmp_path: Path) -> None:
    assert run("deploy/site.py", tmp_path / "site", HOME=str(file)).returncode == 0
    assert run("dev.py", "--help", HOME=str(file)).returncode == 0
