"""The national policy files, and files that must not read (国家策略文件)."""

from __future__ import annotations

from datetime import date

import pytest

from fenzhi.rules.policy.fields import Standing, Unit
from fenzhi.rules.policy.resolved import resolve
from fenzhi.store.policy_files import PolicyFilesBroken, national_policy, read_policy_files

GOOD = """\
name: deposit
title: Deposit
zh: 保证金
prefix: deposit
fields:
  rate: {unit: ratio, zh: 比例, en: rate, maximum: "0.05", national_default: true}
values:
  - effective_from: 2025-01-01
    set: {rate: "0.05"}
    source: {document: 规程, part: 第二十六条, issued_on: 2025-01-26, standing: in_force}
    gist: 不高于百分之五。
"""


def faults(text: str) -> list[str]:
    with pytest.raises(PolicyFilesBroken) as broken:
        read_policy_files([("clearing/deposit.yaml", text)])
    return [str(fault) for fault in broken.value.faults]


def test_the_package_carries_files_that_read() -> None:
    policy = national_policy()
    keys = {field.key for field in policy.fields}
    assert {
        "grouping.dx_granularity_order",
        "grouping.tie_break",
        "scoring.outlier_method",
        "catalog.year_weights",
        "point_value.budget_weights",
        "clearing.share_method",
        "presettlement.method",
        "quarter.mode",
        "deposit.rate",
        "assessment.acts_on",
        "submission.insurance_types",
        "scorecard.lights",
        "special_case.cap_ratio",
    } <= keys
    assert all(value.document.title and (value.document.excerpt or value.document.gist) for value in policy.values)
    assert policy.field("grouping.tie_break").last_item == "group_code"


def test_national_defaults_are_the_ones_a_text_grants() -> None:
    policy = national_policy()
    resolved = resolve(policy.fields, policy.values, date(2025, 3, 31))
    assert resolved.text("scoring.low_ratio") == "0.5" and resolved.flag("scoring.low_inclusive") is False
    assert resolved.text("scoring.high_ratio") == "2" and resolved.flag("scoring.high_inclusive") is False
    assert resolved.text("scoring.extreme_ratio") == "5"
    assert resolved.list("catalog.year_weights") == ("1", "2", "7")
    assert resolved.integer("catalog.core_threshold") == 15
    assert resolved.integer("submission.upload_days") == 7
    assert resolved.document("scoring.low_ratio").standing is Standing.SECONDARY
    missing = {field.key for field in resolved.not_entered()}
    assert {"deposit.rate", "scoring.ungrouped_method", "grouping.tie_break", "presettlement.prepay_ratio"} <= missing
    assert missing.isdisjoint({"clearing.share_method", "quarter.mode", "clearing.phi_account_cap"})


def test_a_field_of_the_good_file_reads_exactly() -> None:
    policy = read_policy_files([("clearing/deposit.yaml", GOOD)])
    (value,) = policy.values
    assert policy.fields[0].unit is Unit.RATIO
    assert value.content is not None and value.content.scalar == "0.05"
    assert (value.effective_from, value.document.issued_on) == (date(2025, 1, 1), date(2025, 1, 26))


@pytest.mark.parametrize(
    ("before", "after", "place", "says"),
    [
        ('{rate: "0.05"}', "{rate: 0.05}", "9:17", "quotation marks: 0.05"),
        ('{rate: "0.05"}', '{rate: "0.06"}', "9:17", "must lie between"),
        ('{rate: "0.05"}', '{ratio: "0.05"}', "9:18", "deposit.ratio is not defined"),
        ("unit: ratio", "unit: percent", "6:16", "unknown unit percent"),
        ("zh: 比例,", "zh: 比例, note: x,", "6:37", "unknown field note"),
        ("2025-01-01", "2025-13-01", "8:21", "YYYY-MM-DD"),
        ("standing: in_force", "standing: rumour", "10:74", "unknown standing"),
        (", issued_on: 2025-01-26", "", "10:13", "needs issued_on"),
        ("    gist: 不高于百分之五。\n", "", "8:5", "an excerpt or a gist is missing"),
        ("national_default: true", "national_default: false", "6:3", "national_default false"),
        ("prefix: deposit\n", "", "1:1", "missing: prefix"),
        ("values:", "values: [", "", "not YAML"),
        ("rate: {unit", "rate: 1\n  rate: {unit", "7:3", "stands twice"),
    ],
)
def test_each_fault_is_named_with_its_place(before: str, after: str, place: str, says: str) -> None:
    assert before in GOOD
    found = faults(GOOD.replace(before, after))
    assert any(f"clearing/deposit.yaml:{place}" in fault and says in fault for fault in found), found


def test_all_faults_of_all_files_are_found_at_once() -> None:
    bad = GOOD.replace('{rate: "0.05"}', "{rate: 0.05}").replace("2025-01-01", "soon")
    with pytest.raises(PolicyFilesBroken) as broken:
        read_policy_files([("a.yaml", bad), ("b.yaml", GOOD), ("c.yaml", GOOD)])
    files = [fault.file for fault in broken.value.faults]
    assert files.count("a.yaml") == 2 and "c.yaml" in files
