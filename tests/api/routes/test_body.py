"""Request bodies, as the network hands them over: in pieces of any size."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.requests import Request
from starlette.types import Message

from api._routes.body import BodyError, read_photo

# Ends and begins like a boundary, and holds the beginning of one.
PHOTO = b"--edge\r\n\xff\xd8 \r\n--ed \r\r\n- \r\n--edgy\r\n-"
FORM = (
    b'--edge\r\nContent-Disposition: form-data; name="note"\r\n\r\nmeow\r\n'
    b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    + PHOTO
    + b"\r\n--edge--\r\n"
)


def read(pieces: Iterable[bytes], content_type: str, counted: list[int]) -> bytes:
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    scope = {"type": "http", "headers": [(b"content-type", content_type.encode())]}
    return asyncio.run(read_photo(Request(scope, receive), 10_000, counted.append))


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=edge", "image/jpeg"])
def test_a_body_is_the_same_however_it_arrives_in_pieces(content_type: str) -> None:
    whole = PHOTO if content_type.startswith("multipart") else FORM
    for cut in range(len(FORM)):
        counted: list[int] = []
        assert read([FORM[:cut], FORM[cut : cut + 3], FORM[cut + 3 :]], content_type, counted) == whole, cut
        assert sum(counted) == len(FORM)
    assert read([FORM[i : i + 1] for i in range(len(FORM))], content_type, []) == whole


def test_a_form_that_breaks_off_anywhere_is_refused() -> None:
    for end in range(len(FORM) - len("--\r\n")):
        with pytest.raises(BodyError, match="breaks off"):
            read([FORM[:end]], "multipart/form-data; boundary=edge", [])
