"""POST and DELETE /feedback."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request, Response, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, Field

from services.feedback import body, origins, photo, query
from services.feedback.state import State, bearer
from services.feedback.writer import BusyError, ContradictionError, Entry, TooManyError

router = APIRouter()


class Receipt(BaseModel):
    """The feedback is stored."""

    id: str = Field(examples=["3f0e9c5ad0b14b6c8d3b9a4a4d1f7a52"])
    deletion_token: str = Field(description="Deletes it: keep it where its sender can use it.")
    photo_stored: bool = Field(description="False without a photo, or when the room for photos is used up.")


class Problem(BaseModel):
    """What to do."""

    detail: str


def problems(*codes: int) -> dict[int | str, dict[str, object]]:
    """The errors of a route, for its documentation."""
    return {code: {"model": Problem} for code in codes}


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": body.Feedback.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    **body.Feedback.model_json_schema(),
                    "properties": {
                        **body.Feedback.model_json_schema()["properties"],
                        "photo": {"type": "string", "format": "binary"},
                    },
                }
            },
        },
    }
}


@router.post(
    "/feedback", status_code=201, response_model=Receipt, openapi_extra=_BODY,
    responses=problems(400, 403, 408, 409, 413, 415, 422, 429, 503),
)  # fmt: skip
async def send(request: Request, response: Response) -> Receipt:
    """Stores what somebody says of an answer. Repeating a request repeats its answer."""
    state = State.of(request)
    settings = state.settings
    if not origins.may_send(request, settings.allowed_origins, settings.trusted_hops > 0):
        raise HTTPException(403, "This page may not send feedback. Add its origin to ALLOWED_ORIGINS.")
    said, data = await body.read(request, settings.max_upload_bytes)
    if problem := await state.label_problem(said.prediction, said.correction):
        raise HTTPException(422, problem)
    picture = None
    if data is not None:
        try:
            picture = await asyncio.to_thread(photo.clean, data)
        except photo.PhotoError as error:
            raise HTTPException(400, str(error)) from error
        if not await state.room_for_photos(len(picture.jpeg)):
            picture = None
    entry = Entry(
        client=state.client(request),
        photo=picture,
        **said.model_dump(exclude={"consent"}),
    )
    try:
        stored = await state.writer.add(entry)
    except TooManyError as error:
        raise HTTPException(429, str(error), {"Retry-After": "600"}) from error
    except ContradictionError as error:
        raise HTTPException(409, str(error)) from error
    except BusyError as error:
        raise HTTPException(503, str(error), {"Retry-After": "5"}) from error
    if stored.repeated:
        response.headers["Idempotent-Replayed"] = "true"
    state.count(entry, stored)
    return Receipt(
        id=stored.id, deletion_token=state.privacy.token(stored.id), photo_stored=stored.with_photo
    )


_token = APIKeyHeader(name="X-Deletion-Token", auto_error=False, description="What POST /feedback answered.")


@router.delete("/feedback/{feedback_id}", status_code=204, responses=problems(403, 404, 503))
async def delete(
    request: Request, feedback_id: str, token: Annotated[str | None, Security(_token)] = None
) -> None:
    """Deletes feedback with its photo: for whoever has its token, and for the owner."""
    state = State.of(request)
    allowed = state.privacy.may_delete(feedback_id, token or bearer(request))
    if not allowed and not state.is_owner(request):
        raise HTTPException(403, "The token is not this feedback's. Send it in the header X-Deletion-Token.")
    if not await asyncio.to_thread(query.delete, state.database, feedback_id):
        raise HTTPException(404, "There is no such feedback, or no longer.")
