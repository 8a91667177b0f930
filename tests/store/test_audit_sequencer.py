"""The sequencer over a real database: commits out of order, two at once, a moved database, SM3, anchors, and 5 kinds of tampering."""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from fenzhi.access.scope import SEQUENCER_SCOPE, DatabaseRole, Scope
from fenzhi.cli.audit import _NoBell
from fenzhi.cli.battery.audit import try_tampering
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.database_roles import replace_dsn
from fenzhi.cli.servers import ServerAddresses
from fenzhi.rules.refusals import DataRefused
from fenzhi.services.acts import Platform
from fenzhi.services.audit import chain
from fenzhi.store.digests import sm3
from fenzhi.store.keyring import Keyring
from fenzhi.store.repositories import audit
from fenzhi.store.session import Database, UnitOfWork, translated

PLACE = Scope(role=DatabaseRole.AREA, tenant="410100", province_id=1, area_id=2)


@asynccontextmanager
async def platform_over(addresses: ServerAddresses, **changes: Any) -> AsyncIterator[Platform]:
    database = Database(addresses.app_dsn, pool_size=8, application="fenzhi-test")
    try:
        yield Platform(database=database, doorbell=_NoBell(), keyring=Keyring(bytes(32)), **changes)
    finally:
        await database.close()


def superuser_of(addresses: ServerAddresses) -> str:
    """A superuser's address of the same database."""
    given = os.environ.get("FENZHI_TEST_DATABASE_URL", "") or addresses.superuser_dsn
    return replace_dsn(given, database=addresses.app_dsn.rsplit("/", 1)[1])


async def noted(uow: UnitOfWork, request_id: str = "r", subjects: Any = None) -> None:
    await audit.note(uow, role="r", action="a", object_type="", object_id="", request_id=request_id, subjects=subjects)


async def chained(platform: Platform) -> list[str]:
    """Request ids in the order of the chain, after all that waits was chained."""
    while await chain.chain_waiting(platform):
        pass
    async with platform.database.unit_of_work(SEQUENCER_SCOPE) as uow:
        return [row.request_id for row in await audit.links_after(uow, 0, 100_000)]


async def test_what_commits_late_is_linked_late_and_not_lost(new_database: Callable[..., ServerAddresses]) -> None:
    async with platform_over(new_database(migrated=True)) as platform:
        early, go = asyncio.Event(), asyncio.Event()

        async def slow() -> None:
            async with platform.database.unit_of_work(PLACE) as uow:
                await noted(uow, "began first")
                early.set()
                await go.wait()

        task = asyncio.create_task(slow())
        await early.wait()
        for name in ("second", "third"):
            async with platform.database.unit_of_work(PLACE) as uow:
                await noted(uow, name)
        assert await chained(platform) == ["second", "third"]
        for name in ("fourth", "fifth"):
            async with platform.database.unit_of_work(PLACE) as uow:
                await noted(uow, name)
            assert await chain.chain_waiting(platform) == 1
        go.set()
        await task
        assert await chained(platform) == ["second", "third", "fourth", "fifth", "began first"]
        assert (await chain.verify(platform.database, platform.keyring)).holds


async def test_many_writers_and_two_sequencers_lose_and_double_nothing(
    new_database: Callable[..., ServerAddresses],
) -> None:
    async with platform_over(new_database(migrated=True)) as platform:
        rng = random.Random(5)
        kept: set[str] = set()
        writing = True

        async def writer(number: int) -> None:
            for n in range(40):
                names = [f"{number}/{n}/{k}" for k in range(rng.choice((1, 1, 2)))]
                is_kept = rng.random() < 0.8
                try:
                    async with platform.database.unit_of_work(PLACE) as uow:
                        for name in names:
                            await noted(uow, name)
                            await asyncio.sleep(rng.choice((0, 0, 0.002, 0.03)))
                        if not is_kept:
                            raise InterruptedError
                        kept.update(names)
                except InterruptedError:
                    pass

        async def sequencer() -> int:
            busy = 0
            while writing:
                busy += await chain.chain_waiting(platform, most=rng.choice((1, 3, 2000))) is None
                await asyncio.sleep(0.001)
            return busy

        sequencers = [asyncio.create_task(sequencer()) for _ in range(2)]
        await asyncio.gather(*(writer(n) for n in range(5)))
        writing = False
        await asyncio.gather(*sequencers)
        order = await chained(platform)
        assert len(order) == len(set(order))
        assert set(order) == kept
        found = await chain.verify(platform.database, platform.keyring)
        assert (found.holds, found.links, found.waiting) == (True, len(kept), 0)


