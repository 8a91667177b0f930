"""The statements of grouping and scoring (入组与计分语句), over integers only.

A case without procedures, or with one, is a look-up. A case with several meets rows of the match table, one for each of its
procedures that a group of its diagnosis names. Collected per case and group they say which parts are met and how many
procedures matched; the best complete group is the largest comparison number. `{…}` is filled with integers and fixed words,
never with data of a tenant.
"""

from __future__ import annotations

from fenzhi.engine.compiled_book import REASON, REASON_BITS, CompiledBook
from fenzhi.engine.connection import INT64_MAX
from fenzhi.engine.scoring_plan import SOURCES, RunBounds, ScoringPlan
from fenzhi.rules.catalog.reference_costs import ReferenceSource
from fenzhi.rules.grouping.grouping_method import ComprehensiveClass, TieBreak
from fenzhi.rules.grouping.outcome import GroupingReason
from fenzhi.rules.scoring.cost_outliers import BANDS, CostBand, OutlierMethod

BAND = {band: place for place, band in enumerate(BANDS)}

_HIT = """
SELECT ordinal, base, bit_or(met) AS met{matched_column}{main_column}
FROM (
  SELECT ordinal, diagnosis, {main_procedure}unnest({procedures}) AS procedure
  FROM cases WHERE len(procedures) > 1 AND diagnosis >= 0
) AS used
JOIN matches ON matches.match_key = used.diagnosis::BIGINT * {procedures_count} + used.procedure
WHERE used.procedure >= 0
GROUP BY ordinal, base
"""

_BEST = """
SELECT ordinal, (((max(base{dynamic}) & {group_mask}) + 1) << {reason_bits}) + {reason_core} AS answer
FROM ({hit}) AS hit
WHERE met = -1
GROUP BY ordinal
"""

_GROUPED = """
SELECT
  cases.ordinal,
  {case_columns}
  CASE
    WHEN len(cases.procedures) = 0 THEN diagnoses.quiet
    WHEN singles.single IS NOT NULL THEN singles.single
    WHEN best.answer IS NOT NULL THEN best.answer
    WHEN {decides} >= {surgical} THEN diagnoses.class_surgical
    WHEN {decides} >= {therapeutic} THEN diagnoses.class_therapeutic
    WHEN {decides} >= {diagnostic} THEN diagnoses.class_diagnostic
    ELSE diagnoses.class_unknown
  END AS answer
FROM cases
JOIN diagnoses ON diagnoses.diagnosis = cases.diagnosis
LEFT JOIN singles ON singles.single_key = CASE
    WHEN len(cases.procedures) = 1 AND cases.diagnosis >= 0 AND cases.procedures[1] >= 0
    THEN cases.diagnosis::BIGINT * {procedures_count} + cases.procedures[1]
  END
LEFT JOIN ({best}) AS best ON best.ordinal = cases.ordinal
"""

_SCORED = """
WITH grouped AS ({grouped}),
priced AS (
  SELECT
    grouped.ordinal, grouped.answer, grouped.cost_fen,
    prices.base::{normal} * {auxiliary} AS base,
    CASE WHEN prices.grassroots THEN {coefficient_unit} ELSE factors.coefficient END AS coefficient,
    prices.ratio_top, prices.ratio_bottom, prices.source,
    CASE
      WHEN prices.source = {source_none} THEN {band_cannot_judge}
      WHEN grouped.cost_fen <= prices.low_max THEN {band_low}
      WHEN grouped.cost_fen >= prices.extreme_min THEN {band_extreme}
      WHEN grouped.cost_fen >= prices.high_min THEN {band_high}
      ELSE {band_normal}
    END::TINYINT AS band
  FROM grouped
  JOIN factors ON factors.factor = grouped.factor
  JOIN prices ON prices.price_key = ((grouped.answer >> {reason_bits}) * {levels} + factors.level)::INTEGER
  {join_auxiliary}
)
SELECT
  ordinal,
  {group_and_reason},
  CASE WHEN answer >= {grouped_from} THEN band END AS band,
  CASE WHEN answer >= {grouped_from} THEN source END AS source,
  CASE
    WHEN answer < {grouped_from} THEN NULL
    WHEN band = {band_low} THEN {low_points}
    WHEN band = {band_high} THEN {high_points}
    ELSE (2 * base * coefficient + {unit}) // (2 * {unit})
  END::BIGINT AS points
FROM priced
{order}
"""

_GROUP_AND_REASON = """
  CASE WHEN answer >= {grouped_from} THEN (answer >> {reason_bits}) - 1 END::INTEGER AS group_number,
  (answer & {reason_mask})::TINYINT AS reason"""

_ONLY_GROUPED = """
SELECT ordinal, {group_and_reason} FROM ({grouped}) AS grouped
{order}
"""

_ORDER = "ORDER BY ordinal"

_ROUNDED = "((2 * ({top}) + {bottom}) // (2 * ({bottom})))"


