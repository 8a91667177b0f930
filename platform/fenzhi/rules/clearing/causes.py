"""Why a result changed (变动原因): the causes in one fixed order, each the difference of two full runs.

Between two results many things differ at once. They are replaced one after another, always in the same order, and the
pool is cleared anew each time; a cause is what its own replacement changed. The order is a convention, but since it is
fixed nobody can choose the one that flatters, and the causes add up to the change to the fen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterRun, QuarterTerms, clear_quarter
from fenzhi.rules.clearing.statement import DRAWN_OR_RETURNED, Account
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import InvariantBroken

State = TypeVar("State")
CAUSES_ADD_UP = "the causes add up to the change"


class Cause(StrEnum):
    """What changed (变动原因), in the order in which it is asked."""

    LISTS = "lists"  # 迟报与更正清单
    GROUP = "group"  # 入组
    COEFFICIENT = "coefficient"  # 系数
    BUDGET = "budget"  # 预算（含随之浮动的点值）
    POINT_VALUE = "point_value"  # 点值方式、模式或口径
    PHI = "phi"  # 支付比例
    SPECIAL_CASES = "special_cases"  # 特例单议
    DEDUCTION = "deduction"  # 审核扣款
    BANDS = "bands"  # 结余留用与超支分担
    ASSESSMENT = "assessment"  # 考核
    PREPAY = "prepay"  # 预付比例与现金上限
    DEPOSIT = "deposit"  # 质量保证金

    @property
    def zh(self) -> str:
        return _ZH[self]


ORDER = tuple(Cause)
"""The fixed order of causes (固定次序)."""

_ZH = {
    Cause.LISTS: "迟报与更正清单",
    Cause.GROUP: "入组",
    Cause.COEFFICIENT: "系数",
    Cause.BUDGET: "预算",
    Cause.POINT_VALUE: "点值方式",
    Cause.PHI: "支付比例",
    Cause.SPECIAL_CASES: "特例单议",
    Cause.DEDUCTION: "审核扣款",
    Cause.BANDS: "结余留用与超支分担",
    Cause.ASSESSMENT: "考核",
    Cause.PREPAY: "预付比例与现金上限",
    Cause.DEPOSIT: "质量保证金",
}


@dataclass(frozen=True, slots=True)
class Changes:
    """What each cause changed, per key (逐项变动). Units: fen; a key absent from a result counts 0.

    `by_cause` holds every cause of the order, zeros included.
    """

    before: Mapping[str, int]
    after: Mapping[str, int]
    by_cause: Mapping[Cause, Mapping[str, int]]

    def of(self, key: str) -> dict[Cause, int]:
        """The causes of one key that changed it, in order (一家机构的变动)."""
        return {cause: found[key] for cause, found in self.by_cause.items() if found.get(key, 0)}

    def totals(self) -> dict[Cause, int]:
        """Σ over all keys (合计)."""
        return {cause: sum(found.values()) for cause, found in self.by_cause.items()}


def changes_by_cause(
    before: State,
    after: State,
    steps: Mapping[Cause, Callable[[State, State], State]],
    evaluate: Callable[[State], Mapping[str, int]],
) -> Changes:
    """The change between two states, cause by cause (变动归因).

    `steps[cause](current, after)` gives the state with what belongs to that cause taken from `after`; `evaluate` is a
    full run. A cause without a step changes nothing. Units: fen. Raises: InvariantBroken CAUSES_ADD_UP when the steps
    together do not lead to `after`, naming the key.
    """
    first = dict(evaluate(before))
    last = dict(evaluate(after))
    keys = sorted({*first, *last})
    current, held = before, first
    by_cause: dict[Cause, Mapping[str, int]] = {}
    for cause in ORDER:
        found = held
        if cause in steps:
            current = steps[cause](current, after)
            found = dict(evaluate(current))
        by_cause[cause] = {key: found.get(key, 0) - held.get(key, 0) for key in sorted({*keys, *found, *held})}
        held = found
    for key in sorted({*keys, *held}):
        if held.get(key, 0) != last.get(key, 0):
            raise InvariantBroken(CAUSES_ADD_UP, account=key, unexplained_fen=last.get(key, 0) - held.get(key, 0))
    return Changes(first, last, by_cause)


@dataclass(frozen=True, slots=True)
class ClearedCase:
    """A case as its list gives it (病例). Units: fen."""

    hospital: str
    cost_fen: int
    booked_fen: int
    patient_fen: int = 0


@dataclass(frozen=True, slots=True)
class HospitalTerms:
    """What a hospital brings besides its cases (机构其他数据). Units: fen; the year's terms of the run."""

    deductions_fen: int = 0
    band_withheld_fen: int = 0
    bonuses_fen: int = 0
    assessment_coefficient: Fraction = Fraction(1)
    fixed_points: int = 0


