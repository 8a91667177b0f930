"""The grouping bench from the database (库内入组压测): stored cases → grouped, scored, stored with their working, pool by pool.

The way is that of a run: frozen cases are read and hashed, grouped and scored by the bulk engine, a sample of each pool graded again by
the one-case rules, every result copied into the run's own table, indexed and attached. Nothing of the money is shared out. Pools are
taken by as many processes as there are cores to use, as workers take jobs; what one pool needs bounds the memory of each.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
from sqlalchemy import Row, text

from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.cli.bench_clearing import CURVE, QUARTER
from fenzhi.cli.bench_stored_year import (
    ProcessWatch,
    StoredPool,
    bench_platform,
    bench_province,
    own_peak_mb,
    settle_store,
    store_pools,
)
from fenzhi.cli.bench_submission import set_up
from fenzhi.cli.flow import fund
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.status import PlatformStatus
from fenzhi.cli.tokens import token_maker
from fenzhi.engine.engine import Engine
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.services.clearing.compute import stored_cases
from fenzhi.services.clearing.freezing import FrozenRun, freeze
from fenzhi.services.clearing.statements import graded_cases
from fenzhi.services.scoring.assembly import ScoringFrame, case_of, scoring_frame
from fenzhi.settings import Settings
from fenzhi.store.bulk import read_arrow
from fenzhi.store.repositories import clearing
from fenzhi.store.session import Database, new_id

PROCESSES = 2
VERIFIED = 200
_ENGINE_MB = 1024
_FLOOR = """
select c.case_id, c.hospital_id, c.settlement_month, c.discharge_date, c.diagnoses, c.procedures, c.total_fen, c.basic_fund_fen,
       c.other_funds_fen, c.account_fen, c.cash_fen, c.los_days, c.digest
  from inpatient_case c where c.area_id = {area} and c.insurance = '{insurance}' and c.pool_scope = 'local'
"""
_STORED = """
select count(*) as cases, count(*) filter (where disposition = 'cleared') as cleared, coalesce(sum(points), 0)::text as points,
  coalesce(sum(hashtextextended(case_id || ' ' || disposition || ' ' || group_code || ' ' || band || ' ' || points, 0)), 0)::text as spread
from run_case where area_id = :area and run_id = :run
"""
_DRAWN = """
select c.*, r.disposition as said_disposition, r.group_code as said_group, r.band as said_band, r.points as said_points
  from run_case r join inpatient_case c on c.area_id = r.area_id and c.case_id = r.case_id
 where r.area_id = :area and r.run_id = :run
 order by hashtextextended(r.case_id::text, :seed) limit :wanted
