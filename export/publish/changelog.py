"""model/CHANGELOG.md: a line for every published version, the newest first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from export.files import write_text
from export.publish.honesty import figures_of

HEADING = "# Published models\n\nThe newest first. A published version is never replaced.\n"


def line(metadata: dict[str, Any]) -> str:
    """What the changelog says of a version."""
    name, figures = figures_of(metadata)
    where = "on test" if name == "test" else "in cross-validation"
    labels = metadata["labels"]
    what = ", ".join(labels) if len(labels) <= 6 else f"{len(labels)} classes"
    text = (
        f"- **{metadata['version']}** ({metadata['created'][:10]}): {what}; {figures['accuracy']:.1%} {where}"
    )
    if "neither_unrecognized" in figures:
        text += (
            f", {figures['neither_unrecognized']:.0%} of other things unrecognized at "
            f"{figures['wrongly_unrecognized']:.1%} false rejections"
        )
    text += f"; {metadata['architecture']}."
    return text + (f" {metadata['training']['note']}" if metadata["training"].get("note") else "")


def add(path: Path, metadata: dict[str, Any]) -> None:
    """Put the version's line above the others."""
    old = path.read_text(encoding="utf-8-sig") if path.exists() else HEADING
    head, mark, rest = old.partition("\n- **")
    write_text(path, f"{head.rstrip()}\n\n{line(metadata)}\n{mark.lstrip() and mark[1:]}{rest}")
