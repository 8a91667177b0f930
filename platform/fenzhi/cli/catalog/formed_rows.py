"""A discharge file as compact rows (病案文件紧凑行): once every code cell is read, a row is a few whole numbers.

The file is streamed twice: once for its code cells, which become units (diagnosis key, procedure set, main procedure), and once
for its rows. Memory holds the rows as numbers and each distinct cell once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from fenzhi.cli.catalog.column_map import ColumnMap
from fenzhi.cli.catalog.discharges import (
    ICD10,
    DischargeReader,
    cell_text,
    cleaned,
    codes_in,
    fen_of,
    joined,
    judged_rows,
    quoted,
)
from fenzhi.cli.catalog.method_file import BuildMethod, Subtype
from fenzhi.engine.connection import BulkConnection
from fenzhi.engine.failures import EngineFailed
from fenzhi.rules.catalog.formation import Trim
from fenzhi.rules.refusals import DataRefused, Refusal


class FormedRows:
    """The rows of one file in one connection (紧凑行表): `units`, `kept`, and what was set aside by reason."""

    def __init__(
        self,
        path: Path,
        columns: ColumnMap,
        method: BuildMethod,
        gray: Mapping[str, bool] | None,
        memory_limit: str,
    ) -> None:
        _require_columns(columns, method)
        self._path, self._columns, self._method = path, columns, method
        self.connection = BulkConnection(memory_limit=memory_limit, threads=2, temp_directory=None)
        reader = DischargeReader(path, columns)
        self.set_aside: dict[str, int] = {}
        try:
            try:
                self._units(DischargeReader(path, _code_columns(columns)), gray)
                self._rows(reader)
            except EngineFailed as error:
                raise reader.refusal(error) from error
            self.rows, self.broken = reader.rows, reader.broken
            if reader.broken_rows:
                self.set_aside["row_broken"] = reader.broken_rows
            self._clean()
            if method.trim is not None:
                self._trim(method.trim)
        except BaseException:
            self.connection.close()
            raise

    @property
    def used(self) -> int:
        """Rows that stay (使用行数)."""
        return self.rows - sum(self.set_aside.values())

    def ask(self, statement: str, tables: Mapping[str, pa.Table] | None = None) -> list[dict[str, Any]]:
        """The answer of a statement over the rows (查询)."""
        found: list[dict[str, Any]] = self.connection.run(statement, tables or {}).to_pylist()
        return found

    def _units(self, reader: DischargeReader, gray: Mapping[str, bool] | None) -> None:
        """Distinct code cells with what they say; cells that may not be used count under their reason."""
        columns, principal = self._columns, self._columns.principal_diagnosis
        dx_cells = joined([cell_text(reader, columns, one) for one in principal.columns])
        px_cells = joined(
            [cell_text(reader, columns, one) for one in (columns.procedures.columns if columns.procedures else ())]
        )
        self.connection.keep(
            "distinct_cells",
            f"SELECT DISTINCT {dx_cells} AS dx_cell, {px_cells} AS px_cell FROM rows",
            {"rows": reader.batches()},
        )
        dx = f"coalesce({codes_in('dx_cell', principal, 3)}[1], '')"
        listed = codes_in("px_cell", columns.procedures, 2) if columns.procedures else "CAST([] AS VARCHAR[])"
        shape = f"NOT regexp_full_match(coded.code, {quoted(ICD10)})" if principal.shape == "icd10" else "false"
        tables: dict[str, pa.Table] = {}
        judged = ""
        if gray is not None:
            tables["codes"] = pa.table(
                {"code": pa.array(list(gray), pa.string()), "gray": pa.array(list(gray.values()), pa.bool_())}
            )
            judged = "WHEN codes.code IS NULL THEN 'principal_diagnosis_unknown' WHEN codes.gray THEN 'principal_diagnosis_gray'"
        self.connection.keep(
            "coded",
            f"""WITH coded AS (SELECT dx_cell, px_cell, {dx} AS code, {listed} AS listed FROM distinct_cells)
SELECT dx_cell, px_cell, left(coded.code, {principal.key_characters}) AS dx,
       array_to_string(list_sort(list_distinct(listed)), '+') AS key, coalesce(listed[1], '') AS main,
       CASE WHEN coded.code = '' THEN 'principal_diagnosis_missing' WHEN {shape} THEN 'principal_diagnosis_unreadable'
            {judged} ELSE '' END AS reason
