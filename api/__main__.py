"""python -m api: serve the classifier, ask it about photos, or open a tunnel to it."""

import argparse
import contextlib
import io
import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from api._labels import shown
from api._settings import Settings, SettingsError, read_settings

_EXAMPLES = """examples:
  python -m api serve                       the classifier and its page on http://127.0.0.1:8000
  python -m api predict one.jpg two.png     a table of answers, without a server
  python -m api tunnel                      a public HTTPS address for this machine, through ngrok

Settings come from the environment or from .env; .env.example explains each."""

# A longer label moves only its own row's figure.
_LABEL_WIDTH = 24


class CommandError(Exception):
    """The command cannot go on; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        The exit status: 0 well, 1 some photo failed, 2 it could not start or go on; 130 after Ctrl-C and 141 when
        whoever read the output has left, as shells have it.
    """
    _write_any_name()
    options = _parser().parse_args(arguments)
    try:
        settings = read_settings()
        if options.command == "predict":
            return _predict(options, settings)
        if options.command == "tunnel":
            return _tunnel(options, settings)
        return _serve(options, settings)
    except (SettingsError, CommandError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        _drop_output()
        return 141
    except KeyboardInterrupt:
        return 130


def _write_any_name() -> None:
    # File names have letters, and on Linux bytes, that a terminal's or a pipe's encoding may lack.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _print(line: str) -> None:
    """Prints at once.

    Raises:
        BrokenPipeError: nobody reads it.
        CommandError: it cannot be written.
    """
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        raise CommandError(f"the output cannot be written: {error.strerror}") from error


def _drop_output() -> None:
    # What is still in the buffer would be written, and fail again, when the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m api",
        description="Purrdict classifies photos with the model that is published in its registry.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve", help="serve the API and the page", description="Serves the API and the page."
    )
    _add_address(serve)
    predict = commands.add_parser(
        "predict",
        help="classify photos",
        description="Classifies photos with the published model, without a server.",
    )
    predict.add_argument(
        "photos", nargs="+", metavar="PHOTO", help="a photo, a folder of photos, or a wildcard like *.jpg"
    )
    predict.add_argument(
        "--json", action="store_true", help="print one JSON object a line instead of a table"
    )
    tunnel = commands.add_parser(
        "tunnel",
        help="serve, and open an ngrok tunnel",
        description="Serves on this machine and opens a public HTTPS address for it through ngrok. Needs "
        "NGROK_AUTHTOKEN and `pip install ngrok`; Ctrl-C closes both.",
    )
    _add_address(tunnel)
    return parser


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, help="port to listen on (default: PORT, or 8000)")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} must be a whole number from 1 to 65535")
    return int(text)


def _check_address(host: str, port: int) -> None:
    """Listens there for a moment.

    Raises:
        CommandError: nothing can listen there; before an address is printed that nobody will answer.
    """
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:1]:
            with socket.socket(family, kind, protocol) as listener:
                if os.name != "nt":  # where it means to share the port with whoever has it
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that cannot be one
        reason = getattr(error, "strerror", None) or "no name of a machine"
        raise CommandError(
            f"cannot listen on {host[:80]!r}, port {port}: {reason}. Name another --port, or as --host an address "
            "of this machine."
        ) from error


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    import uvicorn

    # One import path for every platform: this is the object that Vercel and Lambda run too.
    from api._server import TimeoutProtocol
    from api.index import app

    port = settings.port if options.port is None else options.port
    _check_address(options.host, port)
    url = f"http://{f'[{options.host}]' if ':' in options.host else options.host}:{port}"
    url += settings.root_path
    _print(f"page     {url}/\npredict  curl -F file=@photo.jpg {url}/predict\ndocs     {url}/docs")
    if settings.workers_ignored:
        print(
            "note: WEB_CONCURRENCY is ignored: this one process uses every processor with threads. "
            "For more, start the service again on another port or in another container.",
            file=sys.stderr,
        )
    # The app writes its own line a request, and has neither web sockets nor a lifespan to import code for.
    uvicorn.run(
        app,
        host=options.host,
        port=port,
        # Otherwise it reads WEB_CONCURRENCY, and ends at any value of it but 1.
        workers=1,
        access_log=False,
        log_level="warning",
        server_header=False,
        ws="none",
        lifespan="off",
        # Where uvloop is installed it would be taken: beside this protocol it saves no time, and it costs memory.
        loop="asyncio",
        http=TimeoutProtocol,
    )
    return 0


