"""The classifier: what it asks of onnxruntime, how it treats many photos, and the second look at its own place."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from api import _classifier
from api._classifier import CHUNK, SPIN_US, Classifier, available_cpus
from api._registry import ModelError, read_model
from tests import models
from tests.conftest import require
from tests.models import INPUT_SIZE

SIDE = INPUT_SIZE


def colours(*, name: str = "pixels", output: str = "heatmap") -> Any:
    """A network of two labels, red and blue: each label's map is where its colour is, and its probability follows from
    how much of the photo that is. What is neither red nor blue is not recognized."""
    onnx = require("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", [name], ["float"], to=kinds.FLOAT),
        helper.make_node("Div", ["float", "white"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled", "places"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "weight"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("MatMul", ["colour", "either"], ["recognized"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Gather", ["cells", "red_and_blue"], [output], axis=1),
    ]
    values = {
        "white": np.float32(255), "places": np.array([1, 2]), "red_and_blue": np.array([0, 2]),
        "weight": np.array([[3, -3], [0, 0], [-3, 3]], np.float32), "either": np.array([1, 0, 1], np.float32),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info(name, kinds.UINT8, ["photos", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("probabilities", kinds.FLOAT, ["photos", 2]),
            helper.make_tensor_value_info("recognized", kinds.FLOAT, ["photos"]),
            helper.make_tensor_value_info(output, kinds.FLOAT, ["photos", 2, 4, 4]),
        ],
        [onnx.numpy_helper.from_array(np.asarray(value), each) for each, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Classifier]:
    def load(weights: bytes | None = None, threshold: float = 0.5, threads: int | None = None) -> Classifier:
        if weights is not None:
            monkeypatch.setattr(models, "_graph", lambda classes: weights)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder = models.publish(folder, ("red", "blue"), thresholds={"recognized": threshold})
        return Classifier(read_model(folder), threads)

    return load


def photo(red: int, blue: int = 0) -> np.ndarray:
    """So many columns of red from the left, and of blue from the right; black between them."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:, :red, 0] = 255
    pixels[:, SIDE - blue :, 2] = 255
    return pixels


RED, BOTH = photo(32), photo(16, 14)


def test_a_label_at_its_own_place_is_present_beside_the_likeliest(load: Callable[..., Classifier]) -> None:
    only, both = load(colours()).predict(np.stack([RED, BOTH]))
    assert (only.label, only.present) == ("red", ("red",))
    assert (both.label, both.present) == ("red", ("red", "blue"))
    assert both.confidence < 0.7, "the second look adds a label and changes no probability"


def test_where_the_second_look_is_not_sure_there_is_one_label(load: Callable[..., Classifier]) -> None:
    (one,) = load(colours()).predict(photo(24, 6)[None])  # in the half with the blue there is more red
    assert one.probabilities["blue"] > 0.01
    assert one.present == ("red",)


def test_the_second_look_is_at_the_place_that_was_found() -> None:
    pixels = np.arange(SIDE * SIDE * 3, dtype=np.uint32).reshape(SIDE, SIDE, 3).astype(np.uint8)
    assert (_classifier._cut(pixels, (0, 0, SIDE, SIDE)) == pixels).all()
    assert (_classifier._cut(pixels, (5, 9, 6, 10)) == pixels[5, 9]).all()
    # Too small a map can leave nothing between two edges: one pixel is looked at then.
    assert (_classifier._cut(pixels, (5, 9, 5, 9)) == pixels[5, 9]).all()
    halves = photo(16, 16)
    assert (_classifier._cut(halves, (0, 16, SIDE, SIDE)) == (0, 0, 255)).all()
    assert (_classifier._cut(halves.transpose(1, 0, 2), (0, 0, 16, SIDE)) == (255, 0, 0)).all()


