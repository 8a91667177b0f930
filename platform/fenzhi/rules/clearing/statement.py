"""The statement of one hospital and the accounts of one run (结算单与账户).

A statement is read from the top: what the points earned, what was taken and why, what is owed, what was already paid,
what is transferred. Every line below gross belongs to a named account, so that a fen that is not with the hospital is
somewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from fractions import Fraction


class Account(StrEnum):
    """The named accounts of a run (账户)."""

    POOL = "pool"
    GROSS = "gross"
    PHI = "phi"
    PHI_CAP_EXCESS = "phi_cap_excess"
    ROUNDING = "rounding"
    POINT_VALUE = "point_value"
    CAP_EXCESS = "cap_excess"
    FLOOR = "floor"
    NOT_PREPAID = "not_prepaid"
    DEDUCTIONS = "deductions"
    ASSESSMENT = "assessment"
    BANDS = "bands"
    BONUSES = "bonuses"
    CASH_CUT = "cash_cut"
    DEPOSIT = "deposit"
    PAYABLE = "payable"
    PAYMENTS = "payments"
    OFFSETS = "offsets"
    TRANSFER = "transfer"

    @property
    def zh(self) -> str:
        return _ZH[self]


_ZH = {
    Account.POOL: "可分配基金",
    Account.GROSS: "应付合计",
    Account.PHI: "支付比例调节账户",
    Account.PHI_CAP_EXCESS: "支付比例调节账户超限部分",
    Account.ROUNDING: "点值尾差账户",
    Account.POINT_VALUE: "点值差额账户",
    Account.CAP_EXCESS: "点值封顶结余账户",
    Account.FLOOR: "病例保底账户",
    Account.NOT_PREPAID: "未预付部分",
    Account.DEDUCTIONS: "审核扣款",
    Account.ASSESSMENT: "考核扣减",
    Account.BANDS: "分担扣减",
    Account.BONUSES: "奖励",
    Account.CASH_CUT: "现金上限削减",
    Account.DEPOSIT: "质量保证金",
    Account.PAYABLE: "应拨付",
    Account.PAYMENTS: "已拨付",
    Account.OFFSETS: "往年应收抵扣",
    Account.TRANSFER: "本次拨付",
}

DRAWN_OR_RETURNED = (
    Account.POINT_VALUE,
    Account.CAP_EXCESS,
    Account.PHI,
    Account.PHI_CAP_EXCESS,
    Account.FLOOR,
    Account.ROUNDING,
)
"""The accounts of the first identity: a negative total is a draw, a positive one a return."""


@dataclass(frozen=True, slots=True)
class StatementLine:
    """What one hospital is owed by one run, step by step (机构结算单). Units: fen; points in 10^-d; all terms of the run's span.

    First identity uses `gross_fen`; second: gross = payable + deposit withheld + deductions + assessment + bands −
    bonuses + not prepaid + cash cut.
    """

    hospital: str
    cases: int
    points: int
    cost_fen: int
    booked_fen: int
    patient_fen: int
    fund_ratio: Fraction
    """φ of the share method, exact: the pool's by default, else the hospital's own (所用支付比例)."""
    default_share_fen: int
    """Of the pool's fund by points (按分值分摊额)."""
    priced_share_fen: int
    """At the point-value method; the default share under a floating point value (按点值方式应得额)."""
    method_share_fen: int
    floor_fen: int
    """What lifts cases to their floor, within gross (病例保底补足额)."""
    gross_fen: int
    printed_fen: int
    """Printed P × S × φ, half up (按公布点值计算); when shares were renormalised or short, times that same factor."""
    remainder_fen: int
    """gross − printed (尾差)."""
    not_prepaid_fen: int
    deductions_fen: int
    assessment_withheld_fen: int
    band_withheld_fen: int
    bonuses_fen: int
    cash_cut_fen: int
    cleared_fen: int
    deposit_held_before_fen: int
    deposit_target_fen: int
    deposit_withheld_fen: int
    """What the second identity counts: the target in a cumulative run, the posting in any other."""
    deposit_posting_fen: int
    """Target − already held: what this run withholds, or returns when negative."""
    payable_fen: int
    payments_recorded_fen: int
    offsets_fen: int
    transfer_fen: int
    """payable − payments recorded − offsets; negative: the hospital owes it. Never clipped."""

    def amount(self, account: Account) -> int:
        """What the line brings to an account (该行记入账户的金额)."""
        match account:
            case Account.POINT_VALUE | Account.CAP_EXCESS:
                return self.default_share_fen - self.priced_share_fen
            case Account.PHI | Account.PHI_CAP_EXCESS:
                return self.priced_share_fen - self.method_share_fen
            case Account.FLOOR:
                return -self.floor_fen
            case Account.ROUNDING:
                return self.method_share_fen + self.floor_fen - self.gross_fen
            case Account.POOL:
                return self.default_share_fen
            case _:
                return int(getattr(self, _AMOUNTS[account]))


_AMOUNTS = {
    Account.GROSS: "gross_fen",
    Account.NOT_PREPAID: "not_prepaid_fen",
    Account.DEDUCTIONS: "deductions_fen",
    Account.ASSESSMENT: "assessment_withheld_fen",
    Account.BANDS: "band_withheld_fen",
    Account.BONUSES: "bonuses_fen",
    Account.CASH_CUT: "cash_cut_fen",
    Account.DEPOSIT: "deposit_withheld_fen",
    Account.PAYABLE: "payable_fen",
    Account.PAYMENTS: "payments_recorded_fen",
    Account.OFFSETS: "offsets_fen",
    Account.TRANSFER: "transfer_fen",
}
SUMMED = tuple(_AMOUNTS)
"""The accounts whose total is the plain sum of their lines."""


@dataclass(frozen=True, slots=True)
class PostedAmounts:
    """What runs of the year have posted for one hospital (已入账金额). Units: fen.

    A cumulative run posts `PostedAmounts.of(line) - earlier`: only the difference to the earlier runs of the year.
    """

    gross_fen: int = 0
    deductions_fen: int = 0
    assessment_withheld_fen: int = 0
    band_withheld_fen: int = 0
    bonuses_fen: int = 0
    deposit_withheld_fen: int = 0
    payable_fen: int = 0
    offsets_fen: int = 0

    @classmethod
    def of(cls, line: StatementLine) -> PostedAmounts:
        """The amounts a line stands for (结算单金额)."""
        return cls(**{field.name: int(getattr(line, field.name)) for field in fields(cls)})

    def __sub__(self, earlier: PostedAmounts) -> PostedAmounts:
        pairs = {field.name: getattr(self, field.name) - getattr(earlier, field.name) for field in fields(self)}
        return PostedAmounts(**pairs)

    def __add__(self, other: PostedAmounts) -> PostedAmounts:
        pairs = {field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        return PostedAmounts(**pairs)
