"""The command line of the training side: `python -m export train|evaluate|publish --help`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from api._registry import ModelError
from export import provenance
from export.data import SPLITS, DataError
from export.network import ARCHITECTURES
from export.publish import PublishError
from export.teacher import TeacherError
from export.to_onnx import ParityError
from export.train import Recipe, TrainingError

DESCRIPTION = """\
From photos to a published model:

  python -m export train --data PHOTOS --out RUN            photos to checkpoints (--resume continues)
  python -m export publish --run RUN --version 2.0.0 --data PHOTOS
                                                            checkpoint to model/versions/2.0.0, then model/latest
  python -m export evaluate --data PHOTOS --split test      measures a published model through the serving code
  python -m export restore --data PHOTOS --out RUN          a published model back to a checkpoint, to train further

PHOTOS is a folder with train/, val/ and test/, each with a folder of photos per class; or a folder with a folder
per class, like Microsoft's PetImages, which is then split by the photos' names. The folders' names become the
labels, so other classes need other photos and no other code. Photos of none of the classes (--neither) teach the
network to say so.
"""


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m export", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (_add_train, _add_evaluate, _add_publish, _add_restore):
        add(commands)
    options = parser.parse_args(arguments)
    options.as_typed = provenance.as_command(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # What Fabric and the exporter note on their own work is no news to the person who trains.
    for library in ("lightning_fabric", "onnx_ir", "onnxscript", "torch.onnx"):
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        return int(options.run(options) or 0)
    except (DataError, ModelError, ParityError, PublishError, TeacherError, TrainingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        more = " Add --resume to continue." if options.command == "train" else ""
        print(f"\nstopped; what was saved before is whole.{more}", file=sys.stderr)
        return 130


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    try:
        pairs = tuple(
            (int(size), int(epochs)) for size, epochs in (part.split(":") for part in text.split(","))
        )
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 128:8,160:2 (pixels:epochs, ...)") from None
    if any(size < 16 or epochs < 1 for size, epochs in pairs):
        raise argparse.ArgumentTypeError("sizes are at least 16 pixels and epochs at least 1")
    return pairs


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of photos: split/class/photo, or PetImages"
    )
    parser.add_argument(
        "--neither", type=Path, help="folder of photos that show none of the labels: split/photo"
    )
    parser.add_argument(
        "--cache", type=Path, help="folder for decoded photos (default: $PURRDICT_CACHE or ~/.cache)"
    )


def _add_train(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    parser = commands.add_parser(
        "train",
        help="train a network on a folder of photos",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Train a network. Writes last.ckpt after every epoch and a line per epoch to metrics.jsonl.",
    )
    _add_data(parser)
    default = Recipe()
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and metrics")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint in --out")
    parser.add_argument(
        "--start-from",
        type=Path,
        nargs="*",
        default=[],
        metavar="RUN",
        help="start from the weights of another run of the same network, or from the mean of several",
    )
    parser.add_argument("--network", default=default.network, choices=[*ARCHITECTURES])
    parser.add_argument(
        "--sizes",
        type=_sizes,
        default="96:32,128:36,160:7",
        help="pixels:epochs, ...; the last size is served",
    )
    parser.add_argument("--batch-size", type=int, default=default.batch_size)
    parser.add_argument("--learning-rate", type=float, default=default.learning_rate)
    parser.add_argument("--weight-decay", type=float, default=default.weight_decay)
    parser.add_argument("--mixup", type=float, default=default.mixup, help="alpha of mixup; 0 for none")
    parser.add_argument("--label-smoothing", type=float, default=default.label_smoothing)
    parser.add_argument(
        "--teacher-size", type=int, default=default.teacher_size,
        help="learn from a teacher, EfficientNet-Lite2, that sees the photos at this many pixels; 0: no teacher",
    )  # fmt: skip
    parser.add_argument(
        "--neither-share",
        type=float,
        default=default.neither_share,
        help="share of neither photos in an epoch",
    )
    parser.add_argument(
        "--collages",
        type=float,
        default=default.collages,
        help="share of the crops that show a part of another photo as well; only with a teacher",
    )
    parser.add_argument(
        "--patch-size",
        type=int,
        default=default.patch_size,
        help="show a patch of any photo, turned, recoloured and mixed, beside each crop, and ask the teacher about it "
        "at this many pixels; 0: no patches; only with a teacher",
    )
    parser.add_argument(
        "--dreams",
        type=int,
        default=default.dreams,
        help="change this many photos until another network sees other classes of ImageNet's in them, and take patches "
        "from those as well; only with patches",
    )
    parser.add_argument("--ema", type=float, default=default.ema_decay, help="decay of the averaged weights")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument(
        "--devices", type=lambda text: text if text == "auto" else int(text), default="auto",
        help="how many GPUs, or processes where there is none; set OMP_NUM_THREADS to the threads of each",
    )  # fmt: skip
    parser.add_argument("--pixels", type=int, default=224, help="size at which photos are kept for cropping")
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    from export import data, publish, train

    recipe = Recipe(
        network=options.network, sizes=options.sizes, batch_size=options.batch_size,
        learning_rate=options.learning_rate, weight_decay=options.weight_decay, mixup=options.mixup,
        label_smoothing=options.label_smoothing, seed=options.seed, teacher_size=options.teacher_size,
        neither_share=options.neither_share, ema_decay=options.ema,
        collages=options.collages, patch_size=options.patch_size, dreams=options.dreams,
        started_from=" and ".join(run.name for run in options.start_from),
    )  # fmt: skip
    labels = data.find(options.data, "train").labels
    splits = {split: publish.find(options.data, options.neither, split, labels) for split in ("train", "val")}
    pixels = {split: data.load(photos, options.pixels, options.cache) for split, photos in splits.items()}
    last = train.train(
        recipe,
        pixels["train"],
        pixels["val"],
        options.out,
        options.resume,
        options.cache,
        options.as_typed,
        options.devices,
        start_from=[run / train.LAST for run in options.start_from],
    )
    print(last)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", type=Path, default=Path(__file__).parent.parent / "model", help="the registry"
    )


def _add_evaluate(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    parser = commands.add_parser(
        "evaluate",
        help="measure a published model",
        description="Measure a published model on a folder of photos through the code that serves it; print the table.",
    )
    _add_data(parser)
    _add_models(parser)
    parser.add_argument("--version", help="the version to measure (default: the one that model/latest names)")
    parser.add_argument("--split", default="test", choices=[*SPLITS, "all"], help="default: test")
    parser.add_argument(
        "--plots", type=Path, metavar="DIR", help="draw confusion, reliability, scores and robustness"
    )
    parser.add_argument(
        "--errors", type=Path, metavar="DIR", help="draw a contact sheet of the mistakes, errors.png"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead of the table")
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    from api import _registry
    from export import evaluate, plots, publish

    model = _registry.load(options.models, options.version)
    photos = publish.find(options.data, options.neither, options.split, model.labels)
    scores = evaluate.score(model, photos)
    for line in scores.skipped:
        print(f"skipped {line}", file=sys.stderr)
    figures = evaluate.measure(scores) | {"latency_ms": evaluate.latency_ms(model)}
    if options.plots:
        plots.draw_all(scores, evaluate.robustness(model, photos), options.plots)
    if options.errors:
        count = evaluate.contact_sheet(scores, options.errors / "errors.png")
        print(f"{count} mistakes, the surest of them in {options.errors / 'errors.png'}", file=sys.stderr)
    if options.json:
        print(json.dumps({"version": model.version, "split": options.split} | figures, indent=2))
    else:
        print(f"Purrdict {model.version} on {options.split}\n\n{evaluate.table(figures)}")


def _add_publish(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    parser = commands.add_parser(
        "publish",
        help="turn a checkpoint into a published model",
        description="Export the run's averaged network to ONNX, quantize it to int8, choose temperature and threshold "
        "on val, measure it on val and test through the serving code, write the model card, move it all into place.",
    )
    parser.add_argument(
        "--run",
        dest="runs",
        type=Path,
        nargs="+",
        required=True,
        metavar="RUN",
        help="the --out folder of the training; of several the mean of the weights",
    )
    parser.add_argument("--version", required=True, help="three numbers, like 1.0.0")
    _add_data(parser)
    _add_models(parser)
    parser.add_argument("--replace", action="store_true", help="replace a version that is published already")
    parser.add_argument("--keep-latest", action="store_true", help="leave model/latest as it is")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[], metavar="PIXELS",
        help="input sizes to choose from by their loss on val (default: the last one trained at)",
    )  # fmt: skip
    parser.add_argument(
        "--note", default="", help="what a reader of the model card should know about this run"
    )
    parser.add_argument(
        "--seeds",
        type=Path,
        nargs="*",
        default=[],
        help="runs that differ in the seed only, for the card: how far chance moves the figures",
    )
    parser.set_defaults(run=_publish)


def _publish(options: argparse.Namespace) -> None:
    from export import publish

    model = publish.publish(
        options.runs, options.version, options.models, options.data, options.neither, options.as_typed,
        options.cache, options.replace, not options.keep_latest, options.seeds, options.sizes, options.note,
    )  # fmt: skip
    print(f"published {model.version}: {model.directory}")


def _add_restore(commands: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]
    parser = commands.add_parser(
        "restore",
        help="turn a published model back into a run, to train it further",
        description="Write the checkpoint of a published model, for `train --start-from`: on photos of your own, say.",
    )
    _add_data(parser)
    _add_models(parser)
    parser.add_argument("--version", help="the version to restore (default: the one that model/latest names)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.set_defaults(run=_restore)


def _restore(options: argparse.Namespace) -> None:
    from api import _registry
    from export import publish, restore

    model = _registry.load(options.models, options.version)
    photos = publish.find(options.data, options.neither, "train", model.labels)
    print(restore.restore(model, photos, options.out, options.as_typed, options.cache))


if __name__ == "__main__":
    sys.exit(main())
