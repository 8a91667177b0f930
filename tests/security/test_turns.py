"""Tenants take turns: whoever sends a hundred batches does not stand before the others with them."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import text

from builders.world import World, open_world
from fenzhi.access.scope import DOORBELL_SCOPE, Scope
from fenzhi.cli.servers import ServerAddresses
from fenzhi.outbox import jobs
from fenzhi.services.acts import Platform
from fenzhi.services.jobs.execution import JobInHand, end_badly, jobs_waiting, take
from fenzhi.services.recent_use import RecentUse
from fenzhi.services.submission.judging_turns import JudgingTurns
from fenzhi.store.session import Unavailable
from fenzhi_graphql.turns import RequestTurns
from fenzhi_workers import worker
from fenzhi_workers.jobs import HANDLERS
from fenzhi_workers.shares import TenantShares
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


async def test_a_worker_that_stops_while_it_takes_a_job_gives_it_back(
    new_database: Callable[..., ServerAddresses], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_database(migrated=True)
    taken = asyncio.Event()

    async def take_slowly(platform: Platform, job_id: uuid.UUID) -> JobInHand | None:
        job = await take(platform, job_id)
        taken.set()
        await asyncio.sleep(0.2)
        return job

    monkeypatch.setattr(worker, "take", take_slowly)
    async with open_world(place.app_dsn, place.redis_url) as world:
        given = await queued(world, "H1")
        shift = NightShift(world.platform, 3)
        shift.begin(given)
        await asyncio.wait_for(taken.wait(), 30)
        await shift.drain(0)
        # Nobody has to wait for the lease, and the job has as many attempts before it as ever.
        assert [(one.job_id, one.attempt) for one in await jobs_waiting(world.platform)] == [(given, 1)]
        async with world.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
            assert await uow.scalar(text("select max_attempts from job")) == 6
        # Nor does an outage cost an attempt: what it ended is put off.
        job = await take(world.platform, given)
        assert job is not None
        await end_badly(job, Unavailable("数据库不可用。", "The database is away."))
        async with world.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
            row = await uow.first(text("select state, attempt, max_attempts, error_code, not_before > now() from job"))
        assert row is not None and tuple(row) == ("queued", 2, 7, "UNAVAILABLE", True)


class Desk:
    """Requests that last until they are let go, in the order in which they began."""

    def __init__(self, turns: RequestTurns) -> None:
        self.turns, self.begun = turns, list[str]()
        self._ends = dict[str, asyncio.Event]()
        self._tasks = dict[str, asyncio.Task[None]]()

    async def ask(self, *names: str) -> None:
        """Requests named by tenant and number, `A1`."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._request(name))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
            await asyncio.wait_for(self._tasks[name], 5)
        await asyncio.sleep(0)

    async def let_look(self) -> None:
        """Until the turns were looked through once more."""
        await asyncio.sleep(0.1)

    async def break_off(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.wait({self._tasks[name]})

    async def _request(self, name: str) -> None:
        async with self.turns.turn(name[0]):
            self.begun.append(name)
            await self._ends[name].wait()


async def test_the_last_place_at_the_api_is_kept_for_whom_nothing_runs() -> None:
    now = [0.0]
    desk = Desk(RequestTurns(at_once=4, clock=lambda: now[0], heavy_s=0))
    await desk.ask("A1", "A2", "A3", "A4", "A5")
    assert desk.begun == ["A1", "A2", "A3"]
    await desk.ask("B1", "B2", "C1")
    assert desk.begun == ["A1", "A2", "A3", "B1"]
    await desk.end("A1")
    assert desk.begun[4:] == ["C1"]
    # Whoever gives up leaves no hole, before its turn or at it.
    await desk.break_off("A4")
    await desk.end("C1", "B1", "A2", "A3")
    assert desk.begun[5:] == ["B2", "A5"]
    await desk.end("A5", "B2")
    await desk.ask("A6", "A7", "A8")
    assert desk.begun[7:] == ["A6", "A7", "A8"]


async def test_beside_a_lighter_tenant_the_heavy_one_has_one_place_and_rests() -> None:
    now = [0.0]
    desk = Desk(RequestTurns(at_once=8, clock=lambda: now[0], heavy_s=0))
    await desk.ask(*(f"A{n}" for n in range(7)))
    assert len(desk.begun) == 7
    now[0] = 2.0
    await desk.ask(*(f"A{n}" for n in range(7, 20)))
    await desk.end(*(f"A{n}" for n in range(3)))
    assert desk.begun[7:] == ["A7", "A8", "A9"], "alone it has all places but one"
    await desk.ask("B0")
    now[0] = 2.1
    await desk.end("B0")
    await desk.end(*(f"A{n}" for n in range(3, 10)))
    assert desk.begun[11:] == [], "seven have ended beside a lighter one that is awake: a rest as long as a request"
    await desk.ask("B1")
    now[0] = 2.4
    await desk.let_look()
    assert desk.begun[11:] == ["B1"], "the rest is over, and the lighter one has a request"
    now[0] = 2.45
    await desk.end("B1")
    assert desk.begun[12:] == ["A10"]
    await desk.ask("B2")
    now[0] = 2.6
    await desk.end("A10")
    assert desk.begun[13:] == ["B2", "A11"], "whoever has waited for half a second waits no longer, one by one"
    await desk.end("B2")
    now[0] = 4.0
    await desk.let_look()
    assert desk.begun[15:] == [f"A{n}" for n in range(12, 18)], "the lighter one is asleep again"


async def test_whoever_comes_first_counts_before_a_request_of_its_has_ended() -> None:
    now = [0.0]
    desk = Desk(RequestTurns(at_once=8, clock=lambda: now[0], heavy_s=0))
    await desk.ask("A0")
    now[0] = 1.0
    await desk.end("A0")
    now[0] = 2.0
    await desk.ask("B0", "A1")
    assert desk.begun == ["A0", "B0"]
    await desk.end("B0")
    assert desk.begun == ["A0", "B0", "A1"]


async def test_who_had_little_is_heavy_beside_nobody() -> None:
    now = [0.0]
    desk = Desk(RequestTurns(at_once=8, clock=lambda: now[0], heavy_s=2))
    await desk.ask("A0")
    now[0] = 1.9
    await desk.end("A0")
    await desk.ask("B0", "A1", "A2")
    assert desk.begun == ["A0", "B0", "A1", "A2"]


def test_use_is_counted_after_any_silence_and_at_any_moment() -> None:
    """A night without a request, and a clock that has long been running: nothing overflows, old use is gone."""
    use, began = RecentUse(), 5_000_000.0
    assert use.of("T1", began) == 0
    use.forget(began)
    use.add("T1", 8.0, began)
    assert (use.of("T1", began), use.of("T1", began + 10)) == (8.0, 4.0)
    use.add("T2", 1.0, began + 1_500)
    assert use.is_light_beside("T1", "T2")
    night = began + 40_000
    assert use.of("T2", night) == 0
    use.add("T1", 2.0, night)
    assert (use.of("T1", night), use.is_light_beside("T2", "T1")) == (2.0, True)
    use.forget(night + 40_000)
    assert use.least(["T1", "T2"]) == 0


def test_a_heavy_tenant_begins_no_job_in_the_midst_of_a_light_one() -> None:
    now = [0.0]
    shares = TenantShares(clock=lambda: now[0])
    heavy, light = uuid.uuid4(), uuid.uuid4()
    with shares.under_way(heavy, "H1"):
        assert not shares.yields("H1") and not shares.yields("H2")
        now[0] = 4.0
    assert not shares.yields("H1"), "alone it waits for nobody"
    with shares.under_way(light, "H2"):
        assert (shares.yields("H1"), shares.yields("H2"), shares.yields("H3")) == (True, False, False)
        now[0] = 5.0
        assert not shares.yields("H1"), "what takes a second holds nobody back any longer"
    now[0] = 20.0
    with shares.under_way(heavy, "H1"):
        assert not shares.yields("H2")


def test_who_had_least_is_judged_next() -> None:
    turns, begun = JudgingTurns(), list[str]()
    hold, held = threading.Event(), threading.Event()

    def first() -> None:
        with turns.turn("large"):
            held.set()
            hold.wait(30)

    def slices(tenant: str, wanted: int) -> None:
        for _ in range(wanted):
            with turns.turn(tenant):
                begun.append(tenant)
                time.sleep(0.001)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert held.wait(30)
    for tenant, wanted in (("large", 5), ("large", 5), ("small", 3)):
        threads.append(threading.Thread(target=slices, args=(tenant, wanted)))
        threads[-1].start()
    deadline = time.monotonic() + 30
    while sum(turns.waiting().values()) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.2)
    hold.set()
    for thread in threads:
        thread.join(30)
    assert begun == ["small"] * 3 + ["large"] * 10
    assert not turns.waiting()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)