FROM coded {"LEFT JOIN codes ON codes.code = coded.code" if gray is not None else ""}""",
            tables,
        )
        self.connection.drop("distinct_cells")
        self.connection.keep(
            "units",
            "SELECT CAST(row_number() OVER (ORDER BY dx, key, main) AS INTEGER) AS unit, "
            "CAST(dense_rank() OVER (ORDER BY dx, key) AS INTEGER) AS set_id, dx, key, main "
            "FROM (SELECT DISTINCT dx, key, main FROM coded WHERE reason = '')",
            {},
        )
        self.connection.keep(
            "cell_units",
            "SELECT coded.dx_cell, coded.px_cell, units.unit, coded.reason FROM coded "
            "LEFT JOIN units ON coded.reason = '' AND units.dx = coded.dx AND units.key = coded.key AND units.main = coded.main",
            {},
        )
        self.connection.drop("coded")

    def _rows(self, reader: DischargeReader) -> None:
        columns, method = self._columns, self._method
        more: dict[str, str] = {}
        kept = ["unit", "CAST(year AS SMALLINT) AS year", "fen", "los"]
        if columns.level is not None:
            said = cell_text(reader, columns, columns.level)
            ranks = " ".join(f"WHEN {quoted(name)} THEN {place}" for place, name in enumerate(method.levels, start=1))
            more["lvl"] = f"CASE {said} {ranks} ELSE 0 END" if ranks else "0"
        for name, column in (("drug", columns.drug_cost), ("cons", columns.consumable_cost)):
            if column is not None:
                clean = cleaned(f"({cell_text(reader, columns, column)})", columns)
                more[name] = f"coalesce({fen_of(columns)[0].replace('cost_clean', f'({clean})')}, 0)"
        kept += [f"CAST({name} AS {_TYPES[name]}) AS {name}" for name in more]
        if method.subtypes:
            # Only last year's rows are typed: only theirs keep their other diagnoses.
            last = f"year = {max(method.weights)}" if method.weights else "true"
            others = joined([cell_text(reader, columns, one) for one in columns.secondary_diagnoses])
            more["others"] = others
            kept.append(f"CASE WHEN {last} THEN others ELSE '' END AS others")
            for name in ("age", "age_days", "icu_days", "died"):
                column = getattr(columns, name)
                if column is not None:
                    said = cell_text(reader, columns, column)
                    values = ", ".join(quoted(value) for value in columns.died_values)
                    more[f"own_{name}"] = f"{said} IN ({values})" if name == "died" else f"try_cast({said} AS INTEGER)"
                    kept.append(f"own_{name}")
        outside = (
            f"WHEN year NOT IN ({', '.join(map(str, method.weights))}) THEN 'year_without_weight'"
            if method.weights
            else ""
        )
        self.connection.keep(
            "kept",
            f"{judged_rows(reader, columns, by_year=method.weights is not None, more=more)} "
            f"SELECT {', '.join(kept)}, CASE WHEN skipped <> '' THEN skipped WHEN reason <> '' THEN reason "
            f"WHEN day_reason <> '' THEN day_reason {outside} WHEN cost_reason <> '' THEN cost_reason ELSE '' END AS why "
            "FROM judged JOIN cell_units USING (dx_cell, px_cell)",
            {"rows": reader.batches()},
        )
        self.connection.drop("cell_units")
        counted = self.ask("SELECT why, count(*) AS n FROM kept WHERE why <> '' GROUP BY why ORDER BY why")
        self.set_aside = {one["why"]: one["n"] for one in counted}
        self.connection.delete("kept", "why <> ''")

    def keep_typed(self, open_: pa.Table, year: int) -> None:
        """Keep `typed` (分型行): gid, fen, bits, gn, gtotal of the rows of a year in the groups of `open_`.

        `open_` has gid, principal (the subtypes its diagnosis allows, as bits), gn and gtotal. Requires: `unit_groups` is kept.
        """
        self.connection.keep(
            "typed",
            f"SELECT gid, fen, ({_bits(self._method)}) & principal AS bits, gn, gtotal FROM kept "
            f"JOIN unit_groups USING (unit) JOIN open USING (gid) WHERE year = {year}",
            {"open": open_},
        )

    def _clean(self) -> None:
        low, high = self._method.least_los, self._method.most_los
        if low is None and high is None:
            return
        outside = " OR ".join(
            part
            for part in (f"los < {low}" if low is not None else "", f"los > {high}" if high is not None else "")
            if part
        )
        self._take_out(
            f"CASE WHEN los IS NULL THEN 'los_unreadable' WHEN {outside} THEN 'los_out_of_range' ELSE '' END"
        )

    def _trim(self, trim: Trim) -> None:
        first = f"CAST(len(fens) * {trim.low.numerator} // {trim.low.denominator} + 1 AS BIGINT)"
        last = f"CAST((len(fens) * {trim.high.numerator} + {trim.high.denominator} - 1) // {trim.high.denominator} AS BIGINT)"
        self.connection.keep(
            "bounds",
            f"SELECT set_id, fens[{first}] AS low, fens[{last}] AS high FROM "
            "(SELECT set_id, list_sort(list(fen)) AS fens FROM kept JOIN units USING (unit) GROUP BY set_id)",
            {},
        )
        self.connection.keep("unit_bounds", "SELECT unit, low, high FROM units JOIN bounds USING (set_id)", {})
        self._take_out(
            "CASE WHEN fen < low THEN 'cost_trimmed_low' WHEN fen > high THEN 'cost_trimmed_high' ELSE '' END",
            "kept JOIN unit_bounds USING (unit)",
        )

    def _take_out(self, reason: str, source: str = "kept") -> None:
        counted = self.ask(f"SELECT {reason} AS cause, count(*) AS n FROM {source} GROUP BY cause ORDER BY cause")
        gone = {one["cause"]: one["n"] for one in counted if one["cause"]}
        if gone:
            self.set_aside |= gone
            if source == "kept":
                self.connection.delete("kept", f"({reason}) <> ''")
            else:
                self.connection.delete(
                    "kept",
                    "kept.unit = unit_bounds.unit AND (fen < unit_bounds.low OR fen > unit_bounds.high)",
                    "unit_bounds",
                )


def _code_columns(columns: ColumnMap) -> ColumnMap:
    """The map of the code columns alone (仅编码列): the first reading of a file needs no more."""
    return replace(
        columns,
        cost=None,
        discharge_date=None,
        case_id=None,
        los_days=None,
        hospital=None,
        level=None,
        coefficient=None,
        secondary_diagnoses=(),
        age=None,
        age_days=None,
        icu_days=None,
        died=None,
        drug_cost=None,
        consumable_cost=None,
        set_aside=(),
    )


_TYPES = {"lvl": "UTINYINT", "drug": "BIGINT", "cons": "BIGINT"}


def _bits(method: BuildMethod) -> str:
    """One bit for each subtype whose conditions on the row hold (分型条件位); a cost against its group is asked later."""
    index = " + ".join(
        f"CASE WHEN {_begins('others', codes)} THEN {weight} ELSE 0 END" for weight, codes in method.charlson
    )
    every = tuple(code for _, codes in method.charlson for code in codes)
    cci = f"CASE WHEN {_begins('others', every)} THEN {index} ELSE 0 END" if every else "0"
    return " + ".join(
        f"CASE WHEN {_condition(one, cci)} THEN {1 << place} ELSE 0 END" for place, one in enumerate(method.subtypes)
    )


def _condition(one: Subtype, cci: str) -> str:
    parts = []
    if one.secondary:
        parts.append(_begins("others", one.secondary))
    if one.died:
        parts.append("own_died")
    if one.least_los is not None:
        parts.append(f"los >= {one.least_los}")
    for name in ("age", "age_days", "icu_days"):
        bounds = getattr(one, name)
        if bounds is not None:
            parts.append(f"own_{name} BETWEEN {bounds[0]} AND {bounds[1]}")
    if one.cci is not None:
        parts.append(f"({cci}) BETWEEN {one.cci[0]} AND {one.cci[1]}")
    return f"coalesce({' AND '.join(parts)}, false)" if parts else "true"


def _begins(text: str, prefixes: Sequence[str]) -> str:
    listed = "|".join(re.escape(one) for one in prefixes)
    return f"regexp_matches({text}, {quoted(f'(^|[^0-9A-Za-z.])(?:{listed})')})"


def _require_columns(columns: ColumnMap, method: BuildMethod) -> None:
    wanted: list[tuple[str, str, object]] = [("cost", "cost", columns.cost)]
    if method.weights is not None:
        wanted.append(("discharge_date", "weights", columns.discharge_date))
    if method.least_los is not None or method.most_los is not None:
        wanted.append(("los_days", "cleaning", columns.los_days))
    if method.grassroots_cv_limit is not None or method.coefficient_places is not None:
        wanted.append(("level", "levels", columns.level and method.levels))
    for one in method.subtypes:
        where = f"auxiliary {one.name}"
        wanted += [
            (name, where, column)
            for name, asked, column in (
                ("secondary_diagnoses", one.secondary or one.cci, columns.secondary_diagnoses),
                ("died", one.died, columns.died),
                ("los_days", one.least_los is not None, columns.los_days),
                ("age", one.age, columns.age),
                ("age_days", one.age_days, columns.age_days),
                ("icu_days", one.icu_days, columns.icu_days),
            )
            if asked
        ]
    if len(method.subtypes) > 60:
        wanted.append(("subtypes", "auxiliary: 60", None))
    faults = tuple(
        Refusal(
            "build_column_missing",
            name,
            where,
            f"测算办法的“{where}”需要列 {name}，列映射中没有。",
            f"The method's '{where}' needs the column {name}, which the map lacks.",
            "在列映射中补充该列，或从测算办法中去掉该项。",
            "Map the column, or leave this out of the method.",
        )
        for name, where, column in dict.fromkeys(wanted)
        if not column
    )
    if faults:
        raise DataRefused(faults)
