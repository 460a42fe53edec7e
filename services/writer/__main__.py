"""The command line: `python -m services.writer serve | try | quality`."""

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from services.writer.engine import Engine
from services.writer.errors import WriterError
from services.writer.job import Writer
from services.writer.prompts import NOTICE, PromptError
from services.writer.schemas import LANGUAGES, Length, Task, Tone, WriteRequest
from services.writer.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from services.writer.metrics import Metrics

_DESCRIPTION = """\
Drafts of adoption texts and e-mails from notes, by a language model of your own.

  ollama pull gemma3:4b           an engine and a model, once (https://ollama.com)
  python -m services.writer try --task listing --notes "Bella, 3 years, spayed, shy at first"
  python -m services.writer serve

Settings come from the environment: LLM_URL, LLM_MODEL, LLM_API_KEY and others; docs/WRITER.md explains them.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; returns its exit status: 0, 1 where the engine failed, 2 for a mistake of the user's."""
    options = _parser().parse_args(arguments)
    try:
        settings = load()
        command: int = options.run(options, settings)
        return command
    except (SettingsError, PromptError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.writer",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="serve | try | quality")
    serve = commands.add_parser(
        "serve", help="answer over HTTP", description="Answers POST /write over HTTP."
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, help="port to listen on (default: PORT, or 8002)")
    serve.set_defaults(run=_serve)

    trial = commands.add_parser(
        "try",
        help="write one text in the terminal",
        description="Writes one text; Ctrl-C ends the generation.",
    )
    trial.add_argument(
        "--task", choices=[task.value for task in Task], default="listing", help="default: %(default)s"
    )
    notes = trial.add_mutually_exclusive_group()
    notes.add_argument(
        "--notes", metavar="TEXT", help="the facts, in a few words; without it they are read from the input"
    )
    notes.add_argument("--notes-file", metavar="FILE", type=Path, help="a text file with them, UTF-8")
    trial.add_argument("--answer", metavar="JSON", help="what /predict answered for the photo")
    trial.add_argument(
        "--tone", choices=[tone.value for tone in Tone], default="friendly", help="default: %(default)s"
    )
    trial.add_argument(
        "--language",
        choices=list(LANGUAGES),
        metavar="TAG",
        help=f"one of {' '.join(LANGUAGES)}; default: as the notes",
    )
    trial.add_argument(
        "--length", choices=[length.value for length in Length], default="medium", help="default: %(default)s"
    )
    trial.set_defaults(run=_try)

    quality = commands.add_parser(
        "quality",
        help="measure which models are fit for the job",
        description="Writes ten texts with each model and checks them: facts kept, nothing invented, language, length.",
    )
    quality.add_argument("--models", metavar="NAME,NAME", help="models of the engine (default: LLM_MODEL)")
    quality.add_argument(
        "--json", metavar="FILE", type=Path, help="also write every text and check to this file"
    )
    quality.add_argument("--show", action="store_true", help="print the texts, with what is wrong with each")
    quality.set_defaults(run=_quality)
    return parser


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    import uvicorn

    from services.writer.app import create_app
    from services.writer.door import start_logging

    start_logging(settings.log_level)
    if settings.tracing:
        _prepare_tracing()
    app = create_app(settings, _metrics(options.host, settings))
    port = options.port or settings.port
    state, detail = asyncio.run(_state(settings))
    if state != "ready":
        # It may come later; the service says the same to every client until then.
        print(f"warning: {detail}", file=sys.stderr)
    print(
        f"The writer listens on http://{options.host}:{port}, and asks {settings.llm_model} at {settings.engine_host}.",
        file=sys.stderr,
    )
    uvicorn.run(
        app,
        host=options.host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        loop="asyncio",
        # The gateway keeps its connections for four seconds.
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
        limit_concurrency=settings.llm_parallel + settings.queue + 100,
    )
    return 0


def _metrics(host: str, settings: Settings) -> "Metrics | None":
    """What counts, and is to be scraped from now on, where the settings ask for it.

    Raises:
        SettingsError: nothing can listen there, or a package is missing.
    """
    if not settings.metrics_port:
        return None
    try:
        from services.writer.exposition import expose
        from services.writer.metrics import Metrics
    except ModuleNotFoundError as error:
        raise SettingsError(f"METRICS_PORT: {_missing(error)}") from error
    metrics = Metrics()
    try:
        expose(metrics.registry, host, settings.metrics_port, settings.metrics_key)
    except OSError as error:
        raise SettingsError(
            f"METRICS_PORT: cannot listen on {host}, port {settings.metrics_port}: {error.strerror}."
        ) from error
    return metrics


def _prepare_tracing() -> None:
    """Sets what OpenTelemetry takes from the environment, where nobody did. Raises SettingsError."""
    try:
        for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
            importlib.import_module(name)  # a missing package is said here; FastAPI would go on without
    except ModuleNotFoundError as error:
        raise SettingsError(f"FASTAPI_OTEL_AUTO_CONFIGURE: {_missing(error)}") from error
    os.environ.setdefault("OTEL_SERVICE_NAME", "purrdict-writer")
    # Traces are what was asked for: metrics are Prometheus's, and cost another half millisecond a request this way.
    for signal in ("METRICS", "LOGS"):
        if not os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"):
            os.environ.setdefault(f"OTEL_{signal}_EXPORTER", "none")
    # A collector that hangs must not delay the end of the process for longer than containers wait for it. Seconds.
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "2")


