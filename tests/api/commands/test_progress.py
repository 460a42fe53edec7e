"""How far many photos are, as it is shown: on a clock that the test moves."""

import io

import pytest

from api._commands import progress
from api._commands.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Stands in for the module `time`."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_it_shows_count_share_rate_time_left_and_errors(clock: Clock) -> None:
    shown = Progress(200, stream=Terminal())
    clock.now += 10
    shown.add(50, 2, 50)
    assert shown.line() == "50 photos, 25 %, 5 photos/s, 30 s left, 2 errors"
    clock.now += 10
    shown.add(2000, 2000, 50)
    assert shown.line() == "2,050 photos, 50 %, 102 photos/s, 20 s left, 2,002 errors"
    assert (shown.photos, shown.errors, shown.seconds) == (2050, 2002, 20)


def test_what_is_not_known_yet_is_not_shown(clock: Clock) -> None:
    assert Progress(7, stream=Terminal()).line() == "0 photos, 0 %, 0 photos/s"
    without_a_plan = Progress(0, stream=Terminal())
    clock.now += 1
    without_a_plan.add(3, 1, 0)
    assert without_a_plan.line() == "3 photos, 3 photos/s, 1 error"


def test_the_first_photos_have_a_rate_at_once(clock: Clock) -> None:
    shown = Progress(100, stream=Terminal())
    clock.now += 0.015625
    shown.add(1, 0, 1)
    assert shown.line() == "1 photos, 1 %, 64 photos/s, 2 s left"


def test_more_than_was_planned_is_not_more_than_all(clock: Clock) -> None:
    shown = Progress(2, stream=Terminal())
    clock.now += 1
    shown.add(3, 0, 3)
    assert shown.line() == "3 photos, 100 %, 3 photos/s, 0 s left"


def test_the_rate_is_that_of_the_last_minute(clock: Clock) -> None:
    shown = Progress(10_000, stream=Terminal())
    for _ in range(100):  # 10 a second, for 100 seconds
        clock.now += 1
        shown.add(10, 0, 10)
    for _ in range(60):  # then 2
        clock.now += 1
        shown.add(2, 0, 2)
    assert shown.line() == "1,120 photos, 11 %, 2 photos/s, 74 min left"


def test_a_pause_of_hours_leaves_a_rate(clock: Clock) -> None:
    shown = Progress(100, stream=Terminal())
    clock.now += 7200
    shown.add(1, 0, 1)
    clock.now += 1
    assert shown.line() == "1 photos, 1 %, 0 photos/s, 8 days 6 h left"
    shown.add(1, 0, 1)
    assert shown.line() == "2 photos, 2 %, 1 photos/s, 98 s left", (
        "what was before it does not count any more"
    )


def test_many_photos_at_once_are_remembered_as_one_step(clock: Clock) -> None:
    shown = Progress(10_000, stream=Terminal())
    for _ in range(1000):
        clock.now += 0.01
        shown.add(1, 0, 1)
    assert len(shown._history) <= 52, "one each 0.2 s, and the first"
    assert shown.line() == "1,000 photos, 10 %, 100 photos/s, 90 s left"


def test_a_log_gets_a_line_now_and_then_and_a_terminal_one_that_changes(clock: Clock) -> None:
    log, terminal = io.StringIO(), Terminal()
    shown = [Progress(100, stream=stream) for stream in (log, terminal)]
    for _ in range(61):
        clock.now += 1
        for each in shown:
            each.add(1, 0, 1)
    assert log.getvalue() == (
        "30 photos, 30 %, 1 photos/s, 70 s left\n60 photos, 60 %, 1 photos/s, 40 s left\n"
    )
    assert terminal.getvalue().count("\r") == 61
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().startswith("1 photos, 1 %, 1 photos/s, 99 s left\x1b[K\r2 photos")


def test_a_terminal_is_written_to_five_times_a_second_at_most(clock: Clock) -> None:
    stream = Terminal()
    shown = Progress(100, stream=stream)
    for _ in range(4):
        clock.now += 0.0625
        shown.add(1, 0, 1)
    assert stream.getvalue().count("\r") == 1
    clock.now += 0.25
    shown.show()
    assert stream.getvalue().count("\r") == 2


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_who_wants_it_quiet_sees_nothing(clock: Clock, stream: type[io.StringIO]) -> None:
    output = stream()
    shown = Progress(1, quiet=True, stream=output)
    clock.now += 100
    shown.add(1, 0, 1)
    shown.say("done")
    shown.clear()
    assert output.getvalue() == ""


def test_a_line_that_stays_takes_the_place_of_the_one_that_changes_and_that_one_goes_at_the_end() -> None:
    log, terminal = io.StringIO(), Terminal()
    for stream in (log, terminal):
        shown = Progress(1, stream=stream)
        shown.say("a line")
        shown.clear()
    assert log.getvalue() == "a line\n"
    assert terminal.getvalue() == "a line\x1b[K\n\x1b[K\r"


def test_it_goes_to_standard_error_unless_told_otherwise(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    Progress(1).say("a line")
    assert capsys.readouterr() == ("", "a line\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"), (0.6, "1 s"), (4.4, "4 s"), (99, "99 s"), (99.5, "2 min"), (100, "2 min"), (90 * 60, "90 min"),
        (99.4 * 60, "99 min"), (100 * 60, "1 h 40 min"), (3600 * 3 + 1200, "3 h 20 min"), (3600 * 47.4, "47 h 24 min"),
        (3600 * 48, "2 days 0 h"), (86400 * 2 + 3600 * 4, "2 days 4 h"),
    ],
)  # fmt: skip
def test_time_left_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text
