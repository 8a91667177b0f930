"""What of the deposit returns at the end of the year (质量保证金返还), where the assessment acts there."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import exact_decimal, half_up
from fenzhi.rules.refusals import Conflict


class DepositRelease(StrEnum):
    """How the deposit returns (保证金返还办法)."""

    ALL = "all"  # 全额返还
    SCORE_OVER_THRESHOLD = "score_over_threshold"  # 得分 ÷ 全额返还分数，不超过 1
    GRADE_TABLE = "grade_table"  # 按考核等次


class GradeUnknown(Conflict):
    """A grade without a share in the table (考核等次未列入返还表)."""

    code = "DEPOSIT_GRADE_UNKNOWN"


def release_share(
    method: DepositRelease,
    *,
    score: Fraction | None = None,
    threshold: Fraction | None = None,
    grade: str = "",
    grades: Mapping[str, Fraction] | None = None,
) -> Fraction:
    """The share of the deposit that returns, 0 to 1 (返还比例).

    Policy: annual.deposit_release, annual.deposit_threshold, annual.deposit_grades. Raises: GradeUnknown; ValueError
    for a threshold not above 0 or a score that is missing.

    >>> release_share(DepositRelease.SCORE_OVER_THRESHOLD, score=Fraction(81), threshold=Fraction(90))
    Fraction(9, 10)
    """
    if method is DepositRelease.ALL:
        return Fraction(1)
    if method is DepositRelease.SCORE_OVER_THRESHOLD:
        if score is None or threshold is None or threshold <= 0:
            raise ValueError("a score and a threshold above 0 are needed")
        return max(Fraction(0), min(Fraction(1), score / threshold))
    share = (grades or {}).get(grade)
    if share is None or not 0 <= share <= 1:
        raise GradeUnknown(
            f"考核等次“{grade}”没有对应的保证金返还比例。",
            f"Grade {grade!r} has no share of the deposit between 0 and 1.",
            grade=grade,
        )
    return share


def policy_release_share(policy: ResolvedPolicy, score: Fraction | None, grade: str) -> Fraction:
    """As `release_share`, by the policy of an area (按策略确定返还比例). Raises: PolicyNotEntered, GradeUnknown."""
    method = DepositRelease(policy.method("annual.deposit_release"))
    if method is DepositRelease.SCORE_OVER_THRESHOLD:
        return release_share(method, score=score, threshold=policy.fraction("annual.deposit_threshold"))
    if method is DepositRelease.GRADE_TABLE:
        shares = {code: Fraction(exact_decimal(text)) for code, text in policy.map("annual.deposit_grades").items()}
        return release_share(method, grade=grade, grades=shares)
    return release_share(method)


def forfeited(deposit_fen: int, share: Fraction) -> int:
    """What of a deposit does not return (没收额). Units: fen. Rounding: half up of deposit × (1 − share).

    >>> forfeited(1_000_01, Fraction(1, 2))
    50001
    """
    return half_up(deposit_fen * (1 - share))
