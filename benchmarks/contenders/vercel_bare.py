"""The lower bound on Vercel: an ASGI app without a framework that predicts the photo in a request's body."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from PIL import Image

if TYPE_CHECKING:  # types only: nothing of a framework is imported at run time
    from starlette.types import Receive, Scope, Send

MODEL = Path(os.environ.get("MODEL_DIR") or Path(__file__).resolve().parent.parent / "model")
VERSION = MODEL / "versions" / (MODEL / "latest").read_text(encoding="utf-8").strip()
METADATA = json.loads((VERSION / "metadata.json").read_text(encoding="utf-8"))
SIZE = METADATA["input_size"]

session = onnxruntime.InferenceSession(VERSION / "model.onnx", providers=["CPUExecutionProvider"])


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    image = Image.open(io.BytesIO(body)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    probabilities = session.run(["probabilities"], {"pixels": np.asarray(image)[None]})[0][0]
    answer = json.dumps({"prediction": METADATA["labels"][int(probabilities.argmax())]}).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
