"""The loop: for each batch a step of the optimizer, for each epoch a checkpoint and a line of metrics."""

from __future__ import annotations

import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from api._classifier import available_cpus
from export.files import write_text
from export.finetune import checkpoint, frozen
from export.finetune.augment import recolour
from export.finetune.checkpoint import Identity, TrainingError
from export.finetune.crops import Batches, Crops, Whole, samples
from export.finetune.learner import Learner, averaged, frozen_blocks, parameter_groups
from export.finetune.network import Network, with_none
from export.finetune.pixels import Pixels
from export.finetune.schedule import Clock, rate
from export.finetune.settings import Settings
from export.photos import evenly
from export.run import LEARNING

log = logging.getLogger(__name__)

# How often the loss is read; on a GPU each read waits for it.
STEPS_TO_LOOK = 20
# The head for the training starts fitted on this many photos.
FIRST_PHOTOS = 2000
# The blocks that are not trained are quantized on so many crops.
CALIBRATION_PHOTOS = 256
# The folder in a run's where decoded photos lie while it trains, and other things that are not kept.
PIXELS = "pixels"


class Loop:
    """One training, in each of its processes."""

    def __init__(
        self, fabric: Fabric, chosen: Settings, network: Network, train: Pixels, val: Pixels, out: Path,
        identity: Identity, c: float,
    ) -> None:  # fmt: skip
        self.fabric, self.settings, self.pixels, self.val = fabric, chosen, train, val
        self.out, self.identity, self.c = out, identity, c
        self.none = bool((train.targets == len(train.photos.labels)).any())
        learner: Any = Learner(network, len(train.photos.labels), chosen)
        self.bare: Learner = learner.to(memory_format=torch.channels_last)
        self.frozen: dict[int, InferenceSession] = {}
        self.epoch, self.seconds = 0, 0.0
        self.history: list[dict[str, Any]] = []
        self.clock = Clock(chosen)

    def start(self, state: dict[str, Any]) -> None:
        """Start, or resume from a checkpoint's state."""
        self._prepare_frozen()
        fitted = not state and (not self.settings.network or self.settings.start_from)
        if fitted and self.fabric.is_global_zero:
            self._fit_head()
        optimizer = torch.optim.AdamW(parameter_groups(self.bare, self.settings))
        self.learner, self.optimizer = self.fabric.setup(self.bare, optimizer)
        # Only now do all processes have the weights of the first one.
        self.average = averaged(self.bare, self.settings.ema_decay).to(self.fabric.device)
        if state:
            self.bare.load_state_dict(state["learner"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.epoch, self.seconds = int(state["epoch"]), float(state["seconds"])
            self.history = json.loads(state["history"])

    def _prepare_frozen(self) -> None:
        """On a CPU, let the blocks that are not trained be an int8 graph for each input size."""
        blocks = min(frozen_blocks(self.bare.network, self.settings), self.bare.network.separable)
        if blocks < 1 or self.fabric.device.type != "cpu":
            return
        for size in {size for size, _ in self.settings.sizes}:
            path = self.out / PIXELS / f"frozen-{size}.onnx"
            if self.fabric.is_global_zero and not path.exists():
                log.info("quantizing the %d blocks that are not trained, for %d pixels", blocks, size)
                shown = Crops(self.pixels, samples(self.pixels, self.settings, 0), size, self.settings, 0)
                some = evenly(len(shown), CALIBRATION_PHOTOS)
                pixels = torch.stack([shown[int(i)][0] for i in some]).permute(0, 2, 3, 1).numpy()
                frozen.make(self.bare.network.eval(), blocks, path, np.ascontiguousarray(pixels))
            self.fabric.barrier()
            self.frozen[size] = frozen.load(path)
        self.bare.given = blocks

    def network(self) -> Network:
        """The averaged network, on the CPU, ready to be exported."""
        self.average.module.cpu().float().eval()
        # The average's module is a copy of the learner; module.to() is typed without memory formats.
        network: Any = self.average.module.network
        trained: Network = network.to(memory_format=torch.contiguous_format)
        return trained

    def train(self) -> None:
        """Train the epochs that are left, saving after each."""
        for epoch in range(self.epoch, self.settings.epochs):
            started = time.perf_counter()
            line: dict[str, Any] = {"epoch": epoch + 1, "size": self.settings.size_at(epoch)}
            line |= self._train_epoch(epoch)
            line |= self._evaluate(self.settings.size_at(epoch))
            self.epoch = epoch + 1
            self.seconds += time.perf_counter() - started
            line["seconds"] = round(self.seconds, 1)
            self.history.append(line)
            self._save()
            if self.fabric.is_global_zero:
                log.info(" ".join(f"{name} {value}" for name, value in line.items()))

    def _save(self) -> None:
        state = {
            "learner": self.bare.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "epoch": self.epoch, "seconds": self.seconds,
            "history": json.dumps(self.history),
        }  # fmt: skip
        checkpoint.write_last(self.fabric, self.out / checkpoint.LAST, self.identity, state)
        if self.fabric.is_global_zero:
            write_text(self.out / LEARNING, "".join(json.dumps(line) + "\n" for line in self.history))

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        chosen, size = self.settings, self.settings.size_at(epoch)
        drawn = samples(self.pixels, chosen, epoch)
        batches = Batches(
            len(drawn), chosen.batch_size, chosen.seed, epoch, self.fabric.global_rank, self.fabric.world_size
        )
        crops = Crops(self.pixels, drawn, size, chosen, epoch)
        loader = self._loader(crops, batches)
        self.learner.train()
        total = torch.zeros((), device=self.fabric.device)
        title = f"epoch {epoch + 1}/{chosen.epochs} at {size} px"
        bar = tqdm(loader, title, disable=not self.fabric.is_global_zero, mininterval=1.0)
        for step, (photos, targets, factors) in enumerate(bar):
            for group in self.optimizer.param_groups:
                group["lr"] = group["most"] * rate(
                    chosen.warmup, (epoch + (step + 0.5) / len(batches)) / chosen.epochs
                )
            logits = self.learner(self._ready(recolour(photos, factors)))
            loss = functional.cross_entropy(
                self._classes(logits), targets, label_smoothing=chosen.label_smoothing
            )
            self.optimizer.zero_grad(set_to_none=True)
            self.fabric.backward(loss)
            self.optimizer.step()
            self.average.update_parameters(self.bare)
            total += loss.detach()
            if step % STEPS_TO_LOOK == 0:
                self._look(loss.item(), epoch)
                bar.set_postfix(loss=f"{loss.item():.3f}")
            if (said := self.clock.step(epoch, step, len(batches))) and self.fabric.is_global_zero:
                bar.clear()
                log.info(said)
        mean = float(self.fabric.all_reduce(total / len(batches), reduce_op="mean"))  # type: ignore[arg-type]
        self._look(mean, epoch)
        return {"loss": round(mean, 4)}

    def _look(self, loss: float, epoch: int) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is no number any more in epoch {epoch + 1}: the training has run away. Lower learning_rate "
                f"({self.settings.learning_rate:g}) and head_learning_rate ({self.settings.head_learning_rate:g}) in "
                "the recipe, to a third, say, and start again with another --out."
            )

    def _classes(self, logits: Tensor) -> Tensor:
        return with_none(logits.float()) if self.none else logits.float()

    def _ready(self, pixels: Tensor) -> Tensor:
        """Pixels 0 to 255 as the learner takes them."""
        graph = self.frozen.get(pixels.shape[-1])
        x = frozen.run(graph, pixels.float()) if graph else self.bare.network.normalise(pixels)
        return x.contiguous(memory_format=torch.channels_last)

    def _loader(self, dataset: Any, batches: Any) -> Any:
        # On the CPU, workers of the loader would compete with the training for the cores. A GPU needs them.
        workers = 0 if self.fabric.device.type == "cpu" else min(12, available_cpus())
        loader = DataLoader(dataset, batch_sampler=batches, num_workers=workers, pin_memory=workers > 0)
        return self.fabric.setup_dataloaders(loader, use_distributed_sampler=False)

    @torch.no_grad()
    def _evaluate(self, size: int) -> dict[str, float]:
        """Accuracy on val's whole photos, and how often photos of none of the classes look like none."""
        learner = self.average.module.eval()
        # Right, photos of labels, seen as none, photos of none, sum of losses.
        totals = torch.zeros(5, device=self.fabric.device)
        for pixels, targets in self._whole(self.val, size):
            with self.fabric.autocast():
                logits = learner(self._ready(pixels)).float()
            own = targets < logits.shape[1]
            none = (logits.logsumexp(1) < 0) & ~own
            counted = slice(None) if self.none else own
            loss = functional.cross_entropy(self._classes(logits)[counted], targets[counted], reduction="sum")
            right = (logits.argmax(1) == targets) & own
            totals += torch.stack([right.sum(), own.sum(), none.sum(), (~own).sum(), loss])
        right, own, none, others, loss = self.fabric.all_reduce(totals, reduce_op="sum").tolist()  # type: ignore[union-attr]
        if not own:
            return {}
        metrics = {"val_accuracy": right / own, "val_loss": loss / (own + (others if self.none else 0))}
        if others and self.none:
            metrics["val_none_unrecognized"] = none / others
        return {name: round(value, 4) for name, value in metrics.items()}

    def _whole(self, pixels: Pixels, size: int) -> Any:
        numbers = list(range(self.fabric.global_rank, len(pixels.rows), self.fabric.world_size))
        step = 2 * self.settings.batch_size
        return self._loader(
            Whole(pixels, size), [numbers[i : i + step] for i in range(0, len(numbers), step)]
        )

    @torch.no_grad()
    def _fit_head(self) -> None:
        """Start the head for the training with fitted weights."""
        log.info("fitting a first head on the features of the network as it is")
        learner = self.bare.to(self.fabric.device).eval()
        whole = Whole(self.pixels, self.settings.size_at(0))
        # This many photos, evenly spaced, make a start that is good enough.
        some = evenly(len(whole), FIRST_PHOTOS)
        pooled: list[NDArray[np.float32]] = []
        step = 2 * self.settings.batch_size
        for first in tqdm(range(0, len(some), step), "first features", mininterval=1.0):
            photos = torch.stack([whole[i][0] for i in some[first : first + step]])
            pooled.append(learner.pooled(self._ready(photos.to(self.fabric.device))).cpu().numpy())
        self.bare.fit_head(np.concatenate(pooled), self.pixels.targets[some], self.c)
