"""Holds on cases (病例暂停): what keeps a case out of runs, who released it, how often it was returned."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, and_, func, select, text

from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.filing import (
    case_hold,
    case_release,
)
from fenzhi.store.tables.registry import hospital
from fenzhi.store.tables.submission import case_supersession, inpatient_case


async def standing_case(uow: UnitOfWork, case_id: uuid.UUID) -> Row[Any] | None:
    """A case of the scope that no later version has replaced."""
    c, s = inpatient_case.c, case_supersession.c
    return await uow.first(
        select(c.case_id, c.area_id, c.county_id, c.hospital_id, c.setl_id, c.settlement_month).where(
            within(inpatient_case, uow.scope),
            c.case_id == case_id,
            ~select(1).where(s.area_id == c.area_id, s.old_case_id == c.case_id).exists(),
        )
    )


async def case_exists(uow: UnitOfWork, case_id: uuid.UUID) -> bool:
    """Whether the scope has a case, replaced or not."""
    c = inpatient_case.c
    found = select(1).where(within(inpatient_case, uow.scope), c.case_id == case_id)
    return bool(await uow.scalar(select(found.exists())))


def _open_hold() -> Any:
    h, e = case_hold.c, case_release.c
    return ~select(1).where(e.hold_id == h.hold_id, e.area_id == h.area_id).exists()


async def open_hold(uow: UnitOfWork, case_id: uuid.UUID) -> Row[Any] | None:
    """The hold on a case that was not released, the newest."""
    h = case_hold.c
    return await uow.first(
        select(case_hold)
        .where(within(case_hold, uow.scope), h.case_id == case_id, _open_hold())
        .order_by(h.hold_id.desc())
        .limit(1)
    )


async def returns_of(uow: UnitOfWork, hospital_id: int, setl_id: str) -> int:
    """How often a list was returned and the return not withdrawn."""
    h = case_hold.c
    count = await uow.scalar(
        select(func.count())
        .select_from(case_hold)
        .where(
            within(case_hold, uow.scope),
            h.hospital_id == hospital_id,
            h.setl_id == setl_id,
            h.kind == "returned",
            _open_hold(),
        )
    )
    return int(count or 0)


async def add_hold(uow: UnitOfWork, case: Row[Any], **values: Any) -> uuid.UUID:
    """Hold a case out of every run from now on."""
    hold_id, scope = new_id(), uow.scope
    await uow.insert(
        case_hold,
        [
            {
                "area_id": case.area_id,
                "county_id": case.county_id,
                "hospital_id": case.hospital_id,
                "hold_id": hold_id,
                "case_id": case.case_id,
                "setl_id": case.setl_id,
                "held_by": uuid.UUID(scope.account_id) if scope.account_id else None,
                "held_by_person": uuid.UUID(scope.person_id) if scope.person_id else None,
                **values,
            }
        ],
    )
    return hold_id


async def cases_with_findings(uow: UnitOfWork, batch_id: uuid.UUID, codes: Sequence[str]) -> Sequence[Row[Any]]:
    """Cases of a judged batch with the first finding of some codes about each."""
    return await uow.rows(
        text(
            """
            select distinct on (i.row_no) i.area_id, i.county_id, i.hospital_id, i.case_id, i.setl_id, v.rule, v.code, v.zh
            from intake_row i join verdict v on v.area_id = i.area_id and v.batch_id = i.batch_id and v.row_no = i.row_no
            where i.area_id = :area and i.batch_id = :batch and i.case_id is not null and v.code = any(:codes)
            order by i.row_no, v.seq
            """
        ),
        {"area": uow.scope.area, "batch": batch_id, "codes": list(codes)},
    )


async def release(uow: UnitOfWork, hold: Row[Any], reason: str) -> None:
    """End a hold."""
    scope = uow.scope
    await uow.insert(
        case_release,
        [
            {
                "area_id": hold.area_id,
                "county_id": hold.county_id,
                "hospital_id": hold.hospital_id,
                "hold_id": hold.hold_id,
                "case_id": hold.case_id,
                "reason": reason,
                "released_by": uuid.UUID(scope.account_id) if scope.account_id else None,
                "released_by_person": uuid.UUID(scope.person_id) if scope.person_id else None,
            }
        ],
    )


def _holds(uow: UnitOfWork) -> Select[Any]:
    h, s, e = case_hold.c, case_supersession.c, case_release.c
    corrected = (
        select(s.new_case_id).where(s.area_id == h.area_id, s.old_case_id == h.case_id).limit(1).scalar_subquery()
    )
    corrected_at = (
        select(s.recorded_at).where(s.area_id == h.area_id, s.old_case_id == h.case_id).limit(1).scalar_subquery()
    )
    released_at = select(e.recorded_at).where(e.area_id == h.area_id, e.hold_id == h.hold_id).limit(1).scalar_subquery()
    return (
        select(
            case_hold,
            hospital.c.code.label("hospital_code"),
            corrected.label("corrected_by"),
            corrected_at.label("corrected_at"),
            released_at.label("released_at"),
        )
        .join(hospital, and_(hospital.c.hospital_id == h.hospital_id, hospital.c.area_id == h.area_id))
        .where(within(case_hold, uow.scope))
    )


async def hold_by_id(uow: UnitOfWork, hold_id: uuid.UUID) -> Row[Any] | None:
    """One hold of the scope."""
    return await uow.first(_holds(uow).where(case_hold.c.hold_id == hold_id))


async def holds_after(uow: UnitOfWork, *, only_open: bool, after: uuid.UUID | None, limit: int) -> Sequence[Row[Any]]:
    """Holds of the scope, oldest first, one page after a key."""
    query = _holds(uow)
    h, s = case_hold.c, case_supersession.c
    if only_open:
        query = query.where(_open_hold(), ~select(1).where(s.area_id == h.area_id, s.old_case_id == h.case_id).exists())
    if after is not None:
        query = query.where(h.hold_id > after)
    return await uow.rows(query.order_by(h.hold_id).limit(limit))