async def test_a_database_moved_to_a_younger_server_goes_on(new_database: Callable[..., ServerAddresses]) -> None:
    addresses = new_database(migrated=True)
    async with platform_over(addresses) as platform:
        async with platform.database.unit_of_work(PLACE) as uow:
            await noted(uow, "old server")
        assert await chained(platform) == ["old server"]
        superuser = await asyncpg.connect(superuser_of(addresses))
        try:
            # A dump restored elsewhere: the chain speaks of transaction numbers that the new server has not reached.
            async with superuser.transaction():
                await superuser.execute("set local session_replication_role = replica")
                await superuser.execute("update audit_link set horizon = horizon + 1000000000")
        finally:
            await superuser.close()
        async with platform.database.unit_of_work(PLACE) as uow:
            await noted(uow, "new server")
        assert await chained(platform) == ["old server", "new server"]


async def test_sm3_makes_the_same_chain_with_other_digests(
    new_database: Callable[..., ServerAddresses], tmp_path: Path
) -> None:
    file = tmp_path / "anchors.ndjson"
    addresses = new_database(migrated=True)
    async with platform_over(addresses, audit_digest="sm3", anchor_file=file) as platform:
        async with platform.database.unit_of_work(PLACE) as uow:
            await noted(uow, subjects=[uuid.UUID(int=2), uuid.UUID(int=1), uuid.UUID(int=2)])
        await chained(platform)
        made = await chain.anchor(platform)
        assert made is not None
        assert made.algorithm == "sm3"
        async with platform.database.unit_of_work(SEQUENCER_SCOPE) as uow:
            (row,) = await audit.links_after(uow, 0, 10)
        assert row.previous == sm3(b"fenzhi/audit/genesis/1")
        assert row.subjects == [uuid.UUID(int=1), uuid.UUID(int=2)]
        outside = chain.read_anchors(file.read_text().splitlines())
        assert outside == [made]
        assert (await chain.verify(platform.database, platform.keyring, outside)).anchored == 1
        other = Keyring(b"\x01" * 32)
        assert {one.fault.value for one in (await chain.verify(platform.database, other, outside)).findings} == {
            "anchor"
        }
        assert (await chain.verify(platform.database, None, outside)).holds


async def test_an_anchor_is_made_hourly_and_only_for_something_new(
    new_database: Callable[..., ServerAddresses],
) -> None:
    async with platform_over(new_database(migrated=True)) as platform:
        assert await chain.anchor(platform, every=timedelta(hours=1)) is None
        async with platform.database.unit_of_work(PLACE) as uow:
            await noted(uow)
        await chained(platform)
        assert await chain.anchor(platform, every=timedelta(hours=1)) is not None
        async with platform.database.unit_of_work(PLACE) as uow:
            await noted(uow)
        await chained(platform)
        assert await chain.anchor(platform, every=timedelta(hours=1)) is None
        assert await chain.anchor(platform, every=timedelta(0)) is not None
        assert await chain.anchor(platform) is None
        state = await chain.chain_state(platform.database)
        assert (state.seq, state.anchored_seq, state.waiting, state.oldest_s) == (2, 2, 0, 0.0)


@pytest.mark.parametrize("line", ["{", "[]", '{"seq": 1}', '{"seq": "x", "digest": "zz"}'])
def test_a_damaged_line_of_anchors_is_named(line: str) -> None:
    with pytest.raises(DataRefused) as refused:
        chain.read_anchors(["", line])
    assert refused.value.refusals[0].where == "line 2"


