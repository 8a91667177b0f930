"""Cases in the store (病例): de-identified facts, one page or one case at a time."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row, Select, and_, select, tuple_

from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.registry import hospital
from fenzhi.store.tables.submission import case_supersession, inpatient_case


def _cases(uow: UnitOfWork) -> Select[Any]:
    c = inpatient_case.c
    return (
        select(
            inpatient_case,
            hospital.c.code.label("hospital_code"),
            case_supersession.c.new_case_id.label("superseded_by"),
        )
        .join(hospital, and_(hospital.c.area_id == c.area_id, hospital.c.hospital_id == c.hospital_id))
        .outerjoin(
            case_supersession,
            and_(case_supersession.c.area_id == c.area_id, case_supersession.c.old_case_id == c.case_id),
        )
        .where(within(inpatient_case, uow.scope))
    )


async def case_by_id(uow: UnitOfWork, case_id: uuid.UUID) -> Row[Any] | None:
    """One case of the scope."""
    return await uow.first(_cases(uow).where(inpatient_case.c.case_id == case_id))


async def cases_after(
    uow: UnitOfWork,
    after: tuple[date, uuid.UUID] | None,
    limit: int,
    *,
    settlement_month: int | None = None,
    insurance: str | None = None,
    setl_id: str | None = None,
    hospital_code: str | None = None,
) -> Sequence[Row[Any]]:
    """Cases of the scope in order of discharge, one page after a case. Superseded versions are shown as such."""
    c = inpatient_case.c
    query = _cases(uow)
    if after is not None:
        query = query.where(tuple_(c.discharge_date, c.case_id) > tuple_(*after))
    if settlement_month is not None:
        query = query.where(c.settlement_month == settlement_month)
    if insurance is not None:
        query = query.where(c.insurance == insurance)
    if setl_id is not None:
        query = query.where(c.setl_id == setl_id)
    if hospital_code is not None:
        query = query.where(hospital.c.code == hospital_code)
    return await uow.rows(query.order_by(c.discharge_date, c.case_id).limit(limit))
