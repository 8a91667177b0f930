"""`fenzhi group` and `fenzhi explain`: offline, by the platform's engine, byte for byte what the rules say (离线入组计分)."""

from __future__ import annotations

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest

from fenzhi.cli.catalog.column_map import read_column_map
from fenzhi.cli.group import group_lines
from fenzhi.cli.main import run
from fenzhi.cli.offline import OfflineCase, read_cases, read_rules
from fenzhi.rules.refusals import DataRefused
from fenzhi.rules.scoring.score_case import HospitalFactor

ROOT = Path(__file__).resolve().parents[2]
CATALOG = (
    "dip_code,dx_code,main_ops,other_ops,score,grassroots,procedure_class\n"
    "K35.8,K35.8,,,500,1,\n"
    "K35.8:47.0100,K35.8,47.0100,,1000,0,\n"
    "K35.8:47.0100_54.2100,K35.8,47.0100,54.2100,1300,0,\n"
    "TB,A15-A16,,,700,0,\n"
    "K36手术,K36,,,400,0,手术\n"
)
CASES = (
    "id,dx,px,cost,hospital\n"
    "c1,K35.800,47.0100|54.2100,26000.00,H1\n"
    "c2,K35.800,47.0100,4000.00,H1\n"
    "c3,K35.800,,4000.00,H1\n"
    "c4,A16.000,,4000.00,H2\n"
    "c5,K36.x00,47.0100,1.00,H2\n"
    "c6,K35.800,47.0100,,H1\n"
    "c7,K35.800,47.0100,-5.00,H1\n"
    "c8,,47.0100,5.00,H1\n"
    "c9,K35.800,47.0100,5.00,H9\n"
    "c10,Z99.900,,5.00,H1\n"
)
MAP = "case_id: id\nprincipal_diagnosis: dx\nprocedures: {column: px, separator: '|'}\ncost: cost\nhospital: hospital\n"


