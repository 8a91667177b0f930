"""The door of the bulk engine (批量引擎入口)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

import pyarrow as pa

from fenzhi.engine.adjusting import adjust_cases
from fenzhi.engine.aggregates import aggregate_hospitals, reference_totals
from fenzhi.engine.apportionment import apportion_cases
from fenzhi.engine.compiled_book import CompiledBook
from fenzhi.engine.connection import BulkConnection
from fenzhi.engine.failures import input_refused
from fenzhi.engine.graded_editions import EditionPlan, grade_editions
from fenzhi.engine.group_and_score import group_and_score_cases, group_and_score_editions, group_cases
from fenzhi.engine.scoring_plan import ScoringPlan
from fenzhi.rules.catalog.edition import Edition
from fenzhi.rules.catalog.reference_costs import ReferenceCosts
from fenzhi.rules.scoring.case_adjustment import Adjustment, AdjustmentRules

BATCH_ROWS = 500_000


class Engine:
    """Bulk grouping, scoring, sums and apportionment (批量引擎) over Arrow tables, in one process, without a database handle.

    Not for two threads at once. `memory_limit` as DuckDB writes it ("2GB"); beyond it a run spills to `temp_directory`, or
    fails typed when there is none. Batches of `batch_rows` cases bound the memory; they never change a result.
    """

    def __init__(
        self,
        *,
        memory_limit: str = "2GB",
        threads: int = 2,
        temp_directory: str | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        if batch_rows < 1:
            raise input_refused("批大小至少为 1。", "A batch holds at least one row.", saw=str(batch_rows))
        self._connection = BulkConnection(memory_limit=memory_limit, threads=threads, temp_directory=temp_directory)
        self._batch_rows = batch_rows

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back memory and threads (关闭)."""
        self._connection.close()

    def group(self, cases: pa.Table, book: CompiledBook) -> pa.Table:
        """Cases into groups (批量入组), in the order of the rows given.

        Shape: `cases` has principal_diagnosis and procedures (main first), as text and lists of text or as numbers made by
        `CompiledBook.encode`. The answer: ordinal (row number from 0), group_code (null when ungrouped), reason.
        Raises: EngineInputRefused, EngineBoundsExceeded, EngineFailed.
        """
        return group_cases(self._connection, cases, book, batch_rows=self._batch_rows)

    def adjust(
        self, grouped: pa.Table, cases: pa.Table, edition: Edition, rules: AdjustmentRules
    ) -> tuple[tuple[Adjustment, ...], pa.Array]:
        """Adjustments of grouped cases (批量分值调整): the distinct ones, and for each case the place of its own (int32).

        Shape: `grouped` as answered by `group`, `cases` row by row beside it with what the rules look at, each optional: age_days,
        los_days, birth_weight_g, icu_days, tcm_fen, cost_fen (int64), discharge_way, discharge_date, other_diagnoses, procedures (text).
        Raises: EngineInputRefused, EngineBoundsExceeded, EngineFailed.
        """
        return adjust_cases(self._connection, grouped, cases, edition, rules)

    def group_and_score(self, cases: pa.Table, plan: ScoringPlan) -> pa.Table:
        """Cases into groups and points (批量入组计分), byte for byte what the rules say, in the order of the rows given.

        Shape: `cases` as in `group`, with cost_fen (int64, ≥ 0), factor (int32, place in the plan's factors) and, where the
        plan has several, auxiliary. The answer: ordinal, group_code, reason, band, reference_source, points (int64 in
        10^-points_decimals); the last three are null when the case is ungrouped. One edition per call.
        Raises: EngineInputRefused, EngineBoundsExceeded, EngineFailed.
        """
        return group_and_score_cases(self._connection, cases, plan, batch_rows=self._batch_rows)

    def group_and_score_editions(self, cases: pa.Table, plans: Mapping[str, ScoringPlan]) -> pa.Table:
        """Cases of several editions (多版本批量入组计分), each under its own: `cases` carries edition_id (text).

        Shape: as `group_and_score` with edition_id beside it; group_code is plain text. Points of editions that differ in
        scale are in different units and do not add up (money-rules 11). Raises: EngineInputRefused for an edition without
        a plan, and as `group_and_score`.
        """
        return group_and_score_editions(self._connection, cases, plans, batch_rows=self._batch_rows)

    def grade(self, cases: pa.Table, plans: Mapping[str, EditionPlan]) -> pa.Table:
        """Cases of several editions with adjustments and provisional groups (入组计分): what a run says of each case.

        Shape: as `group_and_score_editions`, with what adjustments look at as in `adjust`. A case that its edition does not cover takes
        a provisional group of its plan, where one matches: reason provisional_matched. Raises: as `group_and_score_editions`.
        """
        return grade_editions(self._connection, cases, plans, batch_rows=self._batch_rows)

    def aggregate_hospitals(
        self, scored: pa.Table, cases: pa.Table, money: Sequence[str] = ("cost_fen", "booked_fen", "patient_fen")
    ) -> pa.Table:
        """Sums of scored cases per hospital (按医疗机构汇总), by hospital in byte order.

        Shape: `scored` as answered by `group_and_score`, `cases` row by row beside it with hospital and the int64 columns
        named in `money`. The answer: hospital, cases, grouped, points, each column of `money`, band_<band> and
        reason_<reason> counts, all int64. Raises: EngineInputRefused, EngineBoundsExceeded.
        """
        return aggregate_hospitals(self._connection, scored, cases, money)

    def reference_costs(self, grouped: pa.Table, cases: pa.Table) -> ReferenceCosts:
        """Reference costs of a year's grouped cases (参考均费), per group and hospital level and per group, exact.

        Shape: `grouped` as answered by `group`, `cases` row by row beside it with level (text) and cost_fen (int64).
        Ungrouped cases weigh nothing. Raises: EngineInputRefused, EngineBoundsExceeded.
        """
        return reference_totals(self._connection, grouped, cases)

    def apportion_cases(self, totals: pa.Table, cases: pa.Table) -> pa.Table:
        """A hospital's money over its cases by points (病例分摊), largest remainder, to the fen.

        Shape: `totals` has hospital and total_fen (int64, may be negative), `cases` has hospital, case_id and points
        (int64, ≥ 0). The answer: hospital, case_id, share_fen, one row per case, ordered by hospital and case id; and
        last_remainder, null but for the last case of a hospital that takes one of the fen left: its remainder.
        Rounding: floor toward −∞, then one fen each to the largest remainders, ties to the smaller case id (byte order).
        Cases of a hospital without any points get 0. Raises: EngineInputRefused, EngineBoundsExceeded; InvariantBroken
        naming the hospital when its shares do not add up to its total, as when it has a total but no points.
        """
        return apportion_cases(self._connection, totals, cases)
