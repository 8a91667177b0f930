"""Regroupings and their tasks in the store (重新入组)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row, select, text, update

from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.catalog import catalog_edition
from fenzhi.store.tables.registry import pooling_area
from fenzhi.store.tables.regrouping import regroup_task, regrouped_case, regrouping

CASE_COLUMNS = (
    "area_id", "county_id", "hospital_id", "regrouping_id", "case_id", "insurance", "pool_scope", "disposition", "group_code",
    "band", "points", "before_run_id", "before_disposition", "before_group_code", "before_points",
)  # fmt: skip


async def add_regrouping(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(regrouping, [{**row, "area_id": uow.scope.area}])


async def add_cases(uow: UnitOfWork, rows: Iterable[tuple[Any, ...]]) -> int:
    """Rows in the order of CASE_COLUMNS."""
    return await uow.copy_in(regrouped_case, CASE_COLUMNS, rows)


async def open_tasks(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    await uow.insert(regroup_task, rows)


async def close_tasks(
    uow: UnitOfWork, regrouping_id: uuid.UUID, edition_id: uuid.UUID, year: int, policy_on: date, on: date
) -> int:
    """End the open tasks of the area that a regrouping does; how many."""
    c = regroup_task.c
    return await uow.execute(
        update(regroup_task)
        .where(
            c.area_id == uow.scope.area,
            c.done_on.is_(None),
            c.year <= year,
            c.rule_from <= policy_on,
            (c.edition_id == edition_id) | c.edition_id.is_(None),
        )
        .values(done_on=on, regrouping_id=regrouping_id)
    )


_LISTED = select(
    regrouping, pooling_area.c.code.label("area_code"), catalog_edition.c.code.label("edition_code")
).where(pooling_area.c.area_id == regrouping.c.area_id, catalog_edition.c.edition_id == regrouping.c.edition_id)


async def regroupings(uow: UnitOfWork, after: uuid.UUID | None, limit: int) -> Sequence[Row[Any]]:
    """Regroupings of the scope, newest first; replays stand with what they replay."""
    c = regrouping.c
    query = _LISTED.where(within(regrouping, uow.scope), c.replay_of.is_(None))
    if after is not None:
        query = query.where(c.regrouping_id < after)
    return await uow.rows(query.order_by(c.regrouping_id.desc()).limit(limit))


async def regrouping_by_id(uow: UnitOfWork, regrouping_id: uuid.UUID) -> Row[Any] | None:
    return await uow.first(_LISTED.where(within(regrouping, uow.scope), regrouping.c.regrouping_id == regrouping_id))


async def replays(uow: UnitOfWork, regrouping_id: uuid.UUID, limit: int) -> Sequence[Row[Any]]:
    """The replays of a regrouping, newest first."""
    c = regrouping.c
    return await uow.rows(
        select(regrouping)
        .where(within(regrouping, uow.scope), c.replay_of == regrouping_id)
        .order_by(c.regrouping_id.desc())
        .limit(limit)
    )


async def by_hospital(uow: UnitOfWork, area_id: int, regrouping_id: uuid.UUID) -> Sequence[Row[Any]]:
    """Counts and points of a regrouping by hospital and pool, before and after."""
    return await uow.rows(
        text(
            "select hospital_id, insurance, pool_scope, count(*) as cases,"
            " count(before_run_id) as settled_before,"
            " count(*) filter (where before_run_id is not null and"
            "   (before_group_code <> group_code or before_disposition <> disposition)) as changed,"
            " count(*) filter (where before_group_code <> '') as grouped_before,"
            " count(*) filter (where group_code <> '') as grouped_after,"
            " sum(before_points) as points_before, sum(points) as points_after,"
            " coalesce(sum(points) filter (where before_run_id is not null), 0) as points_after_of_settled"
            " from regrouped_case where area_id = :area and regrouping_id = :id group by 1, 2, 3 order by 1, 2, 3 limit 20000"
        ),
        {"area": area_id, "id": regrouping_id},
    )


async def moves(uow: UnitOfWork, area_id: int, regrouping_id: uuid.UUID, limit: int) -> Sequence[Row[Any]]:
    """From which group to which, most cases first; a blank code is no group."""
    return await uow.rows(
        text(
            "select before_group_code, group_code, count(*) as cases, sum(before_points) as points_before,"
            " sum(points) as points_after from regrouped_case"
            " where area_id = :area and regrouping_id = :id and before_run_id is not null"
            "   and (before_group_code <> group_code or before_disposition <> disposition)"
            " group by 1, 2 order by 3 desc, 1, 2 limit :limit"
        ),
        {"area": area_id, "id": regrouping_id, "limit": limit},
    )


async def tasks(uow: UnitOfWork, after: uuid.UUID | None, limit: int) -> Sequence[Row[Any]]:
    """Regroup tasks of the scope, newest first."""
    c = regroup_task.c
    query = (
        select(regroup_task, pooling_area.c.code.label("area_code"), catalog_edition.c.code.label("edition_code"))
        .join(pooling_area, pooling_area.c.area_id == c.area_id)
        .outerjoin(catalog_edition, catalog_edition.c.edition_id == c.edition_id)
        .where(within(regroup_task, uow.scope))
    )
    if after is not None:
        query = query.where(c.task_id < after)
    return await uow.rows(query.order_by(c.task_id.desc()).limit(limit))
