"""The shape of every answer and error, made here alone: over HTTP, in /docs and on the command line.

Examples of what depends on the model are missing here: _openapi.py makes them from the model that is served.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from api._classifier import Prediction
from api._photo.errors import ImageError
from api._registry import Model

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


def now() -> str:
    """The time, UTC, as ISO 8601 with a Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Answer(BaseModel):
    # `model_version` and `model_loaded` are the old service's names; pydantic reserves the prefix by default.
    model_config = ConfigDict(protected_namespaces=())


Version = Annotated[str, Field(description="The published model that answered.")]
Timestamp = Annotated[
    str, Field(description="Time of the answer, UTC, ISO 8601.", examples=["2026-11-21T10:30:00.000Z"])
]
Milliseconds = Annotated[
    float,
    Field(
        ge=0,
        description="Milliseconds the service spent on decoding, resizing and inference.",
        examples=[6.2],
    ),
]


class Heatmap(_Answer):
    """Class activation map: where the network saw the predicted label."""

    label: str = Field(description="The label that the map explains: the predicted one.")
    rows: int = Field(description="Cells from top to bottom.", examples=[2])
    columns: int = Field(description="Cells from left to right.", examples=[2])
    values: list[list[Probability]] = Field(
        description="Rows of cells over the whole upright photo; 1 is the hottest cell, 0 no evidence for the label.",
        examples=[[[0.0, 0.41], [0.2, 1.0]]],
    )

    @classmethod
    def of(cls, prediction: Prediction) -> Self | None:
        """The map of this prediction; None if it was not asked for."""
        return None if prediction.heatmap is None else cls._made(prediction.label, prediction.heatmap)

    @classmethod
    def of_all(cls, prediction: Prediction) -> list[Self] | None:
        """One map for each label present, if there are several; else None."""
        if len(prediction.heatmaps) < 2:
            return None
        return [cls._made(*pair) for pair in zip(prediction.present, prediction.heatmaps, strict=True)]

    @classmethod
    def _made(cls, label: str, heatmap: NDArray[np.float32]) -> Self:
        rows, columns = heatmap.shape
        values = heatmap.clip(0.0, 1.0).astype(float).round(3).tolist()
        return cls(label=label, rows=rows, columns=columns, values=values)


class Answer(_Answer):
    """What the network says of one photo."""

    prediction: str = Field(description="The most probable label.")
    confidence: Probability = Field(description="Its calibrated probability.")
    probabilities: dict[str, Probability] = Field(
        description="The probability of every label; they sum to 1."
    )
    recognized: bool = Field(
        description="False when the photo looks like none of the labels: then the prediction means little.",
        examples=[True],
    )
    present: list[str] = Field(
        description="The labels that the photo shows: empty when it is not recognized, several when others have strong "
        "evidence beside the prediction, in another place.",
    )
    heatmap: Heatmap | None = Field(default=None, description="Only with `?explain=true`.")
    heatmaps: list[Heatmap] | None = Field(
        default=None,
        description="Only with `?explain=true`, where several labels are present: the map of each.",
    )

    @classmethod
    def of(cls, prediction: Prediction, **more: Any) -> Self:
        """The answer for this prediction; `more` are the further fields of this kind of answer."""
        return cls(
            prediction=prediction.label,
            confidence=round(prediction.confidence, 6),
            probabilities={label: round(value, 6) for label, value in prediction.probabilities.items()},
            recognized=prediction.recognized,
            present=list(prediction.present),
            heatmap=Heatmap.of(prediction),
            heatmaps=Heatmap.of_all(prediction),
            **more,
        )


class PredictionAnswer(Answer):
    """The answer to one photo."""

    model_version: Version
    processing_time_ms: Milliseconds
    timestamp: Timestamp


class BatchItem(Answer):
    """The answer to the photo at `index` of the request."""

    index: int = Field(ge=0, description="Place of the photo in the request, from 0.", examples=[0])


