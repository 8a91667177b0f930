"""The unit of work (事务单元): one transaction, in one scope, committed at the edge.

The login role can do nothing by itself. Each transaction takes one NOLOGIN role and the `fenzhi.*` settings of its scope, both
local to the transaction, so that a pooled connection carries nothing to the next user. An empty setting means nobody.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import asyncpg
import uuid_utils
from sqlalchemy import Executable, Row, Table, TextClause, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.rules.refusals import Conflict, FenzhiError
from fenzhi.store.bulk_driver import BulkDriver
from fenzhi.store.failpoints import failpoint
from fenzhi.telemetry.metrics import TRANSACTION_SECONDS, TRANSACTIONS
from fenzhi.telemetry.traces import SpanKind, span, tell

BUSINESS_ZONE = "Asia/Shanghai"

CONNECT_S = 5.0
"""How long a new connection may take (建立连接上限)."""
PING_S = 3.0
"""How long a pooled connection may take to answer before it is used (探活上限)."""
_FAR_END_GONE = {
    # Sent by the client, kept by the server: a backend whose client has gone, or lost its way, ends and lets its locks go.
    "client_connection_check_interval": "5s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30s",
}
_STATEMENT_TIMEOUT_MS = {
    DatabaseRole.HOSPITAL: 5_000,
    DatabaseRole.COUNTY: 10_000,
    DatabaseRole.AREA: 15_000,
    DatabaseRole.PROVINCE: 30_000,
    DatabaseRole.OPERATOR: 15_000,
    DatabaseRole.WORKER: 0,
    DatabaseRole.PROVINCE_AUDITOR: 30_000,
    DatabaseRole.AREA_AUDITOR: 30_000,
    DatabaseRole.SEQUENCER: 0,
}
"""How long one statement may run for each level; the worker is bounded by its lease instead."""


class Unavailable(FenzhiError):
    """No database connection in time (服务繁忙): try again."""

    code = "UNAVAILABLE"
    http_status = 503


class StorageFull(Unavailable):
    """The database's disk is full (存储空间不足): nothing was kept; try again when there is space."""

    code = "STORAGE_FULL"


def new_id() -> uuid.UUID:
    """A fresh time-ordered key (UUIDv7 主键)."""
    return uuid.UUID(bytes=uuid_utils.uuid7().bytes)


class LRUMemory:
    """A bounded memory (有界缓存): what was used longest ago is forgotten first."""

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable) -> Any | None:
        """What is kept under a key, or None."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value, never None, under a key."""
        self._kept[key] = value
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


