"""`evaluate`: measures a published model."""

from __future__ import annotations

import argparse
from pathlib import Path

from export.commands import Commands, add_models


def add_evaluate(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a published model",
        description="Measures a published model on folders of photos through the code that serves it, and prints the "
        "figures, by class and by kind of photo.",
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="PHOTOS", help="folders like those of train"
    )
    parser.add_argument(
        "--neither",
        type=Path,
        nargs="*",
        default=[],
        metavar="DIR",
        help="folders of photos that show none of the labels",
    )
    add_models(parser)
    parser.add_argument("--version", help="the version to measure (default: the one that model/latest names)")
    parser.add_argument(
        "--split", default="test", choices=["train", "val", "test", "all"], help="default: test"
    )
    parser.add_argument(
        "--plots", type=Path, metavar="DIR", help="draw confusion, reliability and scores there"
    )
    parser.add_argument(
        "--errors", type=Path, metavar="DIR", help="draw a contact sheet of the mistakes, mistakes.png, there"
    )
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="also measure compressed and small uploads, painted-over heatmaps, and photos shown small in scenes",
    )
    parser.add_argument(
        "--scenes", nargs="+", default=["rooms", "scenes", "streets"], metavar="KIND",
        help="with --robustness: the kinds of --neither that are scenes (default: rooms scenes streets)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead of tables")
    parser.set_defaults(run=run, after_stop="")


def run(options: argparse.Namespace) -> None:
    """Prints the figures."""
    from export import report

    report.evaluate(options)
