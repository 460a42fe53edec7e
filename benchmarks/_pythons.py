"""Finds a real Python that the platforms accept: python3 benchmarks/_pythons.py prints its path.

A shim of pyenv is not enough for Vercel's builder, so the interpreter itself says where it lies.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# What Vercel and Lambda run by default comes first; Vercel's builder takes nothing older.
WANTED = ("3.12", "3.13")
_WHERE = (
    "import sys, os; print('{}.{}'.format(*sys.version_info), os.path.join(sys.base_prefix, 'bin', "
    "'python{}.{}'.format(*sys.version_info)))"
)


def find() -> str | None:
    """Path of the first Python 3.12 or 3.13 that starts, or None."""
    found: dict[str, str] = {}
    for candidate in _candidates():
        run = subprocess.run([candidate, "-c", _WHERE], capture_output=True, encoding="utf-8", check=False)
        version, _, path = run.stdout.strip().partition(" ")
        if version in WANTED and Path(path).exists():
            found.setdefault(version, path)
    return next((found[version] for version in WANTED if version in found), None)


def _candidates() -> Iterator[str]:
    for version in WANTED:
        if path := shutil.which(f"python{version}"):
            yield path
    yield sys.executable
    # What made the tests' environment may lie nowhere else that is looked.
    tests = Path(os.environ.get("PURRDICT_VENV", ".venv"), "bin/python")
    if tests.exists():
        yield str(tests)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv"))
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", home / ".local/share/uv/python"))
    for version in WANTED:
        for folder in (pyenv / "versions", uv):
            yield from sorted(map(str, folder.glob(f"*{version}*/bin/python{version}")))


if __name__ == "__main__":
    path = find()
    if path is None:
        sys.exit("error: no Python 3.12 or 3.13 on PATH, in pyenv or in uv. Run: uv python install 3.12")
    print(path)
