"""Indicators and lights (考核指标与三色预警)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.scorecard.indicators import (
    KINDS,
    HospitalPeriod,
    RatioTerm,
    cmi,
    indicators_of,
    mean_cost_growth,
    mean_of_ratios,
    share,
)
from fenzhi.rules.scorecard.traffic_light import (
    Interval,
    Light,
    LightLimits,
    LightsUnreadable,
    OverallRule,
    lights_of,
    overall_light,
    read_limits,
)
from fenzhi.store.policy_files import national_policy

PERIOD = HospitalPeriod(
    cases=120,
    grouped_cases=100,
    score_sum=Fraction(92_000),
    score_scale=1000,
    cost_fen=1_200_000_00,
    high_outliers=6,
    low_outliers=3,
    lists_first_judged=130,
    lists_first_passed=117,
    cost_terms=(RatioTerm(9_000_00 + 13_000_00, 2, 10_000_00, 1),),
    time_terms=(RatioTerm(8, 1, 20, 2), RatioTerm(12, 1, 10, 1)),
    earlier_cost_fen=500_000_00,
    earlier_cases=100,
    quality_scores=(Fraction(1, 2), Fraction(3, 4)),
)


def test_every_indicator_is_its_two_parts() -> None:
    found = {one.code: one for one in indicators_of(PERIOD, list(KINDS))}
    assert {code: one.value for code, one in found.items()} == {
        "cmi": Fraction(92, 100),
        "cost_index": Fraction(11, 10),
        "time_index": Fraction(1),
        "grouping_rate": Fraction(5, 6),
        "qc_first_pass_rate": Fraction(9, 10),
        "high_outlier_share": Fraction(1, 20),
        "low_outlier_share": Fraction(1, 40),
        "mean_cost": Fraction(10_000),
        "mean_cost_growth": Fraction(1),
        "data_quality": Fraction(5, 8),
    }
    for one in found.values():
        assert one.value == one.numerator / one.denominator
        assert one.zh and one.en and one.formula and not one.reason_zh
    assert (found["qc_first_pass_rate"].numerator, found["qc_first_pass_rate"].denominator) == (117, 130)


def test_a_hospital_without_cases_has_reasons_instead_of_values() -> None:
    empty = HospitalPeriod(0, 0, Fraction(0), 1000, 0, 0, 0, 0, 0)
    for one in indicators_of(empty, list(KINDS)):
        assert one.value is None
        assert one.reason_zh and one.reason_en
        assert LightLimits(Interval.parse("(,)"), Interval.parse("(,)")).light(one) is Light.GREY


def test_the_index_is_a_mean_of_ratios() -> None:
    # Ratio of sums would be 1.0; the mean of 2.0 and 0.9 is 1.45.
    terms = [RatioTerm(200, 1, 100, 1), RatioTerm(900, 1, 1_000, 1)]
    assert mean_of_ratios("cost_index", terms).value == Fraction(145, 100)


def test_a_reference_of_nothing_is_not_counted() -> None:
    terms = [RatioTerm(200, 1, 100, 1), RatioTerm(900, 5, 0, 0), RatioTerm(900, 5, 0, 3)]
    index = mean_of_ratios("cost_index", terms)
    assert (index.value, index.denominator) == (2, 1)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 9)), max_size=20))
def test_cases_may_be_added_up_by_reference_first(cases: list[tuple[int, int, int]]) -> None:
    one_by_one = mean_of_ratios("time_index", [RatioTerm(a, 1, total, n) for a, total, n in cases])
    sums: dict[tuple[int, int], list[int]] = {}
    for amount, total, n in cases:
        held = sums.setdefault((total, n), [0, 0])
        held[0] += amount
        held[1] += 1
    grouped = mean_of_ratios("time_index", [RatioTerm(a, k, *key) for key, (a, k) in sums.items()])
    assert one_by_one == grouped


def test_growth_needs_both_spans() -> None:
    assert mean_cost_growth(900, 1, 1_000, 1).value == Fraction(-1, 10)
    assert mean_cost_growth(900, 1, 0, 1).value is None
    assert mean_cost_growth(900, 0, 1_000, 1).value is None


def test_scores_of_any_scale_give_one_index() -> None:
    assert cmi(Fraction(920_000), 1_000, 1000).value == cmi(Fraction(920), 1_000, 1).value == Fraction(92, 100)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("[0.9,1.1)", "0.9", True),
        ("[0.9,1.1)", "1.1", False),
        ("(0.9,1.1]", "0.9", False),
        ("(0.9,1.1]", "1.1", True),
        ("(,0.05]", "-7", True),
        ("(,0.05]", "0.0500000001", False),
        ("[1,)", "1000", True),
        ("[1,1]", "1", True),
        (" [ -0.5 , 0 ] ", "-0.5", True),
    ],
)
def test_the_inclusive_side_is_the_one_written(text: str, value: str, holds: bool) -> None:
    assert Interval.parse(text).holds(Fraction(value)) is holds


@pytest.mark.parametrize("text", ["0.9-1.1", "[1.1,0.9]", "[1,1)", "[a,1]", "[1e3,]", "", "[1,2,3]"])
def test_other_texts_are_not_intervals(text: str) -> None:
    with pytest.raises(ValueError):
        Interval.parse(text)


def test_lights_follow_the_table_of_the_policy() -> None:
    limits = read_limits(
        [
            {"indicator": "grouping_rate", "green": "[0.95,1]", "yellow": "[0.90,0.95)"},
            {"indicator": "cost_index", "green": "[0.8,1.05]", "yellow": "(1.05,1.15]"},
        ]
    )
    lights = lights_of(
        [share("grouping_rate", 95, 100), mean_of_ratios("cost_index", [RatioTerm(1151, 1, 1000, 1)])], limits
    )
    assert lights == {"grouping_rate": Light.GREEN, "cost_index": Light.RED}
    assert lights_of([share("grouping_rate", 949, 1000)], limits) == {"grouping_rate": Light.YELLOW}
    assert lights_of([share("low_outlier_share", 1, 2)], limits) == {}


@pytest.mark.parametrize(
    "rows",
    [
        [{"indicator": "luck", "green": "[0,1]", "yellow": "[0,1]"}],
        [{"indicator": "cmi", "green": "low", "yellow": "[0,1]"}],
        [{"indicator": "cmi", "green": "[0,1]", "yellow": "[0,1]"}] * 2,
    ],
)
def test_limits_that_do_not_read_are_refused(rows: list[dict[str, str]]) -> None:
    with pytest.raises(LightsUnreadable) as unreadable:
        read_limits(rows)
    assert unreadable.value.details["indicator"] in ("luck", "cmi")


def test_the_overall_light() -> None:
    lights = [Light.GREEN, Light.GREEN, Light.YELLOW, Light.YELLOW, Light.GREY]
    assert overall_light(lights, OverallRule.WORST) is Light.YELLOW
    assert overall_light(lights, OverallRule.MOST_COMMON) is Light.YELLOW
    assert overall_light([*lights, Light.GREEN], OverallRule.MOST_COMMON) is Light.GREEN
    assert overall_light([Light.GREY], OverallRule.WORST) is Light.GREY
    assert overall_light([], OverallRule.MOST_COMMON) is Light.GREY
    assert [light.zh for light in Light] == ["绿", "黄", "红", "无法判定"]


def test_the_policy_knows_exactly_these_indicators() -> None:
    assert set(national_policy().field("scorecard.indicators").allowed) == set(KINDS)
    assert set(national_policy().field("scorecard.overall_light").allowed) == set(OverallRule)
