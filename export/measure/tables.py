"""Tables in Markdown: the same in the terminal and in the model card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

# At most this many classes and kinds are listed; the worst of more.
MOST_ROWS = 40


def cell(text: str) -> str:
    """Text escaped for a cell of a Markdown table: it cannot end the cell or start a tag, a link or emphasis."""
    escaped = re.sub(r"[\\`*\[\]|]|(?<!\w)_+|_+(?!\w)", lambda m: "".join(f"\\{sign}" for sign in m[0]), text)
    return " ".join(escaped.replace("<", "&lt;").split())


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(f"{text:<{w}}" for text, w in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def figures(values: dict[str, Any]) -> str:
    """The table of the metrics that `measure` found."""

    def share(name: str) -> str:
        text = f"{values[name]:.2%}"
        interval = values.get(f"{name}_interval")
        return f"{text} ({interval[0]:.1%} to {interval[1]:.1%})" if interval else text

    rows = [("figure", "value (95 % interval)"), ("photos of the labels", f"{values['photos']:,}")]
    for title, name in (
        ("accuracy", "accuracy"),
        ("accuracy of the float32 graph", "float_accuracy"),
        ("expected calibration error, 15 bins", "expected_calibration_error"),
        ("photos of the labels unrecognized (false rejection rate)", "wrongly_unrecognized"),
        ("photos of none of them unrecognized (OOD rejection rate)", "neither_unrecognized"),
    ):
        if name in values:
            rows.append((title, share(name)))
    if "neither_photos" in values:
        rows.append(("photos of none of them", f"{values['neither_photos']:,}"))
    if kinds := values.get("over_kinds"):
        rows.append((f"the same, mean over {kinds['kinds']} kinds", f"{kinds['mean']:.2%}"))
        rows.append((f"the same, worst kind: {cell(kinds['worst_kind'])}", f"{kinds['worst']:.2%}"))
    if "neither_auroc" in values:
        rows.append(("AUROC of recognized", f"{values['neither_auroc']:.4f}"))
        for point, rejected in values["neither_unrecognized_at"].items():
            rows.append((f"OOD rejection rate at {float(point):.1%} false rejections", f"{rejected:.2%}"))
    if values.get("latency_ms"):
        rows.append(("one photo on one thread", f"{values['latency_ms']:.1f} ms"))
    return aligned(rows)


def per_class(values: dict[str, Any]) -> str:
    """Precision and recall of each class; with many classes, those with the lowest recall."""
    classes = [(name, entry) for name, entry in values["per_class"].items() if entry["photos"]]
    title = "class"
    if len(classes) > MOST_ROWS:
        classes = sorted(classes, key=lambda each: each[1]["recall"])[:MOST_ROWS]
        title = f"class ({MOST_ROWS} lowest of {len(values['per_class'])})"
    rows = [(title, "photos", "precision", "recall")]
    rows += [(cell(n), f"{e['photos']:,}", f"{e['precision']:.1%}", f"{e['recall']:.1%}") for n, e in classes]
    return aligned(rows)


def sources(lines: Sequence[dict[str, Any]]) -> str:
    """The table of `by_source`; empty if all photos are from one source."""
    if not lines:
        return ""
    rows = [("source", "photos", "accuracy (95 % interval)", "unrecognized", "calibration error")]
    for line in lines:
        low, high = line["accuracy_interval"]
        rows.append(
            (
                cell(line["source"]), f"{line['photos']:,}", f"{line['accuracy']:.2%} ({low:.1%} to {high:.1%})",
                f"{line['wrongly_unrecognized']:.2%}", f"{line['expected_calibration_error']:.2%}",
            )
        )  # fmt: skip
    return aligned(rows)


def kinds(lines: Sequence[dict[str, Any]], most: int = MOST_ROWS) -> str:
    """The table of `by_kind`; empty if no photo has a kind."""
    if not any(line["kind"] for line in lines):
        return ""
    rows = [("class", "kind", "photos", "right", "unrecognized")]
    for line in lines[:most]:
        rows.append(
            (
                cell(line["class"]), cell(line["kind"] or "-"), f"{line['photos']:,}", f"{line['right']:.1%}",
                f"{line['unrecognized']:.1%}",
            )
        )  # fmt: skip
    return aligned(rows)
