"""Leagues of data quality in the store (数据质量排名)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select, text, update

from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.registry import hospital
from fenzhi.store.tables.scorecard import quality_league, quality_league_row


async def counts_of_lists(
    uow: UnitOfWork, month: int, timely: Sequence[str], complete: Sequence[str], code_rules: Sequence[str]
) -> Sequence[Row[Any]]:
    """Per hospital: the lists uploaded for the first time for a month, and how many of them had nothing to be said against them.

    `timely`, `complete`: codes of findings of those dimensions; `code_rules`: rules about codes.
    """
    return await uow.rows(
        text(
            """
            with first_upload as (
              select distinct on (area_id, hospital_id, setl_id) hospital_id, batch_id, row_no, outcome
              from intake_row where area_id = :area and settlement_month = :month
              order by area_id, hospital_id, setl_id, batch_id, row_no
            ), faulty as (
              select v.batch_id, v.row_no, bool_or(v.code = any(:timely)) as late,
                     bool_or(v.code = any(:complete) and v.severity = 'error') as incomplete,
                     bool_or(v.rule = any(:rules)) as inaccurate
              from first_upload f join verdict v on v.area_id = :area and v.batch_id = f.batch_id and v.row_no = f.row_no
              group by v.batch_id, v.row_no
            )
            select f.hospital_id, count(*) as uploads, count(*) filter (where f.outcome = 'accepted') as passed,
                   count(*) filter (where not coalesce(y.late, false)) as timely,
                   count(*) filter (where not coalesce(y.incomplete, false)) as complete,
                   count(*) filter (where not coalesce(y.inaccurate, false)) as accurate
            from first_upload f left join faulty y on y.batch_id = f.batch_id and y.row_no = f.row_no
            group by f.hospital_id
            """
        ),
        {
            "area": uow.scope.area,
            "month": month,
            "timely": list(timely),
            "complete": list(complete),
            "rules": list(code_rules),
        },
    )


async def runs_of_month(uow: UnitOfWork, month: int) -> Sequence[uuid.UUID]:
    """The newest published run of each pool that settled a month: its month run or its quarter's."""
    rows = await uow.rows(
        text(
            """
            select distinct on (insurance, pool_scope) run_id from clearing_run
            where area_id = :area and state = 'published' and year = :year
              and ((kind = 'month' and period = :month) or (kind = 'quarter' and period = :quarter))
            order by insurance, pool_scope, published_at desc, run_id
            """
        ),
        {"area": uow.scope.area, "year": month // 100, "month": month % 100, "quarter": (month % 100 + 2) // 3},
    )
    return [row.run_id for row in rows]


async def hospitals_of_area(uow: UnitOfWork) -> dict[int, str]:
    """Codes of the area's hospitals by number."""
    c = hospital.c
    rows = await uow.rows(select(c.hospital_id, c.code).where(c.area_id == uow.scope.area))
    return {row.hospital_id: row.code for row in rows}


async def record(uow: UnitOfWork, league: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a drafted league; a draft of the same month that stood before it is withdrawn."""
    c = quality_league.c
    await uow.execute(
        update(quality_league)
        .where(c.area_id == uow.scope.area, c.settlement_month == league["settlement_month"], c.state == "draft")
        .values(state="withdrawn")
    )
    await uow.insert(quality_league, [league])
    await uow.insert(quality_league_row, rows)


async def is_published(uow: UnitOfWork, month: int) -> bool:
    """Whether the area's league of a month is published."""
    c = quality_league.c
    found = select(1).where(c.area_id == uow.scope.area, c.settlement_month == month, c.state == "published")
    return bool(await uow.scalar(select(found.exists())))


async def by_id(uow: UnitOfWork, league_id: uuid.UUID) -> Row[Any] | None:
    """One league of the scope."""
    c = quality_league.c
    return await uow.first(select(quality_league).where(within(quality_league, uow.scope), c.league_id == league_id))


async def publish(uow: UnitOfWork, league_id: uuid.UUID) -> bool:
    """Draft → published; false when it is a draft no more."""
    c = quality_league.c
    touched = await uow.execute(
        update(quality_league)
        .where(c.area_id == uow.scope.area, c.league_id == league_id, c.state == "draft")
        .values(
            state="published",
            published_by=uuid.UUID(uow.scope.account_id),
            published_by_person=uuid.UUID(uow.scope.person_id),
            published_at=func.now(),
        )
    )
    return touched == 1


async def page(uow: UnitOfWork, after: uuid.UUID | None, limit: int, month: int | None = None) -> Sequence[Row[Any]]:
    """Leagues of the scope that were not withdrawn, the newest first."""
    c = quality_league.c
    query = select(quality_league).where(within(quality_league, uow.scope), c.state != "withdrawn")
    if after is not None:
        query = query.where(c.league_id < after)
    if month is not None:
        query = query.where(c.settlement_month == month)
    return await uow.rows(query.order_by(c.league_id.desc()).limit(limit))


async def rows_of(uow: UnitOfWork, league_ids: Sequence[uuid.UUID]) -> Sequence[Row[Any]]:
    """The rows of leagues in the scope."""
    c = quality_league_row.c
    return await uow.rows(
        select(quality_league_row)
        .where(within(quality_league_row, uow.scope), c.league_id.in_(league_ids))
        .order_by(c.league_id, c.rank.nulls_last(), c.hospital_code)
    )


async def scores_of_months(uow: UnitOfWork, first_month: int, last_month: int) -> Sequence[Row[Any]]:
    """The scores of hospitals in the area's published leagues of a span of months."""
    league, row = quality_league.c, quality_league_row.c
    return await uow.rows(
        select(row.hospital, row.score_numerator, row.score_denominator)
        .join(quality_league, league.league_id == row.league_id)
        .where(
            league.area_id == uow.scope.area,
            row.area_id == uow.scope.area,
            league.settlement_month.between(first_month, last_month),
            league.state == "published",
            row.score_numerator.is_not(None),
        )
        .order_by(row.hospital, league.settlement_month)
    )
