from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.catalog.disease_group import DiseaseGroup, Granularity
from fenzhi.rules.catalog.score_edits import EditLimits, ScoreRevision, TotalRule, edit_scores, lay_over, overlay_factor

LIMITS = EditLimits(down=Decimal("0.2"), up=Decimal("0.2"), max_groups=2)
GROUPS = tuple(
    DiseaseGroup(code, "H40", Granularity.CATEGORY, Decimal(score))
    for code, score in (("a", 100), ("b", 200), ("c", 300))
)
CASES = {"a": 30, "b": 20, "c": 10}


def edited(edits: dict[str, str], rule: TotalRule = TotalRule.RENORMALISE, **kwargs: object) -> ScoreRevision:
    return edit_scores(
        GROUPS,
        {code: Decimal(score) for code, score in edits.items()},
        cases=CASES,
        limits=LIMITS,
        score_places=2,
        total_rule=rule,
    )


def test_one_factor_on_all_scores_keeps_the_total() -> None:
    revision = edited({"a": "120"})
    assert revision.refusals == ()
    assert revision.factor == Fraction(10000, 10600)
    assert [group.score for group in revision.groups] == [Decimal("113.21"), Decimal("188.68"), Decimal("283.02")]
    assert (revision.total_before, revision.residual) == (10000, Fraction("0.1"))


def test_an_edit_that_moves_the_total_is_rejected_where_policy_says_so_and_a_balanced_one_passes() -> None:
    moved = edited({"a": "120"}, TotalRule.REJECT)
    assert [(one.code, one.saw) for one in moved.refusals] == [("score_total_changed", "10000 → 10600")]
    assert moved.groups == GROUPS
    balanced = edited({"a": "110", "b": "185"}, TotalRule.REJECT)
    assert balanced.refusals == () and balanced.residual == 0
    assert [group.score for group in balanced.groups] == [110, 185, 300]


def test_every_fault_of_an_edit_is_named_at_once() -> None:
    revision = edited({"x": "1", "a": "121", "b": "159.999", "c": "0"})
    assert [(one.where, one.code) for one in revision.refusals] == [
        ("x", "score_edit_unknown_group"),
        ("a", "score_edit_beyond_limit"),
        ("b", "score_edit_places"),
        ("b", "score_edit_beyond_limit"),
        ("c", "score_edit_not_positive"),
        ("edits", "score_edit_too_many"),
    ]
    assert revision.groups == GROUPS


def test_without_last_years_cases_no_total_can_be_kept() -> None:
    revision = lay_over(GROUPS, {"a": Decimal(110)}, cases={}, score_places=0, limits=LIMITS)
    assert [one.code for one in revision.refusals] == ["score_total_without_cases"]
    with pytest.raises(ValueError, match="no cases"):
        overlay_factor(GROUPS, {}, {})


@given(
    st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 500), st.integers(-20, 20)), min_size=1, max_size=12),
    st.integers(0, 4),
)
def test_the_rest_of_the_total_is_never_more_than_rounding(rows: list[tuple[int, int, int]], places: int) -> None:
    groups = tuple(
        DiseaseGroup(f"g{i}", "H40", Granularity.CATEGORY, Decimal(score)) for i, (score, _, _) in enumerate(rows)
    )
    cases = {f"g{i}": n for i, (_, n, _) in enumerate(rows)}
    overlay = {f"g{i}": Decimal(score * (100 + move)) / 100 for i, (score, _, move) in enumerate(rows)}
    limits = EditLimits(Decimal("0.2"), Decimal("0.2"))
    exact = sum(Fraction(overlay[group.group_code]) * cases[group.group_code] for group in groups)
    revision = edit_scores(
        groups, overlay, cases=cases, limits=limits, score_places=places + 2, total_rule=TotalRule.RENORMALISE
    )
    if exact == 0:
        assert [one.code for one in revision.refusals] == ["score_total_without_cases"]
        return
    assert revision.refusals == ()
    assert revision.factor * exact == revision.total_before
    assert abs(revision.residual) <= Fraction(sum(cases.values()), 2 * 10 ** (places + 2))
