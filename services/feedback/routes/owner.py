"""What only the owner may see: the list, the figures, the photos. And the page for it, which holds nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.responses import FileResponse, StreamingResponse

from services.feedback import query, stats, tabular
from services.feedback.query import Filter
from services.feedback.routes.public import problems
from services.feedback.state import State

PAGE = Path(__file__).resolve().parent.parent / "page"
_FILES = {"": "index.html", "owner.js": "owner.js", "plots.js": "plots.js", "owner.css": "owner.css"}
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_SECRETS_IN_URL = {"key", "api_key", "apikey", "token", "access_token", "x-api-key"}


def owner(
    request: Request,
    _key: Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))] = None,
    _bearer: Annotated[Any, Security(HTTPBearer(auto_error=False))] = None,
) -> State:
    """Lets a request through only with the owner's key."""
    state = State.of(request)
    wanted = {"WWW-Authenticate": "Bearer"}
    if state.settings.admin_key is None:
        raise HTTPException(
            401, "Nobody may see this: FEEDBACK_ADMIN_KEY is not set where the service runs.", wanted
        )
    if any(name.lower() in _SECRETS_IN_URL for name in request.query_params):
        raise HTTPException(
            401, "A key in the URL ends up in logs and is not taken. Send the header X-API-Key.", wanted
        )
    if not state.is_owner(request):
        raise HTTPException(401, "Send the owner's key, FEEDBACK_ADMIN_KEY, in the header X-API-Key.", wanted)
    return state


Owner = Annotated[State, Depends(owner)]


def filters(
    model_version: Annotated[str | None, Query(max_length=64)] = None,
    prediction: Annotated[str | None, Query(max_length=200)] = None,
    truth: Annotated[str | None, Query(max_length=200, description="What the sender says it shows.")] = None,
    agrees: bool | None = None,
    photo: Annotated[bool | None, Query(description="With a photo, or without.")] = None,
    since: Annotated[datetime | None, Query(description="ISO 8601; without a zone it is UTC.")] = None,
    until: datetime | None = None,
) -> Filter:
    """Which feedback is meant."""
    texts = [text for text in (model_version, prediction, truth) if text]
    if any("\0" in text for text in texts):
        raise HTTPException(422, "A filter has a NUL character in it.")
    return Filter(model_version, prediction, truth, agrees, photo, _utc(since), _utc(until))


def _utc(moment: datetime | None) -> datetime | None:
    from datetime import UTC

    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


Chosen = Annotated[Filter, Depends(filters)]
router = APIRouter()


@router.get("/feedback", responses=problems(401, 406, 422, 503))
async def everything(
    state: Owner,
    chosen: Chosen,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=100, description="`next` of the page before.")] = None,
    format: Annotated[  # noqa: A002 - the parameter's name in the URL
        Literal["json", "csv", "parquet"], Query(description="JSON in pages; CSV and Parquet whole.")
    ] = "json",
) -> Response:
    """Feedback, newest first."""
    if format != "json":
        return await asyncio.to_thread(_whole, state, chosen, format)
    try:
        rows, following = await asyncio.to_thread(query.page, state.database, chosen, limit, cursor)
    except query.CursorError as error:
        raise HTTPException(422, str(error)) from error
    for row in rows:
        row["created_at"] = row["created_at"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if row["photo"]:
            row["photo"]["path"] = f"feedback/{row['id']}/photo"
    from starlette.responses import JSONResponse

    return JSONResponse({"feedback": rows, "next": following})


def _whole(state: State, chosen: Filter, kind: str) -> Response:
    # The first chunk before the answer begins: a database that is down is a 503, not half a file.
    state.database.prepare()
    chunks = query.everything(state.database, chosen)
    try:
        parts = tabular.as_csv(chunks) if kind == "csv" else tabular.as_parquet(chunks)
    except tabular.NoParquetError as error:
        raise HTTPException(406, str(error)) from error
    first = next(parts)

    def sent() -> Iterator[bytes]:
        yield first
        yield from parts

    media = "text/csv; charset=utf-8" if kind == "csv" else "application/vnd.apache.parquet"
    headers = {"Content-Disposition": f'attachment; filename="feedback.{kind}"'}
    return StreamingResponse(sent(), media_type=media, headers=headers)


@router.get("/feedback/stats", responses=problems(401, 422, 503))
async def figures(state: Owner, chosen: Chosen) -> dict[str, Any]:
    """Agreement in all, by version, label, day and tenth of confidence, with 95 % intervals; and the mistakes."""
    return await asyncio.to_thread(stats.stats, state.database, chosen)


@router.get("/feedback/{feedback_id}/photo", response_class=Response, responses=problems(401, 404, 503))
async def one_photo(state: Owner, feedback_id: str) -> Response:
    """The photo as it is stored."""
    jpeg = await asyncio.to_thread(query.photo, state.database, feedback_id)
    if jpeg is None:
        raise HTTPException(404, "There is no photo with this feedback, or no longer.")
    return Response(jpeg, media_type="image/jpeg")


@router.get("/feedback/owner/{name:path}", include_in_schema=False)
def page(name: str) -> Response:
    """A file of the owner's page. It asks for the key, and keeps it in the tab."""
    if name not in _FILES:
        raise HTTPException(404, "The owner's page is at /feedback/owner/.")
    return FileResponse(PAGE / _FILES[name], headers={"Content-Security-Policy": _PAGE_POLICY})
