"""`publish`: a run to a published version."""

from __future__ import annotations

import argparse
from pathlib import Path

from export.commands import Commands, add_models


def add_publish(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "publish",
        help="turn a run into a published version",
        description="Checks that the run's graph answers like the head that was fitted, writes the model card, and "
        "moves all into the registry whole. A published version is never replaced. A model that is not clearly better "
        "than guessing, or that recognizes everything, is refused.",
    )
    parser.add_argument(
        "--run", dest="folder", type=Path, required=True, metavar="RUN", help="the folder that train wrote"
    )
    parser.add_argument(
        "--version", default="", help="three numbers, like 2.0.0 (default: the next free version)"
    )
    add_models(parser)
    parser.add_argument(
        "--anyway", action="store_true", help="publish a poor model too; its card says what is wrong"
    )
    parser.add_argument("--keep-latest", action="store_true", help="leave model/latest as it is")
    parser.add_argument(
        "--note", default="", help="what a reader of the model card should know about this version"
    )
    parser.add_argument(
        "--beside", type=Path, nargs="+", default=[], metavar="RUN",
        help="runs that the card compares this one with: the same recipe with other seeds, or other recipes",
    )  # fmt: skip
    parser.set_defaults(run=run, after_stop="What was published before is untouched.")


def run(options: argparse.Namespace) -> None:
    """Publishes the run."""
    from export import report
    from export.publish.publish import publish

    model = publish(
        options.folder, options.models, options.version, options.anyway, not options.keep_latest, options.note,
        options.as_typed, options.beside,
    )  # fmt: skip
    print(report.of_published(model, options.models))
