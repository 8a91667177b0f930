"""What a review means for money (特例单议结果入账): points inside the pool, or yuan beside it.

In score: what was awarded in yuan becomes points once, at the frozen budget point value, and the case stays in the pool
with its new points. Off pool: the fund loses the approved payment, and the case leaves with its points, cost and booked
amount. Either way it enters the year of its discharge once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fenzhi.rules.point_value.point_value import Basis, BasisMismatch, PointValue
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import Conflict


class SpecialFunding(StrEnum):
    """Where a special case is paid from (特例单议资金来源)."""

    IN_SCORE = "in_score"  # 折算分值，参与分配
    OFF_POOL = "off_pool"  # 池外支付


class OutcomeTwice(Conflict):
    """An outcome that has entered a year already (特例单议结果重复入账)."""

    code = "SPECIAL_CASE_ENTERED_TWICE"


@dataclass(frozen=True, slots=True)
class SpecialOutcome:
    """An approved outcome (特例单议结果). Units: fen, points in 10^-d.

    `award_fen`: what the panel says the case is worth: total cost for in score, the fund's payment for off pool.
    """

    case_id: str
    year: int
    award_fen: int


@dataclass(frozen=True, slots=True)
class PoolCase:
    """A case of the pool as it stands before the review (池内病例). Units: fen, points in 10^-d."""

    hospital: str
    points: int
    cost_fen: int
    booked_fen: int


@dataclass(frozen=True, slots=True)
class SpecialEffect:
    """What the outcomes of a year change in its pool (特例单议对基金池的影响). Units: fen, points in 10^-d.

    `points`: new points by case that stays; `left`: cases that leave; `off_pool_fen`: by case, what the fund loses.
    """

    points: Mapping[str, int]
    left: Mapping[str, PoolCase]
    off_pool_fen: Mapping[str, int]

    @property
    def fund_leaves_fen(self) -> int:
        """What leaves the fund before the point value (池外支付合计)."""
        return sum(self.off_pool_fen.values())


def award_points(award_fen: int, budget: PointValue) -> int:
    """Yuan awarded as points, once, at the frozen budget point value (折算分值).

    Policy: special_case.funding in_score. Units: fen to points in 10^-d. Rounding: half up. Raises: BasisMismatch
    unless the budget point value is in yuan of total cost, as the award is.

    >>> from fractions import Fraction
    >>> award_points(100_000, PointValue.stated(Fraction(10), 0))
    100
    """
    if budget.basis is not Basis.TOTAL_COST:
        raise BasisMismatch(
            "特例单议金额按总费用口径，须用总费用口径的预算点值折算。",
            "An award is in yuan of total cost: it needs a budget point value of that basis.",
        )
    return half_up(award_fen / budget.fen_per_unit())


def apply_outcomes(
    outcomes: Iterable[SpecialOutcome],
    cases: Mapping[str, PoolCase],
    funding: SpecialFunding,
    budget: PointValue,
    *,
    year: int,
    entered: Iterable[str] = (),
) -> SpecialEffect:
    """The outcomes of one year in its pool (特例单议结果入账), each once; those of other years are left alone.

    `entered`: cases whose outcome an earlier run of the year holds from another application. A cumulative run passes
    every outcome of the year again and none here. Policy: special_case.funding. Raises: OutcomeTwice, BasisMismatch;
    KeyError for a case that is not in the pool.
    """
    seen = set(entered)
    points: dict[str, int] = {}
    left: dict[str, PoolCase] = {}
    off_pool: dict[str, int] = {}
    for outcome in sorted(outcomes, key=lambda one: one.case_id):
        if outcome.year != year:
            continue
        if outcome.case_id in seen:
            raise OutcomeTwice(
                f"病例 {outcome.case_id} 的特例单议结果已入账。",
                f"The outcome of case {outcome.case_id} has entered already.",
                case_id=outcome.case_id,
            )
        seen.add(outcome.case_id)
        case = cases[outcome.case_id]
        if funding is SpecialFunding.IN_SCORE:
            points[outcome.case_id] = award_points(outcome.award_fen, budget)
        else:
            left[outcome.case_id] = case
            off_pool[outcome.case_id] = outcome.award_fen
    return SpecialEffect(points, left, off_pool)


@dataclass(frozen=True, slots=True)
class SpecialStatistics:
    """What is published of the reviews of a period (特例单议公开统计). Units: cases, fen, exact shares."""

    applied: int
    admitted: int
    passed: int
    discharges: int
    paid_fen: int
    fund_paid_fen: int

    def per_mille_of_discharges(self) -> tuple[int, int]:
        """Admitted over discharges, as numerator and denominator (占出院病例比例)."""
        return self.admitted, self.discharges

    def share_of_fund(self) -> tuple[int, int]:
        """Paid over fund paid, as numerator and denominator (占基金支出比例)."""
        return self.paid_fen, self.fund_paid_fen
