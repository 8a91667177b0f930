"""Rows read column by column are the rows that stand in the store, whatever characters their codes hold."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import date

import pyarrow as pa
import pytest
import pytest_asyncio
from sqlalchemy import text

from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.cli.servers import ServerAddresses
from fenzhi.store.columns_read import Kind, in_order_of, read_columns, uuid_texts
from fenzhi.store.session import Database, UnitOfWork

OPERATOR = Scope(role=DatabaseRole.OPERATOR, tenant="operator")
COLUMNS = {
    "id": (Kind.UUID, "r.id"),
    "digest": (Kind.DIGEST, "r.digest"),
    "small": (Kind.INT32, "r.small"),
    "large": (Kind.INT64, "r.large"),
    "day": (Kind.DATE, "r.day"),
    "weight": (Kind.MAYBE_INT32, "r.weight"),
    "code": (Kind.TEXT, "r.code"),
    "way": (Kind.MAYBE_TEXT, "r.way"),
    "codes": (Kind.TEXTS, "r.codes"),
}
ROWS = [
    (uuid.UUID(int=2**127 + 5), bytes(range(32)), -1, -(2**62), date(1999, 12, 31), None, "", None, []),
    (uuid.UUID(int=7), bytes(32), 2**31 - 1, 2**62, date(2025, 2, 28), 0, "A00.0", "", [""]),
    (uuid.UUID(int=2**64), bytes([255] * 32), 0, 0, date(2000, 1, 1), -5, "急诊", "5", ["36.06", "36.06", "A,B;'"]),
]
MARKED = (uuid.UUID(int=9), bytes(32), 1, 1, date(2025, 1, 1), 1, "A\x1eB", "\x1d", ["A\x1fB", "\x1e"])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def uow(migrated: ServerAddresses) -> AsyncIterator[UnitOfWork]:
    database = Database(migrated.app_dsn, pool_size=1)
    async with database.unit_of_work(OPERATOR) as opened:
        await opened.execute(
            text(
                "create temporary table r (id uuid, digest bytea, small int, large bigint, day date, weight int, code text, way text,"
                " codes text[]) on commit drop"
            )
        )
        yield opened
    await database.close()


async def stored(uow: UnitOfWork, rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    raw = await uow.connection.get_raw_connection()
    driver = raw.driver_connection
    await driver.execute("truncate r")
    await driver.copy_records_to_table("r", records=rows)
    found = await read_columns(uow, COLUMNS, ["from r where r.small > 0", "from r where r.small <= 0"])
    texts = uuid_texts(found["id"]).to_pylist()
    assert texts == [str(uuid.UUID(bytes=one)) for one in found["id"].to_pylist()]
    columns = [[uuid.UUID(one) for one in texts], *(found[name].to_pylist() for name in found.column_names[1:])]
    return list(zip(*columns, strict=True))


async def test_every_kind_comes_back_as_it_stands(uow: UnitOfWork) -> None:
    assert sorted(await stored(uow, ROWS), key=str) == sorted(ROWS, key=str)


async def test_a_code_that_holds_a_mark_moves_no_other(uow: UnitOfWork) -> None:
    assert sorted(await stored(uow, [*ROWS, MARKED]), key=str) == sorted([*ROWS, MARKED], key=str)


@pytest.mark.parametrize("place", range(len(MARKED) - 3, len(MARKED)))
async def test_each_mark_is_seen_by_its_own_column(uow: UnitOfWork, place: int) -> None:
    row = tuple(MARKED[at] if at == place else ROWS[1][at] for at in range(len(MARKED)))
    assert await stored(uow, [row]) == [row]


async def test_a_missing_text_within_a_list_is_kept_missing(uow: UnitOfWork) -> None:
    row = (*ROWS[0][:-1], ["A", None])
    assert await stored(uow, [row]) == [row]


async def test_no_rows_are_a_table_without_rows(uow: UnitOfWork) -> None:
    assert await stored(uow, []) == []


def test_uuids_are_ordered_as_their_texts_are() -> None:
    ids = [row[0] for row in ROWS] + [uuid.UUID(int=2**64 + 1), uuid.UUID(int=1)]
    table = pa.table({"id": pa.array([one.bytes for one in ids], pa.binary(16))})
    assert uuid_texts(in_order_of(table, "id")["id"]).to_pylist() == sorted(str(one) for one in ids)
