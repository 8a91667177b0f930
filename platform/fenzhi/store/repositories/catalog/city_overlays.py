"""A city's own scores in the store (市级调整)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, func, select, update

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.catalog import (
    area_overlay,
    area_overlay_score,
)


async def add_overlay(uow: UnitOfWork, row: Mapping[str, Any], scores: Iterable[tuple[str, Decimal, Decimal]]) -> None:
    """An overlay with its scores, given as (group_code, province_score, score)."""
    area, overlay_id = uow.scope.area, row["overlay_id"]
    await uow.insert(area_overlay, [{**row, "area_id": area}])
    await uow.copy_in(
        area_overlay_score,
        ("area_id", "overlay_id", "group_code", "province_score", "score"),
        ((area, overlay_id, *score) for score in scores),
    )


async def overlay_by_id(uow: UnitOfWork, overlay_id: uuid.UUID) -> Row[Any] | None:
    c = area_overlay.c
    return await uow.first(select(area_overlay).where(c.area_id == uow.scope.area, c.overlay_id == overlay_id))


async def overlays(uow: UnitOfWork, edition_id: uuid.UUID | None) -> Sequence[Row[Any]]:
    """The overlays of the acting area, newest first."""
    c = area_overlay.c
    query = select(area_overlay).where(c.area_id == uow.scope.area)
    if edition_id is not None:
        query = query.where(c.edition_id == edition_id)
    return await uow.rows(query.order_by(c.overlay_id.desc()).limit(200))


async def overlay_in_force(uow: UnitOfWork, area_id: int, edition_id: uuid.UUID, on: date) -> Row[Any] | None:
    """The overlay an area has published for an edition by a day; the later publication wins."""
    c = area_overlay.c
    return await uow.first(
        select(area_overlay)
        .where(c.area_id == area_id, c.edition_id == edition_id, c.state == "published", c.effective_from <= on)
        .order_by(c.effective_from.desc(), c.published_at.desc(), c.overlay_id.desc())
        .limit(1)
    )


async def published_overlays(uow: UnitOfWork, area_id: int, edition_ids: Sequence[uuid.UUID]) -> Sequence[Row[Any]]:
    """The overlays an area has published for editions, in the order in which `overlay_in_force` chooses: the first that has begun wins."""
    c = area_overlay.c
    return await uow.rows(
        select(c.overlay_id, c.edition_id, c.effective_from)
        .where(c.area_id == area_id, c.edition_id.in_(edition_ids), c.state == "published")
        .order_by(c.effective_from.desc(), c.published_at.desc(), c.overlay_id.desc())
    )


async def overlay_scores(uow: UnitOfWork, area_id: int, overlay_id: uuid.UUID) -> Sequence[Row[Any]]:
    c = area_overlay_score.c
    return await uow.rows(
        select(area_overlay_score).where(c.area_id == area_id, c.overlay_id == overlay_id).order_by(c.group_code)
    )


async def overlay_scores_page(uow: UnitOfWork, overlay_id: uuid.UUID, after: str, limit: int) -> Sequence[Row[Any]]:
    c = area_overlay_score.c
    return await uow.rows(
        select(area_overlay_score)
        .where(c.area_id == uow.scope.area, c.overlay_id == overlay_id, c.group_code > after)
        .order_by(c.group_code)
        .limit(limit)
    )


async def publish_overlay(uow: UnitOfWork, overlay_id: uuid.UUID) -> int:
    """Put a drafted overlay in force; 0 when it is no draft any more."""
    c = area_overlay.c
    return await uow.execute(
        update(area_overlay)
        .where(c.area_id == uow.scope.area, c.overlay_id == overlay_id, c.state == "draft")
        .values(
            state="published",
            published_by=uuid.UUID(uow.scope.account_id),
            published_by_person=uuid.UUID(uow.scope.person_id),
            published_at=func.now(),
        )
    )
