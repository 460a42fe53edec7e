"""Several processes that answer as one service, counted together."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.values import MultiProcessValue

from api._observe import processes

NOBODY = 2**22 + 5  # above the greatest number that Linux gives a process


def gauge(pid: int, value: float, mode: str = "livesum") -> None:
    """What a process of this number would have left in the folder."""
    made: Any = MultiProcessValue(process_identifier=lambda: pid)  # type: ignore[no-untyped-call]
    made("gauge", "held", "held", ("pid",) if mode == "liveall" else (), (), "Held.", mode).set(value)


def collected(registry: CollectorRegistry) -> dict[str, float]:
    return {sample.name: sample.value for family in registry.collect() for sample in family.samples}


def test_gauges_of_processes_that_have_ended_count_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "another")  # and gone afterwards
    living = [os.getpid(), NOBODY + 1]
    with processes.of_several_processes(lambda: living) as registry:
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        assert folder.name.startswith("purrdict-metrics-")
        for pid, value in ((os.getpid(), 1), (NOBODY, 2), (NOBODY + 1, 4)):
            gauge(pid, value)
        assert collected(registry)["held"] == 5
        living.remove(NOBODY + 1)
        found = collected(registry)
        assert (found["held"], found["purrdict_workers"]) == (1, 1)
    assert not folder.exists()


def test_memory_and_processor_time_are_those_of_the_parent_and_its_living_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stat = "7 (a (name) 9) S " + " ".join(str(number) for number in range(1, 40))
    files = {
        f"/proc/{pid}/{name}": text
        for pid in (os.getpid(), 70)
        for name, text in (("statm", "9 25 1"), ("stat", stat))
    }

    def read_text(path: Path, **_: Any) -> str:
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr(processes, "Path", type("FakePath", (), {
        "__init__": lambda self, path: setattr(self, "path", path), "__str__": lambda self: self.path,
        "read_text": read_text, "glob": lambda self, pattern: [],
    }))  # fmt: skip
    monkeypatch.setattr(
        processes,
        "os",
        SimpleNamespace(getpid=os.getpid, sysconf={"SC_PAGE_SIZE": 4096, "SC_CLK_TCK": 100}.get, environ={}),
    )
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "unused")
    monkeypatch.setattr(processes, "MultiProcessCollector", lambda *_: SimpleNamespace(collect=list))
    with processes.of_several_processes(lambda: [70, 71]) as registry:  # 71 has just ended
        found = collected(registry)
    # Of `stat` behind the name, fields 11 and 12: ticks of the program and of the system.
    assert found["process_resident_memory_bytes"] == 2 * 25 * 4096
    assert found["process_cpu_seconds_total"] == pytest.approx(2 * (11 + 12) / 100)
    assert found["purrdict_workers"] == 2


def test_one_process_tells_of_itself() -> None:
    registry = CollectorRegistry()
    processes.of_one_process(registry)
    assert collected(registry)["process_resident_memory_bytes"] > 1e6
