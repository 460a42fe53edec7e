"""python -m api predict: photos on this machine, classified without a server."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from api._classifier import Classifier, Prediction
from api._commands.output import say
from api._commands.paths import find
from api._labels import shown
from api._photo.errors import ImageError
from api._photo.image import decode
from api._registry import ModelError, read_model
from api._settings import Settings

# A longer label moves only its own row's figure.
_LABEL_WIDTH = 24


def predict(photos: Sequence[str], settings: Settings, *, as_json: bool) -> int:
    """Prints an answer a photo, as a table or as JSON lines; returns the exit status."""
    try:
        classifier = Classifier(read_model(settings.model_dir, settings.model_version), settings.threads)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = find(photos)
    for problem in found.problems:
        print(f"error: {problem}", file=sys.stderr)
    if found.left_out:
        files = "1 file" if found.left_out == 1 else f"{found.left_out} files"
        print(f"left out: {files} of the kinds that lie beside photos, like notes on edits", file=sys.stderr)
    if not found.files:
        if not found.problems:
            print("error: there is no file in there to classify", file=sys.stderr)
        return 1
    width = max(len(str(path)) for path in found.files)
    label_width = min(_LABEL_WIDTH, max(len(shown(label)) for label in classifier.model.labels))
    failures = len(found.problems)
    for path in found.files:
        result = _result(classifier, path, settings)
        failures += isinstance(result, str)
        if as_json:
            say(_json(path, result, classifier.model.version))
        else:
            say(f"{path!s:<{width}}  {_row(result, label_width)}")
    return 1 if failures else 0


def _result(classifier: Classifier, path: Path, settings: Settings) -> Prediction | str:
    """What is in this photo, or why that cannot be said."""
    try:
        photo = decode(path.read_bytes(), classifier.model.input_size, settings.max_pixels)
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"It cannot be read: {error.strerror}."
    except MemoryError:
        return "It is too large to be read."
    return classifier.predict(photo.pixels[None])[0]


def _json(path: Path, result: Prediction | str, version: str) -> str:
    if isinstance(result, str):
        return json.dumps({"file": str(path), "error": result})
    # Only here: pydantic takes 0.1 s to import.
    from api._answers import Answer

    answer = Answer.of(result).model_dump(exclude_none=True)
    return json.dumps({"file": str(path), **answer, "model_version": version})


def _row(result: Prediction | str, label_width: int) -> str:
    if isinstance(result, str):
        return f"error  {result}"
    doubt = "" if result.recognized else "  looks like none of the labels"
    return f"{shown(result.label):<{label_width}}  {result.confidence:7.2%}{doubt}"
