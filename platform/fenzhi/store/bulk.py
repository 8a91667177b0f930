"""Bulk reads and writes as Arrow tables (批量读写), over the database's own binary copy protocol, inside the same two locks.

The bulk driver opens a connection of its own, takes the role and the settings of the scope in its transaction, and gives both back
with it. Row level security is as effective here as in a unit of work; callers repeat the scope as a predicate all the same.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pyarrow as pa
from adbc_driver_manager import Error as DriverError

from fenzhi.access.scope import Scope
from fenzhi.rules.refusals import Conflict
from fenzhi.store.bulk_driver import BulkDriver
from fenzhi.store.session import FULL, Database, Unavailable, storage_full

T = TypeVar("T")
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)


async def read_arrow(database: Database, scope: Scope, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
    """The answer of one query as an Arrow table (批量读取), in the scope given.

    Shape: parameters are `$1`, `$2`, …; without parameters the answer comes by COPY, which is faster. A uuid arrives as its 16 bytes
    (`arrow.uuid`), a numeric as text, an array as a list. Raises: Unavailable, Conflict.
    """
    return await asyncio.to_thread(_within, database.bulk, scope, lambda cursor: _read(cursor, sql, parameters))


async def write_arrow(database: Database, scope: Scope, table_name: str, table: pa.Table) -> int:
    """Copy an Arrow table into a table of the same columns (批量写入), in one transaction; the number of rows.

    For tables without row level security, such as a run's own table made by `fenzhi_open_run_table`: PostgreSQL refuses COPY into a
    table with it. A transaction that breaks leaves nothing. Raises: Unavailable, Conflict, ValueError for a name that is no table name.
    """
    if not _TABLE.fullmatch(table_name):
        raise ValueError(f"not a table name: {table_name!r}")
    stored = _as_stored(table)
    return await asyncio.to_thread(
        _within, database.bulk, scope, lambda cursor: int(cursor.adbc_ingest(table_name, stored, mode="append"))
    )


def _read(cursor: Any, sql: str, parameters: Sequence[Any]) -> pa.Table:
    cursor.execute(sql, tuple(parameters) or None)
    return cursor.fetch_arrow_table()


def _within(driver: BulkDriver, scope: Scope, work: Callable[[Any], T]) -> T:
    """Do one thing in a transaction of its own that holds the scope (在数据范围内执行)."""
    with _typed(), driver.connection() as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"set local role {scope.role.value}")
            settings = scope.settings()
            calls = ", ".join(f"set_config(${2 * i + 1}, ${2 * i + 2}, true)" for i in range(len(settings)))
            cursor.execute(f"select {calls}", tuple(text for pair in settings.items() for text in pair))
            cursor.fetchall()
            done = work(cursor)
        connection.commit()
        return done


def _as_stored(table: pa.Table) -> pa.Table:
    """The table in the types the driver copies: a uuid as its 16 bytes, shared words as words."""
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if isinstance(field.type, pa.BaseExtensionType):
            column = pa.chunked_array([chunk.storage for chunk in column.chunks], field.type.storage_type)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if column.type != field.type:
            table = table.set_column(place, field.name, column)
    return table


@contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except DriverError as exc:
        sqlstate = exc.sqlstate or ""
        if sqlstate == "42501":
            raise Conflict("无权进行此操作。", "This is not permitted.", code="FORBIDDEN") from exc
        if sqlstate.startswith("23"):
            raise Conflict("数据不符合约束。", "The data break a rule of the store.", code="RULE_OF_STORE") from exc
        if sqlstate in FULL:
            raise storage_full() from exc
        if not sqlstate or sqlstate.startswith(("08", "57P", "53")):
            raise Unavailable(
                "数据库暂不可用，请稍后重试。", "The database is unavailable for the moment; try again."
            ) from exc
        raise


__all__ = ["read_arrow", "write_arrow"]