@dataclass(frozen=True, slots=True)
class ClearingInputs:
    """Everything a cumulative run is made of, each part under its cause (归因用运算输入).

    `cases`: by case id. `scores`: of the group, in 10^-d points, and `multipliers`: all coefficients of the case in one
    fraction, by case id; points = half up(score × multiplier). `special_points`: points that a review gave instead.
    `off_pool_fen`: what reviews and other payers take from the fund; `left`: cases that left with it.
    """

    cases: Mapping[str, ClearedCase]
    scores: Mapping[str, int]
    multipliers: Mapping[str, Fraction]
    fund_fen: int
    points_decimals: int
    terms: QuarterTerms = field(default_factory=QuarterTerms)
    hospitals: Mapping[str, HospitalTerms] = field(default_factory=dict)
    special_points: Mapping[str, int] = field(default_factory=dict)
    off_pool_fen: int = 0
    left: frozenset[str] = frozenset()
    payments_recorded_fen: Mapping[str, int] = field(default_factory=dict)

    def claims(self) -> list[QuarterClaim]:
        """One claim per hospital, from the cases that share the fund (机构申报)."""
        sums: dict[str, list[int]] = {code: [0, 0, 0, 0, 0] for code in self.hospitals}
        for case_id, case in self.cases.items():
            if case_id in self.left:
                continue
            points = self.special_points.get(case_id)
            if points is None:
                points = half_up(self.scores[case_id] * self.multipliers[case_id])
            held = sums.setdefault(case.hospital, [0, 0, 0, 0, 0])
            for place, amount in enumerate((1, points, case.cost_fen, case.booked_fen, case.patient_fen)):
                held[place] += amount
        empty = HospitalTerms()
        claims: list[QuarterClaim] = []
        for code in sorted(sums):
            own = self.hospitals.get(code, empty)
            cases, points, cost_fen, booked_fen, patient_fen = sums[code]
            claims.append(
                QuarterClaim(
                    code,
                    cases,
                    points,
                    cost_fen,
                    booked_fen,
                    patient_fen,
                    deductions_fen=own.deductions_fen,
                    assessment_coefficient=own.assessment_coefficient,
                    band_withheld_fen=own.band_withheld_fen,
                    bonuses_fen=own.bonuses_fen,
                    payments_recorded_fen=self.payments_recorded_fen.get(code, 0),
                    fixed_points=own.fixed_points,
                )
            )
        return claims

    def run(self) -> QuarterRun:
        """The full run of these inputs (完整运算). Raises: as `clear_quarter`."""
        return clear_quarter(self.fund_fen - self.off_pool_fen, self.points_decimals, self.claims(), self.terms)


def payable_by_hospital(inputs: ClearingInputs) -> dict[str, int]:
    """Payable of every hospital of a full run (各机构应拨付). Units: fen."""
    return {line.hospital: line.payable_fen for line in inputs.run().lines}


def explain_change(
    before: ClearingInputs,
    after: ClearingInputs,
    evaluate: Callable[[ClearingInputs], Mapping[str, int]] = payable_by_hospital,
) -> Changes:
    """The change of a cumulative run since another one, cause by cause (季度变动归因).

    A case that was not in `before` enters under LISTS with its later group and coefficient; one that is corrected
    changes cost and payers there. Budget includes the float of the point value that follows it. Units: fen.
    Raises: InvariantBroken when a cause is missing; as `clear_quarter`.
    """
    if before.points_decimals != after.points_decimals:
        raise InvariantBroken("both runs count points in the same unit")
    return changes_by_cause(before, after, STEPS, evaluate)


