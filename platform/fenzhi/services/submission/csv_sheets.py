"""CSV files as sheets (CSV 转工作表): the encoding is found, never guessed at; quotes that do not pair are refused."""

from __future__ import annotations

import csv
import io

from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.services.submission.table_columns import LISTS
from fenzhi.services.submission.workbook_cells import Cell, Sheet


def table_fault(code: str, where: str, saw: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> Refusal:
    """What a table as such gets wrong (表格差错)."""
    return Refusal(code, where, saw[:60], zh, en, remedy_zh, remedy_en)


def detected_charset(content: bytes) -> str | None:
    """The encoding of a CSV file (检测编码): UTF-8 with or without mark, else GB18030, else None."""
    for charset, name in (("utf-8-sig", "UTF-8"), ("gb18030", "GB18030")):
        try:
            content.decode(charset)
        except UnicodeDecodeError:
            continue
        return "UTF-8 BOM" if name == "UTF-8" and content.startswith(b"\xef\xbb\xbf") else name
    return None


def csv_sheet(content: bytes, charset: str, name: str = LISTS) -> Sheet:
    """A CSV file as a sheet (CSV 转工作表). Raises: DataRefused for an unknown encoding or broken quotes."""
    where = f"{name}!A1"
    if not charset:
        fault = table_fault(
            "CSV_ENCODING",
            where,
            content[:8].hex(" "),
            "CSV 文件既不是 UTF-8，也不是 GB18030。",
            "The CSV file is neither UTF-8 nor GB18030.",
            "另存为“CSV UTF-8”后上传。",
            "Save it as CSV UTF-8 and upload it again.",
        )
        raise DataRefused((fault,))
    text = content.decode("gb18030" if charset == "GB18030" else "utf-8-sig")
    sheet = Sheet(name)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for number, values in enumerate(reader, start=1):
            line = [
                Cell(number, place, "formula" if said.startswith("=") else "text", said)
                for place, said in enumerate(values)
                if said.strip()
            ]
            if line:
                sheet.rows.append(line)
    except csv.Error as exc:
        fault = table_fault(
            "CSV_QUOTES",
            f"line {reader.line_num}",
            str(exc),
            f"第 {reader.line_num} 行的引号不成对或含有非法字符。",
            f"Line {reader.line_num} has unpaired quotes or characters CSV does not know.",
            "用表格软件重新导出 CSV。",
            "Export the file again.",
        )
        raise DataRefused((fault,)) from exc
    return sheet
