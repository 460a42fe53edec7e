"""Which tests run which line, and how long each test takes: one run of the tests, with coverage's contexts."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter  # now: tests put another clock into the module
from typing import Any

import coverage
import pytest

# Lines that ran while modules were imported.
IMPORT = "import"
# A test that takes longer comes after those that don't: most breaks are noticed without it.
SLOW_S = 1.0


class Recorder:
    """A pytest plugin that switches coverage's context: the test, or the fixture that several tests share."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured
        self.seconds: dict[str, float] = {}
        self.fixtures: dict[str, list[str]] = {}
        # Seconds that the fixtures of one test take, by test, and those that several share, by fixture.
        self.own: dict[str, float] = {}
        self.setup: dict[str, float] = {}
        self.now = IMPORT

    def _switch(self, context: str) -> str:
        before, self.now = self.now, context
        self.measured.switch_context(context)
        return before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._switch(item.nodeid)
        self.fixtures[item.nodeid] = list(getattr(item, "fixturenames", ()))
        try:
            return (yield)
        finally:
            self._switch(IMPORT)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[Any]:
        watch = _Watch()
        shared = fixturedef.scope != "function"
        before = self._switch(f"fixture {fixturedef.argname}") if shared else self.now
        try:
            return (yield)
        finally:
            took = watch.seconds()
            if shared:
                self.setup[fixturedef.argname] = max(took, self.setup.get(fixturedef.argname, 0))
                self._switch(before)
            else:
                self.own[request.node.nodeid] = self.own.get(request.node.nodeid, 0) + took

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        watch = _Watch()
        yield  # what fails here is no test of the code as it is
        self.seconds[item.nodeid] = watch.seconds() + self.own.get(item.nodeid, 0)


class _Watch:
    """Measures seconds, less what a busy machine adds: processor time, or a part of the time that passed meanwhile."""

    def __init__(self) -> None:
        self._passed, self._used = perf_counter(), sum(os.times()[:4])

    def seconds(self) -> float:
        return max(sum(os.times()[:4]) - self._used, (perf_counter() - self._passed) / 3)


def record(paths: list[str], tests: list[str], to: Path) -> None:
    """Runs the tests in this process and adds what ran where to the file, if it is there already."""
    measured = coverage.Coverage(data_file=None, include=paths, config_file=False)
    measured.start()
    recorder = Recorder(measured)
    measured.switch_context(IMPORT)
    pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests], plugins=[recorder])
    measured.stop()
    data = measured.get_data()
    found: dict[str, Any] = {"seconds": {}, "fixtures": {}, "setup": {}, "lines": {}}
    if to.exists():
        found = json.loads(to.read_text())
        _forget(found["seconds"], tests)
    found["seconds"] |= recorder.seconds
    found["fixtures"] |= recorder.fixtures
    found["setup"] |= recorder.setup
    for path in data.measured_files():
        lines = found["lines"].setdefault(str(Path(path).relative_to(Path.cwd())), {})
        for line, contexts in data.contexts_by_lineno(path).items():
            lines[str(line)] = sorted({*lines.get(str(line), ()), *contexts})
    to.write_text(json.dumps(found))


def _forget(seconds: dict[str, float], tests: list[str]) -> None:
    """Takes out tests that are recorded anew, or gone: pytest fails where one that it is to run isn't there."""
    for test in list(seconds):
        file = test.partition("::")[0]
        if test.startswith(tuple(tests)) or not Path(file).exists():
            del seconds[test]


class CoverageMap:
    """What `record` wrote, asked by line."""

    def __init__(self, path: Path) -> None:
        found = json.loads(path.read_text())
        self.seconds: dict[str, float] = found["seconds"]
        self._setup: dict[str, float] = found["setup"]
        self._fixtures: dict[str, list[str]] = found["fixtures"]
        self._lines: dict[str, dict[str, list[str]]] = found["lines"]
        users: dict[str, set[str]] = {}
        for test, fixtures in self._fixtures.items():
            for name in fixtures:
                users.setdefault(f"fixture {name}", set()).add(test)
        self._users = users
        # How many lines a test runs: the fewer, the more it is about them.
        self._width: dict[str, int] = {}
        for lines in self._lines.values():
            for contexts in lines.values():
                for context in contexts:
                    self._width[context] = self._width.get(context, 0) + 1

    def tests(self, path: str, lines: Iterable[int], budget: float) -> list[str]:
        """The tests that run one of these lines, specific ones first, slow ones last, as `budget` seconds allow."""
        found = self._contexts(path, lines)
        if found <= {IMPORT}:  # a constant: whatever runs this file
            found = self._contexts(path, None) if found else set()
        tests = set().union(*(self._users.get(one, {one}) for one in found)) & self.seconds.keys()
        mirror = f"test_{Path(path).stem.strip('_')}.py"

        def order(test: str) -> tuple[bool, bool, int, float, str]:
            alone = self._cost(test, set())
            return mirror not in test, alone > SLOW_S, self._width.get(test, 0), alone, test

        chosen: list[str] = []
        made: set[str] = set()
        # Of each file one after another: what runs a line that all tests run is noticed by those of one file.
        turns: dict[str, int] = {}
        turn_of: dict[str, int] = {}
        for test in sorted(tests, key=order):
            file = test.partition("::")[0]
            turn_of[test] = turns[file] = turns.get(file, 0) + 1
        for test in sorted(tests, key=lambda test: (*order(test)[:2], turn_of[test], *order(test)[2:])):
            if (cost := self._cost(test, made)) <= budget:
                budget -= cost
                chosen.append(test)
                made.update(self._fixtures.get(test, ()))
        return chosen

    def _cost(self, test: str, made: set[str]) -> float:
        """The seconds of a test and of the fixtures that it shares with others, less those that were made before it."""
        shared = (self._setup.get(name, 0) for name in self._fixtures.get(test, ()) if name not in made)
        return self.seconds[test] + sum(shared)

    def _contexts(self, path: str, lines: Iterable[int] | None) -> set[str]:
        known = self._lines.get(path, {})
        wanted = known if lines is None else [str(line) for line in lines]
        return {context for line in wanted for context in known.get(line, ())}
