"""Many rows read column by column (按列批量读取): the server puts each column together, and it comes as one value.

COPY sends row by row, and whoever reads it takes every field of every row apart. A column that comes whole is an Arrow buffer as it stands,
or is split once. Within one query every aggregate sees the rows in the same order, so the columns stand beside each other as rows would.
Texts stand between marks that no code holds; where one holds them after all, which is counted, every text is sent with its length instead.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.rules.refusals import InvariantBroken
from fenzhi.store.session import UnitOfWork

UUID_BYTES = 16
_TEXT_BYTES = 36
_POSTGRES_EPOCH = 10_957
"""Days from 1970-01-01 to 2000-01-01, where the server begins to count."""
_BETWEEN, _BEFORE = "\x1e", "\x1f"
"""Between the values of a column; before each value of a list."""
_MISSING = "\x1d"


class Kind(Enum):
    """How a column travels (列的传输方式). A column is never null but for `MAYBE_INT32` and `MAYBE_TEXT`."""

    UUID = "string_agg(uuid_send({0}), '')"
    DIGEST = "string_agg({0}, '')"
    """32 octets."""
    INT32 = "string_agg(int4send({0}), '')"
    INT64 = "string_agg(int8send({0}), '')"
    DATE = "string_agg(date_send({0}), '')"
    MAYBE_INT32 = "string_agg(int4send(coalesce({0}, -2147483648)), '')"
    TEXT = "string_agg({0}, E'\\x1e')"
    MAYBE_TEXT = "string_agg(coalesce({0}, E'\\x1d'), E'\\x1e')"
    TEXTS = "string_agg(case when {0} = '{{}}' then '' else E'\\x1f' || array_to_string({0}, E'\\x1f') end, E'\\x1e')"
    """A list of texts."""


_WIDTH = {Kind.UUID: 16, Kind.DIGEST: 32, Kind.INT32: 4, Kind.INT64: 8, Kind.DATE: 4, Kind.MAYBE_INT32: 4}
_COUNTED = {Kind.TEXTS: "coalesce(sum(cardinality({0})), 0)", Kind.MAYBE_TEXT: "count(*) - count({0})"}
"""What the server counts of a column, so that a value that holds a mark is found out."""
_SENT = {
    Kind.TEXT: "string_agg(array_send(array[{0}]::text[]), '')",
    Kind.MAYBE_TEXT: "string_agg(array_send(array[{0}]::text[]), '')",
    Kind.TEXTS: "string_agg(array_send({0}::text[]), '')",
}
"""Texts with their lengths, as an array is sent: for values that hold a mark."""


class _HoldsMark(Exception):
    """A text holds one of the marks that stand between texts."""


async def read_columns(uow: UnitOfWork, columns: Mapping[str, tuple[Kind, str]], sources: Sequence[str]) -> pa.Table:
    """The rows of sources as an Arrow table (按列读取), in one statement, in the transaction and scope at hand.

    Shape: `columns` names each with its kind and its SQL over each of `sources`, which begins with FROM; the sources have no row in common.
    A uuid comes as its 16 octets. Some hundred thousand rows a source: a column of a source is one value, and there the limit is 1 GB.
    Raises: InvariantBroken when a column has another number of values than there are rows.
    """
    raw = await uow.connection.get_raw_connection()
    driver: Any = raw.driver_connection
    # One process reads: the order of rows is then the same for every column beyond doubt.
    await driver.execute("select set_config('max_parallel_workers_per_gather', '0', true)")
    asked = [kind.value.format(sql) for kind, sql in columns.values()]
    counted = [_COUNTED.get(kind, "0").format(sql) for kind, sql in columns.values()]
    try:
        answered = await driver.fetch(_union(["count(*)", *asked, *counted], sources))
        return pa.concat_tables([_table(columns, row) for row in answered])
    except _HoldsMark:
        asked = [_SENT.get(kind, kind.value).format(sql) for kind, sql in columns.values()]
        answered = await driver.fetch(_union(["count(*)", *asked], sources))
        return pa.concat_tables([_table(columns, row, is_sent=True) for row in answered])


def _union(asked: Sequence[str], sources: Sequence[str]) -> str:
    return " union all ".join(f"select {', '.join(asked)} {source}" for source in sources)


def _table(columns: Mapping[str, tuple[Kind, str]], row: Sequence[Any], *, is_sent: bool = False) -> pa.Table:
    rows, found = int(row[0]), {}
    for place, (name, (kind, _sql)) in enumerate(columns.items(), start=1):
        value = row[place]
        if kind in _WIDTH:
            read = _fixed(kind, value or b"")
        elif is_sent:
            read = _sent(kind, value or b"")
        else:
            read = _texts(kind, value, rows, int(row[place + len(columns)]))
        if len(read) != rows:
            raise InvariantBroken(
                "every column has a value for every row", account=name, detail=f"{len(read)} of {rows}"
            )
        found[name] = read
    return pa.table(found)


def _fixed(kind: Kind, octets: bytes) -> pa.Array:
    width = _WIDTH[kind]
    rows = len(octets) // width
    if kind in (Kind.UUID, Kind.DIGEST):
        found = pa.Array.from_buffers(pa.binary(width), rows, [None, pa.py_buffer(octets)])
        return found if kind is Kind.UUID else pc.cast(found, pa.binary())
    numbers = array("q" if width == 8 else "i")
    numbers.frombytes(octets)
    if sys.byteorder == "little":
        numbers.byteswap()
    made = pa.Array.from_buffers(pa.int64() if width == 8 else pa.int32(), rows, [None, pa.py_buffer(numbers)])
    if kind is Kind.DATE:
        return pc.cast(pc.add(made, pa.scalar(_POSTGRES_EPOCH, pa.int32())), pa.date32())
    if kind is Kind.MAYBE_INT32:
        return pc.if_else(pc.equal(made, -(2**31)), pa.scalar(None, pa.int32()), made)
    return made


def _texts(kind: Kind, value: str | None, rows: int, counted: int) -> pa.Array:
    """Raises: _HoldsMark when there are other numbers of texts than the server counted."""
    if not rows:
        return pa.array([], pa.list_(pa.string()) if kind is Kind.TEXTS else pa.string())
    split = pc.split_pattern(pa.array([value or ""], pa.large_string()), _BETWEEN).values
    # Each distinct text is looked at once.
    coded = pc.dictionary_encode(pc.cast(split, pa.string()))
    words = coded.dictionary
    if kind is Kind.TEXTS:
        # The first piece is what stands before the first mark: nothing.
        words = pa.array([word.split(_BEFORE)[1:] for word in words.to_pylist()], pa.list_(pa.string()))
    elif kind is Kind.MAYBE_TEXT:
        words = pc.if_else(pc.equal(words, _MISSING), pa.scalar(None, pa.string()), words)
    found = pc.take(words, coded.indices)
    seen = found.null_count if kind is Kind.MAYBE_TEXT else 0
    if kind is Kind.TEXTS:
        seen = pc.sum(pc.list_value_length(found)).as_py()
    if len(found) != rows or seen != counted:
        raise _HoldsMark
    return found


def _sent(kind: Kind, octets: bytes) -> pa.Array:
    """Arrays of texts as the server sends them: dimensions, then each text with its length, −1 where it is missing."""
    lists: list[list[str | None]] = []
    at = 0
    while at < len(octets):
        dimensions = int.from_bytes(octets[at : at + 4], "big")
        texts = int.from_bytes(octets[at + 12 : at + 16], "big") if dimensions else 0
        at += 20 if dimensions else 12
        lists.append([])
        for _ in range(texts):
            length = int.from_bytes(octets[at : at + 4], "big", signed=True)
            at += 4
            lists[-1].append(None if length < 0 else octets[at : at + length].decode())
            at += max(0, length)
    if kind is Kind.TEXTS:
        return pa.array(lists, pa.list_(pa.string()))
    return pa.array([one[0] for one in lists], pa.string())


def in_order_of(table: pa.Table, name: str) -> pa.Table:
    """The rows in order of the octets of a uuid (按编号排序), as two numbers of 64 bits are compared."""
    octets = memoryview(_octets(table[name])).cast("Q")
    high, low = (_numbers(octets[half::2]) for half in (0, 1))
    order = pc.sort_indices(low)
    order = pc.take(order, pc.sort_indices(pc.take(high, order)))
    return table.take(order)


def _numbers(halves: memoryview) -> pa.Array:
    numbers = array("Q")
    numbers.frombytes(halves.tobytes())
    if sys.byteorder == "little":
        numbers.byteswap()
    return pa.Array.from_buffers(pa.uint64(), len(numbers), [None, pa.py_buffer(numbers)])


def uuid_texts(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Uuids of 16 octets as their text (编号转文本)."""
    hexed = memoryview(_octets(column).hex().encode("ascii")).cast("I")
    rows = len(column)
    text = bytearray(b"-" * (_TEXT_BYTES * rows))
    # Four characters at a time: eight, four, four, four and twelve stand between the dashes.
    for piece, at in enumerate((0, 4, 9, 14, 19, 24, 28, 32)):
        room = (len(text) - at) // 4 * 4
        memoryview(text)[at : at + room].cast("I")[:: _TEXT_BYTES // 4] = hexed[piece::8]
    begins = pc.multiply(pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int32()), rows + 1)), _TEXT_BYTES)
    begins = pc.cast(pc.subtract(begins, _TEXT_BYTES), pa.int32())
    return pa.Array.from_buffers(pa.string(), rows, [None, begins.buffers()[1], pa.py_buffer(text)])


def _octets(column: pa.ChunkedArray | pa.Array) -> bytes:
    one = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return bytes(memoryview(one.buffers()[1])[one.offset * UUID_BYTES : (one.offset + len(one)) * UUID_BYTES])


__all__ = ["Kind", "in_order_of", "read_columns", "uuid_texts"]
