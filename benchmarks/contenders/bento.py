"""The same file behind BentoML: `bentoml serve benchmarks.contenders.bento:Classifier`."""

import json
from pathlib import Path

import bentoml
import numpy as np
import onnxruntime
from PIL import Image as PILImage
from PIL.Image import Image

MODEL = Path(__file__).resolve().parents[2] / "model"


@bentoml.service
class Classifier:
    def __init__(self) -> None:
        version = MODEL / "versions" / (MODEL / "latest").read_text(encoding="utf-8").strip()
        self.metadata = json.loads((version / "metadata.json").read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self.session = onnxruntime.InferenceSession(version / "model.onnx", options)

    @bentoml.api
    def predict(self, file: Image) -> dict[str, object]:
        size = (self.metadata["input_size"], self.metadata["input_size"])
        image = file.convert("RGB").resize(size, PILImage.Resampling.BILINEAR)
        probabilities = self.session.run(["probabilities"], {"pixels": np.asarray(image)[None]})[0][0]
        best = int(probabilities.argmax())
        return {"prediction": self.metadata["labels"][best], "confidence": float(probabilities[best])}
