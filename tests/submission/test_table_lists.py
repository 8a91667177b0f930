"""Tables of lists: what a cell loses is named, what a table as such gets wrong is refused, bombs are not opened."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest
from openpyxl.workbook import Workbook

from fenzhi.rules.refusals import DataRefused
from fenzhi.services.submission.part_formats import FormatDiffers, received_format, rows_of_part
from fenzhi.services.submission.table_lists import looks_like_table, read_table, table_rows
from fenzhi.services.submission.template_workbook import template_workbook
from fenzhi.services.submission.workbook_cells import WorkbookRefused, WorkbookTooLarge, read_workbook

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def changed(change: Callable[[Workbook], Any]) -> bytes:
    """The template with its example row, after a change."""
    book = openpyxl.load_workbook(io.BytesIO(template_workbook()))
    change(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def at(book: Workbook, sheet: str, name: str, row: int = 2) -> Any:
    """The cell of a field."""
    found = next(cell for cell in book[sheet][1] if str(cell.value).endswith(f" {name}"))
    return book[sheet].cell(row, found.column)


def put(sheet: str, name: str, value: object, row: int = 2) -> Callable[[Workbook], None]:
    def change(book: Workbook) -> None:
        at(book, sheet, name, row).value = value

    return change


def found(content: bytes) -> list[tuple[str, str]]:
    return [(fault.code, fault.where) for row in table_rows(read_table(content)) for fault in row.faults]


def faults_of(content: bytes) -> list[tuple[str, str]]:
    with pytest.raises(DataRefused) as refused:
        read_table(content)
    return [(fault.code, fault.where) for fault in refused.value.refusals]


def test_the_template_is_a_table_whose_example_reads_without_a_fault() -> None:
    content = template_workbook()
    assert content == template_workbook()
    assert looks_like_table(content) == "xlsx"
    (row,) = table_rows(read_table(content))
    given = row.settlement_list
    assert (row.row_no, row.faults) == (2, ())
    assert given is not None
    assert (given.setl_id, given.total_fen, given.cash_fen) == ("S202501090001", 2706800, 106800)
    assert [(one.code, one.principal) for one in given.diagnoses or ()] == [("I63.900", True)]
    assert [(one.fund_pay_type, one.amount_fen) for one in given.fund_payments or ()] == [("310100", 2600000)]
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert book.sheetnames == ["清单", "诊断", "手术操作", "支付", "费用", "重症监护", "填写说明"]
    assert {cell.number_format for cell in book["清单"][2] if cell.value} == {"@"}
    assert {str(one.sqref).split(":")[0][:-1] for one in book["清单"].data_validations.dataValidation} == {
        at(book, "清单", name).column_letter for name in ("insutype", "gend", "dscg_way")
    }


@pytest.mark.parametrize(
    ("sheet", "name", "value", "code", "path"),
    [
        ("清单", "certno", 5.1e17, "CELL_DIGITS_LOST", "certno"),
        ("清单", "psn_no", "5.1E+17", "CELL_DIGITS_LOST", "psn_no"),
        ("清单", "medcasno", 1234, "CELL_NUMBER_NOT_TEXT", "medcasno"),
        ("费用", "med_chrgitm", 9, "CELL_NUMBER_NOT_TEXT", "iteminfo[0].med_chrgitm"),
        ("手术操作", "oprn_oprt_code", 88.4101, "CELL_NUMBER_NOT_TEXT", "oprninfo[0].oprn_oprt_code"),
        ("清单", "medfee_sumamt", "=1+1", "CELL_FORMULA", "medfee_sumamt"),
        ("清单", "medfee_sumamt", 27068.001, "CELL_AMOUNT_NOT_EXACT", "medfee_sumamt"),
        ("清单", "medfee_sumamt", "２７068.00", "CELL_FULL_WIDTH", "medfee_sumamt"),
        ("诊断", "diag_code", "Ｉ63.900", "CELL_FULL_WIDTH", "diseinfo[0].diag_code"),
        ("清单", "brdy", 18264, "CELL_NOT_A_DATE", "brdy"),
        ("诊断", "diag_code", "#N/A", "CELL_ERROR_VALUE", "diseinfo[0].diag_code"),
        ("诊断", "diag_code", " I63.900", "CELL_SPACES", "diseinfo[0].diag_code"),
        ("清单", "brdy", "1950/1/1", "DATE_MALFORMED", "brdy"),
    ],
)
def test_what_a_cell_lost_is_named_with_its_place(sheet: str, name: str, value: object, code: str, path: str) -> None:
    content = changed(put(sheet, name, value))
    assert found(content) == [(code, path)]
    (row,) = table_rows(read_table(content))
    if code not in ("CELL_SPACES", "DATE_MALFORMED"):
        assert row.settlement_list is not None
        assert path in row.settlement_list.unread
        cell = f"{sheet}!{at(openpyxl.load_workbook(io.BytesIO(content)), sheet, name).coordinate}"
        assert cell in row.faults[0].zh
        assert cell in row.faults[0].en


@pytest.mark.parametrize(
    ("sheet", "name", "value", "read"),
    [
        ("清单", "medfee_sumamt", 27068, lambda given: given.total_fen == 2706800),
        ("清单", "medfee_sumamt", 0.1 + 0.2 + 27067.7, lambda given: given.total_fen == 2706800),
        ("清单", "gend", 1, lambda given: given.sex == "1"),
        ("清单", "age", 75, lambda given: given.age_years == 75),
        ("诊断", "diag_code", " I63.900 ", lambda given: given.diagnoses[0].code == "I63.900"),
    ],
)
def test_what_a_cell_says_beyond_doubt_is_read(
    sheet: str, name: str, value: object, read: Callable[[Any], bool]
) -> None:
    (row,) = table_rows(read_table(changed(put(sheet, name, value))))
    assert read(row.settlement_list)


def test_a_date_cell_is_a_day_and_one_of_the_1904_system_is_not_taken() -> None:
    import datetime as dt

    day = dt.date(1950, 1, 1)

    def dated(book: Workbook) -> None:
        at(book, "清单", "brdy").value = day
        at(book, "清单", "brdy").number_format = "yyyy-mm-dd"

    (row,) = table_rows(read_table(changed(dated)))
    assert row.settlement_list is not None
    assert (row.faults, row.settlement_list.birth_date) == ((), day)

    def of_1904(book: Workbook) -> None:
        book.epoch = dt.datetime(1904, 1, 1)  # noqa: DTZ001
        dated(book)

    assert found(changed(of_1904)) == [("CELL_DATE_1904", "brdy")]


def test_merged_cells_are_an_error_and_hidden_rows_a_warning() -> None:
    def merged(book: Workbook) -> None:
        for column in range(1, 30):
            book["清单"].cell(3, column).value = book["清单"].cell(2, column).value
        at(book, "清单", "setl_id", 3).value = "S2"
        place = at(book, "清单", "dscg_time").column_letter
        book["清单"].merge_cells(f"{place}2:{place}3")
        book["清单"].row_dimensions[3].hidden = True

    table = read_table(changed(merged))
    rows = list(table_rows(table))
    assert [[fault.code for fault in row.faults] for row in rows] == [["CELL_MERGED"], ["CELL_MERGED", "CELL_HIDDEN"]]


def test_a_table_names_everything_it_as_such_gets_wrong() -> None:
    def broken(book: Workbook) -> None:
        book["清单"].cell(1, 40).value = "备注"
        book["清单"].cell(1, 41).value = "结算号 setl_id"
        book["诊断"].cell(3, 1).value = "NOBODY"
        book.create_sheet("草稿").cell(1, 1).value = "x"
        book["费用"].sheet_state = "hidden"

    assert faults_of(changed(broken)) == [
        ("TABLE_HIDDEN_SHEET", "费用"),
        ("TABLE_STRANGE_SHEET", "草稿"),
        ("TABLE_STRANGE_COLUMN", "清单!AN1"),
        ("TABLE_REPEATED_COLUMN", "清单!AO1"),
        ("TABLE_ROW_WITHOUT_LIST", "诊断!A3"),
    ]
    assert faults_of(changed(lambda book: book.remove(book["清单"])))[0] == ("TABLE_NO_LISTS", "清单")


def test_an_example_left_as_it_was_is_nobodys_row_and_a_changed_one_is() -> None:
    def without_surgery(book: Workbook) -> None:
        at(book, "清单", "setl_id").value = "S1"
        for sheet in ("诊断", "支付", "费用"):
            at(book, sheet, "setl_id").value = "S1"

    (row,) = table_rows(read_table(changed(without_surgery)))
    given = row.settlement_list
    assert row.faults == ()
    assert given is not None
    assert ([one.code for one in given.diagnoses or ()], list(given.procedures or ())) == (["I63.900"], [])

    def changed_later(book: Workbook) -> None:
        without_surgery(book)
        at(book, "重症监护", "scs_cutd_sum_dura").value = "2/0/0"

    assert faults_of(changed(changed_later)) == [("TABLE_ROW_WITHOUT_LIST", "重症监护!A2")]


def test_a_row_called_accepted_is_not_submitted_again() -> None:
    def marked(book: Workbook) -> None:
        book["清单"].cell(1, 33).value = "校验状态 fenzhi_status"
        book["清单"].cell(2, 33).value = "已受理 accepted"

    table = read_table(changed(marked))
    assert (table.accepted_before, list(table_rows(table))) == (1, [])


CSV = (
    "结算号 setl_id,insutype,姓名,medfee_sumamt,diseinfo[0].diag_code,diseinfo[0].maindiag_flag,diseinfo[1].diag_code\r\n"
    'S1,310,"张，三",1.00,I63.900,1,I10.x00x002\r\n'
)


@pytest.mark.parametrize(("charset", "named"), [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8 BOM"), ("gb18030", "GB18030")])
def test_a_csv_file_is_read_in_the_encoding_it_has(charset: str, named: str) -> None:
    content = CSV.encode(charset)
    assert received_format(content, "text/csv; charset=utf-8") == ("csv", named)
    rows, span = rows_of_part(content)
    (row,) = rows
    given = row.settlement_list
    assert (span, row.row_no, row.faults) == (2, 2, ())
    assert given is not None
    assert (given.setl_id, given.person_name, given.total_fen) == ("S1", "张，三", 100)
    assert [one.code for one in given.diagnoses or ()] == ["I63.900", "I10.x00x002"]


def test_csv_that_cannot_be_told_is_refused() -> None:
    assert faults_of(CSV.encode()[:-2] + b"\xff\xff\xff") == [("CSV_ENCODING", "清单!A1")]
    assert faults_of((CSV + 'S2,"310"x,').encode()) == [("CSV_QUOTES", "line 3")]
    with pytest.raises(FormatDiffers):
        received_format(b"a;b;c\n1;2;3\n", "text/csv")
    assert found(CSV.encode().replace(b"1.00", b"=1+1")) == [("CELL_FORMULA", "medfee_sumamt")]
    assert found(CSV.encode().replace(b"S1", b"5.1E+17")) == [("CELL_DIGITS_LOST", "setl_id")]


def test_ndjson_stays_ndjson() -> None:
    for content in (b"", b"\n", b"{}\n", b'{"setl_id":"S1"}\n', b"[1]\n", b"rubbish,more\n"):
        assert looks_like_table(content) == ""
        assert received_format(content, "application/x-ndjson") == ("ndjson", "UTF-8")


def zipped(**entries: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return out.getvalue()


def test_bombs_and_what_may_not_be_opened_are_refused_at_once() -> None:
    good = template_workbook()
    bomb = zipped(xl__workbook_dot_xml=bytes(70 << 20))
    lying = bytearray(bomb)
    for place in (lying.find(b"PK\x01\x02") + 24, 22):
        struct.pack_into("<I", lying, place, 1000)
    many = zipped(**{f"xl__e{number}_dot_xml": b"" for number in range(2_001)})
    doctype = zipped(xl__workbook_dot_xml=b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><workbook/>')
    macros = zipped(xl__vbaProject_dot_bin=b"x")
    began = time.monotonic()
    for content, code in (
        (bomb, "WORKBOOK_TOO_LARGE"),
        (bytes(lying), "WORKBOOK_UNREADABLE"),
        (many, "WORKBOOK_TOO_LARGE"),
        (doctype, "WORKBOOK_DOCTYPE"),
        (macros, "WORKBOOK_MACROS"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "WORKBOOK_PASSWORD"),
        (good[:-100], "WORKBOOK_UNREADABLE"),
        (good[: len(good) // 2], "WORKBOOK_UNREADABLE"),
        (b"PK\x03\x04", "WORKBOOK_UNREADABLE"),
        (zipped(hello_dot_txt=b"x"), "WORKBOOK_UNREADABLE"),
    ):
        with pytest.raises(WorkbookRefused) as refused:
            received_format(content, XLSX)
        assert refused.value.code == code
    assert time.monotonic() - began < 2


def test_a_workbook_cut_or_bent_anywhere_never_crashes() -> None:
    good = template_workbook()
    for step in range(1, 16):
        with pytest.raises((WorkbookRefused, DataRefused)):
            read_table(good[: len(good) * step // 16])
    for place in range(0, len(good), 97):
        bent = bytearray(good)
        bent[place] ^= 0x55
        try:
            list(table_rows(read_table(bytes(bent))))
        except (WorkbookRefused, DataRefused):
            continue


def test_cells_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fenzhi.services.submission.workbook_cells.CELLS_MOST", 10)
    with pytest.raises(WorkbookTooLarge):
        read_workbook(template_workbook())
