"""The one path that every photo takes, whichever engine runs it: units in, rows out."""

import os
import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow

from bulk import storage
from bulk._scorer import Outcome, Recipe, Scorer, in_order
from bulk.containers import Entry, parquet_entries, tar_entries
from bulk.errors import JobError, PhotoError
from bulk.inputs import PARQUET, TAR, Item
from bulk.rows import Doubtful, Rows

# Of a unit at most; the contact sheet has no more places.
LEAST_SURE = 48
# Photos that go to a thread together, and the bytes that close such a piece before it is full.
_PIECE = 8
_PIECE_BYTES = 4 << 20
# Downloads of a processor at a time: a bucket's answer takes some ten times as long as a photo's scoring.
_DOWNLOADS = 12
# So many photos of a unit, all out of reach: that is the storage, not the photos.
_OUTAGE = 16


@dataclass(frozen=True)
class Unit:
    """Items that are scored, and whose rows are kept, together.

    Attributes:
        first, last: numbers of the items, both included.
        roots: local folders that must be there as long as photos of theirs count as missing.
        under: the confidence below which the contact sheet wants a photo.
        keep_going: whether photos that a network does not give become rows at once.
    """

    first: int
    last: int
    items: list[tuple[int, Item]] = field(repr=False)
    roots: tuple[str, ...] = ()
    under: float = 1.0
    keep_going: bool = False

    def halves(self) -> "tuple[Unit, Unit] | None":
        """Two units that together are this one; None where it has one item."""
        if len(self.items) < 2:
            return None
        middle = len(self.items) // 2
        return self.of(self.items[:middle]), self.of(self.items[middle:])

    def of(self, items: list[tuple[int, Item]]) -> "Unit":
        """A unit of some of these items."""
        return Unit(items[0][0], items[-1][0], items, self.roots, self.under, self.keep_going)


@dataclass(frozen=True)
class Scored:
    """The rows of a unit."""

    unit: Unit
    rows: pyarrow.RecordBatch
    doubtful: list[Doubtful]


@dataclass(frozen=True)
class _Piece:
    unit: Unit
    entries: list[Entry]
    is_last: bool


def score(
    units: Iterable[Unit], recipe: Recipe, scorer: Scorer, processors: int, remote: bool
) -> Iterator[Scored]:
    """Scores units one after the other on so many processors; `remote` says that some photos come over a network.

    Raises:
        JobError: the storage is out of reach; what was given so far stands.
    """
    # Downloads wait for the network on threads of their own number; the processors are what is shared.
    gate = threading.Semaphore(processors)
    threads = processors * (_DOWNLOADS if remote else 1)

    def work(piece: _Piece) -> tuple[_Piece, list[Outcome]]:
        return piece, [_outcome(entry, scorer, gate) for entry in piece.entries]

    rows = None
    for piece, outcomes in in_order(work, _pieces(units), threads):
        rows = rows or Rows(recipe, piece.unit.under, LEAST_SURE)
        for entry, outcome in zip(piece.entries, outcomes, strict=True):
            rows.add(entry, outcome)
        if piece.is_last:
            _check_reach(piece.unit, rows)
            yield Scored(piece.unit, rows.batch(), rows.doubtful())
            rows = None


def _pieces(units: Iterable[Unit]) -> Iterator[_Piece]:
    for unit in units:
        entries: list[Entry] = []
        size = 0
        for entry in _entries(unit):
            entries.append(entry)
            size += len(entry.data or b"")
            if len(entries) >= _PIECE or size >= _PIECE_BYTES:
                yield _Piece(unit, entries, is_last=False)
                entries, size = [], 0
        yield _Piece(unit, entries, is_last=True)


def _entries(unit: Unit) -> Iterator[Entry]:
    for number, item in unit.items:
        if item.kind == TAR:
            yield from tar_entries(number, item)
        elif item.kind == PARQUET:
            yield from parquet_entries(number, item)
        else:
            yield Entry(number, storage.name_of(item.location), item.location)


def _outcome(entry: Entry, scorer: Scorer, gate: threading.Semaphore) -> Outcome:
    try:
        if entry.error:
            raise entry.error
        data = storage.read(entry.location) if entry.data is None else entry.data
        with gate:
            return scorer(data)
    except PhotoError as error:
        return Outcome(error=str(error), kind=error.kind)
    except MemoryError:
        return Outcome(error="It takes more memory than there is.", kind="too large")


def _check_reach(unit: Unit, rows: Rows) -> None:
    """
    Raises:
        JobError: what is wrong is not the photos but that nothing can be read.
    """
    if rows.kinds["missing"]:
        for root in unit.roots:
            if not os.path.isdir(root):
                raise JobError(
                    f"{storage.name_of(root)} is no longer there on {socket.gethostname()}: nothing of it was counted "
                    "as missing. Run the same command again when it is back."
                )
    unread = rows.kinds["network"] + rows.kinds["unreadable"]
    remote = all(storage.is_remote(item.location) for _, item in unit.items)
    if remote and not unit.keep_going and unread == len(rows) >= _OUTAGE:
        raise JobError(
            f"None of the {len(rows)} photos from {storage.name_of(unit.items[0][1].location)} on can be read: "
            f"{rows.last_error} Check the network and the credentials, then run the same command again; --keep-going "
            "writes them as errors instead."
        )
