"""Section concurrency (并发测试): 64 starts of one month, quarter or year on two API instances, and connections that carry nothing over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.cli.battery.stage import TENANTS, Stage, open_tenants, staged
from fenzhi.cli.battery.tally import Tally
from fenzhi.cli.demo.sources import DemoSource
from fenzhi.cli.flow import clearing
from fenzhi.cli.flow import year as annual
from fenzhi.cli.flow.client import Cast, fresh_key
from fenzhi.cli.probes.marked_source import marked_source
from fenzhi.cli.servers import ServerAddresses
from fenzhi.store.session import Database

STARTERS = 64
KINDS = ("MONTH", "QUARTER", "YEAR")
ROUNDS = 50
CHECKOUTS = 2_000
_START = """
mutation($i: ClearingRunStartInput!) { clearingRunStart(input: $i) {
  run { id jobId } alreadyRunning { id } userErrors { code } } }
"""
Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends a document with variables; the data."""


async def run(addresses: ServerAddresses, seed: int, rounds: int) -> Tally:
    """Starts together in `rounds` rounds, then checkouts (并发测试组)."""
    tally = Tally()
    async with staged(addresses, instances=2) as stage:
        await open_tenants(stage.cast)
        await try_checkouts(stage.platform.database, tally, seed, CHECKOUTS)
        city, year = await _prepared(stage, seed)
        clerks = [cast.actor(city, Role.CITY_SETTLEMENT_CLERK) for cast in stage.casts]
        for _ in range(rounds or ROUNDS):
            for kind in KINDS:
                order = {"kind": kind, "insurance": "EMPLOYEE", "poolScope": "LOCAL", "year": year, "period": 1}
                run_id = await start_together(tally, [clerk.ask for clerk in clerks], order)
                if run_id is None:
                    return tally
                # No worker runs: the run is ended here as a worker would end it.
                await _end(tally, stage, clerks[0], run_id, kind)
    return tally


async def start_together(
    tally: Tally, senders: list[Ask], order: dict[str, Any], starters: int = STARTERS
) -> str | None:
    """Start one clearing `starters` times at once; exactly one run, the others typed and naming it. The run's id."""
    gate = asyncio.Event()

    async def one(number: int) -> dict[str, Any]:
        await gate.wait()
        answer = await senders[number % len(senders)](_START, {"i": order | {"idempotencyKey": fresh_key()}})
        return dict(answer["clearingRunStart"])

    waiting = [asyncio.create_task(one(number)) for number in range(starters)]
    await asyncio.sleep(0)
    gate.set()
    answers = await asyncio.gather(*waiting)
    started = [a["run"]["id"] for a in answers if a["run"]]
    others = [a for a in answers if not a["run"]]
    kind = str(order["kind"]).lower()
    tally.saw(f"one run of a {kind}", len(started) == 1, f"{len(started)} runs of {starters} starts")
    for answer in others:
        codes = [e["code"] for e in answer["userErrors"]]
        names = (answer["alreadyRunning"] or {}).get("id") in started
        tally.saw(f"typed refusal of a {kind}", codes == ["CLEARING_ALREADY_RUNNING"] and names, str(answer)[:200])
    return started[0] if started else None


async def _prepared(stage: Stage, seed: int) -> tuple[str, int]:
    """A city whose pool can be cleared."""
    from rich.console import Console
    from rich.progress import Progress

    from fenzhi.cli.demo.steps import Demonstration
    from fenzhi_workers.worker import NightShift

    source: DemoSource = marked_source("97", seed)
    shift = NightShift(stage.platform, 2)
    tasks = [asyncio.create_task(shift.sweep()), asyncio.create_task(shift.answer_bell(stage.addresses.redis_url))]
    try:
        with Progress(console=Console(quiet=True), disable=True) as progress:
            await Demonstration(stage.cast, source, progress, False).prepare()
        city, year = source.plan.cities[0], source.plan.settlement_year
        codes = [hospital.code for hospital in source.plan.hospitals if hospital.city_code == city.code]
        await annual.assess(stage.cast, city.code, "employee", year, dict.fromkeys(codes, "1"), "演练考核结果")
    finally:
        shift.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return city.code, year


async def _end(tally: Tally, stage: Stage, clerk: Any, run_id: str, kind: str) -> None:
    from fenzhi.services.jobs.execution import jobs_waiting, take
    from fenzhi_workers.jobs import HANDLERS

    for job_id, *_ in await jobs_waiting(stage.platform):
        job = await take(stage.platform, job_id)
        if job is not None:
            await HANDLERS[job.claimed.kind](stage.platform, job)
    run = (await clerk.ask(clearing.RUN, {"id": run_id}))["clearingRun"]
    is_whole = run["state"] == "COMPUTED" and run["summary"]["unexplainedFen"] == "0"
    tally.saw(f"the {kind.lower()} is computed once, whole", is_whole, f"{run['state']} {run.get('error')}")
    await clerk.do("clearingRunVoid", "ClearingRunStepInput", {"run": run_id}, "run { state }")


_TRACES = """
select current_user = session_user as plain_role,
  coalesce(current_setting('fenzhi.tenant', true), '') = '' and coalesce(current_setting('fenzhi.area_id', true), '') = ''
    and coalesce(current_setting('fenzhi.stray', true), '') = '' as no_setting,
  current_setting('statement_timeout') = '0' as no_timeout,
  not exists (select from pg_class where relpersistence = 't' and pg_table_is_visible(oid)) as no_table,
  not exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as no_lock
"""


async def try_checkouts(database: Database, tally: Tally, seed: int, count: int) -> None:
    """Use a connection and lose it in one of many ways; the next user of the pool must find nothing of the last one's."""
    rng = random.Random(seed)
    for number in range(count):
        scope = Scope(role=rng.choice(list(DatabaseRole)), tenant=rng.choice(TENANTS)[1], area_id=rng.randrange(1, 9))
        way = rng.choice(["commit", "error", "cancel", "timeout", "sql error", "killed statement"])
        with suppress(Exception, asyncio.CancelledError):
            await _use(database, scope, way, number)
        async with database.engine.connect() as connection:
            row = (await connection.execute(text(_TRACES))).one()
        for trace, is_clean in row._mapping.items():
            tally.saw(f"{trace.replace('_', ' ')} after {way}", bool(is_clean), f"checkout {number}, {scope}")


async def _use(database: Database, scope: Scope, way: str, number: int) -> None:
    async def inside() -> None:
        async with database.unit_of_work(scope) as uow:
            await uow.execute(text("create temporary table stray (n int) on commit preserve rows"))
            await uow.execute(
                text("select set_config('fenzhi.stray', 'x', false), set_config('fenzhi.tenant', 'stray', false)")
            )
            await uow.try_lock(f"stray {number}")
            await uow.execute(text("select pg_advisory_lock(:n)"), {"n": number})
            if way == "error":
                raise RuntimeError("stray")
            if way == "sql error":
                await uow.execute(text("select 1 / 0"))
            if way == "killed statement":
                await uow.execute(text("set local statement_timeout = 20"))
            if way in ("cancel", "timeout", "killed statement"):
                await uow.execute(text("select pg_sleep(5)"))

    if way == "cancel":
        task = asyncio.create_task(inside())
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    elif way == "timeout":
        async with asyncio.timeout(0.02):
            await inside()
    else:
        with suppress(DBAPIError, RuntimeError):
            await inside()


__all__ = ["Cast", "run", "start_together", "try_checkouts"]
