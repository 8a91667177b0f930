"""The hospital coefficient by level (医疗机构等级系数): how much dearer the same patient is at a hospital of this level.

The coefficient is a ratio of two means over the same years and groups. Grass-roots groups do not take it, see
`score_case`.
"""

from __future__ import annotations

from fractions import Fraction


def level_coefficient(level_mean: Fraction, area_mean: Fraction) -> Fraction:
    """Weighted mean cost of the level over that of the whole area (等级系数), exact.

    Units: both means in the same unit. Rounding: none here; the published coefficient declares its places. Raises:
    ValueError for a mean at or below zero.

    >>> level_coefficient(Fraction(15840), Fraction(14400))
    Fraction(11, 10)
    """
    if level_mean <= 0 or area_mean <= 0:
        raise ValueError("a mean cost at or below zero")
    return level_mean / area_mean
