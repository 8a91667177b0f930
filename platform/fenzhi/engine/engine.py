"""The door of the bulk engine (批量引擎入口)."""

from __future__ import annotations

from types import TracebackType

import pyarrow as pa

from fenzhi.engine.compiled_book import CompiledBook
from fenzhi.engine.connection import BulkConnection
from fenzhi.engine.failures import input_refused
from fenzhi.engine.group_and_score import group_and_score_cases, group_cases
from fenzhi.engine.scoring_plan import ScoringPlan

BATCH_ROWS = 1_000_000


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

    def group_and_score(self, cases: pa.Table, plan: ScoringPlan) -> pa.Table:
        """Cases into groups and points (批量入组计分), byte for byte what the rules say, in the order of the rows given.

        Shape: `cases` as in `group`, with cost_fen (int64, ≥ 0), factor (int32, place in the plan's factors) and, where the
        plan has several, auxiliary. The answer: ordinal, group_code, reason, band, reference_source, points (int64 in
        10^-points_decimals); the last three are null when the case is ungrouped. One edition per call.
        Raises: EngineInputRefused, EngineBoundsExceeded, EngineFailed.
        """
        return group_and_score_cases(self._connection, cases, plan, batch_rows=self._batch_rows)
