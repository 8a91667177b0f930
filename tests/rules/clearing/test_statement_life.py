"""The life of an annual statement (年度结算单状态)."""

from __future__ import annotations

import pytest

from fenzhi.rules.clearing.statement_life import (
    TRANSITIONS,
    StatementAct,
    StatementActRefused,
    StatementParty,
    StatementState,
    acts_of,
    may_approve_run,
    next_state,
)

S, A, P = StatementState, StatementAct, StatementParty


def test_from_sent_to_locked_with_a_dispute_in_between() -> None:
    state = S.ISSUED
    for act, by, reason in (
        (A.DISPUTE, P.HOSPITAL, "漏计 3 例"),
        (A.UPHOLD, P.HANDLER, "补入 3 例，重算"),
        (A.CONFIRM, P.HOSPITAL, ""),
        (A.APPROVE, P.APPROVER, ""),
        (A.POST, P.HANDLER, ""),
        (A.LOCK, P.APPROVER, ""),
    ):
        state = next_state(state, act, by, reason)
    assert state is S.LOCKED and acts_of(state) == ()


def test_every_pair_outside_the_table_is_refused() -> None:
    known = {(line.state, line.act) for line in TRANSITIONS}
    assert len(known) == len(TRANSITIONS)
    tried = 0
    for state in S:
        for act in A:
            for by in P:
                allowed = any((line.state, line.act, line.by) == (state, act, by) for line in TRANSITIONS)
                if not allowed:
                    with pytest.raises(StatementActRefused):
                        next_state(state, act, by, "理由")
                    tried += 1
    assert tried == len(S) * len(A) * len(P) - len(TRANSITIONS)


@pytest.mark.parametrize("line", [line for line in TRANSITIONS if line.needs_reason])
def test_what_needs_a_reason_is_refused_without_one(line: object) -> None:
    with pytest.raises(StatementActRefused) as refused:
        next_state(line.state, line.act, line.by, "  ")  # type: ignore[attr-defined]
    assert "reason" in str(refused.value)


def test_every_state_is_reached_and_silence_counts_as_consent() -> None:
    assert {line.to for line in TRANSITIONS} == set(S)
    assert next_state(S.ISSUED, A.LAPSE, P.CALENDAR) is S.CONFIRMED


def test_a_run_is_approved_when_every_hospital_has_answered() -> None:
    assert may_approve_run([S.CONFIRMED, S.RESOLVED])
    assert not may_approve_run([S.CONFIRMED, S.ISSUED])
    assert not may_approve_run([S.DISPUTED])
