"""The commands of `python -m export`: the arguments of each, and what it runs.

--help must be fast, and the imports that training needs take two seconds: each command imports its own when it runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parent.parent.parent
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_models(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that names the registry."""
    parser.add_argument(
        "--models",
        type=Path,
        default=ROOT / "model",
        metavar="DIR",
        help="the registry (default: model/ beside export/)",
    )
