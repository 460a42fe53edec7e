"""python -m api: serve the classifier, ask it about photos, or open a tunnel to it."""

import argparse
import io
import sys
from collections.abc import Sequence

from api._commands.output import CommandError, drop_output
from api._commands.serve import serve
from api._settings import SettingsError, read_settings

_EXAMPLES = """examples:
  python -m api serve                       the classifier and its page on http://127.0.0.1:8000
  python -m api predict one.jpg two.png     a table of answers, without a server
  python -m api tunnel                      a public HTTPS address for this machine, through ngrok

Settings come from the environment or from .env; .env.example explains each."""


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
        port = getattr(options, "port", None) or settings.port
        if options.command == "predict":
            from api._commands.predict import predict

            return predict(options.photos, settings, as_json=options.json)
        if options.command == "tunnel":
            from api._commands.tunnel import tunnel

            return tunnel(options.host, port, settings)
        return serve(options.host, port, settings, options.workers)
    except (SettingsError, CommandError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        drop_output()
        return 141
    except KeyboardInterrupt:
        return 130


def _write_any_name() -> None:
    # File names have letters, and on Linux bytes, that a terminal's or a pipe's encoding may lack.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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
    serve.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help="processes that answer; one uses all processors with threads (default: %(default)s)",
    )
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


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= 64):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} must be a whole number from 1 to 64")
    return int(text)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} must be a whole number from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
