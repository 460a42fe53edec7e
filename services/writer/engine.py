"""The engine: any server with the OpenAI-compatible `/chat/completions`, streaming.

Everything that an engine can do wrong ends here as a WriterError with a sentence. Nothing of it reaches a client as it
came but the text itself: messages of engines hold addresses, paths and parts of prompts.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import httpx

from services.writer.lines import LineTooLongError, lines
from services.writer.problems import Problems
from services.writer.prompts import Messages
from services.writer.settings import Settings
from services.writer.thoughts import Thoughts

CONNECT_S = 5.0
# Between two tokens of a text that has begun.
STALL_S = 60.0
HEALTH_S = 3.0
# No engine is asked for more at once, and an error's text is read for its kind only.
_MAX_ERROR_BYTES = 65_536
# A token is four characters of English, up to eight of long words elsewhere: beyond that the engine does not count.
_CHARACTERS_PER_TOKEN = 8


@dataclass
class Usage:
    """Tokens as the engine counted them, None where it does not."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


@dataclass
class Text:
    """What a generation has come to; complete once its pieces are all read."""

    finish_reason: str = ""
    characters: int = 0
    usage: Usage | None = None


class Engine:
    """A client of one engine, for the life of the process; close it with aclose()."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._problems = Problems(settings)
        near = settings.engine_is_near
        # Certificates take 5 MB and 20 ms, which plain http does not need: an empty context trusts nobody.
        https = settings.llm_url.startswith("https:")
        key = {"Authorization": f"Bearer {settings.llm_api_key}"} if settings.llm_api_key else {}
        self._client = httpx.AsyncClient(
            headers={**key, "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(STALL_S, connect=CONNECT_S, read=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=settings.llm_parallel + 1),
            trust_env=not near,
            verify=ssl.create_default_context() if https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def write(
        self, messages: Messages, text: Text, trace: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[AsyncIterator[str]]:
        """Starts a generation and gives its pieces; leaving the block, or being cancelled in it, ends it at the engine.

        `text` is filled in on the way; `trace` are headers by which the engine goes on with a trace.
        Raises WriterError from here and from the iterator.
        """
        # Engines elsewhere are somebody else's: no word to them of our traces.
        response = await self._open(messages, dict(trace) if self._settings.engine_is_near else {})
        try:
            await self._check(response)
            async with aclosing(self._pieces(response, messages.max_tokens, text)) as pieces:
                yield pieces
        finally:
            await response.aclose()

    async def _open(self, messages: Messages, trace: dict[str, str]) -> httpx.Response:
        body: dict[str, Any] = {
            "model": self._settings.llm_model,
            "messages": [
                {"role": "system", "content": messages.system},
                {"role": "user", "content": messages.user},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": messages.max_tokens,
            "temperature": messages.temperature,
        }
        if self._settings.llm_seed is not None:
            body["seed"] = self._settings.llm_seed
        url = f"{self._settings.llm_url}/chat/completions"
        request = self._client.build_request("POST", url, json=body, headers=trace)
        for attempt in (1, 2):
            try:
                async with asyncio.timeout(self._settings.first_token_s):
                    return await self._client.send(request, stream=True)
            except TimeoutError:
                raise self._problems.slow() from None
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                # An engine that was started anew has closed the connection that was kept open: once more, on a new one.
                if attempt == 2:
                    raise self._problems.absent() from error
            except httpx.TransportError as error:
                raise self._problems.absent() from error
        raise AssertionError("unreachable")

    async def _check(self, response: httpx.Response) -> None:
        if response.status_code != 200:
            raise self._problems.refusal(response, await _beginning(response))
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            raise self._problems.garbage()

    async def _pieces(self, response: httpx.Response, max_tokens: int, text: Text) -> AsyncGenerator[str]:
        limit = max_tokens * _CHARACTERS_PER_TOKEN
        patience = self._settings.first_token_s
        thoughts = Thoughts()
        events = lines(response.aiter_raw())
        while (line := await self._line(events, patience)) not in ("data: [DONE]", "data:[DONE]"):
            if not line.startswith("data:"):
                continue
            piece = thoughts.without(self._piece(line[5:], text))
            if piece:
                patience = STALL_S
                piece = piece[: limit - text.characters]
                text.characters += len(piece)
                yield piece
                if text.characters >= limit:
                    text.finish_reason = "length"
                    return
        if not text.finish_reason:
            raise self._problems.broken()
        if rest := thoughts.rest()[: limit - text.characters]:
            text.characters += len(rest)
            yield rest

    async def _line(self, events: AsyncIterator[str], patience: float) -> str:
        """The next line; after the last one, the line that ends a stream."""
        try:
            async with asyncio.timeout(patience):
                return await anext(events, "data: [DONE]")
        except TimeoutError:
            raise self._problems.slow() from None
        except LineTooLongError:
            raise self._problems.garbage() from None
        except httpx.TransportError as error:
            raise self._problems.broken() from error

    def _piece(self, data: str, text: Text) -> str:
        """The text of one chunk, its other news noted in `text`."""
        try:
            chunk = json.loads(data)
            if "error" in chunk:
                raise self._problems.failed(json.dumps(chunk["error"]))
            if isinstance(usage := chunk.get("usage"), dict):
                text.usage = Usage(*(_count(usage.get(name)) for name in Usage.__dataclass_fields__))
            piece = ""
            for choice in chunk.get("choices") or []:
                piece += (choice.get("delta") or {}).get("content") or ""
                if reason := choice.get("finish_reason"):
                    text.finish_reason = "length" if reason == "length" else "stop"
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise self._problems.garbage() from None
        # Half a pair of surrogates in an engine's JSON is no character, and no client could be sent it.
        return piece.encode("utf-8", "replace").decode("utf-8")

    async def state(self) -> tuple[str, str]:
        """Whether the engine could write now: `ready`, `absent` or `model missing`, and what to do about it."""
        try:
            async with asyncio.timeout(HEALTH_S):
                response = await self._client.send(
                    self._client.build_request("GET", f"{self._settings.llm_url}/models"), stream=True
                )
                try:
                    content = await _beginning(response)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TransportError):
            return "absent", self._problems.absent().detail
        if response.status_code in (401, 403):
            return "absent", self._problems.refusal(response, "").detail
        if response.status_code >= 500:
            return "absent", self._problems.failed("").detail
        if _lists_models_without(content, self._settings.llm_model):
            return "model missing", self._problems.no_model().detail
        return "ready", ""


async def _beginning(response: httpx.Response) -> str:
    """The first bytes of a response that is no stream, as text."""
    content = b""
    try:
        async with asyncio.timeout(CONNECT_S):
            async for piece in response.aiter_raw():
                content += piece
                if len(content) > _MAX_ERROR_BYTES:
                    break
    except (TimeoutError, httpx.TransportError):
        pass  # its status has said enough
    return content[:_MAX_ERROR_BYTES].decode("utf-8", "replace")


def _lists_models_without(content: str, model: str) -> bool:
    """Whether this is a list of models that does not hold this one.

    llama.cpp has one model and takes every name for it; some managed endpoints list nothing.
    """
    try:
        models = json.loads(content)["data"]
        if any(entry.get("owned_by") == "llamacpp" for entry in models):
            return False
        names = {str(entry["id"]) for entry in models}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
    return not names & {model, f"{model}:latest", f"models/{model}"}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
