"""Working calendars (放假安排): entered by the province each autumn as published, approved by another person."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.rules.deadlines.working_days import WorkingDays
from fenzhi.rules.refusals import Conflict, DataRefused, NotFound, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, as_id, looking
from fenzhi.services.fund.faults import text_fault
from fenzhi.store.repositories import deadlines
from fenzhi.store.session import UnitOfWork


@dataclass(frozen=True, slots=True)
class EnterCalendar:
    """An order to enter a year's calendar (录入放假安排): weekend days that are worked, weekdays that are off."""

    year: int
    worked: tuple[date, ...]
    off: tuple[date, ...]
    document: str
    reason: str


@dataclass(frozen=True, slots=True)
class CalendarView:
    """A year's calendar (放假安排)."""

    calendar_id: uuid.UUID
    year: int
    worked: tuple[date, ...]
    off: tuple[date, ...]
    document: str
    reason: str
    state: str


def _faults(order: EnterCalendar) -> list[Refusal]:
    found = text_fault("DOCUMENT_MISSING", "document", order.document, "依据文件", "The document")
    found += text_fault("REASON_MISSING", "reason", order.reason, "理由", "The reason")
    for name, days, weekend in (("worked", order.worked, True), ("off", order.off, False)):
        for day in days:
            if day.year != order.year or (day.weekday() >= 5) is not weekend:
                found.append(
                    Refusal(
                        "CALENDAR_DAY_WRONG", name, day.isoformat(), "调休上班日须为当年周末，放假日须为当年工作日。",
                        "A day worked is a weekend day of the year, a day off a weekday of it.",
                        "按国务院公布的安排核对。", "Check it against the published calendar.",
                    )
                )  # fmt: skip
    return found


async def enter_calendar(platform: Platform, editor: Subject, request: Request, order: EnterCalendar) -> Answer:
    """Enter the calendar of a year (录入放假安排); it counts once approved. Changes: working_calendar (draft).

    Raises: DataRefused with every fault at once.
    """
    faults = _faults(order)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        row = {
            "year": order.year,
            "worked": sorted(set(order.worked)),
            "off": sorted(set(order.off)),
            "document": order.document,
            "reason": order.reason,
        }
        return {"type": "WorkingCalendar", "id": str(await deadlines.add_calendar(uow, row))}

    return await act(platform, editor, Duty.PROPOSE_PROVINCE_POLICY, request, effect)


async def decide_calendar(
    platform: Platform, approver: Subject, request: Request, calendar_id: str, *, approve: bool
) -> Answer:
    """Approve or reject a calendar (审批放假安排), by another person than who entered it.

    Changes: working_calendar draft → approved | rejected. Raises: NotFound, SamePerson, Conflict CALENDAR_NOT_DRAFT.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        key = as_id(calendar_id, "calendar")
        row = await deadlines.calendar_by_id(uow, key)
        if row is None:
            raise NotFound("没有该放假安排。", "No such calendar.")
        require_second_person(str(row.entered_by_person), uow.scope.person_id)
        if not await deadlines.decide_calendar(uow, key, "approved" if approve else "rejected"):
            raise Conflict(
                f"放假安排已处于 {row.state} 状态。", f"The calendar is {row.state} already.", code="CALENDAR_NOT_DRAFT"
            )
        return {"type": "WorkingCalendar", "id": str(key)}

    return await act(platform, approver, Duty.APPROVE_PROVINCE_POLICY, request, effect)


async def calendars(platform: Platform, subject: Subject) -> Sequence[CalendarView]:
    """The calendars the subject sees, by year (放假安排列表); below the province the approved ones."""
    async with looking(platform, subject, Duty.READ_POLICY) as uow:
        return [
            CalendarView(r.calendar_id, r.year, tuple(r.worked), tuple(r.off), r.document, r.reason, r.state)
            for r in await deadlines.calendars(uow)
        ]


async def calendar_by_id(platform: Platform, subject: Subject, calendar_id: uuid.UUID) -> CalendarView | None:
    """One calendar, or none in this scope (放假安排)."""
    async with looking(platform, subject, Duty.READ_POLICY) as uow:
        r = await deadlines.calendar_by_id(uow, calendar_id)
        if r is None:
            return None
        return CalendarView(r.calendar_id, r.year, tuple(r.worked), tuple(r.off), r.document, r.reason, r.state)


async def working_days(uow: UnitOfWork) -> WorkingDays:
    """The working days of the province's approved calendars (工作日历); the latest of a year counts."""
    latest = {row.year: row for row in await deadlines.calendars(uow) if row.state == "approved"}
    overrides = [(day, True) for row in latest.values() for day in row.worked]
    overrides += [(day, False) for row in latest.values() for day in row.off]
    return WorkingDays(frozenset(latest), tuple(sorted(overrides)))
