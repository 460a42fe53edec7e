"""Jobs over many photos against a bare loop of a process each processor: CPU, photos a second, memory, two nodes.

python -m benchmarks bulk --photos FOLDER

Runs take turns, so that a change of the machine's speed meets them all. CPU time is that of all processes of a run.
"Marginal" is what a photo costs once everything stands: the difference of two runs over the difference of their photos.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._environment import clean_environment
from benchmarks._machine import busy, machine
from benchmarks._memory import resident_kb
from benchmarks._report import HEADER, Row
from benchmarks._servers import ROOT

_POLL_S = 0.1
_MEMORY_EVERY = 10  # polls: it reads much


@dataclass(frozen=True)
class Spent:
    """What a run took: seconds on the clock, CPU seconds of all its processes, and their memory at its peak in MB."""

    seconds: float
    cpu: float
    memory: float


class _Watch:
    """Adds up what processes and all that they start spend, also of those that end meanwhile."""

    def __init__(self, processes: Sequence[subprocess.Popen[Any]]) -> None:
        self._processes = processes
        self._cpu: dict[int, float] = {}
        self.memory = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> float:
        """CPU seconds."""
        self._stop.set()
        self._thread.join()
        return sum(self._cpu.values())

    def _run(self) -> None:
        polls = 0
        while True:
            pids = [pid for process in self._processes for pid in _tree(process.pid)]
            for pid in pids:
                with contextlib.suppress(OSError):
                    self._cpu[pid] = max(_cpu_seconds(pid), self._cpu.get(pid, 0.0))
            if polls % _MEMORY_EVERY == 0:
                self.memory = max(self.memory, resident_kb(pids) / 1024)
            polls += 1
            if self._stop.wait(_POLL_S):
                return


def _tree(pid: int) -> list[int]:
    found = [pid]
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, tasks.read_text(encoding="utf-8").split()):
                found += _tree(child)
    return found


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(commands: Sequence[Sequence[str]]) -> Spent:
    """Runs commands side by side to their end.

    Raises:
        RuntimeError: one of them failed.
    """
    environment = {**clean_environment(), "RAY_worker_niceness": "0"}
    start = time.perf_counter()
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for command in commands
    ]
    watch = _Watch(processes)
    outputs = [process.communicate()[0] for process in processes]
    seconds = time.perf_counter() - start
    cpu = watch.end()
    for process, output in zip(processes, outputs, strict=True):
        if process.returncode:
            raise RuntimeError(output.decode(errors="replace")[-2000:])
    return Spent(seconds, cpu, watch.memory)


class Bench:
    """Runs over the first photos of a list."""

    def __init__(self, photos: Sequence[Path], folder: Path) -> None:
        self._photos, self._folder = photos, folder
        self._runs = 0

    def listed(self, count: int) -> Path:
        path = self._folder / f"list-{count}.txt"
        path.write_text("\n".join(map(str, self._photos[:count])), encoding="utf-8")
        return path

    def bare(self, count: int, processes: int = 2) -> Spent:
        """The bare loop, in so many processes."""
        command = [sys.executable, "-m", "benchmarks.contenders.bare_files", str(self.listed(count))]
        return run([[*command, str(part), str(processes)] for part in range(processes)])

    def job(self, count: int, *arguments: str) -> tuple[Spent, dict[str, Any]]:
        """`python -m bulk score`, and its summary."""
        self._runs += 1
        out = self._folder / f"out-{self._runs}"
        command = [
            sys.executable,
            "-m",
            "bulk",
            "score",
            str(self.listed(count)),
            "--out",
            str(out),
            *arguments,
        ]
        spent = run([command])
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        if summary["photos"] != count:
            raise RuntimeError(f"{summary['photos']} rows for {count} photos")
        return spent, summary["last_run"]


def local(bench: Bench, count: int, turns: int) -> list[Row]:
    """Photos a second with everything included, and memory."""
    ours, bare = [], []
    for _ in range(turns):
        bare.append(bench.bare(count))
        ours.append(bench.job(count, "--engine", "local", "--workers", "2")[0])
    speed = statistics.median(b.seconds / o.seconds for o, b in zip(ours, bare, strict=True))
    cpu = statistics.median(o.cpu / b.cpu for o, b in zip(ours, bare, strict=True))
    rate = statistics.median(count / o.seconds for o in ours)
    against = statistics.median(count / b.seconds for b in bare)
    name = f"local engine, {count:,} photos, start included"
    return [
        Row(f"{name}: photos a second", f"{rate:.0f}", f"bare, 2 processes: {against:.0f}", f"{speed:.2f} x", "0.95 x",
            speed >= 0.95),
        Row(f"{name}: CPU", f"{statistics.median(o.cpu for o in ours):.1f} s",
            f"bare: {statistics.median(b.cpu for b in bare):.1f} s", f"{cpu:.2f} x", "-", True),
    ]  # fmt: skip


def marginal(bench: Bench, few: int, many: int, turns: int, engine: str) -> list[Row]:
    """CPU of a photo once everything stands, and whether memory stays flat."""
    ratios, ours, bare, memory = [], [], [], []
    for _ in range(turns):
        bare_ms = _marginal_ms(lambda count: bench.bare(count), few, many)[0]
        our_ms, first, last = _marginal_ms(
            lambda count: bench.job(count, "--engine", engine, "--workers", "2")[0], few, many
        )
        ours.append(our_ms)
        bare.append(bare_ms)
        ratios.append(our_ms / bare_ms)
        memory.append((first.memory, last.memory))
    ratio = statistics.median(ratios)
    low, high = (statistics.median(pair[i] for pair in memory) for i in (0, 1))
    most = 1300 if engine == "ray" else 300
    return [
        Row(f"{engine}: CPU a photo, marginal, {few:,} to {many:,} photos", f"{statistics.median(ours):.2f} ms",
            f"bare: {statistics.median(bare):.2f} ms", f"{ratio:.2f} x", "1.15 x", ratio <= 1.15),
        Row(f"{engine}: memory at {many:,} photos", f"{high:.0f} MB", f"at {few:,}: {low:.0f} MB",
            f"{high / low:.2f} x", f"flat, {most} MB", high < most and high / low < 1.1),
    ]  # fmt: skip


def _marginal_ms(measure: Callable[[int], Spent], few: int, many: int) -> tuple[float, Spent, Spent]:
    first, last = measure(few), measure(many)
    return (last.cpu - first.cpu) / (many - few) * 1e3, first, last


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """A Ray cluster of so many nodes of one processor each on this machine; its address."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 128 << 20}
    made: Any = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            made.add_node(**node)
        made.wait_for_nodes()
        yield made.address
    finally:
        made.shutdown()


