"""Many photos: the loop over threads that the command line and bulk/ share, and the line that tells how far it is."""

import io
import threading
from collections.abc import Iterator

import pytest

from api._commands.progress import Progress, duration
from api._many import in_order


def test_results_come_in_the_order_of_the_jobs_whichever_is_done_first() -> None:
    second_is_done = threading.Event()

    def work(job: int) -> int:
        if job == 0:
            assert second_is_done.wait(10)
        if job == 1:
            second_is_done.set()
        return job * 10

    assert list(in_order(work, range(5), threads=2)) == [0, 10, 20, 30, 40]


def test_jobs_are_taken_as_results_are() -> None:
    taken = 0

    def jobs() -> Iterator[int]:
        nonlocal taken
        for job in range(1000):
            taken += 1
            yield job

    results = in_order(lambda job: job, jobs(), threads=2)
    assert next(results) == 0
    assert taken <= 8
    results.close()  # type: ignore[attr-defined]  # a generator
    assert taken <= 8


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    def work(job: int) -> int:
        return 1 // job

    with pytest.raises(ZeroDivisionError):
        list(in_order(work, [1, 0, 1], threads=2))


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_shows_count_share_rate_and_time_left() -> None:
    progress = Progress(200, stream=_Terminal())
    progress.add(50, 2, 50)
    line = progress.line(progress._start + 10)
    assert line == "50 photos, 25 %, 5 photos/s, 30 s left, 2 errors"


def test_a_log_gets_a_line_now_and_then_and_a_terminal_one_that_changes() -> None:
    log, terminal = io.StringIO(), _Terminal()
    for stream in (log, terminal):
        progress = Progress(100, stream=stream)
        for seconds in range(61):
            progress.photos = seconds
            progress.show(progress._start + seconds + 0.5)
    assert log.getvalue().count("\n") == 2
    assert terminal.getvalue().count("\r") == 61
    assert "\n" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.4, "4 s"),
        (99, "99 s"),
        (100, "2 min"),
        (3600 * 3 + 1200, "3 h 20 min"),
        (86400 * 2 + 3600 * 4, "2 days 4 h"),
    ],
)
def test_time_left_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text
