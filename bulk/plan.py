"""What there is to do: every item once, with a number that it keeps. An SQLite file, so that memory stays flat.

Numbers are given in the order of the first sight. A later run of the same job looks at the input again: what it knows
keeps its number, what is new gets the next ones.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from bulk.errors import JobError
from bulk.inputs import Item

# Rows that one statement inserts.
_BLOCK = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    number INTEGER PRIMARY KEY, kind INTEGER NOT NULL, location BLOB NOT NULL, part INTEGER NOT NULL,
    photos INTEGER NOT NULL, UNIQUE (location, part));
CREATE TABLE IF NOT EXISTS least_sure (
    item INTEGER NOT NULL, path TEXT NOT NULL, label TEXT NOT NULL, confidence REAL NOT NULL, photo BLOB NOT NULL,
    PRIMARY KEY (item, path));
"""


class Plan:
    """The items of one job. Not for several threads."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            JobError: the file cannot be made or read.
        """
        self._path = path
        try:
            self._database = sqlite3.connect(path)
            # A lost plan is made again from the input: it need not survive a power failure at any price.
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.execute("PRAGMA journal_mode = MEMORY")
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def add(self, items: Iterable[Item]) -> Iterator[int]:
        """Adds what is new; gives the number of items seen so far, now and then."""
        items, seen = iter(items), 0
        statement = "INSERT OR IGNORE INTO items (kind, location, part, photos) VALUES (?, ?, ?, ?)"
        while block := [
            (item.kind, os.fsencode(item.location), item.part, item.photos) for item in islice(items, _BLOCK)
        ]:
            try:
                self._database.executemany(statement, block)
                self._database.commit()
            except sqlite3.Error as error:
                raise self._failure(error) from error
            seen += len(block)
            yield seen

    def photos(self, first: int = 1, last: int = 2**62) -> int:
        """How many photos these items hold, as far as known."""
        row = self._database.execute(
            "SELECT coalesce(sum(photos), 0) FROM items WHERE number BETWEEN ? AND ?", (first, last)
        ).fetchone()
        return int(row[0])

    @property
    def last(self) -> int:
        """The highest number."""
        return int(self._database.execute("SELECT coalesce(max(number), 0) FROM items").fetchone()[0])

    def is_remote(self) -> bool:
        """Whether some of the items come over a network."""
        row = self._database.execute(
            "SELECT 1 FROM items WHERE instr(location, CAST('://' AS BLOB)) LIMIT 1"
        ).fetchone()
        return row is not None

    def items(self, first: int, last: int) -> list[tuple[int, Item]]:
        """The items of these numbers, in order."""
        rows = self._database.execute(
            "SELECT number, kind, location, part, photos FROM items WHERE number BETWEEN ? AND ? ORDER BY number",
            (first, last),
        )
        return [
            (number, Item(kind, os.fsdecode(location), part, photos))
            for number, kind, location, part, photos in rows
        ]

    def keep_least_sure(self, rows: Sequence[tuple[int, str, str, float, bytes]], most: int) -> float:
        """Remembers (item, path, label, confidence, thumbnail) of the least sure; gives the confidence to be under."""
        try:
            self._database.executemany("INSERT OR REPLACE INTO least_sure VALUES (?, ?, ?, ?, ?)", rows)
            self._database.execute(
                "DELETE FROM least_sure WHERE rowid NOT IN "
                "(SELECT rowid FROM least_sure ORDER BY confidence, path LIMIT ?)",
                (most,),
            )
            self._database.commit()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        found = self._database.execute("SELECT count(*), max(confidence) FROM least_sure").fetchone()
        return float(found[1]) if found[0] >= most else 1.0

    def least_sure(self) -> list[tuple[str, str, float, bytes]]:
        """(path, label, confidence, thumbnail), the least sure first."""
        return self._database.execute(
            "SELECT path, label, confidence, photo FROM least_sure ORDER BY confidence, path"
        ).fetchall()

    def close(self) -> None:
        """Nothing may be asked afterwards."""
        self._database.close()

    def _failure(self, error: sqlite3.Error) -> JobError:
        return JobError(
            f"{self._path} cannot be written: {error}. Free some space and run the same command again; if it is "
            "damaged, score into a new folder."
        )


def missing(done: Sequence[tuple[int, int]], last: int) -> Iterator[tuple[int, int]]:
    """The ranges of 1 to `last`, both included, that none of the ranges in `done` covers."""
    following = 1
    for first, until in sorted(done):
        if following < first:
            yield following, min(first - 1, last)
        following = max(following, until + 1)
    if following <= last:
        yield following, last
