"""Alembic environment: one advisory lock around the run, lock and statement timeouts, the owner's connection.

The address comes from `upgrade.py`, never from a file, so that the same code serves the checkout, the wheel and the chart's job.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from fenzhi.store.tables import metadata

ADVISORY_LOCK = 4_620_251_121
"""One number for "the migrations of Fenzhi"; replicas that race for it wait their turn."""


def _only_ours(_object: Any, name: str | None, type_: str, _reflected: bool, _compare_to: Any) -> bool:
    """Leave partitions out of autogenerate: they are made by functions, not by revisions."""
    return not (type_ == "table" and name is not None and "_p_" in name)


def _take_turn(connection: Connection) -> None:
    """Ask for the lock again and again instead of waiting in it: a transaction that waits would hold back a concurrent index."""
    while not connection.execute(text(f"select pg_try_advisory_lock({ADVISORY_LOCK})")).scalar():
        connection.commit()
        time.sleep(0.2)
    connection.commit()


def _run(connection: Connection) -> None:
    _take_turn(connection)
    # Whoever waits longer lets the traffic behind it pass and is tried again by `upgrade_to_head`.
    connection.execute(text("set lock_timeout = '2s'"))
    connection.execute(text("set statement_timeout = '15min'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=_only_ours,
        transaction_per_migration=True,
        compare_server_default=False,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(text(f"select pg_advisory_unlock({ADVISORY_LOCK})"))
    connection.commit()


async def _online(url: str) -> None:
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


def _offline(url: str) -> None:
    context.configure(url=url, target_metadata=metadata, literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.run_migrations()


_url = context.config.get_main_option("sqlalchemy.url") or "postgresql+asyncpg://"
if context.is_offline_mode():
    _offline(_url)
else:
    asyncio.run(_online(_url))
