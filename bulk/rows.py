"""The rows that come out: their columns, and how outcomes become them."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow
from PIL import Image

from bulk._scorer import Outcome, Recipe
from bulk.containers import Entry

# Side in pixels of the contact sheet's thumbnails.
_THUMBNAIL = 144
_JPEG_QUALITY = 80


def schema(recipe: Recipe) -> pyarrow.Schema:
    """The columns of a part, the same for all parts of a job.

    `probability_LABEL` for each label as the network gives it; `heatmap` only where heatmaps are wanted. Everything but
    `path`, `model_version` and `item` is null in the row of a photo that could not be scored; `error` and `error_kind`
    are null in all others.
    """
    text, number = pyarrow.string(), pyarrow.int32()
    fields = [
        ("path", text),
        ("label", text),
        ("confidence", pyarrow.float32()),
        *((f"probability_{label}", pyarrow.float32()) for label in recipe.model.labels),
        ("recognized", pyarrow.bool_()),
        ("recognized_score", pyarrow.float32()),
        ("model_version", text),
        ("width", number),
        ("height", number),
        ("error", text),
        ("error_kind", text),
        ("item", pyarrow.int64()),
    ]
    if recipe.explain:
        fields.append(("heatmap", pyarrow.list_(pyarrow.list_(pyarrow.float32()))))
    return pyarrow.schema(fields)


@dataclass(frozen=True)
class Doubtful:
    """One of the least sure answers, for the contact sheet; `photo` is a small JPEG."""

    item: int
    path: str
    label: str
    confidence: float
    photo: bytes


@dataclass
class Rows:
    """Collects the rows of one unit, and the least sure of its photos."""

    recipe: Recipe
    under: float  # the confidence below which the contact sheet wants a photo
    most: int  # how many it wants at most
    kinds: Counter[str] = field(default_factory=Counter)  # of the errors
    last_error: str = ""
    _columns: dict[str, list[Any]] = field(init=False)
    _doubtful: list[tuple[float, Entry, Outcome]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._columns = {name: [] for name in schema(self.recipe).names}

    def add(self, entry: Entry, outcome: Outcome) -> None:
        """Adds the row of one photo."""
        columns = self._columns
        values: dict[str, Any] = {"path": entry.path, "item": entry.item}
        values["model_version"] = self.recipe.model.version
        prediction, photo = outcome.prediction, outcome.photo
        if prediction and photo:
            values |= {
                "label": prediction.label,
                "confidence": prediction.confidence,
                "recognized": prediction.recognized,
                "recognized_score": prediction.recognized_score,
                "width": photo.width,
                "height": photo.height,
            }
            for label, probability in prediction.probabilities.items():
                values[f"probability_{label}"] = probability
            if prediction.heatmap is not None:
                # Rounded as the service's answer is.
                values["heatmap"] = prediction.heatmap.clip(0.0, 1.0).astype(float).round(3).tolist()
            if prediction.recognized and prediction.confidence < self.under:
                self._doubtful.append((prediction.confidence, entry, outcome))
                if len(self._doubtful) >= 2 * self.most:  # each holds its pixels
                    self._keep_most_doubtful()
        else:
            values |= {"error": outcome.error, "error_kind": outcome.kind}
            self.kinds[outcome.kind] += 1
            self.last_error = outcome.error
        for name, column in columns.items():
            column.append(values.get(name))

    def __len__(self) -> int:
        return len(self._columns["path"])

    def batch(self) -> pyarrow.RecordBatch:
        """The rows so far."""
        return pyarrow.RecordBatch.from_pydict(self._columns, schema(self.recipe))

    def doubtful(self) -> list[Doubtful]:
        """The least sure of them, with thumbnails."""
        self._keep_most_doubtful()
        return [
            Doubtful(entry.item, entry.path, outcome.prediction.label, confidence, _thumbnail(outcome))
            for confidence, entry, outcome in self._doubtful
            if outcome.prediction
        ]

    def _keep_most_doubtful(self) -> None:
        self._doubtful = sorted(self._doubtful, key=lambda found: found[0])[: self.most]


def _thumbnail(outcome: Outcome) -> bytes:
    # From what the network saw, a square, back to the shape of the photo.
    photo = outcome.photo
    if photo is None:
        return b""
    longest = max(photo.width, photo.height)
    size = [max(1, round(_THUMBNAIL * side / longest)) for side in (photo.width, photo.height)]
    image = Image.fromarray(np.ascontiguousarray(photo.pixels)).resize((size[0], size[1]))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
