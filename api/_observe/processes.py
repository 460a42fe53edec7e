"""Metrics of this process, or of several that answer as one service."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


def of_one_process(registry: CollectorRegistry) -> None:
    """Adds this process's own memory, processor time and open files."""
    ProcessCollector(registry=registry)


@contextlib.contextmanager
def of_several_processes(pids: Callable[[], list[int]]) -> Iterator[CollectorRegistry]:
    """The registry of a parent whose children count: started in this block, they find the folder in the environment."""
    with tempfile.TemporaryDirectory(prefix="purrdict-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[_MULTIPROCESS] = folder
        registry = CollectorRegistry()
        registry.register(_Living(registry, folder, pids))
        yield registry


class _Living:
    """The children's counts, without the gauges of those that have ended; and what all processes take together."""

    def __init__(self, registry: CollectorRegistry, folder: str, pids: Callable[[], list[int]]) -> None:
        self._folder, self._pids = folder, pids
        self._counts = MultiProcessCollector(None, folder)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        living = self._pids()
        for path in Path(self._folder).glob("gauge_live*.db"):
            if (pid := int(path.stem.rpartition("_")[2])) not in living:
                mark_process_dead(pid, self._folder)  # type: ignore[no-untyped-call]
        yield from self._counts.collect()  # type: ignore[no-untyped-call]
        memory = cpu = 0.0
        for pid in (os.getpid(), *living):
            with contextlib.suppress(OSError):  # it has ended
                pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
                memory += pages * os.sysconf("SC_PAGE_SIZE")
                cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        yield GaugeMetricFamily("process_resident_memory_bytes", "Memory of all processes.", memory)
        yield CounterMetricFamily("process_cpu_seconds", "Processor time of all living processes.", cpu)
        yield GaugeMetricFamily("purrdict_workers", "Processes that answer.", float(len(living)))
