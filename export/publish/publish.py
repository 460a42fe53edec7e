"""Publishes a run as a version.

Everything is built in a folder beside the registry's versions, loaded once through the code that serves, and renamed.
`latest` is written last. If the process is killed or the disk is full, the published model stays as it was; the next
process removes what a killed one left.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from api import _registry
from api._registry import Model
from export import run as runs
from export.errors import ExportError
from export.files import printable, write_json, write_text
from export.publish import card, changelog, compare, honesty

log = logging.getLogger(__name__)

VERSION = re.compile(r"(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})")
STAGING = re.compile(r"\.staging-([1-9][0-9]{0,8})")
# If the system cannot say whether a process runs: one that began to publish this many seconds ago has ended.
LONGEST = 24 * 60 * 60

# The values of run.json that the card, the changelog and the service read, and their types.
NUMBER = (int, float)
NEEDED: dict[str, type | tuple[type, ...]] = {
    "labels": list, "input_size": int, "thresholds.recognized": NUMBER, "temperature": NUMBER, "chosen_on": str,
    "architecture": str, "parameters": int, "latency_ms": NUMBER, "weights.file": str, "weights.sha256": str,
    "weights.bytes": int, "weights.precision": str, "weights.opset": int, "body.name": str, "training.command": str,
    "training.commit": str, "training.hardware": str, "training.seconds": NUMBER, "training.cpu_seconds": NUMBER,
    "training.classes": dict, "training.recipe.name": str, "training.recipe.views": list,
    "training.recipe.c": NUMBER, "training.recipe.folds": int, "training.recipe.finetune": dict,
}  # fmt: skip
NEEDED_FIGURES: dict[str, type | tuple[type, ...]] = {
    "photos": int, "accuracy": NUMBER, "accuracy_interval": list, "per_class": dict,
}  # fmt: skip


class PublishError(ExportError):
    """Nothing was published; the message says why."""


def publish(
    folder: Path,
    models: Path,
    version: str = "",
    anyway: bool = False,
    latest: bool = True,
    note: str = "",
    command: str = "",
    beside: Sequence[Path] = (),
) -> Model:
    """Publish the run in `folder` as `version`, or as the next one; return the model as the service will load it.

    Refused are a version that exists, a run whose graph is not what was trained, and a model that is not honest to
    publish (export/publish/honesty.py), unless `anyway`. `beside` are runs that the card compares this one with: by
    the same recipe with other seeds, or by others. Raises ExportError.
    """
    run = runs.load(folder)
    _check_complete(run)
    version = _free(models, version, run.metadata["labels"])
    log.info("the graph differs from the fitted head by %.1g at most", runs.parity(run))
    with _parts_of(run):
        problems = honesty.problems(run.metadata)
    if problems and not anyway:
        raise PublishError(
            "Not published, because "
            + "; and ".join(problems)
            + ". --anyway publishes it, and its card says so."
        )
    metadata = _metadata(run, version, problems, note, command)
    if beside:
        metadata["runs"] = compare.lines([run, *map(runs.load, beside)])
    with _parts_of(run):
        changelog.line(metadata)
    with _staging(models, version) as staged:
        (staged / runs.MODEL).write_bytes(run.graph)
        # These files may be left from an earlier run in this folder that trained a network.
        trained = (runs.CHECKPOINT,) if metadata["training"]["recipe"]["finetune"] else ()
        for name in (*runs.PLOTS, *trained):
            if (folder / name).exists():
                shutil.copyfile(folder / name, staged / name)
        write_json(staged / "metadata.json", metadata)
        with _parts_of(run):
            text = card.write(metadata, staged)
        write_text(staged / "README.md", text)
        _move(models, version, staged)
    _announce(models, version, latest)
    return _registry.read_model(models, version)


def next_version(models: Path, labels: Sequence[str]) -> str:
    """The next free version: the next minor one if the newest version has the same labels, else the next major one."""
    known = _versions(models)
    if not known:
        return "1.0.0"
    major, minor, _ = known[-1]
    try:
        same = list(_registry.read_model(models, ".".join(map(str, known[-1]))).labels) == list(labels)
    except _registry.ModelError:
        same = False
    return f"{major}.{minor + 1}.0" if same else f"{major + 1}.0.0"


def _versions(models: Path) -> list[tuple[int, int, int]]:
    folder = models / "versions"
    names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    found = [match for name in names if (match := VERSION.fullmatch(name))]
    return sorted((int(m[1]), int(m[2]), int(m[3])) for m in found)


def _free(models: Path, version: str, labels: Sequence[str]) -> str:
    following = next_version(models, labels)
    version = version or following
    if not VERSION.fullmatch(version):
        raise PublishError(
            f"{version!r} is no version; use three numbers of at most five digits, without zeros in front, like "
            f"{following}."
        )
    if (models / "versions" / version).exists():
        raise PublishError(
            f"{version} is published already, and a published version is never replaced: answers and corrections name "
            f"it. The next free one is {following}; leave --version out to take it."
        )
    return version


def _metadata(
    run: runs.Run, version: str, problems: Sequence[str], note: str, command: str
) -> dict[str, Any]:
    # Paths of photos are private: lines of the summary about single photos are not published.
    training = {key: value for key, value in run.metadata["training"].items() if key != "summary"}
    return {
        "version": version,
        **run.metadata,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "training": training | {"publish_command": command, "note": printable(note)},
        "problems": list(problems),
    }


@contextmanager
def _staging(models: Path, version: str) -> Iterator[Path]:
    """A folder beside the published versions, on the same disk; it is removed unless it was moved into place."""
    root = models / f".staging-{os.getpid()}"
    folder = root / "versions" / version
    try:
        _remove_abandoned(models)
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise PublishError(
            f"{version} was not published: {error.strerror or error}. What was published before is untouched."
        ) from error
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _remove_abandoned(models: Path) -> None:
    """Remove the staging folders of killed processes; one of them may have had the same process id as this one."""
    for folder in models.iterdir() if models.is_dir() else ():
        match = STAGING.fullmatch(folder.name)
        if match and (int(match[1]) == os.getpid() or not _may_run(int(match[1]), folder)):
            shutil.rmtree(folder, ignore_errors=True)


def _may_run(process: int, folder: Path) -> bool:
    if os.name == "nt":
        # On Windows os.kill cannot ask whether a process runs: it would end it.
        return time.time() - folder.stat().st_mtime < LONGEST
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _move(models: Path, version: str, staged: Path) -> None:
    """Check the staged model as the service would, then rename it into place."""
    _registry.read_model(staged.parent.parent, version)
    final = models / "versions" / version
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        raise PublishError(f"{version} was published by somebody else meanwhile: {printable(final)}.")
    os.rename(staged, final)


def _announce(models: Path, version: str, latest: bool) -> None:
    """Add the missing lines to the changelog, this version's on top, and update `latest`, but never backwards."""
    versions = [".".join(map(str, numbers)) for numbers in _versions(models)]
    versions = [name for name in versions if name != version] + [version]
    try:
        changelog.add_missing(models / "CHANGELOG.md", [models / "versions" / name for name in versions])
        if latest and (newer := _newer(models, version)):
            log.info("latest stays at %s, which is newer than %s", newer, version)
        elif latest:
            write_text(models / "latest", f"{version}\n")
    except (OSError, UnicodeDecodeError) as error:
        raise PublishError(
            f"{version} lies in {printable(models / 'versions' / version)}, whole, but CHANGELOG.md or latest could "
            f"not be written: {getattr(error, 'strerror', None) or error}. To serve it, write {version} into "
            f"{printable(models / 'latest')}; the next version that is published adds the line."
        ) from error


