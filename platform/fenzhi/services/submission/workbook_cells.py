"""Read the cells of an xlsx workbook (读取工作簿单元格), as they are stored, and refuse what is dangerous before parsing it.

The zip's own directory is checked first: number of entries, their sizes and the total. Then every part is inflated under a cap, no
document type is let through, and cells are counted. Numbers keep the text they are stored with, so that nothing is rounded on the way.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from io import BytesIO
from typing import NamedTuple
from xml.parsers import expat

from fenzhi.rules.refusals import FenzhiError

INFLATED_MOST = 64 << 20
"""Bytes of all entries of a workbook together (解压后字节上限)."""
ENTRIES_MOST = 2_000
CELLS_MOST = 2_000_000
SHEETS_MOST = 50
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BUILT_IN_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_NO_LETTERS = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_LETTERS = re.compile("[A-Z]{1,3}", re.ASCII)
_PLACE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})", re.ASCII)
_DRAWN = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


class WorkbookRefused(FenzhiError):
    """The file is no workbook the platform may open (工作簿不予读取)."""

    code = "WORKBOOK_UNREADABLE"
    http_status = 422


class WorkbookTooLarge(WorkbookRefused):
    """The workbook is larger than it says, or than one may be (工作簿过大)."""

    code = "WORKBOOK_TOO_LARGE"
    http_status = 413


class Cell(NamedTuple):
    """A cell that is not blank (单元格). `text`: as stored; for a date, as ISO."""

    row: int
    column: int
    """Counted from 0."""
    kind: str
    """text, number, date, date1904, boolean, error or formula."""
    text: str


@dataclass(slots=True)
class Sheet:
    """One sheet (工作表)."""

    name: str
    hidden: bool = False
    rows: list[list[Cell]] = field(default_factory=list)
    """Rows with a cell that is not blank, in order."""
    merged: list[tuple[int, int, int, int, str]] = field(default_factory=list)
    """First row, first column, last row, last column, and as written."""
    hidden_rows: set[int] = field(default_factory=set)


def looks_encrypted_or_old(content: bytes) -> bool:
    """An OLE file: a workbook with a password, or one of Excel 97 to 2003 (加密工作簿或旧版 xls)."""
    return content.startswith(_OLE)


def checked_archive(content: bytes) -> zipfile.ZipFile:
    """The archive of a workbook, once its directory shows nothing dangerous (检查压缩包). Raises: WorkbookRefused."""
    if looks_encrypted_or_old(content):
        raise WorkbookRefused(
            "文件有打开密码，或是旧版 xls 格式。",
            "The file has a password, or is of the old xls format.",
            code="WORKBOOK_PASSWORD",
            hint="取消密码，另存为 xlsx 后上传 / remove the password and save it as xlsx",
        )
    try:
        archive = zipfile.ZipFile(BytesIO(content))
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as exc:
        raise _broken() from exc
    if len(entries) > ENTRIES_MOST or sum(entry.file_size for entry in entries) > INFLATED_MOST:
        raise _too_large()
    if any(entry.flag_bits & 0x1 for entry in entries):
        raise WorkbookRefused("压缩包已加密。", "The archive is encrypted.", code="WORKBOOK_PASSWORD")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise _broken()
    if any("vbaproject" in name.lower() for name in names):
        raise _macros()
    spent = 0
    for entry in entries:
        if not entry.filename.lower().endswith((".xml", ".rels")):
            continue
        text = _inflated(archive, entry.filename, INFLATED_MOST - spent)
        spent += len(text)
        if text[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in text[:64]:
            raise _broken()
        if _DRAWN.search(text[:4096].decode("utf-8", "replace")):
            raise WorkbookRefused(
                "文件含有文档类型定义，不予读取。",
                "The file declares a document type and is not read.",
                code="WORKBOOK_DOCTYPE",
            )
        if entry.filename == "[Content_Types].xml" and b"macroEnabled" in text:
            raise _macros()
    return archive


def _macros() -> WorkbookRefused:
    return WorkbookRefused(
        "工作簿含有宏，不予读取。",
        "The workbook holds macros and is not read.",
        code="WORKBOOK_MACROS",
        hint="另存为不含宏的 xlsx 后上传 / save it as xlsx without macros",
    )


def _too_large() -> WorkbookTooLarge:
    return WorkbookTooLarge(
        f"工作簿解压后超过 {INFLATED_MOST} 字节、{CELLS_MOST} 个单元格或 {SHEETS_MOST} 张表。",
        f"The workbook inflates beyond {INFLATED_MOST} bytes, {CELLS_MOST} cells or {SHEETS_MOST} sheets.",
        hint="拆分后上传 / split it",
    )


def _broken() -> WorkbookRefused:
    return WorkbookRefused(
        "文件不是完整的 xlsx 工作簿。",
        "The file is no whole xlsx workbook.",
        hint="用表格软件打开，另存为 xlsx 后重传 / open it, save it as xlsx and send it again",
    )


def _inflated(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    try:
        with archive.open(name) as stream:
            found = stream.read(most + 1)
    except KeyError as exc:
        raise _broken() from exc
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as exc:
        raise _broken() from exc
    if len(found) > most:
        raise _too_large()
    return found


_Start = Callable[[str, dict[str, str]], None]
_End = Callable[[str], None]


def _parse(content: bytes, start: _Start, end: _End | None = None, text: Callable[[str], None] | None = None) -> None:
    """Parse a part of the workbook (解析部件). Names come without their prefix; nearly every workbook has none to take off."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    if re.search(rb"<\w+:(?:worksheet|sst|styleSheet|workbook|Relationships)\b", content[:4096]):
        parser.StartElementHandler = lambda name, attributes: start(name.rpartition(":")[2], attributes)
        parser.EndElementHandler = (lambda name: end(name.rpartition(":")[2])) if end is not None else None
    else:
        parser.StartElementHandler = start
        parser.EndElementHandler = end
    parser.CharacterDataHandler = text

    def no_document_type(*_: object) -> None:
        raise _broken()

    parser.StartDoctypeDeclHandler = no_document_type
    try:
        parser.Parse(content, True)
    except expat.ExpatError as exc:
        raise _broken() from exc


