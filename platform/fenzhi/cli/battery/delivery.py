"""Section delivery (作业投递测试): jobs delivered twice, late, out of order and after their end, to three workers; each effect once."""

from __future__ import annotations

import asyncio
import random
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import text

from fenzhi.access.roles import Role
from fenzhi.access.scope import AUTHENTICATION_SCOPE, DOORBELL_SCOPE, DatabaseRole, Scope
from fenzhi.cli.battery.stage import Stage, staged
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.flow import catalog, onboarding
from fenzhi.cli.flow.submission import send_batch
from fenzhi.cli.servers import ServerAddresses
from fenzhi.cli.synthetic.province import synthetic_province
from fenzhi.outbox.jobs import Fenced
from fenzhi.services.jobs.execution import JobInHand, end_badly, take
from fenzhi.store.session import new_id

JOBS = 250
DELIVERIES = 4
"""Times each job is delivered at least: 250 jobs make a thousand deliveries."""
WORKERS = 3


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """`rounds` jobs, each delivered at least four times to three workers (作业投递测试组)."""
    tally = Tally()
    async with staged(addresses, instances=1) as stage:
        hospital = await _prepared(stage, seed)
        await try_deliveries(stage, tally, hospital, seed, rounds or JOBS)
    return tally


async def _prepared(stage: Stage, seed: int) -> str:
    """A small province whose lists can be judged; the code of a hospital."""
    plan = synthetic_province(seed, cities=1, counties=1, hospitals=5)
    await onboarding.open_tenants(stage.cast, plan)
    await onboarding.register_hospitals(stage.cast, plan, "投递测试文件（构造）")
    await onboarding.enter_policies(stage.cast, plan)
    await catalog.import_code_tables(stage.cast, plan)
    return plan.hospitals[0].code


@dataclass(frozen=True, slots=True)
class Queued:
    """A batch sealed while no worker ran (待判批次)."""

    batch: str
    job: uuid.UUID
    rows: int


