"""Trials on servers given by DSN: a database of their own that goes away, and roles that two trials may share."""

from __future__ import annotations

import os

from fenzhi.cli.database_roles import with_connection
from fenzhi.cli.servers import Servers
from fenzhi.cli.trial_servers import DATABASE_URL, sibling_database, trial_database


def databases(dsn: str) -> set[str]:
    async def names(connection: object) -> set[str]:
        rows = await connection.fetch("select datname from pg_database")  # type: ignore[attr-defined]
        return {row["datname"] for row in rows}

    return with_connection(dsn, names)


def who(dsn: str) -> tuple[str, str]:
    async def asked(connection: object) -> tuple[str, str]:
        row = await connection.fetchrow("select current_user::text as who, current_database()::text as place")  # type: ignore[attr-defined]
        return row["who"], row["place"]

    return with_connection(dsn, asked)


def test_a_trial_on_a_given_server_leaves_no_database(running_servers: Servers) -> None:
    given = os.environ.get(DATABASE_URL) or running_servers.addresses.superuser_dsn
    redis_url = running_servers.addresses.redis_url
    before = databases(given) | {"fenzhi"}
    passwords = running_servers.addresses
    try:
        with trial_database("trial", database_url=given, redis_url=redis_url) as first:
            with trial_database("trial", database_url=given, redis_url=redis_url) as second:
                assert who(first.app_dsn)[0] == who(second.app_dsn)[0] == "fenzhi_app"
                assert who(first.app_dsn)[1] != who(second.app_dsn)[1]
                assert who(first.owner_dsn) == ("fenzhi_owner", who(first.app_dsn)[1])
            assert who(first.owner_dsn)[0] == "fenzhi_owner"
            with sibling_database(first, "other") as other:
                assert who(other.app_dsn)[1].startswith("fenzhi_other_")
        assert databases(given) - before == set()
    finally:
        restore_passwords(given, passwords.owner_dsn, passwords.app_dsn)


def restore_passwords(administrator: str, owner_dsn: str, app_dsn: str) -> None:
    """The session's own servers keep the passwords they were started with."""
    from urllib.parse import unquote, urlsplit

    from fenzhi.cli.database_roles import bootstrap_roles

    bootstrap_roles(
        administrator,
        owner_password=unquote(urlsplit(owner_dsn).password or ""),
        application_password=unquote(urlsplit(app_dsn).password or ""),
    )
