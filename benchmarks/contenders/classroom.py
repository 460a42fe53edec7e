"""The replaced service: FastAPI and PyTorch, fp32, full decoding, inference in the event loop.

python -m benchmarks.contenders.classroom PORT            with the published network
python -m benchmarks.contenders.classroom PORT classic    with the network of the replaced service, at 224 pixels

The weights are random: the time of the arithmetic does not depend on their values.
"""

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, File, UploadFile
from PIL import Image
from torch import nn

from export.finetune.network import ResidualBlock, ResidualCNN

MODEL = Path(__file__).resolve().parents[2] / "model"
LATEST = (MODEL / "latest").read_text(encoding="utf-8").strip()
METADATA = json.loads((MODEL / "versions" / LATEST / "metadata.json").read_text(encoding="utf-8"))


def classic() -> nn.Sequential:
    """The residual CNN of the replaced service, with 256 features."""
    blocks = [
        ResidualBlock(channels_in, channels, stride)
        for channels_in, channels, stride in (
            (64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1),
        )
    ]  # fmt: skip
    stem = (
        nn.Conv2d(3, 64, 7, 2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1),
    )
    return nn.Sequential(*stem, *blocks)


def served() -> nn.Module:
    """The network of the model that is served."""
    if METADATA["architecture"].startswith("EfficientNet-Lite0"):
        from export.finetune.pretrained import lite0

        return lite0()
    return ResidualCNN("compact")


features, SIZE = (classic(), 224) if sys.argv[2:] == ["classic"] else (served(), METADATA["input_size"])
features.eval()
with torch.no_grad():
    channels = features(torch.zeros(1, 3, SIZE, SIZE)).shape[1]
head = nn.Linear(channels, len(METADATA["labels"]))
app = FastAPI()


@app.post("/predict")
async def predict(file: UploadFile = File()) -> dict[str, object]:  # noqa: B008 - as FastAPI's tutorial has it
    image = (
        Image.open(io.BytesIO(await file.read()))
        .convert("RGB")
        .resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    )
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    with torch.no_grad():
        maps = features((pixels.float() - 127.5) / 63.75)
        probabilities = torch.softmax(head(maps.mean(dim=(2, 3))), dim=1)[0]
    best = int(probabilities.argmax())
    return {
        "prediction": METADATA["labels"][best],
        "confidence": float(probabilities[best]),
        "probabilities": dict(zip(METADATA["labels"], probabilities.tolist(), strict=True)),
        "timestamp": datetime.now(UTC).isoformat(),
    }


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
