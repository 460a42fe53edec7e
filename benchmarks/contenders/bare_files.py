"""The floor of a job: one process that reads, decodes and classifies its share of a list of files.

python -m benchmarks.contenders.bare_files LIST PART OF

No limits, no errors caught, no rows written: what one writes in ten lines for a folder of good photos.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

MODEL = Path(__file__).resolve().parents[2] / "model"


def main(listed: str, part: int, of: int) -> None:
    version = MODEL / "versions" / (MODEL / "latest").read_text(encoding="utf-8").strip()
    metadata = json.loads((version / "metadata.json").read_text(encoding="utf-8"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        version / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    size = (metadata["input_size"], metadata["input_size"])
    labels = []
    for path in Path(listed).read_text(encoding="utf-8").splitlines()[part::of]:
        image = Image.open(io.BytesIO(Path(path).read_bytes())).convert("RGB")
        pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR))[None]
        probabilities = session.run(["probabilities", "recognized"], {"pixels": pixels})[0]
        labels.append(metadata["labels"][int(probabilities[0].argmax())])
    print(len(labels))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
