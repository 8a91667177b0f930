"""The clearing bench (清算压测): stored cases → graded, shared, checked, recorded, by the whole platform on its own servers.

One pool's year is put into the store, then its fourth quarter is cleared cumulatively through the API by the worker, as in service.
The floor is COPY of the same rows out of the same server in the same run: what PostgreSQL needs to hand the cases over at all.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.cli.bench_submission import peak_memory, set_up
from fenzhi.cli.demo.command import token_maker
from fenzhi.cli.flow import clearing, fund
from fenzhi.cli.flow.client import Cast
from fenzhi.cli.status import PlatformStatus
from fenzhi.cli.synthetic.discharges import DischargeMaker
from fenzhi.cli.synthetic.plan import ProvincePlan
from fenzhi.cli.synthetic.province import synthetic_province
from fenzhi.cli.up import start_detached, stop_platform
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.settings import Settings
from fenzhi.store.bulk import read_arrow
from fenzhi.store.repositories import registry
from fenzhi.store.session import Database
from fenzhi.store.tables.submission import inpatient_case

INSURANCE = "employee"
QUARTER = 4
CURVE = ("0.25", "0.5", "0.75", "1")
_ROWS_AT_ONCE = 50_000
_COLUMNS = (
    "area_id",
    "county_id",
    "hospital_id",
    "case_id",
    "batch_id",
    "row_no",
    "setl_id",
    "version",
    "insurance",
    "pool_scope",
    "insured_area",
    "admission_date",
    "discharge_date",
    "settlement_date",
    "settlement_month",
    "sex",
    "age_days",
    "los_days",
    "total_fen",
    "basic_fund_fen",
    "other_funds_fen",
    "account_fen",
    "cash_fen",
    "diagnoses",
    "procedures",
    "digest",
    "submitted_at",
)
_FLOOR = """
select c.case_id, c.hospital_id, c.settlement_month, c.discharge_date, c.diagnoses, c.procedures, c.total_fen, c.basic_fund_fen,
       c.other_funds_fen, c.account_fen, c.cash_fen, c.los_days, c.digest
  from inpatient_case c where c.area_id = {area} and c.insurance = 'employee' and c.pool_scope = 'local'
"""


def bench_clearing(cases: int, seed: int) -> dict[str, object]:
    """Clear a pool's year on a platform of its own and report the speed (清算压测).

    Answers cases, seed, seconds, per_s, peak_rss_mb (this process, servers, API and worker together), result_sha256 (of the run; the
    same for the same cases and seed), floors, ratios, includes. Raises: Conflict when the platform does not start; StepRefused when the
    run stops; InvariantBroken when a case is in no place.
    """
    folder = Path(tempfile.mkdtemp(prefix="fenzhi-bench-"))
    folder.chmod(0o755)
    settings = Settings(state_dir=folder / "state", api_port=0)
    try:
        status = start_detached(settings, say=lambda _zh, _en: None)
        with peak_memory(status) as peak:
            report = asyncio.run(_measure(settings, status, cases, seed))
        return {**report, "peak_rss_mb": peak[0] // 1024} | {"includes": report["includes"]}
    finally:
        stop_platform(settings.state_dir)
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(settings: Settings, status: PlatformStatus, cases: int, seed: int) -> dict[str, object]:
    plan = synthetic_province(seed)
    city, year = plan.cities[0].code, plan.settlement_year
    database = Database(status.app_dsn, pool_size=2, application="fenzhi-bench")
    try:
        async with httpx.AsyncClient(base_url=status.api_url, timeout=120, trust_env=False) as http:
            cast = Cast(http, token_maker(settings, database))
            await set_up(cast, plan)
            scope, numbers = await _places(database, plan, city)
            booked = await _put_cases(database, scope, plan, city, numbers, cases)
            await fund.approve_budget(cast, city, INSURANCE, year, booked, CURVE, "压测预算（构造文件）")
            floor_s = await _copy_floor(database, scope, cases)
            clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
            order = {"kind": "QUARTER", "insurance": INSURANCE.upper(), "poolScope": "LOCAL", "year": year}
            began = time.perf_counter()
            started = await clerk.do(
                "clearingRunStart", "ClearingRunStartInput", order | {"period": QUARTER}, "run { id jobId }"
            )
            await clerk.wait(started["run"]["jobId"], limit_s=3600)
            seconds = time.perf_counter() - began
            run: dict[str, Any] = (await clerk.ask(clearing.RUN, {"id": started["run"]["id"]}))["clearingRun"]
            lines = await clearing.statements(cast, city, run["id"])
    finally:
        await database.close()
    summary = run["summary"]
    if summary["cases"] + summary["pendingCases"] != cases or summary["unexplainedFen"] != "0":
        raise InvariantBroken("every stored case stands in the run once", detail=f"{summary['cases']} of {cases}")
    return {
        "cases": cases,
        "seed": seed,
        "seconds": round(seconds, 4),
        "per_s": int(cases / seconds),
        "result_sha256": run["manifest"]["resultSha256"],
        "floors": {"copy_out_s": round(floor_s, 4), "copy_out_per_s": int(cases / floor_s)},
        "ratios": {"copy_out": round(floor_s / seconds, 4)},
        "includes": {
            "timed": "API start → frozen cases read, grouped, scored, shared, every law checked, run table, statements and ledger committed",
            "not_timed": "servers, tenants, policies, codes, catalog, budget, storing the cases",
            "run": f"cumulative quarter {QUARTER} of one pool",
            "hospitals": len(lines),
            "pending": summary["pendingCases"],
            "pool_fen": summary["poolFen"],
            "data": "synthetic",
        },
    }


async def _places(database: Database, plan: ProvincePlan, city: str) -> tuple[Scope, dict[str, tuple[int, int | None]]]:
    """The worker's scope of the city, and its hospitals by code (统筹区与机构)."""
    async with database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        area = await registry.area_by_code(uow, city)
        if area is None:
            raise InvariantBroken("the bench's city is open", account=city)
        numbers = {}
        for hospital in plan.hospitals:
            row = await registry.hospital_by_code(uow, hospital.code)
            if hospital.city_code == city and row is not None:
                numbers[hospital.code] = (row.hospital_id, row.county_id)
    scope = Scope(role=DatabaseRole.WORKER, tenant=city, province_id=area.province_id, area_id=area.area_id)
    return scope, numbers


