"""POST /write: what a client sees, and what the engine is asked."""

import asyncio
import json

import pytest

from tests.services.writer.conftest import (
    CHAT,
    NOTES,
    Call,
    delta,
    events_of,
    finish,
    in_loop,
    names_of,
    running_writer,
    service,
    text_of,
    write,
    writing,
)


async def greets(call: Call) -> None:
    await call.say("Meet ", "Bella", ".")


@in_loop
async def test_a_text_comes_in_pieces_and_ends_with_its_token_counts() -> None:
    async with service(greets) as (client, _):
        events = await write(client)
    assert events == [
        (
            "start",
            {
                "model": "test-model",
                "prompt": "listing-1",
                "draft": True,
                "notice": "Draft written by a machine. Check every fact before you use it.",
            },
        ),
        ("delta", {"text": "Meet "}),
        ("delta", {"text": "Bella"}),
        ("delta", {"text": "."}),
        (
            "done",
            {
                "finish_reason": "stop",
                "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
                "draft": True,
            },
        ),
    ]


@in_loop
async def test_a_piece_reaches_the_client_while_the_engine_is_still_writing() -> None:
    read = asyncio.Event()

    async def waits_to_be_read(call: Call) -> None:
        await call.begin()
        await call.send(delta("first"))
        await read.wait()
        await call.send(finish())

    async with service(waits_to_be_read) as (client, _), writing(client) as events:
        assert (await anext(events))[0] == "start"
        assert await anext(events) == ("delta", {"text": "first"})
        read.set()
        assert (await anext(events))[0] == "done"


@in_loop
async def test_the_stream_is_kept_by_nobody_on_the_way() -> None:
    async with service(greets) as (client, _):
        response = await client.post(
            "/write", json={"task": "email", "notes": NOTES}, headers={"X-Request-ID": "abc-1"}
        )
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-request-id"] == "abc-1"


@pytest.mark.parametrize("task", ["listing", "email", "format", "restyle"])
@in_loop
async def test_the_engine_is_asked_in_the_words_that_every_engine_knows(task: str) -> None:
    async with service(greets, LLM_API_KEY="secret-key", LLM_SEED="5") as (client, engine):
        await write(client, task=task)
        call = engine.calls[0]
    assert call.path == CHAT
    assert call.headers["authorization"] == "Bearer secret-key"
    assert call.body.keys() == {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "temperature",
        "seed",
    }
    assert call.body["model"] == "test-model"
    assert call.body["stream"] is True
    assert call.body["stream_options"] == {"include_usage": True}
    assert call.body["seed"] == 5
    assert [message["role"] for message in call.body["messages"]] == ["system", "user"]
    assert call.body["messages"][1]["content"].count(NOTES) == 1


@in_loop
async def test_what_the_photo_showed_is_told_to_the_engine() -> None:
    answer = {
        "prediction": "cat",
        "confidence": 0.987,
        "recognized": True,
        "model_version": "1.0.0",
        "timings": {},
    }
    async with service(greets) as (client, engine):
        await write(client, answer=answer)
        await write(client, answer={**answer, "recognized": False})
        known, unknown = (call.body["messages"][1]["content"] for call in engine.calls)
    assert "the photo shows: cat (99% sure)" in known
    assert "cat" not in unknown.replace(NOTES, "")
    assert "did not recognize" in unknown


@in_loop
async def test_an_engine_that_goes_on_for_ever_is_stopped_at_the_limit() -> None:
    async def endless(call: Call) -> None:
        await call.begin()
        while not call.left.is_set():
            await call.send(delta("and on "))
            await asyncio.sleep(0)

    async with service(endless) as (client, engine):
        events = await write(client, length="short")
        # 180 tokens are asked for; one of them is eight characters at most.
        assert len(text_of(events)) == 180 * 8
        assert engine.calls[0].body["max_tokens"] == 180
        assert events[-1][0] == "done"
        assert events[-1][1]["finish_reason"] == "length"
        await engine.calls[0].left.wait()


@in_loop
async def test_a_text_that_takes_too_long_is_cut_off_and_says_so() -> None:
    async def falls_asleep(call: Call) -> None:
        await call.begin()
        await call.send(delta("Once"))
        await call.left.wait()

    async with service(falls_asleep, WRITER_MAX_SECONDS="1") as (client, engine):
        events = await write(client)
        assert text_of(events) == "Once"
        assert events[-1][1]["finish_reason"] == "timeout"
        await engine.calls[0].left.wait()


@in_loop
async def test_a_client_that_leaves_ends_the_generation_within_200_ms() -> None:
    async def falls_asleep(call: Call) -> None:
        await call.begin()
        await call.send(delta("Once"))
        await call.left.wait()

    async with service(falls_asleep) as (client, engine):
        async with writing(client) as events:
            assert (await anext(events))[0] == "start"
            await anext(events)
        left = asyncio.get_running_loop().time()
        await engine.calls[0].left.wait()
        assert engine.calls[0].left_at - left < 0.2


@in_loop
async def test_a_client_that_leaves_before_the_first_token_ends_the_generation_too() -> None:
    async def reads_long_notes(call: Call) -> None:
        await call.left.wait()

    async with service(reads_long_notes) as (client, engine):
        asking = asyncio.create_task(write(client))
        await engine.wait_for_calls(1)
        left = asyncio.get_running_loop().time()
        asking.cancel()
        await engine.calls[0].left.wait()
        assert engine.calls[0].left_at - left < 0.2


