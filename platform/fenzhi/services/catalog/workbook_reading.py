"""Reading a catalog's workbook (读取目录工作簿): every cell against what the draft says, every fault with its cell.

What the workbook as such gets wrong is refused before any row is looked at. A row that says what the draft says is left alone;
only a row that differs is read as a group. A cell is never mended by guessing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation

from fenzhi.rules.catalog.catalog_text import CLASS_COLUMN, cells_of, read_group
from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.edition import CodeTables, duplicated_code
from fenzhi.rules.catalog.row_version import row_version
from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.rules.submission.verdict_texts import refusal
from fenzhi.services.catalog.faults import fault
from fenzhi.services.catalog.workbook_columns import (
    ACTION,
    ACTIONS,
    CASES,
    CODE,
    COLUMNS,
    DELETE,
    GROUP_COLUMNS,
    INFLATED_MOST,
    LOCAL,
    ROWS_MOST,
    SHEET,
    VERSION,
)
from fenzhi.services.submission.csv_sheets import csv_sheet, detected_charset
from fenzhi.services.submission.table_columns import Column, Kind, column_named, letters
from fenzhi.services.submission.workbook_cells import Cell, Sheet, read_workbook

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet may take for the beginning of a formula when a cell is opened or pasted (公式起始符)."""
_EXPONENT = re.compile(r"[+-]?\d+(?:\.\d+)?[eE]\+\d{1,3}", re.ASCII)
_WHERE = re.compile(r"row (\d+)(?: (\w+))?", re.ASCII)
_DIGITS_KEPT = 15
_GROUP_NAMES = tuple(column.name for column in GROUP_COLUMNS)


@dataclass(slots=True)
class WorkbookTable:
    """The rows of a workbook or CSV file (工作簿行), before they are judged."""

    format: str
    charset: str
    sheet: Sheet
    columns: dict[str, int]
    """Column name → place, from 0."""

    def place(self, row: int, name: str) -> str:
        """The name of a cell (单元格名称), such as 病种!C5; the group code's where the sheet lacks the column."""
        return f"{SHEET}!{letters(self.columns.get(name, self.columns[CODE.name]))}{row}"


@dataclass(slots=True)
class WorkbookEdits:
    """What a workbook changes in a draft (工作簿改动). With faults nothing may be taken over."""

    changed: dict[str, DiseaseGroup] = field(default_factory=dict)
    """Group code → the group as the workbook says it."""
    added: list[DiseaseGroup] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    faults: list[Refusal] = field(default_factory=list)
    stale: list[Refusal] = field(default_factory=list)
    warnings: list[Refusal] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    """Group code → row it was read from."""


def read_table(content: bytes) -> WorkbookTable:
    """A workbook (xlsx) or CSV file (UTF-8, GB18030) as rows (读取工作簿).

    Raises: WorkbookRefused for what cannot be opened; DataRefused naming everything the table as such gets wrong.
    """
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        found = next((sheet for sheet in read_workbook(content, INFLATED_MOST) if sheet.name.strip() == SHEET), None)
        table = WorkbookTable("xlsx", "", found or Sheet(SHEET), {})
    else:
        charset = detected_charset(content) or ""
        table = WorkbookTable("csv", charset, csv_sheet(content, charset, SHEET), {})
    faults = _table_faults(table)
    if faults:
        raise DataRefused(tuple(faults))
    return table


