"""One case, one mode, one payment (一例一方式): what the mode of a case pays, by the terms in force on the day of discharge.

A mode either brings points to the pool, or is paid beside it from its own purse, or is recorded and left to another
system. What a purse holds was set aside by the budget; what goes beyond it leaves the pool before the point value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from fenzhi.rules.fund.budget import SetAside
from fenzhi.rules.payment_modes.beside_points import (
    BelowStandard,
    CasePayment,
    DayBand,
    per_diem_payment,
    per_diem_points,
    single_disease_payment,
)
from fenzhi.rules.payment_modes.mode_of_case import ModeFacts, ModeRule, PaymentMode, mode_of, policy_mode_rules
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import exact_decimal, half_up
from fenzhi.rules.refusals import Conflict

PURSES = {
    PaymentMode.SINGLE_DISEASE: SetAside.SINGLE_DISEASE,
    PaymentMode.PER_DIEM: SetAside.PER_DIEM,
    PaymentMode.ITEM: SetAside.ITEM,
}
"""The modes paid beside the points, and what the budget sets aside for each (池外支付方式及其单列预算)."""
RECORDED = frozenset({PaymentMode.DRG, PaymentMode.CAPITATION})
"""Modes that are recorded here and settled elsewhere (仅记录的支付方式)."""


class ModeTermsMissing(Conflict):
    """A case of a mode whose standard nobody entered (支付方式缺少标准)."""

    code = "PAYMENT_MODE_TERMS_MISSING"


@dataclass(frozen=True, slots=True)
class ModeTerms:
    """What the modes need, as in force on a day (支付方式口径). Units: fen; points a day in whole points."""

    rules: tuple[ModeRule, ...]
    standards: Mapping[str, int] = field(default_factory=dict)
    below: BelowStandard | None = None
    day_bands: tuple[DayBand, ...] = ()
    points_a_day: Mapping[str, Fraction] = field(default_factory=dict)

    @classmethod
    def from_policy(cls, policy: ResolvedPolicy) -> ModeTerms:
        """The terms of the policy resolved for a day of discharge (按策略确定支付方式口径). Raises: as `policy_mode_rules`."""

        def amounts(key: str) -> dict[str, Decimal]:
            pairs = policy.map(key) if policy.has(key) else {}
            return {code: exact_decimal(text) for code, text in pairs.items()}

        rates = policy.table("payment_mode.per_diem_rates") if policy.has("payment_mode.per_diem_rates") else ()
        below = (
            policy.method("payment_mode.single_disease_below")
            if policy.has("payment_mode.single_disease_below")
            else ""
        )
        return cls(
            policy_mode_rules(policy),
            {
                code: half_up(Fraction(yuan) * 100)
                for code, yuan in amounts("payment_mode.single_disease_standards").items()
            },
            BelowStandard(below) if below else None,
            tuple(DayBand(int(row["from_day"]), half_up(Fraction(exact_decimal(row["rate"])) * 100)) for row in rates),
            {code: Fraction(points) for code, points in amounts("payment_mode.per_diem_points").items()},
        )


@dataclass(frozen=True, slots=True)
class ModeCase:
    """A case as its mode looks at it (支付方式所看病例). Units: fen, days. `other_fen`: every payer but the basic fund."""

    facts: ModeFacts
    total_fen: int
    booked_fen: int
    other_fen: int
    los_days: int


@dataclass(frozen=True, slots=True)
class ModeOutcome:
    """What the mode of a case says (支付方式结果): points where they differ from its group's, or a payment beside the pool."""

    mode: PaymentMode
    points: int | None = None
    payment: CasePayment | None = None


def outcome_of(case: ModeCase, terms: ModeTerms, points_decimals: int) -> ModeOutcome:
    """The one mode of a case and what it pays (病例支付方式及支付额).

    Single-disease: the standard less other payers, the excess borne by the hospital. Per diem: the rates of its days are
    the fund's payment. Item: what was booked. Per-diem groups: days × points a day. Policy: payment_mode.*. Units: fen,
    points in 10^-d. Rounding: half up. Raises: NoMode, ModeTermsMissing, PatientAboveStandard.

    >>> rule = ModeRule(PaymentMode.SINGLE_DISEASE, frozenset({"K35"}))
    >>> terms = ModeTerms((rule,), {"K35": 10_000}, BelowStandard.STANDARD)
    >>> outcome_of(ModeCase(ModeFacts("K35", "primary"), 12_000, 9_000, 3_000, 5), terms, 4).payment.hospital_fen
    2000
    """
    mode = mode_of(case.facts, terms.rules)
    match mode:
        case PaymentMode.SINGLE_DISEASE:
            standard = terms.standards.get(case.facts.group_code)
            if standard is None or terms.below is None:
                raise _missing(mode, case.facts.group_code)
            payment = single_disease_payment(case.total_fen, case.other_fen, standard, terms.below)
            return ModeOutcome(mode, payment=payment)
        case PaymentMode.PER_DIEM:
            if not terms.day_bands:
                raise _missing(mode, case.facts.group_code)
            fund = per_diem_payment(case.los_days, terms.day_bands)
            return ModeOutcome(mode, payment=CasePayment(case.total_fen, fund, case.other_fen))
        case PaymentMode.ITEM:
            return ModeOutcome(mode, payment=CasePayment(case.total_fen, case.booked_fen, case.other_fen))
        case PaymentMode.PER_DIEM_POINTS:
            a_day = terms.points_a_day.get(case.facts.group_code)
            if a_day is None:
                raise _missing(mode, case.facts.group_code)
            return ModeOutcome(mode, per_diem_points(case.los_days, half_up(a_day * 10**points_decimals)))
        case _:
            return ModeOutcome(mode)


def _missing(mode: PaymentMode, group_code: str) -> ModeTermsMissing:
    return ModeTermsMissing(
        f"支付方式 {mode.value} 缺少标准（病种 {group_code or '未入组'}）。",
        f"Mode {mode.value} has no standard (group {group_code or 'none'}).",
        hint="在策略 payment_mode.* 中录入标准 / enter the standard under payment_mode.*",
        mode=mode.value,
        group=group_code,
    )


@dataclass(frozen=True, slots=True)
class Purse:
    """One purse of a run (单列资金). Units: fen. paid = from what was set aside + from the pool's fund."""

    set_aside: SetAside
    paid_fen: int
    set_aside_fen: int

    @property
    def from_pool_fen(self) -> int:
        """What goes beyond the purse and leaves the pool before the point value (超出单列、先于点值扣除)."""
        return max(0, self.paid_fen - self.set_aside_fen)


def purses(paid: Mapping[PaymentMode, int], set_asides: Mapping[str, int]) -> tuple[Purse, ...]:
    """The purses of the modes that paid something, in order of name (各单列资金). Units: fen.

    What a budget sets aside has left the DIP fund already: only what is paid beyond it leaves the fund again, so that
    nothing is paid twice and nothing unpaid.
    """
    found = [Purse(PURSES[mode], fen, set_asides.get(PURSES[mode].value, 0)) for mode, fen in paid.items()]
    return tuple(sorted(found, key=lambda purse: purse.set_aside.value))


def is_plain(rules: Iterable[ModeRule], agreement_modes: Iterable[str]) -> bool:
    """Whether every case of these agreements is paid by its points (是否全部按病种分值): then no case need be asked."""
    had = set(agreement_modes)
    return all(
        rule.mode is PaymentMode.DIP or (rule.agreement_modes and not rule.agreement_modes & had) for rule in rules
    )
