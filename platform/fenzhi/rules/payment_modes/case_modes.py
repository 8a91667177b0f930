"""One case, one mode, one payment (一例一方式): what the mode of a case pays, by the terms in force on the day of discharge.

A mode either brings points to the pool, or is paid beside it from its own purse, or is recorded and left to another
system. What a purse holds was set aside by the budget; what goes beyond it leaves the pool before the point value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.fund.budget import SetAside
from fenzhi.rules.payment_modes.beside_points import (
    BelowStandard,
    CasePayment,
    DayBand,
    icu_supplement,
    per_diem_payment,
    per_diem_points,
    single_disease_payment,
)
from fenzhi.rules.payment_modes.mode_of_case import (
    ModeFacts,
    ModeRule,
    PaymentMode,
    asks_department,
    mode_of,
    policy_mode_rules,
)
from fenzhi.rules.payment_modes.rare_diseases import PayerLayer, SharedPayment, payer_layers, share_among_payers
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import exact_decimal, half_up
from fenzhi.rules.refusals import Conflict

PURSES = {
    PaymentMode.SINGLE_DISEASE: SetAside.SINGLE_DISEASE,
    PaymentMode.PER_DIEM: SetAside.PER_DIEM,
    PaymentMode.ITEM: SetAside.ITEM,
    PaymentMode.DIP_ICU_DAYS: SetAside.ICU_DAYS,
    PaymentMode.RARE_DISEASE: SetAside.RARE_DISEASE,
}
"""The modes paid beside the points, and what the budget sets aside for each (池外支付方式及其单列预算)."""
RECORDED = frozenset({PaymentMode.DRG, PaymentMode.CAPITATION})
"""Modes that are recorded here and settled elsewhere (仅记录的支付方式)."""


BASIC_PAYER = "basic"
"""The payer of the rare-disease table that is the basic fund of the pool (罕见病支付方中的基本医保统筹基金)."""


class Unjudged(StrEnum):
    """What a mode needs and the list does not say (无法判定的原因)."""

    DEPARTMENT = "department_unstated"  # 出院科别未填
    ICU_DAYS = "icu_days_unstated"  # 重症监护时长未填或不可读
    OWN_PAID = "own_paid_unstated"  # 个人自费未填

    @property
    def zh(self) -> str:
        """In Chinese (中文说明)."""
        return _UNJUDGED[self][0]

    @property
    def en(self) -> str:
        """In English."""
        return _UNJUDGED[self][1]


_UNJUDGED = {
    Unjudged.DEPARTMENT: (
        "支付方式按科别确定，清单未载明出院科别，无法判定，列入名单。",
        "The mode turns on the department, which the list does not state: it cannot be judged and stands on its list.",
    ),
    Unjudged.ICU_DAYS: (
        "清单未载明（或无法读取）重症监护时长，无法判定床日，按分值支付、不另计床日补充。",
        "The list states no readable ICU time: days cannot be judged; it is paid by its points, without a supplement.",
    ),
    Unjudged.OWN_PAID: (
        "罕见病分担按范围内费用计算，清单未载明个人自费，无法判定，列入名单。",
        "Rare-disease payers share what is covered, and the list does not state what the patient paid beyond it: on its list.",
    ),
}


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
    icu_day_rate_fen: int | None = None
    icu_days_included: int | None = None
    rare_layers: tuple[PayerLayer, ...] = ()
    rare_diagnoses: tuple[str, ...] = ()
    """What the principal diagnosis of a rare disease begins with (罕见病诊断)."""

    def is_rare(self, principal_diagnosis: str) -> bool:
        """Whether a principal diagnosis is one of the rare diseases (是否罕见病)."""
        return bool(principal_diagnosis) and principal_diagnosis.startswith(self.rare_diagnoses)

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
            policy.fen("payment_mode.icu_day_rate") if policy.has("payment_mode.icu_day_rate") else None,
            policy.integer("payment_mode.icu_days_included") if policy.has("payment_mode.icu_days_included") else None,
            *_rare(policy),
        )


def _rare(policy: ResolvedPolicy) -> tuple[tuple[PayerLayer, ...], tuple[str, ...]]:
    if not policy.has("rare_disease.layers"):
        return (), ()
    diagnoses = policy.list("rare_disease.diagnoses") if policy.has("rare_disease.diagnoses") else ()
    return payer_layers(policy.table("rare_disease.layers")), tuple(sorted(one for one in diagnoses if one))


@dataclass(frozen=True, slots=True)
class ModeCase:
    """A case as its mode looks at it (支付方式所看病例). Units: fen, days. `other_fen`: every payer but the basic fund; None: the list does not
    say it."""

    facts: ModeFacts
    total_fen: int
    booked_fen: int
    other_fen: int
    los_days: int
    icu_days: int | None = None
    own_paid_fen: int | None = None


@dataclass(frozen=True, slots=True)
class ModeOutcome:
    """What the mode of a case says (支付方式结果): points where they differ from its group's, a payment beside the pool, or why it cannot be
    judged."""

    mode: PaymentMode
    points: int | None = None
    payment: CasePayment | None = None
    unjudged: Unjudged | None = None
    shared: SharedPayment | None = None
    """The parts of every payer of a rare disease (罕见病各方支付)."""

    @property
    def waits(self) -> bool:
        """Whether the case stands on a list until its list says more (是否列入名单)."""
        return self.unjudged in (Unjudged.DEPARTMENT, Unjudged.OWN_PAID)

    @property
    def leaves_pool(self) -> bool:
        """Whether the case is paid beside the points instead of by them (是否退出分值分配)."""
        return self.payment is not None and not self.mode.shares_pool


def outcome_of(case: ModeCase, terms: ModeTerms, points_decimals: int) -> ModeOutcome:
    """The one mode of a case and what it pays (病例支付方式及支付额).

    Single-disease: the standard less other payers, the excess borne by the hospital. Per diem: the rates of its days are
    the fund's payment. Item: what was booked. Per-diem groups: days × points a day. ICU days: the group's points and, beside
    them, the days beyond those the score includes. Rare diseases: each payer its layer of total − own payments, the basic fund's
    layer being the fund's. Policy: payment_mode.*, rare_disease.*. Units: fen, points in 10^-d. Rounding: half up.
    Raises: NoMode, ModeTermsMissing, PatientAboveStandard.

    >>> rule = ModeRule(PaymentMode.SINGLE_DISEASE, frozenset({"K35"}))
    >>> terms = ModeTerms((rule,), {"K35": 10_000}, BelowStandard.STANDARD)
    >>> outcome_of(ModeCase(ModeFacts("K35", "primary"), 12_000, 9_000, 3_000, 5), terms, 4).payment.hospital_fen
    2000
    """
    if terms.rare_layers and terms.is_rare(case.facts.principal_diagnosis):
        return _rare_outcome(case, terms)
    if asks_department(case.facts, terms.rules):
        return ModeOutcome(PaymentMode.DIP, unjudged=Unjudged.DEPARTMENT)
    mode = mode_of(case.facts, terms.rules)
    match mode:
        case PaymentMode.RARE_DISEASE:
            return _rare_outcome(case, terms)
        case PaymentMode.DIP_ICU_DAYS:
            if terms.icu_day_rate_fen is None or terms.icu_days_included is None:
                raise _missing(mode, case.facts.group_code)
            if case.icu_days is None:
                return ModeOutcome(mode, unjudged=Unjudged.ICU_DAYS)
            fund = icu_supplement(case.icu_days, terms.icu_days_included, terms.icu_day_rate_fen)
            # The cost stays with the points that pay it; what comes beside them is the hospital's.
            return ModeOutcome(mode, payment=CasePayment(0, fund, 0) if fund else None)
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


def _rare_outcome(case: ModeCase, terms: ModeTerms) -> ModeOutcome:
    mode = PaymentMode.RARE_DISEASE
    if BASIC_PAYER not in {layer.payer for layer in terms.rare_layers}:
        raise _missing(mode, case.facts.group_code)
    if case.own_paid_fen is None or not 0 <= case.own_paid_fen <= case.total_fen:
        return ModeOutcome(mode, unjudged=Unjudged.OWN_PAID)
    shared = share_among_payers(case.total_fen, case.total_fen - case.own_paid_fen, terms.rare_layers)
    fund = sum(part for payer, part in shared.payers if payer == BASIC_PAYER)
    return ModeOutcome(mode, payment=CasePayment(case.total_fen, fund, case.total_fen - fund), shared=shared)


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
    """Whether every case of these agreements is paid by its points (是否全部按病种分值): then no case need be asked. Rare diseases are another
    question (`ModeTerms.rare_layers`).
    """
    had = set(agreement_modes)
    return all(
        rule.mode is PaymentMode.DIP or (rule.agreement_modes and not rule.agreement_modes & had) for rule in rules
    )
