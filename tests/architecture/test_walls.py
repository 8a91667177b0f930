"""The walls of the live database: declared, raised, forced, and they hold through every role's eyes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest
import pytest_asyncio

from builders.world import FIRST_TREE, SECOND_TREE, open_world
from fenzhi.cli.servers import ServerAddresses, Servers
from fenzhi.store.tables import TableClass, metadata
from fenzhi.store.wall_check import check_catalog, check_walls

KEYS = {TableClass.PROVINCE: "province_id", TableClass.AREA: "area_id", TableClass.HOSPITAL: "hospital_id"}


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_every_table_declares_a_class_and_carries_its_key(table) -> None:
    table_class = TableClass(table.info["table_class"])
    if table_class is TableClass.PLATFORM:
        assert table.info["reason"] or table.name == "tenant_number"
    else:
        assert KEYS[table_class] in table.columns


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def walled(
    running_servers: Servers, furnished_database: Callable[[str], ServerAddresses]
) -> AsyncIterator[ServerAddresses]:
    """A migrated database of this module's own, with two provinces."""
    name = f"fenzhi_walls_{uuid.uuid4().hex[:8]}"
    addresses = furnished_database(name)
    async with open_world(addresses.app_dsn, addresses.redis_url) as world:
        await world.open_tenants(FIRST_TREE + SECOND_TREE)
    yield addresses
    running_servers.drop_database(name)


async def test_the_walls_hold(walled: ServerAddresses) -> None:
    probes = await check_walls(walled.owner_dsn, walled.app_dsn)
    assert [probe for probe in probes if not probe.held] == []
    assert len(probes) > 20 * len(metadata.tables)


FALLEN = ("alter table {t} disable row level security", "alter table {t} no force row level security")


@pytest.mark.parametrize("damage", FALLEN, ids=["disabled", "not forced"])
async def test_a_fallen_wall_is_seen(walled: ServerAddresses, damage: str) -> None:
    """By the look at the catalog, wherever it falls; `battery walls` does so with every policy."""
    owner = await asyncpg.connect(walled.owner_dsn)
    try:
        for table in ("province_policy", "pooling_area", "hospital", "account", "job"):
            fall = owner.transaction()
            await fall.start()
            await owner.execute(damage.format(t=table))
            probes = await check_catalog(owner)
            await fall.rollback()
            assert {probe.table for probe in probes if not probe.held} == {table}
    finally:
        await owner.close()


async def test_the_whole_check_sees_a_fallen_wall(walled: ServerAddresses) -> None:
    """Through the roles' own eyes as well."""
    owner = await asyncpg.connect(walled.owner_dsn)
    try:
        await owner.execute(FALLEN[0].format(t="hospital"))
        fallen = {probe.question for probe in await check_walls(walled.owner_dsn, walled.app_dsn) if not probe.held}
        assert "has row level security enabled" in fallen
        assert len(fallen) > 1
    finally:
        await owner.execute("alter table hospital enable row level security")
        await owner.close()
