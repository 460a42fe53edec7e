"""What can go wrong and the user can do something about; the message says what."""

from __future__ import annotations


class ExportError(Exception):
    """The base of all errors of the training side that the command line prints as one sentence."""
