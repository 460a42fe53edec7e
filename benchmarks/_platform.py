"""The platforms' own tools on this machine, a copy of the checkout to build in, and environments without secrets."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from api._settings import names
from benchmarks import _pythons
from benchmarks._servers import ROOT

# Where .ci/platforms installs; a program on PATH does as well.
TOOL_FOLDERS = (ROOT / "build/platforms/bin", ROOT / "tests/platforms/node_modules/.bin")


class NotHereError(RuntimeError):
    """A tool that a platform's build needs is missing on this machine."""


def tool(name: str) -> str:
    """Path of a platform's program. Raises NotHereError."""
    search = os.pathsep.join([*map(str, TOOL_FOLDERS), os.environ["PATH"]])
    if found := shutil.which(name, path=search):
        return found
    raise NotHereError(f"{name} is not installed: run .ci/platforms")


def platform_python() -> str:
    """A real Python that Vercel and Lambda run. Raises NotHereError."""
    if found := _pythons.find():
        return found
    raise NotHereError("no Python 3.12 or 3.13 on this machine")


def bare_environment(*folders: str | Path, **variables: str) -> dict[str, str]:
    """PATH with these folders first, and nothing of the shell that could change a build or an answer."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in names() and not name.startswith(("VERCEL", "AWS_", "PYTHON", "PYTEST", "VIRTUAL_ENV"))
    }
    return {**kept, "PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]]), **variables}


def run(command: Sequence[str | Path], **options: object) -> str:
    """Runs a program to its end; returns what it said. Raises RuntimeError with that when it fails."""
    result = subprocess.run(  # type: ignore[call-overload]
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        **options,
    )
    if result.returncode:
        raise RuntimeError(f"{Path(command[0]).name} ended with {result.returncode}:\n{result.stdout}")
    return str(result.stdout)


def copy_checkout(target: Path) -> Path:
    """The files that git has or would take, in a folder of their own: builders write into what they build."""
    names = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    for name in filter(None, names.split("\0")):
        if (source := ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target
