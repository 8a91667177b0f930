"""Cost outliers against the payment standard (以支付标准判定费用异常, 3.0 征求意见稿).

The reference is the payment standard itself, score × point value × coefficients. The point value must be frozen before the year
(the budget point value), or the band of a case would depend on the total it helps to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from fenzhi.rules.scoring.cost_outliers import CostBand


@dataclass(frozen=True, slots=True)
class StandardLines:
    """Low and high and extreme line (界限), as shares of the payment standard. High includes its line (money-rules 12)."""

    low: Fraction
    high: Fraction
    extreme: Fraction


@dataclass(frozen=True, slots=True)
class StandardOutlier:
    """A case against its payment standard (判定结果). High and extreme cases are scored as normal and open to review."""

    band: CostBand
    ratio: Fraction
    case_score: Fraction

    @property
    def reviewable(self) -> bool:
        """May the hospital apply for special-case review (可否申请特例单议)?"""
        return self.band in (CostBand.HIGH, CostBand.EXTREME)


def standard_outlier(
    score: Fraction, adjustment: Fraction, point_value: Fraction, cost: Fraction, lines: StandardLines
) -> StandardOutlier:
    """Band and score of a case (判定与计分), exact. A low case scores its cost over the point value: its actual cost is paid.

    Units: `point_value` and `cost` in the same money. Raises: ValueError for a standard at or below zero or a negative cost.

    >>> lines = StandardLines(Fraction(1, 2), Fraction(2), Fraction(3))
    >>> standard_outlier(Fraction(1000), Fraction(9, 10), Fraction(10), Fraction(3600), lines).case_score
    Fraction(360, 1)
    """
    standard = score * adjustment * point_value
    if standard <= 0 or cost < 0:
        raise ValueError("a payment standard above zero and a cost are needed")
    ratio = cost / standard
    normal = score * adjustment
    if ratio < lines.low:
        return StandardOutlier(CostBand.LOW, ratio, normal * ratio)
    if ratio > lines.extreme:
        return StandardOutlier(CostBand.EXTREME, ratio, normal)
    return StandardOutlier(CostBand.HIGH if ratio >= lines.high else CostBand.NORMAL, ratio, normal)