class BatchError(_Answer):
    """Why the photo at `index` of the request has no answer; the others are not affected."""

    index: int = Field(ge=0, description="Place of the photo in the request, from 0.", examples=[1])
    status: int = Field(description="The status that /predict would have answered.", examples=[400])
    detail: str = Field(description="What to do.", examples=["The file is empty. Send a photo."])


class BatchAnswer(_Answer):
    """An answer or an error for each photo, in the order they were sent."""

    results: list[BatchItem | BatchError]
    model_version: Version
    processing_time_ms: Milliseconds
    timestamp: Timestamp

    @classmethod
    def of(cls, results: Sequence[Prediction | ImageError], **more: Any) -> Self:
        """The answer or error for each photo, in their order."""
        return cls(results=[_item(index, result) for index, result in enumerate(results)], **more)


def _item(index: int, result: Prediction | ImageError) -> BatchItem | BatchError:
    if isinstance(result, ImageError):
        return BatchError(index=index, status=result.status, detail=str(result))
    return BatchItem.of(result, index=index)


def closing(model_version: str, timings: dict[str, float]) -> dict[str, Any]:
    """The fields at the end of an answer; `timings` are in milliseconds."""
    return {
        "model_version": model_version,
        "processing_time_ms": round(sum(timings.values()), 2),
        "timestamp": now(),
    }


class Index(_Answer):
    """Where everything is."""

    message: str = Field(description="What the service is for, and how to begin.")
    version: str = Field(description="Version of the HTTP API.", examples=["1.0.0"])
    status: str = Field(description="`running`, or `degraded` without a usable model.", examples=["running"])
    endpoints: dict[str, str] = Field(examples=[{"predict": "/predict"}])


class Health(_Answer):
    """Whether the service can predict."""

    status: str = Field(description="`healthy`, or `unhealthy` (with HTTP status 503).", examples=["healthy"])
    model_loaded: bool = Field(examples=[True])
    device: str = Field(examples=["cpu"])
    model_version: str | None = Field(description="The version served; null without one.")
    detail: str | None = Field(default=None, description="Why it is unhealthy.", examples=[None])
    key_required: bool = Field(description="Whether predicting takes an API key.", examples=[False])
    timestamp: Timestamp

    @classmethod
    def of(cls, model: Model | None, reason: str, *, key_required: bool = False) -> Self:
        """The health of a service with this model, or with the reason why it has none."""
        return cls(
            status="healthy" if model else "unhealthy",
            model_loaded=model is not None,
            device="cpu",
            model_version=model.version if model else None,
            detail=reason or None,
            key_required=key_required,
            timestamp=now(),
        )


class ModelInfo(_Answer):
    """The published metadata of the model, and the old service's keys. Without a usable model all but two are null."""

    model_loaded: bool = Field(examples=[True])
    model_type: str | None = Field(description="The architecture.")
    num_parameters: int | None = Field(description="Numbers that were learned.")
    device: str = Field(examples=["cpu"])
    classes: list[str] | None = Field(description="The labels.")
    input_size: list[int] | None = Field(description="Height and width, pixels.")
    test_accuracy: float | None = Field(description="Share of test photos classified correctly.")
    metadata: dict[str, Any] | None = Field(description="metadata.json as published.")

    @classmethod
    def of(cls, model: Model | None) -> Self:
        """The published metadata of this model."""
        metadata = model.metadata if model else {}
        size = metadata.get("input_size")
        return cls(
            model_loaded=model is not None,
            model_type=metadata.get("architecture"),
            num_parameters=metadata.get("parameters"),
            device="cpu",
            classes=list(model.labels) if model else None,
            input_size=[size, size] if size else None,
            test_accuracy=metadata.get("metrics", {}).get("test", {}).get("accuracy"),
            metadata=metadata or None,
        )


class Error(_Answer):
    """What went wrong, as a sentence that says what to do."""

    detail: str = Field(examples=["The file is empty. Send a photo."])
