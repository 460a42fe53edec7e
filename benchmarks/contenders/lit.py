"""The same file behind LitServe."""

import io
import json
import sys
from pathlib import Path

import litserve
import numpy as np
import onnxruntime
from fastapi import Request
from PIL import Image

MODEL = Path(__file__).resolve().parents[2] / "model"


class Classifier(litserve.LitAPI):
    def setup(self, device: str) -> None:
        version = MODEL / "versions" / (MODEL / "latest").read_text(encoding="utf-8").strip()
        self.metadata = json.loads((version / "metadata.json").read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self.session = onnxruntime.InferenceSession(version / "model.onnx", options)

    def decode_request(self, request: Request) -> np.ndarray:
        data = request["file"].file.read()
        size = (self.metadata["input_size"], self.metadata["input_size"])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize(size, Image.Resampling.BILINEAR))

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = self.session.run(["probabilities"], {"pixels": pixels[None]})[0][0]
        return probabilities

    def encode_response(self, probabilities: np.ndarray) -> dict[str, object]:
        best = int(probabilities.argmax())
        return {"prediction": self.metadata["labels"][best], "confidence": float(probabilities[best])}


if __name__ == "__main__":
    litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=1).run(
        port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
