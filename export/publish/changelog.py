"""model/CHANGELOG.md: a line for every published version, the newest first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from export.files import read_json, write_text
from export.measure.tables import cell
from export.publish.honesty import figures_of

HEADING = "# Published models\n\nThe newest first. A published version is never replaced.\n"


def line(metadata: dict[str, Any]) -> str:
    """The changelog line of a version."""
    name, figures = figures_of(metadata)
    where = {"test": "on test", "val": "on val", "cross_validation": "in cross-validation"}[name]
    labels = [cell(label) for label in metadata["labels"]]
    what = ", ".join(labels) if len(labels) <= 6 else f"{len(labels)} classes"
    text = (
        f"- **{metadata['version']}** ({metadata['created'][:10]}): {what}; {figures['accuracy']:.1%} {where}"
    )
    if "neither_unrecognized" in figures:
        text += (
            f", {figures['neither_unrecognized']:.0%} of other things unrecognized at "
            f"{figures['wrongly_unrecognized']:.1%} false rejections"
        )
    text += f"; {cell(metadata['architecture'])}."
    note = cell(metadata["training"].get("note") or "")
    return f"{text} {note}" if note else text


def add_missing(path: Path, folders: Iterable[Path]) -> None:
    """Put lines above the others for the versions in `folders`, the oldest first, that have none.

    A killed process leaves such a version. A version whose metadata is incomplete or unreadable gets no line.
    """
    old = text = _read(path)
    for folder in folders:
        if re.search(rf"^- \*\*{re.escape(folder.name)}\*\*", text, re.MULTILINE):
            continue
        try:
            metadata = read_json(folder / "metadata.json")
            text = _with_line(text, line(metadata)) if metadata["version"] == folder.name else text
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue
    if text != old:
        write_text(path, text)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig") if path.exists() else HEADING


def _with_line(old: str, added: str) -> str:
    head, mark, rest = old.partition("\n- **")
    return f"{head.rstrip()}\n\n{added}\n{mark.lstrip() and mark[1:]}{rest}"
