"""The commit, the command and the machine that made a network. Kept in checkpoints and in the metadata."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
from pathlib import Path

from export.files import printable


def hardware() -> str:
    """A description of the processor that trains."""
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
    """The command as typed, without what only makes sense on this machine: the cache, and paths of folders."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if _means(option, "--cache"):
            if not equals:
                next(words, None)
        elif _means(option, "--note") and (option != "--n" or arguments[0] == "publish"):
            kept.append(word)
            if not equals:
                kept.extend(note for note in [next(words, None)] if note is not None)
        else:
            kept.append(f"{option}{equals}{_nameable(value)}")
    return "python -m export " + shlex.join(printable(word) for word in kept)


def _means(option: str, name: str) -> bool:
    """Whether `option` is `name` or an abbreviation of it."""
    return len(option) > 2 and name.startswith(option)


def _nameable(word: str) -> str:
    """The word; if it is a path that leads out of the working directory (on any system), only its last part."""
    parts = re.split(r"[/\\]", re.sub(r"^[A-Za-z]:", "", word))
    if ".." not in parts and not re.match(r"[A-Za-z]:|[/\\~]", word):
        return word
    named = [part for part in parts if part.strip(".") and not part.startswith("~")]
    return named[-1] if named else "photos"