def _table_faults(table: WorkbookTable) -> list[Refusal]:
    rows = table.sheet.rows
    if not rows:
        return [
            fault(
                ("CATALOG_SHEET_MISSING", SHEET, ""),
                (f"没有“{SHEET}”表，或表中没有表头。", f"There is no sheet '{SHEET}', or it has no header."),
                ("以下载的工作簿为模板。", "Use the downloaded workbook as the template."),
            )
        ]
    faults: list[Refusal] = []
    for cell in rows[0]:
        column = column_named(cell.text, COLUMNS)
        where = f"{SHEET}!{letters(cell.column)}{cell.row}"
        if column is None:
            faults.append(
                fault(
                    ("CATALOG_COLUMN_STRANGE", where, cell.text),
                    ("该列不是目录工作簿的列，其内容不会被读取。", "The column is none of the workbook's."),
                    ("按下载的工作簿更正表头，或删除该列。", "Name it as in the download, or delete it."),
                )
            )
        elif column.name in table.columns:
            faults.append(
                fault(
                    ("CATALOG_COLUMN_REPEATED", where, cell.text),
                    ("该列出现了两次，不能确定以哪一列为准。", "The column stands twice: which one counts?"),
                    ("删除多余的一列。", "Delete one of them."),
                )
            )
        else:
            table.columns[column.name] = cell.column
    if CODE.name not in table.columns:
        faults.append(
            fault(
                ("CATALOG_COLUMN_MISSING", f"{SHEET}!A{rows[0][0].row}", CODE.header),
                (f"没有“{CODE.header}”列。", f"There is no column '{CODE.header}'."),
                ("按下载的工作簿补上该列。", "Add it as in the download."),
            )
        )
    if len(rows) - 1 > ROWS_MOST:
        beyond = rows[ROWS_MOST + 1][0].row
        faults.append(
            fault(
                ("CATALOG_ROWS_TOO_MANY", f"{SHEET}!A{beyond}", str(len(rows) - 1)),
                (
                    f"一份工作簿至多 {ROWS_MOST} 个病种，第 {beyond} 行起超出。",
                    f"A workbook has at most {ROWS_MOST} groups; row {beyond} is beyond.",
                ),
                ("只保留改动的行，或分份上传。", "Keep only the rows that change, or send it in parts."),
            )
        )
    return faults


def judge_rows(
    table: WorkbookTable, held: Sequence[DiseaseGroup], tables: CodeTables, *, score_places: int
) -> WorkbookEdits:
    """The rows against the groups of a draft (逐行比对): what changes, is added, is removed, and every fault with its cell.

    Refuses: the codes of `read_group`, CELL_FORMULA, CELL_FORMULA_TEXT, CELL_ERROR_VALUE, CELL_DIGITS_LOST,
    CELL_NUMBER_NOT_TEXT, CELL_IS_DATE, CELL_MERGED, ROW_HIDDEN, ROW_ACTION, ROW_LOCAL, ROW_GROUP_GONE, group_code_duplicated;
    in `stale` ROW_VERSION_STALE and ROW_VERSION_MISSING.
    """
    edits = WorkbookEdits()
    known = {group.group_code: group for group in held}
    names = {at: column for column in COLUMNS if (at := table.columns.get(column.name)) is not None}
    merged = _merged_rows(table.sheet)
    for line in table.sheet.rows[1:]:
        number = line[0].row
        cells = {names[cell.column].name: cell for cell in line if cell.column in names}
        code = cells.get(CODE.name)
        group = known.get(code.text) if code is not None and code.kind == "text" else None
        if (
            group is not None
            and code is not None
            and code.text not in edits.rows
            and _says_the_same(cells, group, table)
        ):
            edits.rows[group.group_code] = number
            edits.unchanged += 1
            continue
        if not cells:
            continue
        _judge_row(edits, table, number, cells, known, tables, score_places, is_merged=number in merged)
    return edits


def _says_the_same(cells: Mapping[str, Cell], group: DiseaseGroup, table: WorkbookTable) -> bool:
    """Whether a row says of a group what the draft says (与草稿一致), so that nothing of it need be judged."""
    said = cells_of(group)
    for name in _GROUP_NAMES:
        if name in table.columns:
            cell = cells.get(name)
            if (cell.text if cell is not None and cell.kind == "text" else "" if cell is None else None) != said[name]:
                return False
    local, action = cells.get(LOCAL.name), cells.get(ACTION.name)
    if LOCAL.name in table.columns and (local.text if local is not None else "0") != (
        "1" if group.local_addition else "0"
    ):
        return False
    return action is None or action.text.strip() == ACTIONS[0]


