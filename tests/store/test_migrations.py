"""The migrations from zero: they build what the tables say, they can be undone and done again, two at once wait for each other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from alembic import command

from fenzhi.cli.servers import ServerAddresses
from fenzhi.store.wall_check import check_walls
from fenzhi_migrations.upgrade import alembic_config


def in_thread(work: Callable[[], object]) -> None:
    """Alembic runs its own event loop, so not in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def test_the_migrations_build_what_the_tables_say(new_database: Callable[..., ServerAddresses]) -> None:
    config = alembic_config(new_database(migrated=True).owner_dsn)
    in_thread(lambda: command.check(config))


async def test_down_to_nothing_and_up_again(new_database: Callable[..., ServerAddresses]) -> None:
    addresses = new_database(migrated=True)
    config = alembic_config(addresses.owner_dsn)
    in_thread(lambda: command.downgrade(config, "base"))
    in_thread(lambda: command.upgrade(config, "head"))
    in_thread(lambda: command.check(config))
    assert [probe for probe in await check_walls(addresses.owner_dsn, addresses.app_dsn) if not probe.held] == []


def test_two_replicas_may_migrate_at_once(new_database: Callable[..., ServerAddresses]) -> None:
    addresses = new_database()
    program = "import sys; from fenzhi_migrations.upgrade import upgrade_to_head; upgrade_to_head(sys.argv[1])"
    command_line = [sys.executable, "-c", program, addresses.owner_dsn]
    replicas = [subprocess.Popen(command_line, stderr=subprocess.PIPE) for _ in range(2)]
    for replica in replicas:
        _, said = replica.communicate(timeout=60)
        assert replica.returncode == 0, said.decode()[-2000:]
    config = alembic_config(addresses.owner_dsn)
    in_thread(lambda: command.check(config))
