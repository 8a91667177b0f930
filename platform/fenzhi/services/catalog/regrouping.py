"""A year of an area under another edition (重新入组): a job whose results stand beside what runs said, which stays as it is."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.engine.engine import Engine
from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.periods import SettlementMonth
from fenzhi.rules.point_value.point_value import NoCases
from fenzhi.rules.refusals import Conflict, NotFound
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.catalog.book import edition_row
from fenzhi.services.catalog.faults import fault, refuse
from fenzhi.services.catalog.provisional_in_force import named_in
from fenzhi.services.catalog.regroup_tasks import SEES_REGROUPINGS
from fenzhi.services.clearing.frozen_cases import cases_of_pool
from fenzhi.services.clearing.grading import GradingBasis, cross_check, grade, load_basis, places_of
from fenzhi.services.clearing.manifest import RULES_VERSION, case_set, sha256
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.bulk import read_arrow
from fenzhi.store.repositories import registry
from fenzhi.store.repositories import regrouping as store
from fenzhi.store.session import Database, UnitOfWork, new_id

REGROUP_JOB = "catalog.regroup"
FORMAT = "fenzhi.regrouping/1"
_POOLS = tuple((insurance, scope) for insurance in ("employee", "resident") for scope in ("local", "out_of_area"))


async def start_regrouping(
    platform: Platform, clerk: Subject, request: Request, edition_id: uuid.UUID, year: int, policy_on: date | None
) -> Answer:
    """Want a year's cases of the city grouped and scored under a published edition (发起重新入组).

    `policy_on` is the day whose policy speaks; None is the later of the year's last day and the edition's first.
    Changes: job. Raises: DataRefused, NotFound, Conflict EDITION_NOT_PUBLISHED.
    """
    clerk.scope_for(Duty.START_CLEARING)
    if not 2000 <= year <= 2099:
        refuse(
            [
                fault(
                    ("REGROUP_YEAR", "year", str(year)),
                    ("年份须为 2000 至 2099。", "The year lies between 2000 and 2099."),
                    ("填写有病例的年份。", "Give a year with cases."),
                )
            ]
        )

    async def effect(uow: UnitOfWork) -> Answer:
        row = await edition_row(uow, edition_id)
        if row.state != "published":
            raise Conflict("目录版本尚未发布。", "The edition is not published.", code="EDITION_NOT_PUBLISHED")
        on = policy_on or max(date(year, 12, 31), row.effective_from)
        payload = {"edition_id": str(edition_id), "year": year, "policy_on": on.isoformat()}
        return {"type": "Job", "id": str(await enqueue(uow, platform.doorbell, REGROUP_JOB, payload))}

    return await act(platform, clerk, Duty.START_CLEARING, request, effect)


async def start_replay(platform: Platform, clerk: Subject, request: Request, regrouping_id: uuid.UUID) -> Answer:
    """Want a regrouping done again from what was known then (重演重新入组). Changes: job. Raises: NotFound REGROUPING_NOT_FOUND."""

    async def effect(uow: UnitOfWork) -> Answer:
        row = await store.regrouping_by_id(uow, regrouping_id)
        if row is None or row.replay_of is not None:
            raise _not_found()
        payload = {
            "edition_id": str(row.edition_id),
            "year": row.year,
            "policy_on": row.policy_on.isoformat(),
            "replay_of": str(regrouping_id),
        }
        return {"type": "Job", "id": str(await enqueue(uow, platform.doorbell, REGROUP_JOB, payload))}

    return await act(platform, clerk, Duty.START_CLEARING, request, effect)


def _not_found() -> NotFound:
    return NotFound(
        "没有该重新入组记录。",
        "No such regrouping.",
        code="REGROUPING_NOT_FOUND",
        hint="用 regroupings 查询本统筹区的记录 / list them with regroupings",
    )


@dataclass(frozen=True)
class _Pool:
    """The cases of one pool with what they are graded by and what was said of them."""

    insurance: str
    pool_scope: str
    cases: pa.Table
    before: pa.Table
    basis: GradingBasis
    described: Mapping[str, Any]


async def regroup(job: JobInHand) -> None:
    """Group and score a year's cases under an edition (重新入组). Job kind `catalog.regroup`, area scope.

    The engine and the choices are those of clearing; every case is taken as known at the moment of the order's computation, and stands
    beside what the latest run of its year said. A replay takes the moment of the first and keeps digests alone. Done, it ends the tasks it does.
    Changes: regrouping, regrouped_case, regroup_task; no run, no earlier result. Refuses: NO_CASES, EDITIONS_NOT_ADDABLE,
    POINT_VALUE_NOT_APPROVED, PolicyNotEntered. Raises: InvariantBroken when engine and rules differ on a sampled case.
    """
    edition_id, year = uuid.UUID(job.payload["edition_id"]), int(job.payload["year"])
    policy_on = date.fromisoformat(job.payload["policy_on"])
    replay_of = uuid.UUID(job.payload["replay_of"]) if "replay_of" in job.payload else None
    async with job.reading() as uow:
        edition = await edition_row(uow, edition_id)
        first = await store.regrouping_by_id(uow, replay_of) if replay_of is not None else None
        if replay_of is not None and first is None:
            raise _not_found()
        known: datetime = first.as_known_at if first is not None else await uow.now()
        hospitals = {row.hospital_id: (row.code, row.county_id) for row in await registry.hospitals(uow, 0, 1_000_000)}
        pools = [
            found
            for insurance, scope in _POOLS
            if (
                found := await _pool(
                    job.platform.database, uow, edition, (insurance, scope, year), policy_on, known, hospitals, first
                )
            )
        ]
    if not pools:
        raise NoCases(f"{year} 年没有病例。", f"There are no cases of {year}.")
    await job.progress(1, 3)
    graded = await asyncio.to_thread(_graded, pools, job.platform.memory_limit_mb)
    await job.progress(2, 3)
    together = pa.concat_tables(graded).sort_by("case_id").combine_chunks()
    manifest = {
        "format": FORMAT,
        "year": year,
        "edition": {"id": str(edition_id), "sha256": (edition.content_sha256 or b"").hex()},
        "policy_on": policy_on.isoformat(),
        "rules_version": RULES_VERSION,
        "pools": [dict(one.described) for one in pools],
    }
    regrouping_id = new_id()
    settled = pc.is_valid(together["before_run_id"])
    result: dict[str, Any] = {"regrouping": str(regrouping_id), "cases": together.num_rows}
    async with job.finishing(result) as uow:
        await store.add_regrouping(
            uow,
            {
                "regrouping_id": regrouping_id,
                "edition_id": edition_id,
                "year": year,
                "policy_on": policy_on,
                "replay_of": replay_of,
                "cases": together.num_rows,
                "grouped": _true(pc.not_equal(together["group_code"], "")),
                "settled_before": _true(settled),
                "changed": _true(pc.and_(settled, _differs(together))),
                "manifest": manifest,
                "manifest_sha256": sha256(manifest),
                "result_sha256": _result_sha256(together),
                "as_known_at": known,
                "job_id": job.claimed.job_id,
                "wanted_by_person": uuid.UUID(job.scope.person_id) if job.scope.person_id else None,
            },
        )
        if replay_of is None:
            await store.add_cases(uow, _rows(together, uow.scope.area, regrouping_id, hospitals))
            result["tasks"] = await store.close_tasks(
                uow, regrouping_id, edition_id, year, policy_on, await uow.today()
            )


def _true(mask: Any) -> int:
    return int(pc.sum(pc.cast(mask, pa.int64())).as_py() or 0)


def _differs(cases: pa.Table) -> Any:
    return pc.or_(
        pc.not_equal(cases["before_group_code"], cases["group_code"]),
        pc.not_equal(cases["before_disposition"], cases["disposition"]),
    )


async def _pool(
    database: Database,
    uow: UnitOfWork,
    edition: Row[Any],
    pool: tuple[str, str, int],
    policy_on: date,
    known: datetime,
    hospitals: Mapping[int, tuple[str, int | None]],
    first: Row[Any] | None,
) -> _Pool | None:
    """A pool of the year with what it is grouped by; of a replay (`first`), by the provisional groups that the manifest names."""
    insurance, pool_scope, year = pool
    months = (SettlementMonth(year, 1), SettlementMonth(year, 12))
    cases = await cases_of_pool(uow, pool, months, known)
    if cases.num_rows == 0:
        return None
    policy = await resolved_policy(uow, policy_on, insurance=insurance)
    approved = None
    if first is not None:
        mine = [
            one for one in first.manifest["pools"] if (one["insurance"], one["pool_scope"]) == (insurance, pool_scope)
        ]
        approved = named_in([use for one in mine for use in one["editions"]], edition.scale)
    basis = await load_basis(
        uow, policy, insurance, places_of(cases), year - 1, edition=edition, pool=pool, approved=approved
    )
    before = await _before(database, uow, pool, known)
    runs = sorted({str(one) for one in before["run_id"].to_pylist()})
    in_set = case_set(cases, {number: code for number, (code, _) in hospitals.items()})
    described = {
        "insurance": insurance,
        "pool_scope": pool_scope,
        "cases": {"count": in_set["count"], "root": in_set["root"]},
        "editions": [use.described() for use in basis.editions],
        "registry_sha256": basis.registry_sha256(),
        "policy_fingerprint": policy.fingerprint(),
        "before_runs": runs,
    }
    return _Pool(insurance, pool_scope, cases, before, basis, described)


async def _before(database: Database, uow: UnitOfWork, pool: tuple[str, str, int], known: datetime) -> pa.Table:
    """What the latest run of the year that holds a case said of it: the year before quarters, quarters before months."""
    insurance, pool_scope, year = pool
    # Literals, not parameters, so that the answer comes by COPY; each is a number, a known word or a timestamp of ours.
    return await read_arrow(
        database,
        uow.scope,
        f"""
        select distinct on (c.case_id) c.case_id::text as case_id, c.run_id::text as run_id, c.disposition, c.group_code,
               c.points, coalesce((r.summary->>'points_decimals')::int, 0) as decimals
          from run_case c join clearing_run r on r.run_id = c.run_id and r.area_id = c.area_id
         where c.area_id = {uow.scope.area} and r.insurance = '{insurance}' and r.pool_scope = '{pool_scope}'
           and r.year = {year} and r.state in ('computed', 'issued', 'approved', 'published')
           and r.computed_at <= '{known.isoformat()}'::timestamptz
         order by c.case_id, array_position(array['year', 'quarter', 'month'], r.kind::text), r.computed_at desc
        """,
    )


def _graded(pools: Sequence[_Pool], memory_limit_mb: int) -> list[pa.Table]:
    found = []
    with Engine(memory_limit=f"{memory_limit_mb}MB") as engine:
        for one in pools:
            graded = grade(engine, one.cases, one.basis)
            cross_check(one.cases, graded, one.basis)
            found.append(_beside(one, graded))
    return found


def _beside(pool: _Pool, graded: pa.Table) -> pa.Table:
    ids = pool.cases["case_id"].combine_chunks()
    index = pc.index_in(ids, value_set=pool.before["case_id"].combine_chunks().cast(ids.type))

    def said(name: str) -> Any:
        return pc.take(pool.before[name].combine_chunks(), index)

    rows = pool.cases.num_rows
    return pa.table(
        {
            "case_id": ids.cast(pa.string()),
            "hospital_id": pc.cast(pool.cases["hospital_id"], pa.int64()),
            "insurance": pa.repeat(pa.scalar(pool.insurance), rows),
            "pool_scope": pa.repeat(pa.scalar(pool.pool_scope), rows),
            "disposition": graded["disposition"].cast(pa.string()),
            "group_code": graded["group_code"].cast(pa.string()),
            "band": graded["band"].cast(pa.string()),
            "points": graded["points"].cast(pa.int64()),
            "decimals": pa.repeat(pa.scalar(pool.basis.points_decimals, pa.int64()), rows),
            "before_run_id": said("run_id").cast(pa.string()),
            "before_disposition": pc.fill_null(said("disposition").cast(pa.string()), ""),
            "before_group_code": pc.fill_null(said("group_code").cast(pa.string()), ""),
            "before_points": pc.fill_null(said("points").cast(pa.int64()), 0),
            "before_decimals": pc.fill_null(said("decimals").cast(pa.int64()), 0),
        }
    )


def _result_sha256(cases: pa.Table) -> bytes:
    """SHA-256 over every case in order of id: what it was and what it is (结果摘要)."""
    found = hashlib.sha256()
    names = ("case_id", "disposition", "group_code", "band", "points", "decimals", "before_run_id", "before_group_code")
    for batch in cases.select(list(names)).to_batches(max_chunksize=10_000):
        for row in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
            found.update("\x1f".join("" if one is None else str(one) for one in row).encode() + b"\n")
    return found.digest()


def _rows(
    cases: pa.Table, area: int, regrouping_id: uuid.UUID, hospitals: Mapping[int, tuple[str, int | None]]
) -> Iterator[tuple[Any, ...]]:
    for batch in cases.to_batches(max_chunksize=10_000):
        for one in batch.to_pylist():
            yield (
                area,
                hospitals[one["hospital_id"]][1],
                one["hospital_id"],
                regrouping_id,
                uuid.UUID(one["case_id"]),
                one["insurance"],
                one["pool_scope"],
                one["disposition"],
                one["group_code"],
                one["band"],
                Decimal(one["points"]).scaleb(-one["decimals"]),
                uuid.UUID(one["before_run_id"]) if one["before_run_id"] else None,
                one["before_disposition"],
                one["before_group_code"],
                Decimal(one["before_points"]).scaleb(-one["before_decimals"]),
            )


@dataclass(frozen=True, slots=True)
class RegroupingView:
    """A regrouping (重新入组)."""

    regrouping_id: uuid.UUID
    area_id: int
    area_code: str
    edition_code: str
    year: int
    policy_on: date
    cases: int
    grouped: int
    settled_before: int
    changed: int
    manifest_sha256: str
    result_sha256: str
    as_known_at: datetime


@dataclass(frozen=True, slots=True)
class ReplayView:
    """A replay (重演结果): which digests are the same."""

    same_inputs: bool
    same_results: bool
    recorded_at: datetime


def _view(row: Row[Any]) -> RegroupingView:
    return RegroupingView(
        row.regrouping_id,
        row.area_id,
        row.area_code,
        row.edition_code,
        row.year,
        row.policy_on,
        row.cases,
        row.grouped,
        row.settled_before,
        row.changed,
        bytes(row.manifest_sha256).hex(),
        bytes(row.result_sha256).hex(),
        row.as_known_at,
    )


async def page(platform: Platform, subject: Subject, after: uuid.UUID | None, limit: int) -> Sequence[RegroupingView]:
    """Regroupings of the subject's cities, newest first (重新入组记录): for province and city."""
    if subject.tenant_kind not in SEES_REGROUPINGS:
        return []
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        return [_view(row) for row in await store.regroupings(uow, after, limit)]


