"""How a pool's budget is made up, and what a change of it would do (预算编制与调整影响)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from typing import Any

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterMode, clear_quarter
from fenzhi.rules.fund.budget import (
    BudgetMethod,
    PoolBudget,
    SetAside,
    budget_of_dip,
    growth_budget,
    itemised_budget,
    seasonal_curve,
    share_budget,
)
from fenzhi.rules.point_value.fund_pool import fund_of_quarter, fund_ytd
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Conflict, Forbidden
from fenzhi.services.acts import Platform, looking
from fenzhi.services.clearing.changes import can_read, quarter_terms_of
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import clearing, fund
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork

STATED = "stated"
GROUNDS = ("income", "visits", "benefit_change", "epidemic", "correction")


@dataclass(frozen=True, slots=True)
class Composition:
    """What a budget is made of (预算构成). Units: fen. Share and growth read last year; growth is an exact ratio."""

    method: BudgetMethod
    set_asides: Mapping[SetAside, int] = field(default_factory=dict)
    inpatient_fen: int = 0
    outpatient_fen: int = 0
    chronic_outpatient_fen: int = 0
    risk_reserve_fen: int = 0
    last_dip_fen: int = 0
    last_inpatient_fen: int = 0
    growth: Fraction = Fraction(0)

    def amounts(self) -> dict[str, int]:
        """Every amount by name (各项金额)."""
        named = {name: getattr(self, name) for name in _AMOUNTS}
        return named | {f"set_aside.{part.value}": fen for part, fen in self.set_asides.items()}

    def plain(self) -> dict[str, Any]:
        """As JSON values (平文)."""
        return {
            "method": self.method.value,
            "set_asides": {part.value: fen for part, fen in sorted(self.set_asides.items())},
            **{name: getattr(self, name) for name in _AMOUNTS},
            "growth": str(self.growth),
        }


_AMOUNTS = (
    "inpatient_fen",
    "outpatient_fen",
    "chronic_outpatient_fen",
    "risk_reserve_fen",
    "last_dip_fen",
    "last_inpatient_fen",
)


def composed(composition: Composition, policy: ResolvedPolicy) -> PoolBudget:
    """The budget a composition makes (按编制方法得出预算): the DIP fund and everything kept beside it, nothing in two places.

    Policy: budget.method, when the area has chosen one; budget.growth_target. Raises: Conflict BUDGET_METHOD_OTHER; PolicyNotEntered; as
    the rule of the method.
    """
    method = composition.method
    if policy.has("budget.method") and policy.method("budget.method") != method.value:
        raise Conflict(
            f"策略规定的预算编制方法为 {policy.method('budget.method')}，不是 {method.value}。",
            f"The policy's method of the budget is {policy.method('budget.method')}, not {method.value}.",
            code="BUDGET_METHOD_OTHER",
            hint="按策略的方法编制，或先修改策略 / compose it by the policy's method, or change the policy first",
        )
    others = {
        "outpatient_fen": composition.outpatient_fen,
        "chronic_outpatient_fen": composition.chronic_outpatient_fen,
        "risk_reserve_fen": composition.risk_reserve_fen,
    }
    match method:
        case BudgetMethod.ITEMISED:
            return itemised_budget(composition.inpatient_fen, composition.set_asides, **others)
        case BudgetMethod.SHARE:
            dip = share_budget(composition.last_dip_fen, composition.last_inpatient_fen, composition.inpatient_fen)
        case BudgetMethod.GROWTH:
            dip = growth_budget(composition.last_dip_fen, composition.growth, policy.fraction("budget.growth_target"))
    return budget_of_dip(method, dip, composition.set_asides, **others)


async def effect_of(uow: UnitOfWork, pool: Pool, annual_fen: int, curve: Sequence[Fraction]) -> dict[str, Any] | None:
    """What another budget would make of the last published quarter (调整影响): fund, point value, and every hospital's gross and payable.

    None where no budget is in force yet. Units: fen.
    """
    budget = await fund.budget_in_force(uow, pool)
    if budget is None:
        return None
    found: dict[str, Any] = {"annual_before_fen": budget.annual_fen, "annual_after_fen": annual_fen, "run": None}
    run = await last_quarter(uow, pool)
    if run is None or not can_read(run):
        return found
    terms = quarter_terms_of(run)
    statements = await clearing.statements_of_runs(uow, [run.run_id])
    claims = [
        QuarterClaim(
            row.hospital_code,
            row.cases,
            row.points,
            row.cost_fen,
            row.booked_fen,
            row.patient_fen,
            deductions_fen=row.deductions_fen,
            payments_recorded_fen=row.prior_paid_fen,
            deposit_held_fen=row.working["terms"]["deposit_held_before_fen"],
        )
        for row in statements
    ]
    opened = fund_ytd if terms.mode is QuarterMode.CUMULATIVE else fund_of_quarter
    fund_fen = opened(annual_fen, curve, run.period)
    after = clear_quarter(fund_fen, int(run.summary["points_decimals"]), claims, replace(terms, documents={}))
    lines = {line.hospital: line for line in after.lines}
    places = terms.shares.printed_decimals
    return found | {
        "run": str(run.run_id),
        "period": run.period,
        "fund_before_fen": run.manifest["budget"]["fund_fen"],
        "fund_after_fen": fund_fen,
        "point_value_before": run.summary["point_value_printed"],
        "point_value_after": after.point_value.printed(places),
        "hospitals": [
            [
                row.hospital_code,
                row.gross_fen,
                lines[row.hospital_code].gross_fen,
                row.payable_fen,
                lines[row.hospital_code].payable_fen,
            ]
            for row in sorted(statements, key=lambda row: row.hospital_code)
        ],
    }


async def last_quarter(uow: UnitOfWork, pool: Pool) -> Any:
    """The last published quarter of a pool's year, or none (最近已公布季度)."""
    quarters = [run for run in await clearing.runs_of_pool(uow, pool, ("published",)) if run.kind == "quarter"]
    return max(quarters, key=lambda run: run.period, default=None)


async def suggested_curve(platform: Platform, subject: Subject, insurance: str, year: int) -> tuple[Fraction, ...]:
    """The quarterly curve of the booked seasons before a year (按历史季节性测算的季度进度).

    Policy: budget.curve_years. Raises: LastYearMissing, PolicyNotEntered.
    """
    if subject.area_id is None:
        raise Forbidden("季度进度按统筹区测算，省级没有自己的基金池。", "A curve is an area's; a province has no pool.")
    async with looking(platform, subject, Duty.READ_FUND) as uow:
        policy = await resolved_policy(uow, date(year, 1, 1), insurance=insurance)
        years = [year - n for n in range(policy.integer("budget.curve_years"), 0, -1)]
        months = await fund.booked_by_month(uow, insurance, years)
        return seasonal_curve([months[one] for one in years])
