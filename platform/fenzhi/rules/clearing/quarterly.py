"""Quarterly clearing (季度清算): the year counted again from January, against the fund opened so far.

A cumulative quarter corrects the months and quarters before it without a correction entry: late lists, a changed
budget, a wrong deduction are simply in the new sums, and only the difference to what was posted moves money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.clearing.assessment import AssessmentBase, AssessmentPlace, assessment_withheld
from fenzhi.rules.clearing.deposit import deposit_target
from fenzhi.rules.clearing.offsets import Receivable, offset_receivables
from fenzhi.rules.clearing.shares import (
    ClaimFormula,
    GrossShare,
    PayBy,
    PoolShares,
    ShareMethod,
    ShareOrder,
    hospital_ratios,
    pool_shares,
)
from fenzhi.rules.clearing.statement import SUMMED, Account, StatementLine
from fenzhi.rules.point_value.point_value import Basis, PointValue
from fenzhi.rules.point_value.point_value_methods import PriceTerms
from fenzhi.rules.point_value.settlement_point_value import settlement_point_value
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import InvariantBroken


class QuarterMode(StrEnum):
    """Whether a quarter counts the year to date (季度清算方式)."""

    CUMULATIVE = "cumulative"  # 年初至本季末累计
    STAND_ALONE = "stand_alone"  # 单季


@dataclass(frozen=True, slots=True)
class QuarterClaim:
    """What one hospital brings to a quarter run (机构季度数据).

    Units: fen, points in 10^-d. In a cumulative run every term is year to date; alone, of the quarter.
    `payments_recorded_fen` net of what was returned. `deposit_held_fen`, `earlier_cleared_fen` and
    `offset_earlier_fen`: of the earlier runs of the year; `earlier_cleared_fen` and `offset_earlier_fen` count in
    stand-alone and cumulative runs respectively. `receivables`: of earlier years, still open.
    """

    hospital: str
    cases: int
    points: int
    cost_fen: int
    booked_fen: int
    patient_fen: int = 0
    deductions_fen: int = 0
    assessment_coefficient: Fraction = Fraction(1)
    band_withheld_fen: int = 0
    bonuses_fen: int = 0
    payments_recorded_fen: int = 0
    deposit_held_fen: int = 0
    earlier_cleared_fen: int = 0
    offset_earlier_fen: int = 0
    receivables: tuple[Receivable, ...] = ()
    fixed_points: int = 0
    """Points of the baseline of an elastic point value (弹性点值基准量)."""
    floor_lack_fen: int = 0
    """What its cases lack to their floor, see `case_floor_lack` (病例保底缺额)."""
    case_priced_fen: int = 0
    """What its cases are paid one by one; read where the price is by case (逐例计付合计)."""


@dataclass(frozen=True, slots=True)
class QuarterTerms:
    """The methods and rates of a quarter run, frozen before it (季度清算口径)."""

    shares: ShareOrder = field(default_factory=ShareOrder)
    mode: QuarterMode = QuarterMode.CUMULATIVE
    deposit_rate: Fraction = Fraction(0)
    assessment_place: AssessmentPlace = AssessmentPlace.COEFFICIENT
    assessment_base: AssessmentBase = AssessmentBase.GROSS
    offset_limit_fen: int | None = None
    offset_limit_ratio: Fraction | None = None
    documents: dict[str, str] = field(default_factory=dict)
    price: PriceTerms = field(default_factory=PriceTerms)

    @classmethod
    def from_policy(
        cls,
        policy: ResolvedPolicy,
        *,
        phi_balance_fen: int = 0,
        rounding_balance_fen: int = 0,
        floor_balance_fen: int = 0,
        price: PriceTerms | None = None,
    ) -> QuarterTerms:
        """The terms an area's policy sets (按策略确定季度口径).

        `price`: from `price_terms`; floating without it. Raises: PolicyNotEntered for what nobody entered.
        """
        keys = (
            "clearing.share_method",
            "clearing.claim",
            "clearing.pay_by",
            "clearing.printed_decimals",
            "point_value.scope",
            "quarter.mode",
            "deposit.rate",
            "assessment.acts_at",
            "assessment.acts_on",
        )
        return cls(
            ShareOrder(
                ShareMethod(policy.method("clearing.share_method")),
                PayBy(policy.method("clearing.pay_by")),
                policy.integer("clearing.printed_decimals"),
                phi_balance_fen,
                policy.optional_fen("clearing.phi_account_cap"),
                rounding_balance_fen,
                floor_balance_fen,
                ClaimFormula(policy.method("clearing.claim")),
            ),
            QuarterMode(policy.method("quarter.mode")),
            policy.fraction("deposit.rate"),
            AssessmentPlace(policy.method("assessment.acts_at")),
            AssessmentBase(policy.method("assessment.acts_on")),
            policy.optional_fen("clearing.offset_limit_amount"),
            policy.optional_fraction("clearing.offset_limit_ratio"),
            {key: str(policy.document(key)) for key in (*keys, *_FLOOR) if key not in _FLOOR or policy.has(key)},
            price or PriceTerms(),
        )


_FLOOR = ("clearing.case_floor",)


@dataclass(frozen=True, slots=True)
class QuarterRun:
    """A quarter cleared (季度清算结果): one line per hospital in bytes order, the point value, and the accounts."""

    terms: QuarterTerms
    point_value: PointValue
    lines: tuple[StatementLine, ...]
    accounts: dict[Account, int]
    share_base: Fraction
    """Σ points, or Σ points × ratio when renormalised (分摊基数), in 10^-d points."""

    @property
    def paid_point_value(self) -> PointValue:
        """The point value that is paid (实付点值): of the fund shared at the point-value method; floating, the same."""
        return replace(self.point_value, fund_fen=sum(line.priced_share_fen for line in self.lines))


def clear_quarter(
    fund_fen: int, points_decimals: int, claims: Sequence[QuarterClaim], terms: QuarterTerms
) -> QuarterRun:
    """Clear one quarter of a pool (季度清算).

    Policy: clearing.*, quarter.mode, deposit.rate, assessment.*. Units: fen; `fund_fen` from `fund_ytd` (or
    `fund_of_quarter`). Order: gross, deductions, bands and bonuses, assessment, deposit, payments, offsets. Rounding:
    as `pool_shares`, `assessment_withheld`, `deposit_target`, `offset_receivables`. Raises: NoCases, NoPoints,
    FundRatioZero, HospitalRatioUndefined.
    """
    ordered = sorted(claims, key=lambda claim: claim.hospital)
    value, shares = quarter_shares(fund_fen, points_decimals, ordered, terms.shares, terms.price)
    lines = tuple(_quarter_line(claim, shares.shares[claim.hospital], terms) for claim in ordered)
    return QuarterRun(terms, value, lines, run_accounts(fund_fen, shares, lines), shares.base)


def run_accounts(fund_fen: int, shares: PoolShares, lines: Sequence[StatementLine]) -> dict[Account, int]:
    """Every account of a run, each from its own rule (各账户合计). Units: fen."""
    accounts = {account: sum(line.amount(account) for line in lines) for account in SUMMED}
    accounts[Account.POOL] = fund_fen
    accounts[Account.PHI] = shares.phi_fen
    accounts[Account.PHI_CAP_EXCESS] = shares.phi_cap_excess_fen
    accounts[Account.ROUNDING] = shares.rounding_fen
    accounts[Account.POINT_VALUE] = shares.point_value_fen
    accounts[Account.CAP_EXCESS] = shares.cap_excess_fen
    accounts[Account.FLOOR] = shares.floor_fen
    return accounts


def quarter_shares(
    fund_fen: int,
    points_decimals: int,
    claims: Sequence[QuarterClaim],
    order: ShareOrder,
    price: PriceTerms | None = None,
) -> tuple[PointValue, PoolShares]:
    """The floating point value of the span and the gross share of every hospital (结算点值与份额)."""
    points: dict[str, int] = {}
    for claim in claims:
        if claim.hospital in points:
            raise InvariantBroken("each hospital stands in a run once", account=claim.hospital)
        points[claim.hospital] = claim.points
    value = settlement_point_value(
        fund_fen,
        sum(claim.booked_fen for claim in claims),
        sum(claim.cost_fen for claim in claims),
        sum(points.values()),
        points_decimals,
        price.basis if price else Basis.TOTAL_COST,
    )
    if price is not None and price.by_case is not None:
        return value, _by_case(value, claims, order)
    ratios: Mapping[str, Fraction] = {}
    if order.method is not ShareMethod.DEFAULT and order.claim is ClaimFormula.SP_PHI:
        ratios = hospital_ratios({c.hospital: (c.points, c.booked_fen, c.cost_fen) for c in claims})
    shares = pool_shares(
        value,
        points,
        ratios,
        order,
        price,
        fixed_points={claim.hospital: claim.fixed_points for claim in claims},
        other_payers={claim.hospital: claim.patient_fen for claim in claims},
        floors={claim.hospital: claim.floor_lack_fen for claim in claims},
    )
    return value, shares


def _by_case(value: PointValue, claims: Sequence[QuarterClaim], order: ShareOrder) -> PoolShares:
    """Each case paid by itself: the gross of a hospital is the sum of its cases, and no account stands behind it."""
    exact = value.exact()
    printed = Fraction(value.printed(order.printed_decimals)) / exact if exact else Fraction(0)
    shares = {
        claim.hospital: GrossShare(
            claim.case_priced_fen,
            claim.case_priced_fen,
            claim.case_priced_fen,
            claim.case_priced_fen,
            value.fund_ratio(),
            half_up(claim.points * value.fund_fen * printed / value.points),
        )
        for claim in claims
    }
    return PoolShares(shares, 0, 0, 0, Fraction(value.points))


def _quarter_line(claim: QuarterClaim, share: GrossShare, terms: QuarterTerms) -> StatementLine:
    gross = share.gross_fen
    withheld = assessment_withheld(
        gross,
        claim.deductions_fen,
        claim.assessment_coefficient,
        terms.assessment_place,
        terms.assessment_base,
        gross - claim.deductions_fen - claim.band_withheld_fen + claim.bonuses_fen,
    )
    return posted_line(claim, share, terms, withheld)


def posted_line(claim: QuarterClaim, share: GrossShare, terms: QuarterTerms, withheld: int) -> StatementLine:
    """A statement from gross down, the assessment withheld being known (自应付起逐项过账的结算单). Units: fen."""
    gross = share.gross_fen
    cleared = gross - claim.deductions_fen - withheld - claim.band_withheld_fen + claim.bonuses_fen
    cumulative = terms.mode is QuarterMode.CUMULATIVE
    target = deposit_target(terms.deposit_rate, cleared + (0 if cumulative else claim.earlier_cleared_fen))
    posting = target - claim.deposit_held_fen
    deposit = target if cumulative else posting
    payable = cleared - deposit
    earlier_offsets = claim.offset_earlier_fen if cumulative else 0
    taken = offset_receivables(
        payable - claim.payments_recorded_fen - earlier_offsets,
        claim.receivables,
        limit_fen=terms.offset_limit_fen,
        limit_ratio=terms.offset_limit_ratio,
    )
    offsets = earlier_offsets + sum(taken.values())
    return StatementLine(
        hospital=claim.hospital,
        cases=claim.cases,
        points=claim.points,
        cost_fen=claim.cost_fen,
        booked_fen=claim.booked_fen,
        patient_fen=claim.patient_fen,
        fund_ratio=share.fund_ratio,
        default_share_fen=share.default_fen,
        priced_share_fen=share.priced_fen,
        method_share_fen=share.method_fen,
        floor_fen=share.floor_fen,
        gross_fen=gross,
        printed_fen=share.printed_fen,
        remainder_fen=gross - share.printed_fen,
        not_prepaid_fen=0,
        deductions_fen=claim.deductions_fen,
        assessment_withheld_fen=withheld,
        band_withheld_fen=claim.band_withheld_fen,
        bonuses_fen=claim.bonuses_fen,
        cash_cut_fen=0,
        cleared_fen=cleared,
        deposit_held_before_fen=claim.deposit_held_fen,
        deposit_target_fen=target,
        deposit_withheld_fen=deposit,
        deposit_posting_fen=posting,
        payable_fen=payable,
        payments_recorded_fen=claim.payments_recorded_fen,
        offsets_fen=offsets,
        transfer_fen=payable - claim.payments_recorded_fen - offsets,
    )
