"""The published examples of money come out as printed (资金类公开算例), read from the shared list as decimal text."""

from __future__ import annotations

import json
import os
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from fenzhi.cli.golden_files import Names, Tree
from fenzhi.cli.golden_rules import RULES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def examples() -> dict[str, dict[str, Any]]:
    shared = Path(os.environ.get("FENZHI_SHARED", ROOT.parent / "shared")) / "worked-examples.json"
    if not shared.exists():
        if os.environ.get("FENZHI_REQUIRE_SHARED") == "1":
            pytest.fail("the shared worked examples are required and absent")
        pytest.skip("the shared worked examples are absent")
    found = json.loads(shared.read_text(encoding="utf-8"), parse_float=Decimal, parse_int=Decimal)
    return {one["id"]: one for one in found}


def tree(part: Any) -> Tree:
    if isinstance(part, dict):
        return {key: tree(value) for key, value in part.items()}
    if isinstance(part, list):
        return [tree(value) for value in part]
    return format(part, "f") if isinstance(part, Decimal) else str(part)


def worked(rule: str, given: dict[str, Any], policy: dict[str, Any] | None = None) -> Any:
    plain, chosen = tree(given), tree(policy or {})
    assert isinstance(plain, dict) and isinstance(chosen, dict)
    names = Names(plain, "given"), Names(chosen, "policy")
    result = RULES[rule](*names)
    for one in names:
        one.finish()
    return result


def exact(value: Any) -> Fraction:
    return Fraction(Decimal(str(value)))


def test_coefficients(examples: dict[str, dict[str, Any]]) -> None:
    one = examples["WE-26"]["inputs"]
    above = {"cmi": "cmi", "child": "child_share", "elderly": "elderly_share", "tcm": "tcm_cost_share"}
    bonuses = {
        name: {"above": one[f"{key}_above_mean_pct"], "step": one["steps_pct"][name], "cap": one["caps"][name]}
        | ({"entry": "0.01"} if name == "elderly" else {})
        for name, key in above.items()
    }
    for shape in ("steps", "linear"):
        found = worked("scoring.coefficient_bonus", {"base": one["L0"], "bonuses": bonuses}, {"shape": shape})
        due = examples["WE-26"]["expected"]
        assert list(found["bonuses"].values()) == [exact(due[name]) for name in ("L1", "L2a", "L2b", "L3")]
        assert found["coefficient"] == exact(due["coef"])
    two = examples["WE-28"]["inputs"]
    found = worked(
        "scoring.tcm_bonus",
        {"score": two["case_score"], "tcm_cost": two["tcm_cost"], "total_cost": two["total_cost"]},
        {"threshold": two["threshold"], "bonus": two["bonus"]},
    )
    assert found["case_score"] == exact(examples["WE-28"]["expected"]["case_score"])


def test_point_values(examples: dict[str, dict[str, Any]]) -> None:
    one = examples["WE-31"]["inputs"]
    found = worked(
        "point_value.basis", {"fund": one["fund"], "fund_ratio": one["ratio"], "total_points": one["total_score"]}
    )
    assert found["fund"] == exact(examples["WE-31"]["expected"]["vendor_pv"])
    assert round(found["total_cost"], 4) == exact(examples["WE-31"]["expected"]["national_pv"])
    two = examples["WE-33"]["inputs"]
    found = worked(
        "point_value.elastic",
        {
            "total": two["region_total"],
            "baseline_points": two["baseline_points"],
            "fixed": two["fixed_pv"],
            "increment_points": two["increment_points"],
        },
        {"cap": two["float_cap"]},
    )
    due = examples["WE-33"]["expected"]
    names = ("baseline_total", "increment_pool", "floating")
    assert [found[name] for name in names] == [
        exact(due[name]) for name in ("baseline_total", "increment_pool", "floating_pv")
    ]


