"""The documentation of the API speaks of the model that is served: its description and examples are made from it.

All of it happens when somebody first asks for the document, so that a start pays nothing for it.
"""

import re
from typing import Any

from fastapi import FastAPI

from api._labels import purpose
from api._photo.formats import READABLE
from api._registry import Model

# Of more classes than these an example would be a wall of names: it shows this many, and its field says so.
EXAMPLE_CLASSES = 5
_CONFIDENCE = 0.9987

_DESCRIPTION = """Purrdict {purpose}. It says how sure it is and where it looked, and whether the photo shows any of its
classes at all.

Send a photo to `POST /predict` as the field `file` of a multipart form, or as the body itself with an `image/*` type.
{formats} are read. Errors are `{{"detail": "a sentence that says what to do"}}`."""

# What CommonMark and HTML would take for markup within a line.
_MARKUP = re.compile(r"([\\`*_\[\]<>&~|])")


def document(app: FastAPI, model: Model | None, message: str) -> None:
    """Has the app's OpenAPI document speak of this model, or of none; `message` is what `GET /` says."""
    make = app.openapi
    finished: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        nonlocal finished
        schema = make()
        # FastAPI keeps the document, and makes another one only when routes were added.
        if schema is not finished:
            schema["info"]["description"] = description(model)
            _add_examples(schema["components"]["schemas"], model, message)
            finished = schema
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def description(model: Model | None) -> str:
    """What the API is for, in Markdown."""
    words = purpose(model.labels if model else ())
    formats = f"{', '.join(READABLE[:-1])} and {READABLE[-1]}"
    return _DESCRIPTION.format(purpose=_MARKUP.sub(r"\\\1", words), formats=formats)


def _add_examples(schemas: dict[str, Any], model: Model | None, message: str) -> None:
    examples = {"message": message, **(_of_model(model) if model else {})}
    cut = model is not None and len(model.labels) > EXAMPLE_CLASSES
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            if examples.get(name) is None:
                continue
            field["examples"] = [examples[name]]
            if model and cut and name in ("probabilities", "classes"):
                note = f"The example names {EXAMPLE_CLASSES} of {len(model.labels)}."
                field["description"] = f"{field['description']} {note}"


def _of_model(model: Model) -> dict[str, Any]:
    """Field → what this model puts into it. Where its metadata is silent there is nothing."""
    metadata = model.metadata
    names = model.labels[:EXAMPLE_CLASSES]
    rest = round((1 - _CONFIDENCE) / (len(model.labels) - 1), 6)
    return {
        "prediction": names[0],
        "label": names[0],
        "confidence": _CONFIDENCE,
        "probabilities": {names[0]: _CONFIDENCE, **dict.fromkeys(names[1:], rest)},
        "model_version": model.version,
        "model_type": metadata.get("architecture"),
        "num_parameters": metadata.get("parameters"),
        "classes": list(names),
        "input_size": [model.input_size, model.input_size],
        "test_accuracy": metadata.get("metrics", {}).get("test", {}).get("accuracy"),
        "metadata": {"version": model.version},
    }
