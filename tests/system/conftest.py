"""A database of its own for tests that kill processes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from fenzhi.cli.servers import ServerAddresses, Servers


@pytest.fixture(scope="module")
def new_stage_database(
    running_servers: Servers, furnished_database: Callable[[str], ServerAddresses]
) -> Iterator[ServerAddresses]:
    """A migrated database that no other test looks at."""
    name = f"fenzhi_kills_{uuid.uuid4().hex[:8]}"
    addresses = furnished_database(name)
    yield addresses
    running_servers.drop_database(name)