def test_the_year(examples: dict[str, dict[str, Any]]) -> None:
    one, two = examples["WE-37"]["inputs"], examples["WE-38"]["inputs"]
    hospital = {
        "points": one["sum_score"],
        "fund_ratio": one["fund_ratio"],
        "assessment_coefficient": one["assessment_coef"],
        "deductions": one["audit_deduction"],
        "payments_recorded": two["monthly_paid"],
        "advance": two["working_capital_advance"],
    }
    fund = one["sum_score"] * one["pv"] * one["fund_ratio"]
    found = worked("clearing.year", {"fund": str(fund.quantize(Decimal("0.01"))), "hospitals": {"H": hospital}})
    assert found["hospitals"]["H"]["gross"] == exact(examples["WE-37"]["expected"]["gross"])
    assert found["hospitals"]["H"]["cleared"] == exact(examples["WE-37"]["expected"]["payable"])
    assert found["hospitals"]["H"]["final"] == exact(examples["WE-38"]["expected"]["final"])


def test_bands(examples: dict[str, dict[str, Any]]) -> None:
    one = examples["WE-39"]["inputs"]
    plain = [{"upto": "1", "share": "1"}, {"share": "0"}]
    found = worked(
        "clearing.bands", {"payable": one["dip_payable"], "booked": one["booked_after_audit"]}, {"bands": plain}
    )
    assert found["balance"] == exact(examples["WE-39"]["expected"]["balance"]) > 0
    two = examples["WE-40"]["inputs"]
    rows = [{"upto": "1", "share": "1"}]
    for edge, share in two["bands"]:
        rows.append({"share": str(share)} if edge is None else {"upto": str(1 + edge), "share": str(share)})
    found = worked("clearing.bands", {"payable": two["standard"], "booked": two["actual"]}, {"bands": rows})
    assert found["fund_share"] == exact(examples["WE-40"]["expected"]["fund_share"])
    assert found["hospital_share"] == exact(examples["WE-40"]["expected"]["hospital_share"])
    three = examples["WE-41"]["inputs"]
    rows = [{"upto": "1", "share": str(three["under_reward_rate"])}]
    for edge, share in three["over_bands"]:
        rows.append({"share": str(share)} if edge is None else {"upto": str(1 + edge), "share": str(share)})
    policy = {"bands": rows, "surplus_cap": three["under_reward_cap_of_quota"]}
    over = worked("clearing.bands", {"payable": three["quota"], "booked": three["actual_over"]}, policy)
    under = worked("clearing.bands", {"payable": three["quota"], "booked": three["actual_under"]}, policy)
    assert over["fund_share"] == exact(examples["WE-41"]["expected"]["fund_share_over"])
    assert under["kept"] == exact(examples["WE-41"]["expected"]["reward_under"])


def test_reviews_advances_modes_and_dates(examples: dict[str, dict[str, Any]]) -> None:
    one = examples["WE-42"]["inputs"]
    found = worked(
        "review.cap",
        {"discharges": {f"H{n}": each for n, each in enumerate(one["discharges_by_hospital"])}},
        {"cap_ratio": one["cap"]},
    )
    due = examples["WE-42"]["expected"]
    assert (found["cap"], found["sum_of_hospital_floors"]) == (due["regional_cap"], due["sum_of_hospital_floors"])
    two = examples["WE-43"]["inputs"]
    for name in ("dip", "drg"):
        found = worked("review.cap", {"discharges": {"all": two["discharges"]}}, {"cap_ratio": two[f"{name}_cap"]})
        assert found["cap"] == exact(examples["WE-43"]["expected"][name])
    three = examples["WE-46"]["inputs"]
    found = worked("fund.advance", {"annual_fund": three["annual_dip_fund"]}, {"months": three["months"]})
    assert found["advance"] == exact(examples["WE-46"]["expected"]["prepayment"])
    four = examples["WE-56"]["inputs"]
    secondary = four["secondary_hospital"]
    share = worked(
        "payment_modes.critical_share",
        {"cases": secondary["cases"], "critical": secondary["critical"]},
        {"cap": secondary["cap"]},
    )
    assert share["share"] * 100 == exact(examples["WE-56"]["expected"]["critical_share_pct"])
    assert share["over_cap"] == "true"
    mean = four["prior_mean"] * (1 + four["mean_cost_growth"])
    growth = worked(
        "payment_modes.mean_cost_growth",
        {"cost": str(mean.quantize(Decimal("0.01"))), "cases": "1", "prior_mean": four["prior_mean"]},
        {"cap": four["growth_cap"]},
    )
    assert growth["withheld_per_case"] == exact(examples["WE-56"]["expected"]["withheld_per_case"])
    five = examples["WE-59"]["inputs"]
    paid = worked(
        "payment_modes.icu_days",
        {"score": five["case_score"], "point_value": five["pv"], "icu_days": five["icu_days"]},
        {"days_included": five["icu_days_included"], "day_rate": five["icu_day_rate"]},
    )
    assert paid["pay"] == exact(examples["WE-59"]["expected"]["pay"])
    for year, day in examples["WE-60"]["expected"].items():
        assert worked("deadlines.annual_clearing", {"year": year})["due"] == day


