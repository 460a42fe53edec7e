"""onnxruntime session: pixels → predictions.

Everything numeric lives in the graph (see export/graph); this module asks and names the answers.
"""

import os
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from api._present import Box, confirmed, places
from api._registry import Model, ModelError

# Activations of one photo take about 10 MB: a chunk bounds the memory of a large batch without costing speed.
CHUNK = 8

# Between two operators a thread spins for this many microseconds before it sleeps, so that the next operator seldom
# waits for it to wake. Longer would use CPU time that serverless plans bill.
SPIN_US = 20

_OUTPUTS = ("probabilities", "recognized", "heatmap")

# On Windows; elsewhere api/__init__.py switches it off.
onnxruntime.disable_telemetry_events()


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo.

    Attributes:
        label: the most probable of the model's labels.
        confidence: its probability, 0 to 1.
        probabilities: every label's, in the model's order; they sum to 1.
        recognized: whether the photo looks like any of the labels at all.
        recognized_score: how much it does, 0 to 1.
        heatmap: float32 [h, w], 0 to 1, class activation map of `label` over the whole photo; None unless asked for.
        present: the labels that the photo shows: none, `label`, or `label` and others beside it.
        heatmaps: as `heatmap`, for each label of `present`; empty unless asked for.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    recognized: bool
    recognized_score: float
    heatmap: NDArray[np.float32] | None = None
    present: tuple[str, ...] = ()
    heatmaps: tuple[NDArray[np.float32], ...] = ()


class Classifier:
    """A published model, loaded and ready. Safe to call from several threads at once."""

    def __init__(self, model: Model, threads: int | None = None) -> None:
        """
        Args:
            threads: threads within one inference; default: the processors that this process may really use.

        Raises:
            ModelError: onnxruntime cannot run the file, or it does not keep the contract.
        """
        self.model = model
        options = onnxruntime.SessionOptions()
        # Left to itself onnxruntime pins threads to cores that a small container may not have, and fails
        # (microsoft/onnxruntime issue 8313).
        options.intra_op_num_threads = threads or available_cpus()
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(SPIN_US))
        # Planned buffers for each number of photos that comes save no time here, and take 6 MB for eight photos.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                model.weights, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own exception types are not public
            raise ModelError(f"Model {model.version} cannot be run: {error}") from error
        outputs = {output.name for output in self._session.get_outputs()}
        if not outputs.issuperset(_OUTPUTS) or [i.name for i in self._session.get_inputs()] != ["pixels"]:
            raise ModelError(f"Model {model.version} does not map `pixels` to {', '.join(_OUTPUTS)}.")

    def predict(self, pixels: NDArray[np.uint8], *, explain: bool = False) -> list[Prediction]:
        """Classifies photos.

        Args:
            pixels: uint8 [N, input_size, input_size, 3], RGB.
            explain: add the class activation map of each predicted label.

        Returns:
            N predictions, in order.
        """
        predictions: list[Prediction] = []
        for first in range(0, len(pixels), CHUNK):
            predictions += self._run(pixels[first : first + CHUNK], explain)
        return predictions

    def _run(self, pixels: NDArray[np.uint8], explain: bool) -> list[Prediction]:
        probabilities, recognized, maps = self._session.run(_OUTPUTS, {"pixels": pixels})
        known = [float(score) >= self.model.recognized_threshold for score in recognized]
        beside = self._beside(pixels, probabilities, maps, known)
        return [
            self._prediction(
                probabilities[i].tolist(),
                float(recognized[i]),
                known[i],
                maps[i] if explain else None,
                beside[i],
            )
            for i in range(len(pixels))
        ]

    def _beside(
        self,
        pixels: NDArray[np.uint8],
        probabilities: NDArray[np.float32],
        maps: NDArray[np.float32],
        known: list[bool],
    ) -> list[list[int]]:
        """For each photo the labels beside its likeliest that a second look confirms (see _present.py)."""
        size = pixels.shape[1]
        looks = [
            (i, label, box)
            for i in range(len(pixels))
            if known[i]
            for label, box in places(probabilities[i].tolist(), maps[i], size)
        ]
        found: list[list[int]] = [[] for _ in pixels]
        for first in range(0, len(looks), CHUNK):
            chunk = looks[first : first + CHUNK]
            cuts = np.stack([_cut(pixels[i], box) for i, _, box in chunk])
            again, recognized = self._session.run(_OUTPUTS[:2], {"pixels": cuts})
            for (i, label, _), of_cut, score in zip(chunk, again, recognized, strict=True):
                if confirmed(float(of_cut[label]), float(score) >= self.model.recognized_threshold):
                    found[i].append(label)
        return found

    def _prediction(
        self,
        probabilities: list[float],
        score: float,
        recognized: bool,
        maps: NDArray[np.float32] | None,
        beside: list[int],
    ) -> Prediction:
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        present = [best, *beside] if recognized else []
        return Prediction(
            label=self.model.labels[best],
            confidence=probabilities[best],
            probabilities=dict(zip(self.model.labels, probabilities, strict=True)),
            recognized=recognized,
            recognized_score=score,
            heatmap=None if maps is None else maps[best],
            present=tuple(self.model.labels[i] for i in present),
            heatmaps=() if maps is None else tuple(maps[i] for i in present),
        )


def _cut(pixels: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """A part of the square that the network sees, as a square of the same size."""
    top, left, bottom, right = box
    size = pixels.shape[0]
    part = Image.fromarray(pixels[top : max(bottom, top + 1), left : max(right, left + 1)])
    return np.asarray(part.resize((size, size), Image.Resampling.BILINEAR))


def available_cpus() -> int:
    """Processors this process may use: its affinity, less what a container's CPU quota takes away."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity to ask for
        count = os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        if quota != "max":
            count = min(count, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return count
