"""The service's classifier, as the job uses it. The only module here that imports api."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from api import _many
from api._classifier import Classifier, available_cpus
from api._commands.paths import is_searched, photos_among
from api._commands.progress import Progress, duration
from api._many import Outcome
from api._photo.image import import_decoders
from api._registry import Model, ModelError, read_model
from api._settings import SettingsError, read_settings
from bulk.errors import JobError

__all__ = [
    "Outcome",
    "Progress",
    "Recipe",
    "Scorer",
    "available_cpus",
    "duration",
    "in_order",
    "is_searched",
    "load_recipe",
    "photos_among",
]

# What answers depend on, beside the model: another version of one of these may move a probability.
_PACKAGES = ("numpy", "onnxruntime", "pillow", "pi_heif")

in_order: Callable[..., Iterator[Any]] = _many.in_order


@dataclass(frozen=True)
class Recipe:
    """Everything that an answer depends on; travels to every machine that scores.

    Attributes:
        model: the verified model, with its weights: every machine runs these very bytes.
        max_pixels: the decoder's limit, as the service has it.
        explain: whether heatmaps are wanted.
        packages: versions of decoders and runtime, which must be the same everywhere.
    """

    model: Model
    max_pixels: int
    explain: bool
    packages: dict[str, str]

    @property
    def identity(self) -> dict[str, Any]:
        """What has to be the same for all rows of one job."""
        return {
            "model_version": self.model.version,
            "model_sha256": self.model.metadata["weights"]["sha256"],
            "max_pixels": self.max_pixels,
            "explain": self.explain,
            "packages": self.packages,
        }


def load_recipe(explain: bool, version: str | None = None) -> Recipe:
    """Reads the settings and the published model.

    Raises:
        JobError: a setting is wrong, or there is no usable model.
    """
    try:
        settings = read_settings()
        model = read_model(settings.model_dir, version or settings.model_version)
    except (SettingsError, ModelError) as error:
        raise JobError(str(error)) from error
    return Recipe(model, settings.max_pixels, explain, packages())


def packages() -> dict[str, str]:
    """Versions of what the answers depend on, as installed here."""
    found = {"python": "{}.{}".format(*sys.version_info)}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


class Scorer:
    """Bytes → outcome, on one thread a photo. Safe to call from several threads at once."""

    def __init__(self, recipe: Recipe) -> None:
        """
        Raises:
            JobError: the model does not run here, or this machine has other decoders than the recipe.
        """
        if (here := packages()) != recipe.packages:
            other = ", ".join(
                f"{name} {here.get(name)} instead of {version}"
                for name, version in recipe.packages.items()
                if here.get(name) != version
            )
            raise JobError(
                f"A machine of this job has {other}: its answers could differ. Install the same versions "
                "everywhere, for instance by one container image."
            )
        import_decoders()
        try:
            self._classifier = Classifier(recipe.model, threads=1)
        except ModelError as error:
            raise JobError(str(error)) from error
        self._recipe = recipe

    def __call__(self, data: bytes) -> Outcome:
        """What `POST /predict` would answer."""
        return _many.outcome(self._classifier, data, self._recipe.max_pixels, explain=self._recipe.explain)
