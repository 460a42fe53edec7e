"""Writes the model card: the README.md of a published version. All its figures come from the same metadata."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.measure import tables
from export.publish.honesty import figures_of

_PLOTS = {
    "confusion.png": "Confusion matrix",
    "reliability.png": "Reliability diagram",
    "recognized.png": "How much photos look like any of the classes",
    "operating.png": "Photos of other things rejected, against photos of the classes rejected",
    "learning.png": "Learning curves",
    "robustness.png": "Accuracy against compression and size of the upload",
}


def write(metadata: dict[str, Any], folder: Path) -> str:
    """The card's Markdown, with the plots that exist in `folder`."""
    sections = [
        _head(metadata), _problems(metadata), _figures(metadata), _kinds(metadata), _masking(metadata),
        _training(metadata), _seeds(metadata), _compared(metadata), _limits(metadata), _images(folder),
        _licence(metadata),
    ]  # fmt: skip
    return "\n\n".join(section for section in sections if section) + "\n"


def _named(labels: list[str]) -> str:
    if len(labels) > 12:
        return f"{len(labels)} classes"
    return ", ".join(labels[:-1]) + f" and {labels[-1]}"


def _head(metadata: dict[str, Any]) -> str:
    weights = metadata["weights"]
    labels = [tables.cell(label) for label in metadata["labels"]]
    return f"""# Purrdict {metadata["version"]}

Tells apart {_named(labels)}, and says when a photo shows none of them.

| | |
| --- | --- |
| architecture | {metadata["architecture"]} |
| parameters | {metadata["parameters"]:,} |
| input | uint8 RGB, {metadata["input_size"]} x {metadata["input_size"]} pixels, the whole photo squashed |
| weights | {weights["bytes"] / 1e6:.2f} MB, {weights["precision"]}, ONNX opset {weights["opset"]} |
| sha256 | `{weights["sha256"]}` |
| temperature | {metadata["temperature"]:.3f}, chosen on {metadata["chosen_on"]} |
| recognized from | {metadata["thresholds"]["recognized"]}, chosen on {metadata["chosen_on"]} |
| one photo on one thread | {metadata["latency_ms"]:.1f} ms on {metadata["training"]["hardware"]} |
| published | {metadata["created"]} |"""


def _problems(metadata: dict[str, Any]) -> str:
    if not metadata.get("problems"):
        return ""
    return "## Published all the same\n\n" + "\n".join(
        f"- {tables.cell(problem)}." for problem in metadata["problems"]
    )


def _figures(metadata: dict[str, Any]) -> str:
    name, figures = figures_of(metadata)
    folds = metadata["training"]["recipe"]["folds"]
    crossed = (
        f"By {folds}-fold cross-validation: each photo was judged by a head that was fitted without it, with a "
        "temperature and a threshold chosen without it. Photos of none of the classes are those of all kinds of "
        f"things that the body brings along{_left_out(metadata)}, and any that were given."
    )
    words = {
        "test": "On the test photos, through the code that serves them. Nothing was chosen on them.",
        "cross_validation": f"Test photos were not used, or there were too few. {crossed}",
        "val": "On val. Temperature and threshold were chosen on the same photos, so expect a little less.",
    }
    parts = [f"## Figures\n\n{words[name]}"]
    if sources := tables.sources(figures.get("by_source", [])):
        parts += [
            f"### By where the photos come from, the least accurate first\n\n{sources}",
            "### All together",
        ]
    parts += [tables.figures(figures), tables.per_class(figures)]
    if name == "test" and "cross_validation" in metadata["metrics"]:
        parts += [
            f"### Cross-validation\n\n{crossed}",
            tables.figures(metadata["metrics"]["cross_validation"]),
        ]
    return "\n\n".join(parts)


def _left_out(metadata: dict[str, Any]) -> str:
    count = metadata.get("negatives", {}).get("left_out", 0)
    return f" (less {count:,} that look like one of the classes)" if count else ""


def _kinds(metadata: dict[str, Any]) -> str:
    lines = figures_of(metadata)[1].get("by_kind", [])
    table = tables.kinds(lines)
    return f"### By kind of photo, the worst first\n\n{table}" if table else ""


def _masking(metadata: dict[str, Any]) -> str:
    measured = metadata.get("masking")
    if not measured:
        return ""
    rows = [("painted over", "answers changed or unrecognized", "probability left to the true label")]
    for name, title in (("hot", "the hottest quarter"), ("cold", "the coldest quarter")):
        rows.append((title, f"{measured[name]['changed']:.1%}", f"{measured[name]['confidence']:.1%}"))
    return f"""### Is the heatmap about what the answer is about?

On right answers of val, a quarter of the photo was painted over with its mean colour.

{tables.aligned(rows)}"""


def _seeds(metadata: dict[str, Any]) -> str:
    lines = [line for line in metadata.get("runs", []) if line["same_recipe"]]
    if len(lines) < 2:
        return ""
    rows = [_run_heading(lines), *(_run_row(f"seed {line['seed']}", line) for line in lines)]
    rows.append(_run_row("mean", _over_runs(lines, statistics.fmean)))
    rows.append(_run_row("standard deviation", _over_runs(lines, statistics.stdev)))
    return f"""## Seeds

Runs that differ in nothing but the seed. Published is seed {lines[0]["seed"]}, which was named before any was measured.

{tables.aligned(rows)}"""


