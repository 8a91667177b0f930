from __future__ import annotations

import dataclasses
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity
from fenzhi.rules.catalog.reference_costs import NO_REFERENCES, MeanCost, ReferenceCosts, ReferenceSource
from fenzhi.rules.scoring.cost_outliers import CostBand, OutlierLines, OutlierMethod, outlier_factor
from fenzhi.rules.scoring.score_case import HospitalFactor, ScoredCase, score_case

NATIONAL = OutlierLines(Decimal("0.5"), Decimal(2), Decimal(5))
INSIDE = OutlierLines(
    Decimal("0.5"), Decimal(2), Decimal(5), low_inclusive=True, method=OutlierMethod.COEFFICIENT_INSIDE
)
GROUP = DiseaseGroup("g", "H40", Granularity.CATEGORY, Decimal(1000))
REFERENCES = ReferenceCosts({("g", "3"): MeanCost(1_000_000, 1)}, {"g": MeanCost(1_600_000, 2)})


def scored(
    cost_yuan: int, lines: OutlierLines = NATIONAL, k: str = "0.95", group: DiseaseGroup = GROUP, level: str = "3",
    references: ReferenceCosts = REFERENCES, auxiliary: str = "1",
) -> ScoredCase:  # fmt: skip
    return score_case(
        group,
        case_id="c",
        cost_fen=cost_yuan * 100,
        factor=HospitalFactor(level, Decimal(k)),
        references=references,
        lines=lines,
        points_decimals=4,
        auxiliary=Decimal(auxiliary),
    )


@pytest.mark.parametrize(
    ("cost", "lines", "points", "band"),
    [
        (25_000, NATIONAL, 1425_0000, "high"),  # WE-18
        (4_000, NATIONAL, 380_0000, "low"),  # WE-19
        (5_000, NATIONAL, 950_0000, "normal"),  # WE-20
        (20_000, NATIONAL, 950_0000, "normal"),
        (5_000, INSIDE, 500_0000, "low"),
        (25_000, INSIDE, 1450_0000, "high"),  # WE-21
        (60_000, INSIDE, 950_0000, "extreme"),  # WE-22
        (60_000, NATIONAL, 950_0000, "extreme"),
        (60_000, OutlierLines(Decimal("0.5"), Decimal(2), None), 4750_0000, "high"),
        (50_000, NATIONAL, 3800_0000, "high"),
        (50_000, dataclasses.replace(NATIONAL, extreme_inclusive=True), 950_0000, "extreme"),
        (20_000, dataclasses.replace(NATIONAL, high_inclusive=True), 950_0000, "high"),
        (0, NATIONAL, 0, "low"),
    ],
)
def test_worked_examples(cost: int, lines: OutlierLines, points: int, band: str) -> None:
    result = scored(cost, lines)
    assert (result.points, result.band.value) == (points, band)


def test_only_the_national_rule_leaves_an_extreme_case_provisional() -> None:
    assert scored(60_000, NATIONAL).provisional is True
    assert scored(60_000, INSIDE).provisional is False


def test_a_grass_roots_group_takes_no_coefficient_inside_the_bracket_either() -> None:
    grassroots = dataclasses.replace(GROUP, grassroots=True)
    assert scored(10_000, group=grassroots).points == 1000_0000
    assert scored(25_000, INSIDE, group=grassroots).points == 1500_0000


def test_the_auxiliary_coefficient_multiplies_every_band() -> None:
    assert scored(25_000, auxiliary="1.4").points == 1995_0000
    assert scored(25_000, INSIDE, auxiliary="1.4").points == 2030_0000
    assert scored(10_000, k="0.9", auxiliary="1.4", group=dataclasses.replace(GROUP, score=Decimal(800))).points == (
        1008_0000  # WE-15
    )


def test_the_reference_falls_back_from_the_level_to_all_levels_to_cannot_judge() -> None:
    assert (scored(17_000, level="2").band, scored(17_000, level="2").reference_source) == (
        CostBand.HIGH,
        ReferenceSource.ALL_LEVELS,
    )
    for references in (NO_REFERENCES, ReferenceCosts({("g", "3"): MeanCost(0, 4)}, {"g": MeanCost(-5, 1)})):
        result = scored(900_000, references=references)
        assert (result.band, result.points) == (CostBand.CANNOT_JUDGE, 950_0000)
        assert result.reference_source is ReferenceSource.NONE
        assert result.provisional is False


def test_points_are_rounded_once_half_up() -> None:
    third = ReferenceCosts({("g", "3"): MeanCost(3_000_001, 1)}, {})
    result = scored(10_000, references=third, k="0.3333")
    # 1000 × 0.3333 × 1,000,000 / 3,000,001 = 111.09996296667…
    assert result.points == 1_111_000
    assert scored(10_000, k="0.00000005").points == 1
    assert scored(10_000, k="0.000000049").points == 0


def test_both_candidates_are_kept_with_the_reason_of_the_choice() -> None:
    result = scored(25_000)
    assert [(one.name, one.points) for one in result.candidates] == [("normal", 950_0000), ("outlier", 1425_0000)]
    assert (result.chosen, "费用过高" in result.zh) == ("outlier", True)
    assert dict(result.working[1].values) == {
        "cost_yuan": "25000.00",
        "reference_fen": "1000000",
        "reference_source": "same_level",
        "ratio": "2.5",
        "method": "national_2020",
        "band": "high",
        "multiplier": "1.425",
    }
    assert dict(result.working[2].values) == {"exact": "1425", "points": "1425.0000"}


def test_a_negative_cost_is_no_cost() -> None:
    with pytest.raises(ValueError, match="below zero"):
        outlier_factor(-1, 1, 1, NATIONAL)


@pytest.mark.parametrize(("low", "high", "extreme"), [("0", "2", "5"), ("2", "2", "5"), ("0.5", "2", "2")])
def test_lines_out_of_order_are_refused(low: str, high: str, extreme: str) -> None:
    with pytest.raises(ValueError, match="order"):
        OutlierLines(Decimal(low), Decimal(high), Decimal(extreme))


@given(
    st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 10**11), st.integers(1, 10**4),
    st.sampled_from([NATIONAL, INSIDE]), st.integers(1, 20000),
)  # fmt: skip
def test_within_one_band_a_dearer_case_never_scores_less(
    one: int, other: int, total: int, n: int, lines: OutlierLines, k: int
) -> None:
    cheap, dear = (outlier_factor(cost, total, n, lines, Fraction(k, 10_000)) for cost in sorted((one, other)))
    if cheap.band is dear.band:
        assert cheap.multiplier <= dear.multiplier
    assert cheap.ratio == Fraction(min(one, other) * n, total)