def _predict(options: argparse.Namespace, settings: Settings) -> int:
    from api._classifier import Classifier
    from api._paths import find
    from api._registry import ModelError, read_model

    try:
        classifier = Classifier(read_model(settings.model_dir, settings.model_version), settings.threads)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = find(options.photos)
    for problem in found.problems:
        print(f"error: {problem}", file=sys.stderr)
    if found.left_out:
        files = "1 file" if found.left_out == 1 else f"{found.left_out} files"
        print(f"left out: {files} of the kinds that lie beside photos, like notes on edits", file=sys.stderr)
    if not found.files:
        if not found.problems:
            print("error: there is no file in there to classify", file=sys.stderr)
        return 1
    width = max(len(str(path)) for path in found.files)
    label_width = min(_LABEL_WIDTH, max(len(shown(label)) for label in classifier.model.labels))
    failures = len(found.problems)
    for path in found.files:
        answer = _answer(classifier, path, settings)
        failures += "error" in answer
        _print(json.dumps(answer) if options.json else f"{path!s:<{width}}  {_row(answer, label_width)}")
    return 1 if failures else 0


def _answer(classifier: Any, path: Path, settings: Settings) -> dict[str, Any]:
    from api._answers import Answer
    from api._photo.errors import ImageError
    from api._photo.image import decode

    try:
        photo = decode(path.read_bytes(), classifier.model.input_size, settings.max_pixels)
    except ImageError as error:
        return {"file": str(path), "error": str(error)}
    except OSError as error:
        return {"file": str(path), "error": f"It cannot be read: {error.strerror}."}
    except MemoryError:
        return {"file": str(path), "error": "It is too large to be read."}
    answer = Answer.of(classifier.predict(photo.pixels[None])[0])
    version = classifier.model.version
    return {"file": str(path), **answer.model_dump(exclude_none=True), "model_version": version}


def _row(answer: dict[str, Any], label_width: int) -> str:
    if "error" in answer:
        return f"error  {answer['error']}"
    doubt = "" if answer["recognized"] else "  looks like none of the labels"
    return f"{shown(answer['prediction']):<{label_width}}  {answer['confidence']:7.2%}{doubt}"


def _tunnel(options: argparse.Namespace, settings: Settings) -> int:
    if not settings.ngrok_authtoken:
        print(
            "error: NGROK_AUTHTOKEN is not set. Get a free token at "
            "https://dashboard.ngrok.com/get-started/your-authtoken and put NGROK_AUTHTOKEN=... into .env.",
            file=sys.stderr,
        )
        return 2
    try:
        import ngrok
    except ImportError:
        print("error: the ngrok SDK is not installed. Run: pip install ngrok", file=sys.stderr)
        return 2
    status = _serve_through(ngrok, options, settings)
    # The SDK's own threads outlive its calls, failed ones too, and every now and then crash an interpreter that takes
    # itself apart in order (seen with 1.4.0 and 1.7.0). Nothing is left to do, so leave at once.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _serve_through(ngrok: Any, options: argparse.Namespace, settings: Settings) -> int:
    port = settings.port if options.port is None else options.port
    token = settings.ngrok_authtoken or ""
    try:
        listener = ngrok.forward(f"{_reachable(options.host)}:{port}", authtoken=token)
    except (ValueError, RuntimeError, OSError) as error:
        # The SDK raises ValueError(what, why, ...) for everything from no network to a refused token, and of a refused
        # token it quotes all of it.
        parts = error.args[0] if error.args and isinstance(error.args[0], tuple) else error.args
        reason = " ".join(str(part) for part in parts).replace(token, "...")
        print(f"error: no tunnel. ngrok says: {reason}. Check the network and the token.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"public   {listener.url()}", flush=True)
    try:
        return _serve(options, settings)
    except KeyboardInterrupt:  # while the model is still being loaded
        return 130
    except SystemExit as error:  # uvicorn's way to say that it cannot listen; it has said why
        return error.code if isinstance(error.code, int) else 1
    finally:
        # A tunnel whose network went away cannot be closed properly, and is closed all the same.
        with contextlib.suppress(ValueError, RuntimeError, OSError):
            ngrok.disconnect(listener.url())
        print("tunnel closed", flush=True)


def _reachable(host: str) -> str:
    """The address under which this machine reaches a server that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not listened on
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    sys.exit(main())
