"""Photos out of tar shards (WebDataset) and Parquet files, one after the other, never a whole shard in memory."""

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow
import pyarrow.parquet

from bulk import storage
from bulk.errors import PhotoError
from bulk.inputs import Item

# What WebDataset puts beside a photo, under the same key.
_COMPANIONS = (
    ".aae", ".cbor", ".cls", ".cls2", ".csv", ".db", ".id", ".index", ".inx", ".ini", ".json", ".jsonl", ".md", ".mp",
    ".msgpack", ".npy", ".npz", ".pickle", ".pkl", ".pth", ".pt", ".pyd", ".pyx", ".tensor", ".ten", ".tb", ".text",
    ".txt", ".transcript", ".xml", ".xmp", ".yaml",
)  # fmt: skip
_BYTES_NAMES = ("bytes", "image", "photo", "img", "jpg", "jpeg", "data", "content")
# Photos of a Parquet file that are in memory at a time.
_ROWS = 16
# What is read of a Parquet column at a time.
_BUFFER = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One photo to score: what its row calls it, and its bytes, or why there are none.

    Attributes:
        item: number of the item that it belongs to.
        path: for the row.
        location: where to read it; empty where `data` or `error` says everything.
        data: its bytes, where reading the item gave them anyway.
        error: why there is nothing to score.
    """

    item: int
    path: str
    location: str = ""
    data: bytes | None = None
    error: PhotoError | None = None


def tar_entries(number: int, item: Item) -> Iterator[Entry]:
    """The photos of a shard in their order; what lies beside them, like .json or .cls, is left out.

    A shard that ends too early gives the photos before its end and one row for itself.
    """
    name = storage.name_of(item.location)
    members = 0
    try:
        with storage.open_stream(item.location) as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
            for member in tar:
                members += 1
                tar.members = []  # type: ignore[attr-defined]  # it would keep one entry for each, for ever
                if member.isfile() and _is_photo(member.name):
                    yield _member(number, name, tar, member)
    except PhotoError as error:
        yield Entry(number, name, error=error)
        return
    except FileNotFoundError:
        yield Entry(
            number, name, error=PhotoError("missing", "It cannot be read: No such file or directory.")
        )
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, pyarrow.ArrowException) as error:
        yield Entry(number, name, error=_cut_off(error, members))


def _is_photo(name: str) -> bool:
    last = name.rpartition("/")[2].lower()
    return not last.startswith(".") and "__macosx/" not in name.lower() and not last.endswith(_COMPANIONS)


def _member(number: int, shard: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    path = f"{shard}/{storage.name_of(member.name)}"
    if member.size > storage.MAX_BYTES:
        return Entry(number, path, error=PhotoError("too large", "It has more bytes than any photo."))
    file = tar.extractfile(member)
    data = file.read() if file else b""
    if len(data) < member.size:
        raise tarfile.ReadError("unexpected end of data")
    return Entry(number, path, data=data)


def _cut_off(error: Exception, members: int) -> PhotoError:
    if members == 0:
        return PhotoError("unreadable", f"The shard cannot be read: {storage.reason(error)}.")
    return PhotoError(
        "cut off",
        f"The shard is damaged or cut off behind its {members} first files: {storage.reason(error)}.",
    )


def parquet_entries(number: int, item: Item) -> Iterator[Entry]:
    """The photos of one row group; `path` is FILE#ROW, counted from 0 over the whole file."""
    name = storage.name_of(item.location)
    row = given = 0
    try:
        with storage.open_file(item.location) as source:
            file = pyarrow.parquet.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False)
            row = sum(file.metadata.row_group(group).num_rows for group in range(item.part))
            column = _photo_column(file.schema_arrow)
            for batch in file.iter_batches(
                _ROWS, row_groups=[item.part], columns=[column], use_threads=False
            ):
                for value in batch.column(0):
                    yield _cell(number, f"{name}#{row}", value.as_py())
                    row, given = row + 1, given + 1
    except PhotoError as error:
        yield Entry(number, name if item.part == 0 else f"{name}#{row}", error=error)
    except FileNotFoundError:
        yield Entry(
            number, name, error=PhotoError("missing", "It cannot be read: No such file or directory.")
        )
    except (OSError, pyarrow.ArrowException) as error:
        # The rest of the group, whose number the footer says, gets its rows all the same.
        why = PhotoError("cut off", f"The file is damaged here: {storage.reason(error)}.")
        if item.photos == 1 and given == 0:
            yield Entry(
                number, name, error=PhotoError("unreadable", f"It cannot be read: {storage.reason(error)}.")
            )
            return
        for place in range(item.photos - given):
            yield Entry(number, f"{name}#{row + place}", error=why)


def _cell(number: int, path: str, value: bytes | dict[str, bytes | None] | None) -> Entry:
    data = value["bytes"] if isinstance(value, dict) else value
    if data is None:
        return Entry(number, path, error=PhotoError("missing", "The row holds no photo."))
    return Entry(number, path, data=data)


def _photo_column(schema: pyarrow.Schema) -> str:
    """The column with the photos: binary, or the struct with `bytes` in it that Hugging Face's datasets write.

    Raises:
        PhotoError: there is none, or several that are not told apart by their names.
    """
    found = []
    for field in schema:
        kind = field.type
        if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            found.append((field.name, f"{field.name}.bytes"))
        elif pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind):
            found.append((field.name, field.name))
    named = [column for name, column in found if name.lower() in _BYTES_NAMES]
    candidates = named or [column for _, column in found]
    if not candidates:
        raise PhotoError(
            "unreadable", "The file has no column of bytes: photos are looked for in a binary column."
        )
    return candidates[0]
