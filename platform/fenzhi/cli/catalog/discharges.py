"""A discharge file of any shape into sums of equal cases (病案文件汇总), streamed: memory does not grow with the file.

The columns are read as text, judged row by row inside the in-process database, and leave it as integers. Every row is used or
set aside by the first reason that applies to it: used + set aside is the number of rows of the file.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

from fenzhi.cli.catalog.column_map import EXCEL_DATE, UNIT_PLACES, CodeColumns, ColumnMap
from fenzhi.engine.connection import BulkConnection
from fenzhi.engine.failures import EngineFailed
from fenzhi.rules.catalog.groups_from_sums import SetSum
from fenzhi.rules.refusals import DataRefused, Refusal

BROKEN_SHOWN = 20
_BLOCK_BYTES = 4 << 20
_BLANKS = " \t\u3000\u00a0"
ICD10 = r"[A-Z][0-9][0-9A-Z](\.[0-9A-Za-z][0-9A-Za-z.+*]*)?"


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that is not cut into the cells of its header (断行或粘连的行)."""

    text: str
    expected_cells: int
    cells: int


@dataclass(frozen=True, slots=True)
class Discharges:
    """A discharge file, summed (病案文件汇总结果). `sums` has reason, dx, key, year, n, total, squares, los, los_n."""

    rows: int
    sums: pa.Table
    set_aside: Mapping[str, int]
    broken: tuple[BrokenRow, ...]

    @property
    def used(self) -> int:
        """Rows that were used (使用行数)."""
        return self.rows - sum(self.set_aside.values())


