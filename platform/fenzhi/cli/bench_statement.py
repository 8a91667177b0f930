"""The statement bench (结算单查询压测): hospitals read their statements among millions of stored cases, through the API, with RLS.

A province's year is stored, cleared and published by the platform; then one hospital after another asks over HTTP for its own statement,
every figure and every step of it, and for the first page of its cases with their shares.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from typing import Any

import httpx

from fenzhi.access.roles import Role
from fenzhi.cli.bench_clearing import CURVE, clear_all, second_worker
from fenzhi.cli.bench_stored_year import (
    ProcessWatch,
    bench_platform,
    bench_province,
    percentiles,
    settle_store,
    store_pools,
)
from fenzhi.cli.bench_submission import set_up
from fenzhi.cli.demo.command import token_maker
from fenzhi.cli.flow import fund
from fenzhi.cli.flow.client import Actor, Cast
from fenzhi.cli.status import PlatformStatus
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.settings import Settings
from fenzhi.store.session import Database

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
            pools = await store_pools(database, plan, cases)
            for pool in pools:
                await fund.approve_budget(
                    cast, pool.city, pool.insurance, year, pool.booked_fen, CURVE, "压测预算（构造文件）"
                )
            with second_worker(settings, status, wanted=True):
                _seconds, runs = await clear_all(cast, pools, year)
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
    finally:
        await database.close()
    return {
        "cases": cases,
        "seed": seed,
        "requests": REQUESTS,
        "milliseconds": percentiles(statements),
        "page_of_cases_ms": percentiles(pages),
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


async def _statement(actor: Actor, hospital: str, run: str) -> dict[str, Any]:
    found = (await actor.ask(STATEMENT, {"id": run}))["clearingRun"]["statements"]["nodes"]
    if [line["hospitalCode"] for line in found] != [hospital]:
        raise InvariantBroken("a hospital sees its own statement and no other", account=hospital)
    line: dict[str, Any] = found[0]
    return line
