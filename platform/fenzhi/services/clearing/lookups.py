"""Runs, statements and the cases of a statement as their readers see them (结算查询)."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

import pyarrow as pa
from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.clearing.out_of_area import case_amounts
from fenzhi.services.acts import Platform, looking
from fenzhi.services.clearing.case_shares import ShareRule, case_shares
from fenzhi.store.bulk import read_arrow
from fenzhi.store.repositories import clearing
from fenzhi.store.session import UnitOfWork


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as its readers see it (结算). `summary` is empty until it is computed. Units: fen."""

    run_id: uuid.UUID
    area_code: str
    kind: str
    insurance: str
    pool_scope: str
    year: int
    period: int
    state: str
    job_id: uuid.UUID | None
    error: str | None
    edition_id: uuid.UUID | None
    budget_id: uuid.UUID | None
    point_value_id: uuid.UUID | None
    policy_fingerprint: str | None
    rules_version: str | None
    manifest: Mapping[str, Any]
    manifest_sha256: str | None
    result_sha256: str | None
    pool_fen: int | None
    summary: Mapping[str, Any]
    as_known_at: datetime | None
    computed_at: datetime | None
    approved_at: datetime | None
    published_at: datetime | None
    started_at: datetime


def _run(row: Row[Any]) -> RunView:
    return RunView(
        run_id=row.run_id,
        area_code=row.area_code,
        kind=row.kind,
        insurance=row.insurance,
        pool_scope=row.pool_scope,
        year=row.year,
        period=row.period,
        state=row.state,
        job_id=row.job_id,
        error=row.error,
        edition_id=row.edition_id,
        budget_id=row.budget_id,
        point_value_id=row.point_value_id,
        policy_fingerprint=row.policy_fingerprint,
        rules_version=row.rules_version,
        manifest=row.manifest or {},
        manifest_sha256=row.manifest_sha256.hex() if row.manifest_sha256 else None,
        result_sha256=row.result_sha256.hex() if row.result_sha256 else None,
        pool_fen=row.pool_fen,
        summary=row.summary or {},
        as_known_at=row.as_known_at,
        computed_at=row.computed_at,
        approved_at=row.approved_at,
        published_at=row.published_at,
        started_at=row.recorded_at,
    )


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are asked for (结算筛选); None is any."""

    year: int | None = None
    kind: str | None = None
    state: str | None = None
    insurance: str | None = None


async def run(platform: Platform, subject: Subject, run_id: uuid.UUID) -> RunView | None:
    """One run, or none in this scope (结算); below the city only published ones exist."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        row = await clearing.run_by_id(uow, run_id)
        return None if row is None else _run(row)


async def runs(
    platform: Platform, subject: Subject, before: uuid.UUID | None, limit: int, wanted: RunFilter
) -> Sequence[RunView]:
    """One page of the runs the subject sees, newest first (结算列表)."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        rows = await clearing.runs(
            uow,
            before,
            limit,
            year=wanted.year,
            kind=wanted.kind,
            state=wanted.state,
            insurance=wanted.insurance,
        )
        return [_run(row) for row in rows]


@dataclass(frozen=True, slots=True)
class StatementView:
    """A hospital's statement (结算单): its row, and the terms and steps kept in its working."""

    row: Row[Any]
    terms: Mapping[str, Any]
    steps: Sequence[Mapping[str, Any]]

    @property
    def key(self) -> str:
        """Run and hospital in one text (结算单标识)."""
        return f"{self.row.run_id}.{self.row.hospital_id}"


def _statement(row: Row[Any]) -> StatementView:
    return StatementView(row, row.working["terms"], row.working["steps"])


def parse_statement_key(key: str) -> tuple[uuid.UUID, int] | None:
    """Run and hospital of a statement's key, or none when it is no such key (解析结算单标识)."""
    run_text, _, hospital_text = key.partition(".")
    if not (hospital_text.isascii() and hospital_text.isdecimal() and len(hospital_text) <= 9):
        return None
    try:
        return uuid.UUID(run_text), int(hospital_text)
    except ValueError:
        return None


async def statement(platform: Platform, subject: Subject, key: str) -> StatementView | None:
    """One statement, or none in this scope (结算单)."""
    found = parse_statement_key(key)
    if found is None:
        return None
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        row = await clearing.statement(uow, *found)
        return None if row is None else _statement(row)


async def statements(
    platform: Platform, subject: Subject, run_id: uuid.UUID, after: str, limit: int
) -> Sequence[StatementView]:
    """One page of a run's statements the subject sees, in order of hospital code (结算单列表)."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        return [_statement(row) for row in await clearing.statements(uow, run_id, after, limit)]


@dataclass(frozen=True, slots=True)
class CaseLineView:
    """One case on a statement (病例明细): what it earned and its part of the hospital's gross. Units: fen, points in 10^-d."""

    case_id: uuid.UUID
    disposition: str
    group_code: str
    band: str
    points: int
    points_decimals: int
    share_fen: int
    total_fen: int
    basic_fund_fen: int
    los_days: int
    mode: str
    """How it is paid, blank for its points alone; after a colon why it is paid otherwise than its mode says."""
    beside_fen: int
    control_fen: int


