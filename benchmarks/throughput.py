"""Throughput of eight clients against the bare loop times the processors; p50 and p99 from 1 to 64 clients."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._contenders import PURRDICT
from benchmarks._figures import Sample, pairwise, ratio
from benchmarks._load import load
from benchmarks._report import Row, pyplot, save_plot
from benchmarks._requests import photo
from benchmarks._servers import ROOT, running

ROUNDS = 5
SECONDS = 4.0
CLIENTS = (1, 2, 4, 8, 16, 32, 64)


def main() -> list[Row]:
    data = photo()
    request = PURRDICT.request(data)
    cores = len(os.sched_getaffinity(0))
    with running(PURRDICT, request) as (server, _):
        ours, ideal = pairwise(
            lambda: load(server.port, request, 8, SECONDS)[0],
            lambda: cores * 1e3 / bare_loop_ms(data, threads=1),
            ROUNDS,
        )
        curve = {clients: load(server.port, request, clients, SECONDS) for clients in CLIENTS}
    share = ratio(ours, ideal)
    failures = sum(failed for _, _, failed in curve.values())
    # With c clients and a machine that answers r photos a second, the mean wait is at least c / r: the ideal queue.
    best = max(rate for rate, _, _ in curve.values())
    worst = max(
        sample.p99 / (clients / best * 1e3) for clients, (_, sample, _) in curve.items() if clients >= cores
    )
    _plot(curve, best)
    return [
        Row(
            "photos a second, 8 clients",
            str(ours),
            f"{cores} x bare loop {ideal}",
            f"{share:.0%}",
            "80 %",
            share >= 0.8,
        ),
        Row(
            "p99, 1 to 64 clients",
            f"{curve[64][1].p99:.0f} ms at 64",
            f"ideal queue, {best:.0f} photos/s",
            f"{worst:.2f} x at worst, {failures} failures",
            "3 x, 0 failures",
            worst < 3 and failures == 0,
        ),
    ]


def bare_loop_ms(data: bytes, threads: int, repeat: int = 60) -> float:
    """Median milliseconds a photo of the bare script, which predicts the same photo again and again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        path.write_bytes(data)
        command = [sys.executable, "-m", "benchmarks.contenders.bare", str(path), str(repeat), str(threads)]
        output = subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, encoding="utf-8"
        ).stdout.splitlines()
    return Sample(tuple(float(line) for line in output[11:-1])).median


def _plot(curve: dict[int, tuple[float, Sample, int]], best: float) -> None:
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(6, 3.4))
    clients = list(curve)
    axes.plot(clients, [curve[c][1].median for c in clients], "o-", label="p50")
    axes.plot(clients, [curve[c][1].p99 for c in clients], "s-", label="p99")
    axes.plot(
        clients,
        [max(c / best * 1e3, curve[1][1].median) for c in clients],
        "--",
        color="0.5",
        label="ideal queue",
    )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="clients, each sending one photo after the other",
        ylabel="milliseconds",
    )
    axes.set_xticks(clients, [str(c) for c in clients])
    axes.legend()
    save_plot(figure, "latency-against-load")
