"""The pool's budget (基金池预算): proposed by the clerk, approved by another person, in force from its approval."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.rules.fund.ledger import KEPT_BACK, set_aside_entries
from fenzhi.rules.point_value.fund_pool import CurveInvalid, checked_curve
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, as_id, looking
from fenzhi.services.fund.advances import refuse_closed
from fenzhi.services.fund.books import post
from fenzhi.services.fund.composition import STATED, Composition, composed, effect_of, last_quarter
from fenzhi.services.fund.faults import amount_fault, pool_faults, text_fault
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import clearing, fund
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork

CURVE_PLACES = 10


@dataclass(frozen=True, slots=True)
class ProposeBudget:
    """An order to propose the budget of a pool (预算编制). Units: fen; the curve is cumulative shares of the year."""

    insurance: str
    pool_scope: str
    year: int
    annual_fen: int | None
    """The DIP fund; with a composition it follows from it and may be left out."""
    curve: tuple[Decimal, ...]
    document: str
    reason: str
    is_constructed: bool
    composition: Composition | None = None
    change_ground: str | None = None

    @property
    def pool(self) -> Pool:
        """The fund pool (基金池)."""
        return (self.insurance, self.pool_scope, self.year)


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
    method: str
    composition: Mapping[str, Any] | None
    change_ground: str | None
    effect: Mapping[str, Any] | None


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
        row.method,
        row.composition,
        row.change_ground,
        row.effect,
    )


def _faults(order: ProposeBudget) -> list[Refusal]:
    found = pool_faults(order.insurance, order.pool_scope, order.year)
    if order.composition is None:
        found += amount_fault("annualFen", -1 if order.annual_fen is None else order.annual_fen, at_least=0)
    else:
        for name, amount in order.composition.amounts().items():
            found += amount_fault(f"composition.{name}", amount, at_least=0)
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

    With a composition the DIP fund follows from it. Where quarters or months of the pool are published already, the change names its
    ground; what it would do to the last published quarter is worked out and kept, so that who approves sees it before.
    Changes: fund_budget (draft). An approved version stays in force until the next one is approved. Raises: DataRefused with every
    fault at once; Conflict PERIOD_CLOSED, BUDGET_DOES_NOT_ADD_UP, CHANGE_GROUND_MISSING; as `composed`.
    """
    faults = _faults(order)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        await fund.lock_pool(uow, order.pool)
        await refuse_closed(uow, order.pool)
        annual_fen, composition = await _annual(uow, order)
        is_change = bool(await clearing.runs_of_pool(uow, order.pool, ("published",)))
        if is_change and order.change_ground is None:
            raise Conflict(
                "本年度已有公布的结算，调整预算须说明事由。",
                "Runs of the year are published: a change of the budget names its ground.",
                code="CHANGE_GROUND_MISSING",
                hint="收入、就诊量、待遇调整、疫情或更正 / income, visits, benefit_change, epidemic or correction",
            )
        seen = await effect_of(uow, order.pool, annual_fen, [Fraction(share) for share in order.curve])
        budget_id = await fund.add_budget(
            uow,
            order.pool,
            {
                "annual_fen": annual_fen,
                "curve": list(order.curve),
                "document": order.document,
                "reason": order.reason,
                "is_constructed": order.is_constructed,
                "method": order.composition.method.value if order.composition else STATED,
                "composition": composition,
                "change_ground": order.change_ground,
                "effect": seen,
                "proposed_by": uuid.UUID(uow.scope.account_id),
                "proposed_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        return {"type": "FundBudget", "id": str(budget_id)}

    return await act(platform, clerk, Duty.PROPOSE_BUDGET, request, effect)


async def _annual(uow: UnitOfWork, order: ProposeBudget) -> tuple[int, dict[str, Any] | None]:
    """The DIP fund and the composition as kept."""
    if order.composition is None:
        return order.annual_fen or 0, None
    policy = await resolved_policy(uow, date(order.year, 1, 1), insurance=order.insurance)
    whole = composed(order.composition, policy)
    if order.annual_fen is not None and order.annual_fen != whole.dip_fen:
        raise Conflict(
            f"按构成得出的DIP基金为 {whole.dip_fen} 分，与所填 {order.annual_fen} 分不符。",
            f"The composition gives a DIP fund of {whole.dip_fen} fen, not {order.annual_fen}.",
            code="BUDGET_DOES_NOT_ADD_UP",
            hint="更正构成，或不填年度基金 / correct the composition, or leave the annual fund out",
        )
    plain = order.composition.plain() | {
        "inpatient_fen": whole.inpatient_fen,
        "dip_fen": whole.dip_fen,
        "total_fen": whole.total_fen,
    }
    return whole.dip_fen, plain


def _kept_back(row: Row[Any] | None) -> dict[str, int]:
    """What a version keeps back for later, by account."""
    if row is None or row.composition is None:
        return {}
    return {name: fen for name, fen in row.composition["set_asides"].items() if name in _KEPT}


_KEPT = frozenset(account.value for account in KEPT_BACK)


async def decide_budget(
    platform: Platform, approver: Subject, request: Request, budget_id: str, *, approve: bool
) -> Answer:
    """Approve or reject a proposed budget (审批预算), by another person than its proposer, who has seen its effect.

    What it keeps back is posted, as the difference to the version before. Changes: fund_budget draft → approved | rejected,
    ledger_entry. Raises: NotFound, SamePerson, Conflict BUDGET_NOT_DRAFT, BUDGET_EFFECT_STALE, PERIOD_CLOSED.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        key = as_id(budget_id, "budget")
        row = await fund.budget_by_id(uow, key)
        if row is None:
            raise NotFound("没有该预算。", "No such budget.")
        require_second_person(str(row.proposed_by_person), uow.scope.person_id)
        pool: Pool = (row.insurance, row.pool_scope, row.year)
        before = None
        if approve and row.state == "draft":
            await fund.lock_pool(uow, pool)
            await refuse_closed(uow, pool)
            before = await fund.budget_in_force(uow, pool)
            await _refuse_stale(uow, row, pool)
        if not await fund.decide_budget(uow, key, "approved" if approve else "rejected"):
            raise Conflict(
                f"预算已处于 {row.state} 状态。", f"The budget is {row.state} already.", code="BUDGET_NOT_DRAFT"
            )
        if approve:
            memo = f"{row.year}年预算第{row.version}版预留"
            await post(uow, pool, "budget", key, set_aside_entries(_kept_back(before), _kept_back(row), memo), {})
        return {"type": "FundBudget", "id": str(key)}

    return await act(platform, approver, Duty.APPROVE_BUDGET, request, effect)


async def _refuse_stale(uow: UnitOfWork, row: Row[Any], pool: Pool) -> None:
    """Refuse a change whose effect was worked out on a quarter that is not the last one any more."""
    run = await last_quarter(uow, pool)
    shown = (row.effect or {}).get("run")
    if run is not None and await fund.budget_in_force(uow, pool) is not None and shown != str(run.run_id):
        raise Conflict(
            "编制之后又公布了季度清算，所示影响已过时，须重新编制。",
            "A quarter was published since: the effect shown is out of date, propose the budget anew.",
            code="BUDGET_EFFECT_STALE",
        )


async def budgets(platform: Platform, subject: Subject, year: int) -> Sequence[BudgetView]:
    """Every version of the budgets of a year in the scope (预算列表)."""
    async with looking(platform, subject, Duty.READ_FUND) as uow:
        return [_view(row) for row in await fund.budgets(uow, year)]


async def budget(platform: Platform, subject: Subject, budget_id: uuid.UUID) -> BudgetView | None:
    """One budget version, or none in this scope (预算)."""
    async with looking(platform, subject, Duty.READ_FUND) as uow:
        row = await fund.budget_by_id(uow, budget_id)
        return None if row is None else _view(row)