@pytest.fixture
def world(tmp_path: Path) -> dict[str, Path]:
    files = {
        "catalog": CATALOG,
        "cases": CASES,
        "columns": MAP,
        "hospitals": "hospital,level,coefficient\nH1,3,0.95\nH2,2,1.1\n",
        "references": "group_code,level,n,total\nK35.8:47.0100_54.2100,3,2,20000.00\nK35.8:47.0100,,1,10000.00\n",
        "diagnoses": "code,is_gray\nK35.800,0\nA16.000,0\nK36.x00,0\n",
        "procedures": "code,procedure_class\n47.0100,手术\n54.2100,诊断性操作\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return {name: tmp_path / name for name in files}


def arguments(world: dict[str, Path], *names: str) -> list[str]:
    return [part for name in names for part in (f"--{name}", str(world[name]))]


ALL = ("catalog", "columns", "hospitals", "references", "diagnoses", "procedures")


def test_every_case_has_its_line_and_none_is_silent(world: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["group", str(world["cases"]), *arguments(world, *ALL), "--verify", "100"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [
        (
            one["case_id"],
            one.get("group_code"),
            one.get("band"),
            one.get("points"),
            one.get("reason") or one["refused"][0]["code"],
        )
        for one in lines
    ]
    assert told == [
        ("c1", "K35.8:47.0100_54.2100", "high", "1976.0000", "core_matched"),
        ("c2", "K35.8:47.0100", "low", "380.0000", "core_matched"),
        ("c3", "K35.8", "cannot_judge", "500.0000", "conservative_matched"),
        ("c4", "TB", "cannot_judge", "770.0000", "conservative_matched"),
        ("c5", "K36手术", "cannot_judge", "440.0000", "comprehensive_matched"),
        ("c6", None, None, None, "cost_missing"),
        ("c7", None, None, None, "cost_negative"),
        ("c8", None, None, None, "principal_diagnosis_missing"),
        ("c9", None, None, None, "hospital_unknown"),
        ("c10", None, None, None, "principal_diagnosis_unknown"),
    ]
    assert [one["row"] for one in lines] == list(range(2, 12))


def test_settlement_lists_group_as_the_same_cases_do(
    world: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = [
        {"setl_id": "c1", "fixmedins_code": "H1", "diseinfo": [{"diag_code": "K35.800", "maindiag_flag": "1"}], "oprninfo": [
            {"oprn_oprt_code": "54.2100", "main_oprn_flag": "0"}, {"oprn_oprt_code": "47.0100", "main_oprn_flag": "1"}], "medfee_sumamt": "26000.00"},
        {"setl_id": "two", "fixmedins_code": "H1", "diseinfo": [{"diag_code": "K35.800", "maindiag_flag": "1"}, {"diag_code": "K36.x00", "maindiag_flag": "1"}], "medfee_sumamt": "1.00"},
        {"setl_id": "odd", "fixmedins_code": "H1", "diseinfo": [{"diag_code": "K35.800", "maindiag_flag": "1"}], "medfee_sumamt": 12.5},
    ]  # fmt: skip
    path = tmp_path / "lists.ndjson"
    path.write_text("".join(json.dumps(one) + "\n" for one in lists) + "{broken\n", encoding="utf-8")
    assert (
        run(["group", str(path), *arguments(world, "catalog", "hospitals", "references", "diagnoses", "procedures")])
        == 1
    )
    first, two, odd, broken = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["group_code"], first["points"]) == ("K35.8:47.0100_54.2100", "1976.0000")
    assert [one["code"] for one in two["refused"]] == ["principal_diagnosis_contradictory"]
    assert odd["refused"] and broken["refused"] and "group_code" not in odd


def test_the_engine_gives_what_the_rules_give_for_every_claim(shared: Path) -> None:
    data = shared / "data"
    rules = read_rules(
        data / "dip_catalog_excerpt_dev.csv",
        diagnoses=data / "icd10_yb_diagnosis.csv.gz",
        procedures=data / "icd9cm3_yb_procedure.csv.gz",
    )
    columns = read_column_map((ROOT / "docs" / "columns" / "claims.yaml").read_text(encoding="utf-8"))
    cases = [
        one
        for _, one in zip(
            range(4_000), read_cases(data / "discharges_desynpuf_dev.csv.gz", columns, rules), strict=False
        )
    ]
    lines = list(group_lines(cases, rules, verify=4_000, batch=1_500))
    assert [one["row"] for one in lines] == list(range(2, 4_002))
    with gzip.open(data / "discharges_desynpuf_dev.csv.gz", "rt", encoding="utf-8") as file:
        assert [one["case_id"] for one in lines] == [
            row["case_id"] for _, row in zip(range(4_000), csv.DictReader(file), strict=False)
        ]
    assert sum(one.get("group_code") is not None for one in lines) > 50


def test_without_a_code_table_sound_codes_count_as_known(world: dict[str, Path]) -> None:
    rules = read_rules(world["catalog"])
    cases = [
        OfflineCase(1, "a", "K35.899", (), 0),
        OfflineCase(2, "b", "K35", (), 0),
        OfflineCase(3, "c", "A15.100", (), 0, HospitalFactor("", Decimal("0.5"))),
    ]
    lines = list(group_lines(cases, rules, verify=3))
    assert [(one["group_code"], one["reason"]) for one in lines] == [
        ("K35.8", "conservative_matched"),
        (None, "principal_diagnosis_unknown"),
        ("TB", "conservative_matched"),
    ]
    assert lines[2]["points"] == "350.0000"


def test_a_case_is_explained_in_both_languages_with_what_was_missing(
    world: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", *arguments(world, "catalog"), "--dx", "K35.800", "--px", "47.0100", "--cost", "100.00"]) == 0
    text = capsys.readouterr().out
    assert "缺少手术操作：54.2100。 The case lacks 54.2100." in text and "病例分值 points 1000.0000" in text
    assert run(["explain", *arguments(world, *ALL), "--file", str(world["cases"]), "--case", "c2", "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["chosen"], line["candidates"]) == (
        "outlier",
        [{"name": "normal", "points": "950.0000"}, {"name": "outlier", "points": "380.0000"}],
    )
    assert [one["rule"] for one in line["steps"]][-2:] == ["scoring.cost_outlier", "scoring.points"]
    assert {one["group_code"]: one["missing"] for one in line["rejected"]}["K35.8:47.0100_54.2100"] == [["54.2100"]]
    assert run(["explain", *arguments(world, *ALL), "--file", str(world["cases"]), "--case", "none"]) == 2


@pytest.mark.parametrize(
    ("row", "mode", "by_points", "told"),
    [
        (
            {"groups": "K35.8:47.0100", "mode": "single_disease"},
            "single_disease",
            False,
            "[payment_mode.table #1]：单病种定额 single disease；不以上列分值支付 not by the points above",
        ),
        ({"groups": "TB", "mode": "drg"}, "dip", True, "[payment_mode.table #2]：按病种分值 dip"),
        (
            {"departments": "A28", "mode": "per_diem"},
            None,
            None,
            "[payment_mode.table]：支付方式按科别确定，清单未载明",
        ),
    ],
)
def test_an_explanation_says_how_the_case_is_paid_where_a_table_is_given(
    row: dict[str, str],
    mode: str | None,
    by_points: bool | None,
    told: str,
    world: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blank = {"groups": "", "levels": "", "departments": "", "agreement_modes": "", "mode": "dip"}
    choices = tmp_path / "choices.yaml"
    choices.write_text(json.dumps({"payment_mode.table": [blank | row, blank]}), encoding="utf-8")
    order = [
        "explain",
        *arguments(world, *ALL),
        "--file",
        str(world["cases"]),
        "--case",
        "c2",
        "--choices",
        str(choices),
    ]
    assert run([*order, "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["payment_mode"]["mode"], line["payment_mode"]["by_points"]) == (mode, by_points)
    assert run(order) == 0
    assert told in capsys.readouterr().out


def test_choices_are_those_of_policy_by_name(world: dict[str, Path], tmp_path: Path) -> None:
    choices = tmp_path / "choices.yaml"
    choices.write_text(
        "scoring.outlier_method: coefficient_inside\nscoring.low_inclusive: true\ngrouping.tie_break: [higher_score, group_code]\n",
        encoding="utf-8",
    )
    rules = read_rules(world["catalog"], references=world["references"], hospitals=world["hospitals"], choices=choices)
    line = next(
        group_lines([OfflineCase(1, "a", "K35.800", ("47.0100",), 500_000, rules.hospitals["H1"])], rules, verify=1)
    )
    assert (line["band"], line["points"]) == ("low", "500.0000")
    for wrong in ("scoring.low: 1\n", "scoring.low_ratio: half\n", "grouping.tie_break: cheapest\n"):
        choices.write_text(wrong, encoding="utf-8")
        with pytest.raises(DataRefused):
            read_rules(world["catalog"], choices=choices)


def test_a_catalog_with_errors_groups_nothing(world: dict[str, Path]) -> None:
    world["catalog"].write_text(CATALOG.replace(",500,", ",-500,"), encoding="utf-8")
    with pytest.raises(DataRefused) as refused:
        read_rules(world["catalog"])
    assert [(one.code, one.where) for one in refused.value.refusals] == [("score_not_positive", "catalog row 2 score")]


def test_a_provisional_group_takes_what_the_catalog_does_not_until_its_day(
    world: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = tmp_path / "dated.csv"
    cases.write_text(
        "id,dx,px,cost,hospital,day\n"
        "p1,K36.x00,54.2100,1000.00,H1,2026-03-31\n"
        "p2,K36.x00,54.2100,1000.00,H1,2026-04-01\n"
        "p3,K36.x00,47.0100|54.2100,1000.00,H1,2026-03-31\n"
        "p4,K36.x00,54.2100,1000.00,H1,\n",
        encoding="utf-8",
    )
    columns = tmp_path / "dated.yaml"
    columns.write_text(MAP + "discharge_date: {column: day, formats: ['%Y-%m-%d']}\n", encoding="utf-8")
    groups = tmp_path / "provisional.csv"
    header = "group_code,diagnosis,procedures,name,score,first,last,document\n"
    groups.write_text(
        f"{header}LS1,K36,54.2100,其他阑尾炎,320,2026-01-01,2026-03-31,纪要〔2026〕1号\n", encoding="utf-8"
    )
    given = ["--catalog", str(world["catalog"]), "--columns", str(columns), *arguments(world, *ALL[2:])]
    order = ["group", str(cases), *given, "--provisional", str(groups), "--explain"]
    assert run(order) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    # 320 × 0.95; p3 has a surgical procedure and is the comprehensive group's, which the provisional one never contends with.
    assert [(one["case_id"], one["group_code"], one["reason"], one.get("points")) for one in lines] == [
        ("p1", "LS1", "provisional_matched", "304.0000"),
        ("p2", None, "no_group_for_procedures", None),
        ("p3", "K36手术", "comprehensive_matched", "380.0000"),
        ("p4", None, "no_group_for_procedures", None),
    ]
    step = next(one for one in lines[0]["steps"] if one["rule"] == "grouping.provisional_matched")
    assert (step["document"], step["values"]["last"]) == ("纪要〔2026〕1号", "2026-03-31")
    groups.write_text(
        f"{header}K35.8,K36,54.2100,甲,320,2026-01-01,2026-03-31,\nLS2,K3,,乙,0,2026-01-01,2025-03-31,\n",
        encoding="utf-8",
    )
    with pytest.raises(DataRefused) as refused:
        read_rules(world["catalog"], provisional=groups)
    assert [one.code for one in refused.value.refusals] == ["provisional_row", "provisional_code_taken"]
