"""Own classes: from photos to a published model, for accuracy, time, memory and size.

    python -m benchmarks own-classes --photos PHOTOS [--neither DIR] [--recipes lite0 scratch finetune]

PHOTOS holds a folder for each set, with train/, val/ and test/ in it and, beside them, lists of small training sets
like train-100.txt (class/photo, a line each). DIR is a folder of photos of other things, split/kind/photo: the
benchmark measures how many of them a model trained without them rejects, and 25 of its kinds are the classes of a
larger set. Each run is `python -m export train --publish` in a separate process, with an empty cache and one registry.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._machine import machine
from benchmarks._report import RESULTS

ROOT = Path(__file__).resolve().parent.parent
# Kinds of other things that resemble the classes of a set: they are not used to measure rejection.
SAME_AS = {"flowers": {"flowers"}, "rubbish": {"trash"}}
MANY_CLASSES, PHOTOS_EACH = 25, 40
TICKS = (10, 20, 30, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class Point:
    """One run: a recipe, and how many photos of a set it was given."""

    set: str
    photos: str
    recipe: str
    accuracy: float
    rejected: float
    others: float | None
    cpu_s: float
    wall_s: float
    memory_mb: float
    megabytes: float
    latency: float

    def row(self) -> str:
        """A line of the table."""
        others = "-" if self.others is None else f"{self.others:.1%}"
        return (
            f"| {self.set} | {self.photos} | {self.recipe} | {self.accuracy:.1%} | {self.rejected:.1%} | {others} "
            f"| {self.cpu_s:.0f} | {self.wall_s:.0f} | {self.memory_mb:.0f} | {self.megabytes:.2f} "
            f"| {self.latency:.2f} x |"
        )


HEADER = (
    "| set | photos a class | recipe | accuracy on test | false rejections | other things rejected | CPU-s | s "
    "| MB of memory | MB file | time a photo against 1.0.0 |\n|" + " --- |" * 11
)


def main(arguments: list[str]) -> int:
    """Runs the sets, prints the table, writes it and the plot to benchmarks/results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks own-classes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--neither", type=Path)
    parser.add_argument("--recipes", nargs="+", default=["lite0"])
    parser.add_argument(
        "--sizes", nargs="*", help="only these, like 100 or all (default: every list, and all)"
    )
    options = parser.parse_args(arguments)
    print(
        f"{machine()}; `python -m export --help` takes {_cpu_of_help():.2f} CPU-seconds\n\n{HEADER}",
        flush=True,
    )
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for name, size, photos in _sets(options, Path(folder)):
            for recipe in options.recipes:
                points.append(_run(name, size, photos, recipe, options.neither, Path(folder)))
                print(points[-1].row(), flush=True)
    RESULTS.mkdir(exist_ok=True)
    table = "\n".join([HEADER, *(point.row() for point in points)])
    (RESULTS / "own-classes.md").write_text(f"{machine()}\n\n{table}\n", encoding="utf-8")
    _plot(points, RESULTS / "own-classes.png")
    return 0


