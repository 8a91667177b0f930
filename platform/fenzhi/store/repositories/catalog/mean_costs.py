"""Reference costs of an area in the store (上年参照费用)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, or_, select

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.catalog import (
    reference_cost,
)


async def has_reference_costs(uow: UnitOfWork, edition_id: uuid.UUID, year: int) -> bool:
    c = reference_cost.c
    found = await uow.first(
        select(c.year).where(c.area_id == uow.scope.area, c.edition_id == edition_id, c.year == year).limit(1)
    )
    return found is not None


async def add_reference_costs(uow: UnitOfWork, rows: Iterable[tuple[Any, ...]]) -> int:
    """Add reference costs given as (edition_id, year, group_code, level, cases, total_fen, los_days)."""
    area = uow.scope.area
    columns = ("area_id", "edition_id", "year", "group_code", "level", "cases", "total_fen", "los_days")
    return await uow.copy_in(reference_cost, columns, ((area, *row) for row in rows))


async def reference_costs(
    uow: UnitOfWork, area_id: int, edition_id: uuid.UUID, year: int, group: str | None = None
) -> Sequence[Row[Any]]:
    """The reference costs of an area for an edition and year, of one group where it is named."""
    c = reference_cost.c
    query = select(reference_cost).where(c.area_id == area_id, c.edition_id == edition_id, c.year == year)
    if group is not None:
        query = query.where(c.group_code == group)
    return await uow.rows(query.order_by(c.group_code, c.level))


async def reference_costs_page(
    uow: UnitOfWork, edition_id: uuid.UUID, year: int, after: tuple[str, str], limit: int
) -> Sequence[Row[Any]]:
    """One page of the acting area's reference costs, in order of group and level."""
    c = reference_cost.c
    group, level = after
    return await uow.rows(
        select(reference_cost)
        .where(
            c.area_id == uow.scope.area,
            c.edition_id == edition_id,
            c.year == year,
            or_(c.group_code > group, (c.group_code == group) & (c.level > level)),
        )
        .order_by(c.group_code, c.level)
        .limit(limit)
    )