def _newer(models: Path, version: str) -> str:
    """The version that `latest` names, if it exists and is newer than this one; else empty."""
    try:
        named = (models / "latest").read_text(encoding="utf-8-sig").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
    if not VERSION.fullmatch(named) or not (models / "versions" / named).is_dir():
        return ""
    return named if _numbers(named) > _numbers(version) else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def _check_complete(run: runs.Run) -> None:
    """Raise PublishError if run.json lacks a value that is read later."""
    needed = dict(NEEDED)
    trained = bool(_value(run.metadata, "training.recipe.finetune"))
    for name in ("val" if trained else "cross_validation", "test"):
        if name != "test" or _value(run.metadata, "metrics.test") is not None:
            needed |= {f"metrics.{name}": dict}
            needed |= {f"metrics.{name}.{key}": kind for key, kind in NEEDED_FIGURES.items()}
    missing = [path for path, kind in needed.items() if not isinstance(_value(run.metadata, path), kind)]
    if missing:
        raise PublishError(
            f"The {runs.METADATA} of {printable(run.folder)} is not complete: it lacks {', '.join(missing)}, or has "
            "something of another kind there. Train again."
        )


@contextmanager
def _parts_of(run: runs.Run) -> Iterator[None]:
    """Raise PublishError if an optional part of run.json is incomplete."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise PublishError(
            f"The {runs.METADATA} of {printable(run.folder)} is not complete: {type(error).__name__} {error}. "
            "Train again."
        ) from error


def _value(metadata: Any, path: str) -> Any:
    """The value at `path`, keys joined by dots; None if there is none."""
    for key in path.split("."):
        metadata = metadata.get(key) if isinstance(metadata, dict) else None
    return metadata
