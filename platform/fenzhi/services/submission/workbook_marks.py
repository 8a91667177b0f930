"""Marks in a sender's own workbook (工作簿批注): red and yellow cells with comments, everything else as it was sent."""

from __future__ import annotations

from io import BytesIO
from zipfile import BadZipFile

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, Cell
from openpyxl.comments import Comment
from openpyxl.styles import PatternFill
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.worksheet import Worksheet

from fenzhi.services.submission.workbook_archive import WorkbookRefused
from fenzhi.services.submission.workbook_cells import Sheet

AUTHOR = "分值 Fenzhi"
RED = "FFFFC7CE"
YELLOW = "FFFFEB9C"


def opened(content: bytes, format_: str, first: Sheet, title: str) -> Workbook:
    """A table ready to be marked (打开待批注的工作簿): the workbook itself, or a new one with the text of a CSV file.

    Raises: WorkbookRefused.
    """
    if format_ == "xlsx":
        try:
            return load_workbook(BytesIO(content))
        except (InvalidFileException, BadZipFile, KeyError, ValueError, TypeError, IndexError, AttributeError) as exc:
            raise WorkbookRefused(
                "工作簿的格式信息不完整，不能批注；其内容已读取。",
                "The workbook's formatting is not whole, so it cannot be marked; what it says was read.",
                code="WORKBOOK_NOT_MARKED",
                hint="下载 verdicts.ndjson / download verdicts.ndjson",
            ) from exc
    book = Workbook()
    sheet = book.active
    if sheet is None:
        raise WorkbookRefused("无法新建工作表。", "No sheet could be made.")
    sheet.title = title
    for line in first.rows:
        for found in line:
            write_text(sheet, found.row, found.column + 1, found.text)
    return book


def write_text(sheet: Worksheet, row: int, column: int, text: str) -> Cell:
    """Text as text: nothing in it becomes a formula (按文本写入)."""
    cell = sheet.cell(row, column)
    if not isinstance(cell, Cell):
        for area in [str(area) for area in sheet.merged_cells.ranges if cell.coordinate in area]:
            sheet.unmerge_cells(area)
        cell = sheet.cell(row, column)
    assert isinstance(cell, Cell), "a cell outside merged areas"
    cell.value = ILLEGAL_CHARACTERS_RE.sub("\ufffd", text)[:32_000]
    cell.data_type = "s"
    cell.number_format = "@"
    return cell


def take_marks_off(book: Workbook, results: str) -> None:
    """Marks and the sheet of results of an earlier round taken away (去除上一轮批注)."""
    if results in book.sheetnames:
        del book[results]
    for sheet in book.worksheets:
        for line in sheet.iter_rows():
            for cell in line:
                if cell.comment is not None and cell.comment.author == AUTHOR:
                    cell.comment = None
                    cell.fill = PatternFill()


def mark_cell(cell: Cell, said: str, findings: int, *, is_error: bool) -> None:
    """A cell red or yellow, with what was found as its comment (标注单元格); its font, border and format stay."""
    cell.fill = PatternFill("solid", fgColor=RED if is_error else YELLOW)
    comment = Comment(ILLEGAL_CHARACTERS_RE.sub("\ufffd", said)[:4_000], AUTHOR)
    comment.width, comment.height = 420, min(60 + 60 * findings, 400)
    cell.comment = comment
