"""Cold start: process start to the first answered photo, against a bare script that predicts the same photo."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks._contenders import PURRDICT
from benchmarks._figures import Sample, in_turns, ratio
from benchmarks._report import Row, pyplot, save_plot
from benchmarks._requests import photo
from benchmarks._servers import ROOT, measured_environment, running

RUNS = 15

# Prints the time, on the clock that all processes share, at which each part of a start ends.
_MARKS = """
import time; marks = [("interpreter", time.monotonic())]
def mark(name): marks.append((name, time.monotonic()))
import numpy, onnxruntime; mark("numpy, onnxruntime")
import PIL.Image; mark("Pillow")
from api._start import quick
with quick(): import fastapi
mark("FastAPI")
import uvicorn; mark("uvicorn")
import api.index; mark("app and model")
import json; print(json.dumps(marks))
"""


def main() -> list[Row]:
    data = photo()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        path.write_bytes(data)
        served, alone, parts = in_turns(RUNS, lambda: _served(data), lambda: _bare(path), _parts)
    ours, bare = Sample(served), Sample(alone)
    _plot(ours, bare, parts)
    over = ratio(ours, bare)
    return [
        Row(
            "cold start to first photo, s",
            str(ours),
            f"bare script {bare}",
            f"{over:.2f} x",
            "2.5 x",
            over <= 2.5,
        )
    ]


def _served(data: bytes) -> float:
    with running(PURRDICT, PURRDICT.request(data)) as (_, seconds):
        return seconds


def _bare(path: Path) -> float:
    start = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.contenders.bare", str(path)]
    subprocess.run(command, cwd=ROOT, env=measured_environment(), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _plot(ours: Sample, bare: Sample, runs: Sequence[dict[str, float]]) -> None:
    parts = {name: Sample(tuple(run[name] for run in runs)).median for name in runs[0]}
    parts["server and first photo"] = max(0.0, ours.median - sum(parts.values()))
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(8, 1.9))
    left = 0.0
    for name, seconds in parts.items():
        axes.barh("Purrdict", seconds * 1e3, left=left, label=f"{name} {seconds * 1e3:.0f}")
        left += seconds * 1e3
    axes.barh("bare script", bare.median * 1e3, color="0.6")
    axes.set_xlabel("milliseconds from process start to the first answered photo")
    axes.invert_yaxis()
    axes.legend(ncols=3, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.35))
    save_plot(figure, "cold-start")


def _parts() -> dict[str, float]:
    """Seconds of each part of a start, from a process that runs them one after the other."""
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", _MARKS],
        cwd=ROOT,
        env=measured_environment(),
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    marks: list[tuple[str, float]] = json.loads(result.stdout.splitlines()[-1])
    times = [start, *(moment for _, moment in marks)]
    return {name: times[i + 1] - times[i] for i, (name, _) in enumerate(marks)}
