"""Request bodies: JSON or a form, never more of either than the limit, and not for ever."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from typing import Annotated, Any

from fastapi import HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import Message

from services.feedback.schema import LABEL_LENGTH

UPLOAD_S = 30.0
MAX_JSON_BYTES = 16_384
_FIELDS = 16
_JOINERS = "\u200c\u200d"


def _label(text: str) -> str:
    text = unicodedata.normalize("NFC", text.strip())
    # On export a label becomes the name of a folder. The joiners belong to emoji and to scripts like Persian.
    seen = all(c.isprintable() or c in _JOINERS for c in text) and not set(text) & {"/", "\\"}
    if not text or not seen or text.startswith(".") or len(text.encode()) > LABEL_LENGTH:
        raise ValueError(
            f"must be a label: at most {LABEL_LENGTH} bytes of printable text, no slashes, no dot at its beginning"
        )
    return text


Label = Annotated[str, Field(min_length=1, max_length=LABEL_LENGTH), AfterValidator(_label)]


class Feedback(BaseModel):
    """What somebody says of one answer of the classifier."""

    model_config = ConfigDict(protected_namespaces=(), extra="ignore")

    request_id: Annotated[str, Field(
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="X-Request-ID of the answer. Sent twice by one client, it is stored once.", examples=["5f3c9a"],
    )]  # fmt: skip
    model_version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+_-]{1,64}$", examples=["1.0.0"])]
    prediction: Label = Field(description="The label that was answered.", examples=["cat"])
    confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, examples=[0.93])]
    recognized: bool = Field(description="Whether the photo was recognized as one of the labels.")
    correction: Label | None = Field(
        default=None,
        description="What the photo shows: a label, or `neither`. Null, left out or empty: the answer was right.",
        examples=["dog"],
    )
    consent: bool = Field(
        default=False, description="The photo may be stored and learned from. Without it no photo is taken."
    )


async def read(request: Request, limit: int) -> tuple[Feedback, bytes | None]:
    """The feedback of a request, and its photo's bytes.

    Raises HTTPException: 400, 408, 413, 415 or 422 with a sentence that says what to do.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(UPLOAD_S):
            if kind == "multipart/form-data":
                return await _form(request, limit)
            if kind == "application/json":
                return _checked(_parsed(await _bytes(request, MAX_JSON_BYTES))), None
    except TimeoutError as error:
        raise HTTPException(408, f"The request took more than {UPLOAD_S:.0f} seconds to arrive.") from error
    raise HTTPException(415, "Send application/json or, with a photo, multipart/form-data.")


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"The request has more than {limit:,} bytes. Send a smaller photo, or none.")


def _check_length(request: Request, limit: int) -> None:
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length[:20]) > limit:
        raise _too_large(limit)


async def _bytes(request: Request, limit: int) -> bytes:
    _check_length(request, limit)
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > limit:
            raise _too_large(limit)
    return bytes(data)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise HTTPException(
            400, "The body is no JSON. Send an object with request_id, prediction ..."
        ) from error


async def _form(request: Request, limit: int) -> tuple[Feedback, bytes | None]:
    # Parsed from memory: photos never touch the disk here.
    body = await _bytes(request, limit)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    copy = Request(request.scope, receive)
    parser = MultiPartParser(
        request.headers, copy.stream(), max_files=1, max_fields=_FIELDS, max_part_size=MAX_JSON_BYTES
    )
    parser.spool_max_size = limit + 1
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, UnicodeError) as error:
        raise HTTPException(
            400, "The form cannot be read. Send multipart/form-data with one photo at most."
        ) from error
    try:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        if not fields.get("correction"):
            fields.pop("correction", None)
        feedback = _checked(fields, strict=False)
        photo = form.get("photo")
        data = await photo.read() if isinstance(photo, UploadFile) else None
    finally:
        await form.close()
    if isinstance(photo, str):
        raise HTTPException(422, "photo: send it as a file, with a file name.")
    if data is not None and not feedback.consent:
        raise HTTPException(
            422, "consent: a photo is stored only with consent=true. Ask for it, or leave the photo out."
        )
    return feedback, data


def _checked(values: Any, strict: bool = True) -> Feedback:
    if not isinstance(values, dict):
        raise HTTPException(
            422, "Send an object with request_id, model_version, prediction, confidence, recognized."
        )
    try:
        return Feedback.model_validate(values, strict=strict)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        raise HTTPException(422, f"{name}: {problem['msg'].removeprefix('Value error, ')}.") from error