WORKED = sorted((ROOT / "tests" / "golden" / "worked").rglob("*.yaml"))
EXAMPLES = [f"WE-{number}" for number in (*range(25, 47), 56, 59, 60)]
RULE_NUMBERS = {
    "3, shares by hospital ratios": ("clearing_shares.yaml", ["700000000.00", "456521739.13", "243478260.87"]),
    "4, nested largest remainder": ("clearing_apportion.yaml", ["10000000.01", "3333333.34", "3333333.33"]),
    "5, year to date": ("point_value_fund_ytd.yaml", []),
    "6, a month": ("clearing_month.yaml", ["not_prepaid", "cash_cut"]),
    "7, cleared and final": ("clearing_final.yaml", ["17100000"]),
    "7, deposit": ("clearing_deposit.yaml", ["0.05"]),
    "9, bonuses pro rata": ("clearing_bonuses.yaml", []),
    "10, assessment 0.98": ("clearing_year.yaml", ["17500000.00", "50000.00", "17100000.00", "350000.00"]),
    "12, exactly 2 times": ("scoring_cost_outliers.yaml", ["20000", "1425"]),
    "17, five per mille": ("review_cap.yaml", ["617"]),
    "20, quarters add up": ("clearing_quarters.yaml", []),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_money_example_is_a_golden_case_with_its_source(example: str) -> None:
    """A file says which examples it works in its first line, and where its numbers come from."""
    found = [path for path in WORKED if re.search(rf"{example}\b", path.read_text(encoding="utf-8"))]
    assert found, example
    for path in found:
        assert re.search(r"^source: \{document: .+\}$", path.read_text(encoding="utf-8"), re.MULTILINE), path.name


@pytest.mark.parametrize("rule", RULE_NUMBERS)
def test_every_number_of_the_money_rules_is_a_golden_case(rule: str) -> None:
    name, numbers = RULE_NUMBERS[rule]
    text = next(path for path in WORKED if path.name == name).read_text(encoding="utf-8")
    assert [number for number in numbers if number not in text] == []


def test_a_point_value_rounded_first_leaves_what_the_example_says(examples: dict[str, dict[str, Any]]) -> None:
    """WE-32, both readings: paid at the printed value the pool is short by the residual; apportioned it is not."""
    one, due = examples["WE-32"]["inputs"], examples["WE-32"]["expected"]
    given = {"fund": one["fund"], "points": {"A": one["total_score"]}, "fund_ratio": one["ratio"]}
    printed = {"printed_decimals": one["pv_decimals"], "pay_by": "printed_point_value", "rounding_balance": "27.50"}
    rounded = worked("clearing.shares", given, printed)
    assert rounded["gross"]["A"] == exact(due["distributed"])
    assert rounded["rounding"] == exact(due["residual"])
    whole = worked("clearing.shares", given, {"printed_decimals": one["pv_decimals"]})
    assert (whole["gross"]["A"], whole["remainder"]["A"]) == (exact(one["fund"]), exact(due["residual"]))