@in_loop
async def test_a_client_that_waits_sees_that_something_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.writer.stream.PATIENCE_S", 0.02)
    monkeypatch.setattr("services.writer.stream.PULSE_S", 0.02)
    seen = asyncio.Event()

    async def loads_its_model(call: Call) -> None:
        await seen.wait()
        await call.respond(500)

    async with (
        service(loads_its_model) as (client, _),
        client.stream("POST", "/write", json={"task": "listing", "notes": NOTES}) as response,
    ):
        lines = response.aiter_lines()
        assert [await anext(lines) for _ in range(4)] == [": waiting", "", ": waiting", ""]
        seen.set()
        # The status was sent long ago: what is wrong comes as an event.
        rest = [line async for line in lines if line.startswith(("event", "data"))]
        assert rest[0] == "event: error"
        assert json.loads(rest[1].removeprefix("data: "))["status"] == 502


@in_loop
async def test_waiting_clients_are_told_their_place_and_served_in_order() -> None:
    turns = [asyncio.Event() for _ in range(4)]

    async def when_allowed(call: Call) -> None:
        number = int(call.body["messages"][1]["content"].split("note ")[1][0])
        await turns[number].wait()
        await call.say(str(number))

    async with service(when_allowed) as (client, engine), asyncio.TaskGroup() as group:
        first = group.create_task(write(client, notes="note 0"))
        await engine.wait_for_calls(1)
        others = []
        for number in (1, 2, 3):
            response = await client.send(
                client.build_request("POST", "/write", json={"task": "email", "notes": f"note {number}"}),
                stream=True,
            )
            events = events_of(response)
            assert await anext(events) == ("queued", {"place": number, "waiting": number})
            others.append(events)
        for turn in turns:
            turn.set()
        assert text_of(await first) == "0"
        seen = [[event async for event in events] for events in others]
    assert [text_of(events) for events in seen] == ["1", "2", "3"]
    assert [data["place"] for name, data in seen[2] if name == "queued"] == [2, 1]
    assert [call.body["messages"][1]["content"].split("note ")[1][0] for call in engine.calls] == [
        "0",
        "1",
        "2",
        "3",
    ]


@in_loop
async def test_seventeen_clients_at_once_are_all_served_or_told_when_to_come_back() -> None:
    go = asyncio.Event()

    async def when_allowed(call: Call) -> None:
        await go.wait()
        await call.say("done")

    async with service(when_allowed, WRITER_QUEUE="12") as (client, engine):

        async def ask() -> int:
            response = await client.post("/write", json={"task": "listing", "notes": NOTES})
            if response.status_code == 200:
                assert "event: done" in response.text
            else:
                assert 1 <= int(response.headers["retry-after"]) <= 600
                assert "Try again in" in response.json()["detail"]
            return response.status_code

        asking = [asyncio.create_task(ask()) for _ in range(17)]
        refused, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        while len(refused) < 4:
            refused, _ = await asyncio.wait(asking, timeout=0.01)
        go.set()
        statuses = sorted(await asyncio.gather(*asking))
    assert statuses == [200] * 13 + [503] * 4
    assert len(engine.calls) == 13


@in_loop
async def test_a_waiting_client_that_leaves_gives_its_place_up() -> None:
    go = asyncio.Event()

    async def when_allowed(call: Call) -> None:
        await go.wait()
        await call.say("done")

    async with service(when_allowed, WRITER_QUEUE="2") as (client, engine):
        first = asyncio.create_task(write(client))
        await engine.wait_for_calls(1)
        impatient = await client.send(
            client.build_request("POST", "/write", json={"task": "listing", "notes": NOTES}), stream=True
        )
        assert await anext(events_of(impatient)) == ("queued", {"place": 1, "waiting": 1})
        async with writing(client) as patient:
            assert await anext(patient) == ("queued", {"place": 2, "waiting": 2})
            await impatient.aclose()
            assert await anext(patient) == ("queued", {"place": 1, "waiting": 1})
            go.set()
            assert names_of([event async for event in patient])[-1] == "done"
        await first
    assert len(engine.calls) == 2


@in_loop
async def test_two_generations_run_at_once_where_the_engine_can() -> None:
    async def together(call: Call) -> None:
        await engine.wait_for_calls(2)
        await call.say("done")

    async with service(together, LLM_PARALLEL="2") as (client, engine):
        both = await asyncio.gather(write(client), write(client))
    assert [names_of(events)[-1] for events in both] == ["done", "done"]


@in_loop
async def test_the_service_without_an_engine_says_how_to_get_one() -> None:
    async with running_writer(LLM_URL="http://127.0.0.1:9", LLM_MODEL="gemma3:1b") as client:
        response = await client.post("/write", json={"task": "listing", "notes": NOTES})
        health = await client.get("/health")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "30"
    assert "ollama pull gemma3:1b" in response.json()["detail"]
    assert health.status_code == 503
    assert health.json()["status"] == "unhealthy"
    assert health.json()["engine"] == "absent"
