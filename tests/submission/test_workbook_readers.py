"""The quick reader of plain rows and the reader of every element say the same of the same workbook."""

from __future__ import annotations

import io
import random
import zipfile

import openpyxl
import pytest
import xlsxwriter

from fenzhi.services.submission import workbook_cells
from fenzhi.services.submission.workbook_cells import Sheet, WorkbookRefused, read_workbook

WORDS = [
    "",
    " ",
    "06.3100",
    "1E10",
    "123456789012345678",
    "甲&乙<丙>\"'",
    "a\nb",
    "=1+1",
    " x ",
    "\t",
    "0",
    "1.50",
    "café",
]


def said(content: bytes) -> list[Sheet]:
    return read_workbook(content)


def both(content: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Sheet], list[Sheet]]:
    quick = said(content)
    with monkeypatch.context() as patch:
        patch.setattr(workbook_cells, "_plain_rows", lambda *_: None)
        slow = said(content)
    return quick, slow


def by_xlsxwriter(seed: int, *, inline: bool) -> bytes:
    chance = random.Random(seed)
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"constant_memory": inline, "strings_to_formulas": False})
    sheet = book.add_worksheet("甲")
    dated = book.add_format({"num_format": "yyyy-mm-dd"})
    for row in range(40):
        if chance.random() < 0.1:
            sheet.set_row(row, None, None, {"hidden": True})
        for column in range(8):
            kind = chance.randrange(6)
            if kind < 3:
                sheet.write_string(row, column, chance.choice(WORDS))
            elif kind == 3:
                sheet.write_number(row, column, chance.choice([0, 1.5, 205.25, 1e15, -3, 45000]))
            elif kind == 4:
                sheet.write_number(row, column, 45000 + chance.randrange(900), dated)
            elif chance.random() < 0.3:
                sheet.write_boolean(row, column, True)
    sheet.merge_range(50, 0, 51, 1, "并")
    book.close()
    return out.getvalue()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("inline", [True, False])
def test_both_readers_say_the_same(seed: int, inline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, slow = both(by_xlsxwriter(seed, inline=inline), monkeypatch)
    assert quick == slow
    assert sum(len(line) for line in quick[0].rows) > 100


def test_both_read_what_openpyxl_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in range(1, 30):
        for column, word in enumerate(WORDS, start=1):
            cell = sheet.cell(row, column, word if word.strip() != "=1+1" else "一加一")
            cell.data_type = "s" if word.startswith("=") else cell.data_type
    sheet.cell(31, 1, 12.5)
    sheet.row_dimensions[3].hidden = True
    out = io.BytesIO()
    book.save(out)
    quick, slow = both(out.getvalue(), monkeypatch)
    assert quick == slow and quick[0].hidden_rows == {3}


def rewritten(content: bytes, change: tuple[bytes, bytes]) -> bytes:
    """The workbook with some bytes of its first sheet replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                assert change[0] in part
                part = part.replace(*change, 1)
            new.writestr(name, part)
    return out.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        (b"<sheetData>", b"<sheetData><!-- note -->"),
        (b"</row>", b"<x/></row>"),
        (b'<row r="1"', b'<row  r="1"'),
        (b"<v>", b"<f>1+1</f><v>"),
        (b"<v>", b"<v>&#48;"),
        (b"</v>", b"&lt;</v>"),
    ],
)
def test_whatever_is_unusual_is_read_element_by_element(
    change: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = rewritten(by_xlsxwriter(1, inline=True), change)
    quick, slow = both(content, monkeypatch)
    assert quick == slow


@pytest.mark.parametrize("change", [(b"</v>", b"&nope;</v>"), (b"</row>", b""), (b"<v>", b"<v>\x01")])
def test_what_is_no_xml_is_refused_by_both(change: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    content = rewritten(by_xlsxwriter(1, inline=True), change)
    with pytest.raises(WorkbookRefused):
        said(content)
    monkeypatch.setattr(workbook_cells, "_plain_rows", lambda *_: None)
    with pytest.raises(WorkbookRefused):
        said(content)
