"""Admission control by itself: no turn is lost, whoever leaves and whenever."""

import asyncio
import contextlib
import random

import pytest

from services.writer.admission import Admission
from services.writer.errors import WriterError
from tests.services.writer.conftest import in_loop


async def nothing(place: int, waiting: int) -> None:
    """A client that does not care for its place."""


@in_loop
async def test_no_turn_is_lost_when_clients_leave_at_any_moment() -> None:
    admission = Admission(parallel=2, capacity=50)
    chance = random.Random(1)
    most = 0

    async def client() -> None:
        nonlocal most
        async with admission.turn(nothing):
            most = max(most, admission.active)
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)

    clients = [asyncio.create_task(client()) for _ in range(50)]
    for _ in range(400):
        await asyncio.sleep(0)
        chance.choice(clients).cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    assert most == 2
    assert (admission.active, admission.waiting) == (0, 0)
    async with admission.turn(nothing), admission.turn(nothing):
        assert admission.active == 2


@in_loop
async def test_a_client_that_leaves_at_the_moment_of_its_turn_hands_it_on() -> None:
    admission = Admission(parallel=1, capacity=5)
    served = []

    async def client(name: str) -> None:
        async with admission.turn(nothing):
            served.append(name)

    async with admission.turn(nothing):
        leaving, staying = (asyncio.create_task(client(name)) for name in ("leaving", "staying"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert admission.waiting == 2
    # Called just now, and gone before it could run.
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    await staying
    assert served == ["staying"]
    assert admission.active == 0


@in_loop
async def test_the_more_wait_the_later_to_come_back() -> None:
    admission = Admission(parallel=1, capacity=0)
    async with admission.turn(nothing):
        with pytest.raises(WriterError) as caught:
            async with admission.turn(nothing):
                raise AssertionError("there was no place")
        assert caught.value.status == 503
        assert caught.value.retry_after == 10
    # Quick texts are learned from.
    for _ in range(20):
        async with admission.turn(nothing):
            pass
    assert admission.retry_after() == 1


@in_loop
async def test_a_client_that_cannot_be_told_its_place_does_not_keep_it() -> None:
    admission = Admission(parallel=1, capacity=5)

    async def fails(place: int, waiting: int) -> None:
        raise OSError

    async with admission.turn(nothing):
        with pytest.raises(OSError):  # noqa: PT011 - just this one
            async with admission.turn(fails):
                raise AssertionError("it was never called")
        assert admission.waiting == 0