async def _put_cases(
    database: Database,
    scope: Scope,
    plan: ProvincePlan,
    city: str,
    numbers: dict[str, tuple[int, int | None]],
    cases: int,
) -> int:
    """Store the year's cases as intake leaves them (病例入库); the booked fund of all of them, in fen."""
    booked, rows = 0, _rows(scope, plan, city, numbers, cases)
    fund_at = _COLUMNS.index("basic_fund_fen")
    while chunk := list(islice(rows, _ROWS_AT_ONCE)):
        booked += sum(row[fund_at] for row in chunk)
        async with database.unit_of_work(scope) as uow:
            await uow.copy_in(inpatient_case, _COLUMNS, chunk)
    return booked


def _rows(
    scope: Scope, plan: ProvincePlan, city: str, numbers: dict[str, tuple[int, int | None]], cases: int
) -> Iterator[tuple[Any, ...]]:
    here = replace(plan, hospitals=tuple(hospital for hospital in plan.hospitals if hospital.city_code == city))
    maker = DischargeMaker(here, random.Random(f"{plan.seed}:clearing-bench:{cases}"))
    first, year = dt.date(plan.settlement_year, 1, 1), plan.settlement_year
    days = (dt.date(year, 12, 31) - first).days + 1
    batch, submitted = uuid.UUID(int=plan.seed), dt.datetime(year, 12, 31, tzinfo=dt.UTC)
    for number in range(cases):
        case = maker.draw(first + dt.timedelta(days=number * days // cases))
        digest = hashlib.sha256(f"{plan.seed}:{number}".encode()).digest()
        hospital_id, county_id = numbers[case.hospital.code]
        basic = case.payments[0][1]
        other = sum(amount for _, amount in case.payments[1:])
        yield (
            scope.area,
            county_id,
            hospital_id,
            uuid.UUID(bytes=digest[:16], version=5),
            batch,
            number + 1,
            f"BENCH{number:09d}",
            1,
            INSURANCE,
            "local",
            city,
            case.admission_date,
            case.discharge_date,
            case.discharge_date,
            year * 100 + case.discharge_date.month,
            int(case.sex),
            (case.discharge_date - case.birth_date).days,
            (case.discharge_date - case.admission_date).days,
            case.total_fen,
            basic,
            other,
            case.account_fen,
            case.cash_fen,
            list(case.diagnoses),
            list(case.procedures),
            digest,
            submitted,
        )


async def _copy_floor(database: Database, scope: Scope, cases: int) -> float:
    """Seconds for COPY of the pool's rows out of the server (COPY 下限)."""
    began = time.perf_counter()
    found = await read_arrow(database, scope, _FLOOR.format(area=scope.area))
    seconds = time.perf_counter() - began
    if found.num_rows != cases:
        raise InvariantBroken("every case is stored once", detail=f"{found.num_rows} of {cases}")
    return max(seconds, 1e-9)
