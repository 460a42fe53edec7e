"""What the commands print at their end."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api import _registry
from api._registry import Model
from export.files import printable
from export.measure import metrics, tables
from export.publish.honesty import figures_of, problems
from export.run import Run

if TYPE_CHECKING:  # only `evaluate` needs it
    from export.measure.scores import Scores


def of_run(run: Run) -> str:
    """The table of a finished run, and the files to look at next."""
    name, figures = figures_of(run.metadata)
    crossed = run.metadata["metrics"].get("cross_validation", {})
    folds = run.metadata["training"]["recipe"]["folds"]
    titles = {"test": "on test", "val": "on val", "cross_validation": f"in {folds}-fold cross-validation"}
    title = titles[name]
    figures = dict(figures) | {"latency_ms": run.metadata["latency_ms"]}
    lines = [
        f"\n{len(run.metadata['labels'])} classes, {title}\n",
        _tables(figures),
    ]
    if name == "test" and "neither_unrecognized" in crossed and "neither_unrecognized" not in figures:
        lines.append(
            "\nof photos of all kinds of other things, in cross-validation: "
            f"{crossed['neither_unrecognized']:.1%} unrecognized"
        )
    if pairs := _confusions(run):
        lines.append(f"most often confused: {pairs}")
    training = run.metadata["training"]
    lines.append(
        f"\n{run.metadata['weights']['bytes'] / 1e6:.2f} MB; trained in {training['seconds']:.0f} s, "
        f"{training['cpu_seconds']:.0f} of CPU time"
    )
    for sheet, what in (("mistakes.png", "mistakes"), ("doubtful.png", "doubtful labels")):
        if (run.folder / sheet).exists():
            lines.append(f"{what}: {printable(run.folder / sheet)}")
    lines += [f"warning: {problem}" for problem in problems(run.metadata)]
    return "\n".join(lines)


def _confusions(run: Run) -> str:
    return ", ".join(f"{a} for {b} ({n})" for a, b, n in run.metadata.get("confused", [])[:3])


def of_published(model: Model, models: Path) -> str:
    """What was published, and the command that serves it."""
    own = models.resolve() == (Path(__file__).resolve().parent.parent / "model").resolve()
    # dev.py starts the service in its own folder.
    where = "" if own else f"MODEL_DIR={shlex.quote(printable(models.resolve()))} "
    return (
        f"\npublished {model.version}: {printable(model.directory)}\nserve it:  {where}python3 dev.py serve"
    )


def evaluate(options: argparse.Namespace) -> None:
    """Measure a published model and print the figures."""
    from export.measure import scores
    from export.measure.robustness import masking, robustness, small_on_scenes
    from export.photos.find import find_split

    model = _registry.read_model(options.models, options.version)
    photos, remarks = find_split(options.data, options.neither, options.split, model.labels)
    answers = scores.score(model, photos)
    for line in (*remarks, *(f"skipped {line}" for line in answers.skipped)):
        print(line, file=sys.stderr)
    figures: dict[str, Any] = metrics.measure_all(answers) | {"latency_ms": scores.latency_ms(model)}
    if options.robustness:
        figures |= {"robustness": robustness(model, photos), "masking": masking(model, photos)}
        if small := small_on_scenes(model, photos, options.scenes):
            figures["small"] = small
    _draw(options, answers, figures)
    if options.json:
        print(json.dumps({"version": model.version, "split": options.split} | figures, indent=2))
        return
    print(f"Purrdict {model.version} on {options.split}\n\n{_tables(figures)}")
    if table := tables.kinds(figures.get("by_kind", [])):
        print(f"\n{table}")
    for name in ("robustness", "small", "masking"):
        if name in figures:
            print(f"\n{name}: {json.dumps(figures[name])}")


def _draw(options: argparse.Namespace, answers: Scores, figures: dict[str, Any]) -> None:
    from export.measure import mistakes, plots

    if options.plots:
        plots.draw_all(answers, options.plots)
        if options.robustness:
            plots.robustness_curves(figures["robustness"], options.plots / "robustness.png")
    if options.errors:
        count = mistakes.draw(answers, options.errors / "mistakes.png")
        print(
            f"{count} mistakes, the surest of them in {printable(options.errors / 'mistakes.png')}",
            file=sys.stderr,
        )


def _tables(figures: dict[str, Any]) -> str:
    parts = (tables.sources(figures.get("by_source", [])), tables.figures(figures), tables.per_class(figures))
    return "\n\n".join(part for part in parts if part)
