"""Bonuses on a coefficient or a score (系数与分值加成): by steps or along a line, each with its cap.

The texts give a step and a cap and often lose the formula, so that a bonus between two steps may be nothing or a part
of one. The policy says which; on the edge of a step both agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from fractions import Fraction


class BonusShape(StrEnum):
    """Between two steps (加成方式)."""

    STEPS = "steps"  # 按档，不足一档不加
    LINEAR = "linear"  # 按比例


def coefficient_bonus(
    above: Fraction,
    step: Fraction,
    cap: Fraction,
    shape: BonusShape,
    *,
    per_step: Fraction = Fraction(1, 100),
    entry: Fraction = Fraction(0),
) -> Fraction:
    """min(cap, entry + per_step × steps above the mean) (系数加成), 0 at or below the mean.

    `above`: how far above the mean, in the unit of `step`; `entry`: for being above it at all. Rounding: none; steps
    are floored. Raises: ValueError for a step not above 0.

    >>> coefficient_bonus(Fraction(22), Fraction(5), Fraction("0.13"), BonusShape.STEPS)
    Fraction(1, 25)
    """
    if step <= 0:
        raise ValueError("a step is above 0")
    if above <= 0:
        return Fraction(0)
    steps = Fraction(above // step) if shape is BonusShape.STEPS else above / step
    return min(cap, entry + per_step * steps)


def bonus_coefficient(base: Fraction, bonuses: Iterable[Fraction]) -> Fraction:
    """Base coefficient + every bonus (加成后系数)."""
    return base + sum(bonuses, Fraction(0))


def tcm_bonus_score(
    score: Fraction, tcm_cost_fen: int, total_cost_fen: int, threshold: Fraction, bonus: Fraction
) -> Fraction:
    """score × (1 + bonus) from a share of TCM cost on, the threshold included (中医优势病种加成).

    Units: fen. Raises: ValueError without a cost.

    >>> tcm_bonus_score(Fraction(500), 6_200, 10_000, Fraction(1, 2), Fraction("0.05"))
    Fraction(525, 1)
    """
    if total_cost_fen <= 0:
        raise ValueError("a case without cost has no share")
    return score * (1 + bonus) if Fraction(tcm_cost_fen, total_cost_fen) >= threshold else score
