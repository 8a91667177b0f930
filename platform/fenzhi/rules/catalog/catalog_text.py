"""A catalog file in, and byte for byte out again (目录文本的导入与导出).

A catalog arrives as a table made by people: codes that a spreadsheet turned into numbers, cells merged, a group listed
twice. Every fault is named at once, with the row and what to do; what is only unusual (a code the tables do not know) is a
warning. Gray codes (灰码) are allowed: a catalog may name them even where a settlement list may not.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from fenzhi.rules.catalog.conjunctions import (
    Conjunction,
    conjunction_text,
    has_lost_zeros,
    is_procedure_code,
    parse_conjunction,
)
from fenzhi.rules.catalog.disease_group import (
    DiseaseGroup,
    Granularity,
    GroupKind,
    ProcedureClass,
    distinct_key,
    has_diagnosis_shape,
    procedure_key,
)
from fenzhi.rules.catalog.edition import CodeTables, ambiguous_key, duplicated_code, group_faults
from fenzhi.rules.catalog.group_conditions import (
    CONDITION_COLUMNS,
    GroupConditions,
    GroupLayer,
    condition_cells,
    parse_conditions,
)
from fenzhi.rules.quantities import exact_decimal
from fenzhi.rules.refusals import Refusal

COLUMNS = (
    "seq",
    "dip_code",
    "dx_code",
    "dx_name",
    "dx_granularity",
    "main_ops",
    "main_op_names",
    "other_ops",
    "other_op_names",
    "kind",
    "level",
    "score",
    "grassroots",
)
CLASS_COLUMN = "procedure_class"
"""Optional column, needed once a catalog holds comprehensive groups (诊疗方式列)."""

_BOM = "\ufeff"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CatalogDialect:
    """How a catalog file was written (文本格式), so that it can be written so again."""

    columns: tuple[str, ...] = COLUMNS
    newline: str = "\n"
    bom: bool = False
    final_newline: bool = True


@dataclass(frozen=True, slots=True)
class CatalogReading:
    """What a catalog file said (导入结果). A reading with refusals is no catalog: nothing of it may be published."""

    groups: tuple[DiseaseGroup, ...]
    refusals: tuple[Refusal, ...]
    warnings: tuple[Refusal, ...]
    dialect: CatalogDialect


def dialect_for(groups: Iterable[DiseaseGroup]) -> CatalogDialect:
    """The plain dialect that can carry these groups (导出格式)."""
    listed = tuple(groups)
    columns: tuple[str, ...] = COLUMNS
    if any(group.procedure_class is not None for group in listed):
        columns = (*columns, CLASS_COLUMN)
    if any(group.conditions.asked for group in listed):
        columns = (*columns, *CONDITION_COLUMNS)
    return CatalogDialect(columns=columns)


def read_catalog(content: bytes, tables: CodeTables, *, score_places: int) -> CatalogReading:
    """The groups of a catalog file, with every fault at once (读取目录文本).

    Refuses: catalog_encoding, catalog_columns, catalog_row, diagnosis_key, granularity, procedure_code,
    procedure_code_lost_zeros, procedure_grammar, group_kind, procedure_class, level, grassroots, score, score_places,
    score_not_positive, procedure_class_misplaced, group_code_missing, group_code_duplicated, group_key_ambiguous, group_condition,
    condition_misplaced, group_takes_everything.
    Warns: diagnosis_unknown, procedure_unknown, group_code_differs, procedure_repeated, groups_differ_only_in_main,
    text_not_canonical.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        saw = content[max(0, error.start - 8) : error.start + 8].hex(" ")
        return _nothing(
            Refusal(
                "catalog_encoding",
                f"byte {error.start}",
                saw,
                "文件不是 UTF-8 编码。",
                "The file is not UTF-8.",
                "另存为 UTF-8 编码的 CSV 后重新上传。",
                "Save the file as UTF-8 CSV and upload it again.",
            )
        )
    bom = text.startswith(_BOM)
    body = text.removeprefix(_BOM)
    newline = "\r\n" if "\r\n" in body else "\n"
    try:
        rows = list(csv.reader(re.findall(r"[^\n]*\n|[^\n]+", body), strict=True))
    except csv.Error as error:
        return _nothing(
            Refusal(
                "catalog_row",
                "file",
                str(error),
                "CSV 引号或分隔符不完整。",
                "The quotes or separators of the CSV are broken.",
                "修正引号后重新上传。",
                "Mend the quotes and upload again.",
            )
        )
    columns = tuple(rows[0]) if rows else ()
    wanted = set(COLUMNS)
    if (
        not wanted <= set(columns)
        or set(columns) - wanted - {CLASS_COLUMN, *CONDITION_COLUMNS}
        or len(set(columns)) != len(columns)
    ):
        return _nothing(
            Refusal(
                "catalog_columns",
                "row 1",
                ",".join(columns)[:400],
                "表头与目录格式不符。",
                "The header is not that of a catalog.",
                f"使用列：{','.join(COLUMNS)}，可加 {','.join((CLASS_COLUMN, *CONDITION_COLUMNS))}。",
                f"Use the columns {','.join(COLUMNS)}, optionally {','.join((CLASS_COLUMN, *CONDITION_COLUMNS))}.",
            )
        )
    dialect = CatalogDialect(columns, newline, bom, final_newline=body.endswith(("\n", "\r\n")))
    reader = _RowReader(tables, score_places)
    for number, cells in enumerate(rows[1:], start=2):
        if cells:
            reader.read(number, columns, cells)
    groups = tuple(reader.groups)
    if not reader.refusals and write_catalog(groups, dialect) != content:
        reader.warnings.append(
            Refusal(
                "text_not_canonical",
                "file",
                "",
                "文件含多余的引号、空行或混用换行，导出文本将与导入文本不同，内容相同。",
                "The file has needless quotes or mixed line ends: the export will say the same in other bytes.",
                "无需处理。",
                "Nothing need be done.",
            )
        )
    return CatalogReading(groups, tuple(reader.refusals), tuple(reader.warnings), dialect)


