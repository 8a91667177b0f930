"""The clearing bench (清算压测): stored cases → graded, shared, checked, recorded, by the whole platform on its own servers.

A year is put into the store, then its fourth quarter is cleared cumulatively through the API by the worker, as in service: one pool up to
a city's year, beyond it the pools of a province, by two workers, and then all of it once more from its manifests, which must give the same
bytes. No process holds more than the pool in its hands, so memory grows with the largest pool and not with the province. The floor is COPY of the same rows out of the same server in the same run: what PostgreSQL needs to hand the cases over at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from fenzhi.access.roles import Role
from fenzhi.cli import server_process
from fenzhi.cli.bench_stored_year import (
    ProcessWatch,
    StoredPool,
    bench_platform,
    bench_province,
    settle_store,
    store_pool,
    store_pools,
    stored_mb,
)
from fenzhi.cli.bench_submission import set_up
from fenzhi.cli.flow import clearing, fund
from fenzhi.cli.flow.client import Actor, Cast
from fenzhi.cli.server_home import free_port
from fenzhi.cli.status import PlatformStatus
from fenzhi.cli.tokens import token_maker
from fenzhi.cli.up import WORKER_COMMAND, child_environment
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.settings import Settings
from fenzhi.store.bulk import read_arrow
from fenzhi.store.session import Database

QUARTER = 4
CURVE = ("0.25", "0.5", "0.75", "1")
CITY_YEAR = 2_000_000
"""Up to so many cases the bench clears one pool; beyond it a province."""
_WAIT_S = 3600
_FLOOR = """
select c.case_id, c.hospital_id, c.settlement_month, c.discharge_date, c.diagnoses, c.procedures, c.total_fen, c.basic_fund_fen,
       c.other_funds_fen, c.account_fen, c.cash_fen, c.los_days, c.digest
  from inpatient_case c where c.area_id = {area} and c.insurance = '{insurance}' and c.pool_scope = 'local'
"""


def bench_clearing(cases: int, seed: int, *, areas: int = 0) -> dict[str, object]:
    """Clear a city's pool or a province's year on a platform of its own and report the speed (清算压测).

    `areas`: of a province so many cities; 0 is one pool up to `CITY_YEAR` cases and beyond it as many cities as the cases need. Each
    pool is a shard: read, grouped, cleared and let go by one worker, two at a time.
    Answers cases, seed, seconds, per_s, cpu_s, peak_rss_mb by process, result_sha256 (of every run; the same for the same cases and seed),
    floors, ratios, stored, includes; of a province also `again`: seconds, digest and ratio of the second time.
    Raises: Conflict when the platform does not start; StepRefused when a run stops; InvariantBroken when a case is in no place or a second
    computation says something else.
    """
    with bench_platform() as (settings, status):
        return asyncio.run(_measure(settings, status, cases, seed, areas))


async def _measure(settings: Settings, status: PlatformStatus, cases: int, seed: int, areas: int) -> dict[str, object]:
    province = cases > CITY_YEAR or areas > 0
    plan = bench_province(cases if province else 1, seed, areas=areas)
    year = plan.settlement_year
    database = Database(status.app_dsn, pool_size=2, application="fenzhi-bench")
    again_s, again_cpu_s, hospitals = 0.0, 0.0, 0
    again_mb: dict[str, int] = {}
    try:
        async with httpx.AsyncClient(base_url=status.api_url, timeout=120, trust_env=False) as http:
            cast = Cast(http, token_maker(settings, database))
            await set_up(cast, plan)
            began = time.perf_counter()
            if province:
                pools = await store_pools(database, plan, cases)
            else:
                pools = [await store_pool(database, plan, plan.cities[0].code, "employee", cases)]
            storing_s = time.perf_counter() - began
            for pool in pools:
                await fund.approve_budget(
                    cast, pool.city, pool.insurance, year, pool.booked_fen, CURVE, "压测预算（构造文件）"
                )
            await settle_store(status)
            floor_s = await _copy_floor(database, pools)
            with second_worker(settings, status, wanted=province) as others, ProcessWatch(status, others) as watch:
                seconds, runs = await clear_all(cast, pools, year)
            first = [run["manifest"]["resultSha256"] for run in runs]
            if province:
                await _void_all(cast, pools, runs)
                with second_worker(settings, status, wanted=True) as others, ProcessWatch(status, others) as twice:
                    again_s, again = await clear_all(cast, pools, year)
                second = [run["manifest"]["resultSha256"] for run in again]
                if second != first:
                    raise InvariantBroken("a second computation gives the same bytes", account=plan.code)
                again_cpu_s, again_mb = twice.cpu_s, twice.memory_mb
            for pool, run in zip(pools, again if province else runs, strict=True):
                hospitals += len(await clearing.statements(cast, pool.city, run["id"]))
            database_mb = await stored_mb(status)
    finally:
        await database.close()
    summaries = [run["summary"] for run in runs]
    found = sum(one["cases"] + one["pendingCases"] for one in summaries)
    if found != cases or any(one["unexplainedFen"] != "0" for one in summaries):
        raise InvariantBroken("every stored case stands in a run once", detail=f"{found} of {cases}")
    return {
        "cases": cases,
        "seed": seed,
        "seconds": round(seconds, 3),
        "per_s": int(cases / seconds),
        "cpu_s": round(watch.cpu_s, 2),
        "cpu_us_per_case": round(watch.cpu_s * 1e6 / cases, 2),
        "peak_rss_mb": watch.memory_mb,
        "result_sha256": _whole(first),
        **(
            {
                "again": {
                    "seconds": round(again_s, 3),
                    "per_s": int(cases / again_s),
                    "cpu_s": round(again_cpu_s, 2),
                    "peak_rss_mb": again_mb,
                    "result_sha256": _whole(second),
                    "same_bytes": second == first,
                    "copy_out": round(floor_s / again_s, 3),
                }
            }
            if province
            else {}
        ),
        "floors": {"copy_out_s": round(floor_s, 3), "copy_out_per_s": int(cases / floor_s)},
        "ratios": {"copy_out": round(floor_s / seconds, 3)},
        "stored": {"database_mb": database_mb, "storing_s": round(storing_s, 1)},
        "includes": {
            "timed": "API start → frozen cases read, grouped, scored, shared, every law checked, run table, statements and ledger committed",
            "not_timed": "servers, tenants, policies, codes, catalog, budget, storing the cases",
            "run": f"cumulative quarter {QUARTER} of {len(pools)} pool{'s' if province else ''}",
            "workers": 2 if province else 1,
            "hospitals": hospitals,
            "pending": sum(one["pendingCases"] for one in summaries),
            "pool_fen": str(sum(int(one["poolFen"]) for one in summaries)),
            "data": "synthetic; some thousand discharges of a pool under many ids",
        },
    }


def _whole(digests: Sequence[str]) -> str:
    """One digest of all runs, in the order of their pools (合并摘要)."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


