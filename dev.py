"""Serves, tests and trains. Each command creates .venv beside this file on its first run and keeps it up to date.

    python3 dev.py serve            the classifier and its page on http://127.0.0.1:8000
    python3 dev.py test             the default tests
    python3 dev.py train PHOTOS     a model of your own classes: trained, measured and published in a minute
    python3 dev.py mutants          breaks the code on purpose and counts what no test notices; takes hours
    python3 dev.py feedback         what people correct, kept: http://127.0.0.1:8001/feedback/owner/
    python3 dev.py install          only creates the environment of the tests

PHOTOS has one folder of photos for each class. Further arguments go to the program itself: `python3 dev.py serve
--port 9000`, `python3 dev.py test -k heatmap`, `python3 dev.py train --help`.
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

# The oldest and the newest Python that every pinned package has a wheel for.
SUPPORTED = ((3, 11), (3, 14))

# Each step is one call of pip: if one file has hashes, pip requires them of all other files in the same call.
LOCKED = ["-r", "requirements.txt", "-r", "requirements-serve.txt"]
# Metrics and traces: beside the server, and imported only when they are switched on.
OPERATED = [*LOCKED, "-r", "requirements-operate.txt"]
TRAINING = ["-r", "export/requirements.txt", "-c", "requirements.in"]
FEEDBACK = ["-r", "services/feedback/requirements.txt"]
TOOLS = [
    *("-r", "requirements-dev.txt", "-r", "bulk/requirements.txt", "-r", "export/requirements-finetune.txt"),
    *FEEDBACK,
    *("-c", "requirements.in"),
]
# Tests wait for programs that they start: on two processors, three processes take four fifths of the time of two.
PROCESSES = str(max(2, (os.cpu_count() or 1) * 3 // 2))
# Command → the install steps, and what it runs.
COMMANDS = {
    "serve": ([LOCKED], ["-m", "api", "serve"]),
    # A file stays in one process, for its fixtures. Not loadgroup: pytest 9.2 hides the groups from pytest-xdist 3.8.
    "test": ([OPERATED, TOOLS], ["-m", "pytest", "--numprocesses", PROCESSES, "--dist", "loadfile"]),
    # -P: otherwise a folder called export in the working directory would be imported instead.
    "train": ([LOCKED, TRAINING], ["-P", "-m", "export", "train", "--publish"]),
    "feedback": ([FEEDBACK], ["-m", "services.feedback", "serve"]),
    "mutants": ([OPERATED, TOOLS], ["-m", "tests.mutants"]),
    "install": ([OPERATED, TOOLS], ["-c", "pass"]),
}


def main(arguments: list[str]) -> int:
    """Installs what the command needs, then runs it; returns its exit status."""
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    if not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        first, last = ("{}.{}".format(*version) for version in SUPPORTED)
        newer = sys.version_info[:2] > SUPPORTED[1]
        reason = " onnxruntime, which runs the model, has no package for a newer one yet." if newer else ""
        print(
            f"error: Purrdict needs Python {first} to {last}; this is {'{}.{}'.format(*sys.version_info)}.{reason}",
            file=sys.stderr,
        )
        return 2
    steps, command = COMMANDS[arguments[0]]
    try:
        status = install(steps)
    except (OSError, ValueError) as error:  # venv raises ValueError when a file is in the way
        print(
            f"error: {ENVIRONMENT} cannot be made or changed: {getattr(error, 'strerror', None) or error}. "
            "Name another folder in the variable PURRDICT_VENV.",
            file=sys.stderr,
        )
        return 2
    except subprocess.CalledProcessError:
        # Debian and Ubuntu have ensurepip in a separate package.
        print(
            f"error: this Python cannot make {ENVIRONMENT}. On Debian and Ubuntu: apt install python3-venv",
            file=sys.stderr,
        )
        return 2
    if status:
        print("error: the packages could not be installed; pip says why above.", file=sys.stderr)
        return status
    environment = dict(os.environ)
    folder: Path | None = ROOT
    if arguments[0] == "train":
        # The photos' path is relative to the user's working directory.
        environment["PYTHONPATH"], folder = str(ROOT), None
    elif arguments[0] == "test":
        # Set in many containers; then each program that the tests start compiles all anew, a tenth of their time.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
    program = subprocess.Popen([PYTHON, *command, *arguments[1:]], env=environment, cwd=folder)
    while True:
        try:
            return program.wait()
        except KeyboardInterrupt:
            # Ctrl-C reaches the program too: it finishes its work and ends.
            continue


def install(steps: list[list[str]]) -> int:
    """Installs the steps' requirement files into .venv unless exactly these are installed already."""
    version = "{}.{}".format(*sys.version_info)
    files = [name for step in steps for name in step if name.endswith((".txt", ".in"))]
    contents = b"".join((ROOT / name).read_bytes() for name in files)
    stamp = hashlib.sha256(version.encode() + contents).hexdigest()
    # One stamp for each set of files: serving needs few packages, training and the tests need more.
    marker = ENVIRONMENT / f".installed-{hashlib.sha256(' '.join(files).encode()).hexdigest()[:8]}"
    if PYTHON.exists() and marker.exists() and marker.read_text(encoding="utf-8") == stamp:
        return 0
    # An interrupted first run leaves a Python without pip.
    if not PYTHON.exists() or subprocess.call([PYTHON, "-c", "import pip"], stderr=subprocess.DEVNULL):
        print(f"making {ENVIRONMENT} ...", flush=True)
        venv.create(ENVIRONMENT, with_pip=True, clear=PYTHON.exists())
    print(f"installing {', '.join(files)} ...", flush=True)
    for step in steps:
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        status = subprocess.call([*pip, *step], cwd=ROOT)
        if status:
            return status
    marker.write_text(stamp, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
