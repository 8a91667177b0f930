"""A world of two provinces for the API tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from builders.world import FIRST_TREE, SECOND_TREE, World, open_world
from fenzhi.cli.servers import ServerAddresses
from fenzhi.services.registry import onboarding


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(migrated: ServerAddresses) -> AsyncIterator[World]:
    """The application over the session's migrated database, with two provinces opened.

    Its areas get partitions of a few years only: hundreds are opened here, and other years have the area's last partition.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onboarding, "FIRST_YEAR", 2024)
        patch.setattr(onboarding, "LAST_YEAR", 2026)
        async with open_world(migrated.app_dsn, migrated.redis_url) as world:
            await world.open_tenants(FIRST_TREE + SECOND_TREE)
            yield world
