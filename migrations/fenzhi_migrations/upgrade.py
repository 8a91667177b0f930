"""Run the migrations from code (执行迁移): the CLI, the chart's job and the tests all come through here."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

TRIES = 20
_IN_THE_WAY = ("55P03", "40P01")
"""Lock not available in time; deadlock detected."""


def alembic_config(owner_dsn: str) -> Config:
    """Alembic's configuration for one database (迁移配置)."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("file_template", "%%(year)d_%%(month).2d_%%(day).2d_%%(hour).2d%%(minute).2d_%%(slug)s")
    config.set_main_option("sqlalchemy.url", sqlalchemy_url(owner_dsn).replace("%", "%%"))
    return config


def sqlalchemy_url(dsn: str) -> str:
    """The SQLAlchemy form of a PostgreSQL address (连接串转换)."""
    _scheme, separator, rest = dsn.partition("://")
    if not separator:
        raise ValueError("a PostgreSQL address of the form postgresql://user:password@host:port/database is needed")
    return f"postgresql+asyncpg://{rest}"


def upgrade_to_head(owner_dsn: str) -> int:
    """Bring a database to the newest revision (升级到最新), beside the traffic of the release before; how many tries it took.

    Safe to call from several processes at once. A revision that meets a lock gives way after two seconds and is tried again. Not for use
    inside a running event loop. Raises: whatever the database raises; nothing is half done, each revision is one transaction.
    """
    return patiently(lambda: command.upgrade(alembic_config(owner_dsn), "head"))


def patiently(work: Callable[[], None]) -> int:
    """Do it again while it only meets somebody's lock or deadlocks (让锁重试), longer apart each time; how many tries it took."""
    for attempt in range(1, TRIES + 1):
        try:
            work()
        except DBAPIError as exc:
            if getattr(exc.orig, "sqlstate", None) not in _IN_THE_WAY or attempt == TRIES:
                raise
            time.sleep(min(0.25 * 2**attempt, 10) * random.uniform(0.5, 1))
        else:
            return attempt
    raise RuntimeError("no try was made")


def head_revision() -> str:
    """The newest revision this release knows (最新版本号)."""
    head = ScriptDirectory.from_config(alembic_config("postgresql://")).get_current_head()
    if head is None:
        raise RuntimeError("the release carries no migrations")
    return head
