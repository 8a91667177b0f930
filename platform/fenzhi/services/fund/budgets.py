"""The pool's budget (基金池预算): proposed by the clerk, approved by another person, in force from its approval."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.rules.point_value.fund_pool import CurveInvalid, checked_curve
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, as_id, looking
from fenzhi.services.fund.faults import amount_fault, pool_faults, text_fault
from fenzhi.store.repositories import fund
from fenzhi.store.session import UnitOfWork

CURVE_PLACES = 10


@dataclass(frozen=True, slots=True)
class ProposeBudget:
    """An order to propose the budget of a pool (预算编制). Units: fen; the curve is cumulative shares of the year."""

    insurance: str
    pool_scope: str
    year: int
    annual_fen: int
    curve: tuple[Decimal, ...]
    document: str
    reason: str
    is_constructed: bool


@dataclass(frozen=True, slots=True)
class BudgetView:
    """A version of a pool's budget (预算版本)."""

    budget_id: uuid.UUID
    area_code: str
    insurance: str
    pool_scope: str
    year: int
    version: int
    annual_fen: int
    curve: tuple[Decimal, ...]
    state: str
    document: str
    reason: str
    is_constructed: bool
    approved_at: datetime | None


def _view(row: Row[Any]) -> BudgetView:
    return BudgetView(
        row.budget_id,
        row.area_code,
        row.insurance,
        row.pool_scope,
        row.year,
        row.version,
        row.annual_fen,
        tuple(row.curve),
        row.state,
        row.document,
        row.reason,
        row.is_constructed,
        row.approved_at,
    )


def _faults(order: ProposeBudget) -> list[Refusal]:
    found = pool_faults(order.insurance, order.pool_scope, order.year)
    found += amount_fault("annualFen", order.annual_fen, at_least=0)
    found += _curve_faults(order.curve)
    found += text_fault("DOCUMENT_MISSING", "document", order.document, "依据文件", "The document")
    found += text_fault("REASON_MISSING", "reason", order.reason, "理由", "The reason")
    return found


def _curve_faults(curve: tuple[Decimal, ...]) -> list[Refusal]:
    saw = ", ".join(map(str, curve))[:200]
    try:
        checked_curve([Fraction(share) for share in curve])
    except CurveInvalid as exc:
        return [
            Refusal("CURVE_INVALID", "curve", saw, exc.zh, exc.en, "按四个季度的累计比例填写，末项为 1。",
                    "Give four cumulative shares that end in 1.")
        ]  # fmt: skip
    if any(isinstance(e := share.as_tuple().exponent, int) and e < -CURVE_PLACES for share in curve):
        return [
            Refusal("CURVE_INVALID", "curve", saw, f"进度比例至多 {CURVE_PLACES} 位小数。",
                    f"A share has at most {CURVE_PLACES} decimals.", "缩短小数位。", "Use fewer decimals.")
        ]  # fmt: skip
    return []


async def propose_budget(platform: Platform, clerk: Subject, request: Request, order: ProposeBudget) -> Answer:
    """Propose the next version of a pool's budget with its quarterly curve (编制预算).

    Changes: fund_budget (draft). An approved version stays in force until the next one is approved. Raises: DataRefused with every
    fault at once.
    """
    faults = _faults(order)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        pool = (order.insurance, order.pool_scope, order.year)
        await fund.lock_pool(uow, pool)
        budget_id = await fund.add_budget(
            uow,
            pool,
            {
                "annual_fen": order.annual_fen,
                "curve": list(order.curve),
                "document": order.document,
                "reason": order.reason,
                "is_constructed": order.is_constructed,
                "proposed_by": uuid.UUID(uow.scope.account_id),
                "proposed_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        return {"type": "FundBudget", "id": str(budget_id)}

    return await act(platform, clerk, Duty.PROPOSE_BUDGET, request, effect)


async def decide_budget(
    platform: Platform, approver: Subject, request: Request, budget_id: str, *, approve: bool
) -> Answer:
    """Approve or reject a proposed budget (审批预算), by another person than its proposer.

    Changes: fund_budget draft → approved | rejected. Raises: NotFound, SamePerson, Conflict BUDGET_NOT_DRAFT.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        key = as_id(budget_id, "budget")
        row = await fund.budget_by_id(uow, key)
        if row is None:
            raise NotFound("没有该预算。", "No such budget.")
        require_second_person(str(row.proposed_by_person), uow.scope.person_id)
        if not await fund.decide_budget(uow, key, "approved" if approve else "rejected"):
            raise Conflict(
                f"预算已处于 {row.state} 状态。", f"The budget is {row.state} already.", code="BUDGET_NOT_DRAFT"
            )
        return {"type": "FundBudget", "id": str(key)}

    return await act(platform, approver, Duty.APPROVE_BUDGET, request, effect)


async def budgets(platform: Platform, subject: Subject, year: int) -> Sequence[BudgetView]:
    """Every version of the budgets of a year in the scope (预算列表)."""
    async with looking(platform, subject, Duty.READ_FUND) as uow:
        return [_view(row) for row in await fund.budgets(uow, year)]


async def budget(platform: Platform, subject: Subject, budget_id: uuid.UUID) -> BudgetView | None:
    """One budget version, or none in this scope (预算)."""
    async with looking(platform, subject, Duty.READ_FUND) as uow:
        row = await fund.budget_by_id(uow, budget_id)
        return None if row is None else _view(row)
