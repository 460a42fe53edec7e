"""What an engine can do wrong, each as a sentence that says what to do.

Messages of engines themselves are not passed on: they hold addresses, paths and parts of prompts.
"""

import logging
import re

import httpx

from services.writer.errors import WriterError
from services.writer.settings import Settings

log = logging.getLogger("writer")

RETRY_S = 30
_CONTEXT = re.compile(
    r"context (?:size|length|window)|context_length|exceed_context|too many tokens|prompt is too long", re.I
)


class Problems:
    """The sentences for one engine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def refusal(self, response: httpx.Response, content: str) -> WriterError:
        status = response.status_code
        log.warning("the engine refused a request", extra={"fields": {"engine_status": status}})
        if status == 404:
            return self.no_model() if "model" in content.lower() else self.garbage()
        if status in (401, 403):
            return WriterError(
                503, "The engine refuses the service's key. Its operator has to check LLM_API_KEY."
            )
        if status == 429:
            after = _seconds(response.headers.get("retry-after"))
            return WriterError(503, f"The engine has too much to do. Try again in {after} seconds.", after)
        if status == 503:
            return WriterError(
                503, f"The engine is still loading its model. Try again in {RETRY_S} seconds.", RETRY_S
            )
        if status < 500 and "model" in content and "not found" in content:
            return self.no_model()
        return self.failed(content)

    def absent(self) -> WriterError:
        return WriterError(
            503,
            f"No engine answers at {self._settings.engine_host}. {how_to_get_one(self._settings)}",
            RETRY_S,
        )

    def no_model(self) -> WriterError:
        model = self._settings.llm_model
        return WriterError(
            503,
            f"The engine has no model {model}. Get it with `ollama pull {model}`, or name another in LLM_MODEL.",
        )

    def slow(self) -> WriterError:
        return WriterError(
            503,
            "The engine takes too long to answer. Try again in a minute; a smaller model is faster.",
            2 * RETRY_S,
        )

    def garbage(self) -> WriterError:
        return WriterError(
            502, "The engine answered with something that is no stream of chat completions. Check LLM_URL."
        )

    def broken(self) -> WriterError:
        return WriterError(502, "The engine broke off before the text was complete. Try again.", RETRY_S)

    def failed(self, content: str) -> WriterError:
        if _CONTEXT.search(content):
            return _too_long()
        return WriterError(
            502, "The engine reports an error of its own; its log says which. Try again.", RETRY_S
        )


def how_to_get_one(settings: Settings) -> str:
    """One sentence for people who have no engine."""
    model = settings.llm_model
    return f"Install Ollama, run `ollama serve` and `ollama pull {model}`, or set LLM_URL to an engine that you have."


def _too_long() -> WriterError:
    return WriterError(
        413, "The notes are too long for this model. Shorten them, or give the engine a larger context."
    )


def _seconds(value: str | None) -> int:
    return min(max(int(value), 1), 600) if value and re.fullmatch(r"[0-9]{1,9}", value) else RETRY_S
