"""Coded cases made ready for the join (病例准备): lists of the edition applied, tokens of conditions, procedures nobody knows.

Only the cases that a list, a layer or an unsound procedure touches cost anything here; a plain case passes as it is.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.compiled_book import CompiledBook
from fenzhi.engine.connection import BulkConnection
from fenzhi.rules.catalog.group_conditions import CaseFact

UNKNOWN, GRAY = 1, 2

_EFFECTIVE = """
WITH used AS (
  SELECT ordinal, diagnosis, unnest(procedures) AS procedure, generate_subscripts(procedures, 1) AS place FROM touched
),
told AS (
  SELECT used.ordinal, used.procedure, used.place,
    coalesce(rules.not_main, 0) = 1 AS not_main,
    coalesce(rules.conservative, 0) = 1 AS conservative,
    coalesce(rules.limited, 0) = 1 AND allowed.procedure IS NULL AS limited
  FROM used
  LEFT JOIN rules ON rules.procedure = used.procedure
  LEFT JOIN allowed ON allowed.procedure = used.procedure AND allowed.diagnosis = used.diagnosis
),
mains AS (
  SELECT ordinal, min(place) FILTER (WHERE NOT not_main) AS main FROM told GROUP BY ordinal
)
SELECT told.ordinal,
  CASE
    WHEN max(mains.main) IS NULL OR bool_or(place = mains.main AND (conservative OR limited)) THEN []::INTEGER[]
    ELSE list(procedure ORDER BY CASE WHEN place = mains.main THEN 0 ELSE place END) FILTER (WHERE NOT conservative)
  END AS procedures
FROM told JOIN mains ON mains.ordinal = told.ordinal
GROUP BY told.ordinal
"""


def preparation(connection: BulkConnection, coded: pa.Table, book: CompiledBook) -> pa.Table:
    """Effective procedures of the cases that a list touches (附表适用后的手术操作): ordinal, procedures."""
    lists = book.edition.lists
    empty = pa.table({"ordinal": pa.array([], pa.int64()), "procedures": pa.array([], pa.list_(pa.int32()))})
    if not lists.touches_procedures:
        return empty
    number = {code: place for place, code in enumerate(book.procedure_codes.to_pylist())}
    named = sorted(number[code] for code in {*lists.not_main, *lists.conservative, *lists.limited_main})
    flags = pa.array([False, *(place in set(named) for place in range(len(number)))], pa.bool_())
    rows = rows_where(coded["procedures"], flags)
    touched = coded.select(["ordinal", "diagnosis", "procedures"]).take(rows)
    if not touched.num_rows:
        return empty
    not_main, conservative = _numbers(lists.not_main, number), _numbers(lists.conservative, number)
    limited = _numbers(lists.limited_main, number)
    rules = pa.table(
        {
            "procedure": pa.array(named, pa.int32()),
            "not_main": pa.array([int(one in not_main) for one in named], pa.int8()),
            "conservative": pa.array([int(one in conservative) for one in named], pa.int8()),
            "limited": pa.array([int(one in limited) for one in named], pa.int8()),
        }
    )
    return connection.run(_EFFECTIVE, {"touched": touched, "rules": rules, "allowed": book.limited_pairs})


def _numbers(codes: object, number: dict[str, int]) -> set[int]:
    return {number[code] for code in codes}  # type: ignore[attr-defined]


def flagged(coded: pa.Table, cases: pa.Table, book: CompiledBook) -> pa.Table:
    """The coded cases with what their conditions look at (附条件列): special, any_flag, facts, secondary, unsound."""
    count = coded.num_rows
    if book.judges_procedures:
        unsound = pa.repeat(pa.scalar(0, pa.int8()), count)
        for mark in (GRAY, UNKNOWN):
            rows = rows_where(coded["procedures"], pc.equal(book.unsound, mark))
            if len(rows):
                unsound = pc.if_else(pc.is_in(coded["ordinal"], value_set=rows), pa.scalar(mark, pa.int8()), unsound)
        coded = coded.append_column("unsound", unsound)
    if not book.layered:
        return coded
    asks = pc.equal(pc.take(book.diagnoses["asks"], pc.add(coded["diagnosis"], 2)), 1)
    reached: pa.Array | pa.ChunkedArray = pa.repeat(pa.scalar(book.any_always), count)
    if book.any_anchors is not None and not book.any_always:
        rows = rows_where(coded["procedures"], book.any_anchors)
        if len(rows):
            reached = pc.is_in(coded["ordinal"], value_set=rows)
    coded = coded.append_column("special", pc.or_(asks, reached)).append_column("any_flag", reached)
    for fact in CaseFact:
        given = cases[fact.value] if fact.value in cases.column_names else pa.nulls(count, pa.int64())
        coded = coded.append_column(fact.value, pc.cast(given, pa.int64()))
    if "other_diagnoses" in cases.column_names:
        return coded.append_column("secondary", book.tokens.encode_secondary(cases["other_diagnoses"]))
    offsets = pa.repeat(pa.scalar(0, pa.int32()), count + 1)
    return coded.append_column("secondary", pa.ListArray.from_arrays(offsets, pa.array([], pa.int32())))


def rows_where(lists: pa.ChunkedArray, flags: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The rows with a procedure whose flag, by its number + 1, is set (含指定手术操作的行)."""
    together = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    hit = pc.take(flags, pc.add(pc.list_flatten(together), 1))
    found = pc.unique(pc.filter(pc.list_parent_indices(together), hit))
    return pc.cast(found, pa.int64())