def read_workbook(content: bytes) -> list[Sheet]:
    """Every sheet of a workbook (读取工作簿). Raises: WorkbookRefused, WorkbookTooLarge."""
    archive = checked_archive(content)
    book: list[tuple[str, str, bool]] = []
    is_1904 = False

    def seen(name: str, attributes: dict[str, str]) -> None:
        nonlocal is_1904
        if name == "sheet":
            hidden = attributes.get("state", "visible") != "visible"
            book.append((attributes.get("name", ""), _relation(attributes), hidden))
        elif name == "workbookPr":
            is_1904 = attributes.get("date1904", "0") in ("1", "true", "on")

    _parse(_inflated(archive, "xl/workbook.xml", INFLATED_MOST), seen)
    targets: dict[str, str] = {}
    _parse(
        _inflated(archive, "xl/_rels/workbook.xml.rels", INFLATED_MOST),
        lambda name, attributes: (
            targets.__setitem__(attributes.get("Id", ""), attributes.get("Target", ""))
            if name == "Relationship"
            else None
        ),
    )
    if len(book) > SHEETS_MOST:
        raise _too_large()
    names = set(archive.namelist())
    shared = _shared(archive) if "xl/sharedStrings.xml" in names else []
    dates = _date_styles(archive) if "xl/styles.xml" in names else frozenset[int]()
    found: list[Sheet] = []
    left = CELLS_MOST
    for title, relation, hidden in book:
        target = targets.get(relation, "")
        path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        if "worksheets/" not in path:
            continue  # A sheet that is a chart holds no cells.
        sheet = Sheet(title, hidden)
        left -= _read_sheet(sheet, _inflated(archive, path, INFLATED_MOST), shared, dates, is_1904, left)
        found.append(sheet)
    if not found:
        raise _broken()
    return found


def _relation(attributes: dict[str, str]) -> str:
    return next((value for key, value in attributes.items() if key.endswith(":id")), "")


def _shared(archive: zipfile.ZipFile) -> list[str]:
    strings: list[str] = []
    held: list[str] = []
    state = {"text": False, "phonetic": False}

    def start(name: str, _: dict[str, str]) -> None:
        if name == "si":
            held.clear()
        elif name == "rPh":
            state["phonetic"] = True
        elif name == "t":
            state["text"] = not state["phonetic"]

    def end(name: str) -> None:
        if name == "t":
            state["text"] = False
        elif name == "rPh":
            state["phonetic"] = False
        elif name == "si":
            strings.append("".join(held))

    def text(said: str) -> None:
        if state["text"]:
            held.append(said)

    _parse(_inflated(archive, "xl/sharedStrings.xml", INFLATED_MOST), start, end, text)
    return strings


