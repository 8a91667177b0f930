"""One in-process database per engine (进程内数据库), bounded in memory and threads, that reads nothing from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from fenzhi.engine.failures import EngineBoundsExceeded, EngineFailed

INT64_MAX = 2**63 - 1
HUGEINT_MAX = 2**127 - 1


class BulkConnection:
    """A DuckDB connection behind one port (引擎连接): tables in, one statement, one table out.

    Not for use from two threads at once. Any DuckDB or Arrow exception surfaces as `EngineFailed`.
    """

    def __init__(self, *, memory_limit: str, threads: int, temp_directory: str | None) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "threads": str(threads),
            "preserve_insertion_order": "false",
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        if temp_directory is not None:
            config["temp_directory"] = temp_directory
        with self._typed("open"):
            self._connection = duckdb.connect(":memory:", config=config)

    def close(self) -> None:
        """Give back everything (关闭连接)."""
        with self._typed("close"):
            self._connection.close()

    def run(self, statement: str, tables: Mapping[str, pa.Table]) -> pa.Table:
        """The answer of one statement over the tables given (执行一条语句)."""
        named: list[str] = []
        with self._typed(statement.split(None, 2)[0] if statement.strip() else "empty"):
            try:
                for name, table in tables.items():
                    self._connection.register(name, table)
                    named.append(name)
                return self._connection.sql(statement).to_arrow_table()
            finally:
                for name in named:
                    self._connection.unregister(name)

    def keep(self, name: str, statement: str, tables: Mapping[str, pa.Table | pa.RecordBatchReader]) -> None:
        """Keep the answer of a statement as a table of this connection (留存中间表), until it is closed or dropped."""
        named: list[str] = []
        with self._typed(name):
            try:
                for one, table in tables.items():
                    self._connection.register(one, table)
                    named.append(one)
                self._connection.execute(f"CREATE OR REPLACE TABLE {name} AS {statement}")
            finally:
                for one in named:
                    self._connection.unregister(one)

    def delete(self, name: str, condition: str, using: str = "") -> None:
        """Take rows out of a table that was kept (删除中间表的行)."""
        with self._typed(name):
            self._connection.execute(f"DELETE FROM {name}{f' USING {using}' if using else ''} WHERE {condition}")

    def drop(self, name: str) -> None:
        """Let go of a table that was kept (删除中间表)."""
        with self._typed(name):
            self._connection.execute(f"DROP TABLE {name}")

    @contextmanager
    def _typed(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
            raise EngineBoundsExceeded(
                "计算结果超出整数范围。",
                "A result of this run does not fit its integer type.",
                hint="检查金额、分值或参考均费是否误填。 Check amounts, scores and reference costs.",
                doing=doing,
                kind=type(error).__name__,
                message=str(error)[:500],
            ) from error
        except (duckdb.Error, pa.ArrowException, MemoryError) as error:
            kind = type(error).__name__
            raise EngineFailed(
                f"批量计算失败({kind})。",
                f"The bulk engine failed: {kind}.",
                hint="结果未保存，可重试；内存不足时提高引擎内存上限。 Nothing was kept; retry, or raise the engine's memory limit.",
                doing=doing,
                kind=kind,
                message=str(error)[:500],
            ) from error