@pytest.mark.parametrize("table", ["audit_event", "audit_link", "audit_anchor"])
async def test_the_owner_cannot_change_delete_or_empty(
    new_database: Callable[..., ServerAddresses], table: str
) -> None:
    addresses = new_database(migrated=True)
    async with platform_over(addresses) as platform:
        async with platform.database.unit_of_work(PLACE) as uow:
            await noted(uow)
        await chained(platform)
        await chain.anchor(platform)
    superuser = await asyncpg.connect(superuser_of(addresses))
    first = {"audit_event": "role", "audit_link": "algorithm", "audit_anchor": "key_id"}[table]
    try:
        for statement in (f"update {table} set {first} = 'x'", f"delete from {table}", f"truncate {table} cascade"):
            with pytest.raises(asyncpg.RestrictViolationError, match="is append-only"):
                await superuser.execute(statement)
    finally:
        await superuser.close()


@pytest.mark.parametrize(
    "statement",
    [
        "select * from audit_event",
        "update audit_event set role = 'x'",
        "delete from audit_event",
        "select * from audit_link",
        "insert into audit_anchor values (1, 'sha256', '', 'k', '', now())",
    ],
)
@pytest.mark.parametrize(
    "role",
    [
        r
        for r in DatabaseRole
        if r.value.removeprefix("fenzhi_") in ("operator", "province", "area", "county", "hospital", "worker")
    ],
)
async def test_who_works_neither_reads_nor_changes_the_audit(
    migrated: ServerAddresses, role: DatabaseRole, statement: str
) -> None:
    database = Database(migrated.app_dsn, pool_size=1)
    scope = Scope(role=role, tenant="410100", province_id=1, area_id=2, county_id=3, hospital_id=4, area_ids=(2,))
    try:
        with pytest.raises(Exception, match="not permitted"):
            async with database.unit_of_work(scope) as uow:
                await uow.execute(text(statement))
    finally:
        await database.close()


@pytest.mark.parametrize(
    "forged", [{"tenant": "'370000'"}, {"province_id": "7"}, {"area_id": "7"}, {"province_id": "null"}]
)
async def test_an_event_is_written_in_ones_own_name_only(migrated: ServerAddresses, forged: dict[str, str]) -> None:
    database = Database(migrated.app_dsn, pool_size=1)
    values = {"tenant": "'410100'", "province_id": "1", "area_id": "2"} | forged
    try:
        with pytest.raises(Exception, match="not permitted"):
            async with database.unit_of_work(PLACE) as uow:
                await uow.execute(
                    text(
                        "insert into audit_event (event_id, role, action, object_type, object_id, request_id, details, "
                        f"{', '.join(values)}) values (gen_random_uuid(), 'r', 'a', '', '', '', '{{}}', "
                        f"{', '.join(values.values())})"
                    )
                )
    finally:
        await database.close()


async def test_tampering_is_found_and_named(new_database: Callable[..., ServerAddresses]) -> None:
    addresses = new_database(migrated=True)
    tally = Tally()
    async with platform_over(addresses) as platform:
        anchors = []
        for number in range(60):
            async with platform.database.unit_of_work(PLACE) as uow:
                for _ in range(8):
                    await noted(uow, os.urandom(8).hex(), [uuid.uuid4()])
            if number % 20 == 19:
                await chained(platform)
                made = await chain.anchor(platform)
                assert made is not None
                anchors.append(made)
        dsn = superuser_of(addresses)
        await try_tampering(dsn, platform, anchors, tally, seed=7, rounds=6)
    assert tally.failures == []
    assert tally.tried == {
        "untouched": 2, "edit": 6, "delete": 6, "insert": 6, "reorder": 6, "cut": 6, "rewrite": 6,
    }  # fmt: skip


def test_the_translation_of_an_exclusive_role_is_typed() -> None:
    class Orig(Exception):
        sqlstate = "FZ001"

    from sqlalchemy.exc import DBAPIError

    found = translated(DBAPIError("x", {}, Orig()))
    assert getattr(found, "code", "") == "ROLE_EXCLUSIVE"
