"""Lines of an event stream, with a limit: an engine that never ends one must not fill the memory."""

from collections.abc import AsyncIterator

# A chunk of a chat completion has a few hundred bytes.
MAX_LINE_BYTES = 262_144


class LineTooLongError(Exception):
    """A line is longer than any event."""


async def lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of these bytes, without their ends; what is no UTF-8 is replaced.

    Raises:
        LineTooLongError: a line has more than MAX_LINE_BYTES.
    """
    pending = b""
    async for piece in pieces:
        *whole, pending = (pending + piece).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r").decode("utf-8", "replace")
        if len(pending) > MAX_LINE_BYTES:
            raise LineTooLongError
    if pending:
        yield pending.rstrip(b"\r").decode("utf-8", "replace")
