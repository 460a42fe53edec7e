"""The learning rate schedule, and a forecast of the time that a training takes."""

from __future__ import annotations

import math
import time

from export.finetune.settings import Settings

# The time of this many steps, after the first one, is the basis of the forecast.
STEPS_TO_FORECAST = 3


class Clock:
    """Forecasts, once, how long the training will take."""

    def __init__(self, chosen: Settings) -> None:
        self.settings = chosen
        self.started, self.steps = 0.0, 0

    def step(self, epoch: int, step: int, steps: int) -> str:
        """Count a finished step; return a sentence once the forecast is known. The first step, which allocates and
        compiles, is not timed."""
        self.steps += 1
        if self.steps == 1:
            self.started = time.perf_counter()
        if self.steps != 1 + STEPS_TO_FORECAST:
            return ""
        seconds = (time.perf_counter() - self.started) / STEPS_TO_FORECAST
        return forecast(self.settings, epoch, step + 1, steps, seconds)


def forecast(chosen: Settings, epoch: int, done: int, steps: int, seconds: float) -> str:
    """A sentence on the time that is left when `done` of an epoch's `steps` are done and each takes so many seconds.

    Time grows with the number of pixels.
    """
    now = chosen.size_at(epoch) ** 2
    left = sum(steps * chosen.size_at(each) ** 2 for each in range(epoch, chosen.epochs)) / now - done
    epochs = chosen.epochs - epoch
    return f"about {_duration(left * seconds)} for {epochs} epoch{'s' if epochs > 1 else ''}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def rate(warmup: float, progress: float) -> float:
    """The share of the highest learning rate: a linear warm-up, then a cosine to zero; `progress` runs from 0 to 1."""
    if progress < warmup:
        return progress / warmup
    return (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2
