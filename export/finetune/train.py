"""Training: crops in, checkpoints and a line of metrics per epoch out.

Runs on one CPU, one GPU or several: Lightning Fabric owns devices, precision and distribution. Every random draw
comes from (seed, epoch, photo), and the whole state is saved after each epoch, so a resumed run continues as if it
had never stopped.

Result: the version before this one, restored, then three runs one on top of the other with `--patch-size 160` and
dreams, `--sizes 160:4,192:3,224:2`, `224:3` and `224:3`, in 2.7 hours on two cores; the mean of the last and the first
gave 98.6 % on the test photos of Dogs vs. Cats as an int8 file served at 224 pixels (model/versions/1.0.0).
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric, seed_everything
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from export import provenance
from export.augment import Augment, mixup
from export.data import Crops, Pixels, Samples, samples, whole_photos
from export.dreams import dream
from export.network import ResidualCNN, build, normalise, parameter_count, with_neither
from export.patches import Explore, Patches
from export.teacher import IMAGENET, Lessons, LiveTeacher, TaughtCrops, learn

log = logging.getLogger(__name__)

LAST = "last.ckpt"
METRICS = "metrics.jsonl"


class TrainingError(Exception):
    """The run cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome, beside the photos. Saved in checkpoints and in the published metadata."""

    network: str = "compact"
    # (resolution in pixels, epochs at it); the last resolution is the one that is served.
    sizes: tuple[tuple[int, int], ...] = ((96, 32), (128, 36), (160, 7))
    batch_size: int = 64
    learning_rate: float = 0.05
    weight_decay: float = 5e-4
    warmup: float = 0.1
    crop_scale: float = 0.4
    colour: float = 0.3
    label_smoothing: float = 0.05
    mixup: float = 0.0
    ema_decay: float = 0.998
    # Photos of neither are repeated until they are this share of an epoch.
    neither_share: float = 0.12
    # Crops of these show at least this share of the photo.
    neither_scale: float = 0.1
    seed: int = 0
    # Words for the runs whose weights, or their mean, this one started from; empty when it started from random ones.
    started_from: str = ""
    # With a teacher: the resolution at which it sees the photos (0: no teacher), how many close crops are added, how
    # many crops become collages, how soft its answers are made, and how much its names for ImageNet's classes count.
    teacher_size: int = 256
    close_share: float = 0.1
    collages: float = 0.5
    softness: float = 2.0
    imagenet_weight: float = 1.0
    # The resolution at which the teacher is asked about a patch beside each crop; 0: no patches.
    patch_size: int = 0
    # How many pictures are dreamed up for patches (export/dreams.py), at least; 0: none.
    dreams: int = 0

    @property
    def epochs(self) -> int:
        return sum(epochs for _, epochs in self.sizes)

    @property
    def input_size(self) -> int:
        return self.sizes[-1][0]

    def size_at(self, epoch: int) -> int:
        for size, epochs in self.sizes:
            if epoch < epochs:
                return size
            epoch -= epochs
        raise ValueError("epoch is past the end of the schedule")


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and what is needed to publish it."""

    network: ResidualCNN
    # The weights of the head that guesses ImageNet's classes; empty if there was no teacher.
    guess: dict[str, Tensor]
    labels: tuple[str, ...]
    recipe: Recipe
    epoch: int
    photos: int
    seconds: float
    command: str
    commit: str
    hardware: str


