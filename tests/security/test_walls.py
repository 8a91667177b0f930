"""A wall or a permission weakened is seen, whichever it is: a sample by seed here, all of them in the battery."""

from __future__ import annotations

import os

import asyncpg

from fenzhi.cli.battery.duty_matrix import try_permissions
from fenzhi.cli.battery.stage import Stage
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.battery.walls import mutants, try_walls
from fenzhi.cli.servers import ServerAddresses
from fenzhi.store.wall_check import check_catalog, undeclared_halves, undemanded_settings

SEED = int(os.environ.get("FENZHI_TEST_SEED", "20261122"))


async def test_every_kind_of_weakened_wall_is_seen(own_database: ServerAddresses) -> None:
    tally = Tally()
    await try_walls(own_database.owner_dsn, tally, SEED, 4)
    assert tally.failures == []
    assert set(tally.tried) == {
        "untouched",
        "policy dropped",
        "policy true",
        "policy or true",
        "policy or not false",
        "policy for all",
        "half dropped",
        "level unbound",
        "wall disabled",
        "wall not forced",
        "granted to the login",
        "granted to everybody",
    }


async def test_every_half_of_a_wall_is_declared(own_database: ServerAddresses) -> None:
    owner = await asyncpg.connect(own_database.owner_dsn)
    try:
        assert await undeclared_halves(owner) == [], "declare them in store/wall_halves.py"
        assert await undemanded_settings(owner) == [], "demand them in store/wall_check.py"
    finally:
        await owner.close()


async def test_a_wall_of_listeners_and_a_half_that_is_got_around_are_seen(own_database: ServerAddresses) -> None:
    """What the whole section found, and the sample above rarely takes."""
    owner = await asyncpg.connect(own_database.owner_dsn)
    wanted = (
        "webhook_secret_select_fenzhi_hospital tenant",
        "ledger_entry_select_fenzhi_county county_id",
        "role_grant_update",
    )
    try:
        found = [mutant for mutant in await mutants(owner) if any(one in mutant.where for one in wanted)]
        assert {mutant.kind for mutant in found} >= {"level unbound", "policy or true", "policy or not false"}
        for mutant in found:
            transaction = owner.transaction()
            await transaction.start()
            await owner.execute(mutant.statement)
            probes = await check_catalog(owner, mutant.table)
            await transaction.rollback()
            assert not all(probe.held for probe in probes), mutant
        whole = {(p.table, p.role, p.question) for p in await check_catalog(owner)}
        assert {(p.table, p.role, p.question) for p in await check_catalog(owner, "job")} <= whole
    finally:
        await owner.close()


async def test_every_half_can_be_dropped(own_database: ServerAddresses) -> None:
    """The statement without it is sound, brackets and all; the sample above takes a few of them only."""
    owner = await asyncpg.connect(own_database.owner_dsn)
    try:
        dropped = [mutant for mutant in await mutants(owner) if mutant.kind == "half dropped"]
        assert len({mutant.where.partition(".")[0] for mutant in dropped}) > 20
        transaction = owner.transaction()
        await transaction.start()
        for mutant in dropped:
            await owner.execute(mutant.statement)
        await transaction.rollback()
    finally:
        await owner.close()


async def test_a_widened_permission_is_seen(stage: Stage) -> None:
    tally = Tally()
    await try_permissions(stage, tally, SEED, 1)
    assert tally.failures == []
    assert tally.tried["permission widened"] == 1
    assert tally.tried["asks for a duty"] > 100, "every mutation and path that changes something"
    assert tally.tried["duty before faults"] > 90
