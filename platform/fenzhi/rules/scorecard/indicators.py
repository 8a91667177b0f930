"""Indicators of a hospital and period (考核指标), each an exact fraction of two things that were counted.

An indicator without its parts cannot be disputed. Each therefore returns numerator and denominator; where the
denominator is 0 there is no value but a reason, because a share of nothing is neither good nor bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator of one hospital (指标值). `value` is numerator / denominator, None where the denominator is 0."""

    code: str
    zh: str
    en: str
    unit: str
    formula: str
    numerator: Fraction
    denominator: Fraction
    value: Fraction | None
    reason_zh: str = ""
    reason_en: str = ""


@dataclass(frozen=True, slots=True)
class IndicatorKind:
    """What an indicator is (指标定义)."""

    code: str
    zh: str
    en: str
    unit: str
    formula: str
    empty_zh: str
    empty_en: str


@dataclass(frozen=True, slots=True)
class RatioTerm:
    """Part of a mean of ratios whose cases share one reference (同一参照的病例合计).

    Σ of the cases' amounts over the mean `reference_total / reference_n`: fen for cost, days for length of stay.
    """

    amount: int
    cases: int
    reference_total: int
    reference_n: int


@dataclass(frozen=True, slots=True)
class HospitalPeriod:
    """What was counted for one hospital in one period (机构当期合计).

    Units: fen; `score_sum` Σ of the group scores of the grouped cases, in scores of the catalog; `score_scale` its
    scale. `lists_first_judged` and `lists_first_passed` count first uploads. `earlier_cost_fen` and `earlier_cases`:
    the same span one year before.
    """

    cases: int
    grouped_cases: int
    score_sum: Fraction
    score_scale: int
    cost_fen: int
    high_outliers: int
    low_outliers: int
    lists_first_judged: int
    lists_first_passed: int
    cost_terms: tuple[RatioTerm, ...] = ()
    time_terms: tuple[RatioTerm, ...] = ()
    earlier_cost_fen: int = 0
    earlier_cases: int = 0
    quality_scores: tuple[Fraction, ...] = ()
    """Its scores in the published leagues of data quality of the period, one a month."""


_NO_CASES = ("当期没有病例。", "No cases in the period.")
_NO_GROUPED = ("当期没有入组病例。", "No grouped cases in the period.")
_NO_REFERENCE = ("当期没有可比参照的病例。", "No cases with a reference in the period.")

KINDS: dict[str, IndicatorKind] = {
    kind.code: kind
    for kind in (
        IndicatorKind("cmi", "病例组合指数", "case-mix index", "ratio", "Σ(s·n) ÷ scale ÷ N", *_NO_GROUPED),
        IndicatorKind("cost_index", "费用消耗指数", "cost index", "ratio", "Σ(C ÷ ref C) ÷ N", *_NO_REFERENCE),
        IndicatorKind("time_index", "时间消耗指数", "time index", "ratio", "Σ(LOS ÷ ref LOS) ÷ N", *_NO_REFERENCE),
        IndicatorKind("grouping_rate", "入组率", "grouping rate", "share", "grouped ÷ cases", *_NO_CASES),
        IndicatorKind(
            "qc_first_pass_rate",
            "清单质控首次通过率",
            "first-pass rate of settlement lists",
            "share",
            "passed at first upload ÷ first uploads",
            "当期没有首次上传的清单。",
            "No first uploads in the period.",
        ),
        IndicatorKind("high_outlier_share", "费用过高病例占比", "high-cost share", "share", "high ÷ cases", *_NO_CASES),
        IndicatorKind("low_outlier_share", "费用过低病例占比", "low-cost share", "share", "low ÷ cases", *_NO_CASES),
        IndicatorKind("mean_cost", "次均费用", "mean cost", "yuan", "Σ C ÷ N", *_NO_CASES),
        IndicatorKind(
            "mean_cost_growth",
            "次均费用增幅",
            "growth of the mean cost",
            "share",
            "mean cost ÷ mean cost of the same span last year − 1",
            "本期或上年同期没有病例费用。",
            "No cases or no cost in the period or in the same span last year.",
        ),
        IndicatorKind(
            "data_quality",
            "数据质量得分",
            "data quality",
            "share",
            "Σ league score ÷ months",
            "当期没有已公布的数据质量排名。",
            "No published league of data quality in the period.",
        ),
    )
}