class Learner(nn.Module):
    """The network with a head that guesses what the teacher calls a photo among ImageNet's classes: which breed of dog,
    or what it is that is no cat or dog. That says more about a photo than its label. The head is never published."""

    def __init__(self, network: ResidualCNN, taught: bool) -> None:
        super().__init__()
        self.network = network
        self.guess = nn.Linear(network.classifier.in_features, IMAGENET) if taught else nn.Identity()

    def forward(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """Photos float [N, 3, H, W] to label logits [N, K] and, if there is a teacher, ImageNet logits."""
        pooled = self.network.pooled(photos)
        return self.network.classifier(pooled), self.guess(pooled)


def train(
    recipe: Recipe,
    train_pixels: Pixels,
    val_pixels: Pixels,
    out: Path,
    resume: bool = False,
    cache: Path | None = None,
    command: str = "",
    devices: int | str = "auto",
    stop_after: int | None = None,
    start_from: Sequence[Path] = (),
) -> Path:
    """Train by the recipe; return the path of the last checkpoint.

    Starts from random weights, or from the averaged weights of the checkpoint in `start_from`; of several, from the
    mean of theirs.
    Writes `last.ckpt` (after every epoch, whole or not at all) and `metrics.jsonl` into `out`. With `stop_after`
    the run ends after that epoch, as if interrupted.
    """
    fabric = Fabric(accelerator="auto", devices=devices, precision="bf16-mixed")
    fabric.launch()
    state = _start(fabric, recipe, train_pixels, out, resume, command, start_from)
    lessons = None
    if recipe.teacher_size:
        # The first process fills the cache, the others read it.
        with fabric.rank_zero_first():
            lessons = learn(
                fabric, recipe, train_pixels, epoch_samples(recipe, train_pixels), val_pixels, cache
            )
        if lessons.live and recipe.dreams:
            pictures = dream(fabric, train_pixels, recipe.dreams, cache)
            lessons = dataclasses.replace(lessons, dreams=pictures)
    for epoch in range(state["epoch"], recipe.epochs):
        started = time.perf_counter()
        metrics = _train_epoch(fabric, state, recipe, train_pixels, lessons, epoch)
        metrics |= evaluate_crops(
            fabric, state["ema"].module, val_pixels, recipe.size_at(epoch), recipe.batch_size
        )
        state["epoch"] = epoch + 1
        state["seconds"] += time.perf_counter() - started
        metrics |= {"epoch": epoch + 1, "size": recipe.size_at(epoch), "seconds": round(state["seconds"], 1)}
        _save(fabric, state, out)
        _log_epoch(fabric, metrics, out)
        if stop_after is not None and state["epoch"] >= stop_after:
            break
    return out / LAST


def load_checkpoint(path: Path) -> Checkpoint:
    """The averaged network of a checkpoint, ready to publish. Raises TrainingError if there is none to read."""
    if not path.exists():
        raise TrainingError(f"{path} does not exist. `python -m export train --out {path.parent}` writes it.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(f"{path} is no readable checkpoint: {error}") from error
    recipe = recipe_from(json.loads(state["recipe"]))
    network = build(recipe.network, len(state["labels"]))
    weights = {k.removeprefix("module."): v for k, v in state["ema"].items() if k != "n_averaged"}
    network.load_state_dict(weights)
    network.eval()
    return Checkpoint(
        network,
        {name: value for name, value in state["learner"].items() if name.startswith("guess.")},
        tuple(state["labels"]),
        recipe,
        state["epoch"],
        state["photos"],
        float(state["seconds"]),
        state["command"],
        state["commit"],
        state["hardware"],
    )


def load_mean(paths: Sequence[Path]) -> Checkpoint:
    """The last checkpoint, with the mean of the weights of all of them.

    Of networks that descend from one the mean is often better than each (Wortsman et al. 2022, arXiv:2203.05482).
    """
    checkpoints = [load_checkpoint(path) for path in paths]
    last = checkpoints[-1]
    if len({(each.recipe.network, each.labels) for each in checkpoints}) > 1:
        raise TrainingError("Only runs of the same network and labels have a mean.")
    last.network.load_state_dict(_mean([each.network.state_dict() for each in checkpoints]))
    guesses = [each.guess for each in checkpoints]
    return dataclasses.replace(last, guess=_mean(guesses) if all(guesses) else {})


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """What a run wrote after each of its epochs."""
    return [json.loads(line) for line in (run / METRICS).read_text().splitlines()]


def _mean(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor; of counters, which are no weights, the first."""
    first = states[0]
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }


def recipe_from(values: dict[str, Any]) -> Recipe:
    """The recipe of these values, as checkpoints and the metadata of published models keep it."""
    return Recipe(**{**values, "sizes": tuple((size, epochs) for size, epochs in values["sizes"])})


def _start(
    fabric: Fabric,
    recipe: Recipe,
    pixels: Pixels,
    out: Path,
    resume: bool,
    command: str,
    start_from: Sequence[Path],
) -> dict[str, Any]:
    """Fresh state, or the last checkpoint's."""
    last = out / LAST
    if last.exists() and not resume:
        raise TrainingError(f"{last} exists. Add --resume to continue it, or choose another --out.")
    if resume and not last.exists():
        raise TrainingError(f"There is no {last} to resume; leave --resume out to start.")
    out.mkdir(parents=True, exist_ok=True)
    seed_everything(recipe.seed, verbose=False)
    network = build(recipe.network, len(pixels.photos.labels)).to(memory_format=torch.channels_last)
    learner = Learner(network, taught=recipe.teacher_size > 0)
    if start_from and not resume:
        _take_weights(learner, start_from)
    log.info("%s: %s parameters", recipe.network, f"{parameter_count(network):,}")
    ema = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)
    # Norm scales and biases are not decayed: that would pull the features to zero, not regularise them.
    decayed = [p for p in learner.parameters() if p.dim() > 1]
    others = [p for p in learner.parameters() if p.dim() <= 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate, momentum=0.9, nesterov=True,
    )  # fmt: skip
    learner, optimizer = fabric.setup(learner, optimizer)
    state: dict[str, Any] = {
        "learner": learner, "ema": fabric.to_device(ema), "optimizer": optimizer, "epoch": 0, "seconds": 0.0,
        "labels": list(pixels.photos.labels), "photos": len(pixels.photos),
        "recipe": json.dumps(dataclasses.asdict(recipe)), "command": command, "commit": provenance.commit(),
        "hardware": provenance.hardware(),
    }  # fmt: skip
    if resume:
        fabric.load(last, state)
        if recipe_from(json.loads(state["recipe"])) != recipe:
            raise TrainingError(f"{last} was trained by another recipe: {state['recipe']}")
    return state


def _take_weights(learner: Learner, paths: Sequence[Path]) -> None:
    """Start from a checkpoint's averaged network, and from its guess of ImageNet's classes if it has one; of several
    checkpoints, from their mean."""
    mean = load_mean(paths)
    try:
        learner.network.load_state_dict(mean.network.state_dict())
    except RuntimeError:
        raise TrainingError(
            f"{paths[-1]} is of no use to start from: it has another network ({mean.recipe.network}) or "
            f"number of labels ({len(mean.labels)})."
        ) from None
    if mean.guess and isinstance(learner.guess, nn.Linear):
        learner.load_state_dict(mean.guess, strict=False)


def _save(fabric: Fabric, state: dict[str, Any], out: Path) -> None:
    beside = out / f"{LAST}.part"
    try:
        fabric.save(beside, state)
        if fabric.is_global_zero:
            os.replace(beside, out / LAST)
    finally:
        if fabric.is_global_zero:
            beside.unlink(missing_ok=True)


def _log_epoch(fabric: Fabric, metrics: dict[str, Any], out: Path) -> None:
    if fabric.is_global_zero:
        with (out / METRICS).open("a") as file:
            file.write(json.dumps(metrics) + "\n")
        log.info(" ".join(f"{k} {v}" for k, v in metrics.items()))


def _loader(fabric: Fabric, dataset: Dataset[Any], batch_size: int, shuffle: bool = False) -> Any:
    # On the CPU the loader shares the cores with the training: workers would only cost. A GPU must be fed.
    workers = 0 if fabric.device.type == "cpu" else min(12, os.cpu_count() or 1)
    loader = DataLoader(
        dataset, batch_size, shuffle=shuffle, num_workers=workers, pin_memory=workers > 0, drop_last=shuffle
    )
    return fabric.setup_dataloaders(loader)


def _learning_rate(recipe: Recipe, progress: float) -> float:
    """Linear warm-up, then a cosine to zero; `progress` runs from 0 to 1."""
    if progress < recipe.warmup:
        return recipe.learning_rate * progress / recipe.warmup
    return (
        recipe.learning_rate * (1 + math.cos(math.pi * (progress - recipe.warmup) / (1 - recipe.warmup))) / 2
    )


def _train_epoch(
    fabric: Fabric, state: dict[str, Any], recipe: Recipe, pixels: Pixels, lessons: Lessons | None, epoch: int
) -> dict[str, float]:
    # The draws of an epoch depend on the seed and the epoch alone, however often the run was interrupted before.
    seed_everything(recipe.seed * 10_007 + epoch, verbose=False)
    learner, ema, optimizer = state["learner"], state["ema"], state["optimizer"]
    learner.train()
    crops = Crops(pixels.array, epoch_samples(recipe, pixels), recipe.size_at(epoch), recipe.seed, view=epoch)
    dataset: Dataset[Any] = crops
    if lessons:
        taught_crops = TaughtCrops(crops, lessons, recipe.collages)
        dataset = Patches(taught_crops, recipe.patch_size, lessons.dreams) if lessons.live else taught_crops
    loader = _loader(fabric, dataset, recipe.batch_size, shuffle=True)
    augment, explore = Augment(recipe.colour).to(fabric.device), Explore().to(fabric.device)
    total = torch.zeros((), device=fabric.device)
    bar = tqdm(
        loader, f"epoch {epoch + 1}/{recipe.epochs} at {crops.size} px", disable=not fabric.is_global_zero,
        mininterval=1.0,
    )  # fmt: skip
    for step, (batch, targets, taught, *patches) in enumerate(bar):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(recipe, (epoch + step / len(loader)) / recipe.epochs)
        if lessons:
            photos, answers = augment(batch), lessons.answers(taught)
            if lessons.live:
                photos, answers = _join(photos, answers, explore(*patches), lessons.live)
            loss = _taught_loss(learner, photos, *answers, recipe)
        else:
            wanted = functional.one_hot(targets, len(state["labels"]) + 1).float()
            loss = _loss(learner, augment(batch), wanted, recipe)
        optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss)
        optimizer.step()
        ema.update_parameters(learner.module.network)
        total += loss.detach()
        if step % 20 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}")
    mean = (total / len(loader)).item()
    if not math.isfinite(mean):
        raise TrainingError(
            f"The loss is {mean} after epoch {epoch + 1}; start again with a lower --learning-rate."
        )
    return {"loss": round(mean, 4)}


