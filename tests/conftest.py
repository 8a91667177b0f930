"""Servers and databases shared by all tests.

Real PostgreSQL and Redis, always: embedded ones, or those named by FENZHI_TEST_DATABASE_URL (a superuser, or a role with
CREATEROLE and CREATEDB) and FENZHI_TEST_REDIS_URL. Every database is built by running the migrations.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fenzhi.cli.servers import ServerAddresses, Servers
from fenzhi.cli.trial_servers import trial_servers

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data beside the checkout; skips, or fails where FENZHI_REQUIRE_SHARED=1, when absent."""
    folder = Path(os.environ.get("FENZHI_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        reason = f"no shared data at {folder}; FENZHI_SHARED names another place"
        if os.environ.get("FENZHI_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A temporary folder that other accounts may enter, unlike pytest's own: as root, servers run as `nobody`."""
    folder = Path(tempfile.mkdtemp(prefix="fenzhi-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def running_servers(open_folder: Path) -> Iterator[Servers]:
    """The servers themselves: started once per session, thrown away afterwards."""
    servers = trial_servers(open_folder / "state")
    servers.start()
    yield servers
    servers.remove()


@pytest.fixture(scope="session")
def servers(running_servers: Servers) -> ServerAddresses:
    """Addresses of the servers; the database they name is empty."""
    return running_servers.addresses


@pytest.fixture(scope="session")
def furnished_database(running_servers: Servers) -> Iterator[Callable[[str], ServerAddresses]]:
    """Make a database with the tables: a copy of one that the migrations built, which they do once a session."""
    pattern = ""

    def make(name: str) -> ServerAddresses:
        nonlocal pattern
        if not pattern:
            pattern = f"fenzhi_pattern_{uuid.uuid4().hex[:8]}"
            migrate(running_servers.create_database(pattern))
        return running_servers.create_database(name, template=pattern)

    yield make
    if pattern:
        running_servers.drop_database(pattern)


@pytest.fixture(scope="session")
def migrated(
    running_servers: Servers, furnished_database: Callable[[str], ServerAddresses]
) -> Iterator[ServerAddresses]:
    """Addresses of a database with the tables, shared by the session."""
    name = f"fenzhi_test_{uuid.uuid4().hex[:8]}"
    yield furnished_database(name)
    running_servers.drop_database(name)


@pytest.fixture
def new_database(
    running_servers: Servers, furnished_database: Callable[[str], ServerAddresses]
) -> Iterator[Callable[..., ServerAddresses]]:
    """Make a database of the test's own: `new_database()` is empty, `new_database(migrated=True)` has the tables."""
    made: list[str] = []

    def make(*, migrated: bool = False) -> ServerAddresses:
        made.append(f"fenzhi_test_{uuid.uuid4().hex[:8]}")
        return furnished_database(made[-1]) if migrated else running_servers.create_database(made[-1])

    yield make
    for name in made:
        running_servers.drop_database(name)


def migrate(addresses: ServerAddresses) -> None:
    """Run the migrations, in a thread without an event loop: they bring their own."""
    from fenzhi_migrations.upgrade import upgrade_to_head

    with ThreadPoolExecutor(1) as thread:
        thread.submit(upgrade_to_head, addresses.owner_dsn).result()
