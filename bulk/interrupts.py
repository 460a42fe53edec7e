"""Ctrl-C, and a platform's SIGTERM, between two writes and never in one."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """While entered, Ctrl-C and SIGTERM raise KeyboardInterrupt, but not before a `deferred` block has ended."""

    def __init__(self) -> None:
        self._deferring = False
        self._pending = False
        self._former: dict[signal.Signals, object] = {}
        self.signal = signal.SIGINT

    def __enter__(self) -> "Interrupts":
        self.install()
        return self

    def install(self) -> None:
        """Takes the signals over, or back from a library that did."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # A shell without job control starts what runs in the background with Ctrl-C ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    former = signal.signal(number, self._interrupted)
                    self._former.setdefault(number, former)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() gave before

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """An interrupt that comes in this block takes effect when the block has ended."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        if self._deferring:
            self._pending = True
        else:
            raise KeyboardInterrupt
