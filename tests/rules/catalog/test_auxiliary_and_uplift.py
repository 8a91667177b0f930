"""Gates, triggers, uplift and layers at their edges (辅助目录、费用增幅、分层计数)."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fenzhi.rules.catalog.auxiliary_catalog import AuxiliaryGate, highest_trigger, judge_gate, trigger
from fenzhi.rules.catalog.groups_from_sums import SetMethod, SetSum, coverage_threshold, group_by_set
from fenzhi.rules.catalog.layers import disagreement, layer_counts
from fenzhi.rules.catalog.related_uplift import cost_uplift, is_group_of_its_own

GATE = AuxiliaryGate(10, 5, Fraction(7, 10), Fraction(1, 5))


@pytest.mark.parametrize(
    ("group_cases", "subtype_cases", "before", "after", "passed"),
    [
        (11, 6, "0.85", "0.66", True),
        (10, 6, "0.85", "0.66", False),
        (11, 5, "0.85", "0.66", False),
        (11, 6, "0.70", "0.50", False),
        (11, 6, "0.85", "0.68", True),
        (11, 6, "0.85", "0.6800001", False),
    ],
)
def test_a_gate_is_passed_only_by_all_its_conditions(
    group_cases: int, subtype_cases: int, before: str, after: str, passed: bool
) -> None:
    assert judge_gate(GATE, group_cases, subtype_cases, Fraction(before) ** 2, Fraction(after) ** 2).passed is passed


def test_only_the_highest_trigger_acts_and_a_tie_has_one_answer() -> None:
    assert highest_trigger({"b": Fraction(3, 2), "a": Fraction(3, 2), "c": Fraction(1)}) == ("a", Fraction(3, 2))
    assert highest_trigger({}) is None
    assert trigger(Fraction(14_000), Fraction(10_000)) == Fraction(7, 5)
    with pytest.raises(ValueError, match="at or below zero"):
        trigger(Fraction(1), Fraction(0))


def test_an_uplift_at_the_limit_counts() -> None:
    assert is_group_of_its_own(Fraction(110), Fraction(100), Fraction(1, 10))
    assert not is_group_of_its_own(Fraction(10_999), Fraction(10_000), Fraction(1, 10))
    with pytest.raises(ValueError, match="at or below zero"):
        cost_uplift(Fraction(1), Fraction(0))


def test_layers_may_not_overlap() -> None:
    with pytest.raises(ValueError, match="overlaps"):
        layer_counts({"one": (1, 10), "two": (10, 20)})
    assert disagreement(5061, {"priority": 18, "merged": 666, "auxiliary": 78, "basic": 4289}) == 10


def test_a_score_never_rounds_to_nothing() -> None:
    one = SetSum("A00.0", (), {0: (1, 1)}, 1)
    found = group_by_set(one, Fraction(10**12), SetMethod(1000, 2))
    assert str(found.score) == "0.01" and found.cv_squared == 0 and found.mean_los is None


def test_a_coverage_of_everything_takes_every_combination() -> None:
    assert coverage_threshold([(1, 50), (10, 4)], Fraction(1)) == 1
    for share in (Fraction(0), Fraction(2)):
        with pytest.raises(ValueError, match="coverage"):
            coverage_threshold([(1, 1)], share)
    with pytest.raises(ValueError, match="no cases"):
        coverage_threshold([], Fraction(1, 2))
