"""Trains a network on the photos and makes a body of it; a head is then fitted as on any other body.

Result: EfficientNet-Lite0 trained further on 563 photos of six kinds of rubbish, 4 epochs at 224 pixels
(export/recipes/finetune.toml), as int8 with a fitted head: 86.1 % of 404 test photos (95 % interval 82.4 to 89.1)
against 84.7 % (80.8 to 87.8) with the frozen body; on 170 val photos 83.5 against 82.9 %. One run each, 445 against 32
CPU-seconds, on two busy cores with AVX2 and without bfloat16. The gain is within the intervals.

Every random draw comes from (seed, epoch, photo), and the whole state is saved after each epoch, so a resumed run
continues as if it had never stopped.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from export import provenance, run
from export.body import body as bodies
from export.body.body import Body
from export.files import printable
from export.finetune import checkpoint, devices, make, pretrained, settings
from export.finetune.checkpoint import Identity, TrainingError
from export.finetune.crops import none_count
from export.finetune.loop import PIXELS, Loop
from export.finetune.network import Network, ResidualCNN, parameter_count
from export.finetune.pixels import Pixels
from export.finetune.pixels import load as load_pixels
from export.finetune.settings import Settings
from export.photos.find import Found, Photos
from export.recipe import Recipe, RecipeError

log = logging.getLogger(__name__)

BODY = "body"
# The folder in a run's with the teacher's training.
TEACHER = "teacher"


def train_body(
    recipe: Recipe, found: Found, others: Found, out: Path, command: str = "", resume: bool = False,
    device_count: int | str = "auto", say: Callable[[str], None] = log.info,
) -> Body:  # fmt: skip
    """Train as the recipe's [finetune] table says; return the body, which is written to `out/body`.

    Writes into `out`, and into `out/teacher` if there is one: `last.ckpt` and `metrics.jsonl` after every epoch, each
    whole or not at all; into `out` `body.pt` at the end, the network's averaged weights, for a recipe's `start_from`.
    `others` are photos of none of the classes, if any. The body's negatives are those of the pretrained one; fitting
    the head adds the features of `others`.

    Of several processes only the first returns. Raises RecipeError, or TrainingError with what to do.
    """
    chosen = settings.read(recipe.finetune)
    resume = _resumable(out, resume, say)
    for left in (*out.rglob(f".{Path(checkpoint.LAST).stem}.*.part*"), *(out / PIXELS).glob(".*.part*")):
        left.unlink(missing_ok=True)  # left by a process that was killed
    network = _network(recipe, chosen)
    train, val = _decode(found, others, chosen, out, say)
    fabric = devices.fabric(device_count)
    fabric.launch()
    teacher = None
    if chosen.teacher:
        log.info("first the teacher, then the network that learns from it")
        teacher = _trained(
            fabric, chosen.teacher, _network(recipe, chosen.teacher), train, val, out / TEACHER, recipe.c
        )
    loop = _trained(fabric, chosen, network, train, val, out, recipe.c, teacher)
    if not fabric.is_global_zero:
        raise SystemExit(0)
    trained = loop.network()
    checkpoint.write_network(trained, out / run.CHECKPOINT)
    shutil.rmtree(out / PIXELS, ignore_errors=True)
    seconds = loop.seconds + (teacher.seconds if teacher else 0)
    facts = _facts(chosen, trained, len(train.photos), seconds, command)
    negatives = _negatives(recipe, chosen, others, say)
    return make.make(trained, chosen.input_size, out / BODY, found.splits["train"], negatives, facts)


def _resumable(out: Path, resume: bool, say: Callable[[str], None]) -> bool:
    """Whether there is a training to resume. Raises TrainingError if there is one that is not to be resumed."""
    there = [folder / checkpoint.LAST for folder in (out, out / TEACHER)]
    there = [last for last in there if last.exists()]
    if there and not resume:
        raise TrainingError(
            f"{printable(there[0])} exists. Add --resume to continue it, or choose another --out."
        )
    if resume and not there:
        say(f"there is no {printable(out / checkpoint.LAST)} to resume: training starts at the beginning")
    return bool(there)


def _trained(
    fabric: Fabric, chosen: Settings, network: Network, train: Pixels, val: Pixels, out: Path, c: float,
    teacher: Loop | None = None,
) -> Loop:  # fmt: skip
    """A training that is done; the epochs that `out/last.ckpt` holds, if there is one, are not repeated."""
    out.mkdir(exist_ok=True)
    log.info(
        "%s: %s parameters, %s photos",
        network.description, f"{parameter_count(network):,}", f"{len(train.photos):,}",
    )  # fmt: skip
    identity = Identity(chosen.as_json(), network.name, train.photos.labels, train.digest)
    last = out / checkpoint.LAST
    state = checkpoint.read_last(last, identity) if last.exists() else {}
    loop = Loop(fabric, chosen, network, train, val, out, identity, c, teacher)
    loop.start(state)
    loop.train()
    fabric.barrier()
    return loop


def _network(recipe: Recipe, chosen: Settings) -> Network:
    torch.manual_seed(chosen.seed)
    network: Network
    name = chosen.body or recipe.body
    if chosen.network:
        network = ResidualCNN(chosen.network)
    elif name in pretrained.WEIGHTS:
        network = pretrained.load(name)
    else:
        raise RecipeError(
            f"The body {name} cannot be trained further, only {', '.join(pretrained.WEIGHTS)}. Or name a network in "
            "the [finetune] table to train one from the beginning."
        )
    if chosen.start_from:
        checkpoint.read_network(network, Path(chosen.start_from))
    return network


def _decode(
    found: Found, others: Found, chosen: Settings, out: Path, say: Callable[[str], None]
) -> tuple[Pixels, Pixels]:
    """Pixels for the training and for the evaluation after each epoch, of the classes and of none."""
    trainings = [chosen, *([chosen.teacher] if chosen.teacher else [])]
    own, none = found.splits["train"], others.splits.get("train", Photos(found.labels))
    # No need to decode more than the epochs will show.
    shown = max(each.epochs * none_count(len(own), each) for each in trainings)
    none = make.spread(none, shown)
    splits = [own + none, found.splits["val"] + others.splits.get("val", Photos(found.labels))]
    train = load_pixels(splits[0], max(each.stored_size for each in trainings), out / PIXELS, "train", say)
    val = load_pixels(splits[1], chosen.input_size, out / PIXELS, "val", say)
    for target, label in enumerate(found.labels):
        if not train.photos.count(target):
            raise TrainingError(
                f"None of the training photos of {label} can be read, so it cannot be learned."
            )
    if not any(target < len(found.labels) for target in val.photos.targets):
        say(
            "there is no val split: the network has seen all the photos, so that temperature, threshold and estimates "
            "are too good to be true. Hold some photos back in val/"
        )
    size = (train.array.nbytes + val.array.nbytes) / 1e6
    log.info("decoded photos take %.0f MB in %s until the training is done", size, printable(out / PIXELS))
    return train, val


def _negatives(recipe: Recipe, chosen: Settings, others: Found, say: Callable[[str], None]) -> Photos | Body:
    """The negatives of the new body. `others` are not among them: fitting the head adds them.

    The photos of the pretrained body's negatives are not available, so the trained body cannot process them. Their old
    features are close enough: with them, the head of the result above rejected 86 % of the photos of none, without
    them 11 %.
    """
    if chosen.network:
        if not len(others.splits.get("train", ())):
            say(
                "a network trained from the beginning knows no photos of other things: give some with --neither"
            )
        return Photos(others.labels)
    return bodies.load(bodies.BODIES / recipe.body)


def _facts(chosen: Settings, network: Network, photos: int, seconds: float, command: str) -> dict[str, Any]:
    facts = {
        "name": f"{network.name}-trained",
        "command": command,
        "training": {
            "settings": dataclasses.asdict(chosen), "photos": photos, "seconds": round(seconds, 1),
            "hardware": provenance.hardware(),
        },
    }  # fmt: skip
    if not chosen.network:
        facts |= {
            "source": pretrained.source(chosen.body or network.name),
            "licence": pretrained.WEIGHTS_LICENCE,
        }
    return facts
