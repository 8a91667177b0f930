"""Telling a hospital that a clock runs out soon (期限提醒): a timer set with the clock, a word when it rings and the clock still runs."""

from __future__ import annotations

import uuid
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row

from fenzhi.outbox.timers import set_timer
from fenzhi.rules.events.kinds import EventKind
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.services.acts import Platform
from fenzhi.services.events.notices import tell_hospital_once
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.store.repositories import case_holds, deadlines, registry
from fenzhi.store.session import BUSINESS_ZONE, UnitOfWork

REMIND = "events.deadline_near"
_MORNING = time(8, tzinfo=ZoneInfo(BUSINESS_ZONE))


def _notice_days(policy: ResolvedPolicy) -> int | None:
    return policy.integer("deadline.notice_days") if policy.has("deadline.notice_days") else None


def _rings_at(ends: date, days: int) -> datetime:
    """Eight in the morning, some days before the last day."""
    return datetime.combine(ends - timedelta(days=days), _MORNING)


async def remind_of_hold(
    uow: UnitOfWork, policy: ResolvedPolicy, case: Row[Any], hold_id: uuid.UUID, due: date
) -> None:
    """Have the hospital of a returned case told before its window ends (更正期限提醒). Policy: deadline.notice_days. Changes: job_timer."""
    days = _notice_days(policy)
    hospital = await registry.hospital_by_id(uow, case.hospital_id) if days is not None else None
    if days is None or hospital is None:
        return
    await _set(uow, f"hold/{hold_id}", {"hold": str(hold_id)}, hospital, _rings_at(due, days))


async def remind_of_clocks(uow: UnitOfWork, policy: ResolvedPolicy, rows: list[Row[Any]]) -> None:
    """Have hospitals told before their applications close (结算申请期限提醒). Policy: deadline.notice_days. Changes: job_timer."""
    days = _notice_days(policy)
    if days is None:
        return
    for row in rows:
        hospital = await registry.hospital_by_id(uow, row.hospital_id)
        if hospital is not None and row.ends is not None:
            name = f"clock/{row.deadline_id}"
            await _set(uow, name, {"deadline": str(row.deadline_id)}, hospital, _rings_at(row.ends, days))


async def _set(uow: UnitOfWork, name: str, payload: dict[str, str], hospital: Row[Any], due_at: datetime) -> None:
    await set_timer(
        uow,
        f"remind/{name}",
        REMIND,
        payload,
        due_at=due_at,
        tenant=hospital.code,
        province_id=hospital.province_id,
        area_id=hospital.area_id,
        county_id=hospital.county_id,
        hospital_id=hospital.hospital_id,
    )


async def remind(_platform: Platform, job: JobInHand) -> None:
    """Tell a hospital once that a clock of its runs out soon, unless it was met meanwhile (期限临近通知). Changes: tenant_event, job.

    A month opened again sets its timers again; a last day that moved is told anew.
    """
    result: dict[str, Any] = {"told": False}
    async with job.finishing(result) as uow:
        if "hold" in job.payload:
            hold = await case_holds.hold_by_id(uow, uuid.UUID(str(job.payload["hold"])))
            if hold is not None and not (hold.corrected_by or hold.released_at):
                result["told"] = await _tell(uow, hold.hospital_id, "CaseHold", hold.hold_id, "correction", hold.due_on)
        else:
            clock = await deadlines.deadline_by_id(uow, uuid.UUID(str(job.payload["deadline"])))
            if clock is not None and clock.done_on is None and clock.ends is not None:
                result["told"] = await _tell(
                    uow, clock.hospital_id, "Deadline", clock.deadline_id, clock.clock, clock.ends
                )


async def _tell(uow: UnitOfWork, hospital_id: int, subject_type: str, key: uuid.UUID, clock: str, ends: date) -> bool:
    facts = {"clock": clock, "ends": ends.isoformat()}
    return await tell_hospital_once(uow, hospital_id, EventKind.DEADLINE_NEAR, subject_type, key, **facts)
