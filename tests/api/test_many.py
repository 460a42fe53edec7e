"""Many photos: the loop over threads that the command line and bulk/ share."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from api import _many
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


def test_without_a_number_four_results_for_each_thread_may_wait() -> None:
    for threads, given, most in ((1, None, 4), (3, None, 12), (3, 2, 2)):
        taken = 0

        def jobs() -> Iterator[int]:
            nonlocal taken
            for job in range(50):
                taken += 1
                yield job

        results = in_order(lambda job: job, jobs(), threads, given)
        next(results)
        assert taken == most
        assert list(results) == list(range(1, 50))


def test_who_stops_waits_only_for_what_has_begun() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def work(job: int) -> None:
        begun.append(job)
        if job:
            assert go_on.wait(10)

    results = in_order(work, range(100), threads=1, ahead=10)
    next(results)
    threading.Timer(0.05, go_on.set).start()
    results.close()  # type: ignore[attr-defined]  # a generator
    assert len(begun) <= 3


def test_on_windows_a_wait_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """There a wait without an end would ignore Ctrl-C: it is made of short ones."""
    monkeypatch.setattr(_many, "os", SimpleNamespace(name="nt"))
    waited: list[float | None] = []

    class Slow(Future[int]):
        def result(self, timeout: float | None = None) -> int:
            waited.append(timeout)
            if len(waited) < 3:
                raise TimeoutError
            return super().result(timeout)

    future = Slow()
    future.set_running_or_notify_cancel()
    monkeypatch.setattr(future, "done", lambda: False)
    threading.Timer(0, future.set_result, [7]).start()
    while future._state != "FINISHED":
        threading.Event().wait(0.001)
    assert _many._result(future) == 7
    assert waited == [0.2] * 3
    failed: Future[int] = Future()
    failed.set_exception(TimeoutError("its own"))
    with pytest.raises(TimeoutError, match="its own"):
        _many._result(failed)


class Classifier:
    """Answers with what it was asked."""

    model = SimpleNamespace(input_size=8)

    def predict(self, pixels: Any, *, explain: bool = False) -> list[Any]:
        assert pixels.shape == (1, 8, 8, 3)
        return [("asked", explain)]


def ask(data: bytes, most: int = 1_000_000, **more: bool) -> Any:
    return _many.outcome(Classifier(), data, most, **more)  # type: ignore[arg-type]


def test_the_outcome_of_a_photo_is_its_answer_or_the_kind_of_its_error(cat_jpeg: bytes) -> None:
    answered = ask(cat_jpeg)
    assert (answered.prediction, answered.photo.width, answered.error, answered.kind) == (
        ("asked", False),
        451,
        "",
        "",
    )
    assert ask(cat_jpeg, explain=True).prediction == ("asked", True)
    for data, most, kind, says in (
        (b"", 10**6, "empty", "The file is empty"),
        (cat_jpeg, 1_000, "too large", "451 x 300"),
        (cat_jpeg[:2_000], 10**6, "damaged", "damaged or cut off"),
        (b"no photo", 10**6, "no image", "This is no image"),
    ):
        failed = ask(data, most)
        assert (failed.prediction, failed.photo, failed.kind) == (None, None, kind)
        assert says in failed.error


def test_the_outcome_of_a_file_that_cannot_be_read_says_why(tmp_path: Path, cat_jpeg: bytes) -> None:
    def of(path: Any) -> Any:
        return _many.file_outcome(Classifier(), path, 1_000_000)  # type: ignore[arg-type]

    (tmp_path / "a.jpg").write_bytes(cat_jpeg)
    assert of(tmp_path / "a.jpg").prediction == ("asked", False)
    missing = of(tmp_path / "b.jpg")
    assert (missing.kind, missing.error) == ("missing", "It cannot be read: No such file or directory.")
    assert (of(tmp_path).kind, of(tmp_path).error) == ("unreadable", "It cannot be read: Is a directory.")

    def too_much() -> bytes:
        raise MemoryError

    large = of(SimpleNamespace(read_bytes=too_much))
    assert (large.kind, large.error) == ("too large", "It is too large to be read.")
