"""Monthly pre-settlement (月度预结算): money on account, at a price known in advance.

A month has no closed pool. Its points are paid at the budget point value and last year's fund ratio, most of it at
once, less the deductions of the month, under a cash cap. The quarter counts everything again and settles the
difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.clearing.deposit import deposit_target
from fenzhi.rules.clearing.statement import SUMMED, Account, StatementLine
from fenzhi.rules.point_value.point_value import Basis, BasisMismatch, PointValue
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import half_up


class MonthMethod(StrEnum):
    """The formula of the month (月度预结算公式)."""

    SP_PHI = "sp_phi"  # 分值 × 点值 × 支付比例
    SP_MINUS_PATIENT = "sp_minus_patient"  # 分值 × 点值 − 基金以外支付


@dataclass(frozen=True, slots=True)
class MonthClaim:
    """What one hospital brings to a month run (机构月度数据). Units: fen, points in 10^-d, all of the month.

    `patient_fen`: every payer but the basic fund. `deposit_held_fen` and `earlier_cleared_fen`: of the earlier runs
    of the year. `cash_cap_fen` None: no cap.
    """

    hospital: str
    cases: int
    points: int
    cost_fen: int
    booked_fen: int
    patient_fen: int = 0
    deductions_fen: int = 0
    cash_cap_fen: int | None = None
    deposit_held_fen: int = 0
    earlier_cleared_fen: int = 0


@dataclass(frozen=True, slots=True)
class MonthTerms:
    """The price and the ratios of a month run, frozen before it (月度预结算口径).

    `fund_ratio` is φ of last year. `deposit_rate` is 0 where the prepay ratio stands for the deposit.
    """

    point_value: PointValue
    fund_ratio: Fraction
    prepay_ratio: Fraction
    method: MonthMethod = MonthMethod.SP_PHI
    deposit_rate: Fraction = Fraction(0)
    printed_decimals: int = 4
    documents: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_policy(cls, policy: ResolvedPolicy, point_value: PointValue, fund_ratio: Fraction) -> MonthTerms:
        """The terms an area's policy sets (按策略确定月度口径).

        Raises: PolicyNotEntered for what nobody entered. The rate of the deposit is asked for only where it is used.
        """
        keys = ["presettlement.method", "presettlement.prepay_ratio", "presettlement.ratio_stands_for_deposit"]
        stands = policy.flag("presettlement.ratio_stands_for_deposit")
        if not stands:
            keys.append("deposit.rate")
        return cls(
            point_value,
            fund_ratio,
            policy.fraction("presettlement.prepay_ratio"),
            MonthMethod(policy.method("presettlement.method")),
            Fraction(0) if stands else policy.fraction("deposit.rate"),
            policy.integer("clearing.printed_decimals"),
            {key: str(policy.document(key)) for key in keys},
        )


@dataclass(frozen=True, slots=True)
class MonthRun:
    """A month pre-settled (月度预结算结果): one line per hospital in bytes order, and the accounts."""

    terms: MonthTerms
    lines: tuple[StatementLine, ...]
    accounts: dict[Account, int]


def cash_cap(policy: ResolvedPolicy, booked_fen: int) -> int | None:
    """The cash cap of one hospital and month (月度现金上限), the lower where policy sets two; None where it sets none.

    Policy: presettlement.cash_cap_amount, presettlement.cash_cap_of_booked. Rounding: half up. Units: fen.
    """
    amount = policy.optional_fen("presettlement.cash_cap_amount")
    ratio = policy.optional_fraction("presettlement.cash_cap_of_booked")
    caps = [] if amount is None else [amount]
    if ratio is not None:
        caps.append(half_up(ratio * max(0, booked_fen)))
    return min(caps, default=None)


def presettle_month(claims: Sequence[MonthClaim], terms: MonthTerms) -> MonthRun:
    """Pre-settle one month of a pool (月度预结算).

    Policy: presettlement.*, deposit.rate. Units: fen. Rounding: gross half up of the exact S·P0·φ (or S·P0 − other
    payers); pay half up, away from zero, of exact × ratio − deductions, the exact amount being unrounded; the cash
    cap cuts, what is cut is not carried. The deposit follows the cap. Raises: BasisMismatch for a point value in fund
    yuan under S·P·φ.
    """
    if terms.point_value.basis is not Basis.TOTAL_COST:
        raise BasisMismatch(
            "月度预结算须用总费用口径的预算点值。",
            "A month is priced by a budget point value in yuan of total cost.",
        )
    per_unit = terms.point_value.fen_per_unit()
    exact = terms.point_value.exact()
    printed = Fraction(terms.point_value.printed(terms.printed_decimals)) / exact if exact else Fraction(0)
    lines = tuple(
        _month_line(claim, terms, per_unit, printed) for claim in sorted(claims, key=lambda claim: claim.hospital)
    )
    accounts = {account: sum(line.amount(account) for line in lines) for account in SUMMED}
    accounts[Account.POOL] = accounts[Account.GROSS]
    return MonthRun(terms, lines, accounts)


def _month_line(claim: MonthClaim, terms: MonthTerms, per_unit: Fraction, printed_ratio: Fraction) -> StatementLine:
    covered = claim.points * per_unit
    if terms.method is MonthMethod.SP_PHI:
        exact, printed = covered * terms.fund_ratio, half_up(covered * terms.fund_ratio * printed_ratio)
    else:
        exact, printed = covered - claim.patient_fen, half_up(covered * printed_ratio - claim.patient_fen)
    gross = half_up(exact)
    before_cap = half_up(exact * terms.prepay_ratio - claim.deductions_fen)
    cut = 0 if claim.cash_cap_fen is None else max(0, before_cap - claim.cash_cap_fen)
    cleared = before_cap - cut
    target, posting = claim.deposit_held_fen, 0
    if terms.deposit_rate:
        target = deposit_target(terms.deposit_rate, claim.earlier_cleared_fen + cleared)
        posting = target - claim.deposit_held_fen
    return StatementLine(
        hospital=claim.hospital,
        cases=claim.cases,
        points=claim.points,
        cost_fen=claim.cost_fen,
        booked_fen=claim.booked_fen,
        patient_fen=claim.patient_fen,
        fund_ratio=terms.fund_ratio if terms.method is MonthMethod.SP_PHI else Fraction(1),
        default_share_fen=gross,
        priced_share_fen=gross,
        method_share_fen=gross,
        floor_fen=0,
        gross_fen=gross,
        printed_fen=printed,
        remainder_fen=gross - printed,
        not_prepaid_fen=not_prepaid(exact, terms.prepay_ratio, claim.deductions_fen),
        deductions_fen=claim.deductions_fen,
        assessment_withheld_fen=0,
        band_withheld_fen=0,
        bonuses_fen=0,
        cash_cut_fen=cut,
        cleared_fen=cleared,
        deposit_held_before_fen=claim.deposit_held_fen,
        deposit_target_fen=target,
        deposit_withheld_fen=posting,
        deposit_posting_fen=posting,
        payable_fen=cleared - posting,
        payments_recorded_fen=0,
        offsets_fen=0,
        transfer_fen=cleared - posting,
    )


def not_prepaid(exact: Fraction, prepay_ratio: Fraction, deductions_fen: int) -> int:
    """What of the exact month amount waits for the quarter (未预付部分), by its own rule from the exact amount.

    Units: fen. Rounding: gross and pay are each half up of exact amounts; what lies between them once the deductions
    are set aside waits.

    >>> not_prepaid(Fraction(1005, 10), Fraction(1, 2), 0)
    51
    """
    return half_up(exact) - (half_up(exact * prepay_ratio - deductions_fen) + deductions_fen)
