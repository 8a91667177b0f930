"""Reference costs (参考均费): what a group cost last year, in hospitals of one level and over all levels.

A case is called cheap or dear against the mean of last year's cases of its group in hospitals of the same level; where that
level had none, against the mean over all levels; where nobody had any, nothing can be judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.quantities import half_up


@dataclass(frozen=True, slots=True)
class MeanCost:
    """A mean kept as what it was made of (均次费用): never rounded, `total_fen / n`.

    Units: fen and cases. A published mean of 10,000.00 yuan is `MeanCost(1_000_000, 1)`.
    """

    total_fen: int
    n: int

    @property
    def usable(self) -> bool:
        """Can a case be measured against it (可作参考)? A total at or below zero cannot carry a ratio."""
        return self.n > 0 and self.total_fen > 0

    @property
    def fen(self) -> Fraction:
        """The mean in fen, exact. Requires: n > 0."""
        return Fraction(self.total_fen, self.n)


class ReferenceSource(StrEnum):
    """Which mean a case was measured against (参考均费来源)."""

    SAME_LEVEL = "same_level"  # 同级别医疗机构上年均费
    ALL_LEVELS = "all_levels"  # 全部医疗机构上年均费
    NONE = "none"  # 无可用均费
    PAYMENT_STANDARD = "payment_standard"  # 支付标准
    AREA_MEAN = "area_mean"  # 统筹区全部病例上年均费


@dataclass(frozen=True)
class ReferenceCosts:
    """Last year's mean costs (上年均费): per (group code, hospital level) and per group code."""

    by_level: Mapping[tuple[str, str], MeanCost]
    overall: Mapping[str, MeanCost]

    def find(self, group_code: str, level: str) -> tuple[MeanCost | None, ReferenceSource]:
        """The mean a case is measured against (参考均费): same level, then all levels, then none."""
        same = self.by_level.get((group_code, level))
        if same is not None and same.usable:
            return same, ReferenceSource.SAME_LEVEL
        every = self.overall.get(group_code)
        if every is not None and every.usable:
            return every, ReferenceSource.ALL_LEVELS
        return None, ReferenceSource.NONE


def mean_fen(references: ReferenceCosts) -> dict[str, int]:
    """Mean cost over all levels in whole fen, rounded half up (病种均费，取整到分), for the comparator nearest_cost."""
    return {code: half_up(mean.fen) for code, mean in references.overall.items() if mean.usable}


def area_mean(references: ReferenceCosts) -> MeanCost:
    """Mean cost of all grouped cases of the year (统筹区上年均费): the sums of its groups."""
    usable = [mean for mean in references.overall.values() if mean.usable]
    return MeanCost(sum(mean.total_fen for mean in usable), sum(mean.n for mean in usable))


def references_by_score(scores: Mapping[str, Fraction], fen_per_point: Fraction) -> ReferenceCosts:
    """Means that are score × a factor found in the last clearing (以分值乘清算系数为参照), exact. Units: fen per point.

    Raises: ValueError for a factor at or below zero.
    """
    if fen_per_point <= 0:
        raise ValueError("a factor at or below zero")
    means = {code: score * fen_per_point for code, score in scores.items()}
    return ReferenceCosts({}, {code: MeanCost(mean.numerator, mean.denominator) for code, mean in means.items()})


def reference_costs(cases: Iterable[tuple[str, str, int]]) -> ReferenceCosts:
    """Mean costs of grouped cases (由病例计算参考均费), each given as (group code, hospital level, cost in fen).

    >>> found = reference_costs([("g", "3", 100), ("g", "3", 201), ("g", "2", 50)])
    >>> found.by_level["g", "3"], found.overall["g"]
    (MeanCost(total_fen=301, n=2), MeanCost(total_fen=351, n=3))
    """
    by_level: dict[tuple[str, str], tuple[int, int]] = {}
    overall: dict[str, tuple[int, int]] = {}
    for group_code, level, cost_fen in cases:
        total, n = by_level.get((group_code, level), (0, 0))
        by_level[group_code, level] = (total + cost_fen, n + 1)
        total, n = overall.get(group_code, (0, 0))
        overall[group_code] = (total + cost_fen, n + 1)
    return ReferenceCosts(
        {key: MeanCost(total, n) for key, (total, n) in by_level.items()},
        {key: MeanCost(total, n) for key, (total, n) in overall.items()},
    )


NO_REFERENCES = ReferenceCosts({}, {})
"""No history at all (无历史数据): every case is paid as if its cost could not be judged."""
