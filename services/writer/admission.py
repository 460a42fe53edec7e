"""Admission control: as many generations as the engine can run; the others wait in order and know their place."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic

from services.writer.errors import WriterError

# Tells a waiting client its place, 1 for the next, and how many wait.
Told = Callable[[int, int], Awaitable[None]]

_MAX_RETRY_S = 600
# What a text takes, until some have shown it; later ones count a fifth.
_FIRST_GUESS_S = 20.0
_WEIGHT = 0.2


class _Ticket:
    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.called = False


class Admission:
    """Lets `parallel` holders in at once and `capacity` wait, first come, first served."""

    def __init__(self, parallel: int, capacity: int) -> None:
        self._parallel = parallel
        self._capacity = capacity
        self._waiting: deque[_Ticket] = deque()
        self._seconds = _FIRST_GUESS_S
        self.active = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def retry_after(self) -> int:
        """Seconds until a new client would probably find a place."""
        ahead = self.active + self.waiting
        return min(max(1, math.ceil(self._seconds * ahead / self._parallel / 2)), _MAX_RETRY_S)

    @asynccontextmanager
    async def turn(self, told: Told) -> AsyncIterator[None]:
        """Waits for a turn and holds it for the block; `told` hears the place at first and whenever it changes.

        Raises:
            WriterError: 503, all places are taken.
        """
        if self.active < self._parallel:
            self.active += 1
        elif self.waiting >= self._capacity:
            after = self.retry_after()
            raise WriterError(
                503,
                f"{self.waiting} others are waiting, and there is no place left. Try again in {after} seconds.",
                after,
            )
        else:
            await self._wait(told)
        began = monotonic()
        try:
            yield
            self._seconds += _WEIGHT * (monotonic() - began - self._seconds)
        finally:
            self._call_next()

    async def _wait(self, told: Told) -> None:
        ticket = _Ticket()
        self._waiting.append(ticket)
        try:
            known = 0
            while not ticket.called:
                place = self._waiting.index(ticket) + 1
                if place != known:
                    known = place
                    await told(place, self.waiting)
                else:
                    await ticket.changed.wait()
                    ticket.changed.clear()
        except BaseException:
            # Gone while waiting, or at the very moment of being called: the turn is somebody else's then.
            if ticket.called:
                self._call_next()
            else:
                self._waiting.remove(ticket)
                self._tell_all()
            raise

    def _call_next(self) -> None:
        if self._waiting:
            ticket = self._waiting.popleft()
            ticket.called = True
            ticket.changed.set()
            self._tell_all()
        else:
            self.active -= 1

    def _tell_all(self) -> None:
        for ticket in self._waiting:
            ticket.changed.set()
