"""The statements of grouping and scoring (入组与计分语句), over integers only.

A case without procedures, or with one, is a look-up. A case with several meets rows of the match table, one for each of its
procedures that a group of its diagnosis names. Collected per case and group they say which parts are met and how many
procedures matched; the best complete group is the largest comparison number. `{…}` is filled with integers and fixed words,
never with data of a tenant.
"""

from __future__ import annotations

from fenzhi.engine.compiled_book import BESIDE, LAYER_REASONS, REASON, REASON_BITS, CompiledBook
from fenzhi.engine.connection import INT64_MAX
from fenzhi.engine.scoring_plan import SOURCES, RunBounds, ScoringPlan, blank_ratio, standard_price
from fenzhi.rules.catalog.group_conditions import CaseFact
from fenzhi.rules.catalog.reference_costs import ReferenceSource
from fenzhi.rules.grouping.comparators import FAR
from fenzhi.rules.grouping.grouping_method import ComprehensiveClass, TieBreak
from fenzhi.rules.grouping.outcome import GroupingReason
from fenzhi.rules.scoring.cost_outliers import BANDS, CostBand, OutlierMethod

BAND = {band: place for place, band in enumerate(BANDS)}

_USED = """
  SELECT ordinal, {diagnosis} AS diagnosis, {columns}unnest({tokens}) AS token FROM {source} WHERE {which} AND diagnosis >= 0
"""

_HIT = """
SELECT ordinal, base, {met} AS met{measures}
FROM ({used}) AS used
JOIN matches ON matches.match_key = used.diagnosis::BIGINT * {token_count} + used.token
WHERE used.token >= 0
GROUP BY ordinal, base
"""

_BEST = """
SELECT ordinal, {answer} AS answer
FROM (SELECT ordinal, {best} AS best FROM ({hit}) AS hit WHERE met = -1 GROUP BY ordinal) AS compared
"""

_GROUPED = """
{told}SELECT
  {source}.ordinal,
  {case_columns}
  CASE
    {gates}
    {looked_up}
    WHEN {decides} >= {surgical} THEN diagnoses.class_surgical
    WHEN {decides} >= {therapeutic} THEN diagnoses.class_therapeutic
    WHEN {decides} >= {diagnostic} THEN diagnoses.class_diagnostic
    ELSE diagnoses.class_unknown
  END AS answer
FROM {source}
JOIN diagnoses ON diagnoses.diagnosis = {source}.diagnosis
LEFT JOIN singles ON singles.single_key = CASE
    WHEN len({source}.procedures) = 1 AND {source}.diagnosis >= 0 AND {source}.procedures[1] >= 0{unless_special}
    THEN {source}.diagnosis::BIGINT * {token_count} + {source}.procedures[1]
  END
LEFT JOIN ({best}) AS best ON best.ordinal = {source}.ordinal
"""

_LOOKED_UP = """WHEN len({source}.procedures) = 0 THEN diagnoses.quiet
    WHEN singles.single IS NOT NULL THEN singles.single
    WHEN best.answer IS NOT NULL THEN best.answer"""
_LOOKED_UP_LAYERED = """WHEN best.answer IS NOT NULL THEN best.answer
    WHEN singles.single IS NOT NULL THEN singles.single
    WHEN len({source}.procedures) = 0 THEN diagnoses.quiet"""

_TOLD = """WITH effected AS (
  SELECT cases.* {replaced} FROM cases {join_effective}
),
told AS (
  SELECT effected.*, {tokens} AS tokens FROM effected
)
"""

