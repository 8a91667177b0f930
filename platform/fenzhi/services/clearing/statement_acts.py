"""The answer to an annual statement (年度结算单的确认与异议): sent, confirmed or disputed, resolved, locked; every act kept in its order."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.clearing.statement_life import StatementAct, StatementParty, StatementState, next_state
from fenzhi.rules.deadlines.legal_clocks import Clock, ClockTerms, answer_deadline
from fenzhi.rules.events.kinds import EventKind
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.clearing.closing import act_row, pool_of
from fenzhi.services.clearing.lookups import parse_statement_key
from fenzhi.services.clearing.runs import RunKind, found_run, moved
from fenzhi.services.deadlines.calendars import working_days
from fenzhi.services.events.notices import tell_hospital, tell_of_statements
from fenzhi.services.fund.faults import text_fault
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import clearing, fund, year
from fenzhi.store.session import UnitOfWork

ISSUE = "issue"


@dataclass(frozen=True, slots=True)
class StatementActView:
    """One act on a statement (操作记录)."""

    seq: int
    act: str
    party: str
    to_state: str
    reason: str
    due_on: date | None
    acted_at: datetime


async def issue_run(platform: Platform, clerk: Subject, request: Request, run_id: str) -> Answer:
    """Send the statements of a computed year to their hospitals (发出年度结算单); from now on they see and answer them.

    Policy: deadline.confirmation_working_days; without it nothing lapses. Changes: clearing_run computed → issued, statement_act.
    Raises: NotFound, Conflict RUN_STATE, NOT_A_YEAR_RUN, CALENDAR_NOT_PUBLISHED.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        run = await found_run(uow, run_id)
        if run.kind != RunKind.YEAR.value:
            raise Conflict(
                "只有年度清算须发机构确认。", "Only a year is sent out for confirmation.", code="NOT_A_YEAR_RUN"
            )
        answer = await moved(uow, run, ("computed",), {"state": "issued"})
        due = await _due(uow, run.insurance)
        rows = []
        for statement in await clearing.statements_of_runs(uow, [run.run_id]):
            row = act_row(statement, 1, ISSUE, StatementParty.HANDLER, StatementState.ISSUED)
            rows.append(row | {"due_on": due})
        await year.add_acts(uow, rows)
        await tell_of_statements(uow, run, "issued")
        return answer

    return await act(platform, clerk, Duty.START_CLEARING, request, effect)


async def _due(uow: UnitOfWork, insurance: str) -> date | None:
    today = await uow.today()
    terms = ClockTerms.from_policy(await resolved_policy(uow, today, insurance=insurance))
    if terms.confirmation_working_days is None:
        return None
    calendar = await working_days(uow)
    found = answer_deadline(Clock.CONFIRMATION, today, terms.confirmation_working_days, calendar)
    if found.ends is None:
        raise Conflict(
            f"{found.unpublished_year} 年的放假安排尚未录入，无法计算确认期限。",
            f"The calendar of {found.unpublished_year} has not been entered, so the clock of confirmation cannot be counted.",
            code="CALENDAR_NOT_PUBLISHED",
        )
    return found.ends


async def _act_on(
    uow: UnitOfWork, statement: str, what: StatementAct, party: StatementParty, reason: str
) -> tuple[Row[Any], Answer]:
    """One act on one statement of the scope; the statement's row."""
    key = parse_statement_key(statement)
    row = await clearing.statement(uow, *key) if key else None
    if row is None:
        raise NotFound("没有该结算单。", "No such statement.")
    acts = await year.acts_of(uow, row.run_id, row.hospital_id)
    if not acts:
        raise Conflict("结算单尚未发出。", "The statement has not been sent.", code="STATEMENT_NOT_ISSUED")
    if row.run_state not in ("issued", "approved", "published"):
        raise Conflict(
            f"结算处于 {row.run_state} 状态，不能进行此操作。", f"The run is {row.run_state}.", code="RUN_STATE"
        )
    if what is StatementAct.LAPSE:
        await _refuse_early(uow, acts[0])
    to = next_state(StatementState(acts[-1].to_state), what, party, reason)
    await year.add_acts(uow, [act_row(row, acts[-1].seq + 1, what, party, to, reason)])
    return row, {"type": "HospitalStatement", "id": f"{row.run_id}.{row.hospital_id}"}


async def _tell_answer(uow: UnitOfWork, statement: Row[Any], what: StatementAct) -> None:
    """The hospital hears what became of its dispute."""
    key = f"{statement.run_id}.{statement.hospital_id}"
    kind = EventKind.DISPUTE_ANSWERED
    await tell_hospital(uow, statement.hospital_id, kind, "HospitalStatement", key, answer=what.value)