async def try_deliveries(stage: Stage, tally: Tally, hospital: str, seed: int, count: int) -> None:
    """Queue jobs, deliver them in every disorder, and count what they did."""
    from fenzhi_workers.worker import NightShift

    rng = random.Random(seed)
    queued = [await _queue(stage, hospital, rng, number) for number in range(count)]
    lapsed = await _claim_and_stall(stage, rng.sample(queued, min(20, count // 2)))
    shifts = [NightShift(stage.platform, 4) for _ in range(WORKERS)]
    # The sweep is the cron of the platform: all three workers run it at once, and answer the same bell.
    tasks = [asyncio.create_task(shift.sweep()) for shift in shifts]
    tasks += [asyncio.create_task(shift.answer_bell(stage.addresses.redis_url)) for shift in shifts]
    try:
        delivered = await _deliver(stage, rng, shifts, queued)
        await _all_ended(stage, queued)
        await _late_worker_is_fenced(tally, lapsed)
        delivered += await _deliver(stage, rng, shifts, rng.sample(queued, count // 2))
    finally:
        for shift in shifts:
            shift.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await _judge(stage, tally, hospital, queued)
    tally.figures |= {"jobs": count, "deliveries": delivered, "workers": WORKERS, "stalled_and_taken_over": len(lapsed)}


async def _queue(stage: Stage, hospital: str, rng: random.Random, number: int) -> Queued:
    actor = stage.cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
    rows = rng.randrange(1, 4)
    lines = [f'{{"setl_id":"D{number:05d}N{row}"}}'.encode() for row in range(rows)]
    sent = await send_batch(actor, "LISTS", f"delivery {number}", lines)
    async with stage.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
        job = await uow.scalar(text("select job_id from job where state = 'queued' order by job_id desc limit 1"))
    return Queued(sent["id"], job, rows)


async def _claim_and_stall(stage: Stage, some: list[Queued]) -> list[JobInHand]:
    """Claim jobs as a worker would that then says nothing for longer than its lease."""
    platform = replace(stage.platform, lease_s=1)
    held = [job for job in [await take(platform, one.job) for one in some] if job is not None]
    await asyncio.sleep(1.5)
    return held


async def _deliver(stage: Stage, rng: random.Random, shifts: list[Any], queued: list[Queued]) -> int:
    """Every job several times, shuffled over the workers, by hand and by bell, with strangers in between."""
    deliveries = [one.job for one in queued for _ in range(DELIVERIES + rng.randrange(3))]
    deliveries += [new_id() for _ in range(len(queued) // 5)]
    rng.shuffle(deliveries)
    for start in range(0, len(deliveries), 40):
        wave = deliveries[start : start + 40]
        await asyncio.gather(*(rng.choice(shifts).carry_out(job) for job in wave))
        for job in rng.sample(wave, 8) if len(wave) > 8 else wave:
            with suppress(Exception):  # A bell that does not ring loses nothing.
                await stage.platform.doorbell.ring(job, rng.randrange(4))
    return len(deliveries)


async def _all_ended(stage: Stage, queued: list[Queued]) -> None:
    """Wait until no job waits or runs any more."""
    jobs = [one.job for one in queued]
    async with asyncio.timeout(300):
        while True:
            async with stage.platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
                left = await uow.scalar(
                    text("select count(*) from job where job_id = any(:jobs) and state in ('queued', 'running')"),
                    {"jobs": jobs},
                )
            if left == 0:
                return
            await asyncio.sleep(0.2)


async def _late_worker_is_fenced(tally: Tally, lapsed: list[JobInHand]) -> None:
    """A worker whose lease lapsed comes back and works: it must write nothing, neither the effect, nor an end, nor a failure."""
    from fenzhi_workers.jobs import HANDLERS

    for job in lapsed:
        outcome = "wrote"
        try:
            await HANDLERS[job.claimed.kind](job.platform, job)
        except Exception as exc:
            outcome = type(exc).__name__
            await end_badly(job, exc)
        tally.saw("late worker stopped", outcome in ("Fenced", "BatchNotSealed"), f"{job.claimed.job_id}: {outcome}")
        fenced = False
        try:
            async with job.finishing({}):
                pass
        except Fenced:
            fenced = True
        tally.saw("late worker fenced", fenced, f"{job.claimed.job_id} ended a job that another worker had ended")


async def _judge(stage: Stage, tally: Tally, hospital: str, queued: list[Queued]) -> None:
    """Each job ended once, each batch judged once, each row taken in once."""
    async with stage.platform.database.unit_of_work(AUTHENTICATION_SCOPE) as uow:
        place = await uow.first(text("select area_id, province_id from hospital where code = :c"), {"c": hospital})
    assert place is not None
    scope = Scope(DatabaseRole.WORKER, hospital, province_id=place.province_id, area_id=place.area_id)
    async with stage.platform.database.unit_of_work(scope) as uow:
        rows = await uow.rows(
            text(
                """
                select j.job_id, j.state, j.attempt, b.state as batch, (b.counts->>'rows')::int as counted,
                  (select count(*) from intake_row i where i.area_id = :area and i.batch_id = b.batch_id) as taken,
                  (select count(distinct i.row_no) from intake_row i where i.area_id = :area and i.batch_id = b.batch_id) as apart
                from job j join batch b on b.job_id = j.job_id and b.area_id = :area where j.job_id = any(:jobs)
                """
            ),
            {"area": place.area_id, "jobs": [one.job for one in queued]},
        )
    found = {row.job_id: row for row in rows}
    for one in queued:
        row = found.get(one.job)
        is_once = row is not None and row.state == "done" and row.batch == "judged" and row.attempt <= 2
        tally.saw("ended once", is_once, f"{one.job}: {row}")
        counts = (row.taken, row.apart, row.counted) if row is not None else None
        tally.saw("effect once", counts == (one.rows, one.rows, one.rows), f"{one.batch}: {counts} of {one.rows} rows")
