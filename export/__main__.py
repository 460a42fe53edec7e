"""The command line of the training side: `python -m export train|evaluate|publish --help`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from export.data import DataError
from export.train import Recipe, TrainingError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_train(commands)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return int(options.run(options) or 0)
    except (DataError, TrainingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the last checkpoint is whole. Add --resume to continue.", file=sys.stderr)
        return 130


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    try:
        pairs = tuple((int(size), int(epochs)) for size, epochs in (part.split(":") for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 128:8,160:2 (pixels:epochs, ...)") from None
    if any(size < 16 or epochs < 1 for size, epochs in pairs):
        raise argparse.ArgumentTypeError("sizes are at least 16 pixels and epochs at least 1")
    return pairs


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder of photos: split/class/photo, or PetImages")
    parser.add_argument("--neither", type=Path, help="folder of photos that show none of the labels: split/photo")
    parser.add_argument("--cache", type=Path, help="folder for decoded photos (default: $PURRDICT_CACHE or ~/.cache)")


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
    parser.add_argument("--network", default=default.network, choices=["classic", "compact", "tiny"])
    parser.add_argument(
        "--sizes", type=_sizes, default="128:8,160:2", help="pixels:epochs, ...; the last size is served"
    )
    parser.add_argument("--batch-size", type=int, default=default.batch_size)
    parser.add_argument("--learning-rate", type=float, default=default.learning_rate)
    parser.add_argument("--weight-decay", type=float, default=default.weight_decay)
    parser.add_argument("--mixup", type=float, default=default.mixup, help="alpha of mixup; 0 for none")
    parser.add_argument("--label-smoothing", type=float, default=default.label_smoothing)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--pixels", type=int, default=224, help="size at which photos are kept for cropping")
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    from export import data, train

    recipe = Recipe(
        network=options.network, sizes=options.sizes, batch_size=options.batch_size,
        learning_rate=options.learning_rate, weight_decay=options.weight_decay, mixup=options.mixup,
        label_smoothing=options.label_smoothing, seed=options.seed,
    )  # fmt: skip
    splits = {split: data.find(options.data, split) for split in ("train", "val")}
    if options.neither:
        for split, photos in splits.items():
            splits[split] = photos + data.find_neither(options.neither, split, photos.labels)
    pixels = {split: data.load(photos, options.pixels, options.cache) for split, photos in splits.items()}
    last = train.train(recipe, pixels["train"], pixels["val"], options.out, options.resume)
    print(last)


if __name__ == "__main__":
    sys.exit(main())
