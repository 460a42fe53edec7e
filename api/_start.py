"""The start of a process: a cold start is what the first visitor waits for, so nothing is done in it that can wait."""

import contextlib
import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from fastapi import FastAPI


def start() -> "FastAPI":
    """The app for this process's settings. Call it before importing FastAPI."""
    with quick():
        from api._app import create_app
        from api._settings import read_settings

        return create_app(read_settings())


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Puts off what only costs time between the start of the process and its first answer.

    - Garbage collections: what a start imports is there to stay, and later collections are spared it. Without
      this a start takes 1.09 times the processor time.
    - Validators of FastAPI's models of OpenAPI documents: built when the first document is. Without: 1.07 times.

    `python -m benchmarks choices` measures both.
    """
    gc.disable()
    BaseModel.model_config["defer_build"] = True
    try:
        yield
    finally:
        BaseModel.model_config.pop("defer_build")
        gc.freeze()
        gc.enable()
