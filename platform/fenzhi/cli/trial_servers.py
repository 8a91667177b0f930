"""Servers for trials (试验用服务): embedded ones thrown away afterwards, or those named by FENZHI_TEST_DATABASE_URL and FENZHI_TEST_REDIS_URL.

The tests, the probes and every section of the battery take their servers from here, so that each runs on both kinds. On servers that
were given a trial has a database of its own and drops it at its end; roles are shared, with passwords that follow from the DSN given, so
that two trials on one server do not lock each other out.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fenzhi.cli import database_roles
from fenzhi.cli.servers import ServerAddresses, Servers

DATABASE_URL = "FENZHI_TEST_DATABASE_URL"
"""A superuser, or a role with CREATEROLE and CREATEDB."""
REDIS_URL = "FENZHI_TEST_REDIS_URL"


def trial_servers(
    state_dir: Path,
    *,
    database_url: str | None = None,
    redis_url: str | None = None,
    durable: bool = False,
    postgres_bin: Path | None = None,
    redis_bin: Path | None = None,
) -> Servers:
    """Servers of one trial, not started yet (试验服务). What is not given comes from the environment; empty means embedded.

    `postgres_bin` and `redis_bin`: programs to run here instead of the packaged ones.
    """
    given = os.environ.get(DATABASE_URL, "") if database_url is None else database_url
    bell = os.environ.get(REDIS_URL, "") if redis_url is None else redis_url
    if not given:
        return Servers(state_dir, durable=durable, redis_url=bell, postgres_bin=postgres_bin, redis_bin=redis_bin)
    owner_dsn, app_dsn = database_roles.bootstrap_roles(
        given,
        owner_password=_following_from(given, database_roles.OWNER),
        application_password=_following_from(given, database_roles.APPLICATION),
    )
    return Servers(
        state_dir,
        database_url=owner_dsn,
        app_database_url=app_dsn,
        redis_url=bell,
        administrator_url=given,
        redis_bin=redis_bin,
    )


@contextmanager
def trial(
    purpose: str,
    *,
    database_url: str | None = None,
    redis_url: str | None = None,
    durable: bool = False,
    postgres_bin: Path | None = None,
    redis_bin: Path | None = None,
) -> Iterator[tuple[Servers, ServerAddresses]]:
    """Running servers and the addresses of an empty database of a trial's own, for the length of a `with` block (试验环境)."""
    with tempfile.TemporaryDirectory(prefix=f"fenzhi-{purpose}-") as folder:
        # As root the embedded servers run as `nobody`, who must be able to enter.
        Path(folder).chmod(0o755)
        servers = trial_servers(
            Path(folder) / "state",
            database_url=database_url,
            redis_url=redis_url,
            durable=durable,
            postgres_bin=postgres_bin,
            redis_bin=redis_bin,
        )
        servers.start()
        try:
            if "postgres" in servers.addresses.pids:
                yield servers, servers.addresses
                return
            name = f"fenzhi_{purpose}_{uuid.uuid4().hex[:8]}"
            addresses = servers.create_database(name)
            try:
                yield servers, addresses
            finally:
                servers.drop_database(name)
        finally:
            servers.remove()


@contextmanager
def trial_database(
    purpose: str, *, database_url: str | None = None, redis_url: str | None = None
) -> Iterator[ServerAddresses]:
    """An empty database of a trial's own, with its servers, for the length of a `with` block (试验库)."""
    with trial(purpose, database_url=database_url, redis_url=redis_url) as (_servers, addresses):
        yield addresses


@contextmanager
def sibling_database(addresses: ServerAddresses, purpose: str) -> Iterator[ServerAddresses]:
    """One more empty database beside another on its server, dropped afterwards (另一试验库)."""
    administrator = addresses.superuser_dsn or addresses.owner_dsn
    name = f"fenzhi_{purpose}_{uuid.uuid4().hex[:8]}"
    database_roles.create_database(administrator, name)
    try:
        yield addresses.with_database(name)
    finally:
        database_roles.drop_database(administrator, name)


def _following_from(dsn: str, role: str) -> str:
    return hashlib.sha256(f"{dsn}\x1f{role}".encode()).hexdigest()[:32]
