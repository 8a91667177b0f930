"""Tables of settlement lists (表格清单): a workbook or a CSV file in, one row a list out, in the canonical form an NDJSON part has.

What a table as such gets wrong (no sheet of lists, a strange column, a row that belongs to no list) is refused when it is uploaded. What
a cell gets wrong is a finding about its list, with the cell's name. A cell is never mended by guessing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.rules.submission.verdict_texts import refusal
from fenzhi.services.submission.csv_sheets import csv_sheet, detected_charset, table_fault
from fenzhi.services.submission.parse_part import ParsedRow, read_one
from fenzhi.services.submission.table_columns import (
    ACCEPTED_MARK,
    KEY,
    LIST_TABLE,
    LISTS,
    OTHER_SHEETS,
    ROW_COLUMNS,
    SHEETS,
    STATUS,
    Column,
    Kind,
    column_named,
    letters,
    split_path,
)
from fenzhi.services.submission.workbook_cells import Cell, Sheet, read_workbook

LISTS_MOST = 50_000
"""Lists of one table (一张表的清单上限)."""
FAULTS_MOST = 100
"""Faults of a table named at once (列出的表格差错上限)."""
_PERSONAL = frozenset({"psn_name", "certno", "psn_no"})
_FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff0e\uff0d\u3000]")
_EXPONENT = re.compile(r"[+-]?\d+(?:\.\d+)?[eE]\+\d{1,3}", re.ASCII)
_PLAIN = re.compile(r"\d{1,6}", re.ASCII)
_DIGITS_KEPT = 15


class TableRow(NamedTuple):
    """One list of a table (表格中的一份清单)."""

    row_no: int
    """Row of the sheet of lists, the header included."""
    message: dict[str, Any]
    faults: tuple[Refusal, ...]
    unread: frozenset[str]
    places: dict[str, tuple[str, int]]
    """`diseinfo[0]` → sheet and row it came from (多行节点的出处)."""


@dataclass(slots=True)
class ReadTable:
    """A table that was read (读取的表格)."""

    format: str
    """xlsx or csv."""
    charset: str
    """Of a CSV file as detected: UTF-8, UTF-8 BOM or GB18030 (检测到的编码)."""
    lists: list[TableRow] = field(default_factory=list)
    columns: dict[str, dict[str, int]] = field(default_factory=dict)
    """Sheet → field → column, from 0."""
    last_row: int = 0
    accepted_before: int = 0
    """Rows the platform had marked as accepted, which are not submitted again (已受理而未重报的行)."""
    cells: list[Sheet] = field(default_factory=list)

    def place_of(self, row: TableRow, path: str) -> tuple[str, int, int]:
        """Sheet, row and column of a finding about a list (结论所在单元格): its key cell where no cell is its own."""
        lists = self.columns[LISTS]
        if path in lists:
            return LISTS, row.row_no, lists[path]
        node, _, rest = path.partition("]")
        found = row.places.get(f"{node}]")
        if found is None:
            return LISTS, row.row_no, lists[KEY.name]
        sheet, number = found
        columns = self.columns[sheet]
        return sheet, number, columns.get(rest.lstrip("."), columns.get(KEY.name, 0))


def looks_like_table(content: bytes) -> str:
    """ "xlsx", "csv", or "" for a part of NDJSON (识别分片格式).

    A CSV part begins with a header that has a column `setl_id`; no line of NDJSON can.
    """
    if content.startswith(b"PK\x03\x04"):
        return "xlsx"
    first = content[:65_536].split(b"\n", 1)[0].removeprefix(b"\xef\xbb\xbf").strip()
    if not first or first[:1] in b"{[":
        return ""
    said = (
        first.decode("gb18030", "replace") if detected_charset(first) == "GB18030" else first.decode("utf-8", "replace")
    )
    names = (column_named(name.strip().strip('"'), LIST_TABLE) for name in said.split(","))
    return "csv" if any(column is not None and column.name == KEY.name for column in names) else ""


def read_table(content: bytes) -> ReadTable:
    """Read a workbook or CSV file whole (读取表格).

    Raises: WorkbookRefused for what cannot be opened; DataRefused naming everything the table as such gets wrong.
    """
    if content.startswith(b"PK\x03\x04"):
        table = ReadTable("xlsx", "")
        table.cells = read_workbook(content)
    else:
        table = ReadTable("csv", detected_charset(content) or "")
        table.cells = [csv_sheet(content, table.charset)]
    faults: list[Refusal] = []
    _read(table, faults)
    if faults:
        raise DataRefused(tuple(faults[:FAULTS_MOST]))
    return table


def table_rows(table: ReadTable) -> Iterator[ParsedRow]:
    """The lists of a table as the judge takes them (表格清单转校验行), in order."""
    for row in table.lists:
        given, found = read_one(msgspec.json.encode(row.message))
        if given is not None and row.unread:
            given = given._replace(unread=given.unread | row.unread)
        yield ParsedRow(row.row_no, 0, 0, b"", given, row.faults + found)


def _read(table: ReadTable, faults: list[Refusal]) -> None:
    by_name: dict[str, Sheet] = {}
    for sheet in table.cells:
        name = sheet.name.strip()
        if name in OTHER_SHEETS:
            continue
        if name != LISTS and name not in SHEETS:
            if sheet.rows:
                faults.append(_strange_sheet(name))
        elif sheet.hidden and sheet.rows:
            faults.append(_hidden_sheet(name))
        else:
            by_name[name] = sheet
    lists = by_name.get(LISTS)
    if lists is None or not lists.rows:
        faults.append(_no_lists())
        return
    columns = {name: _columns(sheet, faults) for name, sheet in by_name.items() if sheet.rows}
    table.columns = {sheet: {column.name: at for at, column in found.items()} for sheet, found in columns.items()}
    if KEY.name not in table.columns[LISTS]:
        return
    known: set[str] = set()
    done: set[str] = set()
    status_at = table.columns[LISTS].get(STATUS.name)
    key_at = table.columns[LISTS][KEY.name]
    for line in lists.rows[1:]:
        said = {cell.column: cell.text.strip() for cell in line if cell.column in (status_at, key_at)}
        (done if said.get(-1 if status_at is None else status_at, "").startswith(ACCEPTED_MARK) else known).add(
            said.get(key_at, "")
        )
    children = {
        sheet: _children(by_name[sheet], columns[sheet], known | done, faults) for sheet in SHEETS if sheet in columns
    }
    _lists(table, lists, columns[LISTS], children)
    if len(table.lists) > LISTS_MOST:
        faults.append(
            table_fault(
                "TABLE_TOO_MANY_LISTS",
                LISTS,
                str(len(table.lists)),
                f"一张表至多 {LISTS_MOST} 份清单。",
                f"A table has at most {LISTS_MOST} lists.",
                "拆分为多个分片或批次。",
                "Split it into parts or batches.",
            )
        )


def _no_lists() -> Refusal:
    return table_fault(
        "TABLE_NO_LISTS",
        LISTS,
        "",
        "没有“清单”表，或表中没有表头。",
        f"There is no sheet '{LISTS}', or it has no header.",
        "使用平台模板，首行为表头。",
        "Use the platform's template; the first row is the header.",
    )


def _strange_sheet(name: str) -> Refusal:
    return table_fault(
        "TABLE_STRANGE_SHEET",
        name[:31],
        name,
        f"工作表“{name[:31]}”不是模板中的表，其内容不会被读取。",
        f"The sheet '{name[:31]}' is none of the template's; what it holds would not be read.",
        f"删除该表，或改名为：{LISTS}、{'、'.join(SHEETS)}。",
        f"Delete it, or name it one of: {LISTS}, {', '.join(SHEETS)}.",
    )


def _hidden_sheet(name: str) -> Refusal:
    return table_fault(
        "TABLE_HIDDEN_SHEET",
        name,
        name,
        f"工作表“{name}”被隐藏，不能确定是否上报。",
        f"The sheet '{name}' is hidden: whether it is to be submitted cannot be told.",
        "取消隐藏，或删除该表。",
        "Unhide it, or delete it.",
    )


def _columns(sheet: Sheet, faults: list[Refusal]) -> dict[int, Column]:
    """The columns of a sheet by place; every strange or repeated header is a fault (识别表头)."""
    known = LIST_TABLE if sheet.name.strip() == LISTS else (KEY, *ROW_COLUMNS[SHEETS[sheet.name.strip()]])
    found: dict[int, Column] = {}
    for cell in sheet.rows[0]:
        column = column_named(cell.text, known)
        where = f"{sheet.name.strip()}!{letters(cell.column)}{cell.row}"
        if column is None:
            faults.append(
                table_fault(
                    "TABLE_STRANGE_COLUMN",
                    where,
                    cell.text,
                    "该列不是清单接口的字段。",
                    "The column is no field of the interface.",
                    "更正表头为模板中的列名，或删除该列。",
                    "Name it as in the template, or delete it.",
                )
            )
        elif any(other.name == column.name for other in found.values()):
            faults.append(
                table_fault(
                    "TABLE_REPEATED_COLUMN",
                    where,
                    cell.text,
                    "该列出现了两次，不能确定以哪一列为准。",
                    "The column stands twice: which one counts cannot be told.",
                    "删除多余的一列。",
                    "Delete one of them.",
                )
            )
        else:
            found[cell.column] = column
    if not any(column.name == KEY.name for column in found.values()):
        faults.append(
            table_fault(
                "TABLE_NO_KEY",
                sheet.name.strip(),
                "",
                f"“{sheet.name.strip()}”表没有结算号（setl_id）列。",
                f"The sheet '{sheet.name.strip()}' has no column setl_id.",
                "按模板补上该列；各表以结算号对应。",
                "Add it as in the template: rows belong to lists by it.",
            )
        )
    return found


def _children(
    sheet: Sheet, columns: dict[int, Column], known: set[str], faults: list[Refusal]
) -> dict[str, list[tuple[int, list[Cell]]]]:
    """Rows of a sheet by the list they belong to (按结算号归集); a row of no list is a fault, unless the template's example stands as it was."""
    found: dict[str, list[tuple[int, list[Cell]]]] = {}
    key_at = next((at for at, column in columns.items() if column.name == KEY.name), -1)
    for line in sheet.rows[1:]:
        key = next((cell.text.strip() for cell in line if cell.column == key_at), "")
        if key in known and key:
            found.setdefault(key, []).append((line[0].row, line))
        elif not _is_example(line, columns) and len(faults) < FAULTS_MOST:
            faults.append(
                table_fault(
                    "TABLE_ROW_WITHOUT_LIST",
                    f"{sheet.name.strip()}!{letters(max(key_at, 0))}{line[0].row}",
                    key,
                    "该行的结算号不在“清单”表中。",
                    f"The row's settlement id is none of the sheet '{LISTS}'.",
                    "核对结算号；各表以结算号对应。",
                    "Check it: rows belong to lists by it.",
                )
            )
    return found


