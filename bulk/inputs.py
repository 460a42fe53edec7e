"""What an INPUT means: a folder, a bucket, a list, tar shards, Parquet. Names only; no photo is opened here."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import pyarrow
import pyarrow.parquet

from bulk import storage
from bulk._scorer import is_searched, photos_among
from bulk.errors import JobError, PhotoError

PHOTO, TAR, PARQUET = range(3)
_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_PARQUETS = (".parquet", ".pq")
_PHOTOS = (
    ".jpg",
    ".jpeg",
    ".jfif",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".avif",
    ".heic",
    ".heif",
)
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
# A list is text: what holds a zero byte in its first 4 KB is none.
_SAMPLE = 4096


@dataclass(frozen=True)
class Item:
    """What is scored as one piece: a photo, a tar shard, or a row group of a Parquet file.

    Attributes:
        kind: PHOTO, TAR or PARQUET.
        location: path or URL; local ones from the root.
        part: number of the row group; 0 for the rest.
        photos: how many photos it holds, as far as known before it is read: 1 for a photo and for a shard.
    """

    kind: int
    location: str
    part: int = 0
    photos: int = 1


def find(inputs: Sequence[str]) -> Iterator[Item]:
    """Everything in these inputs, in an order that stays the same as long as they do.

    Raises:
        JobError: an input is not there, cannot be listed, or is nothing that holds photos.
    """
    for text in inputs:
        if text == "-":
            yield from _listed(sys.stdin.buffer)
            continue
        for location in _expanded(text):
            yield from _input(storage.absolute(location))


def roots(inputs: Sequence[str]) -> tuple[str, ...]:
    """The local folders among the inputs: should one disappear, its photos are not missing but out of reach."""
    found = (storage.absolute(text) for text in inputs if text != "-" and not storage.is_remote(text))
    return tuple(root for root in found if os.path.isdir(root))


def identity(inputs: Sequence[str]) -> list[str]:
    """The inputs as a job remembers them."""
    return [text if text == "-" else storage.name_of(storage.absolute(text)) for text in inputs]


def _expanded(text: str) -> list[str]:
    """`shard-{000..012}.tar` as WebDataset has it, which shells leave alone inside quotes."""
    ranges = [
        [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        for first, last in _RANGE.findall(text)
    ]
    pieces = _RANGE.sub("\0", text).split("\0")
    return [
        "".join(piece + filling for piece, filling in zip(pieces, (*fillings, ""), strict=True))
        for fillings in product(*ranges)
    ]


def _input(location: str) -> Iterator[Item]:
    name = storage.name_of(location)
    kind = storage.kind_of(location)
    if kind == "folder":
        yield from _bucket_folder(location) if storage.is_bucket(location) else _folder(location)
    elif kind == "nothing":
        raise JobError(
            f"{name} is not there. INPUT is a folder, a list of paths, tar shards or Parquet files."
        )
    elif location.lower().endswith(_TARS + _PARQUETS + _PHOTOS):
        yield from _file(location)
    else:
        yield from _list(location)


def _file(location: str) -> Iterator[Item]:
    lowered = location.lower()
    if lowered.endswith(_TARS):
        yield Item(TAR, location)
    elif lowered.endswith(_PARQUETS):
        yield from _row_groups(location)
    else:
        yield Item(PHOTO, location)


def _row_groups(location: str) -> Iterator[Item]:
    try:
        with storage.open_file(location) as file:
            groups = pyarrow.parquet.ParquetFile(file).metadata
            counts = [groups.row_group(number).num_rows for number in range(groups.num_row_groups)]
    except (OSError, pyarrow.ArrowException, PhotoError):
        counts = [1]  # its one row will say why it cannot be read
    for number, count in enumerate(counts):
        yield Item(PARQUET, location, number, count)


def _folder(folder: str) -> Iterator[Item]:
    barred: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=lambda error: barred.append(str(error.filename))):
        folders[:] = sorted(filter(is_searched, folders))
        for name in sorted(photos_among([name for name in names if not name.startswith(".")])):
            path = os.path.join(parent, name)
            # Links to nowhere get a row that says so; pipes, sockets and devices are no files at all.
            if os.path.isfile(path) or not os.path.exists(path):
                yield from _file(path)
    for path in barred:
        if path == folder:
            raise JobError(
                f"{storage.name_of(path)} cannot be listed. Make it readable, or run as somebody who may."
            )
        yield Item(PHOTO, path)  # its row says that what is in there is not known


def _bucket_folder(folder: str) -> Iterator[Item]:
    found = list(storage.listing(folder))
    files = [location for location, is_folder in found if not is_folder and not location.endswith("/")]
    folders = [location for location, is_folder in found if is_folder]
    for location in photos_among([name for name in files if not _last(name).startswith(".")]):
        yield from _file(location)
    for location in folders:
        if is_searched(_last(location)):
            yield from _bucket_folder(location)


def _last(location: str) -> str:
    return location.rstrip("/").rpartition("/")[2]


def _list(location: str) -> Iterator[Item]:
    name = storage.name_of(location)
    try:
        with storage.open_stream(location) as stream:
            if b"\0" in stream.read(_SAMPLE):
                raise JobError(
                    f"{name} is neither a folder nor a list of paths, tar (.tar, .tar.gz) or Parquet (.parquet)."
                )
        with storage.open_stream(location) as stream:
            yield from _listed(stream)
    except (OSError, pyarrow.ArrowException, PhotoError) as error:
        raise JobError(f"{name} cannot be read: {storage.reason(error)}.") from error


def _listed(stream: Iterable[bytes]) -> Iterator[Item]:
    """One path or URL a line; relative paths from where the command runs."""
    for number, line in enumerate(_lines(stream)):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
        text = text.rstrip(b"\r\n")
        if text.strip():
            yield from _file(storage.absolute(os.fsdecode(text)))


def _lines(stream: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(1 << 20):  # type: ignore[attr-defined]
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    yield rest
