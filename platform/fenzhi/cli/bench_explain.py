"""The explain bench (单病例解释压测): one stored case grouped, scored and explained through the API, over and over.

Requests go over HTTP to the API in service, one after another, as a hospital's coder would ask: every field of the explanation, another
case each time, with its token, its scope, row level security and the record of who saw it.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from typing import Any

import httpx

from fenzhi.access.roles import Role
from fenzhi.cli.bench_stored_year import ProcessWatch, bench_platform, bench_province, percentiles, store_pool
from fenzhi.cli.bench_submission import set_up
from fenzhi.cli.flow import catalog
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.status import PlatformStatus
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.cli.tokens import token_maker
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.settings import Settings
from fenzhi.store.session import Database

STORED = 50_000
WARM = 20
CASES = """
query($after: String) { cases(first: 100, after: $after) { nodes { id } pageInfo { endCursor hasNextPage } } }
"""
EXPLAIN = """
query($id: ID!) { caseExplain(id: $id) {
  case disposition reason reasonZh reasonEn editionCode groupCode groupName groupKind score level coefficient band isProvisional costRatio
  outlierFactor referenceSource points layer chosen chosenZh chosenEn candidates { name points }
  steps { rule zh en document values { name value } } rejected { groupCode cause zh en } } }
"""


def bench_explain(cases: int, seed: int) -> dict[str, object]:
    """Ask for so many explanations and report how long each took (单病例解释压测).

    Answers cases (requests), seed, seconds, per_s, milliseconds {p50, p95, p99, max}, result_sha256 and peak memory by process.
    Raises: Conflict when the platform does not start; InvariantBroken when a case is not explained.
    """
    with bench_platform() as (settings, status):
        return asyncio.run(_measure(settings, status, cases, seed))


async def _measure(settings: Settings, status: PlatformStatus, requests: int, seed: int) -> dict[str, object]:
    plan = bench_province(STORED, seed)
    city = plan.cities[0].code
    hospital = next(one.code for one in plan.hospitals if one.city_code == city)
    database = Database(status.app_dsn, pool_size=2, application="fenzhi-bench")
    try:
        async with httpx.AsyncClient(base_url=status.api_url, timeout=60, trust_env=False) as http:
            cast = Cast(http, token_maker(settings, database))
            await set_up(cast, plan)
            await store_pool(database, plan, city, "employee", STORED)
            await _references(cast, plan, city)
            coder = cast.actor(hospital, Role.HOSPITAL_SUBMITTER)
            ids = await _cases(coder, requests + WARM)
            random.Random(seed).shuffle(ids)
            for one in ids[:WARM]:
                await _explained(coder, one)
            taken: list[float] = []
            digest = hashlib.sha256()
            points = 0
            with ProcessWatch(status) as watch:
                began = time.perf_counter()
                for number in range(requests):
                    asked = time.perf_counter()
                    found = await _explained(coder, ids[WARM + number % (len(ids) - WARM)])
                    taken.append((time.perf_counter() - asked) * 1000)
                    points += found["points"] is not None
                    digest.update(f"{found['groupCode']} {found['band']} {found['points']}\n".encode())
                seconds = time.perf_counter() - began
            nothing: list[float] = []
            for _ in range(min(200, requests)):
                asked = time.perf_counter()
                await coder.ask("{ __typename }")
                nothing.append((time.perf_counter() - asked) * 1000)
    finally:
        await database.close()
    return {
        "cases": requests,
        "seed": seed,
        "seconds": round(seconds, 3),
        "per_s": round(requests / seconds, 1),
        "milliseconds": percentiles(taken),
        "cpu_ms_per_request": round(watch.cpu_s * 1000 / requests, 2),
        "peak_rss_mb": watch.memory_mb,
        "result_sha256": digest.hexdigest(),
        "floors": {"empty_query_ms": percentiles(nothing)},
        "ratios": {"empty_query_p50": round(percentiles(nothing)["p50"] / percentiles(taken)["p50"], 3)},
        "includes": {
            "timed": "HTTP request → token, scope, RLS, case, texts in force, rules, every step and rejected group → answer in JSON",
            "not_timed": f"servers, tenants, catalog, {STORED} stored cases, {WARM} requests to warm up",
            "one_after_another": True,
            "with_points": points,
            "data": "synthetic",
        },
    }


async def _references(cast: Cast, plan: ProvincePlan, city: str) -> None:
    """Last year's mean costs, by which the cases are judged."""
    editor = cast.actor(plan.code, Role.PROVINCE_CATALOG_EDITOR)
    editions = (await editor.ask("{ catalogEditions(first: 1) { nodes { id } } }"))["catalogEditions"]["nodes"]
    await catalog.compute_references(cast, city, editions[0]["id"], plan.settlement_year - 1)


async def _cases(coder: Any, wanted: int) -> list[str]:
    """Ids of the hospital's cases, as many as are asked for or there are."""
    ids: list[str] = []
    after = None
    while len(ids) < wanted:
        page = (await coder.ask(CASES, {"after": after}))["cases"]
        ids += [one["id"] for one in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    return ids


async def _explained(coder: Any, case: str) -> dict[str, Any]:
    found = (await coder.ask(EXPLAIN, {"id": case}))["caseExplain"]
    if found is None or not found["steps"]:
        raise InvariantBroken("every case of the hospital is explained", account=case)
    answer: dict[str, Any] = found
    return answer
