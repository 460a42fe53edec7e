"""Admission control: how much a process accepts at once. Beyond that a client is told to come back later.

Uploads are held in memory, so their bytes are counted together; predictions wait for a processor, so the photos that
wait are counted too. A client that drips its upload holds only the bytes it has sent: it can't keep others out.
All of it runs on the event loop, one step at a time, so that plain numbers do.
"""

import contextlib
from collections.abc import Callable, Iterator

# Uploads of the greatest size that may be held together: 288 MB with the default limit.
UPLOADS_OF_FULL_SIZE = 64
# At some 10 ms of a processor each, the last in the queue waits a few seconds.
MAX_PHOTOS_WAITING = 256
RETRY_AFTER_S = 2


class OverloadError(Exception):
    """The process is overloaded; the request was not processed and may be sent again.

    `reason` is `photos_waiting` or `bytes_held`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("Too many photos are waiting. Send this one again in a few seconds.")
        self.reason = reason


class Admission:
    """Counts the bytes that a process holds and the photos that wait, and refuses more than the limits.

    `watch` is told the bytes and the photos whenever they have changed.
    """

    watch: Callable[[int, int], None] | None = None

    def __init__(self, max_upload_bytes: int) -> None:
        self.max_bytes = UPLOADS_OF_FULL_SIZE * max_upload_bytes
        self.bytes = 0
        self.photos = 0

    @contextlib.contextmanager
    def upload(self) -> Iterator["Upload"]:
        """Counts the bytes of one request until the block ends."""
        upload = Upload(self)
        try:
            yield upload
        finally:
            self.bytes -= upload.bytes
            self.changed()

    @contextlib.contextmanager
    def work(self, photos: int) -> Iterator[None]:
        """Counts photos that wait for a processor or have it.

        Raises:
            OverloadError: too many wait already.
        """
        if self.photos + photos > MAX_PHOTOS_WAITING:
            raise OverloadError("photos_waiting")
        self.photos += photos
        self.changed()
        try:
            yield
        finally:
            self.photos -= photos
            self.changed()

    def changed(self) -> None:
        """Tells `watch`, if there is one."""
        if self.watch:
            self.watch(self.bytes, self.photos)


class Upload:
    """The bytes that one request has sent so far."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.bytes = 0

    def add(self, count: int) -> None:
        """Counts further bytes.

        Raises:
            OverloadError: all requests together hold too many.
        """
        if self._admission.bytes + count > self._admission.max_bytes:
            raise OverloadError("bytes_held")
        self._admission.bytes += count
        self.bytes += count
        self._admission.changed()
