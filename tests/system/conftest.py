"""A database of its own for tests that kill processes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from conftest import migrate
from fenzhi.cli.servers import ServerAddresses, Servers


@pytest.fixture(scope="module")
def new_stage_database(running_servers: Servers) -> Iterator[ServerAddresses]:
    """A migrated database that no other test looks at."""
    name = f"fenzhi_kills_{uuid.uuid4().hex[:8]}"
    addresses = running_servers.create_database(name)
    migrate(addresses)
    yield addresses
    running_servers.drop_database(name)
