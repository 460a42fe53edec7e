"""Memory after ten thousand photos, against the bare script, and whether it still grows."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._contenders import PURRDICT
from benchmarks._load import Client
from benchmarks._report import Row, pyplot, save_plot
from benchmarks._requests import photo
from benchmarks._servers import ROOT, running

PHOTOS = 10_000
STEP = 500


def main(photos: int = PHOTOS) -> list[Row]:
    data = photo()
    request = PURRDICT.request(data)
    with running(PURRDICT, request) as (server, _):
        client = Client(server.port)
        course = [(0, server.memory_mb())]
        for done in range(STEP, photos + 1, STEP):
            for _ in range(STEP):
                client.send(request)
            course.append((done, server.memory_mb()))
        client.close()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        path.write_bytes(data)
        command = [sys.executable, "-m", "benchmarks.contenders.bare", str(path), "200"]
        bare = float(
            subprocess.run(
                command, cwd=ROOT, check=True, capture_output=True, encoding="utf-8"
            ).stdout.split()[-1]
        )
    _plot(course, bare)
    end = course[-1][1]
    # After a tenth of the photos every buffer has its final size; growth after that is a leak.
    growth = end - course[max(1, len(course) // 10)][1]
    return [
        Row(
            f"memory after {photos:,} photos, MB",
            f"{end:.0f}, {growth:+.1f} since the first tenth",
            f"bare script {bare:.0f}",
            f"{end / bare:.2f} x",
            "1.5 x and flat",
            end / bare <= 1.5 and growth < 0.02 * end,
        )
    ]


def _plot(course: list[tuple[int, float]], bare: float) -> None:
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(6, 2.6))
    axes.plot([done for done, _ in course], [megabytes for _, megabytes in course], label="Purrdict")
    axes.axhline(bare, linestyle="--", color="0.5", label="bare script")
    axes.set(xlabel="photos", ylabel="MB", ylim=(0, None))
    axes.legend()
    save_plot(figure, "memory")
