"""The league of data quality, worked by hand: exact scores, ties, what nobody or one alone cannot be judged by."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fenzhi.rules.scorecard.quality_league import ListCounts, league, weight_faults

WEIGHTS = {
    "timeliness": Fraction(2, 10),
    "completeness": Fraction(2, 10),
    "first_pass": Fraction(3, 10),
    "grouping": Fraction(1, 10),
    "code_accuracy": Fraction(2, 10),
}


def test_the_score_is_the_weighted_sum_of_exact_rates() -> None:
    [row] = league([ListCounts("H1", 3, 2, 3, 1, 2, 8, 7)], WEIGHTS)
    # 0.2·2/3 + 0.2·1 + 0.3·1/3 + 0.1·7/8 + 0.2·2/3
    assert row.score == Fraction(2, 15) + Fraction(1, 5) + Fraction(1, 10) + Fraction(7, 80) + Fraction(2, 15)
    assert (row.score, row.rank) == (Fraction(157, 240), 1)


def test_equal_scores_share_a_rank_and_the_next_is_skipped() -> None:
    rows = league(
        [
            ListCounts("H4", 2, 1, 2, 2, 2, 2, 2),
            ListCounts("H3", 2, 2, 2, 2, 2, 2, 2),
            ListCounts("H2", 4, 2, 4, 4, 4, 4, 4),
            ListCounts("H1", 10, 0, 10, 10, 10, 10, 10),
        ],
        WEIGHTS,
    )
    assert [(row.counts.hospital_code, row.rank) for row in rows] == [("H3", 1), ("H2", 2), ("H4", 2), ("H1", 4)]


def test_a_third_is_not_rounded_before_it_is_ranked() -> None:
    rows = league(
        [ListCounts("A", 3, 1, 0, 0, 0), ListCounts("B", 30_000, 9_999, 0, 0, 0)], {"timeliness": Fraction(1)}
    )
    assert [(row.counts.hospital_code, row.rank, row.score) for row in rows] == [
        ("A", 1, Fraction(1, 3)),
        ("B", 2, Fraction(3333, 10_000)),
    ]


def test_what_nobody_is_judged_by_is_left_out_and_who_lacks_what_others_have_has_no_rank() -> None:
    without = league([ListCounts("H1", 2, 2, 2, 1, 2)], WEIGHTS)
    # (0.2 + 0.2 + 0.3·1/2 + 0.2) ÷ 0.9
    assert without[0].score == Fraction(75, 90)
    rows = league([ListCounts("H1", 1, 1, 1, 1, 1, 1, 1), ListCounts("H0", 1, 1, 1, 0, 1)], WEIGHTS)
    assert [(row.counts.hospital_code, row.rank, row.score) for row in rows] == [
        ("H1", 1, Fraction(1)),
        ("H0", None, None),
    ]
    nobody = league([ListCounts("H2", 0, 0, 0, 0, 0), ListCounts("H1", 0, 0, 0, 0, 0)], WEIGHTS)
    assert [(row.counts.hospital_code, row.rank) for row in nobody] == [("H1", None), ("H2", None)]


@pytest.mark.parametrize(
    ("rows", "saw"),
    [
        ([("timeliness", "1")], []),
        ([("timeliness", "0.5"), ("grouping", "0.5")], []),
        ([("timeliness", "0.5")], ["1/2"]),
        ([("speed", "1"), ("grouping", "x"), ("grouping", "-1")], ["speed", "x", "grouping", "-1"]),
        ([], ["0"]),
    ],
)
def test_weights_are_known_decimals_that_sum_to_one(rows: list[tuple[str, str]], saw: list[str]) -> None:
    table = [{"indicator": name, "weight": weight} for name, weight in rows]
    assert [fault.saw for fault in weight_faults(table)] == saw
