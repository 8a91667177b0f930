"""Columns as the engine asks for them (输入列检查)."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from fenzhi.engine.failures import input_refused


def check_columns(table: pa.Table, wanted: Mapping[str, pa.DataType | None], where: str) -> None:
    """Refuse a table that lacks a column, holds another type or a null (列检查). None stands for any type.

    Raises: EngineInputRefused.
    """
    for name, kind in wanted.items():
        if name not in table.column_names or (kind is not None and table[name].type != kind):
            asked = f"{name}({kind})" if kind is not None else name
            raise input_refused(
                f"表 {where} 缺少列 {asked}。", f"The table {where} needs a column {asked}.", column=name, table=where
            )
        if table[name].null_count:
            raise input_refused(
                f"表 {where} 的列 {name} 有空值。",
                f"The column {name} of {where} holds nulls.",
                column=name,
                table=where,
            )


def extremes(column: pa.ChunkedArray) -> tuple[int, int]:
    """Smallest and largest value (最小与最大值); zeros for an empty column."""
    found = pc.min_max(column)
    return found["min"].as_py() or 0, found["max"].as_py() or 0