def two_nodes(bench: Bench, count: int, turns: int) -> list[Row]:
    """Photos a second of two nodes against one, once they stand."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(turns):
        for nodes, found in rates.items():
            with cluster(nodes) as address:
                bench.job(200, "--address", address)  # the workers import the model
                found.append(bench.job(count, "--address", address)[1]["photos_per_second"])
    ratio = statistics.median(two / one for one, two in zip(rates[1], rates[2], strict=True))
    one, two = (statistics.median(found) for found in rates.values())
    return [Row(f"two Ray nodes, {count:,} photos", f"{two:.0f} photos/s", f"one node: {one:.0f} photos/s",
                f"{ratio:.2f} x", "1.8 x", ratio >= 1.8)]  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Prints the table; exit status 1 when a goal was missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks bulk",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Needs bulk/requirements.txt and bulk/requirements-ray.txt; all of it takes some twenty minutes.",
    )
    parser.add_argument("--photos", type=Path, required=True, help="a folder with some thousands of photos")
    parser.add_argument("--turns", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument(
        "--most", type=int, default=12_000, help="photos of the largest runs (default: 12000)"
    )
    parser.add_argument(
        "--parts", default="local,local-marginal,ray-marginal,nodes", help="which (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    photos = sorted(
        path for path in options.photos.rglob("*") if path.suffix.lower() in (".jpg", ".webp", ".png")
    )
    if not photos:
        parser.error(f"there are no photos in {options.photos}")
    print(
        f"{machine()}\n{len(photos):,} photos, {sum(p.stat().st_size for p in photos) / len(photos) / 1e3:.0f} kB each"
    )
    if warning := busy():
        print(f"warning: {warning}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(photos[:: max(1, len(photos) // options.most)][: options.most], Path(folder))
        most = min(options.most, len(photos))
        parts: dict[str, Callable[[], list[Row]]] = {
            "local": lambda: local(bench, min(3000, most), options.turns),
            "local-marginal": lambda: marginal(bench, most // 6, most, options.turns, "local"),
            "ray-marginal": lambda: marginal(bench, most // 6, most, options.turns, "ray"),
            "nodes": lambda: two_nodes(bench, min(3000, most), options.turns),
        }
        for name in options.parts.split(","):
            print(f"{name} ...", flush=True)
            found = parts[name]()
            print("\n".join(map(str, found)), flush=True)
            rows += found
    print("\n".join(["", HEADER, *map(str, rows), "", f"Medians of {options.turns} turns."]))
    return 0 if all(row.reached for row in rows) else 1
