"""The writer on a real server, an engine of the tests' own that does what a test tells it to, and a real one."""

import asyncio
import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from services.writer import settings as writer_settings
from services.writer.app import create_app
from tests.conftest import ROOT, free_port, missing

NOTES = "Bella, 3 years, spayed, 4.2 kg, shy at first, loves windows"
CHAT = "/v1/chat/completions"
# The writer's own part of everything that is awaited here; an engine's patience is set by the test.
PATIENCE_S = 20


def in_loop(scenario: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an async test, with a limit that turns what waits for ever into a failure."""

    @functools.wraps(scenario)
    def test(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(scenario(*args, **kwargs), PATIENCE_S))

    return test


def delta(text: str) -> bytes:
    """A chunk of a chat completion, as OpenAI, Ollama and llama.cpp write it."""
    chunk = {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


def finish(reason: str = "stop", **usage: int) -> bytes:
    """The last chunks of one, with the counts of tokens if there are any."""
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    counts = {"choices": [], "usage": usage}
    chunks = [end, counts] if usage else [end]
    return b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks) + b"data: [DONE]\n\n"


@dataclass
class Call:
    """One request to the engine; the behaviour of a test answers it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    _writer: asyncio.StreamWriter
    # Set when the service closes the connection.
    left: asyncio.Event = field(default_factory=asyncio.Event)
    left_at: float = 0.0

    async def respond(self, status: int, body: bytes = b"", **headers: str) -> None:
        names = {
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in names.items())]
        self._writer.write("\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body)
        await self._writer.drain()

    async def begin(self, kind: str = "text/event-stream") -> None:
        # Without a length: the stream ends with the connection, and lasts until the engine closes it.
        self._writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n".encode())
        await self._writer.drain()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def say(self, *texts: str) -> None:
        """A whole answer, token by token."""
        await self.begin()
        for text in texts:
            await self.send(delta(text))
        await self.send(finish(prompt_tokens=7, completion_tokens=len(texts), total_tokens=7 + len(texts)))


Behaviour = Callable[[Call], Awaitable[None]]


async def _lists_the_model(call: Call) -> None:
    await call.respond(200, b'{"data": [{"id": "test-model"}]}')


class FakeEngine:
    """An HTTP server that hands each request to a behaviour and closes the connection after it."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.models: Behaviour = _lists_the_model
        self.address = ""
        self.calls: list[Call] = []
        self.called = asyncio.Condition()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
            content = await reader.readexactly(int(headers.get("content-length", 0)))
            call = Call(head[0].split()[1], headers, json.loads(content) if content else {}, writer)
            watching = asyncio.create_task(self._watch(reader, call))
            if call.path.endswith("/models"):
                await self.models(call)
            else:
                async with self.called:
                    self.calls.append(call)
                    self.called.notify_all()
                await self.behaviour(call)
            watching.cancel()
        writer.close()

    async def _watch(self, reader: asyncio.StreamReader, call: Call) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(1024):
                pass
        call.left_at = asyncio.get_running_loop().time()
        call.left.set()

    async def wait_for_calls(self, count: int) -> None:
        async with self.called:
            await self.called.wait_for(lambda: len(self.calls) >= count)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # Ctrl-C belongs to pytest

    async def main_loop(self) -> None:
        """Ends when told, and not up to a tenth of a second later."""
        self.stop = asyncio.Event()
        await self.stop.wait()


@contextlib.asynccontextmanager
async def running_writer(**environment: str) -> AsyncIterator[httpx.AsyncClient]:
    """The service with these settings on a real server in this loop, and a client of it."""
    app = create_app(writer_settings.load(environment))
    listener = socket.create_server(("127.0.0.1", 0))
    server = _Server(
        uvicorn.Config(app, log_config=None, access_log=False, loop="asyncio", timeout_graceful_shutdown=1)
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        server.stop.set()
        await serving


@contextlib.asynccontextmanager
async def service(
    behaviour: Behaviour, **environment: str
) -> AsyncIterator[tuple[httpx.AsyncClient, FakeEngine]]:
    """A client of the service, before an engine that behaves like this."""
    engine = FakeEngine(behaviour)
    listening = await asyncio.start_server(engine.handle, "127.0.0.1", 0)
    engine.address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with (
        listening,
        running_writer(LLM_URL=engine.address, LLM_MODEL="test-model", **environment) as client,
    ):
        yield client, engine
        for call in engine.calls:
            call._writer.close()


Event = tuple[str, dict[str, Any]]


async def events_of(response: httpx.Response) -> AsyncIterator[Event]:
    """The events of a stream, as a browser's reader would find them; comments are left out."""
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


@contextlib.asynccontextmanager
async def writing(client: httpx.AsyncClient, **fields: Any) -> AsyncIterator[AsyncIterator[Event]]:
    """Asks for a text and gives its events; leaving the block closes the connection."""
    request = {"task": "listing", "notes": NOTES, **fields}
    async with client.stream("POST", "/write", json=request) as response:
        assert response.status_code == 200, await response.aread()
        yield events_of(response)


async def write(client: httpx.AsyncClient, **fields: Any) -> list[Event]:
    """All events of a text."""
    async with writing(client, **fields) as events:
        return [event async for event in events]


def text_of(events: list[Event]) -> str:
    return "".join(data["text"] for name, data in events if name == "delta")


def names_of(events: list[Event]) -> list[str]:
    return [name for name, _ in events]


@dataclass
class RealEngine:
    """llama.cpp's server with SmolLM2-135M, in a process of its own."""

    url: str
    process: subprocess.Popen[str]

    def generating(self, client: httpx.Client) -> bool:
        slots = client.get(f"{self.url}/slots", timeout=10).json()
        return any(slot["is_processing"] for slot in slots)


@contextlib.contextmanager
def running_engine(log: Path, port: int | None = None) -> Iterator[RealEngine]:
    """Starts the real engine; .ci/writer installs its packages, WRITER_ENGINE_PYTHON may name another Python."""
    python = os.environ.get("WRITER_ENGINE_PYTHON", str(ROOT / "build/writer/bin/python"))
    if not Path(python).exists():
        python = sys.executable
    found = subprocess.run([python, "-c", "import xllamacpp"], capture_output=True, check=False)
    if found.returncode:
        missing("xllamacpp is not installed: bash .ci/writer --install")
    port = port or free_port()
    command = [python, "tests/services/writer/engine.py", "--port", str(port), "--context", "2048"]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=output, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("http://"), log.read_text()[-2000:]
        yield RealEngine(line.strip(), process)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def real_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEngine]:
    with running_engine(tmp_path_factory.mktemp("engine") / "log") as engine:
        yield engine
