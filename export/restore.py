"""A published model back to a run, to train further from: on photos of your own, say, or on more of the same.

The file that is served has its batch normalisation folded into int8 convolutions. Here each filter gets its norm back:
filters of length one, and a scale and a shift that undo what normalising with the statistics of some training photos
does. The restored network computes what the published one does but for the rounding of its weights.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from api._registry import Model
from export import provenance
from export.data import Photos, load
from export.network import ResidualCNN, build, normalise
from export.quantize import split_columns
from export.train import LAST, METRICS, TrainingError, recipe_from

# The statistics are those of this many training photos, evenly spaced over the classes.
PHOTOS, BATCH = 2048, 32


def restore(model: Model, train: Photos, out: Path, command: str = "", cache: Path | None = None) -> Path:
    """Write the checkpoint of a published model to `out`, as training would have, and its metrics; return its path.

    `train` are photos to take statistics from, of any labels. Raises TrainingError if `out` holds a run, or if the
    model's file was not written by `publish`.
    """
    last = out / LAST
    if last.exists():
        raise TrainingError(f"{last} exists. Choose another --out.")
    training = model.metadata["training"]
    recipe = recipe_from(training["recipe"])
    network = build(recipe.network, len(model.labels)).eval()
    weights = _weights(model.weights)
    try:
        _take(network, weights)
    except (KeyError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"{model.directory} has no weights of a {recipe.network} network: {error}"
        ) from error
    rows = np.linspace(0, len(train) - 1, min(PHOTOS, len(train))).astype(int)
    some = Photos(train.labels, tuple(train.paths[i] for i in rows), tuple(train.targets[i] for i in rows))
    _restore_norms(network, load(some, model.input_size, cache).array)
    out.mkdir(parents=True, exist_ok=True)
    if (model.directory / METRICS).exists():
        shutil.copyfile(model.directory / METRICS, out / METRICS)
    beside = out / f"{LAST}.part"
    torch.save(
        {
            "ema": network.state_dict(), "learner": {}, "labels": list(model.labels),
            "recipe": json.dumps(dataclasses.asdict(recipe)), "epoch": recipe.epochs, "photos": training["photos"],
            "seconds": training["hours"] * 3600, "command": command, "commit": provenance.commit(),
            "hardware": training["hardware"],
        },
        beside,
    )  # fmt: skip
    os.replace(beside, last)
    return last


def _weights(file: bytes) -> dict[str, Tensor]:
    """The parameters in a published file by their names in the network, as float32."""
    arrays = {
        each.name: numpy_helper.to_array(each) for each in onnx.load_from_string(file).graph.initializer
    }
    found = {}
    for name, array in arrays.items():
        if name.endswith("_quantized"):
            name = name.removesuffix("_quantized")
            # A filter's own scale, or a bias's; both are symmetric: their zero points are zero.
            scale = arrays[f"{name}_quantized_scale" if name.endswith("_bias") else f"{name}_scale"]
            array = array.astype(np.float32) * scale.reshape(-1, *[1] * (array.ndim - 1))
        found[name.removeprefix("network.")] = torch.from_numpy(np.array(array))
    return found


def _take(network: ResidualCNN, weights: dict[str, Tensor]) -> None:
    """Load the folded convolutions; each norm just adds what was folded into its convolution's bias."""
    state = network.state_dict()
    for name in ("classifier.weight", "classifier.bias"):
        state[name] = weights[name]
    first, filters = network.stem[0], weights["stem.0.weight"].numpy()
    shape = first.kernel_size[1], first.stride[1], first.padding[1]
    weights["stem.0.weight"] = torch.from_numpy(split_columns(filters, *shape))
    for (convolution, _), (name, norm) in _pairs(network):
        state[f"{convolution}.weight"] = weights[f"{convolution}.weight"]
        state[f"{name}.bias"] = weights[f"{convolution}.weight_bias"]
        # Normalisation divides by the square root of the variance and epsilon.
        state[f"{name}.running_var"] = torch.full_like(norm.running_var, 1 - norm.eps)
        state[f"{name}.weight"] = torch.ones_like(norm.weight)
    network.load_state_dict(state)


def _pairs(network: ResidualCNN) -> list[tuple[tuple[str, Any], tuple[str, Any]]]:
    """Each convolution and the batch normalisation after it, with their names."""
    modules = list(network.named_modules())
    convolutions = [(name, module) for name, module in modules if isinstance(module, nn.Conv2d)]
    norms = [(name, module) for name, module in modules if isinstance(module, nn.BatchNorm2d)]
    return list(zip(convolutions, norms, strict=True))


@torch.no_grad()
def _restore_norms(network: ResidualCNN, pixels: np.ndarray) -> None:
    """Give each norm the statistics of its input for these photos, uint8 [N, S, S, 3]; the output stays the same."""
    norms = [norm for _, (_, norm) in _pairs(network)]
    sums = {norm: torch.zeros(2, norm.num_features, dtype=torch.float64) for norm in norms}
    counts = dict.fromkeys(norms, 0)

    def add(norm: Any, inputs: tuple[Tensor]) -> None:
        values = inputs[0].double()
        sums[norm] += torch.stack([values.sum(dim=(0, 2, 3)), values.square().sum(dim=(0, 2, 3))])
        counts[norm] += values.numel() // norm.num_features

    hooks = [norm.register_forward_pre_hook(add) for norm in norms]
    for some in np.array_split(pixels, max(1, len(pixels) // BATCH)):
        network(normalise(torch.from_numpy(np.array(some)).permute(0, 3, 1, 2)))
    for hook in hooks:
        hook.remove()
    for (_, convolution), (_, norm) in _pairs(network):
        mean, square = sums[norm] / counts[norm]
        length = convolution.weight.flatten(1).norm(dim=1).clamp(min=1e-6)
        variance = (square - mean.square()).clamp(min=0)
        norm.running_mean.copy_(mean / length)
        norm.running_var.copy_(variance / length.square())
        norm.bias += mean
        norm.weight.copy_(length * (norm.running_var + norm.eps).sqrt())
        convolution.weight /= length[:, None, None, None]