def _is_example(line: list[Cell], columns: dict[int, Column]) -> bool:
    """Whether a row is the template's example, untouched (未改动的示例行): a list without surgery leaves it where it stands."""
    said = [(columns.get(cell.column), cell.text.strip()) for cell in line if cell.text.strip()]
    return all(column is not None and text == column.example for column, text in said)


def _lists(
    table: ReadTable,
    lists: Sheet,
    columns: dict[int, Column],
    children: dict[str, dict[str, list[tuple[int, list[Cell]]]]],
) -> None:
    sheets = {sheet.name.strip(): sheet for sheet in table.cells}
    named = {sheet: {at: column for at, column in enumerate_columns(table.columns[sheet], sheet)} for sheet in children}
    for line in lists.rows[1:]:
        number = line[0].row
        table.last_row = max(table.last_row, number)
        reading = _Reading()
        message = reading.row(lists, columns, line, "")
        status = message.pop(STATUS.name, "")
        if str(status).startswith(ACCEPTED_MARK):
            table.accepted_before += 1
            continue
        if not message and not reading.faults:
            continue
        if number in lists.hidden_rows:
            reading.faults.append(refusal("CELL_HIDDEN", KEY.name, str(number), row=str(number), sheet=LISTS))
        key = str(message.get(KEY.name, ""))
        for sheet, of_list in children.items():
            node = SHEETS[sheet]
            for row_no, cells in of_list.get(key, ()):
                rows = message.setdefault(node, [])
                prefix = f"{node}[{len(rows)}]"
                reading.places[prefix] = (sheet, row_no)
                inner = reading.row(sheets[sheet], named[sheet], cells, prefix + ".")
                inner.pop(KEY.name, None)
                rows.append(inner)
        for node in _SAY_NONE & {SHEETS[sheet] for sheet in children}:
            message.setdefault(node, [])
        table.lists.append(TableRow(number, message, tuple(reading.faults), frozenset(reading.unread), reading.places))


