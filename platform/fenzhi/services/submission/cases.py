"""Cases as their readers see them (病例查询), always without personal fields."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty, TenantKind
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import Forbidden
from fenzhi.services.acts import Platform, looking
from fenzhi.store.repositories import cases as store


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases (病例筛选); nothing given means all of the scope."""

    settlement_month: int | None = None
    insurance: str | None = None
    setl_id: str | None = None
    hospital: str | None = None


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case without personal fields (病例). Units: fen, days. A province does not see whose list it was."""

    case_id: uuid.UUID
    hospital_code: str
    setl_id: str | None
    version: int
    superseded_by: uuid.UUID | None
    insurance: str
    pool_scope: str
    insured_area: str
    admission_date: date
    discharge_date: date
    settlement_date: date
    settlement_month: int
    sex: int
    age_days: int
    los_days: int
    total_fen: int
    basic_fund_fen: int
    other_funds_fen: int
    account_fen: int
    cash_fen: int
    diagnoses: tuple[str, ...]
    procedures: tuple[str, ...]
    icu_minutes: int | None
    discharge_department: str | None
    tcm_fen: int | None
    own_paid_fen: int | None


def case_view(row: Row[Any], subject: Subject) -> CaseView:
    """A stored case as the subject may see it (病例视图)."""
    return CaseView(
        case_id=row.case_id,
        hospital_code=row.hospital_code,
        setl_id=None if subject.tenant_kind is TenantKind.PROVINCE else row.setl_id,
        version=row.version,
        superseded_by=row.superseded_by,
        insurance=row.insurance,
        pool_scope=row.pool_scope,
        insured_area=row.insured_area,
        admission_date=row.admission_date,
        discharge_date=row.discharge_date,
        settlement_date=row.settlement_date,
        settlement_month=row.settlement_month,
        sex=row.sex,
        age_days=row.age_days,
        los_days=row.los_days,
        total_fen=row.total_fen,
        basic_fund_fen=row.basic_fund_fen,
        other_funds_fen=row.other_funds_fen,
        account_fen=row.account_fen,
        cash_fen=row.cash_fen,
        diagnoses=tuple(row.diagnoses),
        procedures=tuple(row.procedures),
        icu_minutes=row.icu_minutes,
        discharge_department=row.discharge_department,
        tcm_fen=row.tcm_fen,
        own_paid_fen=row.own_paid_fen,
    )


async def case(platform: Platform, subject: Subject, case_id: uuid.UUID) -> CaseView | None:
    """One case, or none in this scope (病例)."""
    async with looking(platform, subject, Duty.READ_CASES) as uow:
        row = await store.case_by_id(uow, case_id)
        return case_view(row, subject) if row is not None else None


async def cases(
    platform: Platform, subject: Subject, wanted: CaseFilter, after: tuple[date, uuid.UUID] | None, limit: int
) -> Sequence[CaseView]:
    """One page of the scope's cases in order of discharge (病例列表).

    Raises: Forbidden for a province that asks by settlement id: it reads cases without knowing whose list they were.
    """
    if wanted.setl_id is not None and subject.tenant_kind is TenantKind.PROVINCE:
        raise Forbidden("省级不可按结算号查询病例。", "A province may not look cases up by settlement id.")
    async with looking(platform, subject, Duty.READ_CASES) as uow:
        rows = await store.cases_after(
            uow,
            after,
            limit,
            settlement_month=wanted.settlement_month,
            insurance=wanted.insurance,
            setl_id=wanted.setl_id,
            hospital_code=wanted.hospital,
        )
        return [case_view(row, subject) for row in rows]
