"""`train`: a folder of photos to a run, and with --publish to a published version."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from export.commands import ROOT, Commands, add_models


def add_train(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "train",
        help="train on a folder of photos",
        description="Trains on a folder of photos and writes a run: the model, its figures, plots, and contact "
        "sheets of mistakes and of doubtful labels. Features are kept, so that the next run on them takes seconds.",
    )
    parser.add_argument(
        "photos", type=Path, nargs="*", metavar="PHOTOS", help="folder of photos, a folder a class; several are joined"
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], metavar="PHOTOS", help="the same, by name"
    )
    parser.add_argument(
        "--neither", type=Path, metavar="DIR",
        help="photos that show none of the classes; the body brings thousands of all kinds of things along, so these "
        "are for what is likely to be sent and easily mistaken",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="RUN", help="folder of the run (default: runs/NAME of the photos)"
    )
    parser.add_argument(
        "--recipe", default="lite0", metavar="NAME",
        help="a file of export/recipes, or the path of one: lite0 (default), or one that trains a network, which needs "
        "PyTorch (export/requirements-finetune.txt) and minutes to hours",
    )  # fmt: skip
    parser.add_argument(
        "--publish", action="store_true", help="publish the run as the next version, and say how to serve it"
    )
    parser.add_argument(
        "--anyway", action="store_true", help="with --publish: also if the model is poor; its card says so"
    )
    add_models(parser)
    parser.add_argument(
        "--cache", type=Path, metavar="DIR",
        help="where features are kept (default: $PURRDICT_CACHE, or purrdict in ~/.cache)",
    )  # fmt: skip
    parser.add_argument(
        "--resume", action="store_true", help="go on with a network whose training was interrupted"
    )
    parser.add_argument(
        "--devices", type=lambda text: text if text == "auto" else int(text), default="auto",
        help="how many GPUs, or processes where there is none, train a network (default: auto)",
    )  # fmt: skip
    parser.set_defaults(
        run=run, after_stop="Run the same command again to go on; add --resume if a network was trained."
    )


def run(options: argparse.Namespace) -> None:
    """Trains, and publishes if asked to."""
    from export import recipe, report
    from export.body.extract import default_cache
    from export.errors import ExportError
    from export.publish.publish import publish
    from export.train import train

    photos = [*options.photos, *options.data]
    if not photos:
        raise ExportError("Name the folder of your photos: python -m export train PHOTOS")
    out = options.out or _fresh(ROOT / "runs" / (photos[0].resolve().name or "photos"), options.resume)
    finished = train(
        photos, out, recipe.load(options.recipe), options.neither, options.cache or default_cache(), options.as_typed,
        options.resume, options.devices,
    )  # fmt: skip
    print(report.of_run(finished))
    if options.publish:
        model = publish(out, options.models, anyway=options.anyway, command=options.as_typed)
        print(report.of_published(model, options.models))
    else:
        models = "" if options.models == ROOT / "model" else f" --models {shlex.quote(str(options.models))}"
        print(f"\nPublish it: python -m export publish --run {shlex.quote(str(out))}{models}")


def _fresh(folder: Path, resume: bool) -> Path:
    """The folder, or one with a number appended if it already holds a finished run."""
    if resume:
        return folder
    number, candidate = 2, folder
    while (candidate / "run.json").exists():
        candidate = folder.with_name(f"{folder.name}-{number}")
        number += 1
    return candidate