def _missing(error: ModuleNotFoundError) -> str:
    return f"{error.name} is not installed: pip install -r services/writer/requirements-operate.txt"


async def _state(settings: Settings) -> tuple[str, str]:
    engine = Engine(settings)
    try:
        return await engine.state()
    finally:
        await engine.aclose()


def _try(options: argparse.Namespace, settings: Settings) -> int:
    try:
        request = _request(options)
    except (OSError, UnicodeDecodeError) as error:
        print(f"error: the notes cannot be read as UTF-8 text: {error}", file=sys.stderr)
        return 2
    except json.JSONDecodeError:
        print("error: --answer is no JSON; paste what /predict answered.", file=sys.stderr)
        return 2
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        print(f"error: {'.'.join(map(str, first['loc']))}: {first['msg']}", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_write_to_terminal(request, settings))
    except WriterError as error:
        print(f"error: {error.detail}", file=sys.stderr)
        return 1


def _request(options: argparse.Namespace) -> WriteRequest:
    notes = options.notes
    if options.notes_file:
        notes = options.notes_file.read_text(encoding="utf-8")
    elif notes is None:
        if sys.stdin.isatty():
            print("Type the notes, then Ctrl-D:", file=sys.stderr)
        notes = sys.stdin.buffer.read().decode("utf-8")
    return WriteRequest.model_validate(
        {
            "task": options.task,
            "notes": notes,
            "answer": json.loads(options.answer) if options.answer else None,
            "tone": options.tone,
            "language": options.language,
            "length": options.length,
        }
    )


async def _write_to_terminal(request: WriteRequest, settings: Settings) -> int:
    engine = Engine(settings)
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"

    async def emit(name: str, data: dict[str, Any]) -> None:
        if name == "start":
            print(f"{NOTICE} ({data['model']}, {data['prompt']})\n", file=sys.stderr, flush=True)
        elif name == "delta":
            text = data["text"]
            print(text if utf8 else text.encode("ascii", "replace").decode(), end="", flush=True)
        elif name == "done":
            print(flush=True)
            how = {
                "stop": "complete",
                "length": "cut off at the limit",
                "timeout": "cut off at the time limit",
            }
            count = data["usage"]["completion_tokens"]
            print(
                f"\n{how[data['finish_reason']]}, {'unknown' if count is None else count} tokens",
                file=sys.stderr,
            )

    try:
        await Writer(settings, engine).write(request, emit, {})
    finally:
        with contextlib.suppress(Exception):
            await engine.aclose()
    return 0


def _quality(options: argparse.Namespace, settings: Settings) -> int:
    from services.writer.quality.run import run

    state, detail = asyncio.run(_state(settings))
    if state == "absent":
        print(f"error: {detail}", file=sys.stderr)
        return 1
    models = [name.strip() for name in (options.models or settings.llm_model).split(",") if name.strip()]
    return run(settings, models, options.json, options.show)


if __name__ == "__main__":
    sys.exit(main())