def _judge_row(
    edits: WorkbookEdits,
    table: WorkbookTable,
    number: int,
    cells: Mapping[str, Cell],
    known: Mapping[str, DiseaseGroup],
    tables: CodeTables,
    score_places: int,
    *,
    is_merged: bool,
) -> None:
    faults = list(_cell_faults(table, number, cells, is_merged=is_merged))
    said = {name: _text(column, cells[name]) for name, column in _BY_NAME.items() if name in cells}
    code = said.get(CODE.name, "")
    if code in edits.rows and code:
        faults.append(duplicated_code(table.place(number, CODE.name), code))
    edits.rows.setdefault(code, number)
    group = known.get(code)
    version = said.get(VERSION.name, "").strip()
    action = said.get(ACTION.name, "").strip()
    if action not in ("", *ACTIONS):
        faults.append(
            fault(
                ("ROW_ACTION", table.place(number, ACTION.name), action),
                (f"处理须为空、{'、'.join(ACTIONS)}。", f"The action is blank or one of {', '.join(ACTIONS)}."),
                ("从下拉列表中选择。", "Choose it from the list."),
            )
        )
    if said.get(LOCAL.name, "").strip() not in ("", "0", "1"):
        faults.append(
            fault(
                ("ROW_LOCAL", table.place(number, LOCAL.name), said[LOCAL.name]),
                ("地方新增须为 0 或 1。", "The flag of a local addition is 0 or 1."),
                ("从下拉列表中选择。", "Choose it from the list."),
            )
        )
    if faults:
        edits.faults.extend(faults)
        return
    if (conflict := _version_conflict(table, number, code, version, group)) is not None:
        edits.stale.append(conflict)
        return
    if group is None and (version or action == DELETE):
        edits.faults.append(
            fault(
                ("ROW_GROUP_GONE", table.place(number, CODE.name), code),
                ("草稿中没有该病种，可能已被删除或改码。", "The draft has no such group: removed or recoded since."),
                ("重新下载；确为新增的，清空行版本。", "Download again; for a new group clear row_version."),
            )
        )
        return
    if action == DELETE and group is not None:
        edits.removed.append(group.group_code)
        return
    _take(edits, table, number, said, group, tables, score_places)


def _take(
    edits: WorkbookEdits,
    table: WorkbookTable,
    number: int,
    said: Mapping[str, str],
    group: DiseaseGroup | None,
    tables: CodeTables,
    score_places: int,
) -> None:
    row = cells_of(group) if group is not None else dict.fromkeys((*_GROUP_NAMES, CLASS_COLUMN), "")
    row |= {name: said.get(name, "") for name in _GROUP_NAMES if name in table.columns}
    found, refusals, warnings = read_group(number, row, tables, score_places=score_places)
    edits.faults.extend(_placed(one, table, number) for one in refusals)
    edits.warnings.extend(_placed(one, table, number) for one in warnings)
    if found is None or refusals:
        return
    is_local = said.get(LOCAL.name, "").strip() == "1" if LOCAL.name in table.columns else None
    if group is None:
        edits.added.append(replace(found, local_addition=bool(is_local)))
        return
    found = replace(
        found,
        local_addition=group.local_addition if is_local is None else is_local,
        score=group.score if found.score == group.score else found.score,
    )
    if found == group:
        edits.unchanged += 1
    else:
        edits.changed[group.group_code] = found


def _version_conflict(
    table: WorkbookTable, number: int, code: str, version: str, group: DiseaseGroup | None
) -> Refusal | None:
    if group is None:
        return None
    if not version:
        return fault(
            ("ROW_VERSION_MISSING", table.place(number, VERSION.name), code),
            ("该病种已在草稿中，但该行没有行版本。", "The draft has this group already, but the row has no version."),
            (
                "重新下载后在原行修改；新增病种请换一个编码。",
                "Download again and change its row; a new group needs a new code.",
            ),
        )
    if version != row_version(group):
        return fault(
            ("ROW_VERSION_STALE", table.place(number, VERSION.name), version),
            ("下载之后该病种已被改动。", "The group was changed after the download."),
            ("重新下载，在新的工作簿中修改。", "Download again and make the change there."),
        )
    return None


_BY_NAME: Mapping[str, Column] = {column.name: column for column in COLUMNS if column is not CASES}