def read_group(
    number: int, row: Mapping[str, str], tables: CodeTables, *, score_places: int
) -> tuple[DiseaseGroup | None, tuple[Refusal, ...], tuple[Refusal, ...]]:
    """One row as a group (读取一行病种), with its refusals and warnings; codes are those of `read_catalog`.

    `row` has every column of `COLUMNS`, and those of conditions where it names any. Whether it agrees with other rows is for the caller
    to see.
    """
    reader = _RowReader(tables, score_places)
    columns = (*COLUMNS, CLASS_COLUMN, *CONDITION_COLUMNS)
    reader.read(number, columns, [row.get(column, "") for column in columns])
    return (reader.groups[0] if reader.groups else None), tuple(reader.refusals), tuple(reader.warnings)


def write_catalog(groups: Iterable[DiseaseGroup], dialect: CatalogDialect | None = None) -> bytes:
    """A catalog file (导出目录文本): what `read_catalog` read, in the same bytes, when given the reading's dialect.

    Raises: ValueError when the dialect has no column for a comprehensive group's class.
    """
    listed = tuple(groups)
    form = dialect or dialect_for(listed)
    if CLASS_COLUMN not in form.columns and any(group.procedure_class is not None for group in listed):
        raise ValueError(f"comprehensive groups need the column {CLASS_COLUMN}")
    if not set(CONDITION_COLUMNS) <= set(form.columns) and any(
        cell and name not in form.columns
        for group in listed
        for name, cell in condition_cells(group.conditions).items()
    ):
        raise ValueError(f"groups above the basic layer need the columns {', '.join(CONDITION_COLUMNS)}")
    lines = [",".join(form.columns)]
    for group in listed:
        cells = cells_of(group)
        lines.append(",".join(_quoted(cells[column]) for column in form.columns))
    text = form.newline.join(lines) + (form.newline if form.final_newline else "")
    return ((_BOM if form.bom else "") + text).encode("utf-8")


def _nothing(refusal: Refusal) -> CatalogReading:
    return CatalogReading((), (refusal,), (), CatalogDialect())


def cells_of(group: DiseaseGroup) -> dict[str, str]:
    """A group as the cells of a row (病种各列文本), by column."""
    return {
        "seq": group.sequence,
        "dip_code": group.group_code,
        "dx_code": group.diagnosis,
        "dx_name": group.diagnosis_name,
        "dx_granularity": str(int(group.granularity)),
        "main_ops": conjunction_text(group.main_procedures),
        "main_op_names": group.main_procedure_names,
        "other_ops": conjunction_text(group.related_procedures),
        "other_op_names": group.related_procedure_names,
        "kind": group.kind.value,
        "level": str(group.level),
        "score": format(group.score, "f"),
        "grassroots": "1" if group.grassroots else "0",
        CLASS_COLUMN: group.procedure_class.value if group.procedure_class else "",
        **condition_cells(group.conditions),
    }


