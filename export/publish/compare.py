"""Other runs that the card compares with the published one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from export.errors import ExportError
from export.files import printable
from export.publish.honesty import figures_of
from export.run import Run


def lines(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The figures of each run, the first of which is to be published.

    Raises ExportError if they are not comparable: different labels, or measured on different photos.
    """
    first = runs[0]
    found = []
    for run in runs:
        name, figures = figures_of(run.metadata)
        if run.metadata["labels"] != first.metadata["labels"]:
            raise ExportError(f"{printable(run.folder)} has other labels than {printable(first.folder)}.")
        if (name, figures["photos"]) != _measured(first):
            raise ExportError(
                f"{printable(run.folder)} was measured on {figures['photos']:,} photos of {name}, and "
                f"{printable(first.folder)} on {_measured(first)[1]:,} of {_measured(first)[0]}: no comparison."
            )
        sources = figures.get("by_source") or [figures | {"source": "all"}]
        recipe = run.metadata["training"]["recipe"]
        found.append(
            {
                "recipe": recipe["name"],
                "seed": recipe["finetune"].get("seed", 0),
                "same_recipe": _same(run, first),
                "photos": run.metadata["training"]["photos"],
                "sources": {
                    line["source"]: {
                        "accuracy": line["accuracy"],
                        "unrecognized": line["wrongly_unrecognized"],
                    }
                    for line in sorted(sources, key=lambda line: str(line["source"]))
                },
                "neither_unrecognized": figures.get("neither_unrecognized", float("nan")),
                "latency_ms": run.metadata["latency_ms"],
                "bytes": run.metadata["weights"]["bytes"],
                "seconds": run.metadata["training"]["seconds"],
            }
        )
    return found


def _measured(run: Run) -> tuple[str, int]:
    name, figures = figures_of(run.metadata)
    return name, int(figures["photos"])


def _same(run: Run, other: Run) -> bool:
    """Whether both have the same recipe and photos, apart from the seed."""
    one, two = ({**each.metadata["training"]["recipe"], "name": ""} for each in (run, other))
    for recipe in (one, two):
        recipe["finetune"] = {key: value for key, value in recipe["finetune"].items() if key != "seed"}
    classes = [each.metadata["training"]["classes"] for each in (run, other)]
    return bool(one == two and one["finetune"] and classes[0] == classes[1])
