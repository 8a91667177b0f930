"""How groups are formed once the combinations are counted (病种成组办法): trimming, related procedures, scores, lists.

Each contested choice is a named method with its parameters; nothing here knows a number of any text.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.catalog.related_uplift import is_group_of_its_own
from fenzhi.rules.quantities import half_up


class ScoreMethod(StrEnum):
    """What a score is measured against (分值计算方法)."""

    AVERAGE_COST = "average_cost"  # 平均费用法
    BASE_DISEASE = "base_disease"  # 基准病种费用法
    STANDARD_QUOTA = "standard_quota"  # 标准定额法


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """Scores by one method (分值办法). `base_group` for the base disease; `quota_fen`, the cost of one point, for the quota."""

    method: ScoreMethod
    scale: int
    places: int
    base_group: str = ""
    quota_fen: Fraction = Fraction(0)

    def reference(self, overall_mean_fen: Fraction, means: Mapping[str, Fraction]) -> tuple[Fraction, int]:
        """What a mean is divided by, in fen, and what the ratio is multiplied by (分值基准).

        Raises: ValueError for a base group that was not formed, or a quota not above zero.
        """
        match self.method:
            case ScoreMethod.AVERAGE_COST:
                return overall_mean_fen, self.scale
            case ScoreMethod.BASE_DISEASE:
                if self.base_group not in means:
                    raise ValueError(f"the base disease {self.base_group or '(none)'} is none of the groups formed")
                return means[self.base_group], self.scale
            case ScoreMethod.STANDARD_QUOTA:
                if self.quota_fen <= 0:
                    raise ValueError("the cost of one point is above zero")
                return self.quota_fen, 1

    def score(self, mean_fen: Fraction, reference_fen: Fraction, times: int) -> Decimal:
        """mean ÷ reference × times (病种分值). Rounding: once, half up; never below its smallest unit.

        >>> ScoreRule(ScoreMethod.STANDARD_QUOTA, 1, 4).score(Fraction(1_338_500), Fraction(10_000), 1)
        Decimal('133.8500')
        """
        raw = Decimal(half_up(mean_fen / reference_fen * times * 10**self.places)).scaleb(-self.places)
        return max(raw, Decimal(1).scaleb(-self.places))


@dataclass(frozen=True, slots=True)
class Trim:
    """Quantiles between which a cost stays (费用裁剪分位)."""

    low: Fraction
    high: Fraction

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise ValueError("quantiles lie between 0 and 1, the low one first")


def trim_ranks(n: int, trim: Trim) -> tuple[int, int]:
    """First and last rank that stay when n costs are sorted (裁剪后保留的名次), ties with either kept as well.

    The low share is cut rounded down, the high one too: a group too small to lose a whole case loses none.

    >>> trim_ranks(40, Trim(Fraction("0.025"), Fraction("0.975"))), trim_ranks(39, Trim(Fraction("0.025"), Fraction("0.975")))
    ((2, 39), (1, 39))
    """
    return n * trim.low.numerator // trim.low.denominator + 1, -(-n * trim.high.numerator // trim.high.denominator)


@dataclass(frozen=True, slots=True)
class RelatedSet:
    """A frequent combination before related procedures are judged (待判定组合): its main procedure and its mean in fen."""

    diagnosis: str
    main: str
    procedures: frozenset[str]
    mean_fen: Fraction


def merge_related(sets: Sequence[RelatedSet], limit: Fraction) -> Mapping[int, int]:
    """Which combinations give their cases to the group of their main procedure alone (相关手术操作不单独成组).

    Answers place → place of the group that takes it over. A combination with related procedures stays a group of its own when
    its mean is above that of the main procedure alone by the limit or more, or when there is no such group. Every one is
    judged against the means as they were, so that order does not matter. Policy: catalog.related_uplift.

    >>> alone = RelatedSet("K35.3", "47.0100", frozenset({"47.0100"}), Fraction(1000))
    >>> little = RelatedSet("K35.3", "47.0100", frozenset({"47.0100", "54.2100"}), Fraction(1099))
    >>> enough = RelatedSet("K35.3", "47.0100", frozenset({"47.0100", "54.5900"}), Fraction(1100))
    >>> merge_related([alone, little, enough], Fraction(1, 10))
    {1: 0}
    """
    alone = {(one.diagnosis, one.main): place for place, one in enumerate(sets) if one.procedures == {one.main}}
    merged: dict[int, int] = {}
    for place, one in enumerate(sets):
        base = alone.get((one.diagnosis, one.main))
        if base is None or len(one.procedures) < 2:
            continue
        if not is_group_of_its_own(one.mean_fen, sets[base].mean_fen, limit):
            merged[place] = base
    return merged


def is_grassroots(cv_squared: Fraction, cases: int, primary_cases: int, *, cv_limit: Fraction, share: Fraction) -> bool:
    """May a core group be called a grass-roots group (是否符合基层病种条件)? Both limits included.

    Policy: catalog.grassroots_cv_limit and the share of primary hospitals. Requires: cases > 0.

    >>> is_grassroots(Fraction(49, 100), 100, 50, cv_limit=Fraction(7, 10), share=Fraction(1, 2))
    True
    """
    return cv_squared <= cv_limit**2 and Fraction(primary_cases, cases) >= share


def within_cv(cv_squared: Fraction, limit: Fraction | None) -> bool:
    """Does a comprehensive group scatter little enough to be kept (综合病种变异系数是否在限内)? The limit is included."""
    return limit is None or cv_squared <= limit**2


@dataclass(frozen=True, slots=True)
class LevelMean:
    """Cases of a group at one level (分级均费). Units: fen."""

    level: str
    cases: int
    mean_fen: Fraction


class NotByGroup(StrEnum):
    """Why a group has no coefficients of its own (不设病种系数的原因)."""

    TOO_FEW_CASES = "too_few_cases"
    INVERTED = "inverted"
    LITTLE_SPREAD = "little_spread"


def group_coefficients(
    levels: Sequence[LevelMean], group_mean_fen: Fraction, *, least_cases: int, least_spread: Fraction
) -> Mapping[str, Fraction] | NotByGroup:
    """A group's own coefficients by level (病种机构系数): mean of the level over the mean of the group, exact.

    `levels` from the lowest to the highest. Only when each has the cases, the highest mean is `least_spread` times the lowest,
    and no higher level is cheaper than a lower one (不得倒挂). Conservative and grass-roots groups are not asked.

    >>> low, high = LevelMean("secondary", 40, Fraction(800)), LevelMean("tertiary", 60, Fraction(1200))
    >>> group_coefficients([low, high], Fraction(1000), least_cases=30, least_spread=Fraction(5, 4))
    {'secondary': Fraction(4, 5), 'tertiary': Fraction(6, 5)}
    >>> group_coefficients([high, low], Fraction(1000), least_cases=30, least_spread=Fraction(5, 4))
    <NotByGroup.INVERTED: 'inverted'>
    """
    if len(levels) < 2 or any(one.cases < least_cases for one in levels):
        return NotByGroup.TOO_FEW_CASES
    if any(higher.mean_fen < lower.mean_fen for lower, higher in itertools.pairwise(levels)):
        return NotByGroup.INVERTED
    if levels[-1].mean_fen < least_spread * levels[0].mean_fen:
        return NotByGroup.LITTLE_SPREAD
    return {one.level: one.mean_fen / group_mean_fen for one in levels}


def split_cv_squared(parts: Sequence[tuple[int, int, int]]) -> Fraction:
    """Square of the CV that is left once a group is split (分型后变异系数平方), exact: variance within the parts over mean².

    Shape: (cases, total fen, sum of squares) of each part. Requires: a total above zero.

    >>> split_cv_squared([(2, 200, 20_000), (2, 400, 80_000)])
    Fraction(0, 1)
    """
    n = sum(cases for cases, _, _ in parts)
    total = sum(fen for _, fen, _ in parts)
    within = sum(
        (Fraction(squares) - Fraction(fen * fen, cases) for cases, fen, squares in parts if cases), Fraction(0)
    )
    return within / n / Fraction(total, n) ** 2
