"""Apportionment on cases a clerk can check by hand (最大余数法)."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fenzhi.rules.clearing.apportionment import (
    NoCasesWithFund,
    NoPointsWithFund,
    apportion,
    apportion_in_order,
    apportion_nested,
)


def test_a_fen_over_goes_to_the_smaller_code() -> None:
    assert apportion(1_000_000_001, {"H3": 1, "H1": 1, "H2": 1}) == {
        "H1": 333_333_334,
        "H2": 333_333_334,
        "H3": 333_333_333,
    }


def test_ties_follow_bytes_not_a_locale() -> None:
    # In bytes order "Z" < "a" < "é" < "医"; a locale would put "a" first.
    assert apportion(2, {"医": 1, "a": 1, "Z": 1, "é": 1}) == {"Z": 1, "a": 1, "é": 0, "医": 0}
    assert list(apportion(2, {"医": 1, "a": 1, "Z": 1, "é": 1})) == sorted(
        ["医", "a", "Z", "é"], key=lambda key: key.encode()
    )


def test_a_larger_fraction_wins_before_the_code() -> None:
    # Quotas 0.25, 0.75 of one fen.
    assert apportion(1, {"A": 1, "B": 3}) == {"A": 0, "B": 1}


def test_a_negative_total_floors_away_from_zero_then_gives_back() -> None:
    # Exact quota -10/3 each: floor -4, -4, -4 makes -12; two fen go back to the first two.
    assert apportion(-10, {"A": 1, "B": 1, "C": 1}) == {"A": -3, "B": -3, "C": -4}


def test_fractions_and_whole_numbers_agree() -> None:
    assert apportion(100, {"A": Fraction(1, 3), "B": Fraction(1, 6), "C": 1}) == apportion(
        100, {"A": 2, "B": 1, "C": 6}
    )


def test_a_party_without_points_receives_nothing() -> None:
    assert apportion(101, {"A": 0, "B": 1, "C": 1}) == {"A": 0, "B": 51, "C": 50}


def test_nothing_to_share_is_nothing_for_all() -> None:
    assert apportion(0, {"A": 0, "B": 0}) == {"A": 0, "B": 0}
    assert apportion(0, {}) == {}


def test_a_fund_without_parties_or_points_has_a_typed_answer() -> None:
    with pytest.raises(NoCasesWithFund) as nobody:
        apportion(1, {})
    with pytest.raises(NoPointsWithFund) as nothing:
        apportion(1, {"A": 0})
    assert (nobody.value.code, nothing.value.code) == ("NO_CASES_WITH_FUND", "NO_POINTS_WITH_FUND")
    assert "分值合计为 0" in nothing.value.zh


def test_a_negative_weight_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="negative"):
        apportion(10, {"A": -1, "B": 2})


def test_nested_keeps_each_hospital_whole() -> None:
    nested = apportion_nested(1_000, {"H1": {"c2": 1, "c1": 1}, "H2": {"c3": 1}})
    assert nested.hospitals == {"H1": 667, "H2": 333}
    assert nested.cases == {"H1": {"c1": 334, "c2": 333}, "H2": {"c3": 333}}


def test_the_positional_form_gives_ties_to_the_earlier() -> None:
    assert apportion_in_order(5, [1, 1, 1]) == [2, 2, 1]
