"""Catalog editions in the store (目录版本): drafts, publication, which one speaks on a day."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row, or_, select, text, update

from fenzhi.store.session import UnitOfWork
from fenzhi.store.tables.catalog import (
    catalog_edition,
)

_VISIBLE_BELOW = ("published", "withdrawn")
_COLUMNS = [column for column in catalog_edition.c if column.name != "build_report"]
"""All but what an edition was made from, which grows with its groups; who wants that asks for it by name."""


async def add_edition(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    await uow.insert(catalog_edition, [{**row, "province_id": uow.scope.province}])


async def edition_by_id(uow: UnitOfWork, edition_id: uuid.UUID, *, lock: bool = False) -> Row[Any] | None:
    c = catalog_edition.c
    query = select(*_COLUMNS).where(c.province_id == uow.scope.province, c.edition_id == edition_id)
    return await uow.first(query.with_for_update() if lock else query)


async def edition_by_code(uow: UnitOfWork, code: str) -> Row[Any] | None:
    c = catalog_edition.c
    return await uow.first(select(*_COLUMNS).where(c.province_id == uow.scope.province, c.code == code))


async def edition_in_force(uow: UnitOfWork, on: date) -> Row[Any] | None:
    """The published edition of the scope's province whose range holds a day."""
    c = catalog_edition.c
    return await uow.first(
        select(*_COLUMNS).where(
            c.province_id == uow.scope.province,
            c.state == "published",
            c.effective_from <= on,
            or_(c.effective_to.is_(None), c.effective_to >= on),
        )
    )


async def editions_in_force(uow: UnitOfWork, first: date, last: date) -> Sequence[Row[Any]]:
    """The published editions of the scope's province whose range meets a span of days, in order of their first day."""
    c = catalog_edition.c
    return await uow.rows(
        select(*_COLUMNS)
        .where(
            c.province_id == uow.scope.province,
            c.state == "published",
            c.effective_from <= last,
            or_(c.effective_to.is_(None), c.effective_to >= first),
        )
        .order_by(c.effective_from)
    )


async def editions(uow: UnitOfWork, *, drafts: bool, after: uuid.UUID | None, limit: int) -> Sequence[Row[Any]]:
    """One page of editions, newest first; drafts only where asked for."""
    c = catalog_edition.c
    query = select(*_COLUMNS).where(c.province_id == uow.scope.province)
    if not drafts:
        query = query.where(c.state.in_(_VISIBLE_BELOW))
    if after is not None:
        query = query.where(c.edition_id < after)
    return await uow.rows(query.order_by(c.edition_id.desc()).limit(limit))


async def build_report(uow: UnitOfWork, edition_id: uuid.UUID) -> dict[str, Any]:
    """What an edition was made from, by part (测算与导入记录); empty where nothing was kept."""
    c = catalog_edition.c
    found = await uow.scalar(
        select(c.build_report).where(c.province_id == uow.scope.province, c.edition_id == edition_id)
    )
    return dict(found or {})


async def build_report_part(uow: UnitOfWork, edition_id: uuid.UUID, part: str) -> Any:
    """One part of it (其中一项), or none."""
    c = catalog_edition.c
    return await uow.scalar(
        select(c.build_report[part]).where(c.province_id == uow.scope.province, c.edition_id == edition_id)
    )


async def lock_publishing(uow: UnitOfWork) -> Sequence[Row[Any]]:
    """The province's published editions in order of their first day, locked against another publication."""
    await uow.scalar(
        text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"catalog.publish\x1f{uow.scope.province}"},
    )
    c = catalog_edition.c
    return await uow.rows(
        select(c.edition_id, c.code, c.effective_from, c.effective_to)
        .where(c.province_id == uow.scope.province, c.state == "published")
        .order_by(c.effective_from)
        .with_for_update()
    )


async def change_edition(uow: UnitOfWork, edition_id: uuid.UUID, from_state: str, values: Mapping[str, Any]) -> int:
    """Change an edition that is in a state; 0 when it is not."""
    c = catalog_edition.c
    return await uow.execute(
        update(catalog_edition)
        .where(c.province_id == uow.scope.province, c.edition_id == edition_id, c.state == from_state)
        .values(**values)
    )