def test_a_photo_that_is_not_recognized_shows_nothing_and_is_not_looked_at_again(
    load: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = load(colours(), threshold=0.9)
    faint = photo(16, 8)  # three quarters of it are red or blue
    monkeypatch.setattr(_classifier, "_cut", lambda *_: pytest.fail("there was a second look"))
    (one,) = classifier.predict(faint[None], explain=True)
    assert (one.recognized, one.present, one.heatmaps) == (False, (), ())
    assert one.recognized_score == pytest.approx(0.75)
    assert one.heatmap is not None


def test_a_score_of_exactly_the_threshold_is_recognized_at_both_looks(
    load: Callable[..., Classifier],
) -> None:
    scores = [
        each.recognized_score for each in load(colours()).predict(np.stack([photo(16, 16), photo(8, 8)]))
    ]
    assert scores == [1.0, 0.5]
    (half,) = load(colours()).predict(photo(8, 8)[None])
    assert half.recognized
    strict = load(colours(), threshold=1.0)
    assert strict.predict(photo(16, 16)[None])[0].present == ("red", "blue")


def test_many_photos_are_answered_as_each_alone_is(load: Callable[..., Classifier]) -> None:
    classifier = load(colours())
    columns = [(32, 0), (16, 14), (14, 16), (0, 32), (16, 12), (12, 16), (16, 14)] * 3
    pixels = np.stack([photo(*each) for each in columns])
    assert len(pixels) > 2 * CHUNK
    together = classifier.predict(pixels, explain=True)
    alone = [classifier.predict(one[None], explain=True)[0] for one in pixels]
    assert [each.present for each in together] == [each.present for each in alone]
    assert sum(len(each.present) == 2 for each in together) == 15
    for one, other in zip(together, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities)
        assert one.heatmap is not None
        assert (one.heatmap == other.heatmap).all()
        assert len(one.heatmaps) == len(one.present)


def test_no_more_than_a_chunk_is_asked_at_once(
    load: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, asked = load(colours()), []

    class Counting:
        def run(self, outputs: Any, inputs: Any, session: Any = classifier._session) -> Any:
            asked.append((len(inputs["pixels"]), len(outputs)))
            return session.run(outputs, inputs)

    classifier._session = Counting()
    classifier.predict(np.stack([BOTH] * (CHUNK + 3)))
    # A second look needs no map: it is not computed.
    assert asked == [(CHUNK, 3), (CHUNK, 2), (3, 3), (3, 2)]
    # Three classes may ask for two looks of each photo.
    asked.clear()
    looks = [(0, 1, (0, 0, 8, 8))] * (CHUNK + 1)
    monkeypatch.setattr(_classifier, "places", lambda *_: [(label, box) for _, label, box in looks])
    classifier.predict(BOTH[None])
    assert asked == [(1, 3), (CHUNK, 2), (1, 2)]


def test_maps_are_there_only_when_asked_for(load: Callable[..., Classifier]) -> None:
    classifier = load(colours())
    assert classifier.predict(BOTH[None])[0].heatmap is None
    assert classifier.predict(BOTH[None])[0].heatmaps == ()
    (asked,) = classifier.predict(BOTH[None], explain=True)
    assert asked.heatmap is not None
    assert (asked.heatmap == [[1, 1, 0, 0]] * 4).all(), "the map is the likeliest label's"
    assert (asked.heatmaps[1] == [[0, 0, 0.75, 1]] * 4).all(), "and each present label has its own"


@pytest.mark.parametrize("change", [{"name": "photo"}, {"output": "map"}])
def test_a_network_that_does_not_keep_the_contract_is_refused(
    load: Callable[..., Classifier], change: dict[str, str]
) -> None:
    with pytest.raises(ModelError, match="does not map `pixels` to probabilities, recognized, heatmap"):
        load(colours(**change))


def test_a_file_that_is_no_network_is_refused(load: Callable[..., Classifier]) -> None:
    with pytest.raises(ModelError, match=r"Model 3\.1\.0 cannot be run"):
        load(b"no network")


def test_onnxruntime_is_told_what_serving_needs(
    load: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    session = onnxruntime.InferenceSession

    def start(weights: bytes, options: Any, **more: Any) -> Any:
        told.append((options, more))
        return session(weights, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    load(colours(), threads=3)
    ((options, more),) = told
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.spin_duration_us") == str(SPIN_US)
    assert options.enable_mem_pattern is False
    assert options.log_severity_level == 3, "what the runtime warns of is no line of the service's log"
    assert more == {"providers": ["CPUExecutionProvider"]}


def test_threads_are_as_many_as_the_processors_that_may_be_used(
    load: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_classifier, "available_cpus", lambda: 2)
    started: list[Any] = []
    session = onnxruntime.InferenceSession

    def start(weights: bytes, options: Any, **more: Any) -> Any:
        started.append(options)
        return session(weights, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    load(colours())
    assert started[0].intra_op_num_threads == 2


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [("max 100000", 4), ("200000 100000", 2), ("50000 100000", 1), ("900000 100000", 4), ("160000 100000", 2),
     ("", 4), ("much more", 4), (None, 4)],
)  # fmt: skip
def test_a_containers_quota_limits_the_processors(
    monkeypatch: pytest.MonkeyPatch, quota: str | None, cpus: int
) -> None:
    def opened(path: str, **_: Any) -> io.StringIO:
        assert path == "/sys/fs/cgroup/cpu.max"
        if quota is None:
            raise FileNotFoundError(path)
        return io.StringIO(quota)

    monkeypatch.setattr(_classifier, "open", opened, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert available_cpus() == cpus


def test_where_no_affinity_is_known_all_processors_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(path: str, **_: Any) -> io.StringIO:
        raise FileNotFoundError(path)

    monkeypatch.setattr(_classifier, "open", unknown, raising=False)
    monkeypatch.delattr(os, "sched_getaffinity")
    for count, used in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert available_cpus() == used
