"""Clocks and calendars in the store (期限): which days are worked, which clock runs for whom, when it was met."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from fenzhi.store.repositories.fund import Pool
from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.registry import hospital
from fenzhi.store.tables.year import deadline, working_calendar


async def add_calendar(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID:
    calendar_id = new_id()
    await uow.insert(
        working_calendar,
        [
            {
                "calendar_id": calendar_id,
                "province_id": uow.scope.province,
                "state": "draft",
                "entered_by": uuid.UUID(uow.scope.account_id),
                "entered_by_person": uuid.UUID(uow.scope.person_id),
                **row,
            }
        ],
    )
    return calendar_id


async def calendar_by_id(uow: UnitOfWork, calendar_id: uuid.UUID) -> Row[Any] | None:
    c = working_calendar.c
    return await uow.first(
        select(working_calendar).where(c.province_id == uow.scope.province, c.calendar_id == calendar_id)
    )


async def decide_calendar(uow: UnitOfWork, calendar_id: uuid.UUID, state: str) -> bool:
    """Move a draft on; false when it is a draft no more."""
    c = working_calendar.c
    touched = await uow.execute(
        update(working_calendar)
        .where(c.province_id == uow.scope.province, c.calendar_id == calendar_id, c.state == "draft")
        .values(
            state=state,
            approved_by=uuid.UUID(uow.scope.account_id),
            approved_by_person=uuid.UUID(uow.scope.person_id),
            approved_at=func.now(),
        )
    )
    return touched == 1


async def calendars(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """Every calendar of the province the scope sees, by year and in order of entry."""
    c = working_calendar.c
    return await uow.rows(
        select(working_calendar).where(c.province_id == uow.scope.province).order_by(c.year, c.calendar_id)
    )


async def open_deadlines(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    """Enter clocks; one that runs already stays as it is."""
    for row in rows:
        await uow.execute(
            upsert(deadline)
            .values(deadline_id=new_id(), **row)
            .on_conflict_do_nothing(
                index_elements=[
                    "area_id",
                    "hospital_id",
                    "insurance",
                    "pool_scope",
                    "year",
                    "period",
                    "clock",
                    "subject_id",
                ]
            )
        )


async def meet(uow: UnitOfWork, of: Mapping[str, Any], clocks: Sequence[str], on: date) -> int:
    """Write down that running clocks of one hospital and period were met on a day; how many."""
    c = deadline.c
    return await uow.execute(
        update(deadline)
        .where(
            within(deadline, uow.scope),
            *(c[name] == value for name, value in of.items()),
            c.clock.in_(clocks),
            c.done_on.is_(None),
        )
        .values(done_on=on, done_by_person=uuid.UUID(uow.scope.person_id))
    )


async def reckon_again(
    uow: UnitOfWork, pool: Pool, period: int, clock: str, ends: date | None, unpublished_year: int | None
) -> None:
    """Enter the end of clocks that waited for a calendar."""
    insurance, pool_scope, year = pool
    c = deadline.c
    await uow.execute(
        update(deadline)
        .where(
            c.area_id == uow.scope.area,
            c.insurance == insurance,
            c.pool_scope == pool_scope,
            c.year == year,
            c.period == period,
            c.clock == clock,
            c.ends.is_(None),
            c.done_on.is_(None),
        )
        .values(ends=ends, unpublished_year=unpublished_year)
    )


async def deadlines(
    uow: UnitOfWork, after: uuid.UUID | None, limit: int, *, year: int | None = None, clock: str = ""
) -> Sequence[Row[Any]]:
    """Clocks of the scope in order of entry, one page."""
    c = deadline.c
    query = (
        select(deadline, hospital.c.code.label("hospital_code"))
        .join(hospital, hospital.c.hospital_id == c.hospital_id)
        .where(within(deadline, uow.scope))
    )
    if after is not None:
        query = query.where(c.deadline_id > after)
    if year is not None:
        query = query.where(c.year == year)
    if clock:
        query = query.where(c.clock == clock)
    return await uow.rows(query.order_by(c.deadline_id).limit(limit))


async def deadline_by_id(uow: UnitOfWork, deadline_id: uuid.UUID) -> Row[Any] | None:
    c = deadline.c
    return await uow.first(
        select(deadline, hospital.c.code.label("hospital_code"))
        .join(hospital, hospital.c.hospital_id == c.hospital_id)
        .where(within(deadline, uow.scope), c.deadline_id == deadline_id)
    )