_SCORED = """
WITH grouped AS ({grouped}),
priced AS (
  SELECT
    grouped.ordinal, grouped.answer, grouped.cost_fen,
    prices.base::{normal} * {auxiliary} AS base,{bonus_column}
    CASE WHEN prices.grassroots THEN {coefficient_unit} ELSE factors.coefficient END AS coefficient,
    prices.ratio_top, prices.ratio_bottom, {source} AS source,
    {band_by_lines}
  FROM grouped
  JOIN factors ON factors.factor = grouped.factor
  JOIN prices ON prices.price_key = ((grouped.answer >> {reason_bits}) * {levels} + factors.level)::INTEGER
  {join_auxiliary}
){banded}
SELECT
  ordinal,
  {group_and_reason},
  CASE WHEN answer >= {grouped_from} THEN band{blank_band} END AS band,
  CASE WHEN answer >= {grouped_from} THEN source{blank_source} END AS source,
  CASE
    {blank_points}
    WHEN answer < {grouped_from} THEN NULL
    WHEN band = {band_low} THEN {low_points}{bonus}
    {high_branch}
    ELSE (2 * base * coefficient + {unit}) // (2 * {unit}){bonus}
  END::BIGINT AS points
FROM {from_table}
{order}
"""

_BAND_BY_COST = """CASE
      WHEN prices.source = {source_none} THEN {band_cannot_judge}
      WHEN grouped.cost_fen <= prices.low_max THEN {band_low}
      WHEN grouped.cost_fen >= prices.extreme_min THEN {band_extreme}
      WHEN grouped.cost_fen >= prices.high_min THEN {band_high}
      ELSE {band_normal}
    END::TINYINT AS band"""

_BANDED_BY_STANDARD = """,
banded AS (
  SELECT priced.*, CASE
      WHEN base * coefficient <= 0 THEN {band_cannot_judge}
      WHEN {cost} * {low_bottom} {low_sign} {standard} * {low_top} THEN {band_low}
      WHEN {extreme} THEN {band_extreme}
      WHEN {cost} * {high_bottom} {high_sign} {standard} * {high_top} THEN {band_high}
      ELSE {band_normal}
    END::TINYINT AS band
  FROM priced
)"""

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
    standard = plan.lines.method is OutlierMethod.PAYMENT_STANDARD
    several = len(plan.auxiliaries) > 1
    columns = "cases.cost_fen, cases.factor," + (" cases.auxiliary," if several else "")
    bands = {
        "band_cannot_judge": BAND[CostBand.CANNOT_JUDGE],
        "band_low": BAND[CostBand.LOW],
        "band_high": BAND[CostBand.HIGH],
        "band_extreme": BAND[CostBand.EXTREME],
        "band_normal": BAND[CostBand.NORMAL],
    }
    none = SOURCES.index(ReferenceSource.NONE)
    if standard:
        kind = _width(bounds.outlier)
        price_top, price_bottom = standard_price(plan)
        low_points = _ROUNDED.format(top=f"cost_fen::{kind} * {price_bottom}", bottom=f"{price_top}::{kind}")
        high_branch = ""
        banded = _banded_by_standard(plan, unit, kind, bands)
    else:
        low_points, high_points = _outlier_points(plan, unit, _width(bounds.outlier))
        high_branch = f"WHEN band = {bands['band_high']} THEN {high_points}" + (" + bonus" if plan.adds_points else "")
        banded = ""
    blank_points = blank_band = blank_source = ""
    if plan.blank is not None:
        top, bottom = blank_ratio(plan)
        wide = _width(bounds.blank)
        uncovered = ", ".join(str(REASON[reason]) for reason in GroupingReason if reason.is_uncovered)
        blank_points = f"WHEN answer IN ({uncovered}) THEN " + _ROUNDED.format(
            top=f"cost_fen::{wide} * {top}", bottom=f"{bottom}::{wide}"
        )
        blank_band = f" WHEN answer IN ({uncovered}) THEN {bands['band_normal']}"
        blank_source = f" WHEN answer IN ({uncovered}) THEN {SOURCES.index(ReferenceSource.AREA_MEAN)}"
    bonus = plan.auxiliary_table["bonus"][0].as_py()
    return _SCORED.format(
        grouped=_grouped(plan.book, case_columns=columns),
        auxiliary="auxiliaries.auxiliary_coefficient" if several else plan.auxiliary_table[1][0].as_py(),
        normal=_width(bounds.normal),
        join_auxiliary="JOIN auxiliaries ON auxiliaries.auxiliary = grouped.auxiliary" if several else "",
        bonus_column=(f" {'auxiliaries.bonus' if several else bonus} AS bonus," if plan.adds_points else ""),
        bonus=" + bonus" if plan.adds_points else "",
        coefficient_unit=plan.coefficient_unit,
        source=SOURCES.index(ReferenceSource.PAYMENT_STANDARD) if standard else "prices.source",
        band_by_lines="0 AS unasked" if standard else _BAND_BY_COST.format(source_none=none, **bands),
        banded=banded,
        from_table="banded" if standard else "priced",
        levels=len(plan.levels),
        group_and_reason=_GROUP_AND_REASON.format(**_ANSWER),
        order=_ORDER,
        unit=unit,
        low_points=low_points,
        high_branch=high_branch,
        blank_points=blank_points,
        blank_band=blank_band,
        blank_source=blank_source,
        **bands,
        **_ANSWER,
    )


