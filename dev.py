"""One command to serve, one to test; each makes .venv beside this file on its first run and keeps it up to date.

    python3 dev.py serve     the classifier and its page on http://127.0.0.1:8000
    python3 dev.py test      the default tests
    python3 dev.py install   only the environment of the tests

Whatever follows goes to the program itself: `python3 dev.py serve --port 9000`, `python3 dev.py test -k heatmap`.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = Path(os.environ.get("PURRDICT_VENV", ROOT / ".venv"))
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

# Command → what it needs installed, and what it runs.
SERVE = ["requirements.txt", "requirements-serve.txt"]
TEST = [*SERVE, "requirements-dev.txt", "export/requirements.txt"]
COMMANDS = {
    "serve": (SERVE, ["-m", "api", "serve"]),
    "test": (TEST, ["-m", "pytest"]),
    "install": (TEST, ["-c", "pass"]),
}


def main(arguments: list[str]) -> int:
    """Installs what the command needs, then runs it; returns its exit status."""
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        print(
            f"error: Purrdict needs Python 3.11, 3.12 or 3.13; this is {sys.version.split()[0]}.",
            file=sys.stderr,
        )
        return 2
    requirements, command = COMMANDS[arguments[0]]
    status = install(requirements)
    if status:
        print("error: the packages could not be installed; pip says why above.", file=sys.stderr)
        return status
    try:
        return subprocess.call([PYTHON, *command, *arguments[1:]], cwd=ROOT)
    except KeyboardInterrupt:
        return 130


def install(requirements: list[str]) -> int:
    """Installs the requirement files into .venv unless exactly these were installed before."""
    version = "{}.{}".format(*sys.version_info)
    contents = b"".join((ROOT / name).read_bytes() for name in requirements)
    stamp = hashlib.sha256(version.encode() + contents).hexdigest()
    # One stamp for each set of files: serving needs few packages, the tests need those and more.
    marker = ENVIRONMENT / f".installed-{len(requirements)}"
    if PYTHON.exists() and marker.exists() and marker.read_text() == stamp:
        return 0
    if not PYTHON.exists():
        print(f"making {ENVIRONMENT} ...", flush=True)
        venv.create(ENVIRONMENT, with_pip=True)
    print(f"installing {', '.join(requirements)} ...", flush=True)
    files = [part for name in requirements for part in ("-r", str(ROOT / name))]
    options = ["--quiet", "--disable-pip-version-check"]
    status = subprocess.call([PYTHON, "-m", "pip", "install", *options, *files])
    if status == 0:
        marker.write_text(stamp)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
