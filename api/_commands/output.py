"""What a command says, and that it cannot go on."""

import os
import sys


class CommandError(Exception):
    """The command cannot go on; the message says why."""


def say(line: str) -> None:
    """Prints at once.

    Raises:
        BrokenPipeError: nobody reads it.
        CommandError: it cannot be written.
    """
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise CommandError(f"the output cannot be written: {error.strerror}") from error


def drop_output() -> None:
    """Lets go of an output that nobody reads."""
    # What is still in the buffer would be written, and fail again, when the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