def _date_styles(archive: zipfile.ZipFile) -> frozenset[int]:
    """Places of the cell styles that show a date (日期样式)."""
    own: set[int] = set()
    styles: list[int] = []
    inside = {"cellXfs": False}

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "numFmt" and re.search("[ymdhYMDH]", _NO_LETTERS.sub("", attributes.get("formatCode", ""))):
            own.add(_whole(attributes.get("numFmtId", "")))
        elif name == "cellXfs":
            inside["cellXfs"] = True
        elif name == "xf" and inside["cellXfs"]:
            styles.append(_whole(attributes.get("numFmtId", "")))

    def end(name: str) -> None:
        if name == "cellXfs":
            inside["cellXfs"] = False

    _parse(_inflated(archive, "xl/styles.xml", INFLATED_MOST), start, end)
    return frozenset(at for at, kind in enumerate(styles) if kind in _BUILT_IN_DATES or kind in own)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def _read_sheet(
    sheet: Sheet, content: bytes, shared: list[str], dates: frozenset[int], is_1904: bool, most: int
) -> int:
    cells, row, column, style = 0, 0, -1, 0
    kind = "n"
    formula = take = phonetic = False
    line: list[Cell] = []
    held: list[str] = []
    columns: dict[str, int] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal cells, row, column, style, kind, formula, take, phonetic
        if name == "c":
            cells += 1
            if cells > most:
                raise _too_large()
            place = attributes.get("r", "").rstrip("0123456789")
            found = columns.get(place)
            if found is None:
                found = columns[place] = column_number(place) if _LETTERS.fullmatch(place) else -1
            column = found if found >= 0 else column + 1
            kind, style = attributes.get("t", "n"), _whole(attributes.get("s", "0"))
            formula = take = phonetic = False
            held.clear()
        elif name == "v" or name == "t":
            take = not phonetic
        elif name == "f":
            formula = True
        elif name == "rPh":
            phonetic = True
        elif name == "row":
            stated = _whole(attributes.get("r", ""))
            row, column = stated if stated > row else row + 1, -1
            line.clear()
            if attributes.get("hidden", "0") in ("1", "true"):
                sheet.hidden_rows.add(row)
        elif name == "mergeCell":
            _note_merged(sheet, attributes.get("ref", ""))

    def end(name: str) -> None:
        nonlocal take, phonetic
        if name == "v" or name == "t":
            take = False
        elif name == "c":
            found = None
            if held or formula:
                found = _cell(row, column, kind, style, formula, "".join(held), shared, dates, is_1904)
            if found is not None:
                line.append(found)
        elif name == "rPh":
            phonetic = False
        elif name == "row" and line:
            sheet.rows.append(list(line))

    def text(said: str) -> None:
        if take:
            held.append(said)

    _parse(content, start, end, text)
    return cells


def column_number(said: str) -> int:
    """The number of a column, from 0 (列字母转列号).

    >>> column_number("A"), column_number("AA")
    (0, 26)
    """
    number = 0
    for letter in said:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _note_merged(sheet: Sheet, area: str) -> None:
    first, _, last = area.partition(":")
    top, bottom = _PLACE.fullmatch(first), _PLACE.fullmatch(last or first)
    if top and bottom and len(sheet.merged) < 10_000:
        sheet.merged.append((int(top[2]), column_number(top[1]), int(bottom[2]), column_number(bottom[1]), area))


def _cell(
    row: int,
    column: int,
    kind: str,
    style: int,
    formula: bool,
    said: str,
    shared: list[str],
    dates: frozenset[int],
    is_1904: bool,
) -> Cell | None:
    if formula:
        return Cell(row, column, "formula", said[:40])
    if kind == "s":
        at = _whole(said.strip()) if said.strip() else len(shared)
        if at >= len(shared):
            raise _broken()
        said, kind = shared[at], "text"
    elif kind in ("str", "inlineStr"):
        kind = "text"
    elif kind == "b":
        kind = "boolean"
    elif kind == "e":
        kind = "error"
    elif kind == "d":
        kind, said = "date", said.replace("T", " ")
    else:
        said = said.strip()
        kind = ("date1904" if is_1904 else "date") if style in dates else "number"
        day = _iso(said) if kind == "date" else None
        kind, said = (kind, day) if day is not None else ("number" if kind == "date" else kind, said)
    if not said.strip():
        return None
    return Cell(row, column, kind, said)


def _iso(serial: str) -> str | None:
    """The day, and the time where there is one, of a date serial of the 1900 system (日期序列值)."""
    try:
        value = Decimal(serial)
    except InvalidOperation:
        return None
    if not value.is_finite() or not 61 <= value < 2_958_466:
        return None
    days = int(value)
    seconds = int(((value - days) * 86_400).to_integral_value())
    moment = dt.datetime(1899, 12, 30, tzinfo=dt.UTC) + dt.timedelta(days=days, seconds=seconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S") if seconds else moment.date().isoformat()
