"""Warm latency of one client: against the same work in one process, and against decoding a large photo whole."""

import io
import time

import numpy as np
from PIL import Image

from api._classifier import Classifier
from api._registry import read_model
from benchmarks._contenders import PURRDICT
from benchmarks._figures import Sample, difference, pairwise, ratio
from benchmarks._load import Client, latencies, timed
from benchmarks._report import Row
from benchmarks._requests import photo
from benchmarks._servers import ROOT, running

ROUNDS = 25
REQUESTS = 12
LARGE_RUNS = 10


def main() -> list[Row]:
    small, large = photo(), photo(4000, 3000, quality=88, grain=11.0)
    request = PURRDICT.request(small)
    floor = Floor()
    with running(PURRDICT, request) as (server, _):
        # In short turns: a virtual machine's speed can change several times a second.
        ours, bare = pairwise(
            lambda: latencies(server.port, request, REQUESTS).median,
            lambda: Sample(tuple(floor.ms(small) for _ in range(REQUESTS))).median,
            ROUNDS,
        )
        large_served, large_whole = _large(server.port, large, floor)
    more = difference(ours, bare)
    share = ratio(large_served, large_whole)
    size = f"{len(large) / 1e6:.1f} MB"
    return [
        Row(
            "p50 of a 500 x 375 JPEG, ms",
            str(ours),
            f"in one process {bare}",
            f"{more:+.2f} ms",
            "+2.5 ms",
            more <= 2.5,
        ),
        Row(
            f"p50 of a 12-megapixel JPEG ({size}), ms",
            str(large_served),
            f"decoded whole {large_whole}",
            f"{share:.2f} x",
            "0.25 x",
            share <= 0.25,
        ),
    ]


class Floor:
    """Decode, resize and `session.run` in this process: the work itself, without a server."""

    def __init__(self) -> None:
        model = read_model(ROOT / "model")
        self._classifier = Classifier(model)
        self._size = (model.input_size, model.input_size)
        for _ in range(10):
            self.ms(photo())

    def ms(self, data: bytes) -> float:
        start = time.perf_counter()
        image = Image.open(io.BytesIO(data)).convert("RGB").resize(self._size, Image.Resampling.BILINEAR)
        self._classifier.predict(np.asarray(image)[None])
        return (time.perf_counter() - start) * 1e3


def _large(port: int, data: bytes, floor: Floor) -> tuple[Sample, Sample]:
    client = Client(port)
    try:
        request = PURRDICT.request(data)
        return pairwise(lambda: timed(client, request), lambda: floor.ms(data), LARGE_RUNS)
    finally:
        client.close()
