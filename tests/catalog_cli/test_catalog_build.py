"""`fenzhi catalog build`: groups of a discharge file, exact, every row accounted for (由病案文件建组)."""

from __future__ import annotations

import csv
import gzip
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from fenzhi.cli.catalog.build import build_catalog, groups_csv
from fenzhi.cli.catalog.column_map import FIELDS, SKIP, TOP, read_column_map
from fenzhi.cli.main import run
from fenzhi.rules.catalog.groups_from_sums import Deviation, SetMethod
from fenzhi.rules.catalog.score_derivation import WeightingBasis
from fenzhi.rules.refusals import DataRefused

ROOT = Path(__file__).resolve().parents[2]
CLAIMS_MAP = ROOT / "docs" / "columns" / "claims.yaml"
PLAIN = "principal_diagnosis: {column: dx}\nprocedures: {column: px, separator: '|'}\ncost: {column: cost}\n"
METHOD = SetMethod(1000, 2)


def built(tmp_path: Path, text: str, columns: str = PLAIN, *, encoding: str = "utf-8", **options: object):
    path = tmp_path / "discharges.csv"
    path.write_bytes(text.encode(encoding))
    return build_catalog(path, read_column_map(columns), options.pop("method", METHOD), **{"threshold": 1, **options})


def groups_of(found) -> dict[tuple[str, str], tuple[int, Fraction]]:
    return {(one.diagnosis, "+".join(one.procedures)): (one.n, one.mean_fen) for one in found.groups}