def _cpu_of_help() -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "export", "--help"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _sets(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Name, photos a class, and the folder laid out for training."""
    for root in sorted(path for path in options.photos.resolve().iterdir() if (path / "train").is_dir()):
        lists = sorted(root.glob("train-*.txt"), key=lambda path: int(path.stem.split("-")[1]))
        for chosen in [*lists, None]:
            size = chosen.stem.split("-")[1] if chosen else "all"
            if options.sizes and size not in options.sizes:
                continue
            names = chosen.read_text(encoding="utf-8").split("\n") if chosen else None
            yield root.name, size, lay_out(root, names, folder / f"{root.name}-{size}")
    if options.neither and not options.sizes:
        yield "kinds", str(PHOTOS_EACH), _many_classes(options.neither.resolve(), folder / "kinds")


def lay_out(root: Path, names: list[str] | None, out: Path) -> Path:
    """A set with these training photos only, as links."""
    out.mkdir()
    for split in ("val", "test"):
        (out / split).symlink_to(root / split)
    if names is None:
        (out / "train").symlink_to(root / "train")
        return out
    for name in filter(None, names):
        (out / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (out / "train" / name).symlink_to(root / "train" / name)
    return out


def _many_classes(root: Path, out: Path) -> Path:
    kinds = [
        kind for kind in sorted((root / "train").iterdir()) if len(list(kind.iterdir())) >= 2 * PHOTOS_EACH
    ]
    for kind in kinds[:MANY_CLASSES]:
        photos = sorted(kind.iterdir())
        for split, some in (
            ("train", photos[:PHOTOS_EACH]),
            ("test", photos[PHOTOS_EACH : PHOTOS_EACH + 20]),
        ):
            (out / split / kind.name).mkdir(parents=True)
            for photo in some:
                (out / split / kind.name / photo.name).symlink_to(photo)
    return out


def _run(name: str, size: str, photos: Path, recipe: str, neither: Path | None, folder: Path) -> Point:
    work = folder / f"{name}-{size}-{recipe}-work"
    work.mkdir()
    command = [
        sys.executable, "-m", "export", "train", str(photos), "--recipe", recipe, "--out", str(work / "run"),
        "--publish", "--anyway", "--models", str(work / "models"), "--cache", str(work / "cache"),
    ]  # fmt: skip
    with (work / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError((work / "log").read_text(encoding="utf-8")[-2000:])
    metadata = json.loads((work / "run" / "run.json").read_text(encoding="utf-8"))
    test = metadata["metrics"]["test"]
    return Point(
        name, size, recipe, test["accuracy"], test["wrongly_unrecognized"],
        _rejected(work / "models", neither, SAME_AS.get(name, set())) if neither and name != "kinds" else None,
        usage.ru_utime + usage.ru_stime, metadata["training"]["seconds"], usage.ru_maxrss / 1024,
        metadata["weights"]["bytes"] / 1e6, _latency(work / "models"),
    )  # fmt: skip


def _rejected(models: Path, neither: Path, same: set[str]) -> float:
    """Share of the photos of other things that the model does not recognize."""
    from api import _registry
    from export.measure import scores
    from export.photos.find import find_neither

    model = _registry.read_model(models)
    photos = find_neither(neither, model.labels).splits["test"]
    photos = photos.take([i for i, kind in enumerate(photos.kinds) if kind not in same])
    return float((~scores.score(model, photos).accepted).mean())


def _latency(models: Path) -> float:
    """Time of a photo on one thread, relative to model 1.0.0, measured in alternation: the machine's speed varies."""
    from api import _registry
    from export.measure.scores import latency_ms

    pairs = [
        (
            latency_ms(_registry.read_model(models), 20),
            latency_ms(_registry.read_model(ROOT / "model", "1.0.0"), 20),
        )
        for _ in range(5)
    ]
    return sorted(own / first for own, first in pairs)[2]


def _plot(points: list[Point], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), dpi=110, layout="constrained")
    names = [name for name in dict.fromkeys(point.set for point in points) if name != "kinds"]
    for number, name in enumerate(names):
        axes: Any = figure.add_subplot(1, len(names), number + 1)
        for recipe in dict.fromkeys(point.recipe for point in points):
            some = [point for point in points if point.set == name and point.recipe == recipe]
            axes.plot([p.cpu_s for p in some], [100 * p.accuracy for p in some], "o-", label=recipe)
            for point in some:
                axes.annotate(
                    point.photos,
                    (point.cpu_s, 100 * point.accuracy),
                    textcoords="offset points",
                    xytext=(5, -11),
                )
        axes.set(title=name, xlabel="CPU-seconds, photos to published model", xscale="log")
        axes.margins(0.12)
        axes.set_xticks(TICKS, [str(tick) for tick in TICKS])
        axes.set_xlim(min(p.cpu_s for p in points) / 1.4, max(p.cpu_s for p in points) * 1.4)
        axes.minorticks_off()
        axes.grid(color="lightgray", linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        if number == 0:
            axes.set(ylabel="accuracy on test, %")
            axes.legend(frameon=False, title="recipe")
    figure.savefig(path)
