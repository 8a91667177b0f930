"""Tenants take turns: whoever sends a hundred batches does not stand before the others with them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import pytest

from builders.world import World, open_world
from fenzhi.access.scope import DOORBELL_SCOPE, Scope
from fenzhi.cli.servers import ServerAddresses
from fenzhi.outbox import jobs
from fenzhi.services.jobs.execution import JobInHand, jobs_waiting
from fenzhi_workers.jobs import HANDLERS
from fenzhi_workers.worker import NightShift

KIND = "submission.judge_batch"


async def queued(world: World, tenant: str) -> uuid.UUID:
    owner = Scope(DOORBELL_SCOPE.role, tenant)
    async with world.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
        return await jobs.enqueue(uow, world.platform.doorbell, KIND, {}, scope=owner)


async def test_the_first_of_each_tenant_comes_before_the_second_of_any(
    new_database: Callable[..., ServerAddresses],
) -> None:
    place = new_database(migrated=True)
    async with open_world(place.app_dsn, place.redis_url) as world:
        many = [await queued(world, "H1") for _ in range(105)]
        few = [await queued(world, "H2") for _ in range(2)]
        found = await jobs_waiting(world.platform)
        assert [one.job_id for one in found[:5]] == [many[0], few[0], many[1], few[1], many[2]]
        assert [one.turn for one in found[:5]] == [1, 1, 2, 2, 3]
        # What is under way counts: the next of the busy one stands behind the first of the idle one.
        async with world.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
            assert await jobs.claim(uow, many[0]) is not None
        assert [(one.job_id, one.turn) for one in (await jobs_waiting(world.platform))[:3]] == [
            (few[0], 1),
            (many[1], 2),
            (few[1], 2),
        ]


async def test_the_last_free_slot_is_kept_for_who_has_nothing_under_way(
    new_database: Callable[..., ServerAddresses], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_database(migrated=True)
    begun: list[str] = []
    go_on = asyncio.Event()

    async def handler(_platform: object, job: JobInHand) -> None:
        begun.append(job.claimed.tenant)
        await go_on.wait()
        async with job.finishing({}):
            pass

    monkeypatch.setitem(HANDLERS, KIND, handler)
    async with open_world(place.app_dsn, place.redis_url) as world:
        for _ in range(4):
            await queued(world, "H1")
        shift = NightShift(world.platform, 3)
        sweeping = asyncio.create_task(shift.sweep())
        try:
            await _until(lambda: len(begun) == 2)
            await asyncio.sleep(1.5)
            assert begun == ["H1", "H1"]
            await queued(world, "H2")
            shift.ring()
            await _until(lambda: len(begun) == 3)
            assert begun == ["H1", "H1", "H2"]
            go_on.set()
            await _until(lambda: len(begun) == 5)
            assert begun.count("H1") == 4
            async with asyncio.timeout(30):
                while await jobs_waiting(world.platform):
                    await asyncio.sleep(0.05)
        finally:
            sweeping.cancel()
            await shift.drain(5)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)
