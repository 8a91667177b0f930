"""What a bureau says of a list (医保部门审核与退回): pass it, return it with a reason and a window, take the return back.

A returned case enters no run until a corrected list supersedes it or the return is taken back: it waits on a named list, it never
vanishes. How long the window is and how often a list may come back is the area's policy.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.deadlines.working_days import policy_working_days
from fenzhi.rules.events.kinds import EventKind
from fenzhi.rules.refusals import Conflict, NotFound
from fenzhi.rules.submission.filing import FiledState, Step, moved
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.events.notices import tell_hospital
from fenzhi.services.events.reminders import remind_of_hold
from fenzhi.services.submission.filing import no_such_list, policy_of_today, reason_checked
from fenzhi.store.repositories import case_holds
from fenzhi.store.repositories import filing as store
from fenzhi.store.session import UnitOfWork


class CaseHeld(Conflict):
    """The case is returned already and waits for its correction (病例已退回)."""

    code = "CASE_HELD"


class ReturnsUsedUp(Conflict):
    """The list was returned as often as policy allows (退回次数已用尽)."""

    code = "RETURNS_USED_UP"


class CaseReplaced(Conflict):
    """A corrected list has taken the place of this case (病例已被更正替代)."""

    code = "CASE_REPLACED"


@dataclass(frozen=True, slots=True)
class HoldView:
    """A case that enters no run (暂不结算病例), and how that ended where it did."""

    hold_id: uuid.UUID
    case_id: uuid.UUID
    setl_id: str
    hospital_code: str
    kind: str
    reason: str
    due_on: date | None
    held_at: datetime
    state: str
    """open, corrected, released, or overdue: open past its window (状态)."""
    corrected_by: uuid.UUID | None
    ended_at: datetime | None
    kept: bool | None
    """Whether the correction came within the window; none while it is open or where there is none."""


def _view(row: Row[Any], today: date) -> HoldView:
    ended = row.corrected_at or row.released_at
    state = "corrected" if row.corrected_by else "released" if row.released_at else "open"
    if state == "open" and row.due_on is not None and today > row.due_on:
        state = "overdue"
    kept = None if row.corrected_at is None or row.due_on is None else row.corrected_at.date() <= row.due_on
    return HoldView(
        hold_id=row.hold_id,
        case_id=row.case_id,
        setl_id=row.setl_id,
        hospital_code=row.hospital_code,
        kind=row.kind,
        reason=row.reason,
        due_on=row.due_on,
        held_at=row.recorded_at,
        state=state,
        corrected_by=row.corrected_by,
        ended_at=ended,
        kept=kept,
    )


async def holds(
    platform: Platform, subject: Subject, *, only_open: bool, after: uuid.UUID | None, limit: int
) -> Sequence[HoldView]:
    """Cases of the scope that enter no run, oldest first (暂不结算病例清单). Raises: Forbidden."""
    async with looking(platform, subject, Duty.READ_SUBMISSION) as uow:
        today = await uow.today()
        return [
            _view(row, today)
            for row in await case_holds.holds_after(uow, only_open=only_open, after=after, limit=limit)
        ]


async def hold(platform: Platform, subject: Subject, hold_id: uuid.UUID) -> HoldView | None:
    """One hold of the scope (暂不结算记录). Raises: Forbidden."""
    async with looking(platform, subject, Duty.READ_SUBMISSION) as uow:
        row = await case_holds.hold_by_id(uow, hold_id)
        return None if row is None else _view(row, await uow.today())


async def return_case(
    platform: Platform, subject: Subject, request: Request, case_id: uuid.UUID, reason: str
) -> Answer:
    """Return a case to its hospital for correction (退回): it enters no run until corrected.

    The window runs in working days from tomorrow, by submission.correction_days. Changes: case_hold, filed_list, filed_move. Raises:
    Forbidden, NotFound, CaseReplaced, CaseHeld, ReturnsUsedUp, PolicyNotEntered, CalendarNotPublished, DataRefused.
    """
    subject.scope_for(Duty.RETURN_LISTS)
    told = reason_checked(reason)

    async def effect(uow: UnitOfWork) -> Answer:
        case = await standing_case(uow, case_id)
        if await case_holds.open_hold(uow, case_id) is not None:
            raise CaseHeld(
                "该病例已退回或冻结，正待处理。", "The case is returned or held already.",
                hint="等待更正，或先撤销退回、解除冻结 / wait for the correction, or end what holds it first",
            )  # fmt: skip
        policy = await policy_of_today(uow)
        days = policy.integer("submission.correction_days")
        due_on = policy_working_days(policy).after(await uow.today(), days)
        if policy.has("submission.returns_most"):
            most = policy.integer("submission.returns_most")
            if await case_holds.returns_of(uow, case.hospital_id, case.setl_id) >= most:
                raise ReturnsUsedUp(
                    f"该清单已退回 {most} 次，不能再退回。", f"The list was returned {most} times, as often as policy allows.",
                    hint="按现有内容审核，或申请特例单议 / decide on what is there",
                )  # fmt: skip
        hold_id = await case_holds.add_hold(uow, case, kind="returned", reason=told, due_on=due_on)
        filed = await store.hold_list_of_case(uow, case_id)
        if filed is not None:
            following = moved(FiledState(filed.state), Step.RETURN)
            await store.change_list(uow, filed.list_id, state=following.value, returns=filed.returns + 1)
            await _note(uow, filed, Step.RETURN, following, told)
        await remind_of_hold(uow, policy, case, hold_id, due_on)
        await tell_hospital(
            uow, case.hospital_id, EventKind.LIST_RETURNED, "CaseHold", hold_id, due_on=due_on.isoformat()
        )
        return {"type": "CaseHold", "id": str(hold_id)}

    return await act(platform, subject, Duty.RETURN_LISTS, request, effect)


async def standing_case(uow: UnitOfWork, case_id: uuid.UUID) -> Row[Any]:
    """A case that no correction has replaced (现行病例). Raises: CaseReplaced, NotFound."""
    case = await case_holds.standing_case(uow, case_id)
    if case is None:
        if await case_holds.case_exists(uow, case_id):
            raise CaseReplaced(
                "该病例已被更正后的清单替代。", "A corrected list has taken the place of this case.",
                hint="对现行病例操作 / act on the case that stands now",
            )  # fmt: skip
        raise NotFound("没有该病例。", "No such case.")
    return case


async def _note(uow: UnitOfWork, filed: Row[Any], step: Step, following: FiledState, reason: str) -> None:
    await store.note_move(
        uow,
        filed,
        step=step.value,
        from_state=filed.state,
        to_state=following.value,
        version=filed.version,
        reason=reason,
    )


async def withdraw_return(
    platform: Platform, subject: Subject, request: Request, case_id: uuid.UUID, reason: str
) -> Answer:
    """Take a return back (撤销退回): the case counts again as it is. Changes: case_release, filed_list, filed_move.

    Raises: Forbidden, NotFound, CaseReplaced, DataRefused.
    """
    subject.scope_for(Duty.RETURN_LISTS)
    told = reason_checked(reason)

    async def effect(uow: UnitOfWork) -> Answer:
        await standing_case(uow, case_id)
        held = await case_holds.open_hold(uow, case_id)
        if held is None or held.kind != "returned":
            raise NotFound("该病例没有待更正的退回。", "The case has no return that is open.")
        await case_holds.release(uow, held, told)
        filed = await store.hold_list_of_case(uow, case_id)
        if filed is not None and FiledState(filed.state) is FiledState.RETURNED:
            following = moved(FiledState.RETURNED, Step.WITHDRAW_RETURN)
            await store.change_list(uow, filed.list_id, state=following.value)
            await _note(uow, filed, Step.WITHDRAW_RETURN, following, told)
        await tell_hospital(uow, held.hospital_id, EventKind.CASE_RELEASED, "CaseHold", held.hold_id)
        return {"type": "CaseHold", "id": str(held.hold_id)}

    return await act(platform, subject, Duty.RETURN_LISTS, request, effect)


async def pass_list(platform: Platform, subject: Subject, request: Request, list_id: uuid.UUID) -> Answer:
    """Pass a checked list (审核通过), where the area has its bureaus review every list. Changes: filed_list, filed_move.

    Raises: Forbidden, NotFound, MoveRefused.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        filed = await store.hold_list_by_id(uow, list_id)
        if filed is None:
            raise no_such_list()
        following = moved(FiledState(filed.state), Step.PASS)
        await store.change_list(uow, list_id, state=following.value)
        await _note(uow, filed, Step.PASS, following, "")
        await tell_hospital(uow, filed.hospital_id, EventKind.LIST_PASSED, "FiledList", list_id)
        return {"type": "FiledList", "id": str(list_id)}

    return await act(platform, subject, Duty.RETURN_LISTS, request, effect)
