"""Read the cells of an xlsx workbook (读取工作簿单元格), as they are stored.

Every part is inflated under a cap and cells are counted. Numbers keep the text they are stored with, so that nothing is rounded
on the way.
"""

from __future__ import annotations

import datetime as dt
import gc
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import NamedTuple
from xml.parsers import expat

from fenzhi.services.submission.workbook_archive import (
    CELLS_MOST,
    INFLATED_MOST,
    SHEETS_MOST,
    WorkbookRefused,
    WorkbookTooLarge,
    broken,
    checked_archive,
    inflated,
    looks_encrypted_or_old,
    too_large,
)

__all__ = [
    "Cell",
    "Sheet",
    "WorkbookRefused",
    "WorkbookTooLarge",
    "checked_archive",
    "column_number",
    "looks_encrypted_or_old",
    "read_workbook",
]

_BUILT_IN_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_NO_LETTERS = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_LETTERS = re.compile("[A-Z]{1,3}", re.ASCII)
_PLACE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})", re.ASCII)


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
        raise broken()

    parser.StartDoctypeDeclHandler = no_document_type
    try:
        parser.Parse(content, True)
    except expat.ExpatError as exc:
        raise broken() from exc


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """No search for cycles meanwhile (暂停循环回收): cells make none, and a million of them would be walked again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_workbook(content: bytes, most: int = INFLATED_MOST) -> list[Sheet]:
    """Every sheet of a workbook (读取工作簿), of at most so many bytes inflated. Raises: WorkbookRefused, WorkbookTooLarge."""
    with _collector_at_rest():
        return _read_workbook(content, most)


def _read_workbook(content: bytes, most: int) -> list[Sheet]:
    archive = checked_archive(content, most)
    book: list[tuple[str, str, bool]] = []
    is_1904 = False

    def seen(name: str, attributes: dict[str, str]) -> None:
        nonlocal is_1904
        if name == "sheet":
            hidden = attributes.get("state", "visible") != "visible"
            book.append((attributes.get("name", ""), _relation(attributes), hidden))
        elif name == "workbookPr":
            is_1904 = attributes.get("date1904", "0") in ("1", "true", "on")

    _parse(inflated(archive, "xl/workbook.xml", INFLATED_MOST), seen)
    targets: dict[str, str] = {}
    _parse(
        inflated(archive, "xl/_rels/workbook.xml.rels", INFLATED_MOST),
        lambda name, attributes: (
            targets.__setitem__(attributes.get("Id", ""), attributes.get("Target", ""))
            if name == "Relationship"
            else None
        ),
    )
    if len(book) > SHEETS_MOST:
        raise too_large(f"xl/workbook.xml: {len(book)}")
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
        left -= _read_sheet(sheet, inflated(archive, path, most), shared, dates, is_1904, left)
        found.append(sheet)
    if not found:
        raise broken()
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

    _parse(inflated(archive, "xl/sharedStrings.xml", INFLATED_MOST), start, end, text)
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

    _parse(inflated(archive, "xl/styles.xml", INFLATED_MOST), start, end)
    return frozenset(at for at, kind in enumerate(styles) if kind in _BUILT_IN_DATES or kind in own)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


_ROWS_AT_ONCE = 1 << 20
"""Bytes of rows read together (一次读取的字节)."""
_PLAIN_CELL = re.compile(
    r'<c r="([A-Z]{1,3})[0-9]{1,7}"(?: s="([0-9]{1,8})")?(?: t="([a-zA-Z]{1,9})")?'
    r'(?:/>|></c>|><v>([^<]*)</v></c>|><is><t(?: xml:space="preserve")?>([^<]*)</t></is></c>)'
    r'|<row r="([0-9]{1,7})"([^>]*)>|(</row>)|(<)'
)
"""A cell or the tags of a row as nearly every program writes them; the last group is whatever else there is."""
_ENTITY = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));|(&)")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def _plain_rows(
    sheet: Sheet, content: bytes, shared: list[str], dates: frozenset[int], is_1904: bool, most: int
) -> tuple[int, bytes] | None:
    """The rows of a sheet written the way nearly all are (常见写法的行), many at a time by one expression.

    Answers the number of cells and what the part says besides its rows; None where there is a formula, a rich text, a comment
    or anything else that the expression does not take: then every element is read by itself. Both read the same.
    """
    begin, end = content.find(b"<sheetData>"), content.rfind(b"</sheetData>")
    if begin < 0 or end < begin or content.find(b"<!") >= 0 or content.find(b"<?", 5) >= 0:
        return None
    cells, row, open_row = 0, 0, False
    rows: list[list[Cell]] = []
    hidden: set[int] = set()
    line: list[Cell] = []
    columns: dict[str, int] = {}
    at = begin + len(b"<sheetData>")
    while at < end:
        to = content.rfind(b"</row>", at, min(at + _ROWS_AT_ONCE, end))
        to = (to if to >= 0 else content.find(b"</row>", at, end)) + len(b"</row>")
        if to < len(b"</row>"):
            return None
        try:
            text = content[at:to].decode()
        except UnicodeDecodeError as exc:
            raise broken() from exc
        at = to
        if _NOT_XML.search(text):
            return None
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        for place, style, kind, value, words, number, attributes, closed, strange in _PLAIN_CELL.findall(text):
            if strange:
                return None
            if place:
                cells += 1
                said = value or words
                if not said:
                    continue
                if "&" in said:
                    known = _unescaped(said)
                    if known is None:
                        return None
                    said = known
                column = columns.get(place)
                if column is None:
                    column = columns[place] = column_number(place)
                if words:
                    if kind != "inlineStr":
                        return None
                    if said.strip():
                        line.append(Cell(row, column, "text", said))
                elif (
                    found := _cell(row, column, kind or "n", int(style or 0), False, said, shared, dates, is_1904)
                ) is not None:
                    line.append(found)
            elif closed:
                if not open_row:
                    return None
                open_row = False
                if line:
                    rows.append(line)
                    line = []
            else:
                if open_row or int(number) <= row:
                    return None
                row, open_row = int(number), True
                if ' hidden="' in attributes and re.search(' hidden="(?:1|true)"', attributes):
                    hidden.add(row)
        if cells > most:
            raise too_large(f"{sheet.name}!{row}")
    sheet.rows, sheet.hidden_rows = rows, hidden
    return cells, content[:begin] + b"<sheetData>" + content[end:]


def _unescaped(said: str) -> str | None:
    """Text with its entities as characters (实体还原), or None where one is unknown or no character of a workbook."""
    sound = True

    def one(found: re.Match[str]) -> str:
        nonlocal sound
        number = int(found[2]) if found[2] else int(found[3], 16) if found[3] else 32
        if found[4] or not (number in (9, 10, 13) or 32 <= number < 0xD800 or 0xE000 <= number < 0x110000):
            sound = False
        return _ENTITIES[found[1]] if found[1] else chr(number) if sound else ""

    said = _ENTITY.sub(one, said)
    return said if sound else None


def _read_sheet(
    sheet: Sheet, content: bytes, shared: list[str], dates: frozenset[int], is_1904: bool, most: int
) -> int:
    found_plain = _plain_rows(sheet, content, shared, dates, is_1904, most)
    if found_plain is not None:
        cells, content = found_plain
    else:
        cells = 0
    row, column, style = 0, -1, 0
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
                raise too_large(f"{sheet.name}!{row}")
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
            raise broken()
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
