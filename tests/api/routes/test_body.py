"""Request bodies, as the network hands them over: in pieces of any size."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from api._routes import body
from api._routes.body import BodyError, read_photo, read_photos

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


LIMIT = 1_000


def ask(
    pieces: Iterable[bytes], content_type: str = "image/jpeg", many: bool = False, **headers: str
) -> bytes | list[bytes]:
    """What is read of a body that arrives in these pieces, at most LIMIT bytes."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    given = {
        "content-type": content_type,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    scope = {"type": "http", "headers": [(name.encode(), value.encode()) for name, value in given.items()]}
    request = Request(scope, receive)
    if many:
        return asyncio.run(read_photos(request, LIMIT, lambda count: None))
    return asyncio.run(read_photo(request, LIMIT, lambda count: None))


def refusal(*given: Any, **more: Any) -> tuple[int, str]:
    with pytest.raises(BodyError) as caught:
        ask(*given, **more)
    return caught.value.status, str(caught.value)


def form(*parts: tuple[str, bytes]) -> bytes:
    return (
        b"".join(b"--e\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
        + b"--e--\r\n"
    )


def field(name: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"; filename="a"'


MULTIPART = "multipart/form-data; boundary=e"


def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not() -> None:
    assert ask([bytes(600), bytes(400)]) == bytes(1000)
    said = (413, "The upload is over the limit of 1,000 bytes. Send a smaller photo.")
    assert refusal([bytes(600), bytes(401)]) == said
    assert ask([bytes(10)], content_length="1000") == bytes(10)
    assert ask([bytes(10)], content_length="many") == bytes(10)


def test_a_body_that_says_it_is_too_long_is_refused_before_any_of_it_is_read() -> None:
    taken: list[int] = []

    async def receive() -> Message:
        taken.append(1)
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(b"content-type", b"image/png"), (b"content-length", b"1001")]
    with pytest.raises(BodyError, match="over the limit"):
        asyncio.run(read_photo(Request({"type": "http", "headers": headers}, receive), LIMIT, taken.append))
    assert taken == []


def test_a_body_that_does_not_come_in_time_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "READ_TIMEOUT_S", 0.02)

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    request = Request({"type": "http", "headers": [(b"content-type", b"image/png")]}, receive)
    with pytest.raises(BodyError, match=r"over 0\.02 seconds\. Send a smaller photo") as caught:
        asyncio.run(read_photo(request, LIMIT, lambda count: None))
    assert caught.value.status == 408


def test_the_content_type_may_be_written_in_capitals() -> None:
    assert ask([b"x"], "IMAGE/JPEG; charset=binary") == b"x"
    assert ask([form((field("file"), b"x"))], "Multipart/Form-Data; boundary=e") == b"x"


def test_a_batch_has_so_many_photos_and_no_more() -> None:
    def photos(count: int) -> list[bytes]:
        return [form(*[('content-disposition: form-data; name="files"; filename=a', b"\0")] * count)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.LIMIT", 100_000)
        assert ask(photos(32), MULTIPART, many=True) == [b"\0"] * 32
        assert refusal(photos(33), MULTIPART, many=True) == (
            413,
            "The form has 33 photos; send at most 32 at once.",
        )
        assert refusal(photos(64), MULTIPART, many=True)[1].startswith("The form has 64 photos")
        said = (413, "The form has over 64 parts; send at most 32 photos at once.")
        assert refusal(photos(65), MULTIPART, many=True) == said


def test_a_batch_is_a_form() -> None:
    status, said = refusal([b"x"], many=True)
    assert status == 422
    assert said == "Send the photos as a multipart form with one field `files` for each."
    assert refusal([form((field("file"), b"x"))], MULTIPART, many=True)[0] == 422


def test_a_form_without_the_photo_names_some_of_the_fields_that_it_has() -> None:
    def parts(*names: str) -> list[bytes]:
        return [form(*((field(name), b"x") for name in names))]

    assert "(the form has: a, b, c, d, e)" in refusal(parts("f", "e", "d", "c", "b", "a"), MULTIPART)[1]
    assert f"(the form has: {'n' * 40})" in refusal(parts("n" * 41), MULTIPART)[1]
    assert "(the form has" not in refusal([form()], MULTIPART)[1]
    assert refusal(parts("a"), MULTIPART)[1].endswith("With curl write -F 'file=@photo.jpg'.")
    assert refusal(parts("file", "file"), MULTIPART)[0] == 422


def test_a_name_that_says_how_it_is_encoded_is_the_name_of_a_file() -> None:
    label = "Content-Disposition: form-data; name=\"file\"; FileName*=UTF-8''%e2%82%ac.txt"
    assert ask([form((label, b"text"))], MULTIPART) == b"text"


@pytest.mark.parametrize("control", [b"\0", b"\x1f", b"\x0b"])
def test_without_a_file_name_control_characters_near_the_beginning_tell_a_file_from_text(
    control: bytes,
) -> None:
    label = 'Content-Disposition: form-data; name="file"'
    assert ask([form((label, b"\t\n\r ~" + control))], MULTIPART)
    assert ask([form((label, b"a" * 511 + control))], MULTIPART)
    status, said = refusal([form((label, b"a" * 512 + control))], MULTIPART)
    assert (status, "holds text, not a file" in said) == (422, True)
