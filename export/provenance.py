"""Where a network comes from: the commit, the command and the machine. Kept in checkpoints and in the metadata."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from pathlib import Path


def hardware() -> str:
    """The processor that trains, in words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.startswith("model name")
        ]
        name = names[0] if names else name
    return f"{os.cpu_count()} cores of {name}"


def commit() -> str:
    """The commit of the working tree, with a + when it has changes; empty outside a repository."""
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+"],  # noqa: S607
            capture_output=True,
            encoding="utf-8",
            check=True,
            cwd=Path(__file__).parent,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def as_command(arguments: list[str]) -> str:
    """The command as it was typed, less what only makes sense on this machine: the cache, and where folders lie."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--cache":
            next(words, None)
        else:
            kept.append(Path(word).name if _elsewhere(word) else word)
    return "python -m export " + shlex.join(kept)


def _elsewhere(word: str) -> bool:
    """Whether it is a path that leads out of the folder where the command was typed."""
    return os.path.isabs(word) or Path(word).parts[:1] == ("..",)