def _banded_by_standard(plan: ScoringPlan, unit: int, kind: str, bands: dict[str, int]) -> str:
    """Bands against the payment standard (以支付标准判定): both sides multiplied out, so that nothing is divided."""
    price_top, price_bottom = standard_price(plan)
    lines = plan.lines
    cost = f"cost_fen::{kind} * {unit * price_bottom}"
    standard = f"base::{kind} * coefficient * {price_top}"
    extreme = "FALSE"
    if lines.extreme is not None:
        top, bottom = lines.extreme.as_integer_ratio()
        extreme = f"{cost} * {bottom} {'>=' if lines.extreme_inclusive else '>'} {standard} * {top}"
    low_top, low_bottom = lines.low.as_integer_ratio()
    high_top, high_bottom = lines.high.as_integer_ratio()
    return _BANDED_BY_STANDARD.format(
        cost=cost,
        standard=standard,
        low_top=low_top,
        low_bottom=low_bottom,
        low_sign="<=" if lines.low_inclusive else "<",
        high_top=high_top,
        high_bottom=high_bottom,
        high_sign=">=" if lines.high_inclusive else ">",
        extreme=extreme,
        **bands,
    )


def _width(bound: int) -> str:
    return "BIGINT" if bound <= INT64_MAX else "HUGEINT"


def _outlier_points(plan: ScoringPlan, unit: int, kind: str) -> tuple[str, str]:
    """Points of a low and of a high case as one rounded integer division each (异常病例分值表达式)."""
    high = plan.lines.high.as_integer_ratio()
    base = f"base::{kind}"
    inside = plan.lines.method is OutlierMethod.COEFFICIENT_INSIDE
    k = "coefficient" if inside or plan.lines.coefficient_applied else str(plan.coefficient_unit)
    ratio = f"ratio_top::{kind} * cost_fen"
    if not inside:
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
    """The statement of grouping (入组语句), with nothing in it that the edition and the method do not ask for."""
    source = "told" if book.layered or book.edition.lists.touches_procedures else "cases"
    highest = book.method.comprehensive_class is ComprehensiveClass.HIGHEST
    diagnostic, therapeutic, surgical = book.class_starts
    decides = f"list_max({source}.procedures)" if highest else f"{source}.procedures[1]"
    gates = []
    if book.judges_procedures:
        unknown, gray = (REASON[reason] for reason in (GroupingReason.PROCEDURE_UNKNOWN, GroupingReason.PROCEDURE_GRAY))
        gates.append(
            f"WHEN {source}.unsound > 0 AND diagnoses.refused = 0 THEN CASE {source}.unsound WHEN 1 THEN {unknown} ELSE {gray} END"
        )
    if book.layered:
        gates.insert(0, "WHEN diagnoses.refused = 1 THEN diagnoses.quiet")
    looked_up = _LOOKED_UP_LAYERED if book.layered else _LOOKED_UP
    return _GROUPED.format(
        told=_told(book) if source == "told" else "",
        source=source,
        case_columns=case_columns.replace("cases.", f"{source}."),
        gates="\n    ".join(gates),
        looked_up=looked_up.format(source=source),
        decides=decides,
        diagnostic=diagnostic,
        therapeutic=therapeutic,
        surgical=surgical,
        unless_special=f" AND NOT {source}.special" if book.layered else "",
        token_count=book.tokens.count,
        best=_best(book, source),
    )


