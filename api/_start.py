"""A start spends no time on what this service never uses: imported before the framework, ended when the app stands."""

import ctypes
import gc
import sys

from pydantic import BaseModel

_V1 = "pydantic.v1"
# glibc's; elsewhere there are none, and memory is kept and given back as that system likes.
_C_LIBRARY = None if sys.platform == "win32" else ctypes.CDLL(None)
_MALLOC_TRIM = getattr(_C_LIBRARY, "malloc_trim", None)
_MALLOPT = getattr(_C_LIBRARY, "mallopt", None) if _MALLOC_TRIM else None
_M_ARENA_MAX = -8


def begin() -> None:
    """Puts off what only costs time between the start of the process and its first answer.

    - Garbage collections: what a start imports is there to stay.
    - Validators of the framework's models of OpenAPI documents: built when the first document is.
    - The old pydantic: the framework imports all of it to ask of each response model whether it is one of those, and
      takes it for absent when it cannot.
    """
    if _MALLOPT:
        # glibc would give each thread an arena of its own, though these seldom ask for memory at the same moment. With
        # one for all, what a thread has given back is of use to the next: 2 MB less when the second thread has begun.
        _MALLOPT(_M_ARENA_MAX, 1)
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
