"""The obvious program: FastAPI, onnxruntime and Pillow as in their tutorials, run by uvicorn."""

import io
import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, File
from PIL import Image

MODEL = Path(__file__).resolve().parents[2] / "model"
VERSION = MODEL / "versions" / (MODEL / "latest").read_text(encoding="utf-8").strip()
METADATA = json.loads((VERSION / "metadata.json").read_text(encoding="utf-8"))

app = FastAPI()
session = onnxruntime.InferenceSession(VERSION / "model.onnx")


@app.post("/predict")
def predict(file: Annotated[bytes, File()]) -> dict[str, object]:
    size = (METADATA["input_size"], METADATA["input_size"])
    image = Image.open(io.BytesIO(file)).convert("RGB").resize(size, Image.Resampling.BILINEAR)
    probabilities = session.run(["probabilities"], {"pixels": np.asarray(image)[None]})[0][0]
    best = int(probabilities.argmax())
    return {
        "prediction": METADATA["labels"][best],
        "confidence": float(probabilities[best]),
        "probabilities": dict(zip(METADATA["labels"], probabilities.tolist(), strict=True)),
    }


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
