"""The life of one hospital's annual statement (年度结算单的生命周期): sent, answered, approved, posted, locked.

A hospital answers its own statement; one that disputes does not hold up the others. The table is the whole law: an act
that does not stand in it is refused, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from fenzhi.rules.refusals import Conflict


class StatementState(StrEnum):
    """Where a statement stands (结算单状态)."""

    ISSUED = "issued"  # 已发出，待机构确认
    CONFIRMED = "confirmed"  # 机构已确认
    DISPUTED = "disputed"  # 机构有异议
    RESOLVED = "resolved"  # 异议已处理
    APPROVED = "approved"  # 已审批
    POSTED = "posted"  # 已入账
    LOCKED = "locked"  # 已锁定

    @property
    def zh(self) -> str:
        return _STATE_ZH[self]


class StatementAct(StrEnum):
    """What may happen to it (操作)."""

    CONFIRM = "confirm"  # 机构确认
    LAPSE = "lapse"  # 逾期未答复，视为确认
    DISPUTE = "dispute"  # 机构提出异议
    WITHDRAW = "withdraw"  # 机构撤回异议
    UPHOLD = "uphold"  # 异议成立，重新计算后再发
    REJECT = "reject"  # 异议不成立，说明理由
    APPROVE = "approve"  # 审批
    POST = "post"  # 入账
    LOCK = "lock"  # 锁定


class StatementParty(StrEnum):
    """Who may act (操作方)."""

    HOSPITAL = "hospital"
    CALENDAR = "calendar"  # 期限届满
    HANDLER = "handler"  # 经办人
    APPROVER = "approver"  # 审批人，与经办人不同


class StatementActRefused(Conflict):
    """An act the statement's state, the actor or its reason does not allow (该状态下不能进行此操作)."""

    code = "STATEMENT_ACT_REFUSED"


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of the table (状态转移): from where, by which act of whom, to where; whether a reason must be given."""

    state: StatementState
    act: StatementAct
    by: StatementParty
    to: StatementState
    needs_reason: bool = False


_S, _A, _P = StatementState, StatementAct, StatementParty
TRANSITIONS = (
    Transition(_S.ISSUED, _A.CONFIRM, _P.HOSPITAL, _S.CONFIRMED),
    Transition(_S.ISSUED, _A.LAPSE, _P.CALENDAR, _S.CONFIRMED),
    Transition(_S.ISSUED, _A.DISPUTE, _P.HOSPITAL, _S.DISPUTED, True),
    Transition(_S.DISPUTED, _A.WITHDRAW, _P.HOSPITAL, _S.CONFIRMED),
    Transition(_S.DISPUTED, _A.UPHOLD, _P.HANDLER, _S.ISSUED, True),
    Transition(_S.DISPUTED, _A.REJECT, _P.HANDLER, _S.RESOLVED, True),
    Transition(_S.CONFIRMED, _A.APPROVE, _P.APPROVER, _S.APPROVED),
    Transition(_S.RESOLVED, _A.APPROVE, _P.APPROVER, _S.APPROVED),
    Transition(_S.APPROVED, _A.POST, _P.HANDLER, _S.POSTED),
    Transition(_S.POSTED, _A.LOCK, _P.APPROVER, _S.LOCKED),
)
"""Every step a statement may take (状态转移表)."""

_STATE_ZH = {
    _S.ISSUED: "待机构确认",
    _S.CONFIRMED: "机构已确认",
    _S.DISPUTED: "机构有异议",
    _S.RESOLVED: "异议已处理",
    _S.APPROVED: "已审批",
    _S.POSTED: "已入账",
    _S.LOCKED: "已锁定",
}
_TABLE = {(line.state, line.act): line for line in TRANSITIONS}


def next_state(state: StatementState, act: StatementAct, by: StatementParty, reason: str = "") -> StatementState:
    """Where an act of somebody takes a statement (状态转移). Raises: StatementActRefused.

    >>> next_state(StatementState.ISSUED, StatementAct.CONFIRM, StatementParty.HOSPITAL).zh
    '机构已确认'
    """
    line = _TABLE.get((state, act))
    if line is None:
        raise StatementActRefused(
            f"结算单“{state.zh}”，不能进行此操作。",
            f"A statement that is {state.value} takes no {act.value}; it takes {', '.join(acts_of(state)) or 'nothing'}.",
            state=state.value,
            act=act.value,
        )
    if line.by is not by:
        raise StatementActRefused(
            "此操作不由该方进行。",
            f"{act.value} is done by the {line.by.value}, not by the {by.value}.",
            state=state.value,
            act=act.value,
        )
    if line.needs_reason and not reason.strip():
        raise StatementActRefused("须说明理由。", f"{act.value} needs a reason.", state=state.value, act=act.value)
    return line.to


def acts_of(state: StatementState) -> tuple[StatementAct, ...]:
    """What a state takes, in the order of the table (该状态可进行的操作)."""
    return tuple(line.act for line in TRANSITIONS if line.state is state)


def may_approve_run(states: Iterable[StatementState]) -> bool:
    """Whether every statement of a run has been answered (是否均已答复): confirmed or resolved, none issued or disputed."""
    return all(state not in (StatementState.ISSUED, StatementState.DISPUTED) for state in states)
