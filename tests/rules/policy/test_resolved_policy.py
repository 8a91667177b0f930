"""Layering, dating, refusing, fingerprinting of policy values (策略取值)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.policy.fields import Layer, PolicyContent, PolicyDocument, PolicyField, PolicyValue, Unit
from fenzhi.rules.policy.resolved import PolicyNotEntered, ResolvedPolicy, from_canonical, resolve
from fenzhi.rules.refusals import Conflict

FIELDS = (
    PolicyField("scoring.low_ratio", Unit.RATIO, "过低界限", "low edge", national_default=True),
    PolicyField("deposit.rate", Unit.RATIO, "质量保证金比例", "deposit rate", entered_by=Layer.AREA),
    PolicyField("clearing.offset_limit_amount", Unit.YUAN, "抵扣限额", "offset limit", optional=True),
    PolicyField("quarter.mode", Unit.METHOD, "季度清算方式", "quarter mode", allowed=("cumulative", "stand_alone")),
    PolicyField("point_value.budget_weights", Unit.WEIGHTS, "权重", "weights"),
    PolicyField("submission.insurance_types", Unit.MAP, "险种", "insurance types"),
    PolicyField("scorecard.lights", Unit.TABLE, "界限", "limits", columns=("indicator", "green")),
    PolicyField("scoring.low_inclusive", Unit.FLAG, "含等于", "inclusive"),
    PolicyField("point_value.decimals", Unit.PLACES, "小数位数", "decimals"),
)
PAPER = PolicyDocument("某文件", date(2024, 12, 1), "第一条")
ON = date(2025, 6, 30)


def value(
    key: str,
    content: PolicyContent | str | None,
    layer: Layer = Layer.NATION,
    since: date = date(2025, 1, 1),
    insurance: str = "",
    sequence: int = 0,
) -> PolicyValue:
    exact = PolicyContent(scalar=content) if isinstance(content, str) else content
    return PolicyValue(key, layer, since, exact, PAPER, insurance, sequence)


def resolved(*values: PolicyValue, on: date = ON, insurance: str = "") -> ResolvedPolicy:
    return resolve(FIELDS, values, on, insurance=insurance)


def test_a_lower_layer_wins_field_by_field() -> None:
    policy = resolved(
        value("scoring.low_ratio", "0.5"),
        value("scoring.low_ratio", "0.4", Layer.PROVINCE),
        value("deposit.rate", "0.05", Layer.PROVINCE),
        value("deposit.rate", "0.03", Layer.AREA),
    )
    assert policy.decimal("scoring.low_ratio") == Decimal("0.4")
    assert policy.fraction("deposit.rate") == Fraction(3, 100)
    assert (policy.layer("scoring.low_ratio"), policy.layer("deposit.rate")) == (Layer.PROVINCE, Layer.AREA)
    assert str(policy.document("deposit.rate")) == "某文件 第一条"


def test_a_value_applies_from_its_day_on() -> None:
    values = (value("deposit.rate", "0.05"), value("deposit.rate", "0.04", since=date(2025, 7, 1)))
    assert resolved(*values, on=date(2025, 6, 30)).text("deposit.rate") == "0.05"
    assert resolved(*values, on=date(2025, 7, 1)).text("deposit.rate") == "0.04"


def test_an_older_value_of_a_lower_layer_still_wins() -> None:
    policy = resolved(
        value("deposit.rate", "0.02", Layer.AREA, since=date(2024, 1, 1)),
        value("deposit.rate", "0.05", Layer.NATION, since=date(2025, 6, 1)),
    )
    assert policy.text("deposit.rate") == "0.02"


def test_a_value_for_one_insurance_wins_in_its_layer_only() -> None:
    values = (
        value("deposit.rate", "0.05", Layer.PROVINCE),
        value("deposit.rate", "0.04", Layer.PROVINCE, insurance="resident"),
    )
    assert resolved(*values, insurance="resident").text("deposit.rate") == "0.04"
    assert resolved(*values, insurance="employee").text("deposit.rate") == "0.05"
    area = value("deposit.rate", "0.01", Layer.AREA)
    assert resolved(*values, area, insurance="resident").text("deposit.rate") == "0.01"


def test_a_withdrawn_value_lets_the_layer_above_speak() -> None:
    values = (
        value("deposit.rate", "0.05", Layer.PROVINCE),
        value("deposit.rate", "0.01", Layer.AREA),
        value("deposit.rate", None, Layer.AREA, since=date(2025, 3, 1)),
    )
    assert resolved(*values, on=date(2025, 2, 28)).text("deposit.rate") == "0.01"
    assert resolved(*values, on=date(2025, 3, 1)).text("deposit.rate") == "0.05"


def test_the_later_publication_of_a_day_wins_and_a_true_tie_is_refused() -> None:
    first, second = value("deposit.rate", "0.05", sequence=1), value("deposit.rate", "0.04", sequence=2)
    assert resolved(first, second).text("deposit.rate") == "0.04"
    with pytest.raises(Conflict) as tie:
        resolved(value("deposit.rate", "0.05"), value("deposit.rate", "0.04"))
    assert tie.value.code == "POLICY_AMBIGUOUS"


def test_a_value_nobody_entered_is_refused_by_name() -> None:
    with pytest.raises(PolicyNotEntered) as missing:
        resolved().fraction("deposit.rate")
    error = missing.value
    assert error.code == "POLICY_NOT_ENTERED"
    assert error.details == {
        "key": "deposit.rate",
        "name": "质量保证金比例",
        "entered_by": "area",
        "date": "2025-06-30",
    }
    assert "质量保证金比例" in error.zh and "请由统筹区录入" in error.hint


def test_what_is_optional_may_be_absent_and_is_not_asked_for() -> None:
    policy = resolved()
    assert policy.optional_fen("clearing.offset_limit_amount") is None
    assert "clearing.offset_limit_amount" not in [field.key for field in policy.not_entered()]
    entered = resolved(value("clearing.offset_limit_amount", "12.30"))
    assert entered.optional_fen("clearing.offset_limit_amount") == 1230


def test_every_shape_is_read_by_its_own_name() -> None:
    policy = resolved(
        value("quarter.mode", "cumulative"),
        value("point_value.budget_weights", PolicyContent(items=("1", "2", "7"))),
        value("submission.insurance_types", PolicyContent(pairs=(("310", "employee"),))),
        value("scorecard.lights", PolicyContent(rows=((("indicator", "cmi"), ("green", "[1,)")),))),
        value("scoring.low_inclusive", "false"),
        value("point_value.decimals", "4"),
    )
    assert policy.method("quarter.mode") == "cumulative"
    assert policy.weights("point_value.budget_weights") == (1, 2, 7)
    assert policy.map("submission.insurance_types") == {"310": "employee"}
    assert policy.table("scorecard.lights") == ({"indicator": "cmi", "green": "[1,)"},)
    assert policy.flag("scoring.low_inclusive") is False
    assert policy.integer("point_value.decimals") == 4
    with pytest.raises(TypeError, match="is a method"):
        policy.fraction("quarter.mode")
    with pytest.raises(KeyError):
        policy.text("no.such_key")


def test_a_run_replays_from_the_text_it_kept() -> None:
    policy = resolved(
        value("deposit.rate", "0.03", Layer.AREA, insurance="employee"),
        value("point_value.budget_weights", PolicyContent(items=("1", "2", "7"))),
        insurance="employee",
    )
    again = from_canonical(FIELDS, policy.canonical())
    assert again.canonical() == policy.canonical()
    assert again.fingerprint() == policy.fingerprint()
    assert again.fraction("deposit.rate") == Fraction(3, 100)


def test_the_fingerprint_moves_with_a_value_and_with_a_document_only() -> None:
    one = resolved(value("deposit.rate", "0.03"))
    other_value = resolved(value("deposit.rate", "0.031"))
    other_paper = resolve(
        FIELDS,
        [PolicyValue("deposit.rate", Layer.NATION, date(2025, 1, 1), PolicyContent("0.03"), PolicyDocument("另文"))],
        ON,
    )
    assert len({one.fingerprint(), other_value.fingerprint(), other_paper.fingerprint()}) == 3
    assert resolved(value("deposit.rate", "0.03"), on=date(2025, 12, 31)).fingerprint() == one.fingerprint()


@given(
    st.permutations(
        [
            value("deposit.rate", "0.05", Layer.PROVINCE),
            value("deposit.rate", "0.04", Layer.AREA, sequence=1),
            value("deposit.rate", "0.03", Layer.AREA, sequence=2),
            value("scoring.low_ratio", "0.5"),
            value("scoring.low_ratio", None, Layer.AREA),
            value("quarter.mode", "cumulative"),
        ]
    )
)
def test_the_order_of_entering_does_not_matter(values: list[PolicyValue]) -> None:
    policy = resolved(*values)
    assert policy.text("deposit.rate") == "0.03"
    assert policy.fingerprint() == resolved(*sorted(values, key=lambda v: (v.key, v.layer, v.sequence))).fingerprint()
