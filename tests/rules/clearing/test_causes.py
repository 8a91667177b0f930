"""Causes of a change in their fixed order, adding up to the fen (变动归因): money rules 18 and 19."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fenzhi.rules.clearing.assessment import AssessmentBase
from fenzhi.rules.clearing.causes import (
    CAUSES_ADD_UP,
    ORDER,
    STEPS,
    Cause,
    ClearedCase,
    ClearingInputs,
    HospitalTerms,
    changes_by_cause,
    explain_change,
    payable_by_hospital,
    unexplained_change,
)
from fenzhi.rules.clearing.quarterly import QuarterTerms
from fenzhi.rules.clearing.shares import ShareMethod, ShareOrder
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.point_value.point_value_methods import PointValueMethod, PriceTerms
from fenzhi.rules.refusals import InvariantBroken

ONE = Fraction(1)
BEFORE = ClearingInputs(
    cases={"a": ClearedCase("A", 1_000, 700), "b": ClearedCase("B", 1_000, 700)},
    scores={"a": 100, "b": 100},
    multipliers={"a": ONE, "b": ONE},
    fund_fen=10_000,
    points_decimals=0,
    hospitals={"A": HospitalTerms(), "B": HospitalTerms()},
)
AFTER = replace(
    BEFORE,
    cases={**BEFORE.cases, "c": ClearedCase("A", 2_000, 1_500)},
    scores={"a": 100, "b": 150, "c": 200},
    multipliers={"a": Fraction("1.1"), "b": ONE, "c": ONE},
    fund_fen=20_000,
    hospitals={
        "A": HospitalTerms(deductions_fen=100, assessment_coefficient=Fraction("0.98")),
        "B": HospitalTerms(bonuses_fen=50),
    },
    terms=QuarterTerms(
        ShareOrder(ShareMethod.RENORMALISE),
        deposit_rate=Fraction("0.05"),
        assessment_base=AssessmentBase.GROSS_LESS_DEDUCTIONS,
        price=PriceTerms(PointValueMethod.FIXED, PointValue.stated(Fraction("0.5"), 0)),
    ),
    special_points={"b": 120},
    off_pool_fen=500,
)


def test_the_order_is_that_of_the_rule() -> None:
    assert [cause.value for cause in ORDER] == [
        "lists", "group", "coefficient", "budget", "point_value", "phi", "special_cases", "deduction", "bands",
        "assessment", "prepay", "deposit",
    ]  # fmt: skip
    assert set(STEPS) == set(ORDER)


def test_each_cause_is_the_difference_of_two_full_runs() -> None:
    changes = explain_change(BEFORE, AFTER)
    assert changes.by_cause[Cause.LISTS] == {"A": 2_500, "B": -2_500}  # 300 : 100 instead of 100 : 100
    assert changes.by_cause[Cause.GROUP] == {"A": -833, "B": 833}  # 300 : 150
    assert changes.by_cause[Cause.COEFFICIENT] == {"A": 72, "B": -72}  # 310 : 150
    assert changes.by_cause[Cause.BUDGET] == {"A": 6_739, "B": 3_261}
    assert changes.by_cause[Cause.DEDUCTION] == {"A": -100, "B": 0}
    assert changes.by_cause[Cause.BANDS] == {"A": 0, "B": 50}
    for hospital in ("A", "B"):
        explained = sum(found[hospital] for found in changes.by_cause.values())
        assert explained == changes.after[hospital] - changes.before[hospital]
    assert changes.of("A")[Cause.LISTS] == 2_500 and Cause.BANDS not in changes.of("A")


def test_the_float_after_a_budget_change_belongs_to_the_budget() -> None:
    changes = explain_change(BEFORE, replace(BEFORE, fund_fen=12_000))
    assert changes.totals() == {**dict.fromkeys(ORDER, 0), Cause.BUDGET: 2_000}


def test_no_change_has_no_cause() -> None:
    assert explain_change(BEFORE, BEFORE).totals() == dict.fromkeys(ORDER, 0)


def test_a_step_that_is_missing_stops() -> None:
    steps = {cause: step for cause, step in STEPS.items() if cause is not Cause.BUDGET}
    with pytest.raises(InvariantBroken) as stopped:
        changes_by_cause(BEFORE, AFTER, steps, payable_by_hospital)
    assert stopped.value.law == CAUSES_ADD_UP


@st.composite
def inputs(draw: st.DrawFn) -> ClearingInputs:
    ids = draw(st.lists(st.sampled_from("abcdefg"), min_size=1, unique=True))
    amount = st.integers(1, 10**6)
    codes = st.sampled_from(("A", "B", "C"))
    cases = {i: ClearedCase(draw(codes), draw(amount), draw(amount)) for i in ids}
    return ClearingInputs(
        cases=cases,
        scores={i: draw(st.integers(10, 10**6)) for i in ids},
        multipliers={i: draw(st.fractions(Fraction(1, 10), 3, max_denominator=50)) for i in ids},
        fund_fen=draw(st.integers(1000, 10**9)),
        points_decimals=0,
        terms=QuarterTerms(
            ShareOrder(draw(st.sampled_from(ShareMethod)), phi_balance_fen=draw(amount)),
            deposit_rate=draw(st.fractions(0, Fraction("0.05"), max_denominator=100)),
        ),
        hospitals={
            code: HospitalTerms(
                draw(st.integers(0, 1000)),
                draw(st.integers(0, 1000)),
                draw(st.integers(0, 1000)),
                draw(st.fractions(0, 1, max_denominator=20)),
            )
            for code in ("A", "B", "C")
        },
        special_points=draw(st.dictionaries(st.sampled_from(ids), st.integers(1, 10**6), max_size=2)),
        off_pool_fen=draw(st.integers(0, 500)),
    )


@settings(max_examples=40, deadline=None)
@given(inputs(), inputs())
def test_causes_add_up_for_any_two_runs(before: ClearingInputs, after: ClearingInputs) -> None:
    changes = explain_change(before, after)
    for hospital in changes.after:
        explained = sum(found.get(hospital, 0) for found in changes.by_cause.values())
        assert explained == changes.after[hospital] - changes.before.get(hospital, 0)


@settings(max_examples=40, deadline=None)
@given(inputs(), inputs())
def test_no_fen_of_a_change_is_lost(before: ClearingInputs, after: ClearingInputs) -> None:
    assert unexplained_change(before.run(), after.run()) == 0


@settings(max_examples=40, deadline=None)
@given(inputs(), inputs())
def test_with_a_fixed_fund_and_a_floating_point_value_gross_only_moves_between_hospitals(
    before: ClearingInputs, after: ClearingInputs
) -> None:
    plain = QuarterTerms()
    one = replace(before, terms=plain)
    other = replace(after, terms=plain, fund_fen=one.fund_fen, off_pool_fen=one.off_pool_fen)
    gross = [sum(line.gross_fen for line in run.run().lines) for run in (one, other)]
    assert gross[0] == gross[1]
