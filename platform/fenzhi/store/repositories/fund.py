"""Fund in the store (基金): budgets by pool and version, payments, audit deductions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select, text, update

from fenzhi.store.repositories.scope_predicate import within
from fenzhi.store.session import UnitOfWork, new_id
from fenzhi.store.tables.fund import audit_deduction, fund_budget, payment
from fenzhi.store.tables.registry import hospital, pooling_area
from fenzhi.store.tables.submission import history_discharge

Pool = tuple[str, str, int]
"""Insurance, pool scope and year of a fund pool of the scope's area (基金池)."""


async def lock_pool(uow: UnitOfWork, pool: Pool) -> None:
    """Let one transaction at a time decide about a pool of the area (基金池串行化); held until the transaction ends."""
    name = "\x1f".join(("fund_pool", str(uow.scope.area), *map(str, pool)))
    await uow.scalar(text("select pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


# Budgets


async def add_budget(uow: UnitOfWork, pool: Pool, row: Mapping[str, Any]) -> uuid.UUID:
    """A new draft of a pool's budget, its version the next one; take `lock_pool` before."""
    insurance, pool_scope, year = pool
    c = fund_budget.c
    last = await uow.scalar(
        select(func.max(c.version)).where(
            c.area_id == uow.scope.area, c.insurance == insurance, c.pool_scope == pool_scope, c.year == year
        )
    )
    budget_id = new_id()
    place = {"area_id": uow.scope.area, "insurance": insurance, "pool_scope": pool_scope, "year": year}
    kept = place | {"budget_id": budget_id, "version": (last or 0) + 1, "state": "draft"}
    await uow.insert(fund_budget, [kept | dict(row)])
    return budget_id


async def budget_by_id(uow: UnitOfWork, budget_id: uuid.UUID) -> Row[Any] | None:
    return await uow.first(
        select(fund_budget, pooling_area.c.code.label("area_code"))
        .join(pooling_area, pooling_area.c.area_id == fund_budget.c.area_id)
        .where(within(fund_budget, uow.scope), fund_budget.c.budget_id == budget_id)
    )


async def budgets(uow: UnitOfWork, year: int) -> Sequence[Row[Any]]:
    """Budgets of a year in the scope, by area, pool and version."""
    c = fund_budget.c
    return await uow.rows(
        select(fund_budget, pooling_area.c.code.label("area_code"))
        .join(pooling_area, pooling_area.c.area_id == c.area_id)
        .where(within(fund_budget, uow.scope), c.year == year)
        .order_by(pooling_area.c.code, c.insurance, c.pool_scope, c.version)
    )


async def budget_in_force(uow: UnitOfWork, pool: Pool) -> Row[Any] | None:
    """The latest approved version of a pool's budget."""
    insurance, pool_scope, year = pool
    c = fund_budget.c
    return await uow.first(
        select(fund_budget)
        .where(
            c.area_id == uow.scope.area,
            c.insurance == insurance,
            c.pool_scope == pool_scope,
            c.year == year,
            c.state == "approved",
        )
        .order_by(c.version.desc())
        .limit(1)
    )


async def decide_budget(uow: UnitOfWork, budget_id: uuid.UUID, state: str) -> bool:
    """Move a draft on; false when it is a draft no more."""
    touched = await uow.execute(
        update(fund_budget)
        .where(within(fund_budget, uow.scope), fund_budget.c.budget_id == budget_id, fund_budget.c.state == "draft")
        .values(**_decision(uow, state))
    )
    return touched == 1


# Payments


async def voucher_used(uow: UnitOfWork, hospital_id: int, voucher: str) -> bool:
    c = payment.c
    found = await uow.first(
        select(c.payment_id).where(within(payment, uow.scope), c.hospital_id == hospital_id, c.voucher == voucher)
    )
    return found is not None


async def add_payment(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID:
    payment_id = new_id()
    await uow.insert(payment, [{"payment_id": payment_id, **row}])
    return payment_id


async def payment_by_id(uow: UnitOfWork, payment_id: uuid.UUID) -> Row[Any] | None:
    return await uow.first(
        select(payment, hospital.c.code.label("hospital_code"))
        .join(hospital, hospital.c.hospital_id == payment.c.hospital_id)
        .where(within(payment, uow.scope), payment.c.payment_id == payment_id)
    )


async def reversal_of(uow: UnitOfWork, payment_id: uuid.UUID) -> Row[Any] | None:
    """The payment that reverses another, or none."""
    return await uow.first(select(payment).where(within(payment, uow.scope), payment.c.reverses == payment_id))


async def payments(
    uow: UnitOfWork, after: uuid.UUID | None, limit: int, *, year: int | None = None, hospital_code: str = ""
) -> Sequence[Row[Any]]:
    """Payments of the scope in order of recording, one page."""
    c = payment.c
    query = (
        select(payment, hospital.c.code.label("hospital_code"))
        .join(hospital, hospital.c.hospital_id == c.hospital_id)
        .where(within(payment, uow.scope))
    )
    if after is not None:
        query = query.where(c.payment_id > after)
    if year is not None:
        query = query.where(c.year == year)
    if hospital_code:
        query = query.where(hospital.c.code == hospital_code)
    return await uow.rows(query.order_by(c.payment_id).limit(limit))


async def payments_of_pool(uow: UnitOfWork, pool: Pool, run_ids: Sequence[uuid.UUID] | None) -> Sequence[Row[Any]]:
    """Every payment of a pool's year on its statements, none beside the points, of the runs named when they are named, in order of id."""
    insurance, pool_scope, year = pool
    c = payment.c
    query = select(payment).where(
        c.area_id == uow.scope.area, c.insurance == insurance, c.pool_scope == pool_scope, c.year == year, c.part == ""
    )
    if run_ids is not None:
        query = query.where(c.run_id.in_(run_ids))
    return await uow.rows(query.order_by(c.payment_id))


# Audit deductions


async def add_deduction(uow: UnitOfWork, row: Mapping[str, Any]) -> uuid.UUID:
    deduction_id = new_id()
    await uow.insert(audit_deduction, [{"deduction_id": deduction_id, "state": "draft", **row}])
    return deduction_id


async def deduction_by_id(uow: UnitOfWork, deduction_id: uuid.UUID) -> Row[Any] | None:
    return await uow.first(
        select(audit_deduction, hospital.c.code.label("hospital_code"))
        .join(hospital, hospital.c.hospital_id == audit_deduction.c.hospital_id)
        .where(within(audit_deduction, uow.scope), audit_deduction.c.deduction_id == deduction_id)
    )


async def decide_deduction(uow: UnitOfWork, deduction_id: uuid.UUID, state: str) -> bool:
    """Move a draft on; false when it is a draft no more."""
    c = audit_deduction.c
    touched = await uow.execute(
        update(audit_deduction)
        .where(within(audit_deduction, uow.scope), c.deduction_id == deduction_id, c.state == "draft")
        .values(**_decision(uow, state))
    )
    return touched == 1


async def deductions(
    uow: UnitOfWork, after: uuid.UUID | None, limit: int, *, year: int | None = None
) -> Sequence[Row[Any]]:
    """Audit deductions of the scope in order of entry, one page."""
    c = audit_deduction.c
    query = (
        select(audit_deduction, hospital.c.code.label("hospital_code"))
        .join(hospital, hospital.c.hospital_id == c.hospital_id)
        .where(within(audit_deduction, uow.scope))
    )
    if after is not None:
        query = query.where(c.deduction_id > after)
    if year is not None:
        query = query.where(c.year == year)
    return await uow.rows(query.order_by(c.deduction_id).limit(limit))


async def deductions_of_pool(uow: UnitOfWork, pool: Pool, months: Sequence[int]) -> Sequence[Row[Any]]:
    """Approved deductions of a pool in the months given, in order of id."""
    insurance, pool_scope, year = pool
    c = audit_deduction.c
    return await uow.rows(
        select(audit_deduction)
        .where(
            c.area_id == uow.scope.area,
            c.insurance == insurance,
            c.pool_scope == pool_scope,
            c.year == year,
            c.month.in_(months),
            c.state == "approved",
        )
        .order_by(c.deduction_id)
    )


def _decision(uow: UnitOfWork, state: str) -> dict[str, Any]:
    return {
        "state": state,
        "approved_by": uuid.UUID(uow.scope.account_id),
        "approved_by_person": uuid.UUID(uow.scope.person_id),
        "approved_at": func.now(),
    }


# History of the fund


async def booked_history(uow: UnitOfWork, insurance: str, year: int) -> Mapping[int, int]:
    """Booked fund of a year's history by hospital, what intake set aside left out. Units: fen."""
    c = history_discharge.c
    rows = await uow.rows(
        select(c.hospital_id, func.sum(c.fund_fen).label("fen"))
        .where(c.area_id == uow.scope.area, c.insurance == insurance, c.year == year, c.set_aside == "")
        .group_by(c.hospital_id)
    )
    return {row.hospital_id: max(0, int(row.fen)) for row in rows}


async def booked_by_month(uow: UnitOfWork, insurance: str, years: Sequence[int]) -> Mapping[int, Sequence[int]]:
    """Booked fund of history years by month of discharge, twelve amounts a year; a row without a date is left out. Units: fen."""
    c = history_discharge.c
    month = func.extract("month", c.discharge_date)
    rows = await uow.rows(
        select(c.year, month.label("month"), func.sum(c.fund_fen).label("fen"))
        .where(
            c.area_id == uow.scope.area,
            c.insurance == insurance,
            c.year.in_(years),
            c.set_aside == "",
            c.discharge_date.is_not(None),
        )
        .group_by(c.year, month)
    )
    found = {year: [0] * 12 for year in years}
    for row in rows:
        found[row.year][int(row.month) - 1] = max(0, int(row.fen))
    return found