def epoch_samples(recipe: Recipe, pixels: Pixels) -> Samples:
    """The samples of every epoch of a recipe."""
    close_share = recipe.close_share if recipe.teacher_size else 0.0
    return samples(
        pixels.targets, pixels.array.shape[1], len(pixels.photos.labels), recipe.crop_scale, recipe.neither_share,
        close_share, recipe.neither_scale,
    )  # fmt: skip


def _loss(learner: nn.Module, photos: Tensor, wanted: Tensor, recipe: Recipe) -> Tensor:
    if recipe.mixup:
        photos, (wanted,) = mixup(photos, [wanted], recipe.mixup)
    logits, _ = learner(photos)
    return functional.cross_entropy(
        with_neither(logits.float()), wanted, label_smoothing=recipe.label_smoothing
    )


def _join(
    photos: Tensor, answers: tuple[Tensor, Tensor], patches: Tensor, teacher: LiveTeacher
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The photos and the teacher's answers, with patches and what the teacher says of them added."""
    of_patches = teacher.answers(patches)
    shown = functional.interpolate(patches, photos.shape[2:], mode="bilinear", antialias=True)
    photos = torch.cat([photos, normalise(shown)]).contiguous(memory_format=torch.channels_last)
    return photos, (torch.cat([answers[0], of_patches[0]]), torch.cat([answers[1], of_patches[1]]))


def _taught_loss(
    learner: nn.Module, photos: Tensor, teacher_logits: Tensor, teacher_imagenet: Tensor, recipe: Recipe
) -> Tensor:
    """Match the teacher's answers about the same crop, for the labels and for ImageNet's classes.

    Knowledge distillation (Hinton et al. 2015, arXiv:1503.02531). Following a patient teacher (Beyer et al. 2021,
    arXiv:2106.05237), the photos' own labels play no part: the teacher learned from them, and it sees which crop lost
    the animal and which photo is labelled wrongly.
    """
    wanted = (teacher_logits / recipe.softness).softmax(dim=1)
    wanted_imagenet = teacher_imagenet.softmax(dim=1)
    if recipe.mixup:
        photos, (wanted, wanted_imagenet) = mixup(photos, [wanted, wanted_imagenet], recipe.mixup)
    logits, imagenet = learner(photos)
    answer = functional.cross_entropy(with_neither(logits.float()) / recipe.softness, wanted)
    names = functional.cross_entropy(imagenet.float(), wanted_imagenet)
    return recipe.softness**2 * answer + recipe.imagenet_weight * names


@torch.no_grad()
def evaluate_crops(
    fabric: Fabric, network: nn.Module, pixels: Pixels, size: int, batch_size: int
) -> dict[str, float]:
    """Accuracy between the labels on whole photos, and how often photos of neither look unlike any label."""
    network.eval()
    loader = _loader(fabric, whole_photos(pixels, size), batch_size)
    # Right, photos of labels, seen as neither, photos of neither, sum of losses.
    totals = torch.zeros(5, device=fabric.device)
    for batch, targets, _ in loader:
        with fabric.autocast():
            logits = network(normalise(batch).contiguous(memory_format=torch.channels_last)).float()
        labelled = targets < logits.shape[1]
        loss = functional.cross_entropy(with_neither(logits), targets, reduction="sum")
        totals += torch.stack([
            ((logits.argmax(1) == targets) & labelled).sum().float(), labelled.sum().float(),
            ((logits.logsumexp(1) < 0) & ~labelled).sum().float(), (~labelled).sum().float(), loss,
        ])  # fmt: skip
    right, labelled_count, unlike, neither, loss_sum = fabric.all_reduce(totals, reduce_op="sum").tolist()
    metrics = {"val_accuracy": right / labelled_count, "val_loss": loss_sum / (labelled_count + neither)}
    if neither:
        metrics["val_neither"] = unlike / neither
    return {name: round(value, 4) for name, value in metrics.items()}
