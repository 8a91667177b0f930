"""Cases frozen by a finding (冻结病例): kept out of every run from the judgement on, until a bureau releases them or a correction replaces them.

What a freeze does to clocks: the list counts as submitted on its own day, whenever it is released, so its timeliness stands; a run that is
frozen meanwhile goes without the case, which enters the next one as an adjustment. `submission.freeze_days` gives the bureau its last day;
past it the hold is overdue and shown so, and the case still waits: nothing is released by silence.
"""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.deadlines.working_days import policy_working_days
from fenzhi.rules.events.kinds import EventKind
from fenzhi.rules.refusals import NotFound
from fenzhi.rules.submission.evidence_checks import FREEZING_CODES
from fenzhi.rules.submission.verdict_texts import VERDICT_TEXTS
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.events.notices import Notice, announce, tell_hospital
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.services.submission.filing import reason_checked
from fenzhi.services.submission.returns import standing_case
from fenzhi.store.repositories import case_holds, events
from fenzhi.store.session import UnitOfWork

FROZEN = "frozen"
FREEZING_RULES = frozenset(VERDICT_TEXTS[code].rule for code in FREEZING_CODES)
"""Rules whose findings freeze (冻结规则): no other rule shares them."""


async def freeze_cases(uow: UnitOfWork, batch: Row[Any]) -> None:
    """Hold the cases of a judged batch that a freezing rule found something about (冻结), in the transaction of the judgement.

    Policy: submission.freeze_days. Changes: case_hold, tenant_event. Raises: CalendarNotPublished.
    """
    found = await case_holds.cases_with_findings(uow, batch.batch_id, sorted(FREEZING_CODES))
    if not found:
        return
    policy = await resolved_policy(uow, batch.received_on)
    due_on = None
    if policy.has("submission.freeze_days"):
        due_on = policy_working_days(policy).after(await uow.today(), policy.integer("submission.freeze_days"))
    held = [
        await case_holds.add_hold(uow, one, kind=FROZEN, reason=f"{one.code}：{one.zh}", due_on=due_on) for one in found
    ]
    known = await events.codes_of_hospitals(uow, [batch.hospital_id])
    notices = [
        Notice(known[batch.hospital_id], EventKind.CASE_HELD, "CaseHold", str(hold_id), {"rule": one.rule})
        for hold_id, one in zip(held, found, strict=True)
        if batch.hospital_id in known
    ]
    await announce(uow, notices)


async def release_case(
    platform: Platform, subject: Subject, request: Request, case_id: uuid.UUID, reason: str
) -> Answer:
    """Release a frozen case (解除冻结): it counts again as it is. Changes: case_release, tenant_event.

    Raises: Forbidden, NotFound, CaseReplaced, DataRefused.
    """
    subject.scope_for(Duty.RETURN_LISTS)
    told = reason_checked(reason)

    async def effect(uow: UnitOfWork) -> Answer:
        await standing_case(uow, case_id)
        held = await case_holds.open_hold(uow, case_id)
        if held is None or held.kind != FROZEN:
            raise NotFound("该病例没有待核实的冻结。", "The case is not frozen.")
        await case_holds.release(uow, held, told)
        await tell_hospital(uow, held.hospital_id, EventKind.CASE_RELEASED, "CaseHold", held.hold_id)
        return {"type": "CaseHold", "id": str(held.hold_id)}

    return await act(platform, subject, Duty.RETURN_LISTS, request, effect)
