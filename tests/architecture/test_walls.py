"""The walls of the live database: declared, raised, forced, and they hold through every role's eyes."""

from __future__ import annotations

import asyncpg
import pytest

from builders.world import FIRST_TREE, SECOND_TREE, open_world
from fenzhi.cli.servers import ServerAddresses
from fenzhi.store.tables import TableClass, metadata
from fenzhi.store.wall_check import check_walls

KEYS = {TableClass.PROVINCE: "province_id", TableClass.AREA: "area_id", TableClass.HOSPITAL: "hospital_id"}


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_every_table_declares_a_class_and_carries_its_key(table) -> None:
    table_class = TableClass(table.info["table_class"])
    if table_class is TableClass.PLATFORM:
        assert table.info["reason"] or table.name == "tenant_number"
    else:
        assert KEYS[table_class] in table.columns


async def test_the_walls_hold(migrated: ServerAddresses) -> None:
    async with open_world(migrated.app_dsn, migrated.redis_url) as world:
        if not await has_tenants(migrated):
            await world.open_tenants(FIRST_TREE + SECOND_TREE)
    probes = await check_walls(migrated.owner_dsn, migrated.app_dsn)
    assert [probe for probe in probes if not probe.held] == []
    assert len(probes) > 20 * len(metadata.tables)


async def has_tenants(addresses: ServerAddresses) -> bool:
    connection = await asyncpg.connect(addresses.app_dsn)
    try:
        async with connection.transaction():
            await connection.execute("set local role fenzhi_operator")
            return bool(await connection.fetchval("select exists (select from province where code = '370000')"))
    finally:
        await connection.close()


@pytest.mark.parametrize("table", ["province_policy", "pooling_area", "hospital", "account", "job"])
@pytest.mark.parametrize(
    "damage",
    ["alter table {t} disable row level security", "alter table {t} no force row level security"],
    ids=["disabled", "not forced"],
)
async def test_a_fallen_wall_is_seen(migrated: ServerAddresses, table: str, damage: str) -> None:
    owner = await asyncpg.connect(migrated.owner_dsn)
    try:
        await owner.execute(damage.format(t=table))
        probes = await check_walls(migrated.owner_dsn, migrated.app_dsn)
        assert table in {probe.table for probe in probes if not probe.held}
    finally:
        await owner.execute(f"alter table {table} enable row level security")
        await owner.execute(f"alter table {table} force row level security")
        await owner.close()
