"""What the published model answers on packaged and generated pictures, kept in the repository.

After publishing a version, write its answers with

    python -m tests.export.stored_outputs

and read the difference before you commit it: these pictures are the ones everybody can look at.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from api import _registry
from api._classifier import Classifier
from api._photo.image import decode
from tests.conftest import ROOT, require

STORED = Path(__file__).parent / "stored_outputs.json"
# Pictures with a free licence that scikit-image brings: a cat, and three of neither.
PACKAGED = ("chelsea", "astronaut", "coffee", "rocket")


def pictures() -> dict[str, bytes]:
    """Name to PNG bytes."""
    packaged = require("skimage.data")
    arrays = {name: np.asarray(getattr(packaged, name)()) for name in PACKAGED}
    ramp = np.linspace(0, 255, 320, dtype=np.uint8)
    arrays["gradient"] = np.stack(
        [np.tile(ramp, (240, 1)), np.tile(ramp[::-1], (240, 1)), np.full((240, 320), 90)], 2
    )
    arrays["noise"] = np.random.default_rng(0).integers(0, 256, (200, 200, 3))
    return {name: _png(array.astype(np.uint8)) for name, array in arrays.items()}


def answers(models: Path = ROOT / "model") -> dict[str, Any]:
    """The version that `latest` names and its answer for each picture."""
    model = _registry.read_model(models)
    classifier = Classifier(model, threads=1)
    found: dict[str, Any] = {}
    for name, data in pictures().items():
        prediction = classifier.predict(decode(data, model.input_size).pixels[None], explain=True)[0]
        assert prediction.heatmap is not None
        found[name] = {
            "probabilities": {label: round(value, 4) for label, value in prediction.probabilities.items()},
            "recognized": round(prediction.recognized_score, 4),
            "hottest": [
                int(i) for i in np.unravel_index(prediction.heatmap.argmax(), prediction.heatmap.shape)
            ],
        }
    return {"version": model.version, "answers": found}


def _png(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


if __name__ == "__main__":
    STORED.write_text(json.dumps(answers(), indent=2) + "\n")
    sys.stdout.write(f"wrote {STORED.relative_to(ROOT)}\n")
