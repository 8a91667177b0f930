"""Golden cases agree to the digit, and anything else is told with file, case, expected and got (黄金用例)."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from fenzhi.cli.golden import golden, run_golden, work_case
from fenzhi.cli.golden_files import GoldenCase, Names, Tree, read_golden_file
from fenzhi.cli.golden_rules import RULES, Result
from fenzhi.cli.main import run

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FILES = sorted(HERE.rglob("*.yaml"))

GOOD = """\
rule: clearing.apportion
source: {document: 自拟}
cases:
  - name: 三家等额
    given: {total: "10000000.01", weights: {H3: "1", H1: "1", H2: "1"}}
    expect: {shares: {H1: "3333333.34", H3: "3333333.33"}}
"""


def test_every_case_of_the_project_agrees() -> None:
    report = run_golden(HERE)
    assert (report.mismatches, report.faults, report.exit_code) == ((), (), 0)
    assert report.files == len(FILES) and report.passed == report.cases >= 50


def test_every_rule_has_a_case() -> None:
    used = {read_golden_file(path.name, path.read_text(encoding="utf-8")).rule for path in FILES}
    assert used == set(RULES)


def altered(tree: Tree) -> list[Tree]:
    """Every tree that differs from this one in the last digit of one value."""
    if isinstance(tree, str):
        digits = [place for place, sign in enumerate(tree) if sign.isdigit()]
        if not digits:
            return []
        place = digits[-1]
        return [tree[:place] + str((int(tree[place]) + 1) % 10) + tree[place + 1 :]]
    if isinstance(tree, dict):
        return [{**tree, key: other} for key, part in tree.items() for other in altered(part)]
    return [[*tree[:place], other, *tree[place + 1 :]] for place, part in enumerate(tree) for other in altered(part)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_one_digit_altered_in_any_expected_value_is_found(path: Path) -> None:
    golden_file = read_golden_file(path.name, path.read_text(encoding="utf-8"))
    tried = 0
    for case in golden_file.cases:
        for other in altered(case.expect):
            assert isinstance(other, dict)
            changed = GoldenCase(case.name, case.line, case.given, case.policy, other, case.places)
            wrong = [(name, due, got) for name, due, got in work_case(RULES[golden_file.rule], changed) if due != got]
            assert len(wrong) == 1, (case.name, other)
            tried += 1
    assert tried >= 1


def test_one_digit_altered_in_a_file_exits_2_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD.replace("3333333.34", "3333333.35"), encoding="utf-8")
    assert golden(tmp_path, as_json=True) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["mismatches"] == [
        {
            "file": "mine.yaml",
            "case": "三家等额",
            "rule": "clearing.apportion",
            "name": "shares.H1",
            "expected": "3333333.35",
            "got": "3333333.34",
        }
    ]
    assert (report["cases"], report["passed"], report["exit_code"]) == (1, 0, 2)
    assert golden(tmp_path) == 2
    assert "mine.yaml: 三家等额: shares.H1: 应为 expected 3333333.35, 实为 got 3333333.34" in capsys.readouterr().err


def test_the_command_line_runs_a_folder_and_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert run(["golden", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] == 1
    assert run(["golden", str(path)]) == 0
    assert "1/1" in capsys.readouterr().out
    path.write_text(GOOD.replace('H3: "3333333.33"', "H3: 3333333.32"), encoding="utf-8")
    assert run(["golden", str(tmp_path), "--json"]) == 2


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("clearing.apportion", "clearing.magic", "unknown rule 'clearing.magic'"),
        ("source: {document: 自拟}\n", "", "'source' is missing"),
        ("cases:", "kases:", "unknown field 'kases'"),
        ("name: 三家等额", "name: ''", "name must be a text"),
        ("total:", "totl:", "given.total is missing"),
        ('total: "10000000.01"', 'total: "10000000.01", spare: 1', "does not know: spare"),
        ("10000000.01", "1e7", "given.total must be an amount"),
        ('H3: "1",', 'H3: "１",', "given.weights.H3 must be a plain decimal"),
        ('expect: {shares: {H1: "3333333.34", H3: "3333333.33"}}', "expect: {}", "must expect something"),
        ('expect: {shares: {H1: "3333333.34", H3: "3333333.33"}}', "expect: {shares: {}}", "expects nothing"),
        ("    given", "    given: {}\n    given", "stands twice"),
        ("rule:", "rule: [", "not YAML"),
        ("    given", "    policy: {basis: pooled}\n    given", "policy has values this rule does not know: basis"),
        ("    given", "    places: {shares: many}\n    given", "must be 0 to 12"),
    ],
)
def test_a_file_that_does_not_fit_is_a_fault_with_its_line(tmp_path: Path, before: str, after: str, says: str) -> None:
    assert before in GOOD
    (tmp_path / "mine.yaml").write_text(GOOD.replace(before, after, 1), encoding="utf-8")
    report = run_golden(tmp_path)
    assert report.exit_code == 2 and report.mismatches == ()
    (fault,) = report.faults
    assert says in fault.says and fault.file == "mine.yaml" and fault.line >= 1


def test_a_folder_without_cases_and_a_missing_one_exit_2(tmp_path: Path) -> None:
    assert golden(tmp_path) == 2
    assert golden(tmp_path / "nowhere") == 2


def test_an_expected_name_that_does_not_exist_is_a_difference(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD.replace("{H1:", "{H9:"), encoding="utf-8")
    (one,) = (one for one in run_golden(tmp_path).mismatches if one.name == "shares.H9")
    assert one.got == "no such value"


def test_a_rounded_value_must_say_that_it_is_rounded(tmp_path: Path) -> None:
    text = (HERE / "worked" / "national" / "point_value_budget.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.replace('places: {point_value: "3"}', "places: {}"), encoding="utf-8")
    (one,) = run_golden(tmp_path).mismatches
    assert one.name == "point_value" and "9800/989" in one.got and "places" in one.got


def test_unquoted_numbers_are_read_as_their_text(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(GOOD.replace('"', ""), encoding="utf-8")
    assert run_golden(tmp_path).exit_code == 0


def test_the_guide_names_every_rule_and_every_value() -> None:
    guide = (ROOT / "docs" / "golden.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in guide.splitlines() if line.startswith("| `")}
    assert set(rows) == set(RULES)
    for path in FILES:
        golden_file = read_golden_file(path.name, path.read_text(encoding="utf-8"))
        row = rows[golden_file.rule] + rows["clearing.quarter"] + rows["clearing.shares"]
        for case in golden_file.cases:
            for name in (*case.given, *case.policy):
                assert f"`{name}`" in row, (golden_file.rule, name)


def worked_examples() -> dict[str, dict[str, dict[str, object]]]:
    shared = Path(os.environ.get("FENZHI_SHARED", ROOT.parent / "shared")) / "worked-examples.json"
    if not shared.exists():
        if os.environ.get("FENZHI_REQUIRE_SHARED") == "1":
            pytest.fail("the shared worked examples are required and absent")
        pytest.skip("the shared worked examples are absent")
    examples = json.loads(shared.read_text(encoding="utf-8"), parse_float=Decimal, parse_int=Decimal)
    return {one["id"]: one for one in examples}


def worked(rule: str, given: dict[str, object], policy: dict[str, object] | None = None) -> dict[str, Result]:
    def tree(part: object) -> Tree:
        if isinstance(part, dict):
            return {key: tree(value) for key, value in part.items()}
        if isinstance(part, list):
            return [tree(value) for value in part]
        return format(part, "f") if isinstance(part, Decimal) else str(part)

    plain_given, plain_policy = tree(given), tree(policy or {})
    assert isinstance(plain_given, dict) and isinstance(plain_policy, dict)
    return dict(RULES[rule](Names(plain_given, "given"), Names(plain_policy, "policy")))


def test_the_published_examples_come_out_as_printed() -> None:
    examples = worked_examples()

    def inputs(code: str) -> dict[str, object]:
        return examples[code]["inputs"]

    def expected(code: str, name: str) -> Fraction:
        return Fraction(Decimal(str(examples[code]["expected"][name])))

    nine = inputs("WE-09")
    assert worked("catalog.weighted_mean", {"mean_cost": nine["mean_cost"]}, {"weights": nine["weights"]})[
        "mean"
    ] == expected("WE-09", "m")
    eleven = inputs("WE-11")
    given = {"mean_cost": eleven["m_i"], "reference": eleven["M"]}
    assert worked("catalog.score", given, {"scale": eleven["scale"], "score_places": "2"})["score"] == expected(
        "WE-11", "score"
    )
    for code, band in (("WE-18", "high"), ("WE-19", "low")):
        one = inputs(code)
        result = worked(
            "scoring.cost_outliers",
            {
                "score": one["score"],
                "cost": one["case_cost"],
                "reference_mean": one["ref_mean_cost_same_level"],
                "hospital_coefficient": one["hospital_coef"],
            },
        )
        assert (result["band"], result["case_score"]) == (band, expected(code, "case_score"))
    for score_code, score in dict(inputs("WE-14")["scores"]).items():  # type: ignore[call-overload]
        result = worked("point_value.payment", {"score": score, "point_value": inputs("WE-14")["unit_value"]})
        assert result["standard"] == expected("WE-14", score_code)
    thirty = inputs("WE-30")
    result = worked(
        "point_value.settlement",
        {
            "fund": thirty["fund_for_dip"],
            "fund_ratio": thirty["fund_payment_ratio"],
            "total_points": thirty["total_score"],
        },
    )
    assert result["point_value"] == expected("WE-30", "pv")
    month = inputs("WE-35")
    result = worked(
        "clearing.month",
        {
            "points": month["month_score"],
            "point_value": month["rate"],
            "other_payers": month["patient_paid"],
            "deductions": month["audit_deduction"],
        },
        {"method": "sp_minus_patient", "prepay_ratio": month["prepay_ratio"]},
    )
    assert result["payable"] == expected("WE-35", "payable")
    result = worked("scorecard.indexes", {"cases": inputs("WE-45")["cases"]})
    assert result == {"time_index": expected("WE-45", "time_index"), "cost_index": expected("WE-45", "cost_index")}
