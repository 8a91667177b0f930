"""The budget point value (预算点值): what a point cost in the three years before.

Each year's total cost and total points are weighted, the nearest year most, and divided once. It prices the months
before the year is closed; the settlement point value replaces it when the fund is shared.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from fenzhi.rules.point_value.point_value import Basis, NoCases, NoPoints, PointValue


@dataclass(frozen=True, slots=True)
class HistoryYear:
    """Cost and points of one year of history, regrouped under the edition it prices (历史年度). Units: fen; 10^-d points."""

    year: int
    cost_fen: int
    points: int


@dataclass(frozen=True, slots=True)
class BudgetPointValue:
    """The budget point value with the sums behind it (预算点值及其构成).

    `point_value` holds the weighted sums in whole numbers, not divided by the weights; φ is 1, because history prices
    cost.
    """

    point_value: PointValue
    weights: tuple[Fraction, ...]
    years: tuple[HistoryYear, ...]

    def weighted_cost_fen(self) -> Fraction:
        """Σ weight × cost / Σ weight, in fen (加权总费用)."""
        costs = (weight * year.cost_fen for weight, year in zip(self.weights, self.years, strict=True))
        return sum(costs, Fraction(0)) / sum(self.weights)

    def weighted_points(self) -> Fraction:
        """Σ weight × points / Σ weight, in whole points (加权总分值)."""
        points = (weight * year.points for weight, year in zip(self.weights, self.years, strict=True))
        return sum(points, Fraction(0)) / sum(self.weights) / Fraction(10**self.point_value.points_decimals)


def budget_point_value(
    years: Sequence[HistoryYear], weights: Sequence[Fraction], points_decimals: int
) -> BudgetPointValue:
    """Σ weight × cost / Σ weight × points of the history years (预算点值).

    Policy: point_value.budget_weights, oldest year first. Units: fen and 10^-d points; the quotient is unrounded.
    A year without cases simply adds nothing. With fewer years than weights the nearest years keep their weights.
    Raises: NoCases without history, NoPoints when the points add up to 0; ValueError for more years than weights, or
    years not in order.
    """
    if len(years) > len(weights):
        raise ValueError("more years than weights")
    if any(before.year >= after.year for before, after in itertools.pairwise(years)):
        raise ValueError("history years must run from the oldest to the nearest")
    used = tuple(Fraction(weight) for weight in weights[len(weights) - len(years) :])
    if not any(year.cost_fen or year.points for year in years):
        raise NoCases("没有历史病例，无法测算预算点值。", "There are no history cases for a budget point value.")
    scale = lcm(*(weight.denominator for weight in used))
    whole = [int(weight * scale) for weight in used]
    cost = sum(weight * year.cost_fen for weight, year in zip(whole, years, strict=True))
    points = sum(weight * year.points for weight, year in zip(whole, years, strict=True))
    if points == 0:
        raise NoPoints("历史分值合计为 0，无法测算预算点值。", "The history points add up to 0.")
    return BudgetPointValue(PointValue(cost, cost, cost, points, points_decimals, Basis.TOTAL_COST), used, tuple(years))
