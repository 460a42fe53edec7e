"""Photos, and the requests that post them."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

BOUNDARY = "purrdict-benchmark"


def photo(width: int = 500, height: int = 375, quality: int = 90, grain: float = 0.0) -> bytes:
    """Chelsea the cat (scikit-image, CC0) as a JPEG of this size; `grain` adds noise, as a camera's sensor does."""
    image = Image.fromarray(_chelsea()).resize((width, height), Image.Resampling.BICUBIC)
    if grain:
        noise = np.random.default_rng(0).normal(0, grain, (height, width, 1))
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _chelsea() -> np.ndarray:
    from skimage import data

    load: Callable[[], np.ndarray] = data.chelsea  # scikit-image has no types
    return load()


def form(data: bytes, field: str = "file", path: str = "/predict") -> bytes:
    """A whole HTTP/1.1 request that posts the photo as a multipart form."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"\r\n'
    body = head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + data + f"\r\n--{BOUNDARY}--\r\n".encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
