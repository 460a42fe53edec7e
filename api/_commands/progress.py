"""How far many photos are, on standard error: one line that changes on a terminal, a line now and then elsewhere."""

import sys
import time
from collections import deque
from typing import TextIO

_TERMINAL_S, _LOG_S = 0.2, 30.0
# The rate is that of the last minute: what a resumed job did yesterday says nothing about today.
_WINDOW_S = 60.0


class Progress:
    """Counts photos; quiet where nobody wants to see them."""

    def __init__(self, weight: int, quiet: bool = False, stream: TextIO | None = None) -> None:
        """
        Args:
            weight: what is left to do, as the plan counts it (a shard counts 1, however many photos it holds).
        """
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._quiet = quiet
        self._weight = weight
        self._done = 0
        self.photos = 0
        self.errors = 0
        self._start = self._shown = time.monotonic()
        self._history: deque[tuple[float, int, int]] = deque([(self._start, 0, 0)])

    def add(self, photos: int, errors: int, weight: int) -> None:
        """Counts finished photos, and shows it when it is time."""
        self.photos += photos
        self.errors += errors
        self._done += weight
        now = time.monotonic()
        if now - self._history[-1][0] > _TERMINAL_S:
            self._history.append((now, self.photos, self._done))
        while now - self._history[0][0] > _WINDOW_S and len(self._history) > 2:
            self._history.popleft()
        self.show(now)

    def show(self, now: float | None = None) -> None:
        """Shows the line when it is time."""
        now = now or time.monotonic()
        if self._quiet or now - self._shown < (_TERMINAL_S if self._terminal else _LOG_S):
            return
        self._shown = now
        self._write(self.line(now), end="\r" if self._terminal else "\n")

    def line(self, now: float | None = None) -> str:
        """ "12,345 photos, 61 %, 212 photos/s, 1 h 5 min left, 3 errors"."""
        start, photos, done = self._history[0]
        seconds = max((now or time.monotonic()) - start, 1e-6)
        parts = [f"{self.photos:,} photos"]
        if self._weight:
            parts.append(f"{min(100, 100 * self._done // self._weight)} %")
        parts.append(f"{(self.photos - photos) / seconds:.0f} photos/s")
        if (speed := (self._done - done) / seconds) > 0:
            parts.append(f"{duration((self._weight - self._done) / speed)} left")
        if self.errors:
            parts.append(f"{self.errors:,} error{'s' if self.errors > 1 else ''}")
        return ", ".join(parts)

    def say(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._write(text)

    def clear(self) -> None:
        """Takes the line off a terminal."""
        if self._terminal and not self._quiet:
            self._write("", end="\r")

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    def _write(self, text: str, end: str = "\n") -> None:
        clear = "\x1b[K" if self._terminal else ""
        print(f"{text}{clear}", end=end, file=self._stream, flush=True)


def duration(seconds: float) -> str:
    """ "42 s", "12 min", "3 h 20 min", "2 days 4 h"."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{max(0, round(seconds))} s"
    if minutes < 100:
        return f"{minutes} min"
    hours = round(minutes / 60)
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} days {hours % 24} h"