async def regrouping_by_id(platform: Platform, subject: Subject, regrouping_id: uuid.UUID) -> RegroupingView | None:
    """One regrouping, or none in this scope (重新入组记录)."""
    if subject.tenant_kind not in SEES_REGROUPINGS:
        return None
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await store.regrouping_by_id(uow, regrouping_id)
        return _view(row) if row is not None and row.replay_of is None else None


async def replays(platform: Platform, subject: Subject, first: RegroupingView) -> Sequence[ReplayView]:
    """The replays of a regrouping, newest first (重演记录)."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        return [
            ReplayView(
                bytes(row.manifest_sha256).hex() == first.manifest_sha256,
                bytes(row.result_sha256).hex() == first.result_sha256,
                row.recorded_at,
            )
            for row in await store.replays(uow, first.regrouping_id, 100)
        ]


async def by_hospital(platform: Platform, subject: Subject, of: RegroupingView) -> Sequence[tuple[str, Row[Any]]]:
    """Hospital code and its counts and points, by pool (按机构汇总)."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        rows = await store.by_hospital(uow, of.area_id, of.regrouping_id)
        codes = await registry.hospital_codes(uow, sorted({one.hospital_id for one in rows})) if rows else {}
        return [(codes.get(one.hospital_id, str(one.hospital_id)), one) for one in rows]


async def moves(platform: Platform, subject: Subject, of: RegroupingView, limit: int) -> Sequence[Row[Any]]:
    """From which group to which, most cases first (改组去向)."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        return await store.moves(uow, of.area_id, of.regrouping_id, limit)
