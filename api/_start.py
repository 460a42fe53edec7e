"""A start spends no time on what this service never uses: imported before the framework, ended when the app stands."""

import gc
import sys

from pydantic import BaseModel

_V1 = "pydantic.v1"


def begin() -> None:
    """Puts off what only costs time between the start of the process and its first answer.

    - Garbage collections: what a start imports is there to stay.
    - Validators of the framework's models of OpenAPI documents: built when the first document is.
    - The old pydantic: the framework imports all of it to ask of each response model whether it is one of those, and
      takes it for absent when it cannot.
    """
    gc.disable()
    BaseModel.model_config["defer_build"] = True
    sys.modules.setdefault(_V1, None)  # type: ignore[arg-type]  # documented: importing it fails


def end() -> None:
    """Undoes it for whatever this process imports later, and spares later collections what the start left behind."""
    BaseModel.model_config.pop("defer_build")
    if sys.modules[_V1] is None:
        del sys.modules[_V1]
    gc.freeze()
    gc.enable()
