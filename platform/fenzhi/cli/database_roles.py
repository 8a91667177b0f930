"""Roles and database that must exist before the first migration (迁移前的角色与数据库).

`fenzhi_owner` owns the schema and runs the migrations; `fenzhi_app` is what the API and the workers log in as. The second
owns nothing, is no superuser, cannot bypass row level security, and inherits nothing: it can do only what the role it
takes inside a transaction can do. The roles without login are made by the migrations, not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

from fenzhi.rules.refusals import Conflict

OWNER = "fenzhi_owner"
APPLICATION = "fenzhi_app"
DATABASE = "fenzhi"
Answer = TypeVar("Answer")


def bootstrap_roles(
    superuser_dsn: str, *, owner_password: str, application_password: str, database: str = DATABASE
) -> tuple[str, str]:
    """Make owner, application role and database where they are missing (初始化角色与数据库); return both their DSNs.

    Requires: `superuser_dsn` names a superuser, or a role with CREATEROLE and CREATEDB. May be repeated: passwords are set
    to those given, an application role that got too strong is made weak again. Raises: Conflict when it may not.
    """

    async def work(connection: asyncpg.Connection) -> None:
        superuser = await connection.fetchval("select rolsuper from pg_roles where rolname = current_user")
        plain = "LOGIN NOSUPERUSER NOBYPASSRLS NOREPLICATION" if superuser else "LOGIN"
        await _set_role(connection, OWNER, f"{plain} CREATEDB CREATEROLE INHERIT", owner_password)
        await _set_role(connection, APPLICATION, f"{plain} NOCREATEDB NOCREATEROLE NOINHERIT", application_password)
        if not superuser:
            await connection.execute(f"GRANT {OWNER} TO CURRENT_USER")
        elif connection.get_server_version().major >= 16:
            # From 16 on, only who made a role, or was given its administration, may set its password.
            terms = "WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
            await connection.execute(f"GRANT {APPLICATION} TO {OWNER} {terms}")
        await _refuse_strong_application(connection)
        await _create_database(connection, database)

    with_connection(superuser_dsn, work)
    return (
        replace_dsn(superuser_dsn, user=OWNER, password=owner_password, database=database),
        replace_dsn(superuser_dsn, user=APPLICATION, password=application_password, database=database),
    )


def bootstrap_application_role(owner_dsn: str, *, application_password: str) -> str:
    """Make the application role through the owner (创建应用角色); return its DSN.

    Requires: the owner may create roles. Raises: Conflict when it may not, or when the role there is too strong.
    """

    async def work(connection: asyncpg.Connection) -> None:
        attributes = "LOGIN NOCREATEDB NOCREATEROLE NOINHERIT"
        await _set_role(connection, APPLICATION, attributes, application_password)
        await _refuse_strong_application(connection)

    with_connection(owner_dsn, work)
    return replace_dsn(owner_dsn, user=APPLICATION, password=application_password)


def bootstrap_external(administrator_dsn: str, *, owner_dsn: str, application_dsn: str) -> None:
    """Make what the two DSNs name (初始化外部库): roles with those passwords, and the owner's database.

    Raises: Conflict `DSN_UNFIT` unless the DSNs name `fenzhi_owner` and `fenzhi_app`, with passwords, on one database.
    """
    owner, application = urlsplit(owner_dsn), urlsplit(application_dsn)
    faults = [
        f"{name}: user {expected} with a password"
        for name, parts, expected in (
            ("FENZHI_DATABASE_URL", owner, OWNER),
            ("FENZHI_APP_DATABASE_URL", application, APPLICATION),
        )
        if parts.username != expected or not parts.password
    ]
    if not owner.path.strip("/") or owner.path != application.path:
        faults.append("both DSNs: the same database")
    if faults:
        raise Conflict(
            f"连接串须为：{'；'.join(faults)}。",
            f"The DSNs must name: {'; '.join(faults)}.",
            code="DSN_UNFIT",
            hint=f"postgresql://{OWNER}:…@host:5432/{DATABASE} and postgresql://{APPLICATION}:…@host:5432/{DATABASE}",
        )
    bootstrap_roles(
        administrator_dsn,
        owner_password=unquote(owner.password or ""),
        application_password=unquote(application.password or ""),
        database=unquote(owner.path.strip("/")),
    )


def create_database(superuser_dsn: str, name: str, *, template: str = "template0", icu_locale: str = "") -> None:
    """Make a database owned by `fenzhi_owner` (新建数据库), a copy of `template`; with `icu_locale` it sorts by that locale of ICU."""
    with_connection(superuser_dsn, lambda connection: _create_database(connection, name, template, icu_locale))


def drop_database(superuser_dsn: str, name: str) -> None:
    """Drop a database and whoever is connected to it (删除数据库)."""

    async def work(connection: asyncpg.Connection) -> None:
        await connection.execute(f"DROP DATABASE IF EXISTS {_identifier(name)} WITH (FORCE)")

    with_connection(superuser_dsn, work)


def replace_dsn(dsn: str, *, user: str | None = None, password: str | None = None, database: str | None = None) -> str:
    """`dsn` with another user, password or database (改写连接串); a driver suffix in its scheme is dropped."""
    parts = urlsplit(dsn)
    username = user if user is not None else unquote(parts.username or "")
    # Another user without a password has none: the old one is somebody else's.
    secret = password if password is not None or user is not None else unquote(parts.password or "") or None
    who = quote(username, safe="") + (f":{quote(secret, safe='')}" if secret is not None else "")
    place = parts.netloc.rpartition("@")[2]
    path = f"/{quote(database, safe='')}" if database is not None else parts.path
    return urlunsplit(("postgresql", f"{who}@{place}" if who else place, path, parts.query, ""))


def with_connection(
    dsn: str, work: Callable[[asyncpg.Connection], Awaitable[Answer]], *, seconds: float = 15
) -> Answer:
    """The answer of `work` on one connection (同步执行).

    Runs in a thread of its own: it may be called with or without an event loop around it. Raises: Conflict
    `DATABASE_UNREACHABLE` when no connection can be made; what the server refuses passes through.
    """

    async def connected() -> Answer:
        try:
            connection = await asyncpg.connect(replace_dsn(dsn), timeout=seconds)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise Conflict(
                f"无法连接数据库：{safe_dsn(dsn)}（{type(error).__name__}）。",
                f"The database cannot be reached: {safe_dsn(dsn)} ({type(error).__name__}: {error}).",
                code="DATABASE_UNREACHABLE",
                hint="Check that the server runs and that host, port, user and password are right.",
            ) from error
        try:
            return await work(connection)
        finally:
            await connection.close(timeout=seconds)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(connected())).result()


def safe_dsn(dsn: str) -> str:
    """A DSN without its password (脱敏连接串)."""
    parts = urlsplit(dsn)
    user = f"{parts.username}@" if parts.username else ""
    return f"{parts.scheme}://{user}{parts.netloc.rpartition('@')[2]}{parts.path}"


async def _set_role(connection: asyncpg.Connection, name: str, attributes: str, password: str) -> None:
    exists = await connection.fetchval("select true from pg_roles where rolname = $1", name)
    secret = await connection.fetchval("select quote_literal($1::text)", password)
    verb = "ALTER" if exists else "CREATE"
    try:
        await connection.execute(f"{verb} ROLE {_identifier(name)} WITH {attributes} PASSWORD {secret}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise Conflict(
            f"当前数据库角色无权创建或修改角色 {name}。",
            f"This database role may not create or change the role {name}.",
            code="ROLE_NOT_ALLOWED",
            hint="Let an administrator run `fenzhi db bootstrap`, or set FENZHI_APP_DATABASE_URL.",
        ) from error


async def _refuse_strong_application(connection: asyncpg.Connection) -> None:
    if await connection.fetchval(
        "select rolsuper or rolbypassrls or rolcreaterole from pg_roles where rolname = $1", APPLICATION
    ):
        raise Conflict(
            f"角色 {APPLICATION} 权限过大（超级用户、可绕过行级安全或可建角色）。",
            f"The role {APPLICATION} is too strong: superuser, BYPASSRLS or CREATEROLE.",
            code="APPLICATION_ROLE_TOO_STRONG",
            hint=f"As a superuser: ALTER ROLE {APPLICATION} NOSUPERUSER NOBYPASSRLS NOCREATEROLE;",
        )


async def _create_database(
    connection: asyncpg.Connection, name: str, template: str = "template0", icu_locale: str = ""
) -> None:
    if not await connection.fetchval("select true from pg_database where datname = $1", name):
        options = f"OWNER {OWNER} TEMPLATE {_identifier(template)} ENCODING 'UTF8'"
        if icu_locale:
            options += f" LOCALE_PROVIDER icu ICU_LOCALE {_literal(icu_locale)}"
        await connection.execute(f"CREATE DATABASE {_identifier(name)} {options}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