def _lists(now: ClearingInputs, after: ClearingInputs) -> ClearingInputs:
    return replace(
        now,
        cases=after.cases,
        scores={case_id: now.scores.get(case_id, after.scores[case_id]) for case_id in after.scores},
        multipliers={
            case_id: now.multipliers.get(case_id, after.multipliers[case_id]) for case_id in after.multipliers
        },
    )


def _shares(now: ClearingInputs, after: ClearingInputs) -> ClearingInputs:
    return replace(now, terms=replace(now.terms, shares=after.terms.shares))


def _hospital_part(name: str) -> Callable[[ClearingInputs, ClearingInputs], ClearingInputs]:
    def taken(now: ClearingInputs, after: ClearingInputs) -> ClearingInputs:
        codes = {*now.hospitals, *after.hospitals}
        empty = HospitalTerms()
        parts = {
            code: replace(now.hospitals.get(code, empty), **{name: getattr(after.hospitals.get(code, empty), name)})
            for code in codes
        }
        return replace(now, hospitals=parts)

    return taken


_baseline, _deduction = _hospital_part("fixed_points"), _hospital_part("deductions_fen")
_withheld, _bonuses = _hospital_part("band_withheld_fen"), _hospital_part("bonuses_fen")
_coefficient = _hospital_part("assessment_coefficient")


def _price(now: ClearingInputs, after: ClearingInputs) -> ClearingInputs:
    return replace(_baseline(now, after), terms=replace(now.terms, price=after.terms.price))


def _special(now: ClearingInputs, after: ClearingInputs) -> ClearingInputs:
    return replace(now, special_points=after.special_points, off_pool_fen=after.off_pool_fen, left=after.left)


def _assessment(now: ClearingInputs, after: ClearingInputs) -> ClearingInputs:
    terms = replace(
        now.terms, assessment_place=after.terms.assessment_place, assessment_base=after.terms.assessment_base
    )
    return replace(_coefficient(now, after), terms=terms)


def _paid(now: ClearingInputs, after: ClearingInputs) -> ClearingInputs:
    return replace(now, payments_recorded_fen=after.payments_recorded_fen)


def _deposit(now: ClearingInputs, after: ClearingInputs) -> ClearingInputs:
    # The last cause takes whatever is left of the terms, so that nothing stays behind unnamed.
    return replace(now, terms=after.terms, hospitals=after.hospitals)


STEPS: Mapping[Cause, Callable[[ClearingInputs, ClearingInputs], ClearingInputs]] = {
    Cause.LISTS: _lists,
    Cause.GROUP: lambda now, after: replace(now, scores=after.scores),
    Cause.COEFFICIENT: lambda now, after: replace(now, multipliers=after.multipliers),
    Cause.BUDGET: lambda now, after: replace(now, fund_fen=after.fund_fen),
    Cause.POINT_VALUE: _price,
    Cause.PHI: _shares,
    Cause.SPECIAL_CASES: _special,
    Cause.DEDUCTION: _deduction,
    Cause.BANDS: lambda now, after: _bonuses(_withheld(now, after), after),
    Cause.ASSESSMENT: _assessment,
    Cause.PREPAY: _paid,
    Cause.DEPOSIT: _deposit,
}
"""What each cause replaces in the inputs of a quarter (各原因替换的输入)."""


def unexplained_change(before: QuarterRun, after: QuarterRun) -> int:
    """Σ Δ payable + Σ Δ accounts + Δ(−fund) of two runs, 0 by law (两次运算的差额守恒).

    Every fen the fund gained lies in a payable, in an account of the first identity, or withheld below gross.
    """
    return _placed(after) - _placed(before)


def _placed(run: QuarterRun) -> int:
    held = (Account.PAYABLE, Account.DEPOSIT, Account.DEDUCTIONS, Account.ASSESSMENT, Account.BANDS)
    inside = sum(run.accounts[account] for account in (*held, *DRAWN_OR_RETURNED))
    return inside - run.accounts[Account.BONUSES] - run.accounts[Account.POOL]
