"""Whether the service can store feedback."""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from services.feedback.database import Database, UnavailableError
from services.feedback.routes.public import problems
from services.feedback.state import State

router = APIRouter()


@router.get("/health", responses=problems(503))
async def health(request: Request) -> Response:
    """`healthy` with the kind of database, or 503 and the reason."""
    state = State.of(request)
    answer: dict[str, Any] = {"status": "healthy", "database": state.database.kind}
    try:
        await asyncio.to_thread(_ask, state.database)
    except UnavailableError as error:
        return JSONResponse({**answer, "status": "unhealthy", "detail": str(error)}, 503)
    return JSONResponse(answer)


def _ask(database: Database) -> None:
    with database.reading() as connection:
        connection.execute(sa.text("SELECT 1"))