async def _refuse_early(uow: UnitOfWork, issued: Row[Any]) -> None:
    if issued.due_on is None or await uow.today() <= issued.due_on:
        raise Conflict(
            "确认期限未届满，或本地未规定确认期限。",
            "The clock of confirmation has not run out, or the area has set none.",
            code="CONFIRMATION_STILL_OPEN",
        )


Step = Callable[[Platform, Subject, Request, str, str], Awaitable[Answer]]


def _by(duty: Duty, what: StatementAct, party: StatementParty, *, asks_reason: bool = False) -> Step:
    async def step(platform: Platform, person: Subject, request: Request, statement: str, reason: str) -> Answer:
        async def effect(uow: UnitOfWork) -> Answer:
            if asks_reason and (faults := text_fault("REASON_MISSING", "reason", reason, "理由", "The reason")):
                raise DataRefused(tuple(faults))
            row, answer = await _act_on(uow, statement, what, party, reason)
            if what is StatementAct.REJECT:
                await _tell_answer(uow, row, what)
            return answer

        return await act(platform, person, duty, request, effect)

    return step


confirm = _by(Duty.ANSWER_STATEMENT, StatementAct.CONFIRM, StatementParty.HOSPITAL)
"""The hospital confirms its statement (确认). Raises: StatementActRefused, NotFound, Conflict."""
dispute = _by(Duty.ANSWER_STATEMENT, StatementAct.DISPUTE, StatementParty.HOSPITAL, asks_reason=True)
"""The hospital disputes its statement, with its reason (提出异议). Raises: as `confirm`, DataRefused."""
withdraw = _by(Duty.ANSWER_STATEMENT, StatementAct.WITHDRAW, StatementParty.HOSPITAL)
"""The hospital withdraws its dispute (撤回异议). Raises: as `confirm`."""
reject = _by(Duty.START_CLEARING, StatementAct.REJECT, StatementParty.HANDLER, asks_reason=True)
"""The city does not follow a dispute, with its reason (异议不成立). Raises: as `dispute`."""
lapse = _by(Duty.START_CLEARING, StatementAct.LAPSE, StatementParty.CALENDAR)
"""A statement nobody answered in time counts as confirmed (逾期视为确认). Raises: as `confirm`, CONFIRMATION_STILL_OPEN."""


async def uphold(platform: Platform, clerk: Subject, request: Request, statement: str, reason: str) -> Answer:
    """The city follows a dispute (异议成立): the run is voided, what is wrong is put right, and the year is started again.

    Every share of the pool hangs together, so the year is cleared anew and every hospital gets its statement again.
    Changes: statement_act, clearing_run issued → voided. Raises: as `dispute`.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        if faults := text_fault("REASON_MISSING", "reason", reason, "理由", "The reason"):
            raise DataRefused(tuple(faults))
        row, answer = await _act_on(uow, statement, StatementAct.UPHOLD, StatementParty.HANDLER, reason)
        run = await found_run(uow, str(row.run_id))
        await moved(uow, run, ("issued",), {"state": "voided"})
        await _tell_answer(uow, row, StatementAct.UPHOLD)
        return answer

    return await act(platform, clerk, Duty.START_CLEARING, request, effect)


async def lock(platform: Platform, approver: Subject, request: Request, statement: str, _reason: str) -> Answer:
    """Lock a posted statement once its final transfer is paid, or set up as a debt (锁定结算单). Changes: statement_act.

    Raises: NotFound, StatementActRefused, Conflict STATEMENT_NOT_SETTLED.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row, answer = await _act_on(uow, statement, StatementAct.LOCK, StatementParty.APPROVER, "")
        paid = sum(
            payment.amount_fen - payment.returned_fen
            for payment in await fund.payments_of_pool(uow, pool_of(row), [row.run_id])
            if payment.hospital_id == row.hospital_id
        )
        if paid != max(0, row.final_fen):
            raise Conflict(
                f"年度最终拨付 {row.final_fen} 分，已登记拨付 {paid} 分，未结清不能锁定。",
                f"The final transfer is {row.final_fen} fen and {paid} fen are recorded as paid: it is not settled.",
                code="STATEMENT_NOT_SETTLED",
            )
        return answer

    return await act(platform, approver, Duty.APPROVE_CLEARING, request, effect)


async def acts(platform: Platform, subject: Subject, run_id: uuid.UUID, hospital_id: int) -> Sequence[StatementActView]:
    """The acts on one statement, in order (操作记录)."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        return [
            StatementActView(r.seq, r.act, r.party, r.to_state, r.reason, r.due_on, r.recorded_at)
            for r in await year.acts_of(uow, run_id, hospital_id)
        ]