def test_the_dev_claims_equal_the_oracle_in_full(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "discharges_desynpuf_dev.csv.gz"
    out = tmp_path / "all.csv"
    assert (
        run(
            [
                "catalog",
                "build",
                str(source),
                "--columns",
                str(CLAIMS_MAP),
                "--out",
                str(out),
                "--threshold",
                "1",
                "--json",
            ]
        )
        == 0
    )
    with gzip.open(shared / "data" / "oracle_groups_desynpuf_dev.csv.gz", "rt", encoding="utf-8") as file:
        oracle = {(row["dx_cat4"], row["ops"]): row for row in csv.DictReader(file)}
    with out.open(encoding="utf-8") as file:
        mine = {(row["dx_cat4"], row["ops"]): row for row in csv.DictReader(file)}
    assert len(mine) == len(oracle) == 10_998 and mine.keys() == oracle.keys()
    for key, row in oracle.items():
        assert mine[key]["n"] == row["n"]
        for name, tolerance in (
            ("mean_total", "0.01"),
            ("cv", "0.0001"),
            ("relative_weight", "0.0001"),
            ("mean_los", "0.01"),
        ):
            assert abs(Decimal(mine[key][name]) - Decimal(row[name])) <= Decimal(tolerance), (key, name)


def test_the_dev_claims_add_up(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = shared / "data" / "discharges_desynpuf_dev.csv.gz"
    out = tmp_path / "groups.csv"
    assert run(["catalog", "build", str(source), "--columns", str(CLAIMS_MAP), "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["groups"], report["grouped_rows"], report["used"], report["rows"]) == (504, 36_073, 56_446, 57_390)
    assert report["set_aside"] == {"principal_diagnosis_missing": 875, "cost_not_positive": 69}
    assert report["used"] + sum(report["set_aside"].values()) == report["rows"]
    assert len(out.read_text().splitlines()) == 505


def test_every_row_is_used_or_set_aside_by_its_first_reason(tmp_path: Path) -> None:
    text = (
        "dx,px,cost,day,part\n"
        "K35.800,47.0100|54.2100,100.00,2024-01-31,1\n"
        "K35.801,54.2100|47.0100|47.0100,300.00,2024-02-29,1\n"
        ",47.0100,1.00,2024-01-01,1\n"
        "阑尾炎,,1.00,2024-01-01,1\n"
        "K35.800,,1.00,2024-02-30,1\n"
        "K35.800,,1.00,,1\n"
        "K35.800,,1.005,2024-01-01,1\n"
        "K35.800,,1e5,2024-01-01,1\n"
        "K35.800,,,2024-01-01,1\n"
        "K35.800,,-0.01,2024-01-01,1\n"
        "K35.800,,5.00,2024-01-01,2\n"
        "K35.800,,5.00,2024-01-01\n"
    )
    columns = PLAIN + "discharge_date: day\nset_aside: [{column: part, equals: ['2'], reason: continuation_segment}]\n"
    found = built(tmp_path, text, columns)
    assert groups_of(found) == {("K35.8", "47.0100+54.2100"): (2, Fraction(20_000))}
    assert found.discharges.set_aside == {
        "principal_diagnosis_missing": 1,
        "principal_diagnosis_unreadable": 1,
        "discharge_date_unreadable": 1,
        "discharge_date_missing": 1,
        "cost_unreadable": 2,
        "cost_missing": 1,
        "cost_not_positive": 1,
        "continuation_segment": 1,
        "row_broken": 1,
    }
    assert (found.discharges.rows, found.discharges.used) == (12, 2)
    assert [(one.expected_cells, one.cells) for one in found.discharges.broken] == [(5, 4)]


def test_another_file_needs_another_map_and_no_code(tmp_path: Path) -> None:
    text = "主诊断;手术1;手术2;出院;总费用\nk358;4701;NULL;20240131;1.234,50\n".replace("1.234,50", "￥1,234.50")
    columns = (
        "file: {delimiter: ';', encoding: gb18030}\nmissing: ['NULL']\n"
        "principal_diagnosis: {column: 主诊断, letters: insurance, dot: absent}\n"
        "procedures: {columns: [手术1, 手术2], dot: absent}\n"
        "discharge_date: {column: 出院, formats: ['%Y-%m-%d', '%Y%m%d']}\n"
        "cost: {column: 总费用, thousands: ','}\n"
    )
    found = built(tmp_path, text, columns, encoding="gb18030")
    assert groups_of(found) == {("K35.8", "47.01"): (1, Fraction(123_450))}


@pytest.mark.parametrize(
    ("unit", "text", "fen"),
    [("fen", "12345", 12_345), ("yuan", "123.4500", 12_345), ("yuan", ".5", 50), ("wan", "1.234567", 1_234_567)],
)
def test_amounts_are_exact_in_any_unit(tmp_path: Path, unit: str, text: str, fen: int) -> None:
    columns = PLAIN.replace("{column: cost}", f"{{column: cost, unit: {unit}}}")
    assert groups_of(built(tmp_path, f"dx,px,cost\nK35.800,,{text}\n", columns)) == {("K35.8", ""): (1, Fraction(fen))}


def test_a_third_decimal_rounds_only_where_the_map_says_so(tmp_path: Path) -> None:
    columns = PLAIN.replace("{column: cost}", "{column: cost, more_decimals: half_up}")
    text = "dx,px,cost\nK35.800,,1.005\nK36.x00,,1.0049\n"
    assert groups_of(built(tmp_path, text, columns)) == {
        ("K35.8", ""): (1, Fraction(101)),
        ("K36.x", ""): (1, Fraction(100)),
    }


def test_years_weigh_by_the_named_basis(tmp_path: Path) -> None:
    rows = [
        f"K35.800,,{cost}.00,{year}-06-01\n"
        for year, cost, n in ((2022, 8000, 1), (2023, 8500, 2), (2024, 9000, 4))
        for _ in range(n)
    ]
    text = "dx,px,cost,day\n" + "".join(rows) + "K35.800,,1.00,2019-01-01\n"
    columns = PLAIN + "discharge_date: {column: day}\n"
    means = {}
    for basis in WeightingBasis:
        found = built(tmp_path, text, columns, method=SetMethod(1000, 2, {2022: 1, 2023: 2, 2024: 7}, basis))
        means[basis] = found.groups[0].mean_fen
        assert found.discharges.set_aside == {"year_without_weight": 1}
    assert means == {WeightingBasis.YEARLY_MEANS: Fraction(880_000), WeightingBasis.POOLED: Fraction(29_400_000, 33)}


def test_the_deviation_is_named(tmp_path: Path) -> None:
    text = "dx,px,cost\nK35.800,,8000\nK35.800,,10000\nK35.800,,12000\n"
    found = {
        one: groups_csv(built(tmp_path, text, method=SetMethod(1000, 2, deviation=one)).groups).decode().split(",")
        for one in Deviation
    }
    assert found[Deviation.POPULATION][11] == "0.1633" and found[Deviation.SAMPLE][11] == "0.2000"


def test_a_threshold_by_coverage(tmp_path: Path) -> None:
    text = "dx,px,cost\n" + "K35.800,,1\n" * 6 + "K36.x00,,1\n" * 3 + "K37.x00,,1\n"
    assert (built(tmp_path, text, threshold=None, coverage=Fraction(9, 10)).threshold) == 3
    assert (built(tmp_path, text, threshold=None, coverage=Fraction(91, 100)).threshold) == 1


@pytest.mark.parametrize(
    ("columns", "where"),
    [
        ("principal_diagnosis: {column: dx}\ncosts: {column: cost}\n", "costs"),
        ("principal_diagnosis: {column: dx}\ncost: {column: cost, unit: usd}\n", "cost.unit"),
        ("procedures: {column: px}\n", "principal_diagnosis"),
        ("principal_diagnosis: [", "line 1"),
    ],
)
def test_a_wrong_map_names_its_place(columns: str, where: str) -> None:
    with pytest.raises(DataRefused) as refused:
        read_column_map(columns)
    assert any(one.where == where for one in refused.value.refusals), refused.value.refusals


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataRefused) as refused:
        built(tmp_path, "a,b\n1,2\n")
    assert [(one.code, one.saw) for one in refused.value.refusals] == [
        ("column_missing", "dx"),
        ("column_missing", "px"),
        ("column_missing", "cost"),
    ]
    assert "a、b" in refused.value.refusals[0].zh


def test_a_wrong_encoding_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataRefused) as refused:
        built(tmp_path, "dx,px,cost\nK35.800,胆,1\n", encoding="gb18030")
    assert refused.value.refusals[0].code == "file_encoding"


def test_the_published_schema_knows_the_same_fields() -> None:
    schema = json.loads((ROOT / "docs" / "catalog-columns.schema.json").read_text(encoding="utf-8"))
    assert set(schema["properties"]) == set(TOP)
    for name, fields in FIELDS.items():
        section = schema["properties"][name]
        found = section if "properties" in section else next(one for one in section["oneOf"] if "properties" in one)
        assert set(found["properties"]) == set(fields) and found["additionalProperties"] is False
    assert set(schema["properties"]["set_aside"]["items"]["properties"]) == set(SKIP)
