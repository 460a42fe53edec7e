"""python -m services.feedback: serve, export corrections as photos to train on, and look after the database."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

_EXAMPLES = """examples:
  python -m services.feedback serve                 on http://127.0.0.1:8001, into a file of SQLite
  python -m services.feedback export --out photos   corrections as photos; then: python3 dev.py train photos
  python -m services.feedback secrets >> .env       what a deployment with PostgreSQL needs

Settings come from the environment or from .env; docs/FEEDBACK.md explains each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status: 0 well, 2 it could not start or go on, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    if options.command == "secrets":
        return _secrets()
    try:
        return _run(options)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("services", "__main__"):
            raise
        observed = (error.name or "").startswith(("prometheus", "opentelemetry"))
        print(
            f"error: the package {error.name} is missing. Run: {_python()} -m pip install -r "
            f"services/feedback/requirements{'-operate' if observed else ''}.txt",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    from services.feedback.database import UnavailableError
    from services.feedback.settings import SettingsError, load

    try:
        settings = load()
        if options.command == "serve":
            from services.feedback.serve import serve

            return serve(settings, options.host, options.port)
        if options.command == "export":
            from services.feedback.export import ExportError, export

            try:
                export(
                    settings,
                    options.out,
                    labels=options.labels,
                    minimum=options.minimum,
                    test_percent=options.test_percent,
                )
            except ExportError as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
            return 0
        return _maintain(options.command, settings)
    except (SettingsError, UnavailableError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _maintain(command: str, settings: object) -> int:
    from services.feedback.database import Database
    from services.feedback.retention import forget
    from services.feedback.settings import Settings

    assert isinstance(settings, Settings)  # noqa: S101
    database = Database(settings.database_url)
    database.prepare()
    if command == "forget":
        forgotten = forget(database, settings.retention_days)
        print(f"deleted {forgotten.deleted}; of {forgotten.anonymous} it is no longer known who sent them")
    else:
        print(f"the {database.kind} database has the newest schema")
    return 0


def _secrets() -> int:
    for name in ("FEEDBACK_SECRET", "FEEDBACK_ADMIN_KEY", "POSTGRES_PASSWORD"):
        print(f"{name}={secrets.token_urlsafe(32)}")
    return 0


def _python() -> str:
    return sys.executable or "python3"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.feedback",
        description="Keeps what people say of the classifier's answers, and makes photos to train on of it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the HTTP API and the owner's page")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, help="port to listen on (default: FEEDBACK_PORT, or 8001)")
    export = commands.add_parser(
        "export",
        help="write corrections as photos to train on",
        description="Writes the photos that people sent as train/LABEL/PHOTO into a folder, and those of none of the "
        "labels into neither/ beside it. Of several opinions on one photo the majority counts; ties are left out. "
        "Photos that were written before stay, and those that were deleted since are taken away.",
    )
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into")
    export.add_argument(
        "--labels", nargs="+", metavar="LABEL", help="take only these (default: all that were sent)"
    )
    export.add_argument(
        "--minimum", type=int, default=1, metavar="N", help="opinions that must agree on a photo (default: 1)"
    )
    export.add_argument(
        "--test-percent", type=int, default=0, metavar="N", choices=range(100),
        help="of each hundred photos so many go into test/, by their hash always the same (default: 0)",
    )  # fmt: skip
    commands.add_parser("migrate", help="bring the database's schema up to date; serve does it by itself")
    commands.add_parser("forget", help="delete what is older than the retention; serve does it every hour")
    commands.add_parser("secrets", help="print new secrets as lines for .env")
    return parser


if __name__ == "__main__":
    sys.exit(main())
