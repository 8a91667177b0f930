"""The statement bench (结算单查询压测): hospitals read their statements among millions of stored cases, through the API, with RLS.

A province's year is stored, cleared and published by the platform; then one hospital after another asks over HTTP for its own statement,
every figure and every step of it, and for the first page of its cases with their shares.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from sqlalchemy import text

from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.cli.bench_clearing import CURVE, clear_all, second_worker
from fenzhi.cli.bench_stored_year import (
    ProcessWatch,
    StoredPool,
    bench_platform,
    bench_province,
    percentiles,
    places,
    settle_store,
    store_pools,
    stored_mb,
)
from fenzhi.cli.bench_submission import set_up
from fenzhi.cli.flow import fund
from fenzhi.cli.flow.client import Actor, Cast
from fenzhi.cli.status import PlatformStatus
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.cli.tokens import token_maker
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.settings import Settings
from fenzhi.store.session import Database
from fenzhi_graphql.paging import key_of

REQUESTS = 400
WARM = 20
STATEMENT = """
query($id: ID!) { clearingRun(id: $id) { id kind insurance poolScope year period state
  statements(first: 2) { nodes { id hospitalCode hospitalName caseCount pendingCases points costFen bookedFen grossFen notPrepaidFen
    cashCutFen deductionsFen assessmentWithheldFen bandWithheldFen bonusFen clearedFen depositWithheldFen depositPostingFen payableFen
    priorPaidFen offsetFen transferFen remainderFen steps { rule zh en document values { name value } } } } } }
"""
CASES = """
query($id: ID!) { hospitalStatement(id: $id) { cases(first: 50) {
  nodes { caseId disposition groupCode band points shareFen totalFen } pageInfo { hasNextPage endCursor } } } }
