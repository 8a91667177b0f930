"""Groups and scores built from sums of equal cases (由同类病例汇总建立病种与分值).

`derive_catalog` says what a catalog built from history is, case by case; a province has millions of cases, but far fewer
combinations of diagnosis and procedures. Here equal cases come summed, and the answer is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from fenzhi.rules.catalog.disease_group import DiseaseGroup, ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables
from fenzhi.rules.catalog.formation import within_cv
from fenzhi.rules.catalog.score_derivation import (
    CostStatistics,
    DerivationMethod,
    DerivedGroup,
    SetAside,
    comprehensive_group,
    core_group,
    related_merges,
    scored_groups,
    weighted_mean,
)


@dataclass(frozen=True, slots=True)
class HistorySum:
    """Equal cases of one year, summed (同类病例汇总): same principal diagnosis, same procedures in the same order.

    Units: fen; `squares` is the sum of squared costs. `not_positive` of the `n` cases cost nothing or less; the sums are
    those of the others.
    """

    principal_diagnosis: str
    procedures: tuple[str, ...]
    year: int
    n: int
    total_fen: int
    squares: int
    not_positive: int = 0

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """What the cases have in common (同类条件)."""
        return self.principal_diagnosis, self.procedures

    @property
    def used(self) -> int:
        """Cases with a cost above zero (可用例数)."""
        return self.n - self.not_positive


@dataclass(frozen=True, slots=True)
class DerivedFromSums:
    """A catalog built from sums (测算结果): used + set aside is the whole history."""

    groups: tuple[DerivedGroup, ...]
    overall_mean_fen: Fraction
    assigned: Mapping[tuple[str, tuple[str, ...]], str]
    """(principal diagnosis, procedures) → group code, for every combination that found a group."""
    set_aside: Mapping[SetAside, int]
    """Cases not used, by reason."""
    merged_sets: int = 0
    """Combinations with related procedures that did not reach the uplift."""
    by_year: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Year → (total fen, cases) of all cases used."""

    @property
    def used(self) -> int:
        """Cases the groups were built from (使用例数)."""
        return sum(one.statistics.n for one in self.groups)


def derive_from_sums(sums: Iterable[HistorySum], tables: CodeTables, method: DerivationMethod) -> DerivedFromSums:
    """As `derive_catalog`, over sums of equal cases (按汇总测算目录).

    Policy and rounding: those of `derive_catalog`. Raises: ValueError when no case can be used.
    """
    set_aside: dict[SetAside, int] = {}
    by_set: dict[tuple[str, frozenset[str]], list[HistorySum]] = {}
    for one in sums:
        refused = _principal_refused(one, tables, method)
        if refused is not None:
            _count(set_aside, refused, one.n)
            continue
        _count(set_aside, SetAside.COST_NOT_POSITIVE, one.not_positive)
        if one.year not in method.weights:
            _count(set_aside, SetAside.YEAR_WITHOUT_WEIGHT, one.used)
        elif one.used:
            by_set.setdefault((one.principal_diagnosis[:5], frozenset(one.procedures)), []).append(one)
    formed: list[tuple[DiseaseGroup, Sequence[HistorySum]]] = []
    frequent: list[tuple[DiseaseGroup, list[HistorySum]]] = []
    rest: dict[tuple[str, ProcedureClass], list[HistorySum]] = {}
    for (diagnosis, _), members in sorted(by_set.items(), key=lambda item: (item[0][0], sorted(item[0][1]))):
        if sum(one.used for one in members) >= method.core_threshold:
            frequent.append((core_group(diagnosis, _main_counts(members), members[0].procedures), members))
            continue
        for one in members:
            found = _main_class(one, tables)
            if found is None:
                _count(set_aside, SetAside.PROCEDURE_CLASS_UNKNOWN, one.used)
            else:
                rest.setdefault((diagnosis[:3], found), []).append(one)
    merged = related_merges([(group, _statistics(members).by_year) for group, members in frequent], method)
    for place, (group, members) in enumerate(frequent):
        if place not in merged:
            joining = [one for other, base in merged.items() if base == place for one in frequent[other][1]]
            formed.append((group, members + joining))
    for (category, procedure_class), members in sorted(rest.items()):
        cases = sum(one.used for one in members)
        if cases < method.comprehensive_threshold:
            _count(set_aside, SetAside.BELOW_COMPREHENSIVE_THRESHOLD, cases)
        elif not within_cv(_statistics(members).cv_squared, method.comprehensive_cv_limit):
            _count(set_aside, SetAside.COMPREHENSIVE_CV_ABOVE_LIMIT, cases)
        else:
            formed.append((comprehensive_group(category, procedure_class), members))
    if not formed:
        raise ValueError("no case of the history can be used")
    return _scored(formed, set_aside, method, len(merged))


def _scored(
    formed: Sequence[tuple[DiseaseGroup, Sequence[HistorySum]]],
    set_aside: Mapping[SetAside, int],
    method: DerivationMethod,
    merged_sets: int,
) -> DerivedFromSums:
    statistics = [_statistics(members) for _, members in formed]
    summed: dict[int, tuple[int, int]] = {}
    for one in statistics:
        for year, (total, n) in one.by_year.items():
            so_far, cases = summed.get(year, (0, 0))
            summed[year] = (so_far + total, cases + n)
    overall = weighted_mean(summed, method.weights, method.basis)
    derived = scored_groups([group for group, _ in formed], statistics, overall, method)
    assigned = {member.key: group.group_code for group, members in formed for member in members}
    return DerivedFromSums(tuple(derived), overall, assigned, set_aside, merged_sets, summed)


def _count(counts: dict[SetAside, int], reason: SetAside, n: int) -> None:
    if n:
        counts[reason] = counts.get(reason, 0) + n


def _principal_refused(one: HistorySum, tables: CodeTables, method: DerivationMethod) -> SetAside | None:
    gray = tables.diagnoses.get(one.principal_diagnosis)
    if gray is None:
        return SetAside.PRINCIPAL_DIAGNOSIS_UNKNOWN
    if gray and not method.use_gray_principals:
        return SetAside.PRINCIPAL_DIAGNOSIS_GRAY
    return None


def _main_counts(members: Iterable[HistorySum]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for one in members:
        if one.procedures:
            counts[one.procedures[0]] = counts.get(one.procedures[0], 0) + one.used
    return counts


def _main_class(one: HistorySum, tables: CodeTables) -> ProcedureClass | None:
    if not one.procedures:
        return ProcedureClass.CONSERVATIVE
    entry = tables.procedures.get(one.procedures[0])
    return entry.procedure_class if entry else None


def _statistics(members: Iterable[HistorySum]) -> CostStatistics:
    by_year: dict[int, tuple[int, int]] = {}
    squares = 0
    for one in members:
        total, n = by_year.get(one.year, (0, 0))
        by_year[one.year] = (total + one.total_fen, n + one.used)
        squares += one.squares
    return CostStatistics(by_year, squares)