_ANSWER = {
    "grouped_from": 1 << REASON_BITS,
    "reason_bits": REASON_BITS,
    "reason_mask": (1 << REASON_BITS) - 1,
}


def grouping_statement(book: CompiledBook) -> str:
    """Cases into groups (入组语句): ordinal, group_number, reason, in row order."""
    return _ONLY_GROUPED.format(
        grouped=_grouped(book, case_columns=""), group_and_reason=_GROUP_AND_REASON.format(**_ANSWER), order=_ORDER
    )


def scoring_statement(plan: ScoringPlan, bounds: RunBounds) -> str:
    """Cases into groups and points (入组计分语句), each division as wide as the bounds of the run demand."""
    unit = plan.score_unit * plan.coefficient_unit * plan.auxiliary_unit
    low, high = _outlier_points(plan, unit, _width(bounds.outlier))
    several = len(plan.auxiliaries) > 1
    columns = "cases.cost_fen, cases.factor," + (" cases.auxiliary," if several else "")
    return _SCORED.format(
        grouped=_grouped(plan.book, case_columns=columns),
        auxiliary="auxiliaries.auxiliary_coefficient" if several else plan.auxiliary_table[1][0].as_py(),
        normal=_width(bounds.normal),
        join_auxiliary="JOIN auxiliaries ON auxiliaries.auxiliary = grouped.auxiliary" if several else "",
        coefficient_unit=plan.coefficient_unit,
        source_none=SOURCES.index(ReferenceSource.NONE),
        levels=len(plan.levels),
        group_and_reason=_GROUP_AND_REASON.format(**_ANSWER),
        order=_ORDER,
        unit=unit,
        low_points=low,
        high_points=high,
        band_cannot_judge=BAND[CostBand.CANNOT_JUDGE],
        band_low=BAND[CostBand.LOW],
        band_high=BAND[CostBand.HIGH],
        band_extreme=BAND[CostBand.EXTREME],
        band_normal=BAND[CostBand.NORMAL],
        **_ANSWER,
    )


def _width(bound: int) -> str:
    return "BIGINT" if bound <= INT64_MAX else "HUGEINT"


def _outlier_points(plan: ScoringPlan, unit: int, kind: str) -> tuple[str, str]:
    """Points of a low and of a high case as one rounded integer division each (异常病例分值表达式)."""
    high = plan.lines.high.as_integer_ratio()
    base, k = f"base::{kind}", "coefficient"
    ratio = f"ratio_top::{kind} * cost_fen"
    if plan.lines.method is OutlierMethod.NATIONAL_2020:
        low_top = f"{base} * {k} * {ratio}"
        high_top = f"{base} * {k} * ({ratio} * {high[1]} - {high[0] - high[1]} * ratio_bottom::{kind})"
    else:
        low_top = f"{base} * {plan.coefficient_unit} * {ratio}"
        high_top = (
            f"{base} * (({ratio} * {high[1]} - {high[0]} * ratio_bottom::{kind}) * {plan.coefficient_unit}"
            f" + {k} * ratio_bottom::{kind} * {high[1]})"
        )
    bottom = f"{unit}::{kind} * ratio_bottom"
    return (
        _ROUNDED.format(top=low_top, bottom=bottom),
        _ROUNDED.format(top=high_top, bottom=f"{bottom} * {high[1]}"),
    )


def _grouped(book: CompiledBook, *, case_columns: str) -> str:
    needs_main = any(comparator is TieBreak.MAIN_MATCHED for comparator, _ in book.dynamic)
    needs_matched = any(comparator is TieBreak.MOST_MATCHED for comparator, _ in book.dynamic)
    matched = ", bit_count(bit_or(seen))::BIGINT AS matched" if book.counts_by_bits else ", count(*) AS matched"
    hit = _HIT.format(
        matched_column=matched if needs_matched else "",
        procedures="procedures" if book.counts_by_bits else "list_distinct(procedures)",
        main_column=", max(CASE WHEN procedure = main_procedure THEN is_main ELSE 0 END) AS main" if needs_main else "",
        main_procedure="procedures[1] AS main_procedure, " if needs_main else "",
        procedures_count=book.procedures_count,
    )
    dynamic = "".join(
        f" + ({'matched' if comparator is TieBreak.MOST_MATCHED else 'main'} << {bit})"
        for comparator, bit in book.dynamic
    )
    highest = book.method.comprehensive_class is ComprehensiveClass.HIGHEST
    diagnostic, therapeutic, surgical = book.class_starts
    return _GROUPED.format(
        case_columns=case_columns,
        best=_BEST.format(
            hit=hit,
            dynamic=dynamic,
            group_mask=(1 << book.group_bits) - 1,
            reason_bits=REASON_BITS,
            reason_core=REASON[GroupingReason.CORE_MATCHED],
        ),
        decides="list_max(cases.procedures)" if highest else "cases.procedures[1]",
        diagnostic=diagnostic,
        therapeutic=therapeutic,
        surgical=surgical,
        procedures_count=book.procedures_count,
    )
