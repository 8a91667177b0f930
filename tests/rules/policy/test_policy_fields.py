"""Values as entered, each fault by its code (策略参数校验)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fenzhi.rules.policy.fields import PolicyContent, PolicyField, Unit, plain_content, read_content

RATE = PolicyField(
    "deposit.rate",
    Unit.RATIO,
    "质量保证金比例",
    "deposit rate",
    minimum=Decimal(0),
    maximum=Decimal("0.05"),
    limit_document="规程第二十六条",
)
MODE = PolicyField("quarter.mode", Unit.METHOD, "方式", "mode", allowed=("cumulative", "stand_alone"))
TIES = PolicyField(
    "grouping.tie_break",
    Unit.LIST,
    "多组判定",
    "tie-break",
    allowed=("higher_score", "group_code"),
    last_item="group_code",
)
WEIGHTS = PolicyField("w.w", Unit.WEIGHTS, "权重", "weights")
TYPES = PolicyField("s.t", Unit.MAP, "险种", "types", allowed=("employee", "resident"))
LIGHTS = PolicyField("c.l", Unit.TABLE, "界限", "limits", columns=("indicator", "green"))
DAYS = PolicyField("s.d", Unit.DAYS, "天数", "days", minimum=Decimal(1))
AMOUNT = PolicyField("c.a", Unit.YUAN, "金额", "amount")
FLAG = PolicyField("s.f", Unit.FLAG, "是否", "flag")


@pytest.mark.parametrize(
    ("field", "plain", "code"),
    [
        (RATE, 0.05, "POLICY_VALUE_SHAPE"),
        (RATE, "5%", "POLICY_VALUE_UNIT"),
        (RATE, "1e-2", "POLICY_VALUE_UNIT"),
        (RATE, "0.0500001", "POLICY_VALUE_RANGE"),
        (RATE, "-0.01", "POLICY_VALUE_RANGE"),
        (MODE, "yearly", "POLICY_METHOD_UNKNOWN"),
        (TIES, ["group_code", "higher_score"], "POLICY_VALUE_UNIT"),
        (TIES, ["nearest", "group_code"], "POLICY_METHOD_UNKNOWN"),
        (TIES, ["group_code", "group_code"], "POLICY_VALUE_UNIT"),
        (TIES, [], "POLICY_VALUE_SHAPE"),
        (WEIGHTS, ["1", "-2"], "POLICY_VALUE_UNIT"),
        (WEIGHTS, ["0", "0"], "POLICY_VALUE_UNIT"),
        (WEIGHTS, [1, 2], "POLICY_VALUE_SHAPE"),
        (TYPES, {"310": "worker"}, "POLICY_METHOD_UNKNOWN"),
        (TYPES, {310: "employee"}, "POLICY_VALUE_SHAPE"),
        (LIGHTS, [{"indicator": "cmi"}], "POLICY_VALUE_SHAPE"),
        (LIGHTS, [{"indicator": "cmi", "green": 1}], "POLICY_VALUE_SHAPE"),
        (DAYS, "0", "POLICY_VALUE_RANGE"),
        (DAYS, "7.5", "POLICY_VALUE_UNIT"),
        (AMOUNT, "1.234", "POLICY_VALUE_UNIT"),
        (FLAG, "yes", "POLICY_VALUE_UNIT"),
    ],
)
def test_each_fault_has_its_code(field: PolicyField, plain: object, code: str) -> None:
    _, refusals = read_content(field, plain)
    assert [refusal.code for refusal in refusals] == [code]
    assert refusals[0].where == field.key


def test_the_limit_names_the_article_that_sets_it() -> None:
    _, refusals = read_content(RATE, "0.06", "values[0]")
    assert "规程第二十六条" in refusals[0].zh and "规程第二十六条" in refusals[0].en
    assert (refusals[0].where, refusals[0].saw) == ("values[0]", "0.06")


@pytest.mark.parametrize(
    ("field", "plain"),
    [
        (RATE, "0.05"),
        (MODE, "stand_alone"),
        (TIES, ["higher_score", "group_code"]),
        (WEIGHTS, ["1", "2.5", "0"]),
        (TYPES, {"310": "employee", "390": "resident"}),
        (LIGHTS, [{"indicator": "cmi", "green": "[1,)"}]),
        (DAYS, "7"),
        (AMOUNT, "1.20"),
        (FLAG, "true"),
    ],
)
def test_a_good_value_leaves_as_it_entered(field: PolicyField, plain: object) -> None:
    content, refusals = read_content(field, plain)
    assert refusals == ()
    assert plain_content(field, content) == plain
    assert content != PolicyContent()
