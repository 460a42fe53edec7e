"""Runs the benchmarks, prints the table of docs/BENCHMARKS.md, and writes the plots to benchmarks/results."""

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks import choices, cold_start, latency, memory, rivals, throughput, vercel
from benchmarks._machine import busy, machine
from benchmarks._report import HEADER, RESULTS, Row

PARTS: dict[str, Callable[[], list[Row]]] = {
    "cold_start": cold_start.main,
    "vercel": vercel.main,
    "latency": latency.main,
    "throughput": throughput.main,
    "memory": memory.main,
    "rivals": rivals.main,
    "choices": choices.main,
}


# What stands beside the function: run by name only, and in no table of the function's.
BESIDE = ("feedback", "gateway", "observe", "load")


def _add_beside(names: Sequence[str]) -> None:
    for name in set(BESIDE) & set(names):
        PARTS[name] = importlib.import_module(f"benchmarks.{name}").main


def main() -> int:
    """Runs the parts asked for; exit status 1 when a goal was missed or a part failed."""
    if sys.argv[1:2] == ["own-classes"]:
        from benchmarks import own_classes

        return own_classes.main(sys.argv[2:])
    if sys.argv[1:2] == ["bulk"]:
        from benchmarks import bulk

        return bulk.main(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="Parts: " + ", ".join(PARTS) + ". All of them take about seven minutes. The rivals need "
        "`pip install -r benchmarks/requirements.txt`; one that is not installed is skipped and named. So is Vercel's "
        "builder, which .ci/platforms installs. A run of all parts writes benchmarks/results/table.md. "
        "`python -m benchmarks own-classes --help` is about training, `python -m benchmarks bulk --help` about "
        "archives of photos. Beside the function, by name only: " + ", ".join(BESIDE) + ".",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="run only these parts (default: all)")
    names = parser.parse_args().parts or list(PARTS)
    _add_beside(names)
    if unknown := set(names) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join([*PARTS, *BESIDE])}")
    print(machine())
    if warning := busy():
        print(f"warning: {warning}")
    rows: list[Row] = []
    complete = True
    try:
        for name in names:
            start = time.monotonic()
            print(f"{name} ...", flush=True)
            try:
                rows += PARTS[name]()
            except RuntimeError as error:
                complete = False
                print(f"  failed: {error}")
            print(f"  {time.monotonic() - start:.0f} s", flush=True)
    except KeyboardInterrupt:
        complete = False
        print("interrupted; what was measured so far:")
    table = "\n".join([HEADER, *map(str, rows)])
    print(f"\n{table}\n\nMedians; in brackets half the interquartile range.")
    if complete and names == list(PARTS):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "table.md").write_text(f"{machine()}\n\n{table}\n", encoding="utf-8")
    return 0 if complete and all(row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