def _told(book: CompiledBook) -> str:
    listed = book.edition.lists.touches_procedures
    tokens = "procedures"
    if book.layered:
        first = book.tokens.first
        diagnostic, therapeutic, surgical = book.class_starts
        decides = (
            "list_max(procedures)" if book.method.comprehensive_class is ComprehensiveClass.HIGHEST else "procedures[1]"
        )
        of_class = (
            f"CASE WHEN len(procedures) = 0 THEN {first} WHEN {decides} >= {surgical} THEN {first + 3}"
            f" WHEN {decides} >= {therapeutic} THEN {first + 2} WHEN {decides} >= {diagnostic} THEN {first + 1} ELSE -1 END"
        )
        conditions = ", ".join([of_class, str(book.tokens.always), *(_fact(book, fact) for fact in CaseFact)])
        tokens = (
            f"CASE WHEN special THEN list_concat(procedures, secondary, [{conditions}]::INTEGER[]) ELSE procedures END"
        )
    return _TOLD.format(
        replaced="REPLACE (coalesce(effective.procedures, cases.procedures) AS procedures)" if listed else "",
        join_effective="LEFT JOIN effective ON effective.ordinal = cases.ordinal" if listed else "",
        tokens=tokens,
    )


def _fact(book: CompiledBook, fact: CaseFact) -> str:
    """The token of a fact (事实编号): missing, or the band between two edges."""
    missing = book.tokens.fact_start[fact]
    edges = book.tokens.edges[fact]
    if not edges:
        return "-1"
    below = " ".join(f"WHEN {fact.value} < {edge} THEN {missing + 1 + place}" for place, edge in enumerate(edges))
    return f"CASE WHEN {fact.value} IS NULL THEN {missing} {below} ELSE {missing + 1 + len(edges)} END"


