"""Points of complete and incomplete stays (完整与不完整住院点数): a method of points by group means, kept for comparison."""

from __future__ import annotations

from fractions import Fraction


def stay_points(
    group_mean: Fraction,
    area_mean: Fraction,
    scale: int,
    coefficient: Fraction,
    incomplete_cost: Fraction | None = None,
) -> Fraction:
    """group mean ÷ area mean × scale × coefficient (基准点数); an incomplete stay takes its share of cost, at most all of it.

    Raises: ValueError for a mean at or below zero or a negative cost.

    >>> stay_points(Fraction(12000), Fraction(10000), 100, Fraction(1), Fraction(6000))
    Fraction(60, 1)
    """
    if group_mean <= 0 or area_mean <= 0 or (incomplete_cost is not None and incomplete_cost < 0):
        raise ValueError("means above zero and a cost are needed")
    base = group_mean / area_mean * scale * coefficient
    return base if incomplete_cost is None else base * min(Fraction(1), incomplete_cost / group_mean)