def _compared(metadata: dict[str, Any]) -> str:
    lines = [line for line in metadata.get("runs", []) if not line["same_recipe"]]
    if not lines:
        return ""
    lines.append(metadata["runs"][0])
    rows = [
        _run_heading(lines),
        *(_run_row(f"`{line['recipe']}`, {line['photos']:,} photos", line) for line in lines),
    ]
    return f"""## What else was tried

The last one is published.

{tables.aligned(rows)}"""


def _run_heading(lines: list[dict[str, Any]]) -> tuple[str, ...]:
    sources = lines[-1]["sources"]
    return (
        "run", *(f"{tables.cell(source)}: accuracy, unrecognized" for source in sources), "other things unrecognized",
        "one photo", "file", "training",
    )  # fmt: skip


def _run_row(title: str, line: dict[str, Any]) -> tuple[str, ...]:
    sources = [f"{s['accuracy']:.2%}, {s['unrecognized']:.2%}" for s in line["sources"].values()]
    return (
        title, *sources, f"{line['neither_unrecognized']:.2%}", f"{line['latency_ms']:.1f} ms",
        f"{line['bytes'] / 1e6:.2f} MB", f"{line['seconds'] / 60:.1f} min",
    )  # fmt: skip


def _over_runs(lines: list[dict[str, Any]], over: Callable[[list[float]], float]) -> dict[str, Any]:
    """A table row: `over` applied to each figure of the runs."""
    names = ("neither_unrecognized", "latency_ms", "bytes", "seconds")
    sources = {
        source: {
            name: over([line["sources"][source][name] for line in lines])
            for name in ("accuracy", "unrecognized")
        }
        for source in lines[0]["sources"]
    }
    return {"sources": sources} | {name: over([line[name] for line in lines]) for name in names}


def _training(metadata: dict[str, Any]) -> str:
    training = metadata["training"]
    recipe = training["recipe"]
    rows: list[tuple[str, ...]] = [("class", "train", "val", "test")]
    classes = list(training["classes"].items())
    rows += [
        (tables.cell(label), *(f"{n:,}" for n in counts.values()))
        for label, counts in classes[: tables.MOST_ROWS]
    ]
    more = (
        f"\n\nand {len(classes) - tables.MOST_ROWS} more classes." if len(classes) > tables.MOST_ROWS else ""
    )
    trained = (
        "The network was trained on these photos first, and then a head was fitted on its features."
        if recipe["finetune"]
        else f"The body, {metadata['body']['name']}, was left as it is; only a head was fitted."
    )
    used = metadata.get("negatives", {}).get("used", 0)
    if used:
        trained += (
            f" Beside these photos the head saw the features of {used:,} photos of other things that the body brings "
            f"along{_left_out(metadata)}; each of them counts a tenth."
        )
    shown = " and ".join(recipe["views"])
    typed = dict.fromkeys(filter(None, (training["command"], training["publish_command"])))
    # Nothing that was typed, like a note of several lines, may end the code block.
    commands = "\n".join(" ".join(command.replace("`", "'").split()) for command in typed)
    note = f"\n- {tables.cell(training['note'])}" if training.get("note") else ""
    return f"""## Training

{tables.aligned(rows)}{more}

- {trained}
- Recipe `{recipe["name"]}`: multinomial logistic regression, C = {recipe["c"]:g}; photos shown {shown}.
- {training["seconds"]:.0f} seconds, {training["cpu_seconds"]:.0f} of CPU time, on {training["hardware"]}.
- Commit `{training["commit"] or "unknown"}`.{note}

```
{commands}
```"""


def _limits(metadata: dict[str, Any]) -> str:
    many = max(entry["train"] for entry in metadata["training"]["classes"].values())
    few = min(entry["train"] for entry in metadata["training"]["classes"].values())
    count = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    return f"""## Limits

- It knows these classes as they look in {count} photos of each. Photos taken elsewhere, by other cameras,
  at other times of the day or year may look different: measure it on some of those before you rely on it.
- A photo that shows several of the classes gets one answer; `present` names the others where a second look confirms
  them, which it does for most and not for all.
- It will recognize some photos that show none of the classes, and miss some that do: see the figures above.
- The whole photo is squashed to a square: something small in a large photo may be missed.
- Do not use it where a mistake harms a person or an animal."""


def _images(folder: Path) -> str:
    shown = [f"![{title}]({name})" for name, title in _PLOTS.items() if (folder / name).exists()]
    return "## Plots\n\n" + "\n\n".join(shown) if shown else ""


def _licence(metadata: dict[str, Any]) -> str:
    body = metadata["body"]
    source = body.get("source", {})
    if not source:
        return (
            "## Licence\n\nThe weights were trained on the photos above and on nothing else; their licence is for the "
            "owner of the photos to state. No photo is part of the model."
        )
    return f"""## Licence

The body's weights are those of {source["package"]} ({body["licence"]}; trained on
{source["trained_on"]}), rounded to int8. The head was fitted on the photos above; its licence is for the owner of the
photos to state. No photo is part of the model."""
