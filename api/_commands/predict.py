"""python -m api predict: photos on this machine, classified without a server."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from api._classifier import Classifier, Prediction, available_cpus
from api._commands.output import say
from api._commands.paths import find
from api._commands.progress import Progress
from api._labels import shown
from api._many import file_outcome, in_order
from api._registry import ModelError, read_model
from api._settings import Settings

# A longer label moves only its own row's figure.
_LABEL_WIDTH = 24


def predict(photos: Sequence[str], settings: Settings, *, as_json: bool) -> int:
    """Prints an answer a photo, as a table or as JSON lines; returns the exit status."""
    try:
        model = read_model(settings.model_dir, settings.model_version)
        found = find(photos)
        # Photos on a thread each use processors better than threads within one inference, where there are several.
        threads = settings.threads or available_cpus()
        classifier = Classifier(model, threads if len(found.files) == 1 else 1)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for problem in found.problems:
        print(f"error: {problem}", file=sys.stderr)
    if found.left_out:
        files = "1 file" if found.left_out == 1 else f"{found.left_out} files"
        print(f"left out: {files} of the kinds that lie beside photos, like notes on edits", file=sys.stderr)
    if not found.files:
        if not found.problems:
            print("error: there is no file in there to classify", file=sys.stderr)
        return 1
    print_answer = _printer(classifier, found.files, as_json=as_json)
    failures = len(found.problems)
    # Rows on a terminal are progress themselves; where they go elsewhere, a line tells how far it is.
    progress = Progress(len(found.files), quiet=sys.stdout.isatty() or not sys.stderr.isatty())
    for path, result in in_order(
        lambda path: (path, _result(classifier, path, settings)), found.files, threads
    ):
        failures += isinstance(result, str)
        print_answer(path, result)
        progress.add(1, isinstance(result, str), 1)
    progress.clear()
    return 1 if failures else 0


def _printer(
    classifier: Classifier, files: Sequence[Path], *, as_json: bool
) -> Callable[[Path, Prediction | str], None]:
    """What prints the answer to one of these files."""
    model = classifier.model
    if as_json:
        return lambda path, result: say(_json(path, result, model.version))
    width = max(len(str(path)) for path in files)
    label_width = min(_LABEL_WIDTH, max(len(shown(label)) for label in model.labels))
    return lambda path, result: say(f"{path!s:<{width}}  {_row(result, label_width)}")


def _result(classifier: Classifier, path: Path, settings: Settings) -> Prediction | str:
    """What is in this photo, or why that cannot be said."""
    result = file_outcome(classifier, path, settings.max_pixels)
    return result.prediction or result.error


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
