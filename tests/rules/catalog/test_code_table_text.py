"""Code table files: what is read, and every fault with its row."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest

from fenzhi.rules.catalog.code_table_text import CodeLine, read_code_table


def test_codes_with_flags_and_classes() -> None:
    text = "code,name,is_gray,procedure_class\n39.9500,血液透析,,therapeutic\n47.0100,腹腔镜下阑尾切除术,1,\n"
    reading = read_code_table(text.encode(), "procedure")
    assert reading.refusals == ()
    assert reading.lines == (
        CodeLine("39.9500", "血液透析", False, "therapeutic"),
        CodeLine("47.0100", "腹腔镜下阑尾切除术", True, None),
    )


def test_every_fault_with_its_row() -> None:
    text = (
        "code,name,is_gray,procedure_class\n"
        "6.31,甲状腺,0,\n"
        "39.9500,血液透析,0,conservative\n"
        "39.9500, ,2,\n"
        "39.9501,少一列,0\n"
        "A01,诊断,0,\n"
    )
    reading = read_code_table(text.encode(), "procedure")
    assert reading.lines == ()
    assert [(one.code, one.where) for one in reading.refusals] == [
        ("code_lost_zeros", "row 2 code"),
        ("code_class", "row 3 procedure_class"),
        ("code_duplicated", "row 4 code"),
        ("code_name", "row 4 name"),
        ("code_gray", "row 4 is_gray"),
        ("code_table_row", "row 5"),
        ("code_shape", "row 6 code"),
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"code,name\n", "code_table_columns"),
        (b"code,name,is_gray,procedure_class\n", "code_table_columns"),
        (b"code,name,is_gray\n", "code_table_empty"),
        ("code,name,is_gray\nA01.000,伤寒,0\n".encode("gb18030"), "code_table_encoding"),
        (b'code,name,is_gray\nA01.000,"x,0\n', "code_table_row"),
    ],
)
def test_a_file_that_is_no_code_table(content: bytes, code: str) -> None:
    assert [one.code for one in read_code_table(content, "diagnosis").refusals] == [code]


def test_a_thousand_faults_are_listed_and_the_rest_counted() -> None:
    text = "code,name,is_gray\n" + "bad,x,0\n" * 1
    text += "".join(f"bad{i},x,0\n" for i in range(1_200))
    reading = read_code_table(text.encode(), "diagnosis")
    assert len(reading.refusals) == 1_001
    assert (reading.refusals[-1].code, reading.refusals[-1].saw) == ("code_table_more_faults", "201")


@pytest.mark.parametrize(
    ("file", "kind", "entries"),
    [("icd10_yb_diagnosis.csv.gz", "diagnosis", 33_304), ("icd9cm3_yb_procedure.csv.gz", "procedure", 13_686)],
)
def test_the_real_tables_read_whole(shared: Path, file: str, kind: str, entries: int) -> None:
    rows = list(csv.DictReader(io.StringIO(gzip.decompress((shared / "data" / file).read_bytes()).decode())))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["code", "name", "is_gray"])
    writer.writerows([row["code"], row["name"], row["is_gray"]] for row in rows)
    reading = read_code_table(out.getvalue().encode(), kind)
    assert reading.refusals == ()
    assert len(reading.lines) == entries == len(rows)
