"""What ends a job."""


class JobError(Exception):
    """The job cannot start or go on; the message says why and what to do. What was scored stays scored."""


class PhotoError(Exception):
    """A photo cannot be had; it becomes the error of its row.

    Attributes:
        kind: for counting: missing, unreadable, network, too large, cut off.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return PhotoError, (self.kind, str(self))
