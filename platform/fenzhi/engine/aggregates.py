"""Sums of scored cases (病例汇总): per hospital, and the reference totals of a year per group and level."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from fenzhi.engine.columns import check_columns
from fenzhi.engine.connection import BulkConnection
from fenzhi.engine.failures import input_refused
from fenzhi.rules.catalog.reference_costs import MeanCost, ReferenceCosts
from fenzhi.rules.grouping.outcome import REASONS
from fenzhi.rules.scoring.cost_outliers import BANDS

_HOSPITALS = """
SELECT hospital,
  count(*) AS cases,
  count(group_code) AS grouped,
  coalesce(sum(points), 0)::BIGINT AS points{sums}{counts}
FROM cases
GROUP BY hospital
ORDER BY hospital
"""

_REFERENCES = """
SELECT group_code::VARCHAR AS group_code, level::VARCHAR AS level, sum(cost_fen)::BIGINT AS total_fen, count(*) AS n
FROM cases
WHERE group_code IS NOT NULL
GROUP BY ALL
ORDER BY ALL
"""


def aggregate_hospitals(
    connection: BulkConnection, scored: pa.Table, cases: pa.Table, money: Sequence[str]
) -> pa.Table:
    """Sums per hospital (按医疗机构汇总): see `Engine.aggregate_hospitals`."""
    check_columns(cases, {"hospital": None, **{name: pa.int64() for name in money}}, "cases")
    together = _side_by_side(scored, cases, ("hospital", *money))
    counted = {f"band_{band.value}": f"band = '{band.value}'" for band in BANDS}
    counted |= {f"reason_{reason.value}": f"reason = '{reason.value}'" for reason in REASONS}
    statement = _HOSPITALS.format(
        sums="".join(f",\n  sum({name})::BIGINT AS {name}" for name in money),
        counts="".join(f",\n  count(*) FILTER (WHERE {what}) AS {name}" for name, what in counted.items()),
    )
    return connection.run(statement, {"cases": together})


def reference_totals(connection: BulkConnection, grouped: pa.Table, cases: pa.Table) -> ReferenceCosts:
    """Reference costs of grouped cases (参考均费): see `Engine.reference_costs`."""
    check_columns(cases, {"level": None, "cost_fen": pa.int64()}, "cases")
    together = _side_by_side(grouped, cases, ("level", "cost_fen"))
    by_level: dict[tuple[str, str], MeanCost] = {}
    overall: dict[str, MeanCost] = {}
    for row in connection.run(_REFERENCES, {"cases": together}).to_pylist():
        mean = MeanCost(row["total_fen"], row["n"])
        by_level[row["group_code"], row["level"]] = mean
        so_far = overall.get(row["group_code"], MeanCost(0, 0))
        overall[row["group_code"]] = MeanCost(so_far.total_fen + mean.total_fen, so_far.n + mean.n)
    return ReferenceCosts(by_level, overall)


def _side_by_side(answers: pa.Table, cases: pa.Table, columns: Sequence[str]) -> pa.Table:
    if answers.num_rows != cases.num_rows:
        raise input_refused(
            "结果与病例行数不同。",
            "The answers and the cases differ in length.",
            answers=str(answers.num_rows),
            cases=str(cases.num_rows),
        )
    together = answers
    for name in columns:
        if name in together.column_names or not name.isidentifier():
            raise input_refused(f"列名 {name} 不可用。", f"The column name {name} cannot be used.", column=name)
        together = together.append_column(name, cases[name])
    return together
