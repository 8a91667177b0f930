"""Clearing between the areas of a province in the store (区域间清算): statements, each area's side, the claims."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select, update

from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.clearing import clearing_run
from fenzhi.store.tables.registry import county, pooling_area
from fenzhi.store.tables.year import inter_area_balance, inter_area_claim, inter_area_statement

_CLAIM_COLUMNS = (
    "claim_id",
    "area_id",
    "statement_id",
    "treatment_area",
    "hospital_code",
    "run_id",
    "case_id",
    "settlement_month",
    "points",
    "points_decimals",
    "amount_fen",
)


async def add_statement(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID:
    """A statement drafted by the person of the scope."""
    statement_id = new_id()
    who = {"drafted_by": uuid.UUID(uow.scope.account_id), "drafted_by_person": uuid.UUID(uow.scope.person_id)}
    place = {"statement_id": statement_id, "province_id": uow.scope.province, "state": "draft"}
    await uow.insert(inter_area_statement, [place | who | dict(row)])
    return statement_id


async def statement_by_id(uow: UnitOfWork, statement_id: uuid.UUID) -> Row[Any] | None:
    c = inter_area_statement.c
    return await uow.first(
        select(inter_area_statement).where(c.province_id == uow.scope.province, c.statement_id == statement_id)
    )


async def statements(
    uow: UnitOfWork, before: uuid.UUID | None, limit: int, *, year: int | None = None
) -> Sequence[Row[Any]]:
    """Statements of the scope's province, newest first, one page."""
    c = inter_area_statement.c
    query = select(inter_area_statement).where(c.province_id == uow.scope.province)
    if year is not None:
        query = query.where(c.year == year)
    if before is not None:
        query = query.where(c.statement_id < before)
    return await uow.rows(query.order_by(c.statement_id.desc()).limit(limit))


async def statements_of_year(uow: UnitOfWork, insurance: str, year: int, states: Sequence[str]) -> Sequence[Row[Any]]:
    """The statements of an insurance's year in the states given, in order."""
    c = inter_area_statement.c
    return await uow.rows(
        select(inter_area_statement)
        .where(c.province_id == uow.scope.province, c.insurance == insurance, c.year == year, c.state.in_(states))
        .order_by(c.statement_id)
    )


async def move_statement(uow: UnitOfWork, statement_id: uuid.UUID, values: Mapping[str, Any]) -> bool:
    """Decide a draft; false when it is none any more."""
    c = inter_area_statement.c
    touched = await uow.execute(
        update(inter_area_statement)
        .where(c.province_id == uow.scope.province, c.statement_id == statement_id, c.state == "draft")
        .values(**values)
    )
    return touched == 1


async def add_balances(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    await uow.insert(inter_area_balance, rows)


async def balances(uow: UnitOfWork, statement_id: uuid.UUID) -> Sequence[Row[Any]]:
    """Each area's side of a statement that the scope sees, by area and counterpart."""
    c = inter_area_balance.c
    return await uow.rows(
        select(inter_area_balance, pooling_area.c.code.label("area_code"))
        .join(pooling_area, pooling_area.c.area_id == c.area_id)
        .where(within(inter_area_balance, uow.scope), c.statement_id == statement_id)
        .order_by(pooling_area.c.code, c.counterpart)
    )


async def add_claims(uow: UnitOfWork, rows: Iterable[tuple[Any, ...]]) -> int:
    """Claims on the area of the scope, in the order of `_CLAIM_COLUMNS` without the first two; how many."""
    area = uow.scope.area
    return await uow.copy_in(inter_area_claim, _CLAIM_COLUMNS, ((new_id(), area, *row) for row in rows))


async def claimed_before(uow: UnitOfWork, statement_ids: Sequence[uuid.UUID]) -> Sequence[Row[Any]]:
    """Σ per case of what the statements named have claimed, with where it was treated and insured."""
    if not statement_ids:
        return []
    c = inter_area_claim.c
    keys = (c.case_id, c.area_id, c.treatment_area, c.hospital_code, c.settlement_month)
    return await uow.rows(
        select(*keys, func.sum(c.amount_fen).label("amount_fen"))
        .where(within(inter_area_claim, uow.scope), c.statement_id.in_(statement_ids))
        .group_by(*keys)
        .having(func.sum(c.amount_fen) != 0)
    )


async def claims(uow: UnitOfWork, statement_id: uuid.UUID, after: uuid.UUID | None, limit: int) -> Sequence[Row[Any]]:
    """The claims of a statement that the scope sees, in order of entry, one page."""
    c = inter_area_claim.c
    query = (
        select(inter_area_claim, pooling_area.c.code.label("area_code"))
        .join(pooling_area, pooling_area.c.area_id == c.area_id)
        .where(within(inter_area_claim, uow.scope), c.statement_id == statement_id)
    )
    if after is not None:
        query = query.where(c.claim_id > after)
    return await uow.rows(query.order_by(c.claim_id).limit(limit))


async def runs_to_clear(uow: UnitOfWork, insurance: str, year: int, kind: str, period: int) -> Sequence[Row[Any]]:
    """The published out-of-area clearings of every area of the province for a period, by area."""
    c = clearing_run.c
    return await uow.rows(
        select(clearing_run, pooling_area.c.code.label("area_code"))
        .join(pooling_area, pooling_area.c.area_id == c.area_id)
        .where(
            within(clearing_run, uow.scope),
            c.insurance == insurance,
            c.pool_scope == "out_of_area",
            c.year == year,
            c.kind == kind,
            c.period == period,
            c.state == "published",
        )
        .order_by(pooling_area.c.code)
    )


async def places_of_insurance(uow: UnitOfWork) -> Mapping[str, tuple[int, str]]:
    """Division code of a city or county of the province → its pooling area, by number and code (参保地所属统筹区)."""
    areas = await uow.rows(select(pooling_area).where(pooling_area.c.province_id == uow.scope.province))
    code_of = {row.area_id: row.code for row in areas}
    found = {row.code: (row.area_id, row.code) for row in areas}
    for row in await uow.rows(select(county).where(county.c.province_id == uow.scope.province)):
        found[row.code] = (row.area_id, code_of[row.area_id])
    return found