class _Shares:
    """Shares of statements whose release kept no cut, and of whole statements: a statement never changes, so its cases are apportioned once."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._held: OrderedDict[tuple[uuid.UUID, int], Mapping[uuid.UUID, int]] = OrderedDict()

    async def of(self, uow: UnitOfWork, row: Row[Any], terms: Mapping[str, Any]) -> Mapping[uuid.UUID, int]:
        """Case → fen for one statement that the caller's scope has just been shown."""
        key = (row.run_id, row.hospital_id)
        held = self._held.get(key)
        if held is None:
            cases = await clearing.cases_of_hospital(uow, row.run_id, row.hospital_id)
            price = Fraction(terms["fen_per_unit"]) if terms.get("less_patient") else None
            by_case = Fraction(terms["by_case"]) if terms.get("by_case") else None
            held = await asyncio.to_thread(
                case_shares, row.gross_fen, [(c.case_id, c.points, c.patient_fen) for c in cases], price, by_case
            )
            self._held[key] = held
            while len(self._held) > self._room:
                self._held.popitem(last=False)
        return held


_shares = _Shares(32)


async def statement_cases(
    platform: Platform, subject: Subject, key: str, after: uuid.UUID | None, limit: int
) -> Sequence[CaseLineView]:
    """One page of the cases of a statement with their part of its gross (结算单病例), in order of case id.

    The parts of all cleared cases add up to the gross exactly; a pending case has none.
    """
    found = parse_statement_key(key)
    if found is None:
        return []
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        row = await clearing.statement(uow, *found)
        if row is None:
            return []
        terms = row.working["terms"]
        cases = await clearing.case_rows(uow, *found, after, limit)
        shares = await _page_shares(uow, row, terms, cases)
        places = int(terms["points_decimals"])
        return [
            CaseLineView(
                case_id=case.case_id,
                disposition=case.disposition,
                group_code=case.group_code,
                band=case.band,
                points=case.points,
                points_decimals=places,
                share_fen=shares.get(case.case_id, 0),
                total_fen=case.total_fen,
                basic_fund_fen=case.basic_fund_fen,
                los_days=case.los_days,
                mode=case.mode or (case.disposition.partition(":")[2] if case.beside_fen is not None else ""),
                beside_fen=case.beside_fen or 0,
                control_fen=case.control_fen or 0,
            )
            for case in cases
        ]


async def _page_shares(
    uow: UnitOfWork, row: Row[Any], terms: Mapping[str, Any], cases: Sequence[Row[Any]]
) -> Mapping[uuid.UUID, int]:
    """Case → fen for one page: from each case alone where the statement keeps its cut, else from all cases of the statement."""
    cleared = [case for case in cases if case.disposition == "cleared"]
    if terms.get("by_case"):
        amounts = case_amounts([case.points for case in cleared], Fraction(terms["by_case"]))
        return dict(zip((case.case_id for case in cleared), amounts, strict=True))
    rules = {part: ShareRule.of(row, terms, part) for part in {case.part for case in cleared}}
    if None in rules.values():
        return await _shares.of(uow, row, terms)
    return {
        case.case_id: rule.share_fen(case.case_id, case.points, case.patient_fen)
        for case in cleared
        if (rule := rules[case.part]) is not None
    }


@dataclass(frozen=True, slots=True)
class CountyTotalView:
    """The statements of one county's hospitals in a run (县级结算汇总). Units: fen. `county_code` blank: the city's own hospitals."""

    county_code: str
    hospitals: int
    gross_fen: int
    deductions_fen: int
    payable_fen: int
    transfer_fen: int
    paid_fen: int


async def county_totals(platform: Platform, subject: Subject, run_id: uuid.UUID) -> Sequence[CountyTotalView]:
    """What a run came to by county, in order of code, and what was paid on it so far (县级结算汇总); a county sees its own."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        return [
            CountyTotalView(
                r.county_code or "",
                int(r.hospitals),
                int(r.gross_fen),
                int(r.deductions_fen),
                int(r.payable_fen),
                int(r.transfer_fen),
                int(r.paid_fen),
            )
            for r in await clearing.county_totals(uow, run_id)
        ]


@dataclass(frozen=True, slots=True)
class InsuredAreaView:
    """What a hospital's cases insured in one area came to (按参保地汇总). Units: fen."""

    insured_area: str
    cases: int
    share_fen: int


async def statement_areas(platform: Platform, subject: Subject, key: str) -> Sequence[InsuredAreaView]:
    """A statement of cases from elsewhere by the area of insurance (结算单按参保地), in order of code; they add up to its gross.

    Empty for a statement of the local pool.
    """
    found = parse_statement_key(key)
    if found is None:
        return []
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        row = await clearing.statement(uow, *found)
        if row is None or row.pool_scope == "local":
            return []
        shares = await _shares.of(uow, row, row.working["terms"])
        sums: dict[str, list[int]] = {}
        for case in await clearing.insured_areas(uow, *found):
            held = sums.setdefault(case.insured_area, [0, 0])
            held[0] += 1
            held[1] += shares[case.case_id]
        return [InsuredAreaView(area, *held) for area, held in sorted(sums.items())]


async def run_case_facts(platform: Platform, uow: UnitOfWork, run_ids: Sequence[uuid.UUID]) -> pa.Table:
    """The cases of runs with what was computed for each (结算病例结果), for the scorecard and for analysis.

    Columns: run_id, case_id (text), hospital_id, disposition, group_code, band, points, total_fen, basic_fund_fen, los_days; in the
    unit of work's scope, in no particular order. Units: fen, points in the run's 10^-d, days.
    """
    wanted = ", ".join(f"'{run_id}'::uuid" for run_id in run_ids) or "null"
    return await read_arrow(
        platform.database,
        uow.scope,
        f"""
        select run_id::text as run_id, case_id::text as case_id, hospital_id, disposition, group_code, band, points, total_fen,
               basic_fund_fen, los_days
          from run_case where area_id = {uow.scope.area} and run_id in ({wanted})
        """,
    )
