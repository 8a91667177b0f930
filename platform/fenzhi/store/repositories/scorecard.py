"""Scorecards in the store (考核评价)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select, text, update

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.clearing import clearing_run
from fenzhi.store.tables.registry import hospital
from fenzhi.store.tables.scorecard import scorecard, scorecard_indicator


async def published_quarter_runs(uow: UnitOfWork, year: int, quarter: int) -> Sequence[Row[Any]]:
    """The published quarter runs of the area, one per pool."""
    c = clearing_run.c
    return await uow.rows(
        select(c.run_id, c.insurance, c.pool_scope, c.edition_id)
        .where(
            c.area_id == uow.scope.area,
            c.kind == "quarter",
            c.year == year,
            c.period == quarter,
            c.state == "published",
        )
        .order_by(c.insurance, c.pool_scope)
    )


async def counts_by_hospital(
    uow: UnitOfWork, run_ids: Sequence[uuid.UUID], first_month: int, last_month: int
) -> Sequence[Row[Any]]:
    """Per hospital: cases, grouped cases, cost, outliers, among the cases of the runs settled in those months."""
    return await uow.rows(
        text(
            """
            select r.hospital_id, r.county_id, count(*) as cases,
                   count(*) filter (where r.group_code <> '') as grouped,
                   sum(r.total_fen) as cost_fen,
                   count(*) filter (where r.band in ('high', 'extreme')) as high,
                   count(*) filter (where r.band = 'low') as low
            from run_case r
            where r.area_id = :area and r.run_id = any(:runs) and r.settlement_month between :first and :last
            group by r.hospital_id, r.county_id order by r.hospital_id
            """
        ),
        {"area": uow.scope.area, "runs": list(run_ids), "first": first_month, "last": last_month},
    )


async def sums_by_group(
    uow: UnitOfWork, run_ids: Sequence[uuid.UUID], first_month: int, last_month: int
) -> Sequence[Row[Any]]:
    """Per hospital, edition and group: cases, cost, days and the province's score, among the same cases."""
    return await uow.rows(
        text(
            """
            select r.hospital_id, u.edition_id, r.group_code, g.score, count(*) as cases, sum(r.total_fen) as cost_fen,
                   sum(r.los_days) as los_days
            from run_case r
            join clearing_run u on u.area_id = r.area_id and u.run_id = r.run_id
            join disease_group g on g.edition_id = u.edition_id and g.group_code = r.group_code
            where r.area_id = :area and r.run_id = any(:runs) and r.settlement_month between :first and :last
            group by 1, 2, 3, 4 order by 1, 2, 3
            """
        ),
        {"area": uow.scope.area, "runs": list(run_ids), "first": first_month, "last": last_month},
    )


async def first_uploads(uow: UnitOfWork, first_month: int, last_month: int) -> dict[int, tuple[int, int]]:
    """Per hospital: lists uploaded for the first time for those months, and how many of them passed."""
    rows = await uow.rows(
        text(
            """
            select hospital_id, count(*) as judged, count(*) filter (where outcome = 'accepted') as passed
            from (select distinct on (area_id, hospital_id, setl_id) hospital_id, outcome
                  from intake_row
                  where area_id = :area and settlement_month between :first and :last
                  order by area_id, hospital_id, setl_id, batch_id, row_no) first_upload
            group by hospital_id
            """
        ),
        {"area": uow.scope.area, "first": first_month, "last": last_month},
    )
    return {row.hospital_id: (row.judged, row.passed) for row in rows}


async def costs_of_history(uow: UnitOfWork, year: int, first_month: int, last_month: int) -> dict[int, tuple[int, int]]:
    """Per hospital: cost in fen and number of discharges in those months of an earlier year."""
    rows = await uow.rows(
        text(
            """
            select hospital_id, sum(total_fen) as cost_fen, count(*) as cases from history_discharge
            where area_id = :area and year = :year and set_aside = ''
              and extract(month from discharge_date) between :first and :last
            group by hospital_id
            """
        ),
        {"area": uow.scope.area, "year": year, "first": first_month, "last": last_month},
    )
    return {row.hospital_id: (int(row.cost_fen), row.cases) for row in rows}


