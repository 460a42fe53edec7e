"""Runs the tests against one break after another, several at a time, each in a copy of the tree."""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.mutants import NO_TEST, SURVIVED
from tests.mutants.coverage_map import CoverageMap
from tests.mutants.operators import Mutant, mutated

# What the tests of a part run in this process; those that start programs of their own would not see the break.
TESTS = {"api": ["tests/api", "tests/hostile/test_photos.py"],
         "export": ["tests/export", "--ignore", "tests/export/finetune"]}  # fmt: skip


def prepare(
    root: Path, build: Path, paths: list[str], jobs: int, tests: list[str] | None, changed: list[str] | None
) -> tuple[CoverageMap, list[Path]]:
    """Copies the tree for each job, and records which tests run which line.

    With `changed`, the record of last time is used, and made anew for these tests only.
    """
    trees = [build / f"tree-{number}" for number in range(jobs)]
    names = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root, text=True
    ).split("\0")
    for tree in trees:
        shutil.rmtree(tree, ignore_errors=True)
        for name in filter(None, names):
            if (root / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, tree / name)
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", "api", "export", "tests"], cwd=tree, check=False
        )
    parts = sorted({path.split("/")[0] for path in paths})
    to = build / f"coverage-{'-'.join(parts)}.json"
    if changed is None or not to.exists():
        to.unlink(missing_ok=True)
        changed = tests or [test for part in parts for test in TESTS[part]]
    if changed:
        code = "import sys, pathlib; from tests.mutants.coverage_map import record; "
        code += f"record({[f'{part}/*' for part in parts]}, {changed}, pathlib.Path({str(to)!r}))"
        subprocess.run([sys.executable, "-c", code], cwd=trees[0], env=_environment(), check=True)
    return CoverageMap(to), trees


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def judge_all(
    mutants: list[Mutant], coverage: CoverageMap, trees: list[Path], budget: float
) -> Iterator[tuple[Mutant, str]]:
    """(mutant, verdict) for each, as they come."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Mutant, str]] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)

    def work(tree: Path) -> None:
        with Server(tree) as server:
            while True:
                try:
                    mutant = waiting.get_nowait()
                except queue.Empty:
                    return
                tests = coverage.tests(mutant.path, mutant.lines, budget)
                limit = _limit(coverage, tests)
                done.put((mutant, server.judge(mutant, tests, limit) if tests else NO_TEST))

    for tree in trees:
        threading.Thread(target=work, args=(tree,), daemon=True).start()
    for _ in mutants:
        yield done.get()


def failing_unbroken(
    mutants: list[Mutant], coverage: CoverageMap, tree: Path, budget: float
) -> Iterator[tuple[str, list[str]]]:
    """(file, tests) where tests fail although nothing is broken: each break would count as killed.

    Tests that pass with all others may fail alone or in this order. Of each file the longest list is tried.
    """
    with Server(tree) as server:
        for path in sorted({mutant.path for mutant in mutants}):
            lists = (
                coverage.tests(path, lines, budget) for lines in {m.lines for m in mutants if m.path == path}
            )
            tests = max(lists, key=len)
            if tests and server.answer(tests, _limit(coverage, tests)) != SURVIVED:
                yield path, tests


def _limit(coverage: CoverageMap, tests: list[str]) -> float:
    return 15 + 5 * sum(coverage.seconds[test] for test in tests)


class Server:
    """A process that has the libraries loaded, and forks for each break."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.forks"], cwd=tree, env=_environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()

    def judge(self, mutant: Mutant, tests: list[str], limit: float) -> str:
        """Runs the tests on the copy with this break in it."""
        path = self.tree / mutant.path
        original, times = path.read_bytes(), path.stat()
        path.write_text(mutated(mutant, original.decode()), encoding="utf-8")
        os.utime(path, (1, 1))  # so that no compiled file counts as its own
        try:
            return self.answer(tests, limit)
        finally:
            path.write_bytes(original)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def answer(self, tests: list[str], limit: float) -> str:
        """Runs the tests on the copy as it is."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps([limit, tests]), file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()
