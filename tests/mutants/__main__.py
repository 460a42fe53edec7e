"""Breaks the code on purpose, one place at a time, and counts the breaks that no test notices.

    python3 dev.py mutants                    api/, and what export/ fits, measures and publishes
    python3 dev.py mutants api/_admission.py  one file or folder
    python3 dev.py mutants --sample 60        so many of all breaks, the same ones for the same --seed
    python3 dev.py mutants --again            only those that survived last time

After a test was added: `python3 dev.py mutants api --again --changed tests/api/test_admission.py`.

Each break is tried in a process forked from one that has the libraries loaded, in a copy of the tree, on the tests
that run its line. Breaks that change nothing anyone could see are listed in tests/mutants/equivalent.toml, with the
reason. The page's scripts have their own command: see docs/MUTANTS.md.
"""

import argparse
import json
import random
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path

from tests.mutants import NO_TEST, SURVIVED
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.runs import failing_unbroken, judge_all, prepare

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/mutants"
RESULTS = BUILD / "results.json"
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
TARGETS = ("api", "export/head.py", "export/fitting.py", "export/measure/calibration.py",
           "export/measure/scores.py", "export/publish")  # fmt: skip
WANTED = 0.9


def main() -> int:
    arguments = _arguments()
    paths = [path for name in arguments.paths for path in _files(name)]
    mutants = [
        mutant for path in paths for mutant in mutants_of(path, (ROOT / path).read_text(encoding="utf-8"))
    ]
    keys = _keys(mutants)
    mutants, listed = _without_equivalent(mutants)
    before: dict[str, str] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.again:
        mutants = [mutant for mutant in mutants if before.get(keys[mutant]) in (SURVIVED, NO_TEST)]
    if arguments.sample and arguments.sample < len(mutants):
        mutants = random.Random(arguments.seed).sample(mutants, arguments.sample)
    until = time.monotonic() + 60 * arguments.minutes
    coverage, trees = prepare(ROOT, BUILD, paths, arguments.jobs, arguments.tests, arguments.changed)
    if not arguments.trust:
        for path, tests in failing_unbroken(mutants, coverage, trees[0], arguments.budget):
            print(
                f"error: {path}: without any break one of these tests fails: {' '.join(tests)}",
                file=sys.stderr,
            )
            return 1
    verdicts = {}
    for number, (mutant, verdict) in enumerate(judge_all(mutants, coverage, trees, arguments.budget), 1):
        verdicts[mutant] = verdict
        if verdict in (SURVIVED, NO_TEST):
            print(f"{verdict}: {mutant.path}:{mutant.lines[0]}: {mutant.change}", flush=True)
        elif number % 100 == 0:
            print(f"... {number} of {len(mutants)}", flush=True)
        before[keys[mutant]] = verdict
        RESULTS.write_text(json.dumps(before, indent=0, sort_keys=True))
        if time.monotonic() > until:
            print(f"the time is up after {number} of {len(mutants)}")
            break
    share = _print_table(verdicts, listed)
    if share < arguments.at_least:
        print(f"error: fewer than {arguments.at_least:.0%} of the breaks were noticed", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python3 dev.py mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "paths", nargs="*", default=TARGETS, help="files or folders; default: all that is wanted"
    )
    parser.add_argument("--sample", type=int, help="try only so many, drawn with --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--minutes", type=float, default=600, help="stop after so many, with a table of what was tried"
    )
    parser.add_argument("--again", action="store_true", help="only those that survived when last tried")
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time (default: 2)")
    parser.add_argument(
        "--budget", type=float, default=10, help="seconds of tests for each break (default: 10)"
    )
    parser.add_argument(
        "--tests", nargs="+", help="files or folders of tests (default: all that run in one process)"
    )
    parser.add_argument(
        "--at-least", type=float, default=0.0, help="fail if a smaller share is noticed, 0 to 1"
    )
    parser.add_argument(
        "--trust", action="store_true", help="do not first try whether the tests pass where nothing is broken"
    )
    parser.add_argument(
        "--changed",
        nargs="*",
        metavar="TESTS",
        help="use the last record of what runs which line, with these anew",
    )
    return parser.parse_args()


def _files(name: str) -> list[str]:
    path = ROOT / name
    found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [each.relative_to(ROOT).as_posix() for each in found]


def _keys(mutants: list[Mutant]) -> dict[Mutant, str]:
    """The name of each in the results: it stays when lines come and go above it, and tells equal lines apart."""
    seen: Counter[str] = Counter()
    found = {}
    for mutant in mutants:
        name = f"{mutant.path}: {mutant.change}"
        seen[name] += 1
        found[mutant] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return found


def _without_equivalent(mutants: list[Mutant]) -> tuple[list[Mutant], Counter[str]]:
    """The mutants that can be noticed, and by file how many can't."""
    entries = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))
    starts = [(path, one) for path, listed in entries.items() for one in listed]
    hidden = {m for m in mutants for path, start in starts if m.path == path and m.change.startswith(start)}
    for path, start in starts:
        changes = [mutant.change for mutant in mutants if mutant.path == path]
        if changes and not any(change.startswith(start) for change in changes):
            print(f"warning: {EQUIVALENT.name} lists what is no break any more: {start}", file=sys.stderr)
    return [m for m in mutants if m not in hidden], Counter(m.path for m in hidden)


def _print_table(verdicts: dict[Mutant, str], listed: Counter[str]) -> float:
    print(f"\n{'file':42} {'mutants':>8} {'killed':>7} {'survived':>9} {'equivalent':>11} {'share':>7}")
    rows: dict[str, Counter[str]] = {}
    for mutant, verdict in verdicts.items():
        rows.setdefault(mutant.path, Counter())[verdict] += 1
    total: Counter[str] = Counter()
    for path in sorted(rows):
        _print_row(path, rows[path], listed[path])
        total += rows[path]
    return _print_row("all", total, sum(listed[path] for path in rows))


def _print_row(name: str, counts: Counter[str], listed: int) -> float:
    survived = counts[SURVIVED] + counts[NO_TEST]
    killed = counts.total() - survived
    share = killed / max(counts.total(), 1)
    print(f"{name:42} {counts.total():8} {killed:7} {survived:9} {listed:11} {share:7.1%}")
    return share


if __name__ == "__main__":
    sys.exit(main())
