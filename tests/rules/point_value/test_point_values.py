"""Funds of a period and point values (当期基金与点值)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.point_value.budget_point_value import HistoryYear, budget_point_value
from fenzhi.rules.point_value.fund_pool import (
    CurveInvalid,
    OffPoolExceedsFund,
    PoolKey,
    PoolScope,
    fund_of_quarter,
    fund_ytd,
)
from fenzhi.rules.point_value.point_value import (
    Basis,
    BasisMismatch,
    FundRatioZero,
    NoCases,
    NoPoints,
    PointValue,
    same_basis,
)
from fenzhi.rules.point_value.settlement_point_value import settlement_point_value

CURVE = (Fraction("0.24"), Fraction("0.49"), Fraction("0.75"), Fraction(1))
ONE_TWO_SEVEN = (Fraction(1), Fraction(2), Fraction(7))


def test_the_fund_to_date_follows_the_curve_and_rounds_half_up() -> None:
    assert [fund_ytd(10_000_000_001, CURVE, quarter) for quarter in (1, 2, 3, 4)] == [
        2_400_000_000,
        4_900_000_000,
        7_500_000_001,
        10_000_000_001,
    ]
    # 2 fen × 1/4 is exactly half a fen.
    assert fund_ytd(2, [Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1)], 1) == 1


def test_what_is_paid_outside_leaves_after_the_multiplication() -> None:
    assert fund_ytd(1_000, CURVE, 2, 90) == 490 - 90
    with pytest.raises(OffPoolExceedsFund) as exhausted:
        fund_ytd(1_000, CURVE, 1, 241)
    assert exhausted.value.details == {"fund_fen": "240", "off_pool_fen": "241"}


@pytest.mark.parametrize(
    "curve",
    [
        ("0", "0.5", "0.75", "1"),
        ("0.3", "0.2", "0.75", "1"),
        ("0.25", "0.5", "0.75", "0.99"),
        ("0.25", "0.5", "1.01", "1"),
        ("0.5", "1"),
        (),
    ],
)
def test_a_curve_that_does_not_rise_to_the_whole_is_refused(curve: tuple[str, ...]) -> None:
    with pytest.raises(CurveInvalid) as invalid:
        fund_ytd(1_000, [Fraction(share) for share in curve], 1)
    assert invalid.value.code == "CURVE_INVALID"


@given(st.integers(0, 10**13), st.lists(st.integers(0, 1000), min_size=3, max_size=3))
def test_four_quarters_alone_add_up_to_the_year(annual: int, cuts: list[int]) -> None:
    curve = [Fraction(cut + 1, 1001) for cut in sorted(cuts)] + [Fraction(1)]
    assert sum(fund_of_quarter(annual, curve, quarter) for quarter in (1, 2, 3, 4)) == annual


def test_the_budget_point_value_weights_cost_and_points_apart() -> None:
    history = [
        HistoryYear(2022, 900_000_000_00, 95_000_000),
        HistoryYear(2023, 950_000_000_00, 97_000_000),
        HistoryYear(2024, 1_000_000_000_00, 100_000_000),
    ]
    budget = budget_point_value(history, ONE_TWO_SEVEN, 0)
    assert budget.weighted_cost_fen() == 980_000_000_00
    assert budget.weighted_points() == 98_900_000
    assert budget.point_value.exact() == Fraction(980_000_000, 98_900_000)
    assert budget.point_value.printed(3) == "9.909"
    assert budget.point_value.fund_ratio() == 1


def test_two_years_of_history_keep_the_weights_nearest_to_now() -> None:
    history = [HistoryYear(2023, 200, 10), HistoryYear(2024, 300, 10)]
    budget = budget_point_value(history, ONE_TWO_SEVEN, 0)
    assert budget.weights == (2, 7)
    assert budget.point_value.fen_per_unit() == Fraction(2 * 200 + 7 * 300, 90)


def test_fractional_weights_weigh_the_same_as_whole_ones() -> None:
    history = [HistoryYear(2023, 123, 10), HistoryYear(2024, 457, 13)]
    exact = budget_point_value(history, (Fraction("0.2"), Fraction("0.7")), 4).point_value.exact()
    assert exact == budget_point_value(history, (Fraction(2), Fraction(7)), 4).point_value.exact()


def test_history_without_cases_or_points_has_typed_answers() -> None:
    with pytest.raises(NoCases):
        budget_point_value([HistoryYear(2024, 0, 0)], ONE_TWO_SEVEN, 0)
    with pytest.raises(NoCases):
        budget_point_value([], ONE_TWO_SEVEN, 0)
    with pytest.raises(NoPoints):
        budget_point_value([HistoryYear(2024, 5, 0)], ONE_TWO_SEVEN, 0)
    with pytest.raises(ValueError, match="oldest"):
        budget_point_value([HistoryYear(2024, 5, 1), HistoryYear(2023, 5, 1)], ONE_TWO_SEVEN, 0)


def test_the_settlement_point_value_divides_the_fund_by_its_ratio() -> None:
    value = settlement_point_value(700_000_000_00, 700, 1_000, 100_000_000 * 10**4, 4)
    assert (value.exact(), value.fund_ratio()) == (10, Fraction(7, 10))
    assert value.printed(4) == "10.0000"
    assert value.fen_per_unit() == Fraction(1_000, 10**4)


def test_a_fund_basis_needs_no_ratio() -> None:
    value = settlement_point_value(1_000_000_000_00, 0, 0, 10_000_000, 0, Basis.FUND)
    assert value.exact() == 100
    with pytest.raises(BasisMismatch):
        same_basis(value, settlement_point_value(1, 1, 1, 1, 0))


@pytest.mark.parametrize(
    ("booked", "cost", "points", "error", "code"),
    [
        (0, 0, 0, NoCases, "NO_CASES"),
        (5, 10, 0, NoPoints, "NO_POINTS_WITH_FUND"),
        (0, 10, 7, FundRatioZero, "FUND_RATIO_ZERO"),
        (0, 0, 7, FundRatioZero, "FUND_RATIO_ZERO"),
    ],
)
def test_degenerate_periods_have_typed_answers(
    booked: int, cost: int, points: int, error: type[Exception], code: str
) -> None:
    with pytest.raises(error) as answer:
        settlement_point_value(1_000, booked, cost, points, 4)
    assert answer.value.code == code  # type: ignore[attr-defined]


@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(1, 10**12), st.integers(1, 10**14))
def test_all_points_at_the_point_value_and_ratio_are_the_fund(fund: int, booked: int, cost: int, points: int) -> None:
    value = settlement_point_value(fund, booked, cost, points, 4)
    assert value.fen_per_unit() * points * value.fund_ratio() == fund


def test_a_pool_is_named_by_its_four_parts() -> None:
    assert str(PoolKey("4101", "employee", PoolScope.LOCAL, 2025)) == "4101/employee/local/2025"
    assert isinstance(PointValue(1, 1, 1, 1, 0).exact(), Fraction)
