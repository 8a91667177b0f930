"""What the offline commands group and score by (离线计分依据): a catalog file, code tables, references, hospitals, named choices.

Nothing is stored and no server is asked. The choices of policy have the names they have online; those that the package knows
nationally need not be given, and what was used is told.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from fenzhi.cli.catalog.code_tables import Interventions, read_code_tables
from fenzhi.cli.catalog.column_map import ColumnMap
from fenzhi.cli.catalog.discharges import DischargeReader, case_columns_statement
from fenzhi.cli.catalog.files import read_file
from fenzhi.engine.connection import BulkConnection
from fenzhi.engine.failures import EngineFailed
from fenzhi.rules.catalog.dialect_faults import Severity
from fenzhi.rules.catalog.disease_group import Granularity, has_diagnosis_shape
from fenzhi.rules.catalog.edition import CodeTables, Edition
from fenzhi.rules.catalog.reference_costs import NO_REFERENCES, MeanCost, ReferenceCosts
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.grouping_method import (
    ComprehensiveClass,
    ConservativeMatch,
    GrayPrincipal,
    GroupingMethod,
    TieBreak,
)
from fenzhi.rules.policy.resolved import resolve
from fenzhi.rules.quantities import exact_decimal, fen_from_yuan
from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.rules.scoring.cost_outliers import OutlierLines, OutlierMethod
from fenzhi.rules.scoring.score_case import HospitalFactor
from fenzhi.services.submission.parse_part import parse_part
from fenzhi.store.policy_files import national_policy

_READ_BYTES = 1 << 20
_NO_METHOD = "none"
"""Nothing is rescored by its cost (不作费用异常校正)."""
CHOICES = (
    "grouping.tie_break",
    "grouping.conservative_match",
    "grouping.class_of",
    "grouping.gray_principal",
    "scoring.outlier_method",
    "scoring.low_ratio",
    "scoring.low_inclusive",
    "scoring.high_ratio",
    "scoring.high_inclusive",
    "scoring.extreme_ratio",
    "scoring.extreme_inclusive",
    "catalog.score_scale",
)
"""The choices of policy by their names online (可选政策参数); `scoring.extreme_ratio: none` means no such line."""
_LEFT_OPEN = {
    "grouping.tie_break": "most_parts,most_matched",
    "grouping.conservative_match": "strict",
    "grouping.gray_principal": "ungrouped",
}
"""What the national texts leave to the area: used offline where nothing is given, and told."""


@dataclass(frozen=True, slots=True)
class OfflineCase:
    """One case of a file (待入组病例). With refusals nothing of it may be grouped."""

    row: int
    case_id: str
    principal: str | None = None
    procedures: tuple[str, ...] = ()
    cost_fen: int = 0
    factor: HospitalFactor = field(default_factory=lambda: HospitalFactor("", Decimal(1)))
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class OfflineRules:
    """Catalog, tables, method, lines, references and hospitals (离线计分依据)."""

    edition: Edition
    method: GroupingMethod
    lines: OutlierLines
    references: ReferenceCosts
    hospitals: Mapping[str, HospitalFactor]
    otherwise: HospitalFactor
    choices: Mapping[str, str]
    judges_diagnoses: bool
    """Was a code table given? Without one every sound code of the cases counts as known (是否核对诊断代码表)."""

    def book_for(self, principals: Sequence[str | None]) -> CatalogBook:
        """The catalog opened for these cases (目录索引)."""
        if self.judges_diagnoses:
            return CatalogBook(self.edition)
        codes = {code: False for code in principals if code and has_diagnosis_shape(code, Granularity.FULL)}
        tables = CodeTables(codes, self.edition.tables.procedures)
        edition = self.edition
        return CatalogBook(
            Edition(
                edition.edition_id, edition.scale, edition.score_places, edition.groups, tables, edition.effective_from
            )
        )


def read_rules(
    catalog: Path,
    *,
    dialect: str = "auto",
    diagnoses: Path | None = None,
    procedures: Path | None = None,
    references: Path | None = None,
    hospitals: Path | None = None,
    choices: Path | None = None,
    level: str = "",
    coefficient: str = "1",
    interventions: Interventions = Interventions.SURGICAL,
) -> OfflineRules:
    """Everything read, or refused with every fault (读取离线计分依据). Raises: DataRefused."""
    tables = read_code_tables(diagnoses, procedures, interventions)
    document = read_file(catalog, dialect, tables)
    wrong = [one for one in document.faults if one.severity is Severity.ERROR]
    if wrong:
        raise DataRefused(
            tuple(
                Refusal(
                    one.code,
                    f"{catalog.name} row {one.row} {one.column}",
                    one.saw,
                    one.zh,
                    one.en,
                    one.remedy_zh,
                    one.remedy_en,
                )
                for one in wrong
            )
        )
    chosen = {**_national_choices()} | (_choices(choices) if choices else {})
    try:
        method, lines, scale = _method(chosen), _lines(chosen), int(chosen["catalog.score_scale"])
        factor = HospitalFactor(level, _coefficient(coefficient))
    except ValueError as error:
        raise _refused(
            "choice", str(choices or "coefficient"), str(error), "政策参数取值有误。", "A choice has no such value."
        ) from error
    if chosen["scoring.outlier_method"] == _NO_METHOD:
        references = None
    groups = document.groups
    places = max((max(0, -int(group.score.as_tuple().exponent)) for group in groups), default=0)
    edition = Edition(catalog.name, scale, places, groups, tables, date(1, 1, 1))
    return OfflineRules(
        edition,
        method,
        lines,
        _references(references) if references else NO_REFERENCES,
        _hospitals(hospitals) if hospitals else {},
        factor,
        chosen,
        judges_diagnoses=diagnoses is not None,
    )


def read_cases(path: Path, columns: ColumnMap | None, rules: OfflineRules) -> Iterator[OfflineCase]:
    """The cases of a file (读取病例): settlement lists as NDJSON, or any CSV by a column map. Raises: DataRefused."""
    return _mapped_cases(path, columns, rules) if columns is not None else _listed_cases(path, rules)


def _listed_cases(path: Path, rules: OfflineRules) -> Iterator[OfflineCase]:
    with path.open("rb") as file:
        for row in parse_part(iter(lambda: file.read(_READ_BYTES), b"")):
            given = row.settlement_list
            if given is None:
                yield OfflineCase(row.row_no, "", refusals=row.faults)
                continue
            case_id = given.setl_id or ""
            refusals = [
                one for one in row.faults if one.where.partition("[")[0] in ("diseinfo", "oprninfo", "medfee_sumamt")
            ]
            principals = given.principal_diagnoses() if given.diagnoses is not None else ()
            if len(principals) > 1:
                refusals.append(
                    _case_refusal(
                        "principal_diagnosis_contradictory",
                        "diseinfo",
                        str(len(principals)),
                        "主要诊断不止一个。",
                        "More than one principal diagnosis.",
                    )
                )
            ordered = sorted(given.procedures, key=lambda one: not one.main)
            found = tuple(one.code for one in ordered if one.code is not None)
            factor = _factor(rules, given.hospital_code or "", None, None, refusals)
            yield OfflineCase(
                row.row_no,
                case_id,
                principals[0][1].code if len(principals) == 1 else None,
                found,
                _cost(given.total_fen, "medfee_sumamt", refusals),
                factor,
                tuple(refusals),
            )


def _mapped_cases(path: Path, columns: ColumnMap, rules: OfflineRules) -> Iterator[OfflineCase]:
    reader = DischargeReader(path, columns)
    connection = BulkConnection(memory_limit="1GB", threads=1, temp_directory=None)
    statement = case_columns_statement(reader, columns)
    row = 1
    try:
        for batch in reader.batches():
            try:
                cells = connection.run(statement, {"rows": _numbered(batch)}).sort_by("ordinal")
            except EngineFailed as error:
                raise reader.refusal(error) from error
            for one in cells.to_pylist():
                row += 1
                yield _mapped_case(row, one, rules)
    except (pa.ArrowException, UnicodeError) as error:
        raise reader.refusal(error) from error
    finally:
        connection.close()
    for broken in reader.broken:
        saw = f"{broken.cells} ≠ {broken.expected_cells}: {broken.text}"
        yield OfflineCase(
            0,
            "",
            refusals=(
                _case_refusal(
                    "row_broken",
                    path.name,
                    saw,
                    "该行列数与表头不符。",
                    "The row is not cut into the cells of its header.",
                ),
            ),
        )


def _numbered(batch: pa.RecordBatch) -> pa.Table:
    """The rows with their place, which the database need not keep (行序)."""
    return pa.Table.from_batches([batch]).append_column("ordinal", pa.array(range(batch.num_rows), pa.int64()))


def _mapped_case(row: int, cells: Mapping[str, Any], rules: OfflineRules) -> OfflineCase:
    refusals: list[Refusal] = []
    if cells["skipped"]:
        refusals.append(
            _case_refusal(cells["skipped"], f"row {row}", "", "按列映射剔除。", "Set aside by the column map.")
        )
    if cells["cost_reason"] in ("cost_missing", "cost_unreadable"):
        refusals.append(
            _case_refusal(
                cells["cost_reason"],
                f"row {row}",
                cells["cost_text"],
                "费用缺失或不能精确读取。",
                "The cost is missing or cannot be read exactly.",
            )
        )
    factor = _factor(rules, cells["hospital"], cells["level"], cells["coefficient"], refusals)
    return OfflineCase(
        row,
        cells["case_id"],
        cells["code"] or None,
        tuple(cells["procedures"]),
        _cost(cells["fen"] if cells["fen"] is not None else 0, f"row {row}", refusals),
        factor,
        tuple(refusals),
    )


def _cost(fen: int | None, where: str, refusals: list[Refusal]) -> int:
    if fen is None or fen < 0:
        saw = "" if fen is None else str(fen)
        refusals.append(
            _case_refusal(
                "cost_missing" if fen is None else "cost_negative",
                where,
                saw,
                "总费用缺失或为负。",
                "The total cost is missing or below zero.",
            )
        )
        return 0
    return fen


def _factor(
    rules: OfflineRules, hospital: str, level: str | None, coefficient: str | None, refusals: list[Refusal]
) -> HospitalFactor:
    if coefficient:
        try:
            return HospitalFactor(level or rules.otherwise.level, _coefficient(coefficient))
        except ValueError:
            refusals.append(
                _case_refusal(
                    "coefficient_unreadable",
                    "coefficient",
                    coefficient,
                    "医疗机构系数不是非负小数。",
                    "The coefficient is not a plain decimal of at least 0.",
                )
            )
            return rules.otherwise
    if rules.hospitals and hospital not in rules.hospitals:
        refusals.append(
            _case_refusal(
                "hospital_unknown",
                "hospital",
                hospital,
                "医院不在医院表中。",
                "The table of hospitals does not know this one.",
            )
        )
    found = rules.hospitals.get(hospital, rules.otherwise)
    return HospitalFactor(level, found.coefficient) if level else found


def _coefficient(text: str) -> Decimal:
    found = exact_decimal(text)
    if found < 0:
        raise ValueError(f"a coefficient below zero: {text}")
    return found


def _choices(path: Path) -> dict[str, str]:
    given = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    if not isinstance(given, dict) or set(given) - set(CHOICES):
        saw = ", ".join(sorted(set(given) - set(CHOICES))) if isinstance(given, dict) else str(given)[:100]
        raise _refused(
            "choice",
            path.name,
            saw,
            f"未知的政策参数；可用 {'、'.join(CHOICES)}。",
            f"Unknown choices; known are {', '.join(CHOICES)}.",
        )
    return {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in given.items()}


@cache
def _national_choices() -> Mapping[str, str]:
    national = national_policy()
    newest = max(value.effective_from for value in national.values)
    resolved = resolve(national.fields, national.values, date(newest.year, 12, 31))
    return {name: _LEFT_OPEN.get(name) or resolved.text(name) for name in CHOICES}


def _method(chosen: Mapping[str, str]) -> GroupingMethod:
    names = [one.strip() for one in chosen["grouping.tie_break"].split(",") if one.strip()]
    return GroupingMethod(
        tuple(TieBreak(one) for one in names if one != "group_code"),
        ConservativeMatch(chosen["grouping.conservative_match"]),
        ComprehensiveClass(chosen["grouping.class_of"]),
        GrayPrincipal(chosen["grouping.gray_principal"]),
    )


def _lines(chosen: Mapping[str, str]) -> OutlierLines:
    flags = {"true": True, "false": False}
    low, high, extreme = (chosen[f"scoring.{one}_inclusive"] for one in ("low", "high", "extreme"))
    if {low, high, extreme} - set(flags):
        raise ValueError("an inclusive flag is true or false")
    last, method = chosen["scoring.extreme_ratio"], chosen["scoring.outlier_method"]
    return OutlierLines(
        exact_decimal(chosen["scoring.low_ratio"]),
        exact_decimal(chosen["scoring.high_ratio"]),
        None if last == "none" else exact_decimal(last),
        flags[low],
        flags[high],
        flags[extreme],
        OutlierMethod.NATIONAL_2020 if method == _NO_METHOD else OutlierMethod(method),
    )


def _references(path: Path) -> ReferenceCosts:
    by_level: dict[tuple[str, str], MeanCost] = {}
    overall: dict[str, MeanCost] = {}

    def take(row: Mapping[str, str]) -> None:
        mean = MeanCost(fen_from_yuan(row["total"]), int(row["n"]))
        if mean.n < 0:
            raise ValueError("n is below zero")
        if row["level"]:
            by_level[row["group_code"], row["level"]] = mean
        else:
            overall[row["group_code"]] = mean

    _take_rows(path, ("group_code", "level", "n", "total"), take)
    return ReferenceCosts(by_level, overall)


def _hospitals(path: Path) -> dict[str, HospitalFactor]:
    found: dict[str, HospitalFactor] = {}

    def take(row: Mapping[str, str]) -> None:
        found[row["hospital"]] = HospitalFactor(row["level"], _coefficient(row["coefficient"]))

    _take_rows(path, ("hospital", "level", "coefficient"), take)
    return found


def _take_rows(path: Path, columns: tuple[str, ...], take: Callable[[Mapping[str, str]], None]) -> None:
    """Every row of a small CSV table, all its faults at once. Raises: DataRefused."""
    reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    if not set(columns) <= set(reader.fieldnames or ()):
        raise _refused(
            "table_columns",
            path.name,
            ",".join(reader.fieldnames or ()),
            f"须有列 {'、'.join(columns)}。",
            f"Needs the columns {', '.join(columns)}.",
        )
    faults: list[Refusal] = []
    for number, row in enumerate(reader, start=2):
        try:
            take(row)
        except (ValueError, TypeError, KeyError) as error:
            faults.append(
                _case_refusal(
                    "table_row",
                    f"{path.name} row {number}",
                    str(error),
                    "该行数值有误。",
                    "A value of this row is wrong.",
                )
            )
    if faults:
        raise DataRefused(tuple(faults))


def _case_refusal(code: str, where: str, saw: str, zh: str, en: str) -> Refusal:
    return Refusal(code, where, saw[:200], zh, en, "核对后重新提交。", "Correct it and try again.")


def _refused(code: str, where: str, saw: str, zh: str, en: str) -> DataRefused:
    return DataRefused((_case_refusal(code, where, saw, zh, en),))
