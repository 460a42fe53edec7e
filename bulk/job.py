"""A job from its input to its last part."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow

from bulk import inputs
from bulk._scorer import Progress, Recipe
from bulk.engines import Engine
from bulk.errors import JobError
from bulk.inputs import Item
from bulk.interrupts import Interrupts
from bulk.output import Output, merged
from bulk.plan import Plan, missing
from bulk.scoring import LEAST_SURE, Scored, Unit

# A part is written when it has so many rows, or when the oldest of them has waited so long: that is what a killed
# machine has to score again.
_PART_ROWS = 50_000
_PART_S = 15.0
# Numbers of the plan that are looked up at a time.
_BLOCK = 4096
RETRIED = ("missing", "unreadable", "network", "crash")


@dataclass(frozen=True)
class Options:
    """How a job runs; nothing here changes an answer."""

    batch: int = 256
    keep_going: bool = False
    retry_errors: bool = False
    quiet: bool = False


class Job:
    """Scores what is missing in a folder; use it in a `with` block."""

    def __init__(self, sources: list[str], folder: Path, recipe: Recipe, options: Options) -> None:
        """
        Raises:
            JobError: the folder cannot be used for this job.
        """
        self._recipe, self._options = recipe, options
        self._roots = inputs.roots(sources)
        items = inputs.find(sources)
        first = next(items, None)
        if first is None:
            raise JobError("There is no photo in there to score.")
        self.output = Output(folder, inputs.identity(sources), recipe.identity)
        try:
            self.plan = Plan(folder / "photos.sqlite")
        except JobError:
            self.output.close()
            raise
        self._items = _chained(first, items)
        self._rows: list[pyarrow.RecordBatch] = []
        self._done: list[tuple[int, int]] = []
        self._waiting_since = 0.0
        self._under = 1.0
        self.progress = Progress(0, options.quiet)

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_: object) -> None:
        self.plan.close()
        self.output.close()

    def list_items(self) -> int:
        """Brings the plan up to date with the input; gives what is left to do, as the plan counts it.

        Raises:
            JobError: the input cannot be listed to its end.
        """
        shown = time.monotonic()
        for seen in self.plan.add(self._items):
            if time.monotonic() - shown > 2:
                shown = time.monotonic()
                self.progress.say(f"listing: {seen:,} so far")
        if self._options.retry_errors and (count := self.output.forget(RETRIED)):
            self.progress.say(f"{count:,} rows with errors are scored anew")
        done = sum(self.plan.photos(first, last) for first, last in self.output.done)
        return self.plan.photos() - done

    def run(self, engine: Engine, interrupts: Interrupts, left: int) -> None:
        """Scores the `left` that list_items() gave.

        Raises:
            JobError: it cannot go on.
            KeyboardInterrupt: it was told to end.
            In both cases everything that was complete is written.
        """
        self.progress = Progress(left, self._options.quiet)
        if self.output.rows:
            self.progress.say(f"{self.output.rows:,} rows are there already; {left:,} to go")
        results = engine.run(self._units(), self._recipe, self.plan.is_remote())
        try:
            # Left to the garbage collector, it would cancel tasks of a cluster that has been left already.
            with contextlib.closing(results):
                for scored in results:
                    with interrupts.deferred():
                        self._take(scored)
        finally:
            with interrupts.deferred():
                self._flush()

    def _units(self) -> Iterator[Unit]:
        batch = self._options.batch
        for first, last in missing(self.output.done, self.plan.last):
            for start in range(first, last + 1, _BLOCK):
                items: list[tuple[int, Item]] = []
                weight = 0
                for number, item in self.plan.items(start, min(last, start + _BLOCK - 1)):
                    items.append((number, item))
                    # A shard holds thousands of photos, and nobody knows how many.
                    weight += item.photos if item.kind != inputs.TAR else batch
                    if weight >= batch:
                        yield self._unit(items)
                        items, weight = [], 0
                if items:
                    yield self._unit(items)

    def _unit(self, items: list[tuple[int, Item]]) -> Unit:
        return Unit(items[0][0], items[-1][0], items, self._roots, self._under, self._options.keep_going)

    def _take(self, scored: Scored | None) -> None:
        if scored is not None:
            unit, rows = scored.unit, scored.rows
            if scored.doubtful:
                found = [(d.item, d.path, d.label, d.confidence, d.photo) for d in scored.doubtful]
                self._under = self.plan.keep_least_sure(found, LEAST_SURE)
            self._waiting_since = self._waiting_since or time.monotonic()
            self._rows.append(rows)
            self._done.append((unit.first, unit.last))
            errors = rows.num_rows - rows.column("error").null_count
            self.progress.add(rows.num_rows, errors, sum(item.photos for _, item in unit.items))
        waiting = sum(rows.num_rows for rows in self._rows)
        if waiting >= _PART_ROWS or (self._rows and time.monotonic() - self._waiting_since > _PART_S):
            self._flush()
        self.progress.show()

    def _flush(self) -> None:
        if self._done:
            rows, done = self._rows, self._done
            self._rows, self._done, self._waiting_since = [], [], 0.0
            self.output.write(rows, merged(done))


def _chained(first: Item, rest: Iterator[Item]) -> Iterator[Item]:
    yield first
    yield from rest
