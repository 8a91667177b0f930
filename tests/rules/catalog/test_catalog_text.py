from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest

from fenzhi.rules.catalog.catalog_text import COLUMNS, read_catalog, write_catalog
from fenzhi.rules.catalog.disease_group import Granularity, GroupKind, ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables, ProcedureEntry

HEADER = ",".join(COLUMNS)
TABLES = CodeTables(
    diagnoses={"A01.400": False, "H40.000": True, "P07.101": False, "A35.x00": False},
    procedures={
        code: ProcedureEntry(ProcedureClass.SURGICAL)
        for code in ("13.7100x001", "12.1402", "12.1403", "39.9500", "13.4100x001")
    },
)


def _file(*rows: str, header: str = HEADER) -> bytes:
    return ("\n".join((header, *rows)) + "\n").encode()


def test_a_row_is_read_with_any_of_and_and() -> None:
    row = "7,H40:13.4100x001_13.7100x001+12.1402/12.1403,H40,青光眼,3,13.4100x001,甲,13.7100x001+12.1402/12.1403,乙,core,3,4077.5,0"
    content = _file(row)
    reading = read_catalog(content, TABLES, score_places=1)
    assert reading.refusals == () and reading.warnings == ()
    (group,) = reading.groups
    assert group.main_procedures == (("13.4100x001",),)
    assert group.related_procedures == (("13.7100x001",), ("12.1402", "12.1403"))
    assert (group.granularity, group.kind, group.score) == (Granularity.CATEGORY, GroupKind.CORE, Decimal("4077.5"))
    assert write_catalog(reading.groups, reading.dialect) == content


def test_every_fault_of_a_file_is_named_at_once_with_its_row() -> None:
    reading = read_catalog(
        _file(
            "1,A01.4,A01.4,x,4,,,,,core,2,205,1",
            "2,A01.4,A01.4,x,4,6.31,,,,core,2,1e3,1",
            "3,C,A15-A16,x,3,,,,,1,2,100,2",
            "4,D,H40,x,3,39.9500/,,abc,,core,2,0,0",
            "5,E,H40,x",
            "6,A01.4,A01.4,x,4,,,,,core,2,205,1",
        ),
        TABLES,
        score_places=0,
    )
    assert [(one.code, one.where) for one in reading.refusals] == [
        ("procedure_code_lost_zeros", "row 3 main_ops"),
        ("score", "row 3 score"),
        ("diagnosis_key", "row 4 dx_code"),
        ("group_kind", "row 4 kind"),
        ("grassroots", "row 4 grassroots"),
        ("procedure_grammar", "row 5 main_ops"),
        ("procedure_code", "row 5 other_ops"),
        ("catalog_row", "row 6"),
        ("group_code_duplicated", "row 7 dip_code"),
    ]
    assert [group.sequence for group in reading.groups] == ["1"]


@pytest.mark.parametrize(
    ("score", "code"),
    [("0", "score_not_positive"), ("-3", "score_not_positive"), ("1.25", "score_places"), ("０５", "score"),
     ("05", "score"), ("", "score"), (" 5", "score"), ("5.", "score")],
)  # fmt: skip
def test_a_bad_score_is_refused(score: str, code: str) -> None:
    reading = read_catalog(_file(f"1,A01.4,A01.4,x,4,,,,,core,2,{score},1"), TABLES, score_places=1)
    assert [one.code for one in reading.refusals] == [code]
    assert reading.groups == ()


def test_two_groups_asking_for_the_same_are_ambiguous_whatever_the_order_of_codes() -> None:
    reading = read_catalog(
        _file(
            "1,a,H40,x,3,12.1402/12.1403,,,,core,3,10,0",
            "2,b,H40,x,3,12.1403/12.1402/12.1402,,,,core,3,11,0",
        ),
        TABLES,
        score_places=0,
    )
    assert [(one.code, one.where, one.saw) for one in reading.refusals] == [("group_key_ambiguous", "row 3", "b")]


def test_main_and_related_swapped_is_only_a_warning() -> None:
    reading = read_catalog(
        _file(
            "1,H40:39.9500_12.1402,H40,x,3,39.9500,,12.1402,,core,3,10,0",
            "2,H40:12.1402_39.9500,H40,x,3,12.1402,,39.9500,,core,3,11,0",
        ),
        TABLES,
        score_places=0,
    )
    assert reading.refusals == ()
    assert [one.code for one in reading.warnings] == ["groups_differ_only_in_main"]


def test_unknown_codes_and_odd_group_codes_are_warnings_and_gray_codes_are_silent() -> None:
    reading = read_catalog(
        _file(
            "1,Z99.9,Z99.9,x,4,,,,,core,2,10,0",
            "2,H40:39.9500x004,H40,x,3,39.9500x004,,,,core,3,10,0",
            "3,other,H40,x,3,39.9500,,,,core,3,10,0",
        ),
        TABLES,
        score_places=0,
    )
    assert reading.refusals == ()
    assert [(one.code, one.saw) for one in reading.warnings] == [
        ("diagnosis_unknown", "Z99.9"),
        ("procedure_unknown", "39.9500x004"),
        ("group_code_differs", "other"),
    ]


