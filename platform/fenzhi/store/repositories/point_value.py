"""Point values in the store (点值): four integers, their basis and their working."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select, update

from fenzhi.store.repositories.fund import Pool
from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.fund import point_value
from fenzhi.store.tables.registry import pooling_area


async def add(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID:
    """A new point value of the scope's area."""
    point_value_id = new_id()
    await uow.insert(point_value, [{"point_value_id": point_value_id, "area_id": uow.scope.area, **row}])
    return point_value_id


def _shown() -> Any:
    return select(point_value, pooling_area.c.code.label("area_code")).join(
        pooling_area, pooling_area.c.area_id == point_value.c.area_id
    )


async def by_id(uow: UnitOfWork, point_value_id: uuid.UUID) -> Row[Any] | None:
    return await uow.first(
        _shown().where(within(point_value, uow.scope), point_value.c.point_value_id == point_value_id)
    )


async def of_year(uow: UnitOfWork, year: int) -> Sequence[Row[Any]]:
    """Every point value of a year the scope sees, by area, pool, kind and time."""
    c = point_value.c
    return await uow.rows(
        _shown()
        .where(within(point_value, uow.scope), c.year == year)
        .order_by(pooling_area.c.code, c.insurance, c.pool_scope, c.kind, c.point_value_id)
    )


async def bargained_in_force(uow: UnitOfWork, pool: Pool) -> Row[Any] | None:
    """The latest approved bargained point value of a pool."""
    return await _in_force(uow, pool, "bargained")


async def budget_in_force(uow: UnitOfWork, pool: Pool) -> Row[Any] | None:
    """The latest approved budget point value of a pool."""
    return await _in_force(uow, pool, "budget")


async def _in_force(uow: UnitOfWork, pool: Pool, kind: str) -> Row[Any] | None:
    insurance, pool_scope, year = pool
    c = point_value.c
    return await uow.first(
        select(point_value)
        .where(
            c.area_id == uow.scope.area,
            c.insurance == insurance,
            c.pool_scope == pool_scope,
            c.year == year,
            c.kind == kind,
            c.state == "approved",
        )
        .order_by(c.approved_at.desc(), c.point_value_id.desc())
        .limit(1)
    )


async def approve(uow: UnitOfWork, point_value_id: uuid.UUID) -> bool:
    """Draft → approved for a budget point value; false when it is a draft no more."""
    c = point_value.c
    touched = await uow.execute(
        update(point_value)
        .where(within(point_value, uow.scope), c.point_value_id == point_value_id, c.state == "draft")
        .values(
            state="approved",
            approved_by=uuid.UUID(uow.scope.account_id),
            approved_by_person=uuid.UUID(uow.scope.person_id),
            approved_at=func.now(),
        )
    )
    return touched == 1


async def publish_of_run(uow: UnitOfWork, run_id: uuid.UUID) -> None:
    """Publish the settlement point value of a run."""
    c = point_value.c
    await uow.execute(
        update(point_value)
        .where(within(point_value, uow.scope), c.run_id == run_id, c.state == "computed")
        .values(state="published")
    )