def indicators_of(period: HospitalPeriod, codes: Sequence[str]) -> tuple[Indicator, ...]:
    """The indicators asked for, in the order asked (指标计算).

    Policy: scorecard.indicators. Units: as each kind says; nothing is rounded. Raises: KeyError for an unknown code,
    which the policy definition excludes.
    """
    values = {
        "cmi": cmi(period.score_sum, period.grouped_cases, period.score_scale),
        "cost_index": mean_of_ratios("cost_index", period.cost_terms),
        "time_index": mean_of_ratios("time_index", period.time_terms),
        "grouping_rate": share("grouping_rate", period.grouped_cases, period.cases),
        "qc_first_pass_rate": share("qc_first_pass_rate", period.lists_first_passed, period.lists_first_judged),
        "high_outlier_share": share("high_outlier_share", period.high_outliers, period.cases),
        "low_outlier_share": share("low_outlier_share", period.low_outliers, period.cases),
        "mean_cost": _indicator("mean_cost", Fraction(period.cost_fen, 100), Fraction(period.cases)),
        "mean_cost_growth": mean_cost_growth(
            period.cost_fen, period.cases, period.earlier_cost_fen, period.earlier_cases
        ),
        "data_quality": _indicator(
            "data_quality", sum(period.quality_scores, Fraction(0)), Fraction(len(period.quality_scores))
        ),
    }
    return tuple(values[code] for code in codes)


def cmi(score_sum: Fraction, cases: int, score_scale: int = 1) -> Indicator:
    """Σ(score × n) / scale / N over the grouped cases (病例组合指数).

    Province scores, never overlays. With scale 1 the index is in scores, with the catalog's scale around 1.

    >>> cmi(Fraction(1200 * 30 + 800 * 70), 100).value
    Fraction(920, 1)
    """
    return _indicator("cmi", Fraction(score_sum) / score_scale, Fraction(cases))


def mean_of_ratios(code: str, terms: Iterable[RatioTerm]) -> Indicator:
    """Σ(case / reference) / N, the mean of ratios and not the ratio of sums (费用或时间消耗指数).

    Cases whose reference is 0 or missing are not counted: nothing can be said of them.

    >>> mean_of_ratios("cost_index", [RatioTerm(9000 + 13000, 2, 10000, 1)]).value
    Fraction(11, 10)
    """
    counted = [term for term in terms if term.cases and term.reference_total > 0 and term.reference_n > 0]
    total = _pairwise([Fraction(term.amount * term.reference_n, term.reference_total) for term in counted])
    return _indicator(code, total, Fraction(sum(term.cases for term in counted)))


def share(code: str, part: int, whole: int) -> Indicator:
    """A part of a whole (占比)."""
    return _indicator(code, Fraction(part), Fraction(whole))


def mean_cost_growth(cost_fen: int, cases: int, earlier_cost_fen: int, earlier_cases: int) -> Indicator:
    """Mean cost over the mean cost of the same span last year, less 1 (次均费用增幅).

    Numerator: the change of the mean, in yuan; denominator: the earlier mean, in yuan.

    >>> mean_cost_growth(1_062, 1, 2_000, 2).value
    Fraction(31, 500)
    """
    if cases <= 0 or earlier_cases <= 0:
        return _indicator("mean_cost_growth", Fraction(0), Fraction(0))
    now, before = Fraction(cost_fen, 100 * cases), Fraction(earlier_cost_fen, 100 * earlier_cases)
    return _indicator("mean_cost_growth", now - before, before)


def _indicator(code: str, numerator: Fraction, denominator: Fraction) -> Indicator:
    kind = KINDS[code]
    value = numerator / denominator if denominator > 0 else None
    reason_zh, reason_en = ("", "") if value is not None else (kind.empty_zh, kind.empty_en)
    return Indicator(
        code, kind.zh, kind.en, kind.unit, kind.formula, numerator, denominator, value, reason_zh, reason_en
    )


def _pairwise(terms: Sequence[Fraction]) -> Fraction:
    """Sum of many fractions, pairwise, so that denominators grow late."""
    if len(terms) <= 2:
        return sum(terms, Fraction(0))
    middle = len(terms) // 2
    return _pairwise(terms[:middle]) + _pairwise(terms[middle:])
