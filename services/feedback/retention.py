"""Forgets: feedback that is older than the retention, and after a day who sent it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from services.feedback.database import Database
from services.feedback.schema import feedback

CLIENT_DAYS = 1
_CHUNK = 1_000


@dataclass(frozen=True)
class Forgotten:
    """How many rows were deleted, and of how many it is now unknown who sent them."""

    deleted: int
    anonymous: int


def forget(database: Database, retention_days: int, now: datetime | None = None) -> Forgotten:
    """Deletes what is too old, in small transactions, so that nobody waits for long. Raises UnavailableError."""
    now = now or datetime.now(UTC)
    return Forgotten(
        _delete(database, now - timedelta(days=retention_days)),
        _anonymize(database, now - timedelta(days=CLIENT_DAYS)),
    )


def _delete(database: Database, before: datetime) -> int:
    old = sa.select(feedback.c.seq).where(feedback.c.created_at < before).limit(_CHUNK)
    total = 0
    while True:
        with database.writing() as connection:
            deleted = connection.execute(sa.delete(feedback).where(feedback.c.seq.in_(old))).rowcount
        total += deleted
        if deleted < _CHUNK:
            return total


def _anonymize(database: Database, before: datetime) -> int:
    c = feedback.c
    old = sa.select(c.seq).where(c.created_at < before, c.client.is_not(None)).limit(_CHUNK)
    total = 0
    while True:
        with database.writing() as connection:
            changed = connection.execute(
                sa.update(feedback).where(c.seq.in_(old)).values(client=None)
            ).rowcount
        total += changed
        if changed < _CHUNK:
            return total