async def clear_all(cast: Cast, pools: Sequence[StoredPool], year: int) -> tuple[float, list[dict[str, Any]]]:
    """Start every pool's run and wait for all of them: seconds, and the runs in the order of the pools."""
    began = time.perf_counter()
    wanted: list[tuple[Actor, dict[str, Any]]] = []
    for pool in pools:
        clerk = cast.actor(pool.city, Role.CITY_SETTLEMENT_CLERK)
        order = {"kind": "QUARTER", "insurance": pool.insurance.upper(), "poolScope": "LOCAL", "year": year}
        started = await clerk.do(
            "clearingRunStart", "ClearingRunStartInput", order | {"period": QUARTER}, "run { id jobId }"
        )
        wanted.append((clerk, started["run"]))
    await asyncio.gather(*(clerk.wait(run["jobId"], limit_s=_WAIT_S) for clerk, run in wanted))
    seconds = time.perf_counter() - began
    return seconds, [(await clerk.ask(clearing.RUN, {"id": run["id"]}))["clearingRun"] for clerk, run in wanted]


async def _void_all(cast: Cast, pools: Sequence[StoredPool], runs: Sequence[dict[str, Any]]) -> None:
    for pool, run in zip(pools, runs, strict=True):
        approver = cast.actor(pool.city, Role.CITY_SETTLEMENT_APPROVER)
        await approver.do("clearingRunVoid", "ClearingRunStepInput", {"run": run["id"]}, "run { state }")


@contextmanager
def second_worker(settings: Settings, status: PlatformStatus, *, wanted: bool) -> Iterator[list[int]]:
    """One more worker beside the platform's own (第二个作业进程): its process number, none where none is wanted."""
    if not wanted:
        yield []
        return
    env = child_environment(
        settings, port=int(status.api_url.rsplit(":", 1)[1]), app_dsn=status.app_dsn, redis_url=status.redis_url
    )
    env["FENZHI_METRICS_PORT"] = str(free_port(0))
    log = settings.state_dir / "logs" / "worker-2.log"
    worker = server_process.spawn([sys.executable, *WORKER_COMMAND[1:]], log=log, env=env)
    try:
        yield [worker.pid]
    finally:
        worker.terminate()
        worker.wait(60)


async def _copy_floor(database: Database, pools: Sequence[StoredPool]) -> float:
    """Seconds for COPY of the pools' rows out of the server, one pool after another (COPY 下限)."""
    began, rows = time.perf_counter(), 0
    for pool in pools:
        sql = _FLOOR.format(area=pool.scope.area, insurance=pool.insurance)
        rows += (await read_arrow(database, pool.scope, sql)).num_rows
    seconds = time.perf_counter() - began
    if rows != sum(pool.cases for pool in pools):
        raise InvariantBroken("every case is stored once", detail=str(rows))
    return max(seconds, 1e-9)
