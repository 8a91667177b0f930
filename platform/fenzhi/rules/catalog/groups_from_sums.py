"""Disease groups by diagnosis and exact procedure set, from summed discharges (由汇总病例按诊断与手术操作组合建组).

This is the statistical half of a catalog: which combinations are frequent enough to be a group, what their cases cost, how far
those costs scatter, and what the group weighs against all cases. It needs no code tables and refuses no code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.catalog.score_derivation import WeightingBasis, average_cost_score, cv_squared, weighted_mean


class Deviation(StrEnum):
    """Which standard deviation a coefficient of variation takes (标准差口径)."""

    POPULATION = "population"  # 总体标准差，除以 n
    SAMPLE = "sample"  # 样本标准差，除以 n − 1


@dataclass(frozen=True, slots=True)
class SetSum:
    """All used cases of one diagnosis and one procedure set (同一组合病例汇总).

    Units: fen; `by_year` maps a year to (total fen, cases), `squares` is the sum of squared costs over all years. Cases whose
    year is not asked for stand under year 0. `stays` is (days, cases whose stay is known), None when the file has no stays.
    """

    diagnosis: str
    procedures: tuple[str, ...]
    by_year: Mapping[int, tuple[int, int]]
    squares: int
    stays: tuple[int, int] | None = None

    @property
    def n(self) -> int:
        """Cases over all years (例数)."""
        return sum(n for _, n in self.by_year.values())

    @property
    def total_fen(self) -> int:
        """Cost over all years (总费用)."""
        return sum(total for total, _ in self.by_year.values())


@dataclass(frozen=True, slots=True)
class SetMethod:
    """How groups are weighed (建组测算办法). `weights` None: every case counts alike, whatever its year."""

    scale: int
    score_places: int
    weights: Mapping[int, int] | None = None
    basis: WeightingBasis = WeightingBasis.YEARLY_MEANS
    deviation: Deviation = Deviation.POPULATION

    def mean(self, by_year: Mapping[int, tuple[int, int]]) -> Fraction:
        """Mean cost in fen (均费), exact. Raises: ValueError when there is no case to weigh."""
        if self.weights is not None:
            return weighted_mean(by_year, self.weights, self.basis)
        return weighted_mean(by_year, dict.fromkeys(by_year, 1), WeightingBasis.POOLED)


@dataclass(frozen=True, slots=True)
class GroupBySet:
    """One group with its numbers (建组结果). Units: `mean_fen` in fen, all fractions exact."""

    diagnosis: str
    procedures: tuple[str, ...]
    n: int
    mean_fen: Fraction
    cv_squared: Fraction | None
    """None for the sample deviation of a single case."""
    weight: Fraction
    """Mean of the group over the mean of all used cases (相对权重)."""
    score: Decimal
    mean_los: Fraction | None


def group_by_set(one: SetSum, overall_mean_fen: Fraction, method: SetMethod) -> GroupBySet:
    """The numbers of one group (单组测算). Rounding: the score once, half up, never below its smallest unit.

    >>> one = SetSum("K35.8", ("47.0100",), {0: (3_000_000, 3)}, 800_000**2 + 1_000_000**2 + 1_200_000**2)
    >>> found = group_by_set(one, Fraction(800_000), SetMethod(1000, 0))
    >>> found.mean_fen, found.cv_squared, found.weight, found.score
    (Fraction(1000000, 1), Fraction(2, 75), Fraction(5, 4), Decimal('1250'))
    """
    mean = method.mean(one.by_year)
    score = average_cost_score(mean, overall_mean_fen, method.scale, method.score_places)
    return GroupBySet(
        one.diagnosis,
        one.procedures,
        one.n,
        mean,
        _cv_squared(one, method.deviation),
        mean / overall_mean_fen,
        max(score, Decimal(1).scaleb(-method.score_places)),
        Fraction(*one.stays) if one.stays and one.stays[1] else None,
    )


def coverage_threshold(sizes: Iterable[tuple[int, int]], coverage: Fraction) -> int:
    """The largest case threshold whose groups still cover the share asked for (按覆盖率确定入组阈值).

    Shape: `sizes` gives (cases per combination, number of such combinations). Raises: ValueError without cases, or for a share
    outside 0 to 1.

    >>> coverage_threshold([(1, 50), (10, 4), (100, 2)], Fraction(80, 100))
    10
    """
    if not 0 < coverage <= 1:
        raise ValueError("a coverage is above 0 and at most 1")
    ordered = sorted(sizes, reverse=True)
    total = sum(n * combinations for n, combinations in ordered)
    covered = 0
    for n, combinations in ordered:
        covered += n * combinations
        if covered >= coverage * total:
            return n
    raise ValueError("there are no cases to cover")


def _cv_squared(one: SetSum, deviation: Deviation) -> Fraction | None:
    squared = cv_squared(one.n, one.total_fen, one.squares)
    if deviation is Deviation.POPULATION:
        return squared
    return squared * Fraction(one.n, one.n - 1) if one.n > 1 else None
