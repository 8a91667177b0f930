"""Adjustments of grouped cases in bulk (批量分值调整): each distinct signature is worked once by the rule, and joined back.

A case's adjustment depends on its group and on where its facts lie between the edges that the rules name. Cases that agree in all of that
agree in their adjustment, so the rule speaks for one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.connection import BulkConnection
from fenzhi.rules.catalog.disease_group import diagnosis_keys
from fenzhi.rules.catalog.edition import Edition
from fenzhi.rules.scoring.auxiliary_choice import CaseFacts, FactTest, ScoringFact
from fenzhi.rules.scoring.case_adjustment import NO_ADJUSTMENT, Adjustment, AdjustmentRules, case_adjustment

_COLUMNS = {
    "age_days": pa.int64(),
    "los_days": pa.int64(),
    "birth_weight_g": pa.int64(),
    "icu_days": pa.int64(),
    "discharge_way": pa.string(),
    "tcm_fen": pa.int64(),
    "cost_fen": pa.int64(),
    "discharge_date": pa.date32(),
}
_LISTS = ("other_diagnoses", "procedures")

_FIRSTS = """
SELECT ordinal, min(ordinal) OVER (PARTITION BY {signature}) AS first
FROM signed
WHERE group_code IS NOT NULL
"""


def adjust_cases(
    connection: BulkConnection, grouped: pa.Table, cases: pa.Table, edition: Edition, rules: AdjustmentRules
) -> tuple[tuple[Adjustment, ...], pa.Array]:
    """Distinct adjustments and, for each case, the place of its own (分值调整): see `Engine.adjust`."""
    count = grouped.num_rows
    nothing = pa.repeat(pa.scalar(0, pa.int32()), count)
    if rules.empty or not count:
        return (NO_ADJUSTMENT,), nothing
    columns: dict[str, Any] = {
        "ordinal": grouped["ordinal"],
        "group_code": pc.cast(grouped["group_code"], pa.string()),
    }
    for name, kind in _COLUMNS.items():
        columns[name] = pc.cast(cases[name], kind) if name in cases.column_names else pa.nulls(count, kind)
    for name in _LISTS:
        given = name in cases.column_names and pa.types.is_string(cases[name].type.value_type)
        columns[name] = cases[name] if given else pa.nulls(count, pa.list_(pa.string()))
    table = pa.table(columns)
    statement = _WITH_CODES + _FIRSTS.format(signature=", ".join(_signature(rules)))
    given = table.append_column("asked_others", _places(table["other_diagnoses"], _asked_codes(edition, rules)))
    given = given.append_column("known_others", _places(table["other_diagnoses"], sorted(edition.tables.diagnoses)))
    firsts = connection.run(statement, {"given": given.drop_columns(["other_diagnoses"])})
    groups = {group.group_code: group for group in edition.groups}
    distinct = pc.unique(firsts["first"])
    rows = table.take(distinct).to_pylist()
    place_of: dict[tuple[object, ...], int] = {_said(NO_ADJUSTMENT): 0}
    found = [NO_ADJUSTMENT]
    places: list[int] = []
    for row in rows:
        one = case_adjustment(
            groups[row["group_code"]],
            CaseFacts(
                row["age_days"],
                row["los_days"],
                row["birth_weight_g"],
                row["icu_days"],
                row["discharge_way"],
                tuple(one for one in row["other_diagnoses"] or () if one in edition.tables.diagnoses),
                tuple(row["procedures"] or ()),
                row["tcm_fen"],
            ),
            row["cost_fen"] or 0,
            row["discharge_date"],
            rules,
        )
        said = _said(one)
        if said not in place_of:
            place_of[said] = len(found)
            found.append(one)
        places.append(place_of[said])
    index = pc.take(pa.array(places, pa.int32()), pc.index_in(firsts["first"], value_set=distinct))
    back = pc.index_in(grouped["ordinal"], value_set=firsts["ordinal"].combine_chunks())
    return tuple(found), pc.fill_null(pc.take(index, back), 0).combine_chunks()


_WITH_CODES = """
WITH signed AS (
  SELECT given.* REPLACE (list_sort(list_distinct(list_filter(asked_others, lambda x: x >= 0))) AS asked_others),
    len(list_distinct(list_filter(known_others, lambda x: x >= 0))) AS others_count,
    len(list_distinct(procedures)) AS procedures_count
  FROM given
)
"""


def _places(lists: pa.ChunkedArray, codes: list[str]) -> pa.ChunkedArray:
    """Codes as their place in a list, −1 for the others (代码转序号)."""
    found = []
    for chunk in lists.chunks:
        whole = pc.fill_null(chunk, pa.scalar([], chunk.type)) if chunk.null_count else chunk
        values = pc.fill_null(pc.index_in(whole.flatten(), value_set=pa.array(codes, pa.string())), -1)
        start = whole.offsets[0]
        offsets = pc.subtract(whole.offsets, start) if start.as_py() else whole.offsets
        found.append(pa.ListArray.from_arrays(offsets, pc.cast(values, pa.int32())))
    return pa.chunked_array(found, type=pa.list_(pa.int32()))


def _said(one: Adjustment) -> tuple[object, ...]:
    return (one.multiplier, one.bonus)


def _tests(rules: AdjustmentRules) -> Iterable[FactTest]:
    for rule in rules.subtype_rules:
        yield from rule.tests
    yield from (age.test for age in rules.ages)
    yield from (band.test for band in rules.complexity_bands)


def _signature(rules: AdjustmentRules) -> list[str]:
    """What tells two cases apart for these rules (区分要素), as expressions."""
    edges: dict[ScoringFact, set[int]] = {}
    for test in _tests(rules):
        found = edges.setdefault(test.fact, set())
        found.update(edge for edge in (test.low, None if test.high is None else test.high + 1) if edge is not None)
    parts = ["group_code", "asked_others"]
    for fact, cuts in sorted(edges.items()):
        column = {ScoringFact.OTHER_DIAGNOSES: "others_count", ScoringFact.PROCEDURES: "procedures_count"}.get(
            fact, fact.value
        )
        if fact is ScoringFact.CCI:
            continue  # Told by asked_others.
        bands = " ".join(f"WHEN {column} < {cut} THEN {place}" for place, cut in enumerate(sorted(cuts)))
        parts.append(f"CASE WHEN {column} IS NULL THEN -1 {bands} ELSE {len(cuts)} END")
    if any(rule.discharge_ways for rule in rules.subtype_rules):
        parts.append("discharge_way")
    if rules.tcm is not None:
        top, bottom = rules.tcm.threshold.as_integer_ratio()
        parts.append(
            f"CASE WHEN tcm_fen IS NULL THEN -1 WHEN tcm_fen::HUGEINT * {bottom} >= cost_fen::HUGEINT * {top} THEN 1 ELSE 0 END"
        )
    spans = [(one.first, one.last) for one in rules.uplifts] + [(one.first, one.last) for one in rules.technologies]
    dates = sorted({day for first, last in spans for day in (first, last + timedelta(days=1))})
    if dates:
        bands = " ".join(
            f"WHEN discharge_date < DATE '{day.isoformat()}' THEN {place}" for place, day in enumerate(dates)
        )
        parts.append(f"CASE WHEN discharge_date IS NULL THEN -1 {bands} ELSE {len(dates)} END")
    for code in sorted({one.procedure for one in rules.technologies}):
        quoted = code.replace("'", "''")
        parts.append(f"list_contains(procedures, '{quoted}')")
    return parts


def _asked_codes(edition: Edition, rules: AdjustmentRules) -> list[str]:
    """Diagnoses that some rule looks for beside the principal one (规则涉及的其他诊断)."""
    keys: set[str] = set()
    for rule in rules.subtype_rules:
        keys |= rule.diagnoses
    for entry in rules.cci:
        keys |= entry.keys
    if not keys:
        return []
    return sorted(code for code in edition.tables.diagnoses if any(key in keys for _, key in diagnosis_keys(code)))
