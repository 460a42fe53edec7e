"""The shape of every answer, from predictions that were written by hand."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api import _answers
from api._answers import Answer, BatchAnswer, Health, Heatmap, ModelInfo, closing
from api._classifier import Prediction
from api._photo.errors import ImageError
from api._registry import Model


def prediction(**more: Any) -> Prediction:
    given: dict[str, Any] = {
        "label": "cat", "confidence": 0.123456789, "probabilities": {"cat": 0.123456789, "dog": 0.87654321},
        "recognized": True, "recognized_score": 0.9, "present": ("cat",),
    }  # fmt: skip
    return Prediction(**{**given, **more})


def model(**metadata: Any) -> Model:
    return Model("1.2.0", Path(), b"", ("cat", "dog"), 224, 0.5, {"version": "1.2.0", **metadata})


def test_probabilities_have_six_digits_and_nothing_is_left_out() -> None:
    assert Answer.of(prediction(recognized=False, present=())).model_dump() == {
        "prediction": "cat", "confidence": 0.123457, "probabilities": {"cat": 0.123457, "dog": 0.876543},
        "recognized": False, "present": [], "heatmap": None, "heatmaps": None,
    }  # fmt: skip


def test_a_heatmap_has_three_digits_between_nothing_and_one() -> None:
    cells = np.array([[-0.1, 0.12345, 0.5], [1.2, 0.0005, 0.9996]], np.float32)
    heatmap = Heatmap.of(prediction(heatmap=cells))
    assert heatmap is not None
    assert heatmap.model_dump() == {
        "label": "cat", "rows": 2, "columns": 3, "values": [[0.0, 0.123, 0.5], [1.0, 0.001, 1.0]],
    }  # fmt: skip
    assert Heatmap.of(prediction()) is None


def test_several_labels_have_a_heatmap_each_and_one_has_none_of_its_own() -> None:
    cells = np.zeros((1, 1), np.float32)
    both = Heatmap.of_all(prediction(present=("cat", "dog"), heatmaps=(cells, cells + 1)))
    assert both is not None
    assert [(each.label, each.values) for each in both] == [("cat", [[0.0]]), ("dog", [[1.0]])]
    assert Heatmap.of_all(prediction(heatmaps=(cells,))) is None
    assert Heatmap.of_all(prediction()) is None


def test_an_answer_ends_with_the_version_the_milliseconds_and_the_moment() -> None:
    end = closing("1.2.0", {"decode": 1.234, "infer": 2.345})
    assert list(end) == ["model_version", "processing_time_ms", "timestamp"]
    assert (end["model_version"], end["processing_time_ms"]) == ("1.2.0", 3.58)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", end["timestamp"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", _answers.now())


def test_a_batch_counts_its_photos_from_nought_and_tells_errors_in_their_place() -> None:
    results = [ImageError("Too large.", 413), prediction(), ImageError("No photo.")]
    answer = BatchAnswer.of(results, **closing("1.2.0", {})).model_dump()
    assert answer["results"][0] == {"index": 0, "status": 413, "detail": "Too large."}
    assert (answer["results"][1]["index"], answer["results"][1]["prediction"]) == (1, "cat")
    assert answer["results"][2] == {"index": 2, "status": 400, "detail": "No photo."}


def test_health_says_what_is_served_or_why_nothing_is() -> None:
    healthy = Health.of(model(), "").model_dump()
    assert healthy.pop("timestamp").endswith("Z")
    assert healthy == {
        "status": "healthy", "model_loaded": True, "device": "cpu", "model_version": "1.2.0", "detail": None,
        "key_required": False,
    }  # fmt: skip
    ill = Health.of(None, "No model is published.", key_required=True).model_dump()
    assert (ill["status"], ill["model_loaded"], ill["model_version"]) == ("unhealthy", False, None)
    assert (ill["detail"], ill["key_required"], ill["device"]) == ("No model is published.", True, "cpu")


def test_model_info_gives_what_the_metadata_has_and_nothing_where_it_is_silent() -> None:
    described = {
        "architecture": "lite0",
        "parameters": 7,
        "input_size": 224,
        "metrics": {"test": {"accuracy": 0.9}},
    }
    whole = model(**described)
    assert ModelInfo.of(whole).model_dump() == {
        "model_loaded": True, "model_type": "lite0", "num_parameters": 7, "device": "cpu", "classes": ["cat", "dog"],
        "input_size": [224, 224], "test_accuracy": 0.9, "metadata": {"version": "1.2.0", **described},
    }  # fmt: skip
    for metrics in ({}, {"metrics": {}}, {"metrics": {"val": {"accuracy": 1}}}, {"metrics": {"test": {}}}):
        assert ModelInfo.of(model(**metrics)).test_accuracy is None
    assert ModelInfo.of(model()).input_size is None
    nothing = ModelInfo.of(None).model_dump()
    assert nothing.pop("model_loaded") is False
    assert nothing.pop("device") == "cpu"
    assert set(nothing.values()) == {None}


@pytest.mark.parametrize(
    "kind", [Answer, Heatmap, Health, ModelInfo, _answers.BatchError, _answers.BatchItem, _answers.Index]
)
def test_every_field_of_an_answer_says_what_it_is_or_gives_an_example(kind: type[_answers._Answer]) -> None:
    for name, field in kind.model_fields.items():
        assert field.description or field.examples, name


@pytest.mark.parametrize("value", [-0.001, 1.001])
def test_what_is_no_probability_is_no_answer(value: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        Answer.of(prediction(confidence=value))
    with pytest.raises(ValueError, match="index"):
        _answers.BatchError(index=-1, status=400, detail="")
    with pytest.raises(ValueError, match="index"):
        _answers.BatchItem.of(prediction(), index=-1)
    with pytest.raises(ValueError, match="processing_time_ms"):
        BatchAnswer.of([], **closing("1.2.0", {"decode": -1}))


def test_a_heatmap_may_be_missing_and_nothing_else() -> None:
    fields = {"prediction", "confidence", "probabilities", "recognized", "present"}
    assert set(Answer.model_json_schema()["required"]) == fields
    assert "detail" not in Health.model_json_schema()["required"]
