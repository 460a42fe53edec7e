"""Writes the model card: the README.md of a published version. All its figures come from the same metadata."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.evaluate import table

_PLOTS = {
    "learning.png": "Learning curves",
    "confusion.png": "Confusion matrix, test",
    "reliability.png": "Reliability diagram, test",
    "recognized.png": "How much photos look like any label, test",
    "robustness.png": "Accuracy against compression and size of the upload, test",
}


def write(metadata: dict[str, Any], folder: Path) -> str:
    """The card's Markdown; plots that lie in `folder` are shown."""
    sections = [
        _head(metadata), _figures(metadata), _masking(metadata), _training(metadata), _seeds(metadata),
        _limits(metadata), _images(folder), _licence(),
    ]  # fmt: skip
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(metadata: dict[str, Any]) -> str:
    weights = metadata["weights"]
    return f"""# Purrdict {metadata["version"]}

Tells {" from ".join(metadata["labels"])}, and both from photos of neither.

| | |
| --- | --- |
| architecture | {metadata["architecture"]} |
| parameters | {metadata["parameters"]:,} |
| input | uint8 RGB, {metadata["input_size"]} x {metadata["input_size"]} pixels, the whole photo squashed |
| weights | {weights["bytes"] / 1e6:.2f} MB, {weights["precision"]}, ONNX opset {weights["opset"]} |
| sha256 | `{weights["sha256"]}` |
| temperature | {metadata["temperature"]:.3f}, chosen on val |
| recognized from | {metadata["thresholds"]["recognized"]}, chosen on val |
| published | {metadata["created"]} |"""


def _figures(metadata: dict[str, Any]) -> str:
    parts = [
        "## Figures\n\nMeasured on the int8 file through the code that serves it. Everything was chosen on val."
    ]
    for split in ("test", "val"):
        parts.append(f"### {split}\n\n{table(metadata['metrics'][split])}")
    return "\n\n".join(parts)


def _masking(metadata: dict[str, Any]) -> str:
    hot, cold = metadata["masking"].get("hot"), metadata["masking"].get("cold")
    if not hot or not cold:
        return ""
    return f"""### Is the heatmap about the animal?

On right answers of val, a quarter of the photo was painted over with its mean colour.

| painted over | answers changed or unrecognized | probability left to the true label |
| --- | --- | --- |
| the hottest quarter | {hot["changed"]:.1%} | {hot["confidence"]:.1%} |
| the coldest quarter | {cold["changed"]:.1%} | {cold["confidence"]:.1%} |"""


def _training(metadata: dict[str, Any]) -> str:
    training = metadata["training"]
    recipe = training["recipe"]
    teacher = (
        "It learned from the answers of a teacher, EfficientNet-Lite2 trained on ImageNet with a linear head for these "
        f"labels, which looked at each photo once at {recipe['teacher_size']} pixels: which label, and which of "
        "ImageNet's classes. Nothing of the teacher is published."
        if recipe["teacher_size"]
        else "It learned from the photos' labels alone."
    )
    if recipe.get("started_from"):
        teacher = f"It started from the weights of {recipe['started_from']}. {teacher}"
    runs = training.get("mean_of", [])
    if len(runs) > 1:
        others = ", ".join(runs[:-1])
        teacher += f" The published weights are the mean of those of {others} and {runs[-1]}, which is described here."
    share = recipe.get("collages", 0) if recipe["teacher_size"] else 0
    collages = f", {share:.0%} of the crops with a part of another photo in them" if share else ""
    size = recipe.get("patch_size", 0) if recipe["teacher_size"] else 0
    patches = (
        "; beside each crop a patch of any photo, turned, recoloured and mixed, about which the teacher was asked "
        f"at {size} pixels"
        if size
        else ""
    )
    if size and recipe.get("dreams"):
        patches += (
            "; half of the patches are parts of pictures made out of the photos by changing them until "
            f"EfficientNet-Lite0 saw other classes of ImageNet's in them, of which there were {recipe['dreams']:,}"
        )
    notes = f"\n- {training['note']}" if training.get("note") else ""
    return f"""## Training

- Data: {training["data"]}, {training["photos"]:,} photos.
- {training["epochs"]} epochs: {_schedule(recipe["sizes"])}. {teacher}
- SGD with Nesterov momentum, learning rate {recipe["learning_rate"]}, cosine schedule,
  batches of {recipe["batch_size"]} per process,
  weight decay {recipe["weight_decay"]}; random crops, flips, light and colour{collages}{patches};
  mixup {recipe["mixup"] or "none"}; averaged weights (EMA {recipe["ema_decay"]}).
- {training["hours"]} hours on {training["hardware"]}, bfloat16.
- Commit `{training["commit"]}`, seed {recipe["seed"]}.{notes}

```
{training["command"]}
{training["publish_command"]}
```"""


def _seeds(metadata: dict[str, Any]) -> str:
    seeds = metadata["seeds"]
    if len(seeds) < 2:
        return ""
    rows = "\n".join(
        f"| {s['seed']} | {s['val_accuracy']:.2%} | {s.get('val_neither', 0):.1%} |" for s in seeds
    )
    rows += f"\n| mean ± standard deviation | {_spread(seeds, 'val_accuracy')} | {_spread(seeds, 'val_neither')} |"
    return f"""## Seeds

Runs that differ in nothing but the seed, each measured on val after its last epoch, in PyTorch, at the size that it was
trained at. Epochs: {_schedule(seeds[0]["sizes"])}.

| seed | accuracy | neither seen as neither |
| --- | --- | --- |
{rows}

```
{seeds[0]["command"]}
```"""


def _spread(seeds: list[dict[str, Any]], name: str) -> str:
    values = [seed.get(name, 0.0) for seed in seeds]
    return f"{statistics.mean(values):.2%} ± {statistics.stdev(values):.2%}"


def _schedule(sizes: Sequence[Sequence[int]]) -> str:
    return ", then ".join(f"{epochs} at {size} pixels" for size, epochs in sizes)


def _limits(metadata: dict[str, Any]) -> str:
    labels = " and ".join(metadata["labels"])
    return f"""## Limits

- It knows {labels}. A photo that shows several of them gets one answer; drawings, toys and close relatives
  are not tested.
- `recognized` was learned from a small set of everyday photos. It will let some photos of neither pass.
- The photos are pets at home and in shelters. Night, infrared and wildlife cameras were not seen in training.
- The whole photo is squashed to a square: a small animal in a large photo may be missed.
- Do not use it where a mistake harms an animal or a person."""


def _images(folder: Path) -> str:
    shown = [f"![{title}]({name})" for name, title in _PLOTS.items() if (folder / name).exists()]
    return "## Plots\n\n" + "\n\n".join(shown) if shown else ""


def _licence() -> str:
    return """## Licence

The weights are under the project's MIT licence. They were trained on the Kaggle "Dogs vs. Cats" photos (Asirra, from
Petfinder.com and Microsoft Research), which may not be passed on, and on photos of ImageNet categories; no photo is
part of this repository. The weights of the EfficientNets that it learned from are under Apache-2.0."""
