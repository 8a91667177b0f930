"""A world of two provinces for the API tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from builders.world import FIRST_TREE, SECOND_TREE, World, open_world
from fenzhi.cli.servers import ServerAddresses


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(migrated: ServerAddresses) -> AsyncIterator[World]:
    """The application over the session's migrated database, with two provinces opened."""
    async with open_world(migrated.app_dsn, migrated.redis_url) as world:
        await world.open_tenants(FIRST_TREE + SECOND_TREE)
        yield world
