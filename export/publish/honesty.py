"""Checks that stop a model from being published as something that it is not."""

from __future__ import annotations

from typing import Any

from export.measure import calibration

# A threshold whose OOD rejection rate is certainly below this is useless.
LEAST_REJECTED = 0.1


def figures_of(metadata: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The figures that represent a model, and their origin: test, else cross-validation, else val."""
    measured = metadata["metrics"]
    name = next(name for name in ("test", "cross_validation", "val") if name in measured)
    return name, measured[name]


def problems(metadata: dict[str, Any]) -> list[str]:
    """Reasons not to publish a model, each the middle of a sentence; empty if there are none."""
    _, figures = figures_of(metadata)
    found = []
    counts = {label: entry["photos"] for label, entry in figures["per_class"].items()}
    commonest = max(counts, key=lambda label: counts[label])
    share, low = counts[commonest] / figures["photos"], figures["accuracy_interval"][0]
    if low <= share:
        found.append(
            f"it is not clearly better than always answering {commonest}: accuracy {figures['accuracy']:.1%} (at least "
            f"{low:.1%}) against {share:.1%}. More photos, or classes that differ more, would help"
        )
    if calibration.at_the_edge(float(metadata["temperature"])):
        found.append(
            f"its temperature, {metadata['temperature']:.2f}, lies at the edge of what is tried, so that its "
            "confidence means nothing"
        )
    judged = figures if "neither_unrecognized" in figures else metadata["metrics"].get("cross_validation", {})
    if judged.get("neither_unrecognized_interval", (0, 1))[1] < LEAST_REJECTED:
        share = 1 - judged["neither_unrecognized"]
        found.append(f"it recognizes {share:.0%} of photos that show none of its classes")
    return found
