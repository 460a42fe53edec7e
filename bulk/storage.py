"""Where bytes lie: files here, objects in buckets (s3://, gs://), pages (http://, https://)."""

import functools
import io
import os
import stat
from collections.abc import Iterator
from typing import IO, Any

import pyarrow
import pyarrow.fs

from bulk.errors import JobError, PhotoError

# Larger than any photo that a decoder here would read; a list may name anything.
MAX_BYTES = 256 * 2**20
# One attempt of a download, and how often it is tried.
_TIMEOUT_S = 30.0
_ATTEMPTS = 4
_BUCKETS = ("s3://", "gs://", "gcs://")
_PAGES = ("http://", "https://")


def is_remote(location: str) -> bool:
    """Whether reading it waits for a network."""
    return location.startswith(_BUCKETS + _PAGES)


def is_bucket(location: str) -> bool:
    """Whether it can be listed like a folder."""
    return location.startswith(_BUCKETS)


def absolute(location: str) -> str:
    """The same from everywhere: local paths from the root, the rest as it is."""
    return location if is_remote(location) else os.path.abspath(location)


def name_of(location: str) -> str:
    """As text, for rows and messages: bytes of a file name that are no UTF-8 are written as \\xNN."""
    return os.fsencode(location).decode("utf-8", "backslashreplace")


def read(location: str) -> bytes:
    """The whole file.

    Raises:
        PhotoError: it is not there, cannot be read, or is larger than any photo.
    """
    try:
        if location.startswith(_PAGES):
            return _download(location)
        with open_stream(location) as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, pyarrow.ArrowException) as error:
        raise _photo_error(error) from error
    except MemoryError as error:
        raise PhotoError("too large", "It is too large to be read.") from error
    if len(data) > MAX_BYTES:
        raise PhotoError("too large", f"It has more than {MAX_BYTES >> 20} MiB: that is no photo.")
    return data


def open_stream(location: str) -> IO[bytes]:
    """The file, to be read from its beginning.

    Raises:
        OSError, pyarrow.ArrowException: it is not there or cannot be read.
        PhotoError: it is a pipe, a folder or a device; or a page's answer is an error.
    """
    if location.startswith(_PAGES):
        return io.BytesIO(_download(location))
    if is_bucket(location):
        system, path = _bucket(location)
        return system.open_input_stream(path)  # type: ignore[no-any-return]
    mode = os.stat(location).st_mode
    if not stat.S_ISREG(mode):
        if stat.S_ISDIR(mode):
            os.listdir(location)  # one that cannot be listed says so
        kind = "a folder" if stat.S_ISDIR(mode) else "no file"
        raise PhotoError("unreadable", f"It cannot be read: it is {kind}.")
    return open(location, "rb", buffering=0)


def open_file(location: str) -> Any:
    """The file, to be read at any place, as pyarrow does.

    Raises:
        OSError, pyarrow.ArrowException: it is not there or cannot be read.
    """
    if is_bucket(location):
        system, path = _bucket(location)
        return system.open_input_file(path)
    return pyarrow.OSFile(location)


def listing(location: str) -> Iterator[tuple[str, bool]]:
    """What lies directly in a bucket's folder, sorted: (location, whether it is a folder).

    Raises:
        JobError: it cannot be listed.
    """
    scheme = location[: location.index("://") + 3]
    try:
        system, path = _bucket(location)
        found = system.get_file_info(pyarrow.fs.FileSelector(path.rstrip("/")))
    except (OSError, pyarrow.ArrowException) as error:
        raise JobError(
            f"{location} cannot be listed: {reason(error)}. Check its name, the region and the credentials "
            "(for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, or a profile)."
        ) from error
    for info in sorted(found, key=lambda info: info.path):
        yield scheme + info.path, info.type == pyarrow.fs.FileType.Directory


def kind_of(location: str) -> str:
    """What is there: "folder", "file" or "nothing".

    Raises:
        JobError: a bucket does not let us ask.
    """
    if location.startswith(_PAGES):
        return "file"
    if not is_bucket(location):
        return "folder" if os.path.isdir(location) else "file" if os.path.exists(location) else "nothing"
    try:
        system, path = _bucket(location)
        kind = system.get_file_info(path.rstrip("/")).type
    except (OSError, pyarrow.ArrowException) as error:
        raise JobError(
            f"{location} cannot be asked for: {reason(error)}. Check its name and the credentials."
        ) from error
    kinds = {pyarrow.fs.FileType.Directory: "folder", pyarrow.fs.FileType.File: "file"}
    return kinds.get(kind, "nothing")


def reason(error: BaseException) -> str:
    """Why, in a few words."""
    text = getattr(error, "strerror", None) or str(error)
    if "ACCESS_DENIED" in text or "HTTP status 403" in text:
        return "access denied"
    if "NO_SUCH_BUCKET" in text:
        return "there is no such bucket"
    return " ".join(text.split())[:200].rstrip(".")


def _photo_error(error: BaseException) -> PhotoError:
    if isinstance(error, FileNotFoundError) or "NO_SUCH_KEY" in str(error):
        return PhotoError("missing", "It cannot be read: No such file or directory.")
    return PhotoError("unreadable", f"It cannot be read: {reason(error)}.")


def _bucket(location: str) -> tuple[Any, str]:
    scheme, _, path = location.partition("://")
    return _filesystem("gs" if scheme == "gcs" else scheme, path.partition("/")[0]), path


@functools.lru_cache(maxsize=64)
def _filesystem(scheme: str, bucket: str) -> Any:
    # Arrow reads the credentials as every client of that storage does; an endpoint of one's own it does not.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if scheme == "s3" and endpoint:
        protocol, _, host = endpoint.partition("://")
        return pyarrow.fs.S3FileSystem(
            endpoint_override=host, scheme=protocol, region=os.environ.get("AWS_REGION", "us-east-1")
        )
    return pyarrow.fs.FileSystem.from_uri(f"{scheme}://{bucket}")[0]


@functools.lru_cache(maxsize=1)
def _pool() -> Any:
    import urllib3

    retries = urllib3.Retry(_ATTEMPTS - 1, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504))
    timeout = urllib3.Timeout(connect=_TIMEOUT_S, read=_TIMEOUT_S)
    return urllib3.PoolManager(16, maxsize=64, retries=retries, timeout=timeout, block=False)


def _download(url: str) -> bytes:
    import urllib3.exceptions

    try:
        response = _pool().request("GET", url, preload_content=False)
        try:
            if response.status in (404, 410):
                raise PhotoError("missing", f"It cannot be read: the server answers {response.status}.")
            if response.status != 200:
                raise PhotoError("network", f"It cannot be read: the server answers {response.status}.")
            data: bytes = response.read(MAX_BYTES + 1)
        finally:
            response.release_conn()
    except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        raise PhotoError("network", f"It cannot be read: {_network_reason(error)}.") from error
    if len(data) > MAX_BYTES:
        raise PhotoError("too large", f"It has more than {MAX_BYTES >> 20} MiB: that is no photo.")
    return data


def _network_reason(error: BaseException) -> str:
    while (inner := getattr(error, "reason", None)) and isinstance(inner, BaseException):
        error = inner
    return " ".join(str(error).split(": ", 1)[-1].split())[:200].rstrip(".")