"""


def bench_grouping_stored(cases: int, seed: int, verify: int = VERIFIED) -> dict[str, object]:
    """Group and score stored cases on a platform of its own and report the speed (库内入组压测).

    `verify`: so many random rows are read back and worked by the one-case rules, in exact decimals; all must agree.
    Answers as the other benches, peak memory by process, processor seconds, verified. Raises: InvariantBroken when a row differs or is lost.
    """
    with bench_platform() as (settings, status):
        return asyncio.run(_measure(settings, status, cases, seed, verify))


async def _measure(settings: Settings, status: PlatformStatus, cases: int, seed: int, verify: int) -> dict[str, object]:
    plan = bench_province(cases, seed)
    database = Database(status.app_dsn, pool_size=2, application="fenzhi-bench")
    try:
        async with httpx.AsyncClient(base_url=status.api_url, timeout=120, trust_env=False) as http:
            cast = Cast(http, token_maker(settings, database))
            await set_up(cast, plan)
            began = time.perf_counter()
            pools = await store_pools(database, plan, cases)
            storing_s = time.perf_counter() - began
            for pool in pools:
                await fund.approve_budget(
                    cast,
                    pool.city,
                    pool.insurance,
                    plan.settlement_year,
                    pool.booked_fen,
                    CURVE,
                    "压测预算（构造文件）",
                )
        await settle_store(status)
        floor_s = await _copy_floor(database, pools)
        with ProcessWatch(status) as watch:
            seconds, shards = await asyncio.to_thread(_group_all, status.app_dsn, pools, plan.settlement_year)
        runs = {pool: uuid.UUID(run) for shard in shards for pool, run in shard["runs"]}
        digest, cleared = await _stored(database, pools, [runs[place] for place in range(len(pools))])
        verified = await _verify(database, pools, runs, verify, seed)
    finally:
        await database.close()
    cpu = watch.cpu_s + sum(shard["cpu_s"] for shard in shards)
    return {
        "cases": cases,
        "seed": seed,
        "seconds": round(seconds, 3),
        "per_s": int(cases / seconds),
        "cpu_s": round(cpu, 2),
        "cpu_us_per_case": round(cpu * 1e6 / cases, 2),
        "peak_rss_mb": {
            **watch.memory_mb,
            **{f"shard_{place}": shard["peak_mb"] for place, shard in enumerate(shards)},
        },
        "result_sha256": digest,
        "floors": {"copy_out_s": round(floor_s, 3), "copy_out_per_s": int(cases / floor_s)},
        "ratios": {"copy_out": round(floor_s / seconds, 3)},
        "verified": verified,
        "includes": {
            "timed": "rows in PostgreSQL → read, hashed, grouped, scored, sampled by the rules → run table copied, indexed, attached",
            "not_timed": "servers, tenants, policies, codes, catalog, storing the cases, starting the shard processes",
            "pools": len(pools),
            "processes": len(shards),
            "cleared": cleared,
            "storing_s": round(storing_s, 1),
            "data": "synthetic; some thousand discharges of a pool under many ids",
        },
    }


def _group_all(dsn: str, pools: Sequence[StoredPool], year: int) -> tuple[float, list[dict[str, Any]]]:
    """Seconds from the first pool begun to the last one committed, and what each process reports."""
    context = multiprocessing.get_context("spawn")
    orders: Any = context.Queue()
    reports: Any = context.Queue()
    ready = context.Barrier(PROCESSES + 1)
    # Larger pools first, so that no process is left with one at the end.
    for place, pool in sorted(enumerate(pools), key=lambda pair: -pair[1].cases):
        orders.put((place, pool))
    for _ in range(PROCESSES):
        orders.put(None)
    shards = [context.Process(target=_shard, args=(dsn, year, orders, reports, ready)) for _ in range(PROCESSES)]
    for shard in shards:
        shard.start()
    ready.wait(300)
    began = time.perf_counter()
    found = []
    for _ in shards:
        found.append(reports.get(timeout=3600))
    seconds = max(report["ended"] for report in found) - began
    for shard in shards:
        shard.join()
    broken = [report["error"] for report in found if report["error"]]
    if broken:
        raise InvariantBroken("every pool is grouped", detail="; ".join(broken))
    return seconds, found


def _shard(dsn: str, year: int, orders: Any, reports: Any, ready: Any) -> None:
    """One process that takes pools until there are none (分片进程)."""
    ready.wait(300)
    before = time.process_time()
    report: dict[str, Any] = {"runs": [], "error": ""}
    try:
        report["runs"] = asyncio.run(_take_pools(dsn, year, orders))
    except Exception as exc:
        report["error"] = f"{type(exc).__name__}: {exc}"
    report |= {"ended": time.perf_counter(), "cpu_s": time.process_time() - before, "peak_mb": own_peak_mb()}
    reports.put(report)


async def _take_pools(dsn: str, year: int, orders: Any) -> list[tuple[int, str]]:
    database = Database(dsn, pool_size=2, application="fenzhi-bench-shard")
    done = []
    try:
        while (order := orders.get()) is not None:
            place, pool = order
            done.append((place, str(await _group_pool(database, pool, year))))
    finally:
        await database.close()
    return done


async def _group_pool(database: Database, pool: StoredPool, year: int) -> uuid.UUID:
    """The stages of a run up to its stored cases (单池入组计分入库)."""
    run_id = new_id()
    async with database.unit_of_work(replace(pool.scope, role=DatabaseRole.AREA)) as uow:
        await clearing.add_run(
            uow,
            {
                "run_id": run_id,
                "province_id": pool.scope.province,
                "area_id": pool.scope.area,
                "kind": "quarter",
                "insurance": pool.insurance,
                "pool_scope": "local",
                "year": year,
                "period": QUARTER,
                "job_id": new_id(),
                "started_by_person": new_id(),
            },
        )
    async with database.unit_of_work(pool.scope) as uow:
        frozen = await freeze(uow, run_id)
    rows = await asyncio.to_thread(_graded, frozen)
    if rows.num_rows != pool.cases:
        raise InvariantBroken("every stored case is grouped once", account=pool.city, detail=str(rows.num_rows))
    async with database.unit_of_work(pool.scope) as uow:
        await clearing.write_cases(uow, run_id, rows)
    return run_id


def _graded(frozen: FrozenRun) -> Any:
    with Engine(memory_limit=f"{_ENGINE_MB}MB", threads=2) as engine:
        return stored_cases(frozen, graded_cases(frozen, engine)[0])


async def _copy_floor(database: Database, pools: Sequence[StoredPool]) -> float:
    """Seconds for COPY of the same rows out of the server, two pools at a time (COPY 下限)."""
    slots = asyncio.Semaphore(PROCESSES)

    async def one(pool: StoredPool) -> int:
        async with slots:
            sql = _FLOOR.format(area=pool.scope.area, insurance=pool.insurance)
            return int((await read_arrow(database, pool.scope, sql)).num_rows)

    began = time.perf_counter()
    rows = sum(await asyncio.gather(*map(one, pools)))
    seconds = time.perf_counter() - began
    if rows != sum(pool.cases for pool in pools):
        raise InvariantBroken("every case is stored once", detail=str(rows))
    return max(seconds, 1e-9)


async def _stored(database: Database, pools: Sequence[StoredPool], runs: Sequence[uuid.UUID]) -> tuple[str, int]:
    """A digest over every stored result, whatever the order of rows, and how many found a group (结果摘要)."""
    digest, cleared = hashlib.sha256(), 0
    for pool, run in zip(pools, runs, strict=True):
        async with database.unit_of_work(pool.scope) as uow:
            row = await uow.first(text(_STORED), {"area": pool.scope.area, "run": run})
        if row is None or row.cases != pool.cases:
            raise InvariantBroken("every result is stored once", account=pool.city)
        cleared += row.cleared
        digest.update(f"{pool.city} {pool.insurance} {row.cases} {row.cleared} {row.points} {row.spread}\n".encode())
    return digest.hexdigest(), cleared


async def _verify(
    database: Database, pools: Sequence[StoredPool], runs: dict[int, uuid.UUID], wanted: int, seed: int
) -> dict[str, int]:
    """Random stored rows worked again by the one-case rules (抽行复核). Raises: InvariantBroken naming the first that differs."""
    chance = random.Random(seed)
    shares = [wanted // len(pools) + (place < wanted % len(pools)) for place in range(len(pools))]
    rows = 0
    for place, pool in enumerate(pools):
        async with database.unit_of_work(pool.scope) as uow:
            drawn = await uow.rows(
                text(_DRAWN),
                {
                    "area": pool.scope.area,
                    "run": runs[place],
                    "seed": chance.getrandbits(32),
                    "wanted": shares[place],
                },
            )
            frames: dict[tuple[Any, ...], ScoringFrame] = {}
            for row in drawn:
                key = (row.hospital_id, row.discharge_date, row.settlement_month)
                if key not in frames:
                    frames[key] = await _frame(uow, pool.scope, row)
                said = (row.said_disposition, row.said_group, row.said_band, row.said_points)
                rules_say = _by_the_rules(frames[key], row)
                if said != rules_say:
                    raise InvariantBroken(
                        "what is stored is what the rules say",
                        account=str(row.case_id),
                        detail=f"stored {said}, rules {rules_say}",
                    )
                rows += 1
    return {"rows": rows, "differ": 0}


async def _frame(uow: Any, scope: Scope, row: Row[Any]) -> ScoringFrame:
    return await scoring_frame(
        uow,
        area_id=scope.area or 0,
        hospital_id=row.hospital_id,
        insurance=row.insurance,
        discharge_date=row.discharge_date,
        # A cumulative quarter reads the policy of its own last month.
        settlement_month=row.settlement_month // 100 * 100 + 12,
        pool_scope=row.pool_scope,
    )


def _by_the_rules(frame: ScoringFrame, row: Row[Any]) -> tuple[str, str, str, int]:
    if frame.withheld is not None:
        return (f"pending:{frame.withheld.value}", "", "", 0)
    case = case_of(row)
    outcome = frame.group(case)
    if outcome.group is None:
        blank = frame.score_ungrouped(case, outcome.reason, row.total_fen)
        if blank is None:
            return (f"pending:ungrouped:{outcome.reason.value}", "", "", 0)
        return ("cleared", "", blank.band.value, blank.points)
    scored = frame.score(
        case,
        outcome.group,
        row.total_fen,
        discharge_way=row.discharge_way,
        discharge_date=row.discharge_date,
    )
    return ("cleared", outcome.group.group_code, scored.band.value, scored.points)