class DischargeReader:
    """Reads one discharge file through a column map (读取病案文件). `header` and columns are checked when it is made."""

    def __init__(self, path: Path, columns: ColumnMap) -> None:
        self._path = path
        self._map = columns
        self._wanted = columns.columns()
        self._broken: list[BrokenRow] = []
        self._broken_rows = 0
        self._rows = 0
        self._fault: Exception | None = None
        self._check_header()

    @property
    def rows(self) -> int:
        """Rows met so far, broken ones included (已读行数)."""
        return self._rows + self._broken_rows

    @property
    def broken_rows(self) -> int:
        """Rows whose cells do not fit the header (断行数)."""
        return self._broken_rows

    @property
    def broken(self) -> tuple[BrokenRow, ...]:
        """The first of them (示例)."""
        return tuple(self._broken)

    def batches(self) -> pa.RecordBatchReader:
        """The mapped columns as text, named c0, c1, … in the order of the map (列文本流)."""
        schema = pa.schema([(f"c{place}", pa.string()) for place in range(len(self._wanted))])
        return pa.RecordBatchReader.from_batches(schema, self._stream(schema))

    def name(self, column: str) -> str:
        """The name that a mapped column has in `batches` (列名)."""
        return f"c{self._wanted.index(column)}"

    def refusal(self, error: Exception) -> DataRefused:
        """What stopped the reading, in words (读取中断的原因)."""
        text = str(self._fault or error)
        encoding = "utf-8" in text.lower() or "utf8" in text.lower() or isinstance(self._fault, UnicodeDecodeError)
        return _refused(
            "file_encoding" if encoding else "file_unreadable",
            str(self._path.name),
            text[:300],
            ("文件编码与列映射不符。", "The file is not in the encoding of the column map.")
            if encoding
            else ("文件读到一半无法继续。", "The file could not be read to its end."),
            ("在列映射中写明 file.encoding，如 gb18030。", "Name file.encoding in the column map, such as gb18030.")
            if encoding
            else ("核对引号、分隔符与压缩格式。", "Check quotes, delimiter and compression."),
        )

    def _stream(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._open(self._file_columns()):
                self._rows += batch.num_rows
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
        except (pa.ArrowException, UnicodeError, OSError) as error:
            self._fault = error
            raise

    def _open(self, include: list[str] | None) -> Any:
        compression = self._map.compression
        with self._path.open("rb") as head:
            magic = head.read(2)
        gzipped = compression == "gzip" or (compression == "auto" and magic == b"\x1f\x8b")
        stream = pa.input_stream(str(self._path), compression="gzip" if gzipped else None)
        return csv.open_csv(
            stream,
            read_options=csv.ReadOptions(
                block_size=_BLOCK_BYTES, encoding=self._map.encoding, autogenerate_column_names=not self._map.header
            ),
            parse_options=csv.ParseOptions(
                delimiter=self._map.delimiter,
                quote_char=self._map.quote or False,
                newlines_in_values=bool(self._map.quote),
                invalid_row_handler=self._skip,
            ),
            convert_options=csv.ConvertOptions(
                column_types={name: pa.string() for name in include or ()},
                include_columns=include,
                strings_can_be_null=False,
                null_values=[],
            ),
        )

    def _skip(self, row: Any) -> str:
        self._broken_rows += 1
        if len(self._broken) < BROKEN_SHOWN:
            self._broken.append(BrokenRow(str(row.text)[:200], row.expected_columns, row.actual_columns))
        return "skip"

    def _file_columns(self) -> list[str]:
        return list(self._wanted) if self._map.header else [f"f{int(one) - 1}" for one in self._wanted]

    def _check_header(self) -> None:
        try:
            reader = self._open(None)
        except (pa.ArrowException, OSError, UnicodeError) as error:
            self._fault = error
            raise self.refusal(error) from error
        names = list(reader.schema.names)
        self._broken.clear()
        self._broken_rows = 0
        if not self._map.header:
            wrong = [one for one in self._wanted if not one.isdecimal() or not 1 <= int(one) <= len(names)]
        else:
            wrong = [one for one in self._wanted if names.count(one) != 1]
        if wrong:
            raise DataRefused(
                tuple(
                    Refusal(
                        "column_missing" if names.count(one) == 0 else "column_repeated",
                        "row 1",
                        one,
                        f"文件没有唯一的列 {one}；文件的列为：{'、'.join(names)[:300]}。",
                        f"The file has no single column {one}; its columns: {', '.join(names)[:300]}.",
                        "更正列映射或文件表头；无表头文件用列号。",
                        "Correct the column map or the header; without a header, columns are numbers.",
                    )
                    for one in wrong
                )
            )


def sum_discharges(
    path: Path,
    columns: ColumnMap,
    *,
    years: tuple[int, ...] | None = None,
    gray: Mapping[str, bool] | None = None,
    memory_limit: str = "700MB",
) -> Discharges:
    """Sums of equal cases of a discharge file (病案文件汇总).

    `years`: only these count, by discharge date; None: every year, under year 0. `gray`: a code table; a principal diagnosis
    that it lacks or marks gray is set aside. Raises: DataRefused for a file that cannot be read with this map.
    """
    if columns.cost is None:
        raise _refused(
            "column_map",
            "cost",
            "",
            ("列映射没有费用列。", "The column map has no cost."),
            ("补充 cost。", "Add cost."),
        )
    if years is not None and columns.discharge_date is None:
        raise _refused(
            "column_map",
            "discharge_date",
            "",
            ("按年加权须有出院日期列。", "Yearly weights need the discharge date."),
            ("补充 discharge_date。", "Add discharge_date."),
        )
    reader = DischargeReader(path, columns)
    connection = BulkConnection(memory_limit=memory_limit, threads=2, temp_directory=None)
    try:
        try:
            cells = connection.run(
                _cells_statement(reader, columns, by_year=years is not None), {"rows": reader.batches()}
            )
        except EngineFailed as error:
            raise reader.refusal(error) from error
        tables = {"cells": cells}
        if gray is not None:
            tables["codes"] = pa.table(
                {"code": pa.array(list(gray), pa.string()), "gray": pa.array(list(gray.values()), pa.bool_())}
            )
        sums = connection.run(_sums_statement(columns, years, judged=gray is not None), tables)
        counted = connection.run(
            "SELECT reason, CAST(sum(n) AS BIGINT) AS n FROM sums WHERE reason <> '' GROUP BY reason ORDER BY reason",
            {"sums": sums},
        )
    finally:
        connection.close()
    set_aside = {one["reason"]: one["n"] for one in counted.to_pylist()}
    if reader.broken_rows:
        set_aside["row_broken"] = reader.broken_rows
    return Discharges(reader.rows, sums, set_aside, reader.broken)


@dataclass(frozen=True, slots=True)
class SumsAnswer:
    """What is asked of the sums of a file (汇总查询)."""

    sizes: tuple[tuple[int, int], ...]
    """(cases of a combination, combinations of that size)."""
    years: Mapping[int, tuple[int, int]]
    """Year → (total fen, cases) of all used rows."""
    sets: tuple[SetSum, ...]
    """The combinations of at least the threshold, by diagnosis and key."""
    chapters: Mapping[str, tuple[int, int, int]]
    """First letter of the diagnosis → (cases, cases in groups, groups)."""


def sizes_of(found: Discharges) -> tuple[tuple[int, int], ...]:
    """(cases of a combination, combinations of that size) of a file (组合规模分布)."""
    statement = f"SELECT n, count(*) AS combinations FROM ({_SETS}) GROUP BY n"
    return tuple((one["n"], one["combinations"]) for one in _ask(statement, found.sums))


def answer_sums(found: Discharges, threshold: int) -> SumsAnswer:
    """The combinations of at least `threshold` cases, with the totals of all (达到阈值的组合)."""
    years = {
        one["year"]: (int(one["total"]), one["n"])
        for one in _ask(
            "SELECT year, CAST(sum(n) AS BIGINT) AS n, CAST(sum(CAST(total AS HUGEINT)) AS VARCHAR) AS total FROM sums "
            "WHERE reason = '' GROUP BY year ORDER BY year",
            found.sums,
        )
    }
    rows = _ask(
        f"WITH large AS (SELECT dx, key FROM ({_SETS}) WHERE n >= {threshold}) "
        "SELECT sums.* FROM sums JOIN large USING (dx, key) WHERE reason = '' ORDER BY dx, key, year",
        found.sums,
    )
    sets = tuple(
        _set_sum(key, list(members)) for key, members in itertools.groupby(rows, lambda row: (row["dx"], row["key"]))
    )
    chapters = {
        one["chapter"]: (one["cases"], one["grouped"], one["groups"])
        for one in _ask(
            f"SELECT left(dx, 1) AS chapter, CAST(sum(n) AS BIGINT) AS cases, CAST(sum(CASE WHEN n >= {threshold} THEN n ELSE 0 END) "
            f"AS BIGINT) AS grouped, CAST(sum(CASE WHEN n >= {threshold} THEN 1 ELSE 0 END) AS BIGINT) AS groups "
            f"FROM ({_SETS}) GROUP BY chapter ORDER BY chapter",
            found.sums,
        )
    }
    return SumsAnswer(sizes_of(found), years, sets, chapters)


_SETS = "SELECT dx, key, CAST(sum(n) AS BIGINT) AS n FROM sums WHERE reason = '' GROUP BY dx, key"


def _ask(statement: str, sums: pa.Table) -> list[dict[str, Any]]:
    connection = BulkConnection(memory_limit="500MB", threads=2, temp_directory=None)
    try:
        answer: list[dict[str, Any]] = connection.run(statement, {"sums": sums}).to_pylist()
        return answer
    finally:
        connection.close()


def _set_sum(key: tuple[str, str], members: list[dict[str, Any]]) -> SetSum:
    known = sum(one["los_n"] for one in members)
    return SetSum(
        diagnosis=key[0],
        procedures=tuple(key[1].split("+")) if key[1] else (),
        by_year={one["year"]: (int(one["total"]), one["n"]) for one in members},
        squares=sum(int(one["squares"]) for one in members),
        stays=(sum(one["los"] for one in members), known) if known else None,
    )


def judged_rows(
    reader: DischargeReader, columns: ColumnMap, *, by_year: bool, more: Mapping[str, str] | None = None
) -> str:
    """The opening of a statement over `rows` that ends in `judged` (逐行判定): skipped, dx_cell, px_cell, year, fen, day_reason,
    cost_reason, los, and whatever `more` names, each an expression over the columns of the file.
    """
    carried = "".join(f", {expression} AS {name}" for name, expression in (more or {}).items())
    names = "".join(f", {name}" for name in more or {})
    cost = cell_text(reader, columns, str(columns.cost))
    fen, readable = fen_of(columns)
    date = cell_text(reader, columns, columns.discharge_date) if columns.discharge_date else "''"
    los = cell_text(reader, columns, columns.los_days) if columns.los_days else "''"
    skip = " ".join(
        f"WHEN {_trimmed(reader.name(rule.column))} IN ({quoted_list(rule.equals)}) THEN {quoted(rule.reason)}"
        for rule in columns.set_aside
    )
    dated = columns.discharge_date is not None
    day_reason = "CASE WHEN date_text = '' THEN 'discharge_date_missing' WHEN day IS NULL THEN 'discharge_date_unreadable' ELSE '' END"
    cost_reason = (
        f"CASE WHEN cost_text = '' THEN 'cost_missing' WHEN NOT ({readable}) OR fen IS NULL THEN 'cost_unreadable' "
        "WHEN fen <= 0 THEN 'cost_not_positive' ELSE '' END"
    )
    dx = [cell_text(reader, columns, one) for one in columns.principal_diagnosis.columns]
    px = [cell_text(reader, columns, one) for one in (columns.procedures.columns if columns.procedures else ())]
    return f"""
WITH cells AS (
  SELECT {f"CASE {skip} ELSE '' END" if skip else "''"} AS skipped, {joined(dx)} AS dx_cell, {joined(px)} AS px_cell,
         {cost} AS cost_text, {date} AS date_text, {los} AS los_text{carried} FROM rows
), parsed AS (
  SELECT *, {cleaned("cost_text", columns)} AS cost_clean, {day_of(columns) if dated else "NULL"} AS day FROM cells
), valued AS (
  SELECT *, {fen} AS fen FROM parsed
), judged AS (
  SELECT skipped, dx_cell, px_cell, {"coalesce(extract(year FROM day), 0)" if by_year else "0"} AS year, fen,
         {day_reason if dated else "''"} AS day_reason, {cost_reason} AS cost_reason,
         try_cast(los_text AS INTEGER) AS los{names} FROM valued
)"""


def _cells_statement(reader: DischargeReader, columns: ColumnMap, *, by_year: bool) -> str:
    """Rows → sums of rows whose code cells are the same text (按原文单元格汇总)."""
    return f"""{judged_rows(reader, columns, by_year=by_year)}
SELECT skipped, dx_cell, px_cell, CAST(year AS INTEGER) AS year, day_reason, cost_reason, count(*) AS n,
       CAST(coalesce(sum(CASE WHEN cost_reason = '' THEN fen ELSE 0 END), 0) AS VARCHAR) AS total,
       CAST(coalesce(sum(CASE WHEN cost_reason = '' THEN CAST(fen AS HUGEINT) * fen ELSE 0 END), 0) AS VARCHAR) AS squares,
       CAST(coalesce(sum(los), 0) AS BIGINT) AS los, count(los) AS los_n
FROM judged GROUP BY ALL"""


def _sums_statement(columns: ColumnMap, years: tuple[int, ...] | None, *, judged: bool) -> str:
    """Sums by cell text → sums by diagnosis key and sorted procedure set (按诊断与手术操作组合汇总)."""
    principal = columns.principal_diagnosis
    dx = f"coalesce({codes_in('dx_cell', principal, 3)}[1], '')"
    px = "''"
    if columns.procedures is not None:
        px = f"array_to_string(list_sort(list_distinct({codes_in('px_cell', columns.procedures, 2)})), '+')"
    shape = f"NOT regexp_full_match(coded.code, {quoted(ICD10)})" if principal.shape == "icd10" else "false"
    table = "WHEN codes.code IS NULL THEN 'principal_diagnosis_unknown' WHEN codes.gray THEN 'principal_diagnosis_gray'"
    outside = f"WHEN year NOT IN ({', '.join(str(one) for one in years)}) THEN 'year_without_weight'" if years else ""
    return f"""
WITH coded AS (SELECT *, {dx} AS code, {px} AS set_key FROM cells),
reasoned AS (
  SELECT CASE WHEN skipped <> '' THEN skipped WHEN coded.code = '' THEN 'principal_diagnosis_missing'
              WHEN {shape} THEN 'principal_diagnosis_unreadable' {table if judged else ""}
              WHEN day_reason <> '' THEN day_reason {outside} WHEN cost_reason <> '' THEN cost_reason ELSE '' END AS reason,
         left(coded.code, {principal.key_characters}) AS dx4, set_key, year, n, total, squares, los, los_n
  FROM coded {"LEFT JOIN codes ON codes.code = coded.code" if judged else ""}
)
SELECT reason, CASE WHEN reason = '' THEN dx4 ELSE '' END AS dx, CASE WHEN reason = '' THEN set_key ELSE '' END AS key,
       CASE WHEN reason = '' THEN year ELSE 0 END AS year, CAST(sum(n) AS BIGINT) AS n,
       CAST(sum(CAST(total AS HUGEINT)) AS VARCHAR) AS total, CAST(sum(CAST(squares AS HUGEINT)) AS VARCHAR) AS squares,
       CAST(sum(los) AS BIGINT) AS los, CAST(sum(los_n) AS BIGINT) AS los_n
FROM reasoned GROUP BY 1, 2, 3, 4"""


def _trimmed(name: str) -> str:
    return f"trim({name}, {quoted(_BLANKS)})"


def cell_text(reader: DischargeReader, columns: ColumnMap, column: str) -> str:
    """A mapped column without blanks and missing marks (单元格文本)."""
    marks = [mark for mark in columns.missing if mark != ""]
    text = _trimmed(reader.name(column))
    return f"CASE WHEN {text} IN ({quoted_list(marks)}) THEN '' ELSE {text} END" if marks else text


_CELL_MARK = "\x1f"
"""Stands between the cells of several columns (多列之间的记号)."""


def joined(cells: list[str]) -> str:
    """The cells of several columns as one (多列合一)."""
    return (
        "''" if not cells else cells[0] if len(cells) == 1 else f"concat_ws({quoted(_CELL_MARK)}, {', '.join(cells)})"
    )


def codes_in(cell: str, codes: CodeColumns, dot_after: int) -> str:
    """The codes of a cell as a list, in their order, blanks left out (代码列表)."""
    first, *others = (*codes.separators, *([_CELL_MARK] if len(codes.columns) > 1 else [])) or (_CELL_MARK,)
    text = cell
    for other in others:
        text = f"replace({text}, {quoted(other)}, {quoted(first)})"
    one = f"trim(one, {quoted(_BLANKS)})"
    if codes.letters == "insurance":
        raised = f"replace(upper({one}), 'X', 'x')"
        one = f"upper(left({raised}, 1)) || substr({raised}, 2)" if dot_after == 3 else raised
    if codes.dot == "absent":
        one = f"CASE WHEN length({one}) > {dot_after} AND NOT contains({one}, '.') THEN left({one}, {dot_after}) || '.' || substr({one}, {dot_after + 1}) ELSE {one} END"
    return (
        f"list_filter(list_transform(string_split({text}, {quoted(first)}), lambda one: {one}), lambda one: one <> '')"
    )


def cleaned(name: str, columns: ColumnMap) -> str:
    """An amount without its sign of money and its separators (金额文本)."""
    text = f"ltrim({name}, '¥￥$ ')"
    if columns.thousands:
        mark = columns.thousands
        grouped = "[+-]?[0-9]{1,3}(" + _escaped(mark) + r"[0-9]{3})+(\.[0-9]*)?"
        return f"CASE WHEN regexp_full_match({text}, {quoted(grouped)}) THEN replace({text}, {quoted(mark)}, '') ELSE {text} END"
    return text


def fen_of(columns: ColumnMap) -> tuple[str, str]:
    """The expression of an amount in fen over `cost_clean`, and the condition that it can be read exactly (金额转分)."""
    places = UNIT_PLACES[columns.cost_unit]
    plain = r"[+-]?([0-9]{1,13}(\.[0-9]*)?|\.[0-9]+)"
    whole = "split_part(cost_clean, '.', 1)"
    decimals = "split_part(cost_clean, '.', 2)"
    kept = f"rpad(left({decimals}, {places}), {places}, '0')"
    digits = f"CASE WHEN regexp_full_match(cost_clean, {quoted(plain)}) THEN try_cast({whole} || {kept} AS BIGINT) END"
    if places == 0:
        digits = f"CASE WHEN regexp_full_match(cost_clean, {quoted(plain)}) THEN try_cast({whole} AS BIGINT) END"
    if columns.round_more_decimals:
        up = f"CASE WHEN substr({decimals}, {places + 1}, 1) >= '5' THEN CASE WHEN cost_clean LIKE '-%' THEN -1 ELSE 1 END ELSE 0 END"
        return f"({digits}) + ({up})", "true"
    return digits, f"rtrim(substr({decimals}, {places + 1}), '0') = ''"


def day_of(columns: ColumnMap) -> str:
    """The day a date text says, by the first format that reads it (日期)."""
    formats = [one for one in columns.date_formats if one != EXCEL_DATE]
    parts = [f"CAST(try_strptime(date_text, [{quoted_list(formats)}]) AS DATE)"] if formats else []
    if EXCEL_DATE in columns.date_formats:
        parts.append("DATE '1899-12-30' + try_cast(split_part(date_text, '.', 1) AS INTEGER)")
    return f"coalesce({', '.join(parts)})"


def _escaped(mark: str) -> str:
    return "".join(f"\\{sign}" if not sign.isalnum() else sign for sign in mark)


def quoted(value: str) -> str:
    """A text as SQL writes it (SQL 文本)."""
    return "'" + value.replace("'", "''") + "'"


def quoted_list(values: tuple[str, ...] | list[str]) -> str:
    """Texts as a list of SQL (SQL 文本列表)."""
    return ", ".join(quoted(value) for value in values)


def _refused(code: str, where: str, saw: str, why: tuple[str, str], remedy: tuple[str, str]) -> DataRefused:
    return DataRefused((Refusal(code, where, saw, *why, *remedy),))


def case_columns_statement(reader: DischargeReader, columns: ColumnMap) -> str:
    """Numbered rows (`ordinal`) → cases (逐行取病例): ordinal, case_id, code, procedures, fen, cost_text, cost_reason, hospital, level,
    coefficient, day (of discharge; null where the map or the row tells none that can be read).
    """

    def cell(column: str | None) -> str:
        return cell_text(reader, columns, column) if column is not None else "''"

    fen, readable = fen_of(columns)
    skip = " ".join(
        f"WHEN {_trimmed(reader.name(rule.column))} IN ({quoted_list(rule.equals)}) THEN {quoted(rule.reason)}"
        for rule in columns.set_aside
    )
    dx = [cell(one) for one in columns.principal_diagnosis.columns]
    px = [cell(one) for one in (columns.procedures.columns if columns.procedures else ())]
    named = {
        "case_id": columns.case_id,
        "hospital": columns.hospital,
        "level": columns.level,
        "coefficient": columns.coefficient,
    }
    return f"""
WITH cells AS (
  SELECT ordinal, {f"CASE {skip} ELSE '' END" if skip else "''"} AS skipped,
         {joined(dx)} AS dx_cell, {joined(px)} AS px_cell, {cell(columns.cost)} AS cost_text,
         {cell(columns.discharge_date)} AS date_text,
         {", ".join(f"{cell(column)} AS {name}" for name, column in named.items())} FROM rows
), parsed AS (SELECT *, {cleaned("cost_text", columns)} AS cost_clean,
         {day_of(columns) if columns.discharge_date is not None else "CAST(NULL AS DATE)"} AS day FROM cells
), valued AS (SELECT *, {fen} AS fen FROM parsed)
SELECT ordinal, skipped, coalesce({codes_in("dx_cell", columns.principal_diagnosis, 3)}[1], '') AS code,
       {codes_in("px_cell", columns.procedures, 2) if columns.procedures else "CAST([] AS VARCHAR[])"} AS procedures,
       fen, cost_text, case_id, hospital, level, coefficient, CAST(day AS DATE) AS day,
       CASE WHEN cost_text = '' THEN 'cost_missing' WHEN NOT ({readable}) OR fen IS NULL THEN 'cost_unreadable' ELSE '' END AS cost_reason
FROM valued ORDER BY ordinal"""
