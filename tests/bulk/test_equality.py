"""A job's answers are those of `POST /predict`, to the last bit, also for files that hardly are photos."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bulk.conftest import Run, rows_of
from tests.conftest import InProcess
from tests.hostile.corpus import seeds

pytestmark = pytest.mark.cluster

COUNT = 1000


def strange_files(count: int) -> Iterator[bytes]:
    """Every seed of the fuzzers as it is, then seeds cut off, with wrong bytes, or with something behind them."""
    found = {name: seed.data for name, seed in seeds().items()}
    yield from found.values()
    chance = random.Random(1)  # the same files each time
    count -= len(found)
    # The decoder gives another picture each time of a damaged HEIC: what it did not fill stays as it found the memory.
    files = [data for name, data in found.items() if not name.startswith("HEIC")]
    for number in range(count):
        data = bytearray(chance.choice(files))
        if number % 4 == 0:
            del data[chance.randrange(len(data)) :]
        elif number % 4 == 1:
            data += chance.randbytes(chance.randrange(2000))
        else:
            for _ in range(number % 7 + 1):
                data[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("strange")
    for number, data in enumerate(strange_files(COUNT)):
        (made / f"{number:04d}").write_bytes(data)
    return made


@pytest.fixture(scope="module")
def answers(folder: Path) -> dict[str, tuple[int, dict[str, Any]]]:
    """What the service says of each file."""
    service = InProcess()
    found = {}
    for path in sorted(folder.iterdir()):
        response = service.post("/predict?explain=true", files={"file": path.read_bytes()})
        found[str(path)] = response.status_code, response.json()
    return found


def test_a_thousand_strange_files_get_the_services_answers(
    score: Callable[..., Run], folder: Path, answers: dict[str, tuple[int, dict[str, Any]]]
) -> None:
    run = score(folder, "--explain")
    assert run.status == 0
    compare(run.out, answers)


def compare(out: Path, answers: dict[str, tuple[int, dict[str, Any]]]) -> None:
    """Every row against the service's answer about the same file."""
    rows = rows_of(out)
    assert [row["path"] for row in rows] == sorted(answers)
    good = 0
    for row in rows:
        status, answer = answers[row["path"]]
        if status != 200:
            assert (row["label"], row["error"]) == (None, answer["detail"])
            continue
        good += 1
        assert row["error"] is None
        assert row["label"] == answer["prediction"]
        assert row["recognized"] == answer["recognized"]
        assert rounded(row["confidence"]) == answer["confidence"]
        for label, probability in answer["probabilities"].items():
            assert rounded(row[f"probability_{label}"]) == probability
        assert np.array_equal(np.float32(row["heatmap"]), np.float32(answer["heatmap"]["values"]))
    # Both kinds are among the files, or this test would promise less than it says.
    assert good > COUNT * 0.3
    assert len(rows) - good > COUNT * 0.1


def rounded(value: float) -> float:
    """As the service rounds what the network gave, which the row holds as it is."""
    return round(float(np.float32(value)), 6)
