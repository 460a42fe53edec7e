"""The served graph answers exactly what body and head say, and its heatmap is exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from api._classifier import Classifier
from export import run as runs
from export.body import body as bodies
from export.body.body import Body, session
from export.graph.assemble import OUTPUTS, assemble
from export.head import Head
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def body() -> Body:
    return bodies.load(ROOT / "model" / "bodies" / "lite0")


def head_for(body: Body, labels: int) -> Head:
    random = np.random.default_rng(0)
    return Head(
        random.normal(0, 0.3, (labels, body.channels)).astype(np.float32),
        random.normal(size=labels).astype(np.float32),
    )


def pictures(count: int = 3) -> np.ndarray:
    coarse = np.random.default_rng(1).integers(0, 256, (count, 7, 7, 3), dtype=np.uint8)
    return coarse.repeat(32, axis=1).repeat(32, axis=2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_probabilities_and_recognized_are_those_of_the_head(body: Body, temperature: float) -> None:
    head, pixels = head_for(body, 4), pictures()
    logits = runs.expected_logits(body, head, pixels) / temperature
    probabilities, recognized = session(assemble(body, head, temperature)).run(
        OUTPUTS[:2], {"pixels": pixels}
    )
    exponentials = np.exp(logits)
    assert np.allclose(probabilities, exponentials / exponentials.sum(axis=1, keepdims=True), atol=2e-3)
    assert np.allclose(recognized, 1 - 1 / (1 + exponentials.sum(axis=1)), atol=2e-3)


def test_the_heatmap_is_each_cells_share_in_the_labels_lead_over_the_others_interpolated(body: Body) -> None:
    head, pixels = head_for(body, 3), pictures(1)
    heat = np.asarray(session(assemble(body, head, 1.0)).run(["heatmap"], {"pixels": pixels})[0])[0]
    maps = np.asarray(body.session().run(["features"], {"pixels": pixels})[0])[0]
    cells = body.normalise(maps.reshape(body.channels, -1).T)
    evidence = cells @ head.weights.T
    # The others are the two other labels and none of them, whose logit is zero.
    lead = evidence - (evidence.sum(axis=1, keepdims=True) - evidence) / 3
    coarse = lead.T.reshape(3, 7, 7)
    expected = np.maximum([cubic(cubic(each).T).T for each in coarse], 0)
    expected /= np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-6)
    assert np.allclose(heat, expected, atol=5e-3)


def cubic(rows: np.ndarray) -> np.ndarray:
    """Twice as many rows, by cubic convolution (Keys 1981, a = -0.75), with the rows outside left out."""
    count = len(rows)
    finer = []
    for i in range(2 * count):
        at = (i + 0.5) / 2 - 0.5
        near = np.arange(int(np.floor(at)) - 1, int(np.floor(at)) + 3)
        distance = np.abs(at - near)
        weights = np.where(
            distance <= 1, 1.25 * distance**3 - 2.25 * distance**2 + 1,
            -0.75 * distance**3 + 3.75 * distance**2 - 6 * distance + 3,
        )  # fmt: skip
        inside = (near >= 0) & (near < count)
        finer.append((weights[inside] / weights[inside].sum()) @ rows[near[inside]])
    return np.array(finer)


@pytest.mark.parametrize("labels", [2, 37, 120])
def test_any_number_of_labels_is_served_within_the_limits(body: Body, labels: int, tmp_path: Path) -> None:
    graph = assemble(body, head_for(body, labels), 1.0)
    assert len(graph) < (4e6 if labels < 60 else 4.5e6)
    names = [f"class {i}" for i in range(labels)]
    metadata = {"labels": names, "input_size": 224, "thresholds": {"recognized": 0.5}}
    prediction = Classifier(runs.as_model(graph, metadata, tmp_path)).predict(pictures(1), explain=True)[0]
    assert list(prediction.probabilities) == names
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert prediction.heatmap is not None
    assert prediction.heatmap.shape == (14, 14)


def test_the_file_names_nothing_of_the_machine_that_made_it(body: Body) -> None:
    model = onnx.load_from_string(assemble(body, head_for(body, 2), 1.0))
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
