"""The old way: FastAPI and PyTorch, fp32, whole decoding, inference in the event loop.

python -m benchmarks.contenders.classroom PORT            with the published network
python -m benchmarks.contenders.classroom PORT classic    with the classroom's own, at 224 pixels

The weights are random: how long the arithmetic takes does not depend on their values.
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

from export.finetune.network import build, normalise

MODEL = Path(__file__).resolve().parents[2] / "model"
METADATA = json.loads(
    (MODEL / "versions" / (MODEL / "latest").read_text(encoding="utf-8").strip() / "metadata.json").read_text(
        encoding="utf-8"
    )
)
NETWORK, SIZE = METADATA["training"]["recipe"]["network"], METADATA["input_size"]
if sys.argv[2:] == ["classic"]:
    NETWORK, SIZE = "classic", 224

app = FastAPI()
network = build(NETWORK, len(METADATA["labels"]))
network.eval()


@app.post("/predict")
async def predict(file: UploadFile = File()) -> dict[str, object]:  # noqa: B008 - as FastAPI's tutorial has it
    image = (
        Image.open(io.BytesIO(await file.read()))
        .convert("RGB")
        .resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    )
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    with torch.no_grad():
        probabilities = torch.softmax(network(normalise(pixels)), dim=1)[0]
    best = int(probabilities.argmax())
    return {
        "prediction": METADATA["labels"][best],
        "confidence": float(probabilities[best]),
        "probabilities": dict(zip(METADATA["labels"], probabilities.tolist(), strict=True)),
        "timestamp": datetime.now(UTC).isoformat(),
    }


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