"""

_LARGEST = text(
    """select hospital_id, count(*) as cases, (array_agg(case_id order by case_id))[count(*) / 2] as middle
         from run_case where area_id = :area and run_id = :run group by hospital_id order by 2 desc, 1 limit 1"""
)
_PAGE = text(
    """explain (analyze, buffers, timing off, summary off, format json)
       select * from run_case where area_id = :area and run_id = :run and hospital_id = :hospital and case_id > :after
        order by case_id limit 51"""
)


def bench_statement(cases: int, seed: int) -> dict[str, object]:
    """Read statements among so many stored cases and report how long each took (结算单查询压测).

    Answers cases, seed, requests, milliseconds {p50, p95, p99, max} of a statement and of a page of its cases, result_sha256, peak memory
    by process. Raises: Conflict when the platform does not start; InvariantBroken when a hospital sees another statement than its own.
    """
    with bench_platform() as (settings, status):
        return asyncio.run(_measure(settings, status, cases, seed))


async def _measure(settings: Settings, status: PlatformStatus, cases: int, seed: int) -> dict[str, object]:
    plan = bench_province(cases, seed)
    year, chance = plan.settlement_year, random.Random(seed)
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
                    cast, pool.city, pool.insurance, year, pool.booked_fen, CURVE, "压测预算（构造文件）"
                )
            with second_worker(settings, status, wanted=True):
                clearing_s, runs = await clear_all(cast, pools, year)
            for pool, run in zip(pools, runs, strict=True):
                approver = cast.actor(pool.city, Role.CITY_SETTLEMENT_APPROVER)
                for step in ("clearingRunApprove", "clearingRunPublish"):
                    await approver.do(step, "ClearingRunStepInput", {"run": run["id"]}, "run { state }")
            await settle_store(status, "inpatient_case", "run_case")
            asked = [
                (hospital.code, run["id"])
                for pool, run in zip(pools, runs, strict=True)
                for hospital in plan.hospitals
                if hospital.city_code == pool.city
                and any(one.insurance == pool.insurance for one in hospital.agreements)
            ]
            order = [chance.choice(asked) for _ in range(WARM + REQUESTS)]
            statements: list[float] = []
            pages: list[float] = []
            digest = hashlib.sha256()
            with ProcessWatch(status) as watch:
                for number, (hospital, run) in enumerate(order):
                    actor = cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
                    await actor.headers()
                    began = time.perf_counter()
                    line = await _statement(actor, hospital, run)
                    between = time.perf_counter()
                    page = (await actor.ask(CASES, {"id": line["id"]}))["hospitalStatement"]["cases"]["nodes"]
                    ended = time.perf_counter()
                    if number >= WARM:
                        statements.append((between - began) * 1000)
                        pages.append((ended - between) * 1000)
                        digest.update(f"{hospital} {line['grossFen']} {line['transferFen']} {len(page)}\n".encode())
            plans = [await _plan(database, plan, pool, run["id"]) for pool, run in zip(pools, runs, strict=True)]
            database_mb = await stored_mb(status)
    finally:
        await database.close()
    return {
        "cases": cases,
        "seed": seed,
        "requests": REQUESTS,
        "milliseconds": percentiles(statements),
        "page_of_cases_ms": percentiles(pages),
        "page_plan": max(plans, key=lambda one: one["rows_read"]),
        "stored": {"database_mb": database_mb, "storing_s": round(storing_s, 1), "clearing_s": round(clearing_s, 1)},
        "cpu_ms_per_pair": round(watch.cpu_s * 1000 / len(order), 2),
        "peak_rss_mb": watch.memory_mb,
        "result_sha256": digest.hexdigest(),
        "includes": {
            "timed": "a hospital's HTTP request → token, scope, RLS → its statement with every step; apart: 50 of its cases with shares",
            "not_timed": f"servers, tenants, catalog, storing and clearing the year, tokens, {WARM} pairs to warm up",
            "one_after_another": True,
            "hospitals": len({hospital for hospital, _ in asked}),
            "statements": len(asked),
            "data": "synthetic; some thousand discharges of a pool under many ids",
        },
    }


async def _plan(database: Database, plan: ProvincePlan, pool: StoredPool, run: str) -> dict[str, int]:
    """What the server reads for a page in the midst of its largest statement, as the hospital, with RLS (分页读取量).

    Rows that the scan of the cases fetched, pages of 8 KB it touched, and how many cases the statement has: only the last may grow.
    """
    scope, numbers = await places(database, plan, pool.city)
    run_id = uuid.UUID(key_of(run, "ClearingRun"))
    async with database.unit_of_work(scope) as uow:
        largest = await uow.first(_LARGEST, {"area": scope.area, "run": run_id})
    if largest is None:
        raise InvariantBroken("a published run has statements", account=pool.city)
    own = next(code for code, (number, _) in numbers.items() if number == largest.hospital_id)
    hospital = Scope(
        role=DatabaseRole.HOSPITAL,
        tenant=own,
        province_id=scope.province_id,
        area_id=scope.area_id,
        county_id=numbers[own][1],
        hospital_id=largest.hospital_id,
    )
    place = {"area": scope.area, "run": run_id, "hospital": largest.hospital_id, "after": largest.middle}
    async with database.unit_of_work(hospital) as uow:
        found = await uow.scalar(_PAGE, place)
    top = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return {
        "rows_read": max(_rows_read(top)),
        "pages_touched": top["Shared Hit Blocks"] + top["Shared Read Blocks"],
        "cases_of_statement": largest.cases,
    }


def _rows_read(node: Mapping[str, Any]) -> Iterator[int]:
    """Rows that each scan of cases in a plan fetched, those a filter threw away included."""
    if str(node.get("Relation Name", "")).startswith("run_case"):
        yield int(node["Actual Rows"]) + int(node.get("Rows Removed by Filter", 0))
    for below in node.get("Plans", ()):
        yield from _rows_read(below)


async def _statement(actor: Actor, hospital: str, run: str) -> dict[str, Any]:
    found = (await actor.ask(STATEMENT, {"id": run}))["clearingRun"]["statements"]["nodes"]
    if [line["hospitalCode"] for line in found] != [hospital]:
        raise InvariantBroken("a hospital sees its own statement and no other", account=hospital)
    line: dict[str, Any] = found[0]
    return line
