"""What the routes share: one object for each app."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from services.feedback import query
from services.feedback.database import Database
from services.feedback.labels import Labels
from services.feedback.privacy import Privacy, address_of, same
from services.feedback.settings import Settings
from services.feedback.writer import Entry, Stored, Writer

if TYPE_CHECKING:
    from services.feedback.metrics import Metrics

_ROOM_FRESH_S = 60.0


class State:
    """Database, writer, keys and labels of one app."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database_url)
        self.writer = Writer(self.database, settings.per_hour)
        self.metrics: Metrics | None = None
        self._observe()
        self.privacy = Privacy(settings.secret)
        self._labels = Labels(settings.labels, settings.api_url)
        self._photo_bytes, self._room_until = 0, 0.0

    def _observe(self) -> None:
        """Switches on what the settings ask for. What is off is not imported. Raises ModuleNotFoundError."""
        around: list[Callable[[Sequence[Any]], AbstractContextManager[None]]] = []
        if self.settings.metrics_port:
            from services.feedback.metrics import Metrics

            metrics = self.metrics = Metrics(lambda: self.writer.waiting)
            around.append(lambda contexts: metrics.batch(len(contexts)))
        if self.settings.tracing:
            from services.feedback import tracing

            tracing.trace_database(self.database.engine)
            around.append(tracing.batch)
        if around:

            @contextlib.contextmanager
            def observed(contexts: Sequence[Any]) -> Iterator[None]:
                with contextlib.ExitStack() as stack:
                    for enter in around:
                        stack.enter_context(enter(contexts))
                    yield

            self.writer.observed = observed

    @staticmethod
    def of(request: Request) -> State:
        """The state of the app that a request came to."""
        state: State = request.app.state.feedback
        return state

    def client(self, request: Request) -> str:
        """The keyed hash of who sent a request."""
        peer = request.client.host if request.client else "unknown"
        forwarded = request.headers.getlist("x-forwarded-for")
        return self.privacy.client(address_of(peer, forwarded, self.settings.trusted_hops))

    def is_owner(self, request: Request) -> bool:
        """Whether a request brings the owner's key, as X-API-Key or as a bearer token."""
        key = self.settings.admin_key
        sent = request.headers.get("x-api-key") or bearer(request)
        return key is not None and same(key, sent)

    def count(self, entry: Entry, stored: Stored) -> None:
        """Counts feedback that is stored for the first time."""
        if self.metrics and not stored.repeated:
            self.metrics.stored(agrees=bool(entry.row()["agrees"]), with_photo=stored.with_photo)

    async def label_problem(self, prediction: str, correction: str | None) -> str | None:
        """Why these cannot be labels, or None."""
        return await asyncio.to_thread(self._labels.problem, prediction, correction)

    async def room_for_photos(self, more: int) -> bool:
        """Whether so many bytes more may be stored. Raises UnavailableError."""
        if time.monotonic() >= self._room_until:
            self._photo_bytes = await asyncio.to_thread(query.photo_bytes, self.database)
            self._room_until = time.monotonic() + _ROOM_FRESH_S
        if self._photo_bytes + more > self.settings.max_photos_mb * 1_000_000:
            return False
        self._photo_bytes += more
        return True


def bearer(request: Request) -> str:
    """The bearer token of a request, or nothing."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""
