"""A run to a published version.

Everything is built in a folder beside the registry's versions, loaded once through the code that serves, and renamed.
`latest` moves last. Killed at any point, or on a full disk, the model that was published stays as it was.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
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
from export.publish import card, changelog, honesty

log = logging.getLogger(__name__)

VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


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
) -> Model:
    """Publish the run in `folder` as `version`, or as the next one; return the model as the service will load it.

    Refused are a version that exists, a run whose graph is not what was trained, and a model that is not honest to
    publish (export/publish/honesty.py), unless `anyway`. Raises ExportError.
    """
    run = runs.load(folder)
    version = _free(models, version, run.metadata["labels"])
    log.info("the graph differs from the fitted head by %.1g at most", runs.parity(run))
    problems = honesty.problems(run.metadata)
    if problems and not anyway:
        raise PublishError(
            "Not published, because "
            + "; and ".join(problems)
            + ". --anyway publishes it, and its card says so."
        )
    metadata = _metadata(run, version, problems, note, command)
    with _staging(models, version) as staged:
        (staged / runs.MODEL).write_bytes(run.graph)
        for name in runs.PLOTS:
            if (folder / name).exists():
                shutil.copyfile(folder / name, staged / name)
        write_json(staged / "metadata.json", metadata)
        write_text(staged / "README.md", card.write(metadata, staged))
        _move(models, version, staged, latest)
        changelog.add(models / "CHANGELOG.md", metadata)
    return _registry.load(models, version)


def next_version(models: Path, labels: Sequence[str]) -> str:
    """The next free version: another minor one for the labels that the newest version has, else another major one."""
    known = _versions(models)
    if not known:
        return "1.0.0"
    major, minor, _ = known[-1]
    try:
        same = list(_registry.load(models, ".".join(map(str, known[-1]))).labels) == list(labels)
    except _registry.ModelError:
        same = False
    return f"{major}.{minor + 1}.0" if same else f"{major + 1}.0.0"


def _versions(models: Path) -> list[tuple[int, int, int]]:
    folder = models / "versions"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = [match for name in names if (match := VERSION.fullmatch(name))]
    return sorted((int(m[1]), int(m[2]), int(m[3])) for m in found)


def _free(models: Path, version: str, labels: Sequence[str]) -> str:
    following = next_version(models, labels)
    if not version:
        return following
    if not VERSION.fullmatch(version):
        raise PublishError(f"{version!r} is no version; use three numbers, like {following}.")
    if (models / "versions" / version).exists():
        raise PublishError(
            f"{version} is published already, and a published version is never replaced: answers and corrections name "
            f"it. The next free one is {following}; leave --version out to take it."
        )
    return version


def _metadata(
    run: runs.Run, version: str, problems: Sequence[str], note: str, command: str
) -> dict[str, Any]:
    # What the summary says of single photos, by their paths, is nobody's business but the user's.
    training = {key: value for key, value in run.metadata["training"].items() if key != "summary"}
    return {
        "version": version,
        **run.metadata,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "training": training | {"publish_command": command, "note": note},
        "problems": list(problems),
    }


@contextmanager
def _staging(models: Path, version: str) -> Iterator[Path]:
    """A folder beside the published versions, on the same disk, that vanishes unless it is moved into place."""
    root = models / f".staging-{os.getpid()}"
    folder = root / "versions" / version
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise PublishError(
            f"{version} was not published: {error}. What was published before is untouched."
        ) from error
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _move(models: Path, version: str, staged: Path, latest: bool) -> None:
    """Check the staged model as the service would, then rename it into place and move `latest`."""
    _registry.load(staged.parent.parent, version)
    final = models / "versions" / version
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        raise PublishError(f"{version} was published by somebody else meanwhile: {printable(final)}.")
    os.rename(staged, final)
    if latest:
        write_text(models / "latest", f"{version}\n")
