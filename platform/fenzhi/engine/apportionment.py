"""A hospital's money over its cases (病例分摊): nested largest remainder at case level, exact to the fen.

Each hospital's share was fixed one level above. Here every case first takes the floor of its part (toward −∞ for a negative
total), and the fen that are left go one each to the largest remainders, ties to the smaller case id in byte order.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.columns import check_columns, extremes
from fenzhi.engine.connection import HUGEINT_MAX, INT64_MAX, BulkConnection
from fenzhi.engine.failures import bounds_exceeded, input_refused
from fenzhi.rules.refusals import InvariantBroken

_SHARES = """
WITH summed AS (
  SELECT hospital, sum(points)::BIGINT AS points FROM cases GROUP BY hospital
),
parted AS (
  SELECT
    cases.hospital, cases.case_id,
    totals.total_fen::{kind} * cases.points AS part,
    summed.points AS whole
  FROM cases
  JOIN totals ON totals.hospital = cases.hospital
  JOIN summed ON summed.hospital = cases.hospital
),
-- One division per case; what is below zero is cut toward zero first and corrected, because it is rounded toward −∞.
divided AS (
  SELECT hospital, case_id, whole, (part // whole)::BIGINT AS cut, part FROM parted WHERE whole > 0
),
corrected AS (
  SELECT hospital, case_id, whole, cut, (part - cut::{kind} * whole)::BIGINT AS rest FROM divided
),
floored AS (
  SELECT hospital, case_id, whole,
    cut - CASE WHEN rest < 0 THEN 1 ELSE 0 END AS floor_fen,
    CASE WHEN rest < 0 THEN rest + whole ELSE rest END AS remainder
  FROM corrected
),
left_over AS (
  SELECT hospital, (sum(remainder) // max(whole))::BIGINT AS fen FROM floored GROUP BY hospital
),
ranked AS (
  SELECT floored.*, row_number() OVER (PARTITION BY floored.hospital ORDER BY remainder DESC, case_id) AS place
  FROM floored
)
SELECT ranked.hospital, case_id, floor_fen + CASE WHEN place <= left_over.fen THEN 1 ELSE 0 END AS share_fen,
  CASE WHEN place = left_over.fen THEN remainder END AS last_remainder
FROM ranked JOIN left_over ON left_over.hospital = ranked.hospital
UNION ALL
SELECT hospital, case_id, 0::BIGINT, NULL::BIGINT FROM parted WHERE whole = 0
ORDER BY hospital, case_id
"""

_CHECKED = """
SELECT totals.hospital, totals.total_fen, coalesce(shared.share_fen, 0::BIGINT) AS share_fen
FROM totals
LEFT JOIN (SELECT hospital, sum(share_fen)::BIGINT AS share_fen FROM shares GROUP BY hospital) AS shared
  ON shared.hospital = totals.hospital
WHERE coalesce(shared.share_fen, 0::BIGINT) <> totals.total_fen
ORDER BY totals.hospital
LIMIT 1
"""


def apportion_cases(connection: BulkConnection, totals: pa.Table, cases: pa.Table) -> pa.Table:
    """Shares of the cases (病例分摊额): see `Engine.apportion_cases`."""
    check_columns(totals, {"hospital": None, "total_fen": pa.int64()}, "totals")
    check_columns(cases, {"hospital": None, "case_id": None, "points": pa.int64()}, "cases")
    if totals["hospital"].type != cases["hospital"].type:
        raise input_refused("两表的医疗机构列类型不同。", "The two hospital columns differ in type.")
    if len(pc.unique(totals["hospital"])) != totals.num_rows:
        raise input_refused("医疗机构总额重复。", "A hospital has more than one total.")
    if cases.num_rows and (pc.min(cases["points"]).as_py() or 0) < 0:
        raise input_refused("病例分值为负，不能分摊。", "Case points below zero cannot be apportioned.")
    known = pc.is_in(cases["hospital"], value_set=totals["hospital"].combine_chunks())
    if not (pc.all(known).as_py() if cases.num_rows else True):
        raise input_refused("有病例的医疗机构没有总额。", "A case belongs to a hospital without a total.")
    largest = max((abs(one) for one in extremes(totals["total_fen"])), default=0)
    points = sum(extremes(cases["points"])[1:]) * max(1, cases.num_rows)
    bound = 2 * largest * max(extremes(cases["points"])[1], 1) + 2 * points
    if bound > HUGEINT_MAX or points > INT64_MAX:
        raise bounds_exceeded("分摊中间量 total × points", max(bound, points), HUGEINT_MAX)
    kind = "BIGINT" if bound <= INT64_MAX else "HUGEINT"
    shares = connection.run(_SHARES.format(kind=kind), {"totals": totals, "cases": cases})
    if shares.num_rows != cases.num_rows:
        raise InvariantBroken("every case has one share", detail=f"{cases.num_rows} cases, {shares.num_rows} shares")
    broken = connection.run(_CHECKED, {"totals": totals, "shares": shares}).to_pylist()
    if broken:
        one = broken[0]
        raise InvariantBroken(
            "shares of the cases add up to the hospital's share",
            account=str(one["hospital"]),
            unexplained_fen=one["total_fen"] - one["share_fen"],
        )
    return shares
