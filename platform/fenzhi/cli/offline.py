"""What the offline commands group and score by (离线计分依据): a catalog file, code tables, references, hospitals, named choices.

Nothing is stored and no server is asked. The choices of policy have the names they have online; those that the package knows
nationally need not be given, and what was used is told.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from fenzhi.cli.catalog.code_tables import Interventions, read_code_tables
from fenzhi.cli.catalog.column_map import ColumnMap
from fenzhi.cli.catalog.discharges import DischargeReader, case_columns_statement
from fenzhi.cli.catalog.files import read_file
from fenzhi.cli.offline_mode import TABLE
from fenzhi.engine.connection import BulkConnection
from fenzhi.engine.failures import EngineFailed
from fenzhi.rules.catalog.dialect_faults import Severity
from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity, has_diagnosis_shape
from fenzhi.rules.catalog.edition import CodeTables, Edition
from fenzhi.rules.catalog.edition_lists import CatalogStandard, EditionLists, edition_lists, read_lists
from fenzhi.rules.catalog.reference_costs import NO_REFERENCES, MeanCost, ReferenceCosts, references_by_score
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.group_case import InpatientCase
from fenzhi.rules.grouping.grouping_method import GroupingMethod, UnsoundProcedure
from fenzhi.rules.grouping.provisional_groups import ProvisionalGroup, read_provisional
from fenzhi.rules.payment_modes.mode_of_case import ModeRule, policy_mode_rules
from fenzhi.rules.policy.fields import (
    Layer,
    PlainContent,
    PolicyDocument,
    PolicyValue,
    Standing,
    plain_content,
    read_content,
)
from fenzhi.rules.policy.resolved import ResolvedPolicy, resolve
from fenzhi.rules.quantities import exact_decimal, fen_from_yuan
from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.rules.scoring.auxiliary_choice import read_subtypes
from fenzhi.rules.scoring.case_adjustment import AdjustmentRules
from fenzhi.rules.scoring.cost_outliers import OutlierLines
from fenzhi.rules.scoring.score_case import BlankGroup, HospitalFactor
from fenzhi.rules.submission.settlement_list import SettlementList
from fenzhi.services.policy.methods import grouping_method_of
from fenzhi.services.scoring.adjusting import adjustment_rules_of, blank_group_of
from fenzhi.services.scoring.basis import UNASKED_LINES, means_for, outlier_lines_of
from fenzhi.services.submission.parse_part import parse_part
from fenzhi.store.policy_files import national_policy

_READ_BYTES = 1 << 20
_NO_METHOD = "none"
"""Nothing is rescored by its cost (不作费用异常校正)."""
STANDARD = "catalog.standard"
PRICE = "scoring.price_yuan_per_point"
_NOT_OFFLINE = ("grouping.dx_granularity_order", "grouping.intervention_class", "scoring.tcm_charge_classes")
_LEFT_OPEN: Mapping[str, PlainContent] = {
    "grouping.tie_break": ["most_parts", "most_matched", "group_code"],
    "grouping.conservative_match": "strict",
    "grouping.gray_principal": "ungrouped",
    "scoring.ungrouped_method": "pending",
}
"""What the national texts leave to the area: used offline where nothing is given, and told."""
_GIVEN = PolicyDocument("命令行政策参数 choices", standing=Standing.PRODUCT)
_ON = date(2100, 1, 1)


@dataclass(frozen=True, slots=True)
class OfflineCase:
    """One case of a file (待入组病例). With refusals nothing of it may be grouped. Units: fen, days, grams."""

    row: int
    case_id: str
    principal: str | None = None
    procedures: tuple[str, ...] = ()
    cost_fen: int = 0
    factor: HospitalFactor = field(default_factory=lambda: HospitalFactor("", Decimal(1)))
    refusals: tuple[Refusal, ...] = ()
    others: tuple[str, ...] = ()
    age_days: int | None = None
    los_days: int | None = None
    birth_weight_g: int | None = None
    discharge_way: str | None = None
    discharge_date: date | None = None

    @property
    def as_grouped(self) -> InpatientCase:
        """As grouping sees it (待入组病例)."""
        return InpatientCase(
            self.case_id,
            self.principal,
            self.procedures,
            self.others,
            self.age_days,
            self.birth_weight_g,
            self.los_days,
            self.cost_fen,
        )


@dataclass(frozen=True)
class OfflineRules:
    """Catalog, tables, method, lines, references and hospitals (离线计分依据)."""

    edition: Edition
    method: GroupingMethod
    lines: OutlierLines
    references: ReferenceCosts
    hospitals: Mapping[str, HospitalFactor]
    otherwise: HospitalFactor
    choices: Mapping[str, PlainContent]
    adjustments: AdjustmentRules
    blank: BlankGroup | None
    judges_diagnoses: bool
    """Was a code table given? Without one every sound code of the cases counts as known (是否核对诊断代码表)."""
    provisional_groups: tuple[ProvisionalGroup, ...] = ()
    mode_rules: tuple[ModeRule, ...] = ()
    """The table of payment modes, where one is given (支付方式表)."""

    @property
    def provisional(self) -> Mapping[str, DiseaseGroup]:
        """Provisional groups by code, in the words of a catalog (临时病种)."""
        return {one.group_code: one.as_group for one in self.provisional_groups}

    def provisional_on(self, day: date | None) -> tuple[ProvisionalGroup, ...]:
        """Those in force on a discharge date; none where it is not told (当日适用临时病种)."""
        return tuple(one for one in self.provisional_groups if one.in_force_on(day))

    @property
    def means(self) -> dict[str, int]:
        """Means in whole fen where the method chooses by cost (择优所需均费)."""
        return means_for(self.method, self.references)

    def book_for(self, cases: Sequence[OfflineCase]) -> CatalogBook:
        """The catalog opened for these cases (目录索引)."""
        if self.judges_diagnoses:
            return CatalogBook(self.edition)
        stated = {code for case in cases for code in (case.principal, *case.others) if code}
        codes = {code: False for code in sorted(stated) if has_diagnosis_shape(code, Granularity.FULL)}
        return CatalogBook(replace(self.edition, tables=CodeTables(codes, self.edition.tables.procedures)))


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
    lists: Path | None = None,
    subtypes: Path | None = None,
    provisional: Path | None = None,
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
    given = _choices(choices) if choices else {}
    standard, price = given.pop(STANDARD, CatalogStandard.V2.value), given.pop(PRICE, None)
    if given.get("scoring.extreme_ratio") == _NO_METHOD:
        del given["scoring.extreme_ratio"]
        given["scoring.extreme_applies"] = "false"
    try:
        policy = _policy(given)
        method = grouping_method_of(policy)
        if procedures is None:
            # Without a table of procedures nothing tells which of them are unknown.
            method = replace(method, unsound_procedure=UnsoundProcedure.GROUP)
        scale = int(policy.text("catalog.score_scale"))
        lines = outlier_lines_of(policy, Fraction(exact_decimal(str(price))) * 100 if price is not None else None)
        factor = HospitalFactor(level, _coefficient(coefficient))
        followed = CatalogStandard(str(standard))
        rows = _subtypes(subtypes) if subtypes else ()
        adjustments = adjustment_rules_of(policy, rows)
        modes = policy_mode_rules(policy) if TABLE in given else ()
    except ValueError as error:
        raise _refused(
            "choice", str(choices or "coefficient"), str(error), "政策参数取值有误。", "A choice has no such value."
        ) from error
    groups = document.groups
    places = max((max(0, -int(group.score.as_tuple().exponent)) for group in groups), default=0)
    edition = Edition(
        catalog.name, scale, places, groups, tables, date(1, 1, 1), standard=followed, lists=_lists(lists)
    )
    found = _references(references) if references else NO_REFERENCES
    if policy.method("scoring.reference") == "score_factor":
        per_point = policy.fraction("scoring.reference_yuan_per_point") * 100
        found = references_by_score({group.group_code: Fraction(group.score) for group in groups}, per_point)
    used = {
        key: plain_content(policy.fields[key], value.content)
        for key, value in policy.values.items()
        if value.content and key in CHOICES
    }
    return OfflineRules(
        edition,
        method,
        lines or UNASKED_LINES,
        found if lines is not None else NO_REFERENCES,
        _hospitals(hospitals) if hospitals else {},
        factor,
        used | {STANDARD: followed.value},
        adjustments,
        blank_group_of(policy, found),
        judges_diagnoses=diagnoses is not None,
        provisional_groups=_provisional(provisional, edition) if provisional else (),
        mode_rules=modes,
    )


def _provisional(path: Path, edition: Edition) -> tuple[ProvisionalGroup, ...]:
    """The groups of a file (读取临时病种), none of them under a code of the catalog. Raises: DataRefused."""
    found, faults = read_provisional(path.read_bytes())
    taken = {group.group_code for group in edition.groups}
    faults += tuple(
        _case_refusal(
            "provisional_code_taken",
            path.name,
            one.group_code,
            "该编码已是目录病种的编码。",
            "The code is that of a group of the catalog.",
        )
        for one in found
        if one.group_code in taken
    )
    if faults:
        raise DataRefused(faults)
    return found


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
                tuple(
                    dict.fromkeys(
                        one.code for one in given.diagnoses or () if one.code is not None and not one.principal
                    )
                ),
                _age(given),
                _stay(given),
                given.birth_weight_g,
                given.discharge_way,
                given.discharge_date,
            )


def _age(given: SettlementList) -> int | None:
    """Days of age at discharge, as online; of a newborn whose birthday is not told, what the list states (日龄)."""
    if given.birth_date is None or given.discharge_date is None:
        return given.age_days_stated
    return (given.discharge_date - given.birth_date).days


def _stay(given: SettlementList) -> int | None:
    if given.admission_date is None or given.discharge_date is None:
        return given.stay_days_stated
    return (given.discharge_date - given.admission_date).days


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
        factor=factor,
        refusals=tuple(refusals),
        discharge_date=cells["day"],
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


def _choices(path: Path) -> dict[str, PlainContent]:
    """The choices of a file as policy has them: text, lists, small tables; a list may be one text with commas."""
    given = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    known = (*CHOICES, TABLE, STANDARD, PRICE)
    if not isinstance(given, dict) or set(given) - set(known):
        saw = ", ".join(sorted(set(given) - set(known))) if isinstance(given, dict) else str(given)[:100]
        raise _refused(
            "choice",
            path.name,
            saw,
            f"未知的政策参数；可用 {'、'.join(known)}。",
            f"Unknown choices; known are {', '.join(known)}.",
        )
    found: dict[str, PlainContent] = dict(given)
    ties = given.get("grouping.tie_break")
    if isinstance(ties, str):
        ties = [one.strip() for one in ties.split(",") if one.strip()]
    if ties is not None:
        found["grouping.tie_break"] = [*(one for one in ties if one != "group_code"), "group_code"]
    return found


def _policy(given: Mapping[str, PlainContent]) -> ResolvedPolicy:
    """National values, what they leave open, and what was given, by the same rules as online. Raises: DataRefused."""
    national = national_policy()
    values = list(national.values)
    faults: list[Refusal] = []
    defaults = {key: value for key, value in _LEFT_OPEN.items() if key not in given}
    for key, plain in {**defaults, **given}.items():
        content, found = read_content(national.field(key), plain)
        faults.extend(found)
        values.append(PolicyValue(key, Layer.AREA, date(1, 1, 1), content, _GIVEN))
    if faults:
        raise DataRefused(tuple(faults))
    return resolve(national.fields, values, _ON)


CHOICES: tuple[str, ...] = tuple(
    field.key
    for field in national_policy().fields
    if (field.key.startswith(("grouping.", "scoring.")) and field.key not in _NOT_OFFLINE)
    or field.key == "catalog.score_scale"
)
"""The choices of policy by their names online (可选政策参数); `scoring.extreme_ratio: none` means no such line."""


@dataclass(frozen=True, slots=True)
class _SubtypeRow:
    group_code: str
    dimension: str
    subtype: str
    coefficient: Decimal


def _lists(path: Path | None) -> EditionLists:
    if path is None:
        return EditionLists()
    rows, faults = read_lists(path.read_bytes())
    if faults:
        raise DataRefused(faults)
    return edition_lists(rows)


def _subtypes(path: Path) -> tuple[_SubtypeRow, ...]:
    rows, faults = read_subtypes(path.read_bytes())
    if faults:
        raise DataRefused(faults)
    return tuple(_SubtypeRow(*row) for row in rows)


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
