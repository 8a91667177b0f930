"""The rounds of a list (清单流转): draft, reviewed in the hospital, submitted, judged, passed or rejected, returned.

Owns: which step may follow which, by whom, and how a list stands in the national words (`stas_type` of transaction 4102). Does not
own: what a list says; the checks judge that. Invariants: a passed list never moves by the hospital's own word; it moves again only
after the bureau returned it; a step that changes nothing is answered as done, so that a repeated message harms nothing.
"""

from __future__ import annotations

from enum import StrEnum

from fenzhi.rules.refusals import Conflict


class FiledState(StrEnum):
    """How a filed list stands (清单状态)."""

    DRAFT = "draft"  # 科室填报
    REVIEWED = "reviewed"  # 院内审核通过
    SUBMITTED = "submitted"  # 已提交，待质控
    JUDGED = "judged"  # 质控通过，待医保部门审核
    PASSED = "passed"  # 审核通过
    REJECTED = "rejected"  # 质控或审核不通过
    RETURNED = "returned"  # 医保部门退回


class Step(StrEnum):
    """What happens to a filed list (流转动作)."""

    FILE = "file"  # 填报或修改
    REVIEW = "review"  # 院内审核
    SEND_BACK = "send_back"  # 院内退回科室
    SUBMIT = "submit"  # 提交（4102 置 1）
    VOID = "void"  # 撤回（4102 置 0）
    ACCEPT = "accept"  # 质控通过
    REJECT = "reject"  # 质控不通过
    PASS = "pass"  # 医保部门审核通过
    RETURN = "return"  # 医保部门退回
    WITHDRAW_RETURN = "withdraw_return"  # 撤销退回


_S = FiledState
MOVES: dict[Step, dict[FiledState, FiledState]] = {
    Step.FILE: {_S.DRAFT: _S.DRAFT, _S.REVIEWED: _S.DRAFT, _S.REJECTED: _S.DRAFT, _S.RETURNED: _S.DRAFT},
    Step.REVIEW: {_S.DRAFT: _S.REVIEWED},
    Step.SEND_BACK: {_S.REVIEWED: _S.DRAFT},
    Step.SUBMIT: {
        _S.DRAFT: _S.SUBMITTED,
        _S.REVIEWED: _S.SUBMITTED,
        _S.REJECTED: _S.SUBMITTED,
        _S.RETURNED: _S.SUBMITTED,
        _S.SUBMITTED: _S.SUBMITTED,
        _S.JUDGED: _S.JUDGED,
    },
    Step.VOID: {
        _S.DRAFT: _S.DRAFT,
        _S.REVIEWED: _S.DRAFT,
        _S.SUBMITTED: _S.DRAFT,
        _S.JUDGED: _S.DRAFT,
        _S.REJECTED: _S.DRAFT,
        _S.RETURNED: _S.DRAFT,
    },
    Step.ACCEPT: {_S.SUBMITTED: _S.JUDGED},
    Step.REJECT: {_S.SUBMITTED: _S.REJECTED},
    Step.PASS: {_S.JUDGED: _S.PASSED},
    Step.RETURN: {_S.JUDGED: _S.RETURNED, _S.PASSED: _S.RETURNED},
    Step.WITHDRAW_RETURN: {_S.RETURNED: _S.PASSED},
}
"""Step → from → to. What is not here is refused."""

_NATIONAL = {
    _S.DRAFT: "0",
    _S.REVIEWED: "0",
    _S.SUBMITTED: "1",
    _S.JUDGED: "1",
    _S.PASSED: "2",
    _S.REJECTED: "3",
    _S.RETURNED: "3",
}
_WORDS = {
    _S.DRAFT: ("草稿", "a draft"),
    _S.REVIEWED: ("院内已审核", "reviewed in the hospital"),
    _S.SUBMITTED: ("已提交、待质控", "submitted and waiting for its checks"),
    _S.JUDGED: ("质控通过、待医保部门审核", "checked and waiting for the bureau"),
    _S.PASSED: ("已审核通过", "passed"),
    _S.REJECTED: ("未通过", "rejected"),
    _S.RETURNED: ("已被医保部门退回", "returned by the bureau"),
}
_STEP_WORDS = {
    Step.FILE: ("修改", "changed"),
    Step.REVIEW: ("院内审核", "reviewed"),
    Step.SEND_BACK: ("院内退回", "sent back to the department"),
    Step.SUBMIT: ("提交", "submitted"),
    Step.VOID: ("撤回", "taken back"),
    Step.ACCEPT: ("记为质控通过", "accepted"),
    Step.REJECT: ("记为质控不通过", "rejected"),
    Step.PASS: ("审核通过", "passed"),
    Step.RETURN: ("退回", "returned"),
    Step.WITHDRAW_RETURN: ("撤销退回", "relieved of its return"),
}


class MoveRefused(Conflict):
    """The step does not follow from where the list stands (清单状态不允许该操作)."""

    code = "LIST_STATE"


class ListPassed(Conflict):
    """A passed list is immutable until the bureau returns it (已审核通过的清单不可修改)."""

    code = "LIST_PASSED"


def stas_type(state: FiledState) -> str:
    """The national word for a state (清单状态 stas_type): 0 draft, 1 submitted, 2 passed, 3 rejected.

    >>> [stas_type(state) for state in FiledState]
    ['0', '0', '1', '1', '2', '3', '3']
    """
    return _NATIONAL[state]


def moved(state: FiledState, step: Step) -> FiledState:
    """Where a step leads from a state (状态流转).

    Raises: ListPassed when a hospital moves what has passed, MoveRefused for every other step that does not follow.
    """
    following = MOVES[step].get(state)
    if following is not None:
        return following
    zh, en = _WORDS[state]
    step_zh, step_en = _STEP_WORDS[step]
    if state is _S.PASSED and step in (Step.FILE, Step.SUBMIT, Step.VOID):
        raise ListPassed(
            "清单已审核通过，不可修改或撤回。",
            "The list has passed: it can be neither changed nor taken back.",
            hint="如需更正，请向医保部门申请退回 / ask the bureau to return it",
        )
    raise MoveRefused(
        f"清单{zh}，不能{step_zh}。",
        f"The list is {en} and cannot be {step_en}.",
        hint="查询清单当前状态后再操作 / look at its state first",
        state=state.value,
    )


def step_of(wanted: str) -> Step:
    """The step that a hospital's `stas_type` asks for (4102 状态对应的动作): 1 submits, 0 takes back.

    Raises: MoveRefused for 2 and 3, which the platform and the bureau decide, and for any other text.
    """
    if wanted == "1":
        return Step.SUBMIT
    if wanted == "0":
        return Step.VOID
    raise MoveRefused(
        f"stas_type 只能填 0 或 1，收到 {wanted[:10]!r}。",
        f"A hospital sets stas_type 0 or 1, not {wanted[:10]!r}.",
        hint="2、3 由质控和医保部门审核产生 / 2 and 3 are decided by the checks and the bureau",
    )
