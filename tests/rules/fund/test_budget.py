"""Budgets, carve-outs, the curve and the advance (总额预算)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.fund.advance_payment import advance_payment, advances_by_hospital, reconcile_advance
from fenzhi.rules.fund.budget import (
    BudgetExceeded,
    BudgetMethod,
    GrowthAboveTarget,
    LastYearMissing,
    PaidTwice,
    PurseClaim,
    SetAside,
    budget_of_dip,
    growth_budget,
    itemised_budget,
    refuse_paid_twice,
    seasonal_curve,
    share_budget,
)
from fenzhi.rules.point_value.fund_pool import checked_curve
from fenzhi.rules.refusals import InvariantBroken

ASIDE = {SetAside.OUT_OF_AREA: 120_00, SetAside.RESERVE: 50_00, SetAside.CHRONIC_BUNDLE: 30_00}


def test_the_itemised_budget_adds_up_and_names_every_part() -> None:
    budget = itemised_budget(
        1_000_00, ASIDE, outpatient_fen=400_00, chronic_outpatient_fen=100_00, risk_reserve_fen=50_00
    )
    assert (budget.dip_fen, budget.total_fen) == (800_00, 1_550_00)
    assert list(budget.set_asides) == [SetAside.RESERVE, SetAside.OUT_OF_AREA, SetAside.CHRONIC_BUNDLE]
    assert budget.inpatient_fen == budget.dip_fen + sum(budget.set_asides.values())
    with pytest.raises(BudgetExceeded) as beyond:
        itemised_budget(199_99, ASIDE)
    assert beyond.value.details == {"inpatient_fen": "19999", "set_aside_fen": "20000"}
    assert itemised_budget(200_00, ASIDE).dip_fen == 0
    with pytest.raises(ValueError, match="negative"):
        itemised_budget(1, {SetAside.RESERVE: -1})


def test_share_and_growth() -> None:
    assert share_budget(8_000, 10_000, 12_345) == 9_876
    assert growth_budget(100_000_00, Fraction("0.06"), Fraction("0.06")) == 106_000_00
    with pytest.raises(GrowthAboveTarget):
        growth_budget(100, Fraction("0.0600001"), Fraction("0.06"))
    for last, whole in ((1, 0), (2, 1), (-1, 5)):
        with pytest.raises(LastYearMissing):
            share_budget(last, whole, 100)
    with pytest.raises(LastYearMissing):
        growth_budget(0, Fraction(0), Fraction(1))


def test_a_budget_by_growth_still_names_its_set_asides() -> None:
    budget = budget_of_dip(BudgetMethod.GROWTH, 106_000_00, ASIDE)
    assert (budget.method, budget.dip_fen, budget.inpatient_fen) == (BudgetMethod.GROWTH, 106_000_00, 106_200_00)


def test_only_funds_kept_back_pay_no_case() -> None:
    assert [part for part in SetAside if not part.pays_cases] == [SetAside.RESERVE, SetAside.ADJUSTMENT, SetAside.RISK]


def test_nothing_is_paid_twice() -> None:
    claims = [
        PurseClaim("1", "dip", amount_fen=700),
        PurseClaim("1", "single_pay_drugs", "drug", 300),
        PurseClaim("2", "capitation", amount_fen=50),
    ]
    assert refuse_paid_twice(claims) == {"capitation": 50, "dip": 700, "single_pay_drugs": 300}
    with pytest.raises(PaidTwice) as twice:
        refuse_paid_twice([*claims, PurseClaim("2", "dip"), PurseClaim("1", "dip", "drug")])
    assert twice.value.details == {
        "case_id": "1", "part": "drug", "purses": "dip,single_pay_drugs", "places": "2",
    }  # fmt: skip


def test_the_curve_follows_the_booked_seasons() -> None:
    year = [90, 60, 90, 80, 80, 80, 80, 80, 100, 80, 80, 100]
    curve = seasonal_curve([year, year])
    assert [str(share) for share in curve] == ["6/25", "12/25", "37/50", "1"]
    assert seasonal_curve([[1] * 3 + [2] * 8 + [2]])[0] == Fraction(1428571429, 10**10)
    with pytest.raises(LastYearMissing):
        seasonal_curve([])
    with pytest.raises(ValueError, match="twelve"):
        seasonal_curve([[1] * 11])


@given(st.lists(st.lists(st.integers(1, 10**9), min_size=12, max_size=12), min_size=1, max_size=3))
def test_a_seasonal_curve_is_always_a_valid_one(years: list[list[int]]) -> None:
    assert checked_curve(seasonal_curve(years, 12))[3] == 1


def test_we_46_the_advance_of_about_one_month() -> None:
    assert advance_payment(120_000_000_00) == 10_000_000_00
    assert advance_payment(100, Fraction(1), Fraction("0.9")) == 8  # 7.5 half up
    assert advances_by_hospital(10_000_000_01, {"H1": 1, "H2": 1, "H3": 1})["H3"] == 3_333_333_33


def test_an_advance_returns_no_more_than_was_granted() -> None:
    assert reconcile_advance(1_000, 200, 700).open_fen == 100
    with pytest.raises(InvariantBroken):
        reconcile_advance(1_000, 400, 700)
