"""When related procedures make a group of their own (相关手术操作单独成组): by how much they raise the mean cost."""

from __future__ import annotations

from fractions import Fraction


def cost_uplift(mean_with_fen: Fraction, mean_base_fen: Fraction) -> Fraction:
    """Mean with the related procedure over the mean without, minus 1 (费用增幅), exact. Raises: ValueError for a base at or below 0.

    >>> cost_uplift(Fraction(11), Fraction(10))
    Fraction(1, 10)
    """
    if mean_base_fen <= 0:
        raise ValueError("a mean cost at or below zero")
    return mean_with_fen / mean_base_fen - 1


def is_group_of_its_own(mean_with_fen: Fraction, mean_base_fen: Fraction, limit: Fraction) -> bool:
    """Does the uplift reach the limit, the limit included (是否单独成组)? Policy: catalog.related_uplift."""
    return cost_uplift(mean_with_fen, mean_base_fen) >= limit
