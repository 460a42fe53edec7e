"""python -m tests.hostile: The long part of the hostile tests, at any length, with counts of what was tried."""

import argparse
import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, Server, running_server
from tests.hostile.bombs import BOMBS
from tests.hostile.clients import crowd, resident_mb
from tests.hostile.contract import check
from tests.hostile.corpus import seeds
from tests.hostile.cost import measure, status_mb

_EXAMPLES = """examples:
  python -m tests.hostile                        every part, about four minutes in all
  python -m tests.hostile load --seconds 600     64 clients for ten minutes, a tenth of them hostile
  python -m tests.hostile fuzz --seconds 3600    an hour of coverage-guided fuzzing, with atheris installed
  python -m tests.hostile photos tiff            what every TIFF bomb costs, in seconds and megabytes

Everything stays on 127.0.0.1. The exit status is 0 when nothing was found."""

_CPU_S, _PEAK_MB = 1.0, 600


def main() -> int:
    """Runs the parts that were asked for; returns 0 when each kept its promise."""
    options = _parser().parse_args()
    parts: dict[str, Callable[[argparse.Namespace], bool]] = {
        "contract": contract,
        "photos": photos,
        "load": load,
        "fuzz": fuzz,
    }
    kept = True
    for name in parts if options.part == "all" else [options.part]:
        print(f"== {name}", flush=True)
        start = time.monotonic()
        kept = parts[name](options) and kept
        print(f"seconds            {time.monotonic() - start:.0f}\n", flush=True)
    print("nothing found" if kept else "SOMETHING WAS FOUND: see above", flush=True)
    return 0 if kept else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.hostile",
        description=__doc__.split(": ", 1)[1],
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "part", nargs="?", default="all", choices=["all", "contract", "photos", "load", "fuzz"]
    )
    parser.add_argument("names", nargs="*", help="photos: only bombs with one of these words in their name")
    parser.add_argument(
        "--seconds", type=int, default=60, help="length of load and of fuzz (default: %(default)s)"
    )
    parser.add_argument(
        "--cases", type=int, default=400, help="contract: cases an operation (default: %(default)s)"
    )
    parser.add_argument(
        "--clients", type=int, default=64, help="load: clients at once (default: %(default)s)"
    )
    return parser


def contract(options: argparse.Namespace) -> bool:
    """schemathesis with every check on, without and with API keys."""
    kept = True
    for key in (None, "correct-horse-battery"):
        with _server(API_KEYS=key or "") as server:
            result = check(server.url, options.cases, key)
            print(
                f"cases              {result.cases} {'with a key' if key else 'without a key'}, "
                f"{'all answered as documented' if result.kept else 'NOT all as documented'}"
            )
            print(f"peak memory        {_peak_mb(server):.0f} MB")
            if not result.kept:
                print(result.report)
            kept = kept and result.kept
    return kept


def photos(options: argparse.Namespace) -> bool:
    """Every bomb in a process of its own, dearest last."""
    names = [name for name in BOMBS if not options.names or any(word in name for word in options.names)]
    costs = {}
    for number, name in enumerate(names, 1):
        if sys.stderr.isatty():
            print(f"\r{number}/{len(names)} {name:<70}", end="", file=sys.stderr, flush=True)
        costs[name] = measure(BOMBS[name]())
        BOMBS[name].cache_clear()  # type: ignore[attr-defined]
    if sys.stderr.isatty():
        print("\r" + " " * 80 + "\r", end="", file=sys.stderr)
    for name, cost in sorted(costs.items(), key=lambda item: item[1].cpu_s):
        print(f"{cost.cpu_s:6.2f} s {cost.peak_mb:6.0f} MB  {cost.outcome[:3]}  {name}")
    crashes = [name for name, cost in costs.items() if cost.outcome[:3] not in ("200", "400", "413")]
    # CPU seconds of a machine that others use too are longer ones: twice the promise is a failure, more is noise.
    dear = [name for name, cost in costs.items() if cost.cpu_s > 2 * _CPU_S or cost.peak_mb > _PEAK_MB]
    print(
        f"cases              {len(costs)} bombs, crashes {len(crashes)} {crashes or ''}, "
        f"too dear {len(dear)} {dear or ''}"
    )
    if costs:
        print(f"dearest            {max(cost.cpu_s for cost in costs.values()):.2f} s of CPU, "
              f"{max(cost.peak_mb for cost in costs.values()):.0f} MB")  # fmt: skip
    return not crashes and not dear


def load(options: argparse.Namespace) -> bool:
    """Many clients at once, a tenth of them hostile."""
    photo = seeds()["JPEG plain"].data
    with _server() as server:
        crowd(server.url, server.process.pid, photo, options.clients, min(10, options.seconds))  # warms up
        tally = crowd(server.url, server.process.pid, photo, options.clients, options.seconds)
        print(tally.report())
        print(f"peak memory        {_peak_mb(server):.0f} MB")
        alive = server.process.poll() is None
    return alive and not tally.failed and not tally.worst


def fuzz(options: argparse.Namespace) -> bool:
    """atheris, in a process of its own: libFuzzer ends the process it runs in."""
    python = _python_with_atheris()
    if not python:
        print(
            "atheris is not installed here: pip install -r tests/hostile/requirements.txt (Python 3.12 or newer)"
        )
        return os.environ.get("CI") != "true"
    findings = ROOT / "build" / "fuzz"
    shutil.rmtree(findings, ignore_errors=True)
    findings.mkdir(parents=True)
    command = [python, "-m", "tests.hostile.fuzz", str(options.seconds), str(findings)]
    # A program inherits the peak memory of the process that starts it, and this one has held the bombs. The shell
    # stands between, and its `exit` keeps it from starting the fuzzer in its own place.
    command = ["sh", "-c", '"$@"; exit $?', "sh", *command]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    found = sorted(path.name for path in findings.iterdir() if path.is_file())
    statistics = dict(re.findall(r"stat::(\w+):\s+(\d+)", result.stderr))
    coverage = re.findall(r"cov: (\d+)", result.stderr)
    print(
        f"cases              {statistics.get('number_of_executed_units', 'none')}, findings {len(found)} {found or ''}"
    )
    print(f"branches reached   {coverage[-1] if coverage else 'none'}")
    print(f"peak memory        {statistics.get('peak_rss_mb', '?')} MB")
    if result.returncode:
        print("\n".join(line[:200] for line in result.stderr.splitlines()[-40:]))
    return result.returncode == 0 and not found


def _python_with_atheris() -> str | None:
    if importlib.util.find_spec("atheris"):
        return sys.executable
    return os.environ.get("ATHERIS_PYTHON")


@contextlib.contextmanager
def _server(**settings: Any) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder) / "log", **settings) as server:
        with server.client() as client:
            if client.get("/health").status_code != 200:
                raise SystemExit(f"the server has no usable model:\n{server.log()}")
        yield server


def _peak_mb(server: Server) -> float:
    try:
        return status_mb("VmHWM", server.process.pid)
    except IndexError:
        return resident_mb(server.process.pid)


if __name__ == "__main__":
    sys.exit(main())
