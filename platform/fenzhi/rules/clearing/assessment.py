"""What the assessment withholds (考核扣减): one place, one base, both chosen by policy."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.quantities import half_up


class AssessmentPlace(StrEnum):
    """Where the assessment acts, once only (考核作用环节)."""

    COEFFICIENT = "coefficient"  # 考核系数
    DEPOSIT = "deposit"  # 保证金返还
    BANDS = "bands"  # 结余留用与超支分担


class AssessmentBase(StrEnum):
    """What the coefficient is applied to (考核系数基数)."""

    GROSS = "gross"
    GROSS_LESS_DEDUCTIONS = "gross_less_deductions"
    RUNNING = "running"  # 按过账顺序至本步的余额


def assessment_withheld(
    gross_fen: int,
    deductions_fen: int,
    coefficient: Fraction,
    place: AssessmentPlace,
    base: AssessmentBase,
    running_fen: int | None = None,
) -> int:
    """half_up(base × (1 − coefficient)), 0 where the assessment acts elsewhere (考核扣减额).

    Policy: assessment.acts_at, assessment.acts_on. Units: fen. Rounding: half away from zero. A coefficient above 1
    pays more: the withholding is negative. `running_fen`: what the order of posting has left so far, read by the base
    running; without it, gross less deductions.

    >>> here, gross = AssessmentPlace.COEFFICIENT, AssessmentBase.GROSS
    >>> assessment_withheld(1_750_000_000, 5_000_000, Fraction("0.98"), here, gross)
    35000000
    """
    if place is not AssessmentPlace.COEFFICIENT:
        return 0
    amount = gross_fen if base is AssessmentBase.GROSS else gross_fen - deductions_fen
    if base is AssessmentBase.RUNNING and running_fen is not None:
        amount = running_fen
    return half_up(amount * (1 - coefficient))
