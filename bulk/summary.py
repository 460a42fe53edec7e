"""What the rows say together: summary.json, the lines that the command prints, and the contact sheet."""

import base64
import html
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow.compute

from bulk.output import Output

_SHEET = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>The least sure</title>
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1.5rem; color-scheme: light dark }}
ul {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1.2rem; padding: 0 }}
li {{ list-style: none; overflow-wrap: anywhere }}
img {{ display: block; height: 9rem; max-width: 100%; object-fit: contain; object-position: left bottom }}
small {{ opacity: .7 }}
</style>
<h1>The {count} least sure of {photos} photos</h1>
<p>Recognized photos with the lowest confidence, model {version}: look here first for what the model confuses.</p>
<ul>
{cells}
</ul>
</html>
"""
_CELL = '<li><img src="data:image/jpeg;base64,{photo}" alt=""><b>{label}</b> {confidence:.1%}<br><small>{path}</small>'


def summarize(output: Output) -> dict[str, Any]:
    """Counts all rows of the folder.

    Returns:
        photos; labels: recognized photos by label; unrecognized; errors: by kind.
    """
    labels: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    photos = unrecognized = 0
    for batch in output.batches(["label", "recognized", "error_kind"]):
        photos += batch.num_rows
        recognized = batch.filter(batch.column("recognized"))
        labels.update(_counts(recognized.column("label")))
        kinds.update(_counts(batch.column("error_kind")))
        unrecognized += batch.num_rows - batch.column("recognized").null_count - recognized.num_rows
    return {
        "photos": photos,
        "labels": dict(labels.most_common()),
        "unrecognized": unrecognized,
        "errors": dict(kinds.most_common()),
    }


def _counts(column: Any) -> dict[str, int]:
    found = pyarrow.compute.value_counts(column.drop_null())
    return {entry["values"]: entry["counts"] for entry in found.to_pylist()}


def table(summary: dict[str, Any]) -> str:
    """The summary as people read it."""
    rows = [
        *((label, count) for label, count in summary["labels"].items()),
        ("looks like none of the labels", summary["unrecognized"]),
        *((f"error: {kind}", count) for kind, count in summary["errors"].items()),
    ]
    width = max(len(name) for name, _ in rows)
    total = max(1, summary["photos"])
    return "\n".join(f"{name:<{width}}  {count:>12,}  {count / total:6.1%}" for name, count in rows)


def contact_sheet(least_sure: Sequence[tuple[str, str, float, bytes]], photos: int, version: str) -> str:
    """A page of its own, with its pictures in it: (path, label, confidence, small JPEG) of each."""
    cells = (
        _CELL.format(
            photo=base64.b64encode(photo).decode(),
            label=html.escape(label),
            confidence=confidence,
            path=html.escape(path),
        )
        for path, label, confidence, photo in least_sure
    )
    return _SHEET.format(
        count=len(least_sure), photos=f"{photos:,}", version=html.escape(version), cells="\n".join(cells)
    )


def write(
    output: Output, least_sure: Sequence[tuple[str, str, float, bytes]], run: dict[str, Any]
) -> dict[str, Any]:
    """Writes summary.json and least-sure.html; gives the summary."""
    summary = {**summarize(output), "model_version": run["model_version"], "last_run": run}
    output.save("summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    output.save("least-sure.html", contact_sheet(least_sure, summary["photos"], run["model_version"]))
    return summary
