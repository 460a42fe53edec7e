"""Feedback as CSV and as Parquet, made while it is sent: however many rows there are, some thousands are in memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from services.feedback.query import COLUMNS

_NAMES = (*COLUMNS, "photo_bytes")
# A spreadsheet takes a cell that begins so for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Chunks = Iterable[list[dict[str, Any]]]


class NoParquetError(Exception):
    """pyarrow is not installed; the message says what to do."""


def as_csv(chunks: Chunks) -> Iterator[bytes]:
    """UTF-8 with a line of names; text that a spreadsheet would run is quoted with an apostrophe."""
    yield (",".join(_NAMES) + "\r\n").encode()
    for rows in chunks:
        buffer = io.StringIO()
        csv.writer(buffer).writerows([[_cell(value) for value in _values(row)] for row in rows])
        yield buffer.getvalue().encode()


def _values(row: dict[str, Any]) -> list[Any]:
    return [*(row[name] for name in COLUMNS), row["photo"]["bytes"] if row["photo"] else None]


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value.isoformat() if hasattr(value, "isoformat") else value


def as_parquet(chunks: Chunks) -> Iterator[bytes]:
    """One row group a chunk. Raises NoParquetError at once, not when the first bytes are asked for."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise NoParquetError(
            "This service has no pyarrow, which writes Parquet. Ask for format=csv, or have whoever runs it "
            "pip install pyarrow."
        ) from error
    text, yes_no = pa.string(), pa.bool_()
    kinds = {
        "created_at": pa.timestamp("ms", tz="UTC"), "confidence": pa.float64(), "recognized": yes_no, "agrees": yes_no,
        "photo_bytes": pa.int32(),
    }  # fmt: skip
    schema = pa.schema([(name, kinds.get(name, text)) for name in _NAMES])

    def written() -> Iterator[bytes]:
        sink = _Sink()
        writer = pq.ParquetWriter(sink, schema)
        for rows in chunks:
            columns = zip(*map(_values, rows), strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))
            yield sink.take()
        writer.close()
        yield sink.take()

    return written()


class _Sink(io.RawIOBase):
    """A file that is only appended to; what was written is taken away to be sent."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._position += len(part)
        return len(part)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data
