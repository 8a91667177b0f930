"""A run computed again in a database that sorts otherwise gives the same bytes: nothing of it hangs on a collation.

The packaged server knows no other order than that of the bytes, so another one with ICU is started: Debian's, of whatever major version.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from builders.clearing_place import Pool, open_pool
from builders.world import World
from conftest import migrate
from fenzhi.cli import database_roles
from fenzhi.cli.backup.cluster import DEBIAN, major_of
from fenzhi.cli.battery.kills import superuser_dsn
from fenzhi.cli.servers import ServerAddresses, Servers
from fenzhi.cli.trial_servers import trial
from fenzhi.engine.engine import Engine
from fenzhi.services.clearing import compute
from fenzhi.services.clearing.freezing import freeze
from fenzhi.services.clearing.manifest import canonical, sha256
from fenzhi.services.clearing.statements import compute as computed_run
from fenzhi.store.session import Database
from fenzhi_graphql.paging import key_of

COLLATION = "und-u-kf-upper-kn"
"""Letters before their case, capitals first, digits by their value: far from the order of the bytes."""
OLDEST = 15
"""The first major version whose databases may sort by ICU."""
_TABLES = """
select c.relname as name, array_agg(a.attname::text order by a.attnum) as columns
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
   and c.relname not in ('alembic_version', 'run_case') group by 1
"""


async def copied(source: asyncpg.Connection, there: asyncpg.Connection, area: int) -> None:
    """What stands in one database into the other: of tables of an area, the rows of one."""
    await there.execute("set session_replication_role = replica")
    await there.execute("select fenzhi_ensure_area($1, 2022, 2026)", area)
    for table in await source.fetch(_TABLES):
        names = ", ".join(f'"{column}"' for column in table["columns"])
        own = f" where area_id = {area}" if "area_id" in table["columns"] and table["name"] != "hospital" else ""
        rows = await source.fetch(f'select {names} from "{table["name"]}"{own}')
        # A heartbeat or a number may come with the tables themselves.
        await there.execute(f'delete from "{table["name"]}"')
        if rows:
            places = ", ".join(f"${n}" for n in range(1, len(table["columns"]) + 1))
            overriding = "overriding system value"
            await there.executemany(
                f'insert into "{table["name"]}" ({names}) {overriding} values ({places})', [tuple(row) for row in rows]
            )


async def said(database: Database, pool: Pool, run: uuid.UUID) -> dict[str, Any]:
    async with database.unit_of_work(pool.scope) as uow:
        frozen = await freeze(uow, run)
    with Engine() as engine:
        made = computed_run(frozen, engine)
    return {
        "manifest": frozen.manifest_sha256.hex(),
        "result": made.result_sha256.hex(),
        "summary": sha256(compute._summary(made)).hex(),
        "entries": canonical(made.entries).decode(),
        "cuts": {code: cut.described() for code, cut in made.share_cuts.items()},
        "steps": sha256({code: compute._plain_steps(one) for code, one in made.workings.items()}).hex(),
    }


@pytest.fixture(scope="module")
def icu_servers() -> Iterator[Servers]:
    """A server that can sort as people do; where the machine has none, the test is skipped and says so."""
    found = [folder / "bin" for folder in sorted(DEBIAN.glob("*"), reverse=True) if major_of(folder / "bin") >= OLDEST]
    if not found:
        pytest.skip(f"no PostgreSQL with ICU under {DEBIAN}")
    with trial("icu", database_url="", redis_url="redis://127.0.0.1:1/0", postgres_bin=found[0]) as (servers, _):
        yield servers


async def test_a_run_is_the_same_bytes_under_another_collation(
    world: World, migrated: ServerAddresses, icu_servers: Servers
) -> None:
    pool = await open_pool(world, "PA")
    await pool.budget(4_000_000_01)
    for hospital in (pool.place.hospital, pool.place.county_hospital):
        for number in range(7):
            procedures = ("88.4101",) if number % 2 else ()
            await pool.put(hospital, 1 + number % 3, procedures=procedures, fund_fen=600_000 + number * 777)
    started = await pool.start("QUARTER", 1)
    assert started["userErrors"] == []
    run = uuid.UUID(key_of(started["run"]["id"], "ClearingRun"))
    here = await said(world.platform.database, pool, run)
    name = f"fenzhi_test_{uuid.uuid4().hex[:8]}"
    database_roles.create_database(icu_servers.administrator_dsn, name, icu_locale=COLLATION)
    there_at = icu_servers.addresses.with_database(name)
    migrate(there_at)
    source, there = await asyncpg.connect(superuser_dsn(migrated)), await asyncpg.connect(superuser_dsn(there_at))
    try:
        # It does sort otherwise wherever no column of ours says that it is compared by bytes.
        probe = "select array_agg(x order by x) from unnest(array['a10', 'B', 'a9', 'b']) x"
        assert await source.fetchval(probe) == ["B", "a10", "a9", "b"]
        assert await there.fetchval(probe) == ["a9", "a10", "B", "b"]
        await copied(source, there, pool.scope.area)
    finally:
        await source.close()
        await there.close()
    elsewhere = Database(there_at.app_dsn, pool_size=2)
    try:
        assert await said(elsewhere, pool, run) == here
    finally:
        await elsewhere.close()
    await world.work_off()
    whole = await pool.look(started["run"]["id"])
    assert (whole["manifest"]["sha256"], whole["manifest"]["resultSha256"]) == (here["manifest"], here["result"])
    await pool.step("clearingRunVoid", started["run"]["id"])