def _best(book: CompiledBook, source: str) -> str:
    """The best complete group of a case with several tokens (最优病种)."""
    dynamic = dict(book.dynamic)
    counted = [one for one in (TieBreak.MOST_MATCHED, TieBreak.COMPLETE_MATCH) if one in dynamic]
    tokens = "tokens" if source == "told" else "procedures"
    columns = measures = ""
    met = "bit_or(met)"
    if TieBreak.MAIN_MATCHED in dynamic or book.needs_main:
        columns += "procedures[1] AS main_procedure, "
    if book.needs_main:
        met = "bit_or(met | CASE WHEN token = main_procedure THEN main_met ELSE 0 END)"
    if TieBreak.MAIN_MATCHED in dynamic:
        measures += ", max(CASE WHEN token = main_procedure THEN is_main ELSE 0 END) AS main"
    if counted:
        apart = f" AND listed < {BESIDE}" if TieBreak.FULL_CODE in dynamic else ""
        seen = f"CASE WHEN listed < {BESIDE} THEN seen ELSE 0 END" if apart else "seen"
        named = f"count(*) FILTER (WHERE token < {book.procedures_count}{apart})"
        measures += f", {f'bit_count(bit_or({seen}))::BIGINT' if book.counts_by_bits else named} AS matched"
    if TieBreak.FULL_CODE in dynamic:
        by_bits = "bit_count(bit_or(CASE WHEN listed > 0 THEN seen ELSE 0 END))::BIGINT"
        measures += f", {by_bits if book.counts_by_bits else 'count(*) FILTER (WHERE listed > 0)'} AS full_codes"
    if TieBreak.COMPLETE_MATCH in dynamic:
        columns += "len(list_distinct(procedures)) AS coded, "
        measures += ", max(coded) AS coded"
    if TieBreak.CLASS_MATCHED in dynamic:
        diagnostic, therapeutic, surgical = book.class_starts
        columns += "list_max(procedures) AS heaviest, "
        measures += (
            f", max(CASE WHEN heaviest >= {surgical} THEN 3 WHEN heaviest >= {therapeutic} THEN 2"
            f" WHEN heaviest >= {diagnostic} THEN 1 ELSE 0 END) AS highest, max(class_rank) AS class_rank"
        )
    if book.nearest_cost:
        columns += "cost_fen, "
        measures += f", max(CASE WHEN mean_fen < 0 OR cost_fen IS NULL THEN {FAR} ELSE abs(cost_fen - mean_fen) END) AS distance"
    if book.layered:
        measures += ", max(blocked) AS blocked"
    several = "len(procedures) > 0" if _needs_every(book) else "len(procedures) > 1"
    used = _USED.format(
        diagnosis="diagnosis",
        columns=columns,
        tokens=tokens if book.counts_by_bits else f"list_distinct({tokens})",
        source=source,
        which=f"({several} OR special)" if book.layered else several,
    )
    if book.layered:
        used += "UNION ALL" + _USED.format(
            diagnosis=str(book.any_number),
            columns=columns,
            tokens=tokens if book.counts_by_bits else f"list_distinct({tokens})",
            source=source,
            which="any_flag",
        )
    hit = _HIT.format(met=met, measures=measures, used=used, token_count=book.tokens.count)
    compared = "base" + "".join(
        f" + ({_MEASURE[comparator]} << {bit})" for comparator, bit in book.dynamic if comparator in _MEASURE
    )
    if book.layered:
        compared += f" - (blocked << {book.bits.decided})"
    best = f"max({compared})"
    if book.nearest_cost:
        bit = dynamic[TieBreak.NEAREST_COST]
        best = f"max({{'head': ({compared}) >> {bit}, 'near': -distance, 'tail': ({compared}) & {(1 << bit) - 1}}})"
        best = f"(({best}).head << {bit}) | ({best}).tail"
    number = f"((best & {(1 << book.group_bits) - 1}) + 1) << {REASON_BITS}"
    if not book.layered:
        answer = f"({number}) + {REASON[GroupingReason.CORE_MATCHED]}"
    else:
        reasons = " ".join(f"WHEN {place} THEN {REASON[one]}" for place, one in enumerate(LAYER_REASONS))
        answer = (
            f"CASE WHEN (best >> {book.bits.decided}) & 1 = 0 THEN {REASON[GroupingReason.CASE_FACT_MISSING]}"
            f" ELSE ({number}) + CASE best >> {book.bits.layer} {reasons} END END"
        )
    return _BEST.format(answer=answer, best=best, hit=hit)


def _needs_every(book: CompiledBook) -> bool:
    """Cases with one procedure cannot be looked up where a comparator depends on more than the procedure itself."""
    return bool({one for one, _ in book.dynamic} - {TieBreak.MOST_MATCHED, TieBreak.MAIN_MATCHED})


_MEASURE = {
    TieBreak.MOST_MATCHED: "matched",
    TieBreak.MAIN_MATCHED: "main",
    TieBreak.FULL_CODE: "full_codes",
    TieBreak.COMPLETE_MATCH: "(CASE WHEN matched = coded THEN 1 ELSE 0 END)",
    TieBreak.CLASS_MATCHED: "(CASE WHEN class_rank = highest THEN 1 ELSE 0 END)",
}
