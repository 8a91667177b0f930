"""What is wrong with an installation, and how to mend it (自检).

Every check answers with a finding, also when all is well, so that silence never means "not looked at". A check that cannot be
made says so in a note.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import redis

from fenzhi.cli.database_roles import safe_dsn, with_connection
from fenzhi.cli.status import PlatformStatus, read_status
from fenzhi.rules.refusals import Conflict
from fenzhi.settings import Settings

MINIMUM_POSTGRES = 15
MINIMUM_REDIS = 7
MAXIMUM_SKEW = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check (检查结果). `severity` is ok, note or error; remedies are blank where none is needed."""

    code: str
    severity: str
    zh: str
    en: str
    remedy_zh: str = ""
    remedy_en: str = ""


def examine(settings: Settings) -> list[Finding]:
    """All checks of one installation (全部检查): those servers given by DSN, else those of the running platform."""
    try:
        status = read_status(settings.state_dir)
    except Conflict as error:
        return [Finding(error.code, "error", error.zh, error.en, "删除该文件后重新启动。", error.hint)]
    running = status is not None and status.alive("supervisor")
    found = [*check_state_dir(settings.state_dir), check_issuer(settings)]
    found.append(check_port(settings.api_host, settings.api_port, status if running else None))
    owner_dsn = settings.database_url.get_secret_value() if settings.database_url else ""
    app_dsn = settings.app_database_url.get_secret_value() if settings.app_database_url else ""
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    if running and status is not None:
        owner_dsn, app_dsn = owner_dsn or status.owner_dsn, app_dsn or status.app_dsn
        redis_url = redis_url or status.redis_url
    if app_dsn or owner_dsn:
        found += check_database(owner_dsn, app_dsn, extensions=settings.required_extensions)
    else:
        found.append(_not_looked_at("database", "数据库", "the database"))
    if redis_url:
        found.append(check_redis(redis_url))
    else:
        found.append(_not_looked_at("redis", "Redis", "Redis"))
    return found


