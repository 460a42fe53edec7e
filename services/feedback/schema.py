"""The tables, the same for SQLite and PostgreSQL. A change here needs a migration beside it (migrations/versions)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

NEITHER = "neither"
LABEL_LENGTH = 200


class Moment(sa.TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no time zone and would give it back without one."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


metadata = sa.MetaData()

# Counts up and is never used again, so that a page of the list can begin where the last one ended.
Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("seq", Sequence, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(32), nullable=False, unique=True),
    sa.Column("created_at", Moment(), nullable=False),
    sa.Column("day", sa.Date(), nullable=False),
    # A keyed hash of the address, for limits and replays; forgotten after a day.
    sa.Column("client", sa.String(32)),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("model_version", sa.String(64), nullable=False),
    sa.Column("prediction", sa.String(LABEL_LENGTH), nullable=False),
    sa.Column("confidence", sa.Float(), nullable=False),
    sa.Column("confidence_bin", sa.SmallInteger(), nullable=False),
    sa.Column("recognized", sa.Boolean(), nullable=False),
    sa.Column("correction", sa.String(LABEL_LENGTH)),
    # What the client says the photo shows: the correction, or what was answered.
    sa.Column("truth", sa.String(LABEL_LENGTH), nullable=False),
    sa.Column("agrees", sa.Boolean(), nullable=False),
    sa.Column("photo_sha256", sa.String(64)),
    sa.UniqueConstraint("client", "request_id", name="feedback_once_a_client"),
    sa.Index("feedback_client_created", "client", "created_at"),
    sa.Index("feedback_created", "created_at"),
    sa.Index("feedback_photo", "photo_sha256"),
    sqlite_autoincrement=True,
)

photos = sa.Table(
    "photos",
    metadata,
    sa.Column("seq", Sequence, sa.ForeignKey("feedback.seq", ondelete="CASCADE"), primary_key=True,
              autoincrement=False),
    sa.Column("width", sa.SmallInteger(), nullable=False),
    sa.Column("height", sa.SmallInteger(), nullable=False),
    sa.Column("bytes", sa.Integer(), nullable=False),
    sa.Column("jpeg", sa.LargeBinary(), nullable=False),
)  # fmt: skip


def shown(prediction: str, recognized: bool) -> str:
    """What an answer amounts to: its label, or that it is none of them."""
    return prediction if recognized else NEITHER


def confidence_bin(confidence: float) -> int:
    """The tenth that a confidence from 0 to 1 lies in, 0 to 9."""
    return min(9, int(confidence * 10))
