"""Catalogs in the dialects in which they are published (目录方言): tolerant, exact, and byte for byte out again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fenzhi.cli.main import run
from fenzhi.rules.catalog.dialect_faults import Severity
from fenzhi.rules.catalog.dialect_text import CatalogDocument, published_code, read_dialect
from fenzhi.rules.catalog.dialect_writing import write_dialect
from fenzhi.rules.catalog.dialects import DIALECTS
from fenzhi.rules.catalog.disease_group import GroupKind, ProcedureClass
from fenzhi.rules.catalog.edition import CodeTables, ProcedureEntry

NONE = CodeTables({}, {})
TABLES = CodeTables(
    {"K35.800": False, "A15.000": False, "A16.000": False, "A17.000+G01*": False, "G01.x00*": False, "I10.x00": True},
    {code: ProcedureEntry() for code in ("06.3100", "04.4300", "47.0100", "54.2100", "39.9500", "39.9501")},
)


def read(
    text: str, name: str = "slash_plus", tables: CodeTables = NONE, encoding: str = "utf-8", **options: int
) -> CatalogDocument:
    content = text.encode(encoding)
    document = read_dialect(content, DIALECTS[name], tables, **options)
    assert document.content() == content
    return document


def errors(document: CatalogDocument) -> dict[str, int]:
    return dict(document.counts(Severity.ERROR))


def warnings(document: CatalogDocument) -> dict[str, int]:
    return dict(document.counts(Severity.WARNING))


@pytest.mark.parametrize(
    ("name", "cell", "parts"),
    [
        ("slash_plus", "39.9500/39.9501+54.2100", (("39.9500", "39.9501"), ("54.2100",))),
        ("pipe_plus", "39.9500|39.9501+54.2100", (("39.9500", "39.9501"), ("54.2100",))),
        ("comma_and", "39.9500/39.9501, 54.2100", (("39.9500", "39.9501"), ("54.2100",))),
        ("comma_any", "39.9500,39.9501+54.2100", (("39.9500", "39.9501"), ("54.2100",))),
        ("slash_plus", "39.9500／39.9501＋54.2100", (("39.9500", "39.9501"), ("54.2100",))),
        ("slash_plus_numbers", "39.95、39.9501+54.21", (("39.9500", "39.9501"), ("54.2100",))),
    ],
)
def test_a_dialect_is_its_marks(name: str, cell: str, parts: tuple[tuple[str, ...], ...]) -> None:
    document = read(f'dx_code,main_ops,score\nK35.8,"{cell}",100\n', name)
    assert [group.main_procedures for group in document.groups] == [parts]
    assert errors(document) == {}


def test_a_title_chinese_headers_gb18030_and_both_kind_words() -> None:
    text = (
        "某市DIP病种目录,,,,\r\n"
        "序号,病种编码,主要诊断编码,病种类型（1核心，2综合）,诊疗方式,手术操作编码,病种分值（分）,是否基层病种\r\n"
        "1,K35.8:47.0100,K35.8,1,,47.0100,1000.50,否\r\n"
        "2,K35手术,K35,0,手术,,800,是\r\n"
        "3,K36手术,K36,2,相关手术组,,800,\r\n"
        ",,,,,,,\r\n"
    )
    document = read(text, encoding="gb18030")
    assert errors(document) == {} and warnings(document) == {"kind_words_mixed": 1}
    assert document.encoding == "gb18030" and sum(not row.blank for row in document.rows) == 3
    assert [
        (one.group_code, one.kind, one.procedure_class, str(one.score), one.grassroots) for one in document.groups
    ] == [
        ("K35.8:47.0100", GroupKind.CORE, None, "1000.50", False),
        ("K35手术", GroupKind.COMPREHENSIVE, ProcedureClass.SURGICAL, "800", True),
        ("K36手术", GroupKind.COMPREHENSIVE, ProcedureClass.SURGICAL, "800", False),
    ]


def test_lost_zeros_are_told_and_put_back_only_where_the_dialect_says_so() -> None:
    text = "dx_code,main_ops,score\nK35.8,6.31/4.43,100\n"
    strict = read(text, tables=TABLES)
    assert errors(strict) == {"procedure_code_lost_zeros": 2} and strict.groups == ()
    mended = read(text, "slash_plus_numbers", TABLES)
    assert errors(mended) == {} and warnings(mended) == {"procedure_zeros_restored": 2}
    assert mended.groups[0].main_procedures == (("06.3100", "04.4300"),)
    assert errors(read("dx_code,main_ops,score\nK35.8,6.32,1\n", "slash_plus_numbers", TABLES)) == {
        "procedure_code_lost_zeros": 1
    }


def test_ranges_lists_daggers_and_asterisks() -> None:
    text = "dip_code,dx_code,score\nTB,A15-A16,100\nM,A17.0+G01*,200\nD,K35+,10\nS,G01*,20\nL,K36/K37,30\nX,A16-A15,5\nY,B1,5\n"
    document = read(text, tables=TABLES)
    assert [(one.group_code, one.diagnosis) for one in document.groups] == [
        ("TB@A15", "A15"),
        ("TB@A16", "A16"),
        ("M", "A17.000+G01*"),
        ("D", "K35"),
        ("S", "G01"),
        ("L@K36", "K36"),
        ("L@K37", "K37"),
    ]
    assert {published_code(one) for one in document.groups} == {"TB", "M", "D", "S", "L"}
    assert errors(document) == {"diagnosis_key": 2}
    assert warnings(document) == {
        "diagnosis_asterisk": 1,
        "diagnosis_dagger": 1,
        "diagnosis_range": 2,
        "diagnosis_unknown": 2,
    }


def test_merged_cells_and_capital_letters() -> None:
    document = read("dx_code,main_ops,score\ni10.X,,50\n,54.2100,90\n", "slash_plus_numbers", TABLES)
    assert [(one.group_code, one.diagnosis) for one in document.groups] == [
        ("I10.x", "I10.x"),
        ("I10.x:54.2100", "I10.x"),
    ]
    assert warnings(document) == {"cell_filled_down": 1, "letters_normalised": 2}


def test_main_and_related_in_one_cell_or_in_the_group_code_alone() -> None:
    both = read("dx_code,手术操作编码,分值\nK35.8,47.0100_54.2100,70\n")
    alone = read("dip_code,分值\nK35.8:47.0100_54.2100,70\n")
    for document in (both, alone):
        one = document.groups[0]
        assert (one.group_code, one.main_procedures, one.related_procedures) == (
            "K35.8:47.0100_54.2100",
            (("47.0100",),),
            (("54.2100",),),
        )


def test_every_error_has_its_row_column_and_remedy() -> None:
    text = (
        "dip_code,dx_code,main_ops,kind,score,level\n"
        "A,K35.8,47.0100,core,1e3,2\n"
        "A,K35.8,47.0100/,core,0,2\n"
        ",K36.x,,other,5,x\n"
        "B,,,core,5,2\n"
        "C,K37.x,,comprehensive,5,2\n"
        "D,K38.8,腹腔镜,core,5.555,2\n"
        "E,K38.9,,core,5\n"
    )
    document = read(text, score_places=2)
    assert [(one.row, one.column, one.code) for one in document.faults] == [
        (2, "score", "score"),
        (3, "main_ops", "procedure_grammar"),
        (3, "score", "score_not_positive"),
        (4, "dip_code", "group_code_missing"),
        (4, "kind", "group_kind"),
        (4, "level", "level"),
        (5, "dx_code", "diagnosis_missing"),
        (6, "kind", "procedure_class_missing"),
        (7, "main_ops", "procedure_code"),
        (7, "score", "score_places"),
        (8, "", "catalog_row"),
    ]
    assert all(one.zh and one.en and one.remedy_zh and one.remedy_en for one in document.faults)
    assert document.groups == ()


def test_duplicates_and_ambiguous_keys() -> None:
    text = "dip_code,dx_code,main_ops,score\nA,K35.8,47.0100,1\nA,K35.9,47.0100,1\nB,K35.8,47.0100/47.0100,1\n"
    document = read(text)
    assert errors(document) == {"group_code_duplicated": 1, "group_key_ambiguous": 1}
    assert [one.group_code for one in document.groups] == ["A"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00x",
        b"a,b\n1,2\n",
        b'dx_code,score\n"K35.8,5\nK36.x,6\n',
        b"\xef\xbb\xbfdx_code\tscore\r\nK35.8\t5",
    ],
)
def test_whatever_comes_in_goes_out_again(content: bytes) -> None:
    document = read_dialect(content, None, NONE)
    if document.encoding and document.header:
        assert document.content() == content
    else:
        assert {one.code for one in document.faults} <= {
            "catalog_encoding",
            "catalog_columns",
            "catalog_row",
        } and document.faults


def test_a_quote_that_never_closes_takes_only_its_row() -> None:
    document = read_dialect(b'dx_code,score\n"K35.8,5\nK36.x,6\n', DIALECTS["slash_plus"], NONE)
    assert [(one.row, one.code) for one in document.faults] == [(2, "catalog_row")]
    assert [one.diagnosis for one in document.groups] == ["K36.x"]


@pytest.mark.parametrize("name", DIALECTS)
def test_what_a_dialect_writes_it_reads_back(name: str, shared: Path) -> None:
    source = read_dialect((shared / "data" / "dip_catalog_excerpt_dev.csv").read_bytes(), None, NONE)
    assert read_dialect(write_dialect(source.groups, DIALECTS[name]), DIALECTS[name], NONE).groups == source.groups


def test_the_excerpt_comes_in_whole_and_goes_out_the_same(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shared / "data"
    excerpt = data / "dip_catalog_excerpt_dev.csv"
    tables = [
        "--diagnoses",
        str(data / "icd10_yb_diagnosis.csv.gz"),
        "--procedures",
        str(data / "icd9cm3_yb_procedure.csv.gz"),
    ]
    assert run(["catalog", "import", str(excerpt), "--json", *tables]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["groups"], report["errors"], report["dialect"]) == (329, 329, {}, "slash_plus")
    assert report["warnings"] == {"group_code_differs": 1, "procedure_repeated": 1, "procedure_unknown": 2}
    assert [
        (one["row"], one["column"], one["saw"]) for one in report["faults"] if one["code"] == "procedure_unknown"
    ] == [
        (195, "main_ops", "06.3100x002"),
        (218, "main_ops", "06.3100x002"),
    ]
    assert (
        run(
            ["catalog", "export", str(excerpt), "--dialect", "slash_plus", "--out", str(tmp_path / "out.csv"), "--json"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["equals_import"] is True
    assert (tmp_path / "out.csv").read_bytes() == excerpt.read_bytes()
    assert run(["catalog", "lint", str(excerpt), "--dialect", "slash_plus", "--json", *tables]) == 0
    linted = json.loads(capsys.readouterr().out)
    assert linted["warnings"] == report["warnings"] | {"groups_ambiguous": 27, "score_below_simpler": 11}
    changed = tmp_path / "next.csv"
    text = excerpt.read_text(encoding="utf-8")
    assert text.count(",core,2,205,1") >= 1
    changed.write_text(text.replace(",core,2,205,1", ",core,2,206,1", 1), encoding="utf-8")
    assert run(["catalog", "diff", str(excerpt), str(changed), "--dialect", "slash_plus", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert counts == {"added": 0, "removed": 0, "changed": 1, "score_changed": 1, "recoded": 0, "unchanged": 328}


def test_a_dialect_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dialect = tmp_path / "ours.yaml"
    dialect.write_text("any_of: ['#']\nall_of: ['&']\nrelated: '~'\n", encoding="utf-8")
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("诊断编码,手术操作编码,分值\nK35.8,47.0100#47.0101&54.2100~39.9500,12\n", encoding="utf-8")
    assert run(["catalog", "export", str(catalog), "--dialect", str(dialect), "--to", "fenzhi"]) == 0
    assert "K35.8:47.0100/47.0101+54.2100_39.9500" in capsys.readouterr().out
    assert run(["catalog", "import", str(catalog), "--dialect", "no_such"]) == 2
    dialect.write_text("any_of: ['#']\nall_of: ['#']\n", encoding="utf-8")
    assert run(["catalog", "import", str(catalog), "--dialect", str(dialect)]) == 2


def test_codes_of_another_edition_are_told_not_guessed() -> None:
    document = read("dx_code,main_ops,score\nZ99.9,92.2800x099,5\nI10.x,,3\n", tables=TABLES)
    assert warnings(document) == {"diagnosis_unknown": 1, "procedure_unknown": 1}
    assert len(document.groups) == 2


def test_what_two_dialects_read_differently_is_told() -> None:
    content = b'dx_code,main_ops,score\nK35.8,"47.0100,54.2100",5\n'
    document = read_dialect(content, None, NONE)
    assert document.dialect.name == "comma_and" and warnings(document) == {"dialect_ambiguous": 1}
    assert "comma_any" in document.faults[0].en
    sure = read_dialect(b'dx_code,main_ops,score\nK35.8,"47.0100,54.2100/39.9500",5\n', None, NONE)
    assert sure.dialect.name == "comma_and" and warnings(sure) == {}


def test_a_granularity_that_the_code_contradicts_is_told() -> None:
    document = read("dx_code,dx_granularity,score\nK35.8,3,5\nK35,3,5\n")
    assert warnings(document) == {"granularity_differs": 1} and document.faults[0].row == 2
