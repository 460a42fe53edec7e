"""What the routes share: one object for each app."""

from __future__ import annotations

import asyncio
import time

from starlette.requests import Request

from services.feedback import query
from services.feedback.database import Database
from services.feedback.labels import Labels
from services.feedback.privacy import Privacy, address_of, same
from services.feedback.settings import Settings
from services.feedback.writer import Writer

_ROOM_FRESH_S = 60.0


class State:
    """Database, writer, keys and labels of one app."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database_url)
        self.writer = Writer(self.database, settings.per_hour)
        self.privacy = Privacy(settings.secret)
        self._labels = Labels(settings.labels, settings.api_url)
        self._photo_bytes, self._room_until = 0, 0.0

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
