"""Records as binary COPY (记录的二进制编码), made column by column in whatever process has them: the connection only carries octets.

The driver encodes records one by one on the event loop, half a megabyte at a time; everything else of the process waits meanwhile.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Column, Date, DateTime, Integer, LargeBinary, SmallInteger, Table, Text, Uuid

Encoder = Callable[[Any], bytes]
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_size = struct.Struct(">i").pack
_small = struct.Struct(">ih").pack
_whole = struct.Struct(">ii").pack
_big = struct.Struct(">iq").pack
_array = struct.Struct(">iiiiii").pack
_NO_ELEMENT = struct.pack(">iiii", 12, 0, 0, 25)
_TEXT_OID = 25
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(2000, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_PIECE = 128 << 10
"""Octets handed to the connection at a time (单次写入字节)."""


def copy_octets(table: Table, columns: Sequence[str], records: Sequence[Sequence[Any]]) -> bytes:
    """Records of a table as one binary COPY of the columns named, in their order (二进制 COPY).

    Raises: ValueError for a column of a type not known here or a record of another length; struct.error, AttributeError or TypeError
    for a value that is none of its column's type.
    """
    made = [_column(table.c[name]) for name in columns]
    if any(len(record) != len(made) for record in records):
        raise ValueError(f"a record of {table.name} has {len(made)} values")
    count = struct.pack(">h", len(made))
    encoded = [list(map(encode, values)) for encode, values in zip(made, zip(*records, strict=True), strict=False)]
    return b"".join([_HEADER, *(count + b"".join(row) for row in zip(*encoded, strict=True)), _TRAILER])


async def in_pieces(octets: bytes) -> AsyncIterator[bytes]:
    """The octets in pieces, so that whatever else waits in the process gets its turn between them (分段)."""
    view = memoryview(octets)
    for begin in range(0, len(octets), _PIECE):
        yield bytes(view[begin : begin + _PIECE])


class _Memory(dict[Any, bytes]):
    """Values that come again and again are written once (重复值)."""

    def __init__(self, encode: Encoder) -> None:
        super().__init__({None: _NULL})
        self._encode = encode

    def __missing__(self, value: Any) -> bytes:
        found = self[value] = self._encode(value)
        return found


def _column(column: Column[Any]) -> Encoder:
    """How the values of a column are written. A row's own keys and octets never come twice: they are not remembered."""
    match column.type:
        case Uuid():
            return _memory_or_not(column, _uuid)
        case LargeBinary():
            return lambda value: _NULL if value is None else _size(len(value)) + value
        case ARRAY(item_type=Text()):
            return lambda value: _NULL if value is None else _texts(value)
        case SmallInteger():
            return _Memory(lambda value: _small(2, value)).__getitem__
        case BigInteger():
            return lambda value: _NULL if value is None else _big(8, value)
        case Integer():
            return _Memory(lambda value: _whole(4, value)).__getitem__
        case Text():
            return _Memory(_text).__getitem__
        case Date():
            return _Memory(lambda value: _whole(4, value.toordinal() - _EPOCH_DAY)).__getitem__
        case DateTime(timezone=True):
            return _Memory(lambda value: _big(8, (value - _EPOCH) // _MICROSECOND)).__getitem__
    raise ValueError(f"{column}: no binary form is known of {column.type!r}")


def _memory_or_not(column: Column[Any], encode: Encoder) -> Encoder:
    if column.name == "batch_id":
        return _Memory(encode).__getitem__
    return lambda value: _NULL if value is None else encode(value)


def _uuid(value: Any) -> bytes:
    return b"\0\0\0\x10" + bytes(value.bytes)


def _text(value: str) -> bytes:
    octets = value.encode()
    return _size(len(octets)) + octets


def _texts(values: Iterable[str]) -> bytes:
    written = [_text(value) for value in values]
    if not written:
        return _NO_ELEMENT
    body = b"".join(written)
    return _array(20 + len(body), 1, 0, _TEXT_OID, len(written), 1) + body
