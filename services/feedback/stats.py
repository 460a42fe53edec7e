"""What the model is worth on the photos that people send: agreement, with its interval, by what it may depend on.

People who correct are not all who asked: whoever found an answer wrong writes more often. So these figures compare
versions, labels and days with each other; they are no accuracy.
"""

from __future__ import annotations

import math
from typing import Any

import sqlalchemy as sa

from services.feedback.database import Database
from services.feedback.query import Filter
from services.feedback.schema import feedback

# Values of a dimension that are listed, those with the most feedback first; of days the latest.
MOST = 100
_Z = 1.96


def stats(database: Database, chosen: Filter) -> dict[str, Any]:
    """Counts and agreement in all, by version, label, day and confidence, and what was taken for what.

    Raises UnavailableError.
    """
    c = feedback.c
    with database.reading() as connection:
        return {
            **_total(connection, chosen),
            "by_version": _by(connection, chosen, c.model_version),
            "by_label": _by(connection, chosen, c.prediction),
            "by_day": sorted(_by(connection, chosen, c.day, c.day.desc()), key=lambda row: row["value"]),
            "by_confidence": [
                {**row, "value": row["value"] / 10, "to": (row["value"] + 1) / 10}
                for row in sorted(_by(connection, chosen, c.confidence_bin), key=lambda row: row["value"])
            ],
            "mistakes": _mistakes(connection, chosen),
        }


def _agreeing() -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((feedback.c.agrees, 1), else_=0)), 0)


def _total(connection: sa.Connection, chosen: Filter) -> dict[str, Any]:
    query = sa.select(sa.func.count(), _agreeing(), sa.func.count(feedback.c.photo_sha256))
    count, agreeing, with_photo = connection.execute(query.where(*chosen.conditions())).one()
    return {**agreement(count, int(agreeing)), "with_photo": with_photo}


def _by(
    connection: sa.Connection, chosen: Filter, column: sa.Column[Any], order: Any = None
) -> list[dict[str, Any]]:
    count = sa.func.count()
    query = (
        sa.select(column, count, _agreeing())
        .where(*chosen.conditions())
        .group_by(column)
        .order_by(count.desc() if order is None else order, column)
        .limit(MOST)
    )
    return [{"value": value, **agreement(n, int(right))} for value, n, right in connection.execute(query)]


def _mistakes(connection: sa.Connection, chosen: Filter) -> list[dict[str, Any]]:
    c, count = feedback.c, sa.func.count()
    query = (
        sa.select(c.prediction, c.recognized, c.truth, count)
        .where(c.agrees.is_(False), *chosen.conditions())
        .group_by(c.prediction, c.recognized, c.truth)
        .order_by(count.desc(), c.prediction, c.truth)
        .limit(MOST)
    )
    return [
        {"prediction": prediction, "recognized": recognized, "truth": truth, "count": number}
        for prediction, recognized, truth, number in connection.execute(query)
    ]


def agreement(count: int, agreeing: int) -> dict[str, Any]:
    """Count, share that agrees, and its 95 % interval by Wilson's formula; nulls for a count of zero."""
    if not count:
        return {"count": 0, "agreeing": 0, "agreement": None, "interval": None}
    share = agreeing / count
    centre = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / (1 + _Z**2 / count)
    return {
        "count": count,
        "agreeing": agreeing,
        "agreement": round(share, 4),
        "interval": [round(max(0.0, centre - half), 4), round(min(1.0, centre + half), 4)],
    }
