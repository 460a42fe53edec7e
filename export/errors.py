"""Errors that the user can do something about; the message says what."""

from __future__ import annotations


class ExportError(Exception):
    """Base class of the errors that the command line of the training side prints as one sentence."""
