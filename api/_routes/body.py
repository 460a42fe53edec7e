"""Request body → the photos in it, without ever holding more than the limit and without touching the disk.

python-multipart, the parser under the framework's, does the parsing. The framework's own loop around it would not do,
even if it kept files in memory: it turns a part without a file name into text, though many clients send photos so, and
it does not say that a form broke off. This loop costs no more: as much processor time for a photo of 14 kB, 0.8 times
as much for 0.8 and 4.3 MB (`python -m benchmarks choices`).
"""

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

# A phone on a bad line sends 4.5 MB in this time; a client that drips bytes to hold a connection does not.
READ_TIMEOUT_S = 30.0
# Enough for a page of thumbnails within Vercel's body limit; each photo costs some 10 ms of CPU.
MAX_BATCH = 32
# Besides the photos a form may have a few other fields.
_MAX_PARTS = MAX_BATCH + 32
# The first bytes of a part, which tell text from a file.
_HEAD_BYTES = 512


class BodyError(ValueError):
    """The request carries no photo that could be decoded.

    Attributes:
        status: the HTTP status that says why: 400, 408, 413 or 422.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    # Gives its bytes away without copying them, unlike a bytearray.
    data: io.BytesIO = field(default_factory=io.BytesIO)


async def read_photo(request: Request, limit: int, count: Callable[[int], None]) -> bytes:
    """The one photo of `POST /predict`: the multipart field `file`, or the body itself with an `image/*` type.

    Args:
        limit: most bytes of the body.
        count: told of every further byte held; what it raises ends the reading.

    Raises:
        BodyError: too large, too slow, malformed, or no photo in it.
    """
    kind, options = _content_type(request)
    if kind.startswith(b"image/"):
        body = io.BytesIO()
        await _read(request, limit, count, body.write)
        return body.getvalue()
    if kind != b"multipart/form-data":
        raise BodyError(
            "Send the photo as the field `file` of a multipart form, "
            "or as the body itself with an image/* content type.",
            422,
        )
    photos = _files(await _parts(request, options, limit, count), "file")
    if len(photos) > 1:
        raise BodyError(
            "The form has several files. Send one as `file`, or several as `files` to /predict/batch.", 422
        )
    return photos[0]


async def read_photos(request: Request, limit: int, count: Callable[[int], None]) -> list[bytes]:
    """The photos of `POST /predict/batch`: the multipart field `files`, once for each; arguments as above.

    Raises:
        BodyError: too large, too slow, malformed, no photo in it, or too many.
    """
    kind, options = _content_type(request)
    if kind != b"multipart/form-data":
        raise BodyError("Send the photos as a multipart form with one field `files` for each.", 422)
    photos = _files(await _parts(request, options, limit, count), "files")
    if len(photos) > MAX_BATCH:
        raise BodyError(f"The form has {len(photos)} photos; send at most {MAX_BATCH} at once.", 413)
    return photos


def _content_type(request: Request) -> tuple[bytes, dict[bytes, bytes]]:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    return kind.lower(), options


async def _read(
    request: Request, limit: int, count: Callable[[int], None], take: Callable[[bytes], object]
) -> None:
    """Gives the body to `take`, piece by piece as it arrives."""
    too_large = BodyError(f"The upload is over the limit of {limit:,} bytes. Send a smaller photo.", 413)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large
    read = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for chunk in request.stream():
                read += len(chunk)
                if read > limit:
                    raise too_large
                count(len(chunk))
                take(chunk)
    except TimeoutError as error:
        raise BodyError(
            f"The upload took over {READ_TIMEOUT_S:g} seconds. Send a smaller photo.", 408
        ) from error


def _files(parts: list[_Part], name: str) -> list[bytes]:
    """The files in a multipart form's field `name`, in order; at least one."""
    files: list[bytes] = []
    names: set[str] = set()
    for part in parts:
        _, options = parse_options_header(part.headers.get(b"content-disposition", b""))
        field_name = options.get(b"name", b"").decode("utf-8", "replace")
        names.add(field_name[:40])
        if field_name != name:
            continue
        if b"filename" not in options and not _is_file(part):
            raise BodyError(
                f"The field `{name}` holds text, not a file. With curl write -F '{name}=@photo.jpg'.", 422
            )
        files.append(part.data.getvalue())
    if not files:
        found = f" (the form has: {', '.join(sorted(names)[:5])})" if names else ""
        raise BodyError(
            f"No photo in the field `{name}`{found}. With curl write -F '{name}=@photo.jpg'.", 422
        )
    return files


def _is_file(part: _Part) -> bool:
    """Whether a part that names no file is one all the same: clients that send from memory often leave the name out."""
    # The parser drops parameters that say how they are encoded.
    if b"filename*=" in part.headers[b"content-disposition"].lower():
        return True
    kind, _ = parse_options_header(part.headers.get(b"content-type"))
    if kind.lower().startswith(b"image/") or kind.lower() == b"application/octet-stream":
        return True
    # All image formats have control characters near their beginning, and no text has.
    return any(byte < 0x20 and byte not in b"\t\n\r" for byte in part.data.getvalue()[:_HEAD_BYTES])


async def _parts(
    request: Request, options: dict[bytes, bytes], limit: int, count: Callable[[int], None]
) -> list[_Part]:
    """The parts of a multipart form, parsed as it arrives; `options` are those of its content type."""
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise BodyError(
            "The multipart content type names no boundary. Let your HTTP client build the form.", 400
        )
    reader = _Reader()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": reader.part_begin,
                "on_header_field": reader.header_field,
                "on_header_value": reader.header_value,
                "on_header_end": reader.header_end,
                "on_part_data": reader.part_data,
                "on_end": reader.end,
            },
        )
        await _read(request, limit, count, parser.write)
    except FormParserError as error:
        raise BodyError("The multipart form is malformed. Let your HTTP client build it.", 400) from error
    if not reader.ended:
        raise BodyError("The multipart form breaks off before its last boundary. Send it whole.", 400)
    return reader.parts


class _Reader:
    """What python-multipart calls back as it walks over the body."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.ended = False
        self._field = b""
        self._value = b""

    def part_begin(self) -> None:
        if len(self.parts) == _MAX_PARTS:
            raise BodyError(
                f"The form has over {_MAX_PARTS} parts; send at most {MAX_BATCH} photos at once.", 413
            )
        self.parts.append(_Part())

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        self.parts[-1].headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data.write(memoryview(data)[start:end])

    def end(self) -> None:
        self.ended = True
