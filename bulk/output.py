"""The folder of a job: what was asked, what there is to do, and the parts with the rows.

DIR/job.json        the input, and what every answer depends on
DIR/photos.sqlite   the items (plan.py)
DIR/parts/          part-000000.parquet ...; each written whole or not at all
DIR/summary.json, DIR/least-sure.html
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock
import pyarrow
import pyarrow.parquet

from bulk.errors import JobError

# The format of this folder; another one is another number.
FORMAT = 1
_ITEMS = b"purrdict.items"
_JOB = "job.json"
_TEMPORARY = ".unfinished-"


class Output:
    """A job's folder, locked as long as this is open."""

    def __init__(self, folder: Path, inputs: Sequence[str], identity: dict[str, Any]) -> None:
        """
        Args:
            folder: made where it is missing.
            inputs: what the job scores, as inputs.identity() gives it.
            identity: what every answer depends on.

        Raises:
            JobError: the folder cannot be written, is another program's or another job's, or a job runs in it.
        """
        self.folder, self.parts = folder, folder / "parts"
        job = {"format": FORMAT, "inputs": list(inputs), **identity}
        self._refuse_strangers()
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(folder / ".lock", blocking=False)
            self._lock.acquire()
        except filelock.Timeout as error:
            raise JobError(
                f"Another job writes into {folder}. Wait for it, or name another folder."
            ) from error
        except OSError as error:
            raise JobError(f"{folder} cannot be written: {error.strerror}.") from error
        try:
            self._claim(job)
            self._sweep()
            self.done, self.rows, self._next = self._inventory()
        except BaseException:
            self._lock.release()
            raise

    def write(self, batches: Sequence[pyarrow.RecordBatch], done: Sequence[tuple[int, int]]) -> None:
        """Writes one part with the rows of these ranges of items.

        Raises:
            JobError: it cannot be written; then nothing of it is there.
        """
        table = pyarrow.Table.from_batches(list(batches))
        path = self.parts / f"part-{self._next:06d}.parquet"
        _write_part(path, table, merged(done))
        self._next += 1
        self.done = merged([*self.done, *done])
        self.rows += table.num_rows

    def forget(self, kinds: Sequence[str]) -> int:
        """Takes the rows with these kinds of errors out of the parts, so that they are scored anew; says how many."""
        forgotten = 0
        for path in self._paths():
            table = pyarrow.parquet.read_table(path)
            found = pyarrow.compute.is_in(table["error_kind"], pyarrow.array(kinds, pyarrow.string()))
            items = set(table["item"].filter(found).to_pylist())
            if not items:
                continue
            # A shard has one number for all its photos: they go together.
            kept = pyarrow.compute.invert(pyarrow.compute.is_in(table["item"], pyarrow.array(sorted(items))))
            ranges = [piece for span in _ranges(path) for piece in _without(span, items)]
            left = table.filter(kept)
            forgotten += table.num_rows - left.num_rows
            if ranges:
                _write_part(path, left, ranges)
            else:
                path.unlink()
        self.done, self.rows, self._next = self._inventory()
        return forgotten

    def batches(self, columns: Sequence[str]) -> Iterator[pyarrow.RecordBatch]:
        """All rows written so far, a few at a time."""
        for path in self._paths():
            with pyarrow.parquet.ParquetFile(path) as file:
                yield from file.iter_batches(columns=list(columns))

    def save(self, name: str, text: str) -> Path:
        """Writes a text file of the job whole or not at all.

        Raises:
            JobError: it cannot be written.
        """
        path = self.folder / name
        with _replacing(path) as beside:
            beside.write_text(text, encoding="utf-8")
        return path

    def close(self) -> None:
        """Lets others into the folder."""
        self._lock.release()

    def _refuse_strangers(self) -> None:
        if not self.folder.is_dir():
            if self.folder.exists():
                raise JobError(f"{self.folder} is a file. Name a folder for the answers.")
            return
        names = {path.name for path in self.folder.iterdir()}
        if names - {".lock", "parts"} and _JOB not in names:
            raise JobError(f"{self.folder} holds other things and no job. Name a new or an empty folder.")

    def _claim(self, job: dict[str, Any]) -> None:
        path = self.folder / _JOB
        if not path.exists():
            self.save(_JOB, json.dumps(job, indent=1, ensure_ascii=False) + "\n")
            return
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise JobError(f"{path} cannot be read: {error}. Score into a new folder.") from error
        for key, value in job.items():
            if before.get(key) != value:
                raise JobError(
                    f"{self.folder} holds another job: its {key.replace('_', ' ')} is {_short(before.get(key))}, not "
                    f"{_short(value)}. Rows of both in one folder could not be told apart: name another folder."
                )

    def _sweep(self) -> None:
        for path in [*self.folder.glob(f"{_TEMPORARY}*"), *self.parts.glob(f"{_TEMPORARY}*")]:
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return sorted(self.parts.glob("part-*.parquet"))

    def _inventory(self) -> tuple[list[tuple[int, int]], int, int]:
        done: list[tuple[int, int]] = []
        rows, following = 0, 0
        for path in self._paths():
            done += _ranges(path)
            rows += pyarrow.parquet.read_metadata(path).num_rows
            following = int(path.stem.partition("-")[2]) + 1
        return merged(done), rows, following


def merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in as few ranges as possible, sorted."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def _without(span: tuple[int, int], numbers: set[int]) -> Iterator[tuple[int, int]]:
    first, last = span
    for number in sorted(number for number in numbers if first <= number <= last):
        if first < number:
            yield first, number - 1
        first = number + 1
    if first <= last:
        yield first, last


def _ranges(path: Path) -> list[tuple[int, int]]:
    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
        return [(first, last) for first, last in json.loads(metadata[_ITEMS])]
    except (OSError, KeyError, ValueError, pyarrow.ArrowException) as error:
        raise JobError(
            f"{path} is no part of a job, or damaged: {error}. Move it away; what it held is scored again."
        ) from error


def _write_part(path: Path, table: pyarrow.Table, ranges: Sequence[tuple[int, int]]) -> None:
    metadata = {**(table.schema.metadata or {}), _ITEMS: json.dumps(list(ranges)).encode()}
    with _replacing(path) as beside:
        pyarrow.parquet.write_table(
            table.replace_schema_metadata(metadata), beside, compression="zstd", row_group_size=32_768
        )


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path to write to, beside this one; what was written takes its name at once or not at all."""
    beside = path.with_name(f"{_TEMPORARY}{path.name}")
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, pyarrow.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise JobError(
            f"{path} cannot be written: {reason}. What was scored before is safe; make room and run the same command "
            "again."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) < 100 else f"{text[:97]}..."
