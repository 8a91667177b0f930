"""The rounds of a list (清单流转): what follows what, in the national words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.submission.filing import MOVES, FiledState, ListPassed, MoveRefused, Step, moved, stas_type, step_of

S = FiledState
HOSPITALS_OWN = (Step.FILE, Step.REVIEW, Step.SEND_BACK, Step.SUBMIT, Step.VOID)


def test_the_ordinary_road() -> None:
    state, seen = S.DRAFT, ["0"]
    for step in (Step.REVIEW, Step.SUBMIT, Step.ACCEPT, Step.PASS, Step.RETURN, Step.FILE, Step.SUBMIT, Step.REJECT):
        state = moved(state, step)
        seen.append(stas_type(state))
    assert seen == ["0", "0", "1", "1", "2", "3", "0", "1", "3"]
    assert moved(state, Step.VOID) is S.DRAFT


def test_what_has_passed_is_immutable_for_its_hospital() -> None:
    for step in (Step.FILE, Step.SUBMIT, Step.VOID):
        with pytest.raises(ListPassed):
            moved(S.PASSED, step)


@given(st.lists(st.sampled_from(HOSPITALS_OWN), max_size=30), st.sampled_from(FiledState))
def test_no_word_of_a_hospital_leads_to_passed_or_away_from_it(steps: list[Step], start: FiledState) -> None:
    state = start
    for step in steps:
        try:
            state = moved(state, step)
        except (ListPassed, MoveRefused):
            continue
        assert state not in (S.PASSED, S.RETURNED)
    if start is S.PASSED:
        assert state is S.PASSED


def test_a_repeated_submission_or_withdrawal_changes_nothing() -> None:
    assert moved(S.SUBMITTED, Step.SUBMIT) is S.SUBMITTED
    assert moved(S.DRAFT, Step.VOID) is S.DRAFT


@pytest.mark.parametrize("wanted", ["2", "3", "", "10", "一"])
def test_a_hospital_decides_nothing_but_submit_and_take_back(wanted: str) -> None:
    with pytest.raises(MoveRefused):
        step_of(wanted)
    assert (step_of("1"), step_of("0")) == (Step.SUBMIT, Step.VOID)


def test_every_state_can_be_reached_from_a_draft() -> None:
    reached = {S.DRAFT}
    for _ in S:
        reached |= {after for moves in MOVES.values() for before, after in moves.items() if before in reached}
    assert reached == set(S)
