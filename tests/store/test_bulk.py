"""Bulk reads and writes stay inside the walls: another area's rows are not there, a foreign table is not writable."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pyarrow as pa
import pytest
import pytest_asyncio
from sqlalchemy import text

from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.cli.servers import ServerAddresses
from fenzhi.rules.refusals import Conflict
from fenzhi.store.bulk import read_arrow, write_arrow
from fenzhi.store.session import Database, Unavailable, new_id

OPERATOR = Scope(role=DatabaseRole.OPERATOR, tenant="operator")
FIRST = Scope(role=DatabaseRole.WORKER, tenant="t1", province_id=900, area_id=901)
SECOND = replace(FIRST, tenant="t2", area_id=902)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(migrated: ServerAddresses) -> AsyncIterator[Database]:
    database = Database(migrated.app_dsn, pool_size=2)
    async with database.unit_of_work(OPERATOR) as uow:
        await uow.execute(text("insert into province (province_id, code, name) values (900, 'bulk-p', 'bulk')"))
        for area in (901, 902):
            await uow.execute(
                text(
                    "insert into pooling_area (area_id, province_id, code, name, kind) "
                    f"values ({area}, 900, 'bulk-{area}', 'bulk', 'city')"
                )
            )
            await uow.scalar(text(f"select fenzhi_ensure_area({area}, 2025, 2025)"))
    yield database
    await database.close()


def run_rows(area: int, run: uuid.UUID) -> pa.Table:
    cases = [new_id() for _ in range(3)]
    return pa.table(
        {
            "area_id": pa.array([area] * 3, pa.int32()),
            "county_id": pa.array([None, 7, 7], pa.int32()),
            "hospital_id": pa.array([1, 2, 2], pa.int32()),
            "run_id": pa.array([run.bytes] * 3, pa.uuid()),
            "case_id": pa.array([case.bytes for case in cases], pa.uuid()),
            "disposition": pa.array(["cleared", "cleared", "pending:ungrouped"]).dictionary_encode(),
            "group_code": pa.array(["A", "B", ""]),
            "band": pa.array(["normal", "high", ""]),
            "points": pa.array([1, 2**40, 0], pa.int64()),
            "total_fen": pa.array([100, 200, 300], pa.int64()),
            "basic_fund_fen": pa.array([100, 200, 300], pa.int64()),
            "patient_fen": pa.array([0, 0, 0], pa.int64()),
            "los_days": pa.array([1, 2, 3], pa.int32()),
            "settlement_month": pa.array([202501, 202501, 202502], pa.int32()),
        }
    )


async def test_a_run_table_is_written_and_read_back_behind_the_wall(database: Database) -> None:
    for scope in (FIRST, SECOND):
        run = new_id()
        async with database.unit_of_work(scope) as uow:
            name = await uow.scalar(text("select fenzhi_open_run_table(:a, :r)"), {"a": scope.area, "r": run})
        assert await write_arrow(database, scope, name, run_rows(scope.area, run)) == 3
        async with database.unit_of_work(scope) as uow:
            await uow.execute(text("select fenzhi_attach_run_table(:a, :r)"), {"a": scope.area, "r": run})
    found = await read_arrow(database, FIRST, "select area_id, disposition, points from run_case order by points")
    assert found.to_pylist() == [
        {"area_id": 901, "disposition": "pending:ungrouped", "points": 0},
        {"area_id": 901, "disposition": "cleared", "points": 1},
        {"area_id": 901, "disposition": "cleared", "points": 2**40},
    ]
    asked = "select count(*) as n from run_case where area_id = $1"
    assert (await read_arrow(database, FIRST, asked, (902,))).to_pylist() == [{"n": 0}]
    assert (await read_arrow(database, SECOND, asked, (902,))).to_pylist() == [{"n": 3}]
    assert (await read_arrow(database, replace(FIRST, area_id=None), asked, (901,))).to_pylist() == [{"n": 0}]


async def test_copy_into_a_walled_table_is_refused(database: Database) -> None:
    with pytest.raises(Conflict):
        await write_arrow(database, FIRST, "run_case", run_rows(902, new_id()))
    with pytest.raises(ValueError, match="not a table name"):
        await write_arrow(database, FIRST, 'x"; drop table job', run_rows(901, new_id()))


async def test_nothing_is_carried_over_and_a_lost_server_is_said(database: Database) -> None:
    found = await read_arrow(database, FIRST, "select current_user as who, current_setting('fenzhi.area_id') as area")
    assert found.to_pylist() == [{"who": "fenzhi_worker", "area": "901"}]
    lost = Database("postgresql://nobody:x@127.0.0.1:1/none")
    with pytest.raises(Unavailable):
        await read_arrow(lost, FIRST, "select 1")
    await lost.close()
