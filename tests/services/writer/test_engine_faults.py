"""Every way in which an engine can fail: the client gets a sentence, and the place at the engine is free again."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import httpx
import pytest

from tests.services.writer.conftest import (
    NOTES,
    Behaviour,
    Call,
    delta,
    finish,
    in_loop,
    names_of,
    service,
    text_of,
    write,
)


def answers(status: int, message: object, **headers: str) -> Behaviour:
    async def behaviour(call: Call) -> None:
        await call.respond(status, json.dumps({"error": message}).encode(), **headers)

    return behaviour


def streams(*data: bytes, kind: str = "text/event-stream") -> Behaviour:
    """Sends these bytes as an event stream, and breaks off."""

    async def behaviour(call: Call) -> None:
        await call.begin(kind)
        for piece in data:
            await call.send(piece)

    return behaviour


async def hangs_up(call: Call) -> None:
    """Takes the request and closes the connection."""


async def line_without_end(call: Call) -> None:
    await call.begin()
    await call.send(b"data: ")
    while not call.left.is_set():
        await call.send(b"x" * 65_536)
        await asyncio.sleep(0)


OVERFLOW = {
    "code": 400,
    "type": "exceed_context_size_error",
    "message": "request (3031 tokens) exceeds the available context size (2048 tokens), try increasing it",
}
REFUSALS = {
    "wrong model": (
        answers(404, {"message": 'model "test-model" not found, try pulling it first'}),
        503,
        "ollama pull test-model",
    ),
    "wrong address": (answers(404, "page not found"), 502, "Check LLM_URL"),
    "wrong key": (answers(401, {"message": "Incorrect API key provided: sk-12345"}), 503, "LLM_API_KEY"),
    "context overflow": (answers(400, OVERFLOW), 413, "Shorten them"),
    "too much to do": (answers(429, {"message": "rate limit"}, retry_after="17"), 503, "17 seconds"),
    "still loading": (answers(503, {"message": "Loading model"}), 503, "loading its model"),
    "its own failure": (answers(500, {"message": "panic at /root/llama.cpp:12"}), 502, "Try again"),
    "moved": (answers(302, {}, location="http://127.0.0.1:9/"), 502, "error of its own"),
    "JSON instead of events": (answers(200, {"choices": []}), 502, "no stream of chat completions"),
    "a page instead of events": (
        streams(b"<html>Hello", kind="text/html"),
        502,
        "no stream of chat completions",
    ),
    "events that are no JSON": (streams(b"data: {oh no\n\n"), 502, "no stream of chat completions"),
    "events of other JSON": (streams(b"data: [1, 2]\n\n"), 502, "no stream of chat completions"),
    "bytes that are no text": (streams(b"\xff\xfe\x00\x01" * 5000), 502, "broke off"),
    "a line without an end": (line_without_end, 502, "no stream of chat completions"),
    "an error as an event": (
        streams(b'data: {"error": {"message": "out of memory"}}\n\n'),
        502,
        "error of its own",
    ),
    "nothing": (streams(), 502, "broke off"),
    "an end without a text": (streams(finish()), 502, "wrote nothing"),
    "a closed connection": (hangs_up, 503, "No engine answers"),
}


@pytest.mark.parametrize("name", REFUSALS)
@in_loop
async def test_what_an_engine_refuses_is_told_in_a_sentence_of_our_own(name: str) -> None:
    behaviour, status, words = REFUSALS[name]
    async with service(behaviour) as (client, engine):
        response = await client.post("/write", json={"task": "listing", "notes": NOTES})
        assert response.status_code == status
        assert words in response.json()["detail"]
        for private in ("sk-12345", "llama.cpp", "3031", "secret"):
            assert private not in response.text
        await is_free_again(client, engine)


async def is_free_again(client: httpx.AsyncClient, engine: object) -> None:
    """The next client is served at once: nobody holds the only place at the engine."""

    async def recovers(call: Call) -> None:
        await call.say("Here I am.")

    engine.behaviour = recovers  # type: ignore[attr-defined]
    assert names_of(await write(client)) == ["start", "delta", "done"]


def breaks_off(*data: bytes) -> Callable[[Call], Awaitable[None]]:
    return streams(delta("Meet "), delta("Bella"), *data)


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (b"", "broke off"),
        (b'data: {"choi', "no stream"),
        (b"data: [DONE]\n\n", "broke off"),
        (b'data: {"error": "out of memory"}\n\n', "error of its own"),
    ],
    ids=["killed", "killed within an event", "done without a reason", "an error"],
)
@in_loop
async def test_an_engine_that_dies_in_the_middle_is_the_last_event(last: bytes, words: str) -> None:
    async with service(breaks_off(last)) as (client, engine):
        events = await write(client)
        assert names_of(events) == ["start", "delta", "delta", "error"]
        assert text_of(events) == "Meet Bella"
        assert events[-1][1]["status"] == 502
        assert words in events[-1][1]["detail"]
        await is_free_again(client, engine)


@in_loop
async def test_an_engine_that_never_begins_is_given_up() -> None:
    async def sleeps(call: Call) -> None:
        await call.left.wait()

    async with service(sleeps, LLM_FIRST_TOKEN_SECONDS="1") as (client, engine):
        response = await client.post("/write", json={"task": "listing", "notes": NOTES})
        assert response.status_code == 503
        assert "too long" in response.json()["detail"]
        assert response.headers["retry-after"] == "60"
        await is_free_again(client, engine)


@in_loop
async def test_an_engine_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.writer.engine.STALL_S", 0.05)

    async def falls_silent(call: Call) -> None:
        await call.begin()
        await call.send(delta("Meet"))
        await call.left.wait()

    async with service(falls_silent) as (client, engine):
        events = await write(client)
        assert names_of(events) == ["start", "delta", "error"]
        assert "too long" in events[-1][1]["detail"]
        await is_free_again(client, engine)


@in_loop
async def test_an_engine_that_was_started_anew_is_asked_once_more() -> None:
    async def hangs_up_once(call: Call) -> None:
        if len(engine.calls) > 1:
            await call.say("Here I am.")

    async with service(hangs_up_once) as (client, engine):
        assert text_of(await write(client)) == "Here I am."
    assert len(engine.calls) == 2


@in_loop
async def test_chunks_in_other_shapes_are_understood() -> None:
    role = b'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\r\n\r\n'
    thought = b'data:{"choices":[{"delta":{"reasoning":"hm"}}]}\n\n'
    comment = b": keep-alive\n\nevent: message\nid: 3\n\n"
    split = delta("Grüße, ميلو 🐱")
    async with service(streams(role, thought, comment, split[:60], split[60:], finish("length"))) as (
        client,
        _,
    ):
        events = await write(client)
    assert text_of(events) == "Grüße, ميلو 🐱"
    assert events[-1][1]["finish_reason"] == "length"
    assert events[-1][1]["usage"] == {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}


@pytest.mark.parametrize(
    "pieces",
    [
        ["<th", "ink>a cat, so", "</thi", "nk>\n\n", "Meet ", "Bella"],
        ["\n<think></think>Meet Bella"],
        ["  Meet ", "Bella"],
    ],
    ids=["in pieces", "at once", "none"],
)
@in_loop
async def test_what_a_model_thinks_aloud_is_no_part_of_the_draft(pieces: list[str]) -> None:
    async with service(streams(*map(delta, pieces), finish())) as (client, _):
        assert text_of(await write(client)) == "Meet Bella"


@in_loop
async def test_a_text_that_only_begins_like_a_thought_is_kept() -> None:
    async with service(streams(delta("<thin ice>"), delta("<"), finish())) as (client, _):
        assert text_of(await write(client)) == "<thin ice><"
    async with service(streams(delta("<th"), finish())) as (client, _):
        assert text_of(await write(client)) == "<th"


@in_loop
async def test_half_a_character_of_an_engine_reaches_nobody() -> None:
    async with service(streams(b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n', finish())) as (
        client,
        _,
    ):
        assert text_of(await write(client)) == "a?"


def lists(status: int, content: object) -> Behaviour:
    """Answers requests for the list of models."""

    async def behaviour(call: Call) -> None:
        await call.respond(status, json.dumps(content).encode())

    return behaviour


MODELS = {
    "the model": (lists(200, {"data": [{"id": "other"}, {"id": "test-model"}]}), 200, "ready"),
    "the newest of the model": (lists(200, {"data": [{"id": "test-model:latest"}]}), 200, "ready"),
    "another model": (lists(200, {"data": [{"id": "other"}]}), 503, "model missing"),
    "no model": (lists(200, {"data": []}), 503, "model missing"),
    "llama.cpp's only model": (
        lists(200, {"data": [{"id": "/m.gguf", "owned_by": "llamacpp"}]}),
        200,
        "ready",
    ),
    "no list at all": (lists(404, {}), 200, "ready"),
    "a list of something else": (lists(200, [1]), 200, "ready"),
    "a wrong key": (lists(401, {}), 503, "absent"),
    "its own failure": (lists(500, {}), 503, "absent"),
}


@pytest.mark.parametrize("name", MODELS)
@in_loop
async def test_health_says_whether_the_engine_has_the_model(name: str) -> None:
    behaviour, status, state = MODELS[name]
    async with service(behaviour) as (client, engine):
        engine.models = behaviour
        response = await client.get("/health")
    assert (response.status_code, response.json()["engine"]) == (status, state)
    assert ("detail" in response.json()) == (status != 200)


@in_loop
async def test_health_checks_do_not_become_the_engines_main_work() -> None:
    asked: list[Call] = []

    async def counts(call: Call) -> None:
        asked.append(call)
        await call.respond(200, b'{"data": [{"id": "test-model"}]}')

    async with service(counts) as (client, engine):
        engine.models = counts
        for _ in range(5):
            assert (await client.get("/health")).json() == {
                "status": "healthy",
                "engine": "ready",
                "model": "test-model",
                "active": 0,
                "waiting": 0,
            }
    assert len(asked) == 1
    assert engine.calls == []