def _cell_faults(table: WorkbookTable, number: int, cells: Mapping[str, Cell], *, is_merged: bool) -> Iterator[Refusal]:
    if number in table.sheet.hidden_rows:
        yield fault(
            ("ROW_HIDDEN", table.place(number, CODE.name), str(number)),
            ("该行有改动，却被隐藏或筛选掉了。", "The row has changes, yet it is hidden or filtered out."),
            ("取消隐藏和筛选，核对后保存。", "Unhide it, take filters off, check it and save."),
        )
    if is_merged:
        where = table.place(number, CODE.name)
        yield refusal("CELL_MERGED", where, "", cell=where, area=f"{number}")
    for name, column in _BY_NAME.items():
        cell = cells.get(name)
        if cell is None:
            continue
        where = table.place(number, name)
        saw = cell.text[:40]
        code = _fault_of(column, cell)
        if code == "CELL_FORMULA_TEXT":
            yield fault(
                ("CELL_FORMULA_TEXT", where, saw),
                (
                    "文字以 = + - @ 开头，打开或粘贴时会被当作公式。",
                    "Text that begins with = + - @ turns into a formula.",
                ),
                ("去掉开头的符号。", "Take the sign away."),
            )
        elif code == "CELL_IS_DATE":
            yield fault(
                ("CELL_IS_DATE", where, saw),
                ("单元格已被改成日期，原来的编码不能还原。", "The cell was turned into a date; what it was is lost."),
                ("把该列设为“文本”后重新填写。", "Make the column text and enter it again."),
            )
        elif code:
            yield refusal(code, where, saw, cell=where, saw=saw)


def _fault_of(column: Column, cell: Cell) -> str:
    match cell.kind:
        case "formula":
            return "CELL_FORMULA"
        case "error":
            return "CELL_ERROR_VALUE"
        case "date" | "date1904":
            return "CELL_IS_DATE"
        case "boolean":
            return "" if column.kind is Kind.CHOICE else "CELL_ERROR_VALUE"
        case "number":
            return _number_fault(column, cell.text)
    if column.kind is not Kind.AMOUNT and cell.text.startswith(_DANGEROUS):
        return "CELL_FORMULA_TEXT"
    if column.kind is not Kind.WORDS and _EXPONENT.fullmatch(cell.text.strip()):
        return "CELL_DIGITS_LOST"
    return ""


def _number_fault(column: Column, text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return "CELL_ERROR_VALUE"
    if column.kind is Kind.AMOUNT:
        return "" if number.is_finite() and abs(number) < 10**12 else "CELL_ERROR_VALUE"
    if column.kind is Kind.CHOICE and number == number.to_integral_value() and 0 <= number < 1000:
        return ""
    whole = number == number.to_integral_value()
    digits = len(number.as_tuple().digits) + max(int(number.as_tuple().exponent), 0)
    return "CELL_DIGITS_LOST" if whole and digits >= _DIGITS_KEPT else "CELL_NUMBER_NOT_TEXT"


def _text(column: Column, cell: Cell) -> str:
    """What a sound cell says as text (单元格文本): a number as the fifteen digits a workbook keeps show it."""
    if cell.kind != "number":
        return cell.text
    try:
        number = Decimal(cell.text)
    except InvalidOperation:
        return cell.text
    if column.kind is Kind.CHOICE:
        return str(int(number)) if number.is_finite() and abs(number) < 10**6 else cell.text
    if column.kind is not Kind.AMOUNT or not number.is_finite():
        return cell.text
    shown = Decimal(f"{number:.{_DIGITS_KEPT - 1}e}")
    return format(shown.normalize() if shown != shown.to_integral_value() else shown.to_integral_value(), "f")


def _placed(one: Refusal, table: WorkbookTable, number: int) -> Refusal:
    """A fault of a row with the name of its cell (差错定位到单元格)."""
    found = _WHERE.fullmatch(one.where)
    name = (found[2] or CODE.name) if found else CODE.name
    if one.code in ("score_not_positive", "score_places"):
        name = "score"
    elif one.code == "procedure_class_misplaced":
        name = CLASS_COLUMN
    return replace(one, where=table.place(number, name))


def _merged_rows(sheet: Sheet) -> set[int]:
    return {row for top, _, bottom, _, _ in sheet.merged for row in range(top, min(bottom, top + ROWS_MOST) + 1)}