def check_state_dir(state_dir: Path) -> Iterator[Finding]:
    """Whether the state folder can be written and its secrets are private (状态目录权限)."""
    nearest = next(path for path in (state_dir, *state_dir.parents) if path.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        yield Finding(
            "STATE_DIR_NOT_WRITABLE",
            "error",
            f"状态目录不可写：{state_dir}。",
            f"The state folder cannot be written: {state_dir}.",
            "将 FENZHI_STATE_DIR 指向可写目录。",
            "Let FENZHI_STATE_DIR name a folder that can be written.",
        )
        return
    secrets = [state_dir / "servers.json", state_dir / "status.json", *sorted(state_dir.glob("keys/*"))]
    public = {"development-issuer.jwks.json"}
    exposed = [
        path
        for path in secrets
        if path.exists() and path.name not in public and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    for path in exposed:
        yield Finding(
            "SECRET_FILE_EXPOSED",
            "error",
            f"密钥文件可被他人读取：{path}。",
            f"A secret file may be read by others: {path}.",
            f"chmod 600 {path}；若他人可能已读取，请更换密钥。",
            f"chmod 600 {path}; replace the secret if others may have read it.",
        )
    if not exposed:
        yield Finding("STATE_DIR", "ok", f"状态目录可用：{state_dir}。", f"The state folder is fine: {state_dir}.")


def check_issuer(settings: Settings) -> Finding:
    """Whether tokens can be verified, and the development issuer is not exposed (令牌签发方)."""
    if settings.dev_issuer and not settings.external_issuer and not settings.loopback:
        return Finding(
            "DEVELOPMENT_ISSUER_EXPOSED",
            "error",
            f"接口监听 {settings.api_host}，却仍使用开发签发方。",
            f"The API listens on {settings.api_host} and the development issuer is still on.",
            "配置 FENZHI_JWT_ISSUER 与 FENZHI_JWT_PUBLIC_KEYS，或仅监听 127.0.0.1。",
            "Set FENZHI_JWT_ISSUER and FENZHI_JWT_PUBLIC_KEYS, or listen on 127.0.0.1 only.",
        )
    keys = settings.jwt_public_keys
    if keys is not None and not os.access(keys, os.R_OK):
        return Finding(
            "TOKEN_KEYS_UNREADABLE",
            "error",
            f"无法读取公钥文件：{keys}。",
            f"The file of public keys cannot be read: {keys}.",
            "检查 FENZHI_JWT_PUBLIC_KEYS。",
            "Check FENZHI_JWT_PUBLIC_KEYS.",
        )
    if not settings.external_issuer and not settings.development:
        return Finding(
            "NO_TOKEN_ISSUER",
            "error",
            "未配置令牌签发方，且未启用开发签发方。",
            "No issuer of tokens is named, and the development issuer is off.",
            "配置 FENZHI_JWT_ISSUER 与 FENZHI_JWT_PUBLIC_KEYS。",
            "Set FENZHI_JWT_ISSUER and FENZHI_JWT_PUBLIC_KEYS.",
        )
    return Finding("TOKEN_ISSUER", "ok", f"令牌签发方：{settings.token_issuer}。", f"Issuer: {settings.token_issuer}.")


def check_port(host: str, port: int, status: PlatformStatus | None) -> Finding:
    """Whether the API's port is free, or held by our own API (端口)."""
    if status is not None and status.alive("api") and port in (0, int(status.api_url.rpartition(":")[2] or 0)):
        return Finding("API_PORT", "ok", f"接口运行于 {status.api_url}。", f"The API runs at {status.api_url}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            return Finding(
                "PORT_TAKEN",
                "error",
                f"无法监听 {host}:{port}（{error.strerror}）。",
                f"{host}:{port} cannot be listened on ({error.strerror}).",
                "停止占用该端口的程序，或修改 FENZHI_API_PORT（0 为自动选择）。",
                "Stop what holds it, or change FENZHI_API_PORT (0 picks a free one).",
            )
    return Finding("API_PORT", "ok", "接口端口可用。", "The API's port is free.")


def check_database(
    owner_dsn: str,
    app_dsn: str,
    *,
    extensions: tuple[str, ...] = (),
    minimum_version: int = MINIMUM_POSTGRES,
    host_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[Finding]:
    """Whether the server, its clock, the application's role and the schema are fit (数据库)."""
    try:
        found = with_connection(
            app_dsn or owner_dsn,
            lambda connection: _look_at_server(connection, extensions, minimum_version, host_clock),
            seconds=5,
        )
        if app_dsn:
            found += with_connection(app_dsn, _look_at_role, seconds=5)
        else:
            found.append(_not_looked_at("application role", "应用角色", "the application role"))
        return found + with_connection(owner_dsn or app_dsn, _look_at_schema, seconds=5)
    except Conflict as error:
        return [
            Finding(
                error.code,
                "error",
                error.zh,
                error.en,
                "检查数据库是否运行，以及地址、端口、用户名与口令。",
                error.hint,
            )
        ]


def check_redis(url: str, *, minimum_version: int = MINIMUM_REDIS) -> Finding:
    """Whether Redis answers and is new enough (Redis)."""
    client = redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3)
    try:
        answer: Any = client.info("server")
        version = str(answer["redis_version"])
    except redis.RedisError as error:
        return Finding(
            "REDIS_UNREACHABLE",
            "error",
            f"无法连接 Redis：{safe_dsn(url)}（{type(error).__name__}）。",
            f"Redis cannot be reached: {safe_dsn(url)} ({type(error).__name__}).",
            "检查 Redis 是否运行，以及地址与口令。数据不受影响：作业保存在数据库中。",
            "Check that it runs, its address and its password. No data are lost: jobs are kept in the database.",
        )
    finally:
        client.close()
    if int(version.partition(".")[0]) < minimum_version:
        return Finding(
            "REDIS_TOO_OLD",
            "error",
            f"Redis 版本过低：{version}。",
            f"Redis is too old: {version}.",
            f"升级至 {minimum_version} 或更高版本。",
            f"Upgrade it to {minimum_version} or later.",
        )
    return Finding("REDIS", "ok", f"Redis {version} 可用。", f"Redis {version} answers.")


async def _look_at_server(
    connection: asyncpg.Connection,
    extensions: tuple[str, ...],
    minimum_version: int,
    host_clock: Callable[[], datetime],
) -> list[Finding]:
    found = []
    version: str = await connection.fetchval("select split_part(current_setting('server_version'), ' ', 1)")
    if connection.get_server_version().major < minimum_version:
        found.append(
            Finding(
                "POSTGRES_TOO_OLD",
                "error",
                f"PostgreSQL 版本过低：{version}。",
                f"PostgreSQL is too old: {version}.",
                f"升级至 {minimum_version} 或更高版本。",
                f"Upgrade it to {minimum_version} or later.",
            )
        )
    else:
        name = f"PostgreSQL {version}"
        found.append(Finding("POSTGRES", "ok", f"{name} 可用。", f"{name} answers."))
    before = host_clock()
    there: datetime = await connection.fetchval("select clock_timestamp()")
    here = before + (host_clock() - before) / 2
    skew = abs(there - here)
    seconds = f"{skew.total_seconds():.1f}"
    if skew > MAXIMUM_SKEW:
        found.append(
            Finding(
                "CLOCK_SKEW",
                "error",
                f"本机与数据库时钟相差 {seconds} 秒。",
                f"This machine's clock and the database's differ by {seconds} s.",
                "校准两台主机的时钟（NTP）；令牌有效期与作业租约依赖时钟。",
                "Set both clocks by NTP: token lifetimes and job leases depend on them.",
            )
        )
    else:
        found.append(Finding("CLOCK", "ok", f"时钟相差 {seconds} 秒。", f"The clocks differ by {seconds} s."))
    there_are = {row["extname"] for row in await connection.fetch("select extname from pg_extension")}
    for extension in extensions:
        if extension in there_are:
            found.append(Finding("EXTENSION", "ok", f"扩展 {extension} 已安装。", f"Extension {extension} is there."))
        else:
            found.append(
                Finding(
                    "EXTENSION_MISSING",
                    "error",
                    f"缺少数据库扩展 {extension}。",
                    f"The database has no extension {extension}.",
                    f"由管理员执行：CREATE EXTENSION {extension};",
                    f"As an administrator: CREATE EXTENSION {extension};",
                )
            )
    return found


async def _look_at_role(connection: asyncpg.Connection) -> list[Finding]:
    row = await connection.fetchrow(
        "select rolname, rolsuper, rolbypassrls, (select count(*) from pg_class where relowner = r.oid"
        " and relkind in ('r', 'p', 'v', 'm', 'S')) as owned from pg_roles r where rolname = current_user"
    )
    name = row["rolname"] if row else "?"
    found = []
    if row and row["rolsuper"]:
        found.append(
            Finding(
                "APPLICATION_ROLE_IS_SUPERUSER",
                "error",
                f"应用角色 {name} 是超级用户，行级安全对其无效。",
                f"The application role {name} is a superuser: row level security does not bind it.",
                f"ALTER ROLE {name} NOSUPERUSER; 或令 FENZHI_APP_DATABASE_URL 使用 fenzhi_app。",
                f"ALTER ROLE {name} NOSUPERUSER; or let FENZHI_APP_DATABASE_URL name fenzhi_app.",
            )
        )
    if row and row["rolbypassrls"]:
        found.append(
            Finding(
                "APPLICATION_ROLE_BYPASSES_RLS",
                "error",
                f"应用角色 {name} 可绕过行级安全。",
                f"The application role {name} has BYPASSRLS.",
                f"ALTER ROLE {name} NOBYPASSRLS;",
                f"ALTER ROLE {name} NOBYPASSRLS;",
            )
        )
    if row and row["owned"] and not row["rolsuper"]:
        found.append(
            Finding(
                "APPLICATION_ROLE_OWNS_TABLES",
                "error",
                f"应用角色 {name} 拥有 {row['owned']} 个表或视图，可自行解除行级安全。",
                f"The application role {name} owns {row['owned']} relations and could lift their row level security.",
                f"REASSIGN OWNED BY {name} TO fenzhi_owner;",
                f"REASSIGN OWNED BY {name} TO fenzhi_owner;",
            )
        )
    return found or [
        Finding("APPLICATION_ROLE", "ok", f"应用角色 {name} 权限恰当。", f"The application role {name} is weak enough.")
    ]


async def _look_at_schema(connection: asyncpg.Connection) -> list[Finding]:
    from fenzhi_migrations.upgrade import head_revision

    head = head_revision()
    try:
        current = await connection.fetchval("select version_num from alembic_version")
    except asyncpg.UndefinedTableError:
        current = None
    except asyncpg.InsufficientPrivilegeError:
        return [
            _not_looked_at("migrations", "迁移版本（需要 FENZHI_DATABASE_URL）", "the revision (FENZHI_DATABASE_URL)")
        ]
    if current == head:
        return [Finding("MIGRATIONS", "ok", f"数据库版本 {head}。", f"The database is at {head}.")]
    return [
        Finding(
            "MIGRATIONS_BEHIND",
            "error",
            f"数据库版本为 {current or '空'}，程序需要 {head}。",
            f"The database is at {current or 'nothing'}, the program needs {head}.",
            "执行 fenzhi migrate。",
            "Run fenzhi migrate.",
        )
    ]


def _not_looked_at(what: str, zh: str, en: str) -> Finding:
    return Finding(
        "NOT_LOOKED_AT",
        "note",
        f"未检查{zh}：平台未运行，也未给出连接。",
        f"Not looked at: {en}. No platform runs and no DSN is given.",
        "fenzhi up --detach 之后再运行 fenzhi doctor。",
        f"Run fenzhi doctor again after fenzhi up --detach ({what}).",
    )
