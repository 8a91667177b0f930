"""Special cases from application to money (特例单议): money rules 1 and 17, WE-42, WE-43."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.clearing.conservation import check_quarter
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterTerms, clear_quarter
from fenzhi.rules.point_value.point_value import Basis, BasisMismatch, PointValue
from fenzhi.rules.review.eligibility import EligibilityTerms, SpecialCase, SpecialReason, eligibility_faults
from fenzhi.rules.review.outcome import (
    OutcomeTwice,
    PoolCase,
    SpecialFunding,
    SpecialOutcome,
    SpecialStatistics,
    apply_outcomes,
    award_points,
)
from fenzhi.rules.review.panel import (
    Expert,
    NotOnPanel,
    TooFewExperts,
    consistency,
    draw_panel,
    order_of,
    redraw,
    workload,
)
from fenzhi.rules.review.special_case_cap import Admission, Application, admit, special_case_cap
from fenzhi.rules.review.vote import StepOne, Verdict, VoteRefused, VoteResult, decide

FIVE = Fraction("0.005")


def test_we_42_and_43_the_cap_is_the_areas_and_is_floored() -> None:
    by_hospital = [150, 150, 150]
    assert special_case_cap(sum(by_hospital), FIVE) == 2
    assert sum(special_case_cap(one, FIVE) for one in by_hospital) == 0
    assert (special_case_cap(123_456, FIVE), special_case_cap(123_456, Fraction("0.05"))) == (617, 6_172)
    assert (special_case_cap(199, FIVE), special_case_cap(200, FIVE)) == (0, 1)
    with pytest.raises(ValueError, match="discharges"):
        special_case_cap(-1, FIVE)


def applied(name: str, minute: int, waited: int = 0) -> Application:
    return Application(name, datetime(2025, 6, 1, 9, minute, tzinfo=UTC), waited)


def test_admission_goes_by_order_of_application_and_waits_one_cycle() -> None:
    these = [applied("d", 3), applied("b", 1), applied("a", 1), applied("c", 2, waited=1)]
    found = admit(these, 7, 5)
    assert [(one.application_id, one.admission.value) for one in found] == [
        ("a", "admitted"), ("b", "admitted"), ("c", "lapsed"), ("d", "waiting"),
    ]  # fmt: skip
    assert "已顺延一期" in found[2].zh and "waited one cycle" in found[2].en
    assert [one.admission for one in admit(these, 7, 9)][:1] == [Admission.WAITING]


def test_nothing_waits_over_the_end_of_the_year() -> None:
    (only,) = admit([applied("a", 1)], 5, 5, last_cycle_of_year=True)
    assert only.admission is Admission.LAPSED and "不跨年" in only.zh


@given(st.permutations([applied(name, n % 3) for n, name in enumerate("abcdefg")]), st.integers(0, 9))
def test_the_order_of_the_list_decides_nothing(these: list[Application], cap: int) -> None:
    expected = admit([applied(name, n % 3) for n, name in enumerate("abcdefg")], cap, 0)
    assert admit(these, cap, 0) == expected
    assert sum(one.admission is Admission.ADMITTED for one in expected) == min(cap, 7)


TERMS = EligibilityTerms(frozenset({SpecialReason.HIGH_COST, SpecialReason.LONG_STAY}), Fraction(2), Fraction(3))
DIGEST = "0" * 64
CASE = SpecialCase(200_01, 100_00, 10, Fraction(8), frozenset({SpecialReason.HIGH_COST}), (DIGEST,))


@pytest.mark.parametrize(
    ("case", "codes"),
    [
        (CASE, []),
        (replace(CASE, cost_fen=200_00), ["SPECIAL_CASE_COST"]),
        (replace(CASE, reasons=frozenset()), ["SPECIAL_CASE_NO_REASON"]),
        (replace(CASE, reasons=frozenset({SpecialReason.BURN})), ["SPECIAL_CASE_REASON"]),
        (replace(CASE, reasons=frozenset({SpecialReason.LONG_STAY})), ["SPECIAL_CASE_STAY"]),
        (replace(CASE, reasons=frozenset({SpecialReason.LONG_STAY}), los_days=25), []),
        (replace(CASE, evidence=()), ["SPECIAL_CASE_EVIDENCE"]),
        (replace(CASE, evidence=("x",), cost_fen=1), ["SPECIAL_CASE_COST", "SPECIAL_CASE_EVIDENCE"]),
    ],
)
def test_every_fault_of_an_application_is_told_at_once(case: SpecialCase, codes: list[str]) -> None:
    assert [fault.code for fault in eligibility_faults(case, TERMS)] == codes


def test_the_edge_belongs_to_the_side_the_policy_says() -> None:
    assert eligibility_faults(replace(CASE, cost_fen=200_00), replace(TERMS, multiple_inclusive=True)) == ()
    without = replace(TERMS, stay_multiple=None, high_cost_always=False)
    long = replace(CASE, cost_fen=1, los_days=99, reasons=frozenset({SpecialReason.LONG_STAY}))
    assert [fault.code for fault in eligibility_faults(long, without)] == ["SPECIAL_CASE_STAY"]


SEED = "ab" * 32
EXPERTS = [Expert(f"E{n}", f"H{n % 4}", frozenset({"心内"})) for n in range(12)] + [
    Expert("X1", "H9", frozenset({"骨科"})),
    Expert("X2", "H8", frozenset({"心内"}), frozenset({"H0"})),
]


def test_a_draw_leaves_out_who_may_not_judge_and_can_be_repeated_in_any_order() -> None:
    panel = draw_panel(SEED, EXPERTS, size=3, hospital="H0", specialty="心内")
    assert len(set(panel.members)) == 3
    assert not {"E0", "E4", "E8", "X1", "X2"} & set(panel.members)
    assert draw_panel(SEED, EXPERTS[::-1], size=3, hospital="H0", specialty="心内") == panel
    assert [line.expert_id for line in panel.log] == list(panel.members)
    other = draw_panel("cd" * 32, EXPERTS, size=7, hospital="H0", specialty="心内")
    assert other.members != draw_panel(SEED, EXPERTS, size=7, hospital="H0", specialty="心内").members


def test_a_recusal_takes_the_next_lot_and_is_logged() -> None:
    panel = draw_panel(SEED, EXPERTS, size=3, hospital="H0", specialty="心内")
    leaving = panel.members[1]
    after = redraw(panel, EXPERTS, leaving=leaving, reason="师生关系", hospital="H0", specialty="心内")
    lots = order_of(SEED, [one.expert_id for one in EXPERTS if one.may_judge("H0", "心内")])
    assert after.members == (panel.members[0], lots[3], panel.members[2])
    assert (after.log[-1].redraw_of, after.log[-1].reason, len(after.log)) == (leaving, "师生关系", 4)
    again = redraw(after, EXPERTS, leaving=lots[3], reason="请假", hospital="H0", specialty="心内")
    assert again.members[1] == lots[4] and leaving not in again.members
    with pytest.raises(NotOnPanel):
        redraw(after, EXPERTS, leaving=leaving, reason="x", hospital="H0", specialty="心内")
    with pytest.raises(ValueError, match="reason"):
        redraw(panel, EXPERTS, leaving=leaving, reason=" ", hospital="H0", specialty="心内")


def test_too_few_experts_and_an_even_panel_are_refused() -> None:
    with pytest.raises(TooFewExperts):
        draw_panel(SEED, EXPERTS, size=11, hospital="H0", specialty="心内")
    with pytest.raises(ValueError, match="odd"):
        draw_panel(SEED, EXPERTS, size=4, hospital="H0", specialty="心内")


def test_workload_and_consistency() -> None:
    panels = [draw_panel(SEED, EXPERTS, size=3, hospital=f"H{n}", specialty="心内") for n in (0, 1, 0)]
    assert sum(workload(panels).values()) == 9
    votes = [{"a": True, "b": False, "c": True}, {"a": False, "b": False}]
    assert consistency(votes, [True, False]) == {"a": (2, 2), "b": (1, 2), "c": (1, 1)}


MEMBERS = ("a", "b", "c", "d", "e")
YES, NO, ABSTAIN = StepOne.YES, StepOne.NO, StepOne.ABSTAIN


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ({}, {}, VoteResult(Verdict.OPEN, 5)),
        ({"a": YES, "b": YES}, {}, VoteResult(Verdict.OPEN, 3)),
        ({"a": NO, "b": NO, "c": ABSTAIN}, {}, VoteResult(Verdict.REFUSED)),
        ({"a": YES, "b": YES, "c": YES}, {}, VoteResult(Verdict.OPEN, 5)),
        ({"a": YES, "b": YES, "c": YES}, dict.fromkeys("abc", Verdict.ADJUSTED), VoteResult(Verdict.ADJUSTED)),
        ({"a": YES, "b": YES, "c": YES}, {"a": Verdict.ITEM, "b": Verdict.ADJUSTED}, VoteResult(Verdict.OPEN, 3)),
    ],
)
def test_the_two_step_vote(first: dict[str, StepOne], second: dict[str, Verdict], result: VoteResult) -> None:
    assert decide(MEMBERS, first, second) == result


def test_a_vote_out_of_turn_is_refused() -> None:
    three_yes = dict.fromkeys("abc", YES)
    for first, second in (
        ({"z": YES}, {}),
        ({"a": YES}, {"a": Verdict.ITEM}),
        (three_yes, {"a": Verdict.OPEN}),
    ):
        with pytest.raises(VoteRefused):
            decide(MEMBERS, first, second)
    even = decide(("a", "b", "c", "d"), dict.fromkeys("abc", YES), {"a": Verdict.ITEM, "b": Verdict.ITEM,
                  "c": Verdict.ADJUSTED, "d": Verdict.ADJUSTED})  # fmt: skip
    assert even.verdict is Verdict.NO_MAJORITY


BUDGET = PointValue.stated(Fraction(10), 0)
POOL = {"1": PoolCase("A", 100, 2_000_00, 1_400_00), "2": PoolCase("B", 100, 1_000_00, 700_00)}


def test_in_score_converts_once_at_the_budget_point_value_and_its_basis() -> None:
    effect = apply_outcomes([SpecialOutcome("1", 2025, 1_800_04)], POOL, SpecialFunding.IN_SCORE, BUDGET, year=2025)
    assert (dict(effect.points), effect.fund_leaves_fen, dict(effect.left)) == ({"1": 180}, 0, {})
    with pytest.raises(BasisMismatch):
        award_points(100, PointValue.stated(Fraction(10), 0, Basis.FUND))


def test_off_pool_takes_the_case_and_its_payment_out() -> None:
    effect = apply_outcomes([SpecialOutcome("1", 2025, 1_500_00)], POOL, SpecialFunding.OFF_POOL, BUDGET, year=2025)
    assert (dict(effect.points), effect.fund_leaves_fen) == ({}, 1_500_00)
    claims = [
        QuarterClaim(code, 1, case.points, case.cost_fen, case.booked_fen)
        for case_id, case in POOL.items()
        if case_id not in effect.left
        for code in (case.hospital,)
    ]
    fund = 2_100_00 - effect.fund_leaves_fen
    run = clear_quarter(fund, 0, claims, QuarterTerms())
    assert check_quarter(run, claims, fund).gross_fen == 600_00
    assert (run.point_value.booked_fen, run.point_value.cost_fen) == (700_00, 1_000_00)


def test_an_outcome_enters_its_year_once() -> None:
    outcome = SpecialOutcome("1", 2025, 100)
    for outcomes, entered in (([outcome, outcome], ()), ([outcome], ("1",))):
        with pytest.raises(OutcomeTwice):
            apply_outcomes(outcomes, POOL, SpecialFunding.OFF_POOL, BUDGET, year=2025, entered=entered)
    other = apply_outcomes([outcome], POOL, SpecialFunding.OFF_POOL, BUDGET, year=2026)
    assert other.fund_leaves_fen == 0


def test_what_is_published() -> None:
    numbers = SpecialStatistics(10, 5, 4, 1_000, 50_000_00, 10_000_000_00)
    assert Fraction(*numbers.per_mille_of_discharges()) == FIVE
    assert Fraction(*numbers.share_of_fund()) == FIVE