async def record(uow: UnitOfWork, cards: Sequence[Mapping[str, Any]], indicators: Sequence[Mapping[str, Any]]) -> None:
    """Write drafted scorecards with their indicators."""
    await uow.insert(scorecard, cards)
    await uow.insert(scorecard_indicator, indicators)


async def drafted(uow: UnitOfWork, year: int, quarter: int, state: str) -> Sequence[Row[Any]]:
    """The area's scorecards of a quarter in one state."""
    c = scorecard.c
    return await uow.rows(
        select(c.scorecard_id, c.drafted_by_person).where(
            c.area_id == uow.scope.area, c.year == year, c.quarter == quarter, c.state == state
        )
    )


async def exists(uow: UnitOfWork, year: int, quarter: int) -> bool:
    """Whether the area has live scorecards of a quarter."""
    c = scorecard.c
    return (
        await uow.first(
            select(c.scorecard_id)
            .where(c.area_id == uow.scope.area, c.year == year, c.quarter == quarter, c.state != "withdrawn")
            .limit(1)
        )
        is not None
    )


async def approve(uow: UnitOfWork, year: int, quarter: int) -> int:
    """Draft → approved for every scorecard of a quarter; the number moved."""
    c = scorecard.c
    return await uow.execute(
        update(scorecard)
        .where(c.area_id == uow.scope.area, c.year == year, c.quarter == quarter, c.state == "draft")
        .values(
            state="approved",
            approved_by=uuid.UUID(uow.scope.account_id),
            approved_by_person=uuid.UUID(uow.scope.person_id),
            approved_at=func.now(),
        )
    )


async def publish(uow: UnitOfWork, year: int, quarter: int) -> int:
    """Approved → published for every scorecard of a quarter; the number moved."""
    c = scorecard.c
    return await uow.execute(
        update(scorecard)
        .where(c.area_id == uow.scope.area, c.year == year, c.quarter == quarter, c.state == "approved")
        .values(state="published", published_at=func.now())
    )


async def withdraw(uow: UnitOfWork, year: int, quarter: int) -> int:
    """Draft or approved → withdrawn for every scorecard of a quarter; the number moved."""
    c = scorecard.c
    return await uow.execute(
        update(scorecard)
        .where(c.area_id == uow.scope.area, c.year == year, c.quarter == quarter, c.state.in_(("draft", "approved")))
        .values(state="withdrawn")
    )


def _cards() -> Any:
    return select(scorecard, hospital.c.code.label("hospital_code"), hospital.c.name.label("hospital_name")).join(
        hospital, hospital.c.hospital_id == scorecard.c.hospital_id
    )


async def page(
    uow: UnitOfWork, year: int, quarter: int, after: tuple[int, uuid.UUID] | None, limit: int
) -> Sequence[Row[Any]]:
    """Live scorecards of a quarter in order of hospital."""
    c = scorecard.c
    query = _cards().where(c.year == year, c.quarter == quarter, c.state != "withdrawn")
    if after is not None:
        query = query.where((c.hospital_id > after[0]) | ((c.hospital_id == after[0]) & (c.scorecard_id > after[1])))
    return await uow.rows(query.order_by(c.hospital_id, c.scorecard_id).limit(limit))


async def by_id(uow: UnitOfWork, scorecard_id: uuid.UUID) -> Row[Any] | None:
    """One scorecard of the scope."""
    return await uow.first(_cards().where(scorecard.c.scorecard_id == scorecard_id))


async def indicators(uow: UnitOfWork, scorecard_ids: Sequence[uuid.UUID]) -> Sequence[Row[Any]]:
    """The indicators of scorecards, in order."""
    c = scorecard_indicator.c
    return await uow.rows(
        select(scorecard_indicator).where(c.scorecard_id.in_(scorecard_ids)).order_by(c.scorecard_id, c.seq)
    )