class UnitOfWork:
    """One open transaction in one scope (事务单元). Repositories take it; nobody but `Database` commits it."""

    def __init__(
        self,
        connection: AsyncConnection,
        scope: Scope,
        *,
        holds_lock: bool = False,
        memory: LRUMemory | None = None,
    ) -> None:
        self.connection = connection
        self.scope = scope
        self.holds_lock = holds_lock
        """Whether the lock asked for with the transaction is held (是否取得互斥锁)."""
        self.memory = memory if memory is not None else LRUMemory()
        """What this process remembers of this database (进程缓存), each by a key that names its version."""
        self._after_commit: list[Callable[[], Awaitable[None]]] = []

    async def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> int:
        """Run a statement; the number of rows it touched."""
        result = await self.connection.execute(statement, parameters)
        return int(result.rowcount)

    async def rows(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        """All rows of a query."""
        return (await self.connection.execute(statement, parameters)).all()

    async def first(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Row[Any] | None:
        """The first row of a query, or none."""
        return (await self.connection.execute(statement, parameters)).first()

    async def scalar(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        """The single value of a query, or None."""
        return (await self.connection.execute(statement, parameters)).scalar()

    async def straight(self, statement: str, *values: Any) -> Any | None:
        """The first row of a statement given as the driver takes it (直达驱动的语句), prepared once per connection.

        For the few statements that every request of a busy path runs: building and caching them anew costs more than the database does.
        """
        raw = await self.connection.get_raw_connection()
        driver: Any = raw.driver_connection
        return await driver.fetchrow(statement, *values)

    async def insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows given as mappings; nothing for an empty sequence."""
        if rows:
            await self.connection.execute(table.insert(), list(rows))

    async def copy_in(self, table: Table, columns: Sequence[str], records: Iterable[tuple[Any, ...]]) -> int:
        """Bulk-insert through a temporary staging table (批量写入), so that row level security checks every row.

        COPY into a table with row level security is refused by PostgreSQL, hence COPY to staging, then INSERT … SELECT.
        Returns the number of rows inserted.
        """
        raw = await self.connection.get_raw_connection()
        driver: Any = raw.driver_connection
        staging = f"staging_{table.name}"
        names = ", ".join(columns)
        await driver.execute(
            f"create temporary table if not exists {staging} on commit drop as select {names} from {table.name} with no data"
        )
        await driver.execute(f"truncate {staging}")
        await driver.copy_records_to_table(staging, records=records, columns=list(columns))
        failpoint("store.copied")
        status: str = await driver.execute(f"insert into {table.name} ({names}) select {names} from {staging}")
        return int(status.rsplit(" ", 1)[-1])

    async def now(self) -> datetime:
        """The database's time at the start of this transaction (数据库时间)."""
        return await self.scalar(text("select now()"))  # type: ignore[no-any-return]

    async def today(self) -> Any:
        """The business day in Asia/Shanghai, from the database (业务日期)."""
        return await self.scalar(text("select (now() at time zone 'Asia/Shanghai')::date"))

    async def try_lock(self, name: str) -> bool:
        """Take a transaction-long advisory lock by name, or say that somebody holds it (咨询锁)."""
        return bool(
            await self.scalar(text("select pg_try_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})
        )

    @asynccontextmanager
    async def as_role(self, role: DatabaseRole) -> AsyncIterator[None]:
        """Take another database role for a few statements of this transaction (临时角色)."""
        await self.connection.execute(text(f"set local role {role.value}"))
        try:
            yield
        finally:
            await self.connection.execute(text(f"set local role {self.scope.role.value}"))

    @asynccontextmanager
    async def in_area(self, area_id: int) -> AsyncIterator[None]:
        """Act for one area of a province in the worker's role, for a few statements of this transaction (代辖区记账).

        Raises: ValueError for an area that is not of the scope's province.
        """
        outer = self.scope
        if area_id not in outer.area_ids:
            raise ValueError("the area is not of this province")
        self.scope = replace(outer, role=DatabaseRole.WORKER, area_id=area_id, area_ids=())
        await _enter(self.connection, self.scope)
        yield
        # What breaks inside leaves the transaction as it is, in the area and with its scope: it can only be rolled back.
        self.scope = outer
        await _enter(self.connection, outer)

    def after_commit(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do something once the facts are safe, such as ringing the worker's bell; its failure loses nothing."""
        self._after_commit.append(act)


class Database:
    """The application's connections (数据库). One per process."""

    def __init__(
        self, dsn: str, *, pool_size: int = 10, application: str = "fenzhi", idle_in_transaction_s: int = 20
    ) -> None:
        """`idle_in_transaction_s`: how long the server lets a transaction of ours hold its locks and say nothing (事务空闲上限)."""
        _scheme, _separator, rest = dsn.partition("://")
        self._stale_before = 0.0
        self._memory = LRUMemory()
        self.dsn = dsn
        self.bulk = BulkDriver(dsn)
        self.connections_most = pool_size * 2
        self.engine: AsyncEngine = create_async_engine(
            f"postgresql+asyncpg://{rest}",
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=5,
            pool_recycle=300,
            pool_reset_on_return=None,
            connect_args={
                "timeout": CONNECT_S,
                "server_settings": {
                    "application_name": application,
                    "jit": "off",
                    "TimeZone": BUSINESS_ZONE,
                    "idle_in_transaction_session_timeout": f"{idle_in_transaction_s}s",
                    **_FAR_END_GONE,
                },
            },
        )
        _carry_nothing_over(self.engine)
        _remember_when_made(self.engine)

    @asynccontextmanager
    async def unit_of_work(self, scope: Scope, *, lock: str = "") -> AsyncIterator[UnitOfWork]:
        """Open a transaction in a scope; commit when the block ends well, roll back otherwise (事务).

        `lock`: a transaction-long advisory lock to try on the way in; `holds_lock` says whether it was free.
        Raises: Unavailable when no connection is free in time; Conflict for a concurrent change.
        """
        with span("transaction", SpanKind.CLIENT, db_system_name="postgresql", db_role=scope.role.value) as traced:
            outcome = "rolled_back"
            began = time.perf_counter()
            try:
                async with (
                    self._connected(scope, lock) as (connection, holds_lock),
                    _committed(connection),
                    _dropped_when_cancelled(connection),
                ):
                    uow = UnitOfWork(connection, scope, holds_lock=holds_lock, memory=self._memory)
                    yield uow
                outcome = "committed"
            except Unavailable:
                outcome = "unavailable"
                raise
            finally:
                TRANSACTIONS.labels(scope.role.value, outcome).inc()
                TRANSACTION_SECONDS.labels(scope.role.value).observe(time.perf_counter() - began)
                tell(traced, fenzhi_outcome=outcome)
        for act in uow._after_commit:
            await act()

    @asynccontextmanager
    async def snapshot(self, scope: Scope) -> AsyncIterator[UnitOfWork]:
        """A read-only unit of work that sees one moment throughout (只读快照), for looks that must agree with each other.

        Raises: as `unit_of_work`.
        """
        async with self._connected() as (plain, _):
            connection = await plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin(), _dropped_when_cancelled(connection):
                await _enter(connection, scope)
                yield UnitOfWork(connection, scope, memory=self._memory)

    @asynccontextmanager
    async def _connected(
        self, scope: Scope | None = None, lock: str = ""
    ) -> AsyncIterator[tuple[AsyncConnection, bool]]:
        """A connection that answers, in the scope where one is given, and whether the lock is held.

        Whatever the database or the way to it says is translated.
        """
        async with AsyncExitStack() as stack:
            try:
                connection, holds_lock = await self._answering(stack, scope, lock)
            except PoolTimeout as exc:
                raise Unavailable("数据库连接繁忙，请稍后重试。", "No database connection is free; try again.") from exc
            except (OSError, *_OF_THE_DRIVER) as exc:
                raise translated(exc) from exc
            try:
                yield connection, holds_lock
            except (ConnectionError, *_OF_THE_DRIVER) as exc:
                told = translated(exc)
                if isinstance(told, Unavailable) and not isinstance(told, StorageFull):
                    # What broke once is nobody's connection any more.
                    with suppress(Exception):
                        await connection.invalidate()
                raise told from exc

    async def _answering(self, stack: AsyncExitStack, scope: Scope | None, lock: str) -> tuple[AsyncConnection, bool]:
        """A connection of the pool that answers within `PING_S`. One that does not makes all that are as old suspect.

        Entering the scope is the question: what enters has answered.
        """
        while True:
            connection = await self.engine.connect()
            raw = await connection.get_raw_connection()
            made_at: float = raw.info.get("made_at", 0.0)
            driver: Any = raw.driver_connection
            holds_lock = False
            try:
                if made_at > self._stale_before:
                    async with asyncio.timeout(PING_S):
                        if scope is None:
                            await driver.execute("select")
                        else:
                            holds_lock = await _enter(connection, scope, lock)
                    return await stack.enter_async_context(_closing(connection)), holds_lock
            except (OSError, *_OF_THE_DRIVER) as exc:
                told = translated(exc)
                if not isinstance(told, Unavailable) or isinstance(told, StorageFull):
                    await _drop(connection, driver)
                    raise
                self._stale_before = max(self._stale_before, made_at)
            except BaseException:
                await _drop(connection, driver)
                raise
            await _drop(connection, driver)

    async def answers(self) -> bool:
        """Whether the database answers (存活检查), soon."""
        try:
            async with asyncio.timeout(PING_S), self._connected():
                return True
        except (TimeoutError, FenzhiError):
            return False

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()
        self.bulk.close()


@asynccontextmanager
async def _closing(connection: AsyncConnection) -> AsyncIterator[AsyncConnection]:
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _dropped_when_cancelled(connection: AsyncConnection) -> AsyncIterator[None]:
    """Let nobody who is cancelled wait for a rollback over a way that may answer nothing: the server rolls back what lost its client."""
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    try:
        yield
    except asyncio.CancelledError:
        await _let_go(connection, driver)
        raise


async def _drop(connection: AsyncConnection, driver: Any) -> None:
    """End a connection without a word to the other side (丢弃连接). `driver`: its own, which a broken connection no longer tells."""
    await _let_go(connection, driver)
    with suppress(Exception):
        await connection.close()


async def _let_go(connection: AsyncConnection, driver: Any) -> None:
    """Whatever goes wrong here, the connection is gone, and what its user was told before stands."""
    with suppress(Exception):
        driver.terminate()
        await connection.invalidate()


def _remember_when_made(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def _made(_dbapi_connection: Any, record: Any) -> None:
        record.info["made_at"] = time.monotonic()


async def _enter(connection: AsyncConnection, scope: Scope, lock: str = "") -> bool:
    """Take role and settings of a scope, local to the transaction, in one statement; whether the lock asked for is held."""
    settings = scope.settings()
    values = {f"v{i}": value for i, value in enumerate(settings.values())}
    if not lock:
        await connection.execute(_entering(tuple(settings), scope.role, is_locking=False), values)
        return False
    found = await connection.execute(_entering(tuple(settings), scope.role, is_locking=True), {**values, "lock": lock})
    return bool(found.scalar_one())


@lru_cache(maxsize=64)
def _entering(names: tuple[str, ...], role: DatabaseRole, *, is_locking: bool) -> TextClause:
    calls = ", ".join(f"set_config('{name}', :v{i}, true)" for i, name in enumerate(names))
    lock = "pg_try_advisory_xact_lock(hashtextextended(:lock, 0)), " if is_locking else ""
    timeout = _STATEMENT_TIMEOUT_MS[role]
    return text(
        f"select {lock}{calls}, set_config('statement_timeout', '{timeout}', true), set_config('role', '{role.value}', true)"
    )


@asynccontextmanager
async def _committed(connection: AsyncConnection) -> AsyncIterator[None]:
    """Commit the transaction that entering began when the block ends well, roll it back otherwise."""
    try:
        yield
    except BaseException:
        await connection.rollback()
        raise
    await connection.commit()


def _carry_nothing_over(engine: AsyncEngine) -> None:
    """Reset a connection when it returns to the pool: no role, no setting, no temporary table, no lock may outlive its user."""

    @event.listens_for(engine.sync_engine, "reset")
    def _reset(dbapi_connection: Any, _record: Any, state: Any) -> None:
        if state.terminate_only:
            return
        dbapi_connection.rollback()
        dbapi_connection.run_async(
            lambda driver: driver.execute("reset all; reset role; discard temp; select pg_advisory_unlock_all()")
        )


FULL = frozenset({"53100", "58030"})
"""Disk full, and an I/O error, which is what a full disk is while a file grows (空间不足)."""
_BY_SQLSTATE = {
    "23505": ("ALREADY_EXISTS", "相同的记录已存在。", "The same record exists already."),
    "23503": ("NOT_FOUND", "引用的对象不存在。", "A referenced object does not exist."),
    "23514": ("RULE_OF_STORE", "数据不符合约束。", "The data break a rule of the store."),
    "23001": ("IMMUTABLE", "该记录不可更改。", "The record may not be changed."),
    "23P01": (
        "ROLE_EXCLUSIVE",
        "该人员已有其他角色，三权分立不允许兼任。",
        "The person holds another role, which administrators exclude.",
    ),
    "40001": ("TRY_AGAIN", "并发冲突，请重试。", "A concurrent change; try again."),
    "40P01": ("TRY_AGAIN", "并发冲突，请重试。", "A concurrent change; try again."),
    "55P03": ("TRY_AGAIN", "资源被占用，请重试。", "The record is locked; try again."),
    "57014": ("TIMED_OUT", "查询超时，请缩小范围。", "The query took too long; narrow it."),
    "FZ001": (
        "ROLE_EXCLUSIVE",
        "系统、安全、审计管理员角色须由不兼任其他角色的人员担任。",
        "A system, security or audit administrator holds no other role.",
    ),
    "42501": ("FORBIDDEN", "无权进行此操作。", "This is not permitted."),
}


_OF_THE_DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, DBAPIError)
"""What the driver raises; its internal error is what a connection says that broke in the midst of a statement."""


def storage_full() -> StorageFull:
    """What is said when the database has no space left (空间不足)."""
    return StorageFull(
        "数据库存储空间不足，未保存任何内容。",
        "The database has no space left; nothing was kept.",
        hint="腾出空间后重试 / free space on the database's disk, then try again",
    )


def translated(exc: Exception) -> Exception:
    """The conflict a database error stands for, or the error itself when it is our own mistake (错误转译).

    Takes what SQLAlchemy wraps, what the driver raises by itself in a copy or while connecting, and a connection that broke.
    """
    cause = exc.orig if isinstance(exc, DBAPIError) else exc
    sqlstate = getattr(cause, "sqlstate", None) or ""
    if sqlstate in _BY_SQLSTATE:
        code, zh, en = _BY_SQLSTATE[sqlstate]
        return Conflict(zh, en, code=code)
    if sqlstate.startswith("22"):
        return Conflict("值无法存储（长度、范围或字符不符）。", "A value cannot be stored.", code="VALUE_NOT_STORABLE")
    if sqlstate in FULL:
        return storage_full()
    is_lost = isinstance(cause, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError) or getattr(
        exc, "connection_invalidated", False
    )
    if is_lost or sqlstate.startswith(("08", "53", "57P")):
        return Unavailable("数据库暂不可用，请稍后重试。", "The database is unavailable for the moment; try again.")
    return exc
