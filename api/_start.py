"""A start spends no time on what this service never uses: imported before the framework, ended when the app stands."""

import ctypes
import gc
import sys

from pydantic import BaseModel

_V1 = "pydantic.v1"
# glibc's; elsewhere there is none, and memory goes back as that system likes.
_MALLOC_TRIM = None if sys.platform == "win32" else getattr(ctypes.CDLL(None), "malloc_trim", None)


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
    """Undoes it for whatever this process imports later, and tidies up after the start.

    Later collections are spared what it made, and the memory that it no longer needs goes back to the system.
    """
    BaseModel.model_config.pop("defer_build")
    if sys.modules[_V1] is None:
        del sys.modules[_V1]
    gc.freeze()
    gc.enable()
    if _MALLOC_TRIM:
        _MALLOC_TRIM(0)
