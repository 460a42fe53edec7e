"""Who scores: this machine's threads, or a Ray cluster. Both take units and give their rows, in any order."""

from collections.abc import Generator, Iterator
from typing import Protocol

from bulk._scorer import Recipe, Scorer
from bulk.scoring import Scored, Unit, score

Scores = Generator[Scored | None, None, None]


class Engine(Protocol):
    """Runs units."""

    def run(self, units: Iterator[Unit], recipe: Recipe, remote: bool) -> Scores:
        """Gives each unit's rows; None while it waits, so that the caller may look after other things. Closing it,
        before `close`, gives up what is in work.

        Raises:
            JobError: it cannot go on; what was given so far stands.
        """
        ...

    def close(self) -> None:
        """Ends what it has started."""
        ...


class LocalEngine:
    """The threads of this process. Nothing to install, nothing to start."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, units: Iterator[Unit], recipe: Recipe, remote: bool) -> Scores:
        """As Engine says."""
        yield from score(units, recipe, Scorer(recipe), self._workers, remote)

    def close(self) -> None:
        """As Engine says."""
