"""The lower bound: onnxruntime and Pillow load the published file and predict one photo, without any server.

python -m benchmarks.contenders.bare PHOTO           predict once, print the label
python -m benchmarks.contenders.bare PHOTO REPEAT    also: print each repetition's milliseconds and the memory
"""

import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

MODEL = Path(__file__).resolve().parents[2] / "model"


def main(photo: str, repeat: int = 0, threads: int = 0) -> None:
    version = MODEL / "versions" / (MODEL / "latest").read_text(encoding="utf-8").strip()
    metadata = json.loads((version / "metadata.json").read_text(encoding="utf-8"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        version / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    size = (metadata["input_size"], metadata["input_size"])
    data = Path(photo).read_bytes()

    def predict() -> str:
        image = Image.open(io.BytesIO(data)).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        probabilities = session.run(["probabilities"], {"pixels": np.asarray(image)[None]})[0]
        return str(metadata["labels"][int(probabilities[0].argmax())])

    print(predict(), flush=True)
    for _ in range(repeat):
        start = time.perf_counter()
        predict()
        print((time.perf_counter() - start) * 1e3)
    if repeat:
        print(_resident_mb())


def _resident_mb() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("Rss:")).split()[1]) / 1024


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:]))
