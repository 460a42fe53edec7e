"""Reads feedback: filtered, newest first, page by page; what is counted of it; single photos; deletion."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.feedback.database import Database
from services.feedback.schema import feedback, photos

# Rows that a stream of all of them holds at one time.
CHUNK = 2_000
COLUMNS = (
    "id", "created_at", "request_id", "model_version", "prediction", "confidence", "recognized", "correction",
    "truth", "agrees",
)  # fmt: skip


class CursorError(ValueError):
    """The cursor is none that a page of the list gave."""


@dataclass(frozen=True)
class Filter:
    """Which feedback is meant; None does not narrow it."""

    model_version: str | None = None
    prediction: str | None = None
    truth: str | None = None
    agrees: bool | None = None
    photo: bool | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        c = feedback.c
        chosen: list[sa.ColumnElement[bool]] = [
            column == value
            for column, value in (
                (c.model_version, self.model_version), (c.prediction, self.prediction), (c.truth, self.truth),
                (c.agrees, self.agrees),
            )
            if value is not None
        ]  # fmt: skip
        if self.photo is not None:
            chosen.append(c.photo_sha256.is_not(None) if self.photo else c.photo_sha256.is_(None))
        if self.since is not None:
            chosen.append(c.created_at >= self.since)
        if self.until is not None:
            chosen.append(c.created_at < self.until)
        return chosen


def page(
    database: Database, chosen: Filter, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """So many rows, newest first, and the cursor of the next page; None on the last one.

    What is stored meanwhile changes no page: a cursor names the row that it goes on after.

    Raises CursorError or UnavailableError.
    """
    before = None if cursor is None else _decode(cursor)
    with database.reading() as connection:
        rows = _rows(connection, chosen, before, limit + 1)
    more = len(rows) > limit
    rows = rows[:limit]
    following = _encode(rows[-1]["seq"]) if more else None
    return [_public(row) for row in rows], following


def everything(database: Database, chosen: Filter) -> Iterator[list[dict[str, Any]]]:
    """All rows, newest first, in chunks that each take a short transaction. Raises UnavailableError."""
    before: int | None = None
    while True:
        with database.reading() as connection:
            rows = _rows(connection, chosen, before, CHUNK)
        if not rows:
            return
        before = rows[-1]["seq"]
        yield [_public(row) for row in rows]


def _rows(connection: sa.Connection, chosen: Filter, before: int | None, limit: int) -> list[dict[str, Any]]:
    query = (
        sa.select(
            feedback.c.seq,
            *(feedback.c[name] for name in COLUMNS),
            photos.c.width,
            photos.c.height,
            photos.c.bytes,
        )
        .select_from(feedback.outerjoin(photos, photos.c.seq == feedback.c.seq))
        .where(*chosen.conditions())
        .order_by(feedback.c.seq.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(feedback.c.seq < before)
    return [dict(row) for row in connection.execute(query).mappings()]


def _public(row: dict[str, Any]) -> dict[str, Any]:
    size = None
    if row["bytes"] is not None:
        size = {name: row[name] for name in ("width", "height", "bytes")}
    return {**{name: row[name] for name in COLUMNS}, "photo": size}


def _encode(seq: int) -> str:
    return base64.urlsafe_b64encode(f"v1:{seq}".encode()).decode()


def _decode(cursor: str) -> int:
    try:
        version, _, seq = base64.b64decode(cursor, b"-_", validate=True).decode("ascii").partition(":")
        if version == "v1" and seq.isdigit() and len(seq) < 19:
            return int(seq)
    except (binascii.Error, ValueError):
        pass
    raise CursorError("The cursor is not known. Send `next` of the page before, as it is, or none to begin.")


def photo(database: Database, feedback_id: str) -> bytes | None:
    """The JPEG of a feedback, None without one. Raises UnavailableError."""
    query = (
        sa.select(photos.c.jpeg)
        .join(feedback, feedback.c.seq == photos.c.seq)
        .where(feedback.c.id == feedback_id)
    )
    with database.reading() as connection:
        found = connection.execute(query).scalar_one_or_none()
    return None if found is None else bytes(found)


def delete(database: Database, feedback_id: str) -> bool:
    """Deletes a feedback with its photo; whether there was one. Raises UnavailableError."""
    with database.writing() as connection:
        return connection.execute(sa.delete(feedback).where(feedback.c.id == feedback_id)).rowcount > 0


def photo_bytes(database: Database) -> int:
    """How many bytes of photos are stored. Raises UnavailableError."""
    with database.reading() as connection:
        return int(
            connection.execute(sa.select(sa.func.coalesce(sa.func.sum(photos.c.bytes), 0))).scalar_one()
        )
