"""The history years behind a budget point value (历史年度), regrouped and scored under the edition it prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.engine import Engine
from fenzhi.rules.point_value.budget_point_value import HistoryYear
from fenzhi.services.clearing.grading import GradingBasis, cross_check, grade
from fenzhi.store.bulk import read_arrow
from fenzhi.store.session import Database, UnitOfWork

NOT_POSITIVE = "cost_not_positive"


@dataclass(frozen=True, slots=True)
class HistorySums:
    """What the history years come to (历史汇总). Units: fen, 10^-d points."""

    years: tuple[HistoryYear, ...]
    used: Mapping[int, int]
    """Cases used, by year."""
    set_aside: Mapping[str, int]
    """Cases of the pool's insurance that could not be priced, by reason."""
    last_cost_fen: int
    last_booked_fen: int
    """Cost and booked fund of the last year's used cases: φ of last year."""


async def read_history(database: Database, uow: UnitOfWork, insurance: str, years: Sequence[int]) -> pa.Table:
    """The discharges of these years that intake did not set aside (历史病例), as grading wants them.

    A discharge without a date counts as of the last day of its year.
    """
    return await read_arrow(
        database,
        uow.scope,
        f"""
        select history_id || '/' || row_no as case_id, hospital_id, year,
               coalesce(discharge_date, make_date(year, 12, 31)) as discharge_date,
               diagnoses[1] as principal_diagnosis, procedures, total_fen, fund_fen,
               convert_to(history_id || '/' || row_no, 'UTF8') as digest
          from history_discharge
         where area_id = {uow.scope.area} and insurance = '{insurance}' and set_aside = ''
           and year between {min(years)} and {max(years)}
        """,
    )


def positive(cases: pa.Table) -> pa.Table:
    """The discharges whose cost is above 0 (费用为正的病例): nothing else can be scored."""
    return cases.filter(pc.greater(cases["total_fen"], 0))


def sum_history(engine: Engine, cases: pa.Table, basis: GradingBasis, years: Sequence[int]) -> HistorySums:
    """Cost, points and booked fund of each year over one case set (历史年度汇总): the cases that found a group and a coefficient.

    Raises: InvariantBroken when engine and rules differ on a sampled case.
    """
    priced = positive(cases)
    graded = grade(engine, priced, basis)
    cross_check(priced, graded, basis)
    beside = pa.table(
        {
            "year": pc.cast(priced["year"], pa.int32()),
            "disposition": graded["disposition"],
            "total_fen": priced["total_fen"],
            "fund_fen": priced["fund_fen"],
            "points": graded["points"],
        }
    )
    rows: list[dict[str, Any]] = (
        beside.group_by(["year", "disposition"])
        .aggregate([("total_fen", "sum"), ("fund_fen", "sum"), ("points", "sum"), ("total_fen", "count")])
        .to_pylist()
    )
    cleared = {row["year"]: row for row in rows if row["disposition"] == "cleared"}
    aside: dict[str, int] = {}
    for row in rows:
        if row["disposition"] != "cleared":
            reason = str(row["disposition"]).removeprefix("pending:")
            aside[reason] = aside.get(reason, 0) + row["total_fen_count"]
    if cases.num_rows > priced.num_rows:
        aside[NOT_POSITIVE] = cases.num_rows - priced.num_rows
    last = cleared.get(years[-1], {})
    return HistorySums(
        tuple(
            HistoryYear(year, cleared.get(year, {}).get("total_fen_sum", 0), cleared.get(year, {}).get("points_sum", 0))
            for year in years
        ),
        {year: cleared.get(year, {}).get("total_fen_count", 0) for year in years},
        dict(sorted(aside.items())),
        last.get("total_fen_sum", 0),
        last.get("fund_fen_sum", 0),
    )
