"""One text, from the request to its last event; both the server and the terminal's `try` run it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

from services.writer import prompts
from services.writer.admission import Admission
from services.writer.engine import Engine, Text, Usage
from services.writer.errors import WriterError
from services.writer.schemas import WriteRequest
from services.writer.settings import Settings

Emit = Callable[[str, dict[str, Any]], Awaitable[None]]


class Writer:
    """What texts are made with: the prompts, the engine and the queue before it."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings = settings
        self.engine = engine
        self.prompts = prompts.load(settings.prompts_dir)
        self.admission = Admission(settings.llm_parallel, settings.queue)

    async def write(self, request: WriteRequest, emit: Emit, noted: dict[str, Any]) -> None:
        """Emits the events of docs/WRITER.md up to `done`; `noted` collects what the log may say.

        Raises:
            WriterError: there is no text, or no more of it.
        """
        noted.update(task=request.task.value, notes_characters=len(request.notes))

        async def queued(place: int, waiting: int) -> None:
            await emit("queued", {"place": place, "waiting": waiting})

        async with self.admission.turn(queued):
            try:
                text = await self._generate(request, emit)
            except WriterError as error:
                noted["error_status"] = error.status
                raise
        usage = asdict(text.usage or Usage())
        noted.update(finish_reason=text.finish_reason, **usage)
        await emit("done", {"finish_reason": text.finish_reason, "usage": usage, "draft": True})

    async def _generate(self, request: WriteRequest, emit: Emit) -> Text:
        messages = prompts.fill(self.prompts[request.task], request)
        text = Text()
        model = self.settings.llm_model
        start = {"model": model, "prompt": messages.prompt, "draft": True, "notice": prompts.NOTICE}
        try:
            async with asyncio.timeout(self.settings.total_s):
                with self._traced() as trace:
                    async with self.engine.write(messages, text, trace) as pieces:
                        async for piece in pieces:
                            if text.characters == len(piece):
                                await emit("start", start)
                            await emit("delta", {"text": piece})
        except TimeoutError:
            if not text.characters:
                raise WriterError(
                    503, "The engine takes too long to answer. Try again in a minute.", 60
                ) from None
            text.finish_reason = "timeout"
        if not text.characters:
            raise WriterError(502, "The model wrote nothing. Try again, or use another model.", 1)
        return text

    def _traced(self) -> AbstractContextManager[dict[str, str]]:
        if not self.settings.tracing:
            return nullcontext({})
        from services.writer import tracing

        return tracing.generation(self.settings.llm_model)