_SAY_NONE = frozenset({"icuinfo"})
"""Nodes of which a sheet without a row for a list says that there was none (无行即为没有的多行表)."""


def enumerate_columns(places: dict[str, int], sheet: str) -> Iterable[tuple[int, Column]]:
    """Column by place of a sheet of rows (多行表的列)."""
    known = {column.name: column for column in (KEY, *ROW_COLUMNS[SHEETS[sheet]])}
    return [(at, known[name]) for name, at in places.items()]


@dataclass(slots=True)
class _Reading:
    """The cells of one list as fields (逐格读取)."""

    faults: list[Refusal] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)

    def row(self, sheet: Sheet, columns: dict[int, Column], line: Sequence[Cell], prefix: str) -> dict[str, Any]:
        """Fields of a row (一行的字段), nested where the header names a path."""
        message: dict[str, Any] = {}
        flat: dict[tuple[str, int], dict[str, Any]] = {}
        merged = _merged_at(sheet, line[0].row) if sheet.merged else {}
        present = {cell.column for cell in line}
        for at, area in merged.items():
            column = columns.get(at)
            if column is not None and (at not in present):
                where = f"{sheet.name.strip()}!{letters(at)}{line[0].row}"
                self._fault("CELL_MERGED", prefix + column.name, area, cell=where, area=area)
        for cell in line:
            column = columns.get(cell.column)
            if column is None:
                continue
            where = f"{sheet.name.strip()}!{letters(cell.column)}{cell.row}"
            path = prefix + column.name
            if cell.column in merged:
                self._fault("CELL_MERGED", path, merged[cell.column], cell=where, area=merged[cell.column])
                continue
            value = self._value(cell, column, path, where)
            nested = split_path(column.name) if not prefix else None
            if nested is not None:
                inner = flat.setdefault((nested[0], nested[1]), {})
                if value is not None:
                    inner[nested[2]] = value
            elif value is not None:
                message[column.name] = value
        for (node, place), inner in sorted(flat.items()):
            rows = message.setdefault(node, [])
            while len(rows) < place:
                rows.append({})
            rows.append(inner)
        return message

    def _fault(self, code: str, path: str, saw: str, /, **slots: str) -> None:
        self.faults.append(refusal(code, path, saw, **slots))
        self.unread.add(path)

    def _value(self, cell: Cell, column: Column, path: str, where: str) -> str | int | None:
        """The value of a cell in canonical form, or None once its fault is named (单元格取值)."""
        text = cell.text.strip()
        saw = "***" if column.name in _PERSONAL else text[:40]
        match cell.kind:
            case "formula":
                return self._none("CELL_FORMULA", path, saw, where)
            case "error":
                return self._none("CELL_ERROR_VALUE", path, saw, where)
            case "date1904":
                return self._none("CELL_DATE_1904", path, saw, where)
            case "number":
                return self._number(text, column, path, where, saw)
        if column.kind is not Kind.WORDS:
            if _FULL_WIDTH.search(text):
                return self._none("CELL_FULL_WIDTH", path, saw, where)
            if _EXPONENT.fullmatch(text):
                return self._none("CELL_DIGITS_LOST", path, saw, where)
        if text != cell.text:
            self.faults.append(refusal("CELL_SPACES", path, saw, cell=where))
        if column.kind is Kind.WHOLE and _PLAIN.fullmatch(text):
            return int(text)
        return text

    def _number(self, text: str, column: Column, path: str, where: str, saw: str) -> str | int | None:
        try:
            number = Decimal(text)
        except InvalidOperation:
            return self._none("CELL_ERROR_VALUE", path, saw, where)
        whole = number == number.to_integral_value()
        digits = len(number.as_tuple().digits) + max(int(number.as_tuple().exponent), 0)
        match column.kind:
            case Kind.AMOUNT:
                cents = _exact_cents(number)
                if cents is None:
                    return self._none("CELL_AMOUNT_NOT_EXACT", path, saw, where)
                return cents
            case Kind.DAY:
                return self._none("CELL_NOT_A_DATE", path, saw, where)
            case Kind.WHOLE | Kind.CHOICE if whole and 0 <= number < 10**6:
                return int(number) if column.kind is Kind.WHOLE else str(int(number))
            case Kind.WORDS:
                return text
        code = "CELL_DIGITS_LOST" if whole and digits >= _DIGITS_KEPT else "CELL_NUMBER_NOT_TEXT"
        return self._none(code, path, saw, where)

    def _none(self, code: str, path: str, saw: str, where: str) -> str | int | None:
        self._fault(code, path, saw, cell=where, saw=saw)
        return None


def _exact_cents(number: Decimal) -> str | None:
    """Yuan of an amount stored as a number (数字金额): taken when 15 digits, all that a workbook keeps, show at most two decimals."""
    if not number.is_finite() or abs(number) >= 10**13:
        return None
    shown = Decimal(f"{number:.{_DIGITS_KEPT - 1}e}")
    cents = shown.quantize(Decimal("0.01"))
    return f"{cents:f}" if cents == shown else None


def _merged_at(sheet: Sheet, row: int) -> dict[int, str]:
    """Columns of a row that lie in a merged area (行内的合并单元格)."""
    return {
        column: area
        for top, left, bottom, right, area in sheet.merged
        if top <= row <= bottom
        for column in range(left, min(right, left + 200) + 1)
    }


def cell_name(sheet: str, row: int, column: int) -> str:
    """The name of a cell (单元格名称), such as 清单!C5."""
    return f"{sheet}!{letters(column)}{row}"
