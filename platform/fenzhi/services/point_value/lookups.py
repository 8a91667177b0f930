"""Point values as their readers see them (点值查询)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.point_value.point_value import Basis, PointValue
from fenzhi.services.acts import Platform, looking
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import point_value
from fenzhi.store.session import UnitOfWork

PLACES = 4
"""Decimals of print where no policy of the reader's scope says another number."""


@dataclass(frozen=True, slots=True)
class PointValueView:
    """A point value (点值): the four integers, what is printed of them, and how they came about. Units: fen, 10^-d points."""

    point_value_id: uuid.UUID
    area_code: str
    insurance: str
    pool_scope: str
    year: int
    kind: str
    basis: str
    state: str
    fund_fen: int
    cost_fen: int
    booked_fen: int
    points: int
    points_decimals: int
    printed: str
    edition_id: uuid.UUID
    run_id: uuid.UUID | None
    working: Mapping[str, Any]
    recorded_at: datetime
    approved_at: datetime | None


async def _view(uow: UnitOfWork, row: Row[Any]) -> PointValueView:
    printed = row.working.get("printed")
    if printed is None:
        policy = await resolved_policy(uow, await uow.today(), area_id=row.area_id, insurance=row.insurance)
        has_places = policy.has("clearing.printed_decimals")
        places = policy.integer("clearing.printed_decimals") if has_places else PLACES
        value = PointValue(
            row.fund_fen, row.cost_fen, row.booked_fen, row.points, row.points_decimals, Basis(row.basis)
        )
        printed = value.printed(places)
    return PointValueView(
        point_value_id=row.point_value_id,
        area_code=row.area_code,
        insurance=row.insurance,
        pool_scope=row.pool_scope,
        year=row.year,
        kind=row.kind,
        basis=row.basis,
        state=row.state,
        fund_fen=row.fund_fen,
        cost_fen=row.cost_fen,
        booked_fen=row.booked_fen,
        points=row.points,
        points_decimals=row.points_decimals,
        printed=printed,
        edition_id=row.edition_id,
        run_id=row.run_id,
        working=row.working,
        recorded_at=row.recorded_at,
        approved_at=row.approved_at,
    )


async def point_values(platform: Platform, subject: Subject, year: int) -> Sequence[PointValueView]:
    """Every point value of a year the subject sees (点值列表); below the city approved and published ones."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        return [await _view(uow, row) for row in await point_value.of_year(uow, year)]


async def point_value_by_id(platform: Platform, subject: Subject, point_value_id: uuid.UUID) -> PointValueView | None:
    """One point value, or none in this scope (点值)."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        row = await point_value.by_id(uow, point_value_id)
        return None if row is None else await _view(uow, row)
