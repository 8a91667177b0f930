"""Values of golden cases as the rules take and return them (黄金用例的取值).

Shared by the adapters: a case gives yuan and points as text, a rule takes fen and whole points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

from fenzhi.cli.golden_files import Names
from fenzhi.rules.clearing.assessment import AssessmentBase, AssessmentPlace
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterMode, QuarterTerms
from fenzhi.rules.clearing.shares import PayBy, ShareMethod, ShareOrder
from fenzhi.rules.clearing.statement import StatementLine
from fenzhi.rules.policy.fields import read_content
from fenzhi.rules.policy.resolved import ResolvedPolicy, resolve
from fenzhi.rules.refusals import DataRefused
from fenzhi.store.policy_files import national_policy

Result = Fraction | str | Mapping[str, "Result"] | Sequence["Result"]

DECIMALS = 7
"""Points are given as decimals with at most seven places: the finest scale of any edition."""


def national_values() -> ResolvedPolicy:
    """National values as in force at the end of the newest one's year: the law as the package carries it."""
    national = national_policy()
    newest = max(value.effective_from for value in national.values)
    return resolve(national.fields, national.values, date(newest.year, 12, 31))


def deposit_rate(policy: Names, otherwise: str | None) -> Fraction:
    """A deposit rate within the limit of the national rules, otherwise refused as it would be on entry."""
    text = policy.text("deposit_rate", otherwise)
    _, refusals = read_content(national_policy().field("deposit.rate"), text)
    if refusals:
        raise DataRefused(refusals)
    return Fraction(Decimal(text))


def share_order(policy: Names) -> ShareOrder:
    """How a pool is shared, from a case's policy (份额口径)."""
    return ShareOrder(
        ShareMethod(policy.text("share_method", national_values().text("clearing.share_method"))),
        PayBy(policy.text("pay_by", national_values().text("clearing.pay_by"))),
        policy.integer("printed_decimals", "4"),
        policy.fen("phi_balance", "0"),
        policy.fen("phi_cap") if policy.has("phi_cap") else None,
        policy.fen("rounding_balance", "0"),
    )


def quarter_terms(policy: Names) -> QuarterTerms:
    """The methods of a quarter, from a case's policy (季度口径)."""
    return QuarterTerms(
        share_order(policy),
        QuarterMode(policy.text("mode", national_values().text("quarter.mode"))),
        deposit_rate(policy, "0"),
        AssessmentPlace(policy.text("assessment_acts_at", national_values().text("assessment.acts_at"))),
        AssessmentBase(policy.text("assessment_acts_on", national_values().text("assessment.acts_on"))),
    )


def quarter_claims(given: Names) -> list[QuarterClaim]:
    """The hospitals a case gives (机构数据)."""
    claims: list[QuarterClaim] = []
    for code, hospital in given.groups("hospitals").items():
        booked, cost = booked_and_cost(hospital)
        claims.append(
            QuarterClaim(
                code,
                hospital.integer("cases", "1"),
                points_of(hospital.number("points")),
                cost,
                booked,
                hospital.fen("other_payers", "0"),
                hospital.fen("deductions", "0"),
                hospital.number("assessment_coefficient", "1"),
                payments_recorded_fen=hospital.fen("payments_recorded", "0"),
                deposit_held_fen=hospital.fen("deposit_held", "0"),
                earlier_cleared_fen=hospital.fen("earlier_cleared", "0"),
            )
        )
        hospital.finish()
    return claims


def booked_and_cost(given: Names) -> tuple[int, int]:
    """Booked fund and cost, or any two in the ratio given."""
    if given.has("fund_ratio"):
        ratio = given.number("fund_ratio")
        return ratio.numerator, ratio.denominator
    return given.fen("booked"), given.fen("cost")


def line_amounts(line: StatementLine) -> Mapping[str, Result]:
    """The amounts of a statement line by name (结算单各项)."""
    amounts = (
        "gross",
        "remainder",
        "not_prepaid",
        "deductions",
        "assessment_withheld",
        "cash_cut",
        "cleared",
        "deposit_target",
        "deposit_posting",
        "deposit_withheld",
        "payable",
        "payments_recorded",
        "transfer",
    )
    return {name: in_yuan(int(getattr(line, f"{name}_fen"))) for name in amounts}


def named_value(name: str, value: Fraction | None) -> Mapping[str, Result]:
    """A number that may be absent, under its name (可缺省的数值)."""
    return {name: "none" if value is None else value}


def points_of(value: Fraction) -> int:
    """Points as the rules count them, at most seven decimals (分值)."""
    units = value * Fraction(10**DECIMALS)
    if units.denominator != 1:
        raise ValueError(f"points have at most {DECIMALS} decimals")
    return units.numerator


def whole_numbers(weights: Sequence[Fraction]) -> list[int]:
    """Weights that must be whole numbers (整数权重)."""
    if any(weight.denominator != 1 for weight in weights):
        raise ValueError("policy.weights must be whole numbers")
    return [weight.numerator for weight in weights]


def in_yuan(fen: int) -> Fraction:
    """Fen as yuan (分转元)."""
    return Fraction(fen, 100)