def _quoted(cell: str) -> str:
    if any(mark in cell for mark in ',"\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


class _RowReader:
    """Collects groups, refusals and warnings row by row (逐行读取)."""

    def __init__(self, tables: CodeTables, score_places: int) -> None:
        self._tables = tables
        self._score_places = score_places
        self.groups: list[DiseaseGroup] = []
        self.refusals: list[Refusal] = []
        self.warnings: list[Refusal] = []
        self._codes: set[str] = set()
        self._distinct: dict[tuple[object, ...], str] = {}
        self._alike: dict[tuple[object, ...], str] = {}

    def read(self, number: int, columns: Sequence[str], cells: Sequence[str]) -> None:
        if len(cells) != len(columns):
            self._refuse(
                ("catalog_row", f"row {number}", ",".join(cells)[:400]),
                ("列数与表头不符，可能是单元格粘连或断行。", "The number of cells differs from the header."),
                ("核对该行，每列一个单元格。", "Check the row: one cell for each column."),
            )
            return
        row = dict(zip(columns, cells, strict=True))
        faults = len(self.refusals)
        granularity = self._granularity(number, row)
        main = self._procedures(number, "main_ops", row["main_ops"])
        related = self._procedures(number, "other_ops", row["other_ops"])
        kind = self._one_of(number, "kind", row["kind"], {one.value: one for one in GroupKind}, "group_kind")
        classes = {one.value: one for one in ProcedureClass}
        class_text = row.get(CLASS_COLUMN, "")
        procedure_class = (
            self._one_of(number, CLASS_COLUMN, class_text, classes, "procedure_class") if class_text else None
        )
        grassroots = self._one_of(number, "grassroots", row["grassroots"], {"0": False, "1": True}, "grassroots")
        level = self._one_of(number, "level", row["level"], {str(one): one for one in range(10)}, "level")
        score = self._score(number, row["score"])
        conditions = self._conditions(number, row)
        if row["dip_code"] == "" or row["dip_code"] != row["dip_code"].strip():
            self._refuse(
                ("group_code_missing", f"row {number} dip_code", row["dip_code"]),
                ("病种编码为空或带空格。", "The group code is empty or padded."),
                ("填写病种编码。", "Enter the group code."),
            )
        if granularity is None or kind is None or grassroots is None or level is None or score is None:
            return
        if main is None or related is None or len(self.refusals) > faults:
            return
        group = DiseaseGroup(
            group_code=row["dip_code"],
            diagnosis=row["dx_code"],
            granularity=granularity,
            score=score,
            main_procedures=main,
            related_procedures=related,
            kind=kind,
            procedure_class=procedure_class,
            grassroots=grassroots,
            level=level,
            sequence=row["seq"],
            diagnosis_name=row["dx_name"],
            main_procedure_names=row["main_op_names"],
            related_procedure_names=row["other_op_names"],
            conditions=conditions,
        )
        self.refusals.extend(group_faults(group, self._score_places, f"row {number}"))
        self._compare(number, group)
        if len(self.refusals) == faults:
            self.groups.append(group)

    def _conditions(self, number: int, row: dict[str, str]) -> GroupConditions:
        try:
            return parse_conditions(row)
        except ValueError as error:
            self._refuse(
                ("group_condition", f"row {number}", str(error)[:200]),
                ("分组层级或分组条件不能读取。", "The layer or the conditions cannot be read."),
                (
                    f"层级取 {'、'.join(GroupLayer)}；诊断用 / 与 +；取值段如 age_days:0-28。",
                    f"Layers are {', '.join(GroupLayer)}; diagnoses with / and +; bands such as age_days:0-28.",
                ),
            )
            return GroupConditions()

    def _granularity(self, number: int, row: dict[str, str]) -> Granularity | None:
        known = {str(int(one)): one for one in Granularity}
        granularity = self._one_of(number, "dx_granularity", row["dx_granularity"], known, "granularity")
        if granularity is None:
            return None
        diagnosis = row["dx_code"]
        if not has_diagnosis_shape(diagnosis, granularity):
            self._refuse(
                ("diagnosis_key", f"row {number} dx_code", diagnosis),
                (
                    f"诊断代码不是 {int(granularity)} 位粒度的一个代码(区间、剑星号标记、丢位均不接受)。",
                    f"Not one diagnosis key of granularity {int(granularity)} (no ranges, marks or lost characters).",
                ),
                (
                    "3 位如 C02，4 位如 C15.1 或 A35.x，全码如 P07.101；区间请逐码列出。",
                    "Write C02, C15.1 or A35.x, or a full code such as P07.101; list ranges code by code.",
                ),
            )
            return None
        if granularity is not Granularity.ANY and not self._tables.knows_diagnosis(diagnosis):
            self._warn(
                ("diagnosis_unknown", f"row {number} dx_code", diagnosis),
                ("诊断代码不在代码表内，不会有病例入该组。", "The code table does not know this diagnosis."),
            )
        return granularity

    def _procedures(self, number: int, column: str, text: str) -> Conjunction | None:
        where = f"row {number} {column}"
        try:
            parts = parse_conjunction(text)
        except ValueError:
            self._refuse(
                ("procedure_grammar", where, text[:400]),
                ("分隔符之间缺少手术操作代码。", "A code is missing between the separators."),
                ("用 / 表示任一，用 + 表示并且，例如 a/b+c。", "Use / for any of and + for and, as in a/b+c."),
            )
            return None
        sound = True
        for part in parts:
            for code in part:
                sound = self._procedure(where, code) and sound
            if len(set(part)) < len(part):
                self._warn(
                    ("procedure_repeated", where, "/".join(part)),
                    ("同一代码在任一关系中重复列出。", "A code is listed twice among the alternatives."),
                )
        return parts if sound else None

    def _procedure(self, where: str, code: str) -> bool:
        if self._tables.knows_procedure(code):
            return True
        if is_procedure_code(code):
            self._warn(
                ("procedure_unknown", where, code),
                ("手术操作代码不在代码表内。", "The code table does not know this procedure."),
            )
            return True
        if has_lost_zeros(code):
            self._refuse(
                ("procedure_code_lost_zeros", where, code),
                ("手术操作代码丢失前导或末尾的 0。", "The procedure code has lost zeros at its ends."),
                ("按文本格式填写完整代码，例如 06.3100。", "Enter the whole code as text, such as 06.3100."),
            )
        else:
            self._refuse(
                ("procedure_code", where, code[:80]),
                ("不是医保版手术操作代码。", "Not a procedure code of the insurance edition."),
                ("填写如 39.9500 或 39.9500x004 的代码。", "Enter a code such as 39.9500 or 39.9500x004."),
            )
        return False

    def _score(self, number: int, text: str) -> Decimal | None:
        try:
            score = exact_decimal(text)
        except ValueError:
            score = None
        if score is None or format(score, "f") != text:
            self._refuse(
                ("score", f"row {number} score", text),
                ("分值不是普通小数。", "The score is not a plain decimal."),
                (
                    "填写如 205 或 205.50 的数，不用科学计数、千分位或空格。",
                    "Enter a plain number such as 205 or 205.50.",
                ),
            )
            return None
        return score

    def _one_of(self, number: int, column: str, text: str, known: dict[str, T], code: str) -> T | None:
        if text in known:
            return known[text]
        listed = "、".join(known)
        self._refuse(
            (code, f"row {number} {column}", text),
            (f"取值应为 {listed} 之一。", f"Must be one of {', '.join(known)}."),
            ("改为列出的取值。", "Use one of the values listed."),
        )
        return None

    def _compare(self, number: int, group: DiseaseGroup) -> None:
        where = f"row {number}"
        if group.group_code in self._codes:
            self.refusals.append(duplicated_code(f"{where} dip_code", group.group_code))
        self._codes.add(group.group_code)
        key = distinct_key(group)
        other = self._distinct.setdefault(key, group.group_code)
        alike = self._alike.setdefault(procedure_key(group), group.group_code)
        if other != group.group_code:
            self.refusals.append(ambiguous_key(where, group.group_code, other))
        elif alike != group.group_code:
            self._warn(
                ("groups_differ_only_in_main", where, group.group_code),
                (f"与病种 {alike} 仅主要与相关手术操作互换。", f"Differs from {alike} only in what is main."),
            )
        written = ":" + conjunction_text(group.main_procedures) if group.main_procedures else ""
        written += "_" + conjunction_text(group.related_procedures) if group.related_procedures else ""
        plain = group.kind is GroupKind.CORE and group.layer is GroupLayer.BASIC
        if plain and group.group_code != group.diagnosis + written:
            self._warn(
                ("group_code_differs", f"{where} dip_code", group.group_code),
                (
                    "病种编码与诊断和手术操作列不一致，以列为准。",
                    "The group code does not spell the cells; the cells count.",
                ),
            )

    def _refuse(self, seen: tuple[str, str, str], why: tuple[str, str], remedy: tuple[str, str]) -> None:
        self.refusals.append(Refusal(*seen, *why, *remedy))

    def _warn(self, seen: tuple[str, str, str], why: tuple[str, str]) -> None:
        self.warnings.append(Refusal(*seen, *why, "核对后可继续。", "Check; the catalog can be used as it is."))
