"""Groups and scores built from history (由历史病例建立病种与分值).

Cases of the same 4-character diagnosis and exactly the same set of procedures form a core group once there are enough of
them; the rest is gathered by category and class of the main procedure into comprehensive groups. A group's score is its mean
cost against the mean of all, weighted over the years. Every case of the history is either used or set aside by a reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import isqrt

from fenzhi.rules.catalog.conjunctions import conjunction_text
from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity, GroupKind, ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables
from fenzhi.rules.catalog.formation import RelatedSet, ScoreMethod, ScoreRule, merge_related, within_cv
from fenzhi.rules.quantities import decimal_places, half_up


@dataclass(frozen=True, slots=True)
class HistoryCase:
    """A discharge of an earlier year (历史病例). Units: fen. `procedures` has the main one first."""

    case_id: str
    year: int
    principal_diagnosis: str
    procedures: tuple[str, ...]
    cost_fen: int


class WeightingBasis(StrEnum):
    """What the yearly weights weigh (年度加权口径)."""

    YEARLY_MEANS = "yearly_means"  # 各年均费加权
    POOLED = "pooled"  # 各年总费用与例数加权


class SetAside(StrEnum):
    """Why a case of the history was not used (历史病例剔除原因)."""

    PRINCIPAL_DIAGNOSIS_UNKNOWN = "principal_diagnosis_unknown"
    PRINCIPAL_DIAGNOSIS_GRAY = "principal_diagnosis_gray"
    COST_NOT_POSITIVE = "cost_not_positive"
    YEAR_WITHOUT_WEIGHT = "year_without_weight"
    PROCEDURE_CLASS_UNKNOWN = "procedure_class_unknown"
    BELOW_COMPREHENSIVE_THRESHOLD = "below_comprehensive_threshold"
    COMPREHENSIVE_CV_ABOVE_LIMIT = "comprehensive_cv_above_limit"


@dataclass(frozen=True, slots=True)
class DerivationMethod:
    """How a catalog is built from history (目录测算办法).

    `weights` by year, for instance {2022: 1, 2023: 2, 2024: 7}; years a group lacks drop out and the rest is renormalised.
    """

    weights: Mapping[int, int]
    scale: int
    score_places: int
    core_threshold: int = 15
    comprehensive_threshold: int = 1
    basis: WeightingBasis = WeightingBasis.YEARLY_MEANS
    use_gray_principals: bool = False
    related_uplift: Fraction | None = None
    """From this uplift on a combination with related procedures is a group of its own; None: always."""
    comprehensive_cv_limit: Fraction | None = None
    score_method: ScoreMethod = ScoreMethod.AVERAGE_COST
    base_group: str = ""
    quota_fen: Fraction = Fraction(0)

    @property
    def score_rule(self) -> ScoreRule:
        """How a mean becomes a score (分值办法)."""
        return ScoreRule(self.score_method, self.scale, self.score_places, self.base_group, self.quota_fen)

    def __post_init__(self) -> None:
        if not self.weights or any(weight <= 0 for weight in self.weights.values()):
            raise ValueError("weights must be given and above zero")
        if self.core_threshold < 1 or self.comprehensive_threshold < 1:
            raise ValueError("a threshold below one case")


@dataclass(frozen=True, slots=True)
class CostStatistics:
    """Exact sums of one group (病种费用统计): per year (total fen, cases), and the sum of squares over all years."""

    by_year: Mapping[int, tuple[int, int]]
    sum_of_squares: int

    @property
    def n(self) -> int:
        """Cases over all years (例数)."""
        return sum(n for _, n in self.by_year.values())

    @property
    def total_fen(self) -> int:
        """Cost over all years (总费用)."""
        return sum(total for total, _ in self.by_year.values())

    @property
    def cv_squared(self) -> Fraction:
        """Population variance over the square of the mean (变异系数平方), exact. Decisions on CV compare this."""
        return cv_squared(self.n, self.total_fen, self.sum_of_squares)


@dataclass(frozen=True, slots=True)
class DerivedGroup:
    """A group with what it was built from (测算病种). Units: `mean_fen` weighted, exact."""

    group: DiseaseGroup
    mean_fen: Fraction
    statistics: CostStatistics


@dataclass(frozen=True, slots=True)
class DerivedCatalog:
    """A catalog built from history (测算结果): used + set aside is the whole history."""

    groups: tuple[DerivedGroup, ...]
    overall_mean_fen: Fraction
    assigned: Mapping[str, str]
    """case_id → group_code of every case used."""
    set_aside: Mapping[str, SetAside]
    """case_id → reason of every case not used."""

    @property
    def set_aside_counts(self) -> Mapping[SetAside, int]:
        """Cases not used, by reason (剔除例数)."""
        return Counter(self.set_aside.values())


def weighted_mean(
    by_year: Mapping[int, tuple[int, int]], weights: Mapping[int, int], basis: WeightingBasis
) -> Fraction:
    """Mean cost over the years (多年加权均费), exact.

    Units: fen. Years without cases drop out; their weight is shared by the others in proportion (缺年重新归一).
    Raises: ValueError when no year has both cases and a weight.

    >>> years = {1: (80_000_000, 100), 2: (170_000_000, 200), 3: (360_000_000, 400)}
    >>> weighted_mean(years, {1: 1, 2: 2, 3: 7}, WeightingBasis.YEARLY_MEANS)
    Fraction(880000, 1)
    >>> decimal_places(weighted_mean(years, {1: 1, 2: 2, 3: 7}, WeightingBasis.POOLED) / 100, 2)
    '8909.09'
    """
    present = [(weights[year], total, n) for year, (total, n) in by_year.items() if n > 0 and year in weights]
    if not present:
        raise ValueError("no year has both cases and a weight")
    if basis is WeightingBasis.YEARLY_MEANS:
        weighted = sum((Fraction(weight * total, n) for weight, total, n in present), Fraction(0))
        return weighted / sum(weight for weight, _, _ in present)
    return Fraction(sum(w * total for w, total, _ in present), sum(w * n for w, _, n in present))


def average_cost_score(mean: Fraction, overall_mean: Fraction, scale: int, score_places: int) -> Decimal:
    """Score by the average-cost method (平均费用法): mean / overall mean × scale.

    Rounding: half up to `score_places`; what is published is what is used. Units of the means cancel.

    >>> average_cost_score(Fraction(13385), Fraction(11200), 1000, 2)
    Decimal('1195.09')
    """
    return Decimal(half_up(mean / overall_mean * scale * 10**score_places)).scaleb(-score_places)


def cv_squared(n: int, total: int, sum_of_squares: int) -> Fraction:
    """Square of the coefficient of variation with the population deviation (变异系数平方，总体标准差), exact.

    Requires: n ≥ 1 and total ≠ 0.

    >>> cv_squared(3, 30000, 8000**2 + 10000**2 + 12000**2)
    Fraction(2, 75)
    """
    return Fraction(n * sum_of_squares - total * total, total * total)


def cv_text(squared: Fraction, places: int = 4) -> str:
    """The coefficient of variation for display (变异系数), half up to `places`, from its exact square.

    >>> cv_text(Fraction(2, 75))
    '0.1633'
    """
    doubled = isqrt(4 * 10 ** (2 * places) * squared.numerator // squared.denominator)
    return decimal_places(Fraction((doubled + 1) // 2, 10**places), places)


def derive_catalog(history: Iterable[HistoryCase], tables: CodeTables, method: DerivationMethod) -> DerivedCatalog:
    """Build groups and scores from history (测算目录): core by exact procedure set, the rest comprehensive.

    Policy: catalog/derivation. Rounding: scores once, half up; a score that would round to zero takes the smallest that the
    declared places can say. The main procedure of a core group is the one most of its cases name first, ties to the smaller
    code. Order of the history does not matter. Raises: ValueError when no case can be used.
    """
    set_aside: dict[str, SetAside] = {}
    by_set: dict[tuple[str, frozenset[str]], list[HistoryCase]] = {}
    for case in history:
        refused = _unusable(case, tables, method)
        if refused is not None:
            set_aside[case.case_id] = refused
            continue
        by_set.setdefault((_subcategory(case), frozenset(case.procedures)), []).append(case)
    core: list[tuple[DiseaseGroup, list[HistoryCase]]] = []
    frequent: list[tuple[DiseaseGroup, list[HistoryCase]]] = []
    rest: dict[tuple[str, ProcedureClass], list[HistoryCase]] = {}
    for (diagnosis, _), cases in sorted(by_set.items(), key=lambda item: (item[0][0], sorted(item[0][1]))):
        if len(cases) >= method.core_threshold:
            named = Counter(case.procedures[0] for case in cases if case.procedures)
            frequent.append((core_group(diagnosis, named, cases[0].procedures), cases))
            continue
        for case in cases:
            found = _main_class(case, tables)
            if found is None:
                set_aside[case.case_id] = SetAside.PROCEDURE_CLASS_UNKNOWN
            else:
                rest.setdefault((diagnosis[:3], found), []).append(case)
    merged = related_merges([(group, _statistics(cases).by_year) for group, cases in frequent], method)
    for place, (group, cases) in enumerate(frequent):
        if place not in merged:
            joining = [case for other, base in merged.items() if base == place for case in frequent[other][1]]
            core.append((group, cases + joining))
    comprehensive: list[tuple[DiseaseGroup, list[HistoryCase]]] = []
    for (category, procedure_class), cases in sorted(rest.items()):
        if len(cases) < method.comprehensive_threshold:
            set_aside.update((case.case_id, SetAside.BELOW_COMPREHENSIVE_THRESHOLD) for case in cases)
        elif not within_cv(_statistics(cases).cv_squared, method.comprehensive_cv_limit):
            set_aside.update((case.case_id, SetAside.COMPREHENSIVE_CV_ABOVE_LIMIT) for case in cases)
        else:
            comprehensive.append((comprehensive_group(category, procedure_class), cases))
    formed = [*core, *comprehensive]
    if not formed:
        raise ValueError("no case of the history can be used")
    statistics = [_statistics(cases) for _, cases in formed]
    overall = weighted_mean(_summed(statistics), method.weights, method.basis)
    derived = scored_groups([group for group, _ in formed], statistics, overall, method)
    assigned = {case.case_id: group.group_code for group, cases in formed for case in cases}
    return DerivedCatalog(tuple(derived), overall, assigned, set_aside)


def scored_groups(
    groups: Sequence[DiseaseGroup], statistics: Sequence[CostStatistics], overall: Fraction, method: DerivationMethod
) -> list[DerivedGroup]:
    """Groups with their means and scores (分值测算). Raises: ValueError for a base disease that was not formed."""
    means = [weighted_mean(one.by_year, method.weights, method.basis) for one in statistics]
    rule = method.score_rule
    codes = [group.group_code for group in groups]
    reference, times = rule.reference(overall, dict(zip(codes, means, strict=True)))
    return [
        DerivedGroup(replace(group, score=rule.score(mean, reference, times)), mean, one)
        for group, mean, one in zip(groups, means, statistics, strict=True)
    ]


def related_merges(
    frequent: Sequence[tuple[DiseaseGroup, Mapping[int, tuple[int, int]]]], method: DerivationMethod
) -> Mapping[int, int]:
    """Which frequent combinations join the group of their main procedure (相关手术操作不单独成组), by place."""
    if method.related_uplift is None:
        return {}
    sets = [
        RelatedSet(
            group.diagnosis,
            group.main_procedures[0][0] if group.main_procedures else "",
            frozenset(part[0] for part in group.parts),
            weighted_mean(by_year, method.weights, method.basis),
        )
        for group, by_year in frequent
    ]
    return merge_related(sets, method.related_uplift)


def _unusable(case: HistoryCase, tables: CodeTables, method: DerivationMethod) -> SetAside | None:
    gray = tables.diagnoses.get(case.principal_diagnosis)
    if gray is None:
        return SetAside.PRINCIPAL_DIAGNOSIS_UNKNOWN
    if gray and not method.use_gray_principals:
        return SetAside.PRINCIPAL_DIAGNOSIS_GRAY
    if case.cost_fen <= 0:
        return SetAside.COST_NOT_POSITIVE
    if case.year not in method.weights:
        return SetAside.YEAR_WITHOUT_WEIGHT
    return None


def _subcategory(case: HistoryCase) -> str:
    return case.principal_diagnosis[:5]


def _main_class(case: HistoryCase, tables: CodeTables) -> ProcedureClass | None:
    if not case.procedures:
        return ProcedureClass.CONSERVATIVE
    entry = tables.procedures.get(case.procedures[0])
    return entry.procedure_class if entry else None


def core_group(diagnosis: str, named_main: Mapping[str, int], procedures: Iterable[str]) -> DiseaseGroup:
    """A core group without a score yet (核心病种): the procedure most often named first is its main one.

    `named_main` counts the cases by their main procedure; ties go to the smaller code.
    """
    main = min(named_main, key=lambda code: (-named_main[code], code), default=None)
    main_parts = ((main,),) if main is not None else ()
    related = tuple((code,) for code in sorted(set(procedures) - {main}))
    code = diagnosis
    code += ":" + conjunction_text(main_parts) if main_parts else ""
    code += "_" + conjunction_text(related) if related else ""
    return DiseaseGroup(
        group_code=code,
        diagnosis=diagnosis,
        granularity=Granularity.SUBCATEGORY,
        score=Decimal(0),
        main_procedures=main_parts,
        related_procedures=related,
    )


_CLASS_ZH = {
    ProcedureClass.CONSERVATIVE: "内科诊疗",
    ProcedureClass.DIAGNOSTIC: "诊断性操作",
    ProcedureClass.THERAPEUTIC: "治疗性操作",
    ProcedureClass.SURGICAL: "手术",
}


def comprehensive_group(category: str, procedure_class: ProcedureClass) -> DiseaseGroup:
    """A comprehensive group without a score yet (综合病种) of a category and a procedure class."""
    return DiseaseGroup(
        group_code=f"{category}:{procedure_class.value}",
        diagnosis=category,
        granularity=Granularity.CATEGORY,
        score=Decimal(0),
        kind=GroupKind.COMPREHENSIVE,
        procedure_class=procedure_class,
        level=3,
        diagnosis_name=f"{category} {_CLASS_ZH[procedure_class]}综合病种",
    )


def _statistics(cases: Sequence[HistoryCase]) -> CostStatistics:
    by_year: dict[int, tuple[int, int]] = {}
    for case in cases:
        total, n = by_year.get(case.year, (0, 0))
        by_year[case.year] = (total + case.cost_fen, n + 1)
    return CostStatistics(by_year, sum(case.cost_fen**2 for case in cases))


def _summed(statistics: Iterable[CostStatistics]) -> Mapping[int, tuple[int, int]]:
    summed: dict[int, tuple[int, int]] = {}
    for one in statistics:
        for year, (total, n) in one.by_year.items():
            so_far, cases = summed.get(year, (0, 0))
            summed[year] = (so_far + total, cases + n)
    return summed
