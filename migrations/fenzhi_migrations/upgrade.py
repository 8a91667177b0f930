"""Run the migrations from code (执行迁移): the CLI, the chart's job and the tests all come through here."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory


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


def upgrade_to_head(owner_dsn: str) -> None:
    """Bring a database to the newest revision (升级到最新). Safe to call from several processes at once.

    Not for use inside a running event loop. Raises: whatever the database raises; nothing is half done, each revision is
    one transaction.
    """
    command.upgrade(alembic_config(owner_dsn), "head")


def head_revision() -> str:
    """The newest revision this release knows (最新版本号)."""
    head = ScriptDirectory.from_config(alembic_config("postgresql://")).get_current_head()
    if head is None:
        raise RuntimeError("the release carries no migrations")
    return head
