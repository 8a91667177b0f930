"""A world of two provinces of the security tests' own: they use up budgets, revoke roles and lower walls."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from builders.world import FIRST_TREE, SECOND_TREE, World, open_world
from fenzhi.cli.battery.stage import Stage, open_tenants, staged
from fenzhi.cli.servers import ServerAddresses, Servers


@pytest.fixture(scope="session")
def own_database(
    running_servers: Servers, furnished_database: Callable[[str], ServerAddresses]
) -> Iterator[ServerAddresses]:
    """A migrated database that no other test looks at."""
    name = f"fenzhi_security_{uuid.uuid4().hex[:8]}"
    addresses = furnished_database(name)
    yield addresses
    running_servers.drop_database(name)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(own_database: ServerAddresses) -> AsyncIterator[World]:
    """The application over that database, with two provinces opened."""
    async with open_world(own_database.app_dsn, own_database.redis_url) as world:
        await world.open_tenants(FIRST_TREE + SECOND_TREE)
        yield world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(own_database: ServerAddresses) -> AsyncIterator[Stage]:
    """The battery's own stage over the same database, under codes of its own."""
    async with staged(own_database, instances=2, migrate=False) as stage:
        await open_tenants(stage.cast)
        yield stage


@pytest_asyncio.fixture(loop_scope="session")
async def untouched_stage(new_database: Callable[..., ServerAddresses]) -> AsyncIterator[Stage]:
    """A stage of the test's own: the accounts of the shared one are revoked, locked and out of budget by other attacks."""
    async with staged(new_database(migrated=True), instances=2, migrate=False) as stage:
        await open_tenants(stage.cast)
        yield stage