def test_comprehensive_groups_need_their_class_and_have_no_procedures() -> None:
    header = HEADER + ",procedure_class"
    good = "1,H40综合手术,H40,x,3,,,,,comprehensive,3,10,0,surgical"
    reading = read_catalog(_file(good, header=header), TABLES, score_places=0)
    assert reading.refusals == ()
    assert reading.groups[0].procedure_class is ProcedureClass.SURGICAL
    assert write_catalog(reading.groups, reading.dialect) == _file(good, header=header)
    assert write_catalog(reading.groups) == _file(good, header=header)
    bad = read_catalog(
        _file(
            "1,a,H40,x,3,,,,,comprehensive,3,10,0,",
            "2,b,H40,x,3,39.9500,,,,comprehensive,3,10,0,surgical",
            "3,c,H40,x,3,39.9500,,,,core,3,10,0,surgical",
            "4,d,H40,x,3,39.9500,,,,core,3,10,0,surgery",
            header=header,
        ),
        TABLES,
        score_places=0,
    )
    assert [one.code for one in bad.refusals] == ["procedure_class_misplaced"] * 3 + ["procedure_class"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + _file("1,A01.4,A01.4,x,4,,,,,core,2,205,1"),
        _file("1,A01.4,A01.4,x,4,,,,,core,2,205,1").replace(b"\n", b"\r\n"),
        _file('1,A01.4,A01.4,"伤寒,""副""",4,,,,,core,2,205.0,1').removesuffix(b"\n"),
    ],
    ids=["byte order mark", "windows line ends", "quotes, no last line end"],
)
def test_export_equals_import_in_every_dialect(content: bytes) -> None:
    reading = read_catalog(content, TABLES, score_places=1)
    assert reading.refusals == () and reading.warnings == () and len(reading.groups) == 1
    assert write_catalog(reading.groups, reading.dialect) == content


def test_needless_quotes_are_said_before_they_are_lost() -> None:
    reading = read_catalog(_file('"1",A01.4,A01.4,x,4,,,,,core,2,205,1'), TABLES, score_places=0)
    assert [one.code for one in reading.warnings] == ["text_not_canonical"]
    assert len(reading.groups) == 1


def test_blank_lines_are_passed_over_with_the_same_warning() -> None:
    reading = read_catalog(_file("1,A01.4,A01.4,x,4,,,,,core,2,205,1", "", ""), TABLES, score_places=0)
    assert ([one.code for one in reading.warnings], reading.refusals) == (["text_not_canonical"], ())


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (_file("1,A01.4,A01.4,副伤寒,4,,,,,core,2,205,1").decode().encode("gb18030"), "catalog_encoding"),
        (b"", "catalog_columns"),
        (_file(header=HEADER.replace("score", "points")), "catalog_columns"),
        (_file(header=HEADER + ",score"), "catalog_columns"),
        (_file('1,A01.4,A01.4,"x,4,,,,,core,2,205,1'), "catalog_row"),
    ],
)
def test_a_file_that_is_no_catalog_is_refused_whole(content: bytes, code: str) -> None:
    reading = read_catalog(content, TABLES, score_places=0)
    assert [one.code for one in reading.refusals] == [code]
    assert reading.groups == ()


def test_the_real_excerpt_is_read_without_refusal_and_written_back_byte_for_byte() -> None:
    path = _shared("data/dip_catalog_excerpt_dev.csv")
    content = path.read_bytes()
    reading = read_catalog(content, CodeTables(diagnoses={}, procedures={}), score_places=0)
    assert reading.refusals == ()
    assert len(reading.groups) == 329
    assert {one.code for one in reading.warnings} == {
        "diagnosis_unknown",
        "procedure_unknown",
        "group_code_differs",
        "procedure_repeated",
    }
    assert write_catalog(reading.groups, reading.dialect) == content


def test_an_unusual_line_separator_inside_a_name_does_not_break_the_row() -> None:
    content = _file("1,A01.4,A01.4,伤\u2028寒,4,,,,,core,2,205,1")
    reading = read_catalog(content, TABLES, score_places=0)
    assert [group.diagnosis_name for group in reading.groups] == ["伤\u2028寒"]
    assert write_catalog(reading.groups, reading.dialect) == content


def _shared(name: str) -> Path:
    root = Path(__file__).resolve().parents[3]
    path = Path(os.environ.get("FENZHI_SHARED", str(root.parent / "shared"))) / name
    if not path.exists():
        reason = f"shared data absent: {name}"
        if os.environ.get("FENZHI_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
