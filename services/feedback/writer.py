"""Stores feedback: what many requests bring at one time is one transaction, and each is answered after its commit.

A commit waits for the disk, and takes as long for fifty rows as for one. So one thread at a time writes whatever has
come meanwhile: no request waits longer than for the batch before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from opentelemetry import context
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql, sqlite

from services.feedback.database import Database, UnavailableError
from services.feedback.photo import Photo
from services.feedback.schema import confidence_bin, feedback, photos, shown

WINDOW = timedelta(hours=1)
MOST_WAITING = 512
LARGEST_BATCH = 64


class RefusedError(Exception):
    """This feedback was not stored; the message says why."""


class TooManyError(RefusedError):
    """The client has sent as much as one may in an hour."""


class ContradictionError(RefusedError):
    """The client has already said something else of the same answer."""


class BusyError(RefusedError):
    """More wait already than can be written soon."""


@dataclass(frozen=True)
class Entry:
    """What one request says of one answer."""

    client: str
    request_id: str
    model_version: str
    prediction: str
    confidence: float
    recognized: bool
    correction: str | None
    photo: Photo | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def key(self) -> tuple[str, str]:
        return self.client, self.request_id

    @property
    def said(self) -> tuple[str, str, bool, str | None]:
        """What makes a repeated request the same."""
        return self.model_version, self.prediction, self.recognized, self.correction

    def row(self) -> dict[str, object]:
        answer = shown(self.prediction, self.recognized)
        truth = self.correction or answer
        return {
            "id": self.id, "created_at": self.created_at, "day": self.created_at.date(), "client": self.client,
            "request_id": self.request_id, "model_version": self.model_version, "prediction": self.prediction,
            "confidence": self.confidence, "confidence_bin": confidence_bin(self.confidence),
            "recognized": self.recognized, "correction": self.correction, "truth": truth,
            "agrees": truth == answer, "photo_sha256": self.photo and self.photo.sha256,
        }  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """Feedback is in the database: now, or since an earlier request with the same content."""

    id: str
    repeated: bool
    with_photo: bool


Outcome = Stored | Exception


class Writer:
    """Writes entries in batches; `per_hour` of them for each client.

    `observed` is entered around each transaction, with the OpenTelemetry context of each request in it.
    """

    observed: Callable[[Sequence[context.Context]], AbstractContextManager[None]] | None = None

    def __init__(self, database: Database, per_hour: int) -> None:
        self._database, self._per_hour = database, per_hour
        self._waiting: list[tuple[Entry, asyncio.Future[Stored], context.Context]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many entries wait to be stored."""
        return len(self._waiting)

    async def add(self, entry: Entry) -> Stored:
        """Stores an entry; returns once it is committed. Raises RefusedError or UnavailableError."""
        if len(self._waiting) >= MOST_WAITING:
            raise BusyError("Too much feedback is waiting to be stored. Try again in a few seconds.")
        future: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future, context.get_current()))
        # No task of its own lives on between requests: serverless plans freeze those.
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
            entries = [entry for entry, _, _ in batch]
            try:
                with (
                    self.observed([one for _, _, one in batch]) if self.observed else contextlib.nullcontext()
                ):
                    outcomes = await asyncio.to_thread(self._write, entries)
            except BaseException as error:
                outcomes = [error if isinstance(error, Exception) else UnavailableError(str(error))] * len(
                    batch
                )
            for (_, future, _), outcome in zip(batch, outcomes, strict=True):
                if future.done():  # the client left; its feedback is kept all the same
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    def _write(self, entries: Sequence[Entry]) -> list[Outcome]:
        try:
            with self._database.writing() as connection:
                return store(connection, entries, self._per_hour)
        except exc.SQLAlchemyError:
            # One of them cannot be stored: it must not take the others with it.
            return [self._write_one(entry) for entry in entries]

    def _write_one(self, entry: Entry) -> Outcome:
        try:
            with self._database.writing() as connection:
                return store(connection, [entry], self._per_hour)[0]
        except Exception as error:
            return error


def store(connection: sa.Connection, entries: Sequence[Entry], per_hour: int) -> list[Outcome]:
    """Stores what is new and within the limit, in this transaction; says for each what became of it."""
    counts = _counts(connection, {entry.client for entry in entries}, datetime.now(UTC) - WINDOW)
    new: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        if entry.key not in new and counts[entry.client] < per_hour:
            counts[entry.client] += 1
            new[entry.key] = entry
    # In one order everywhere: two copies of the service that store the same keys must not wait for each other.
    inserted = _insert(connection, [new[key] for key in sorted(new)])
    stored = {key: entry for key, entry in new.items() if entry.id in inserted}
    others = [entry for entry in entries if entry.key not in stored]
    known = _known(connection, {entry.key for entry in others}) if others else {}
    return [_outcome(entry, stored.get(entry.key), known.get(entry.key), per_hour) for entry in entries]


def _outcome(
    entry: Entry, stored: Entry | None, known: tuple[str, bool, object] | None, per_hour: int
) -> Outcome:
    if stored is entry:
        return Stored(entry.id, repeated=False, with_photo=entry.photo is not None)
    if stored is not None:
        known = (stored.id, stored.photo is not None, stored.said)
    if known is None:
        return TooManyError(f"This is more than {per_hour} in an hour. Thank you; go on later.")
    if known[2] != entry.said:
        return ContradictionError(
            "Other feedback with this request_id is stored already. Delete it with its token first, or send the "
            "request_id of another answer."
        )
    return Stored(known[0], repeated=True, with_photo=known[1])


def _counts(connection: sa.Connection, clients: set[str], since: datetime) -> Counter[str]:
    query = (
        sa.select(feedback.c.client, sa.func.count())
        .where(feedback.c.client.in_(clients), feedback.c.created_at > since)
        .group_by(feedback.c.client)
    )
    return Counter({row[0]: row[1] for row in connection.execute(query)})


def _insert(connection: sa.Connection, entries: Sequence[Entry]) -> dict[str, int]:
    """The ids that were stored, with their numbers; those that another copy of the service stored first are missing."""
    if not entries:
        return {}
    table = (
        postgresql.insert(feedback) if connection.dialect.name == "postgresql" else sqlite.insert(feedback)
    )
    statement = table.on_conflict_do_nothing().returning(feedback.c.id, feedback.c.seq)
    rows = connection.execute(statement, [entry.row() for entry in entries])
    inserted = {str(found_id): int(seq) for found_id, seq in rows}
    pictures = [
        {"seq": inserted[entry.id], "width": entry.photo.width, "height": entry.photo.height,
         "bytes": len(entry.photo.jpeg), "jpeg": entry.photo.jpeg}
        for entry in entries
        if entry.photo and entry.id in inserted
    ]  # fmt: skip
    if pictures:
        connection.execute(sa.insert(photos), pictures)
    return inserted


def _known(
    connection: sa.Connection, keys: set[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, bool, object]]:
    c = feedback.c
    query = sa.select(
        c.client,
        c.request_id,
        c.id,
        c.photo_sha256,
        c.model_version,
        c.prediction,
        c.recognized,
        c.correction,
    ).where(sa.tuple_(c.client, c.request_id).in_(sorted(keys)))
    return {
        (row.client, row.request_id): (
            row.id,
            row.photo_sha256 is not None,
            (row.model_version, row.prediction, row.recognized, row.correction),
        )
        for row in connection.execute(query)
    }
