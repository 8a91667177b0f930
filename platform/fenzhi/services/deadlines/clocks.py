"""The deadline ledger (时限台账): the clocks of a settlement month opened for every hospital, met by its application and its payment."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.deadlines.legal_clocks import (
    Clock,
    ClockTerms,
    Deadline,
    application_deadline,
    payment_deadline,
)
from fenzhi.rules.periods import SettlementMonth
from fenzhi.rules.refusals import Conflict, DataRefused, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.deadlines.calendars import working_days
from fenzhi.services.events.reminders import remind_of_clocks
from fenzhi.services.fund.faults import pool_faults
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import deadlines, registry
from fenzhi.store.repositories.fund import Pool
from fenzhi.store.session import UnitOfWork


@dataclass(frozen=True, slots=True)
class DeadlineView:
    """A clock in the ledger (时限). `state` is as of today."""

    deadline_id: uuid.UUID
    hospital_code: str
    insurance: str
    pool_scope: str
    year: int
    period: int
    clock: str
    begins: date
    ends: date | None
    days: int
    is_working: bool
    unpublished_year: int | None
    done_on: date | None
    state: str


def _view(row: Row[Any], today: date) -> DeadlineView:
    found = Deadline(Clock(row.clock), row.begins, row.ends, row.days, row.is_working, row.unpublished_year)
    return DeadlineView(
        row.deadline_id,
        row.hospital_code,
        row.insurance,
        row.pool_scope,
        row.year,
        row.period,
        row.clock,
        row.begins,
        row.ends,
        row.days,
        row.is_working,
        row.unpublished_year,
        row.done_on,
        found.state(today, row.done_on).value,
    )


def _month_faults(pool: Pool, month: int) -> list[Refusal]:
    found = pool_faults(*pool)
    if not 1 <= month <= 12:
        found.append(
            Refusal("MONTH_RANGE", "month", str(month), "月份须为 1 至 12。", "A month is 1 to 12.",
                    "核对月份。", "Check the month.")
        )  # fmt: skip
    return found


async def open_month(platform: Platform, clerk: Subject, request: Request, pool: Pool, month: int) -> Answer:
    """Open the clocks of a settlement month for every hospital under agreement (开启当月时限): its application in the first days of the next
    month, the payment within the working days after it; reckoned again where a calendar was missing.

    Policy: deadline.application_day, deadline.payment_working_days. Changes: deadline. Raises: DataRefused, PolicyNotEntered.
    """
    faults = _month_faults(pool, month)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        insurance, _scope, year = pool
        settled = SettlementMonth(year, month)
        policy = await resolved_policy(uow, settled.last_day, insurance=insurance)
        terms = ClockTerms.from_policy(policy)
        application = application_deadline(settled, terms.application_day)
        ends = application.ends or application.begins
        payment = payment_deadline(ends, terms.payment_working_days, await working_days(uow))
        agreed = {
            row.hospital_id
            for row in await registry.agreements(uow, uow.scope.area)
            if row.insurance == insurance and row.valid_from <= settled.last_day and row.valid_to >= settled.first_day
        }
        hospitals = [row for row in await registry.hospitals(uow, 0, 1_000_000) if row.hospital_id in agreed]
        rows = [
            _row(hospital, pool, month, clock)
            for hospital in hospitals
            for clock in (application, payment)
            if hospital.area_id == uow.scope.area
        ]
        await deadlines.open_deadlines(uow, rows)
        await deadlines.reckon_again(uow, pool, month, Clock.PAYMENT.value, payment.ends, payment.unpublished_year)
        opened = await deadlines.deadlines(uow, None, 1_000_000, year=pool[2], clock=Clock.APPLICATION.value)
        await remind_of_clocks(
            uow,
            policy,
            [
                one
                for one in opened
                if one.done_on is None and (one.insurance, one.pool_scope, one.period) == (*pool[:2], month)
            ],
        )
        return {"type": "Deadline", "id": "", "opened": len(rows)}

    return await act(platform, clerk, Duty.START_CLEARING, request, effect)


def _row(hospital: Row[Any], pool: Pool, month: int, clock: Deadline) -> dict[str, Any]:
    insurance, pool_scope, year = pool
    return {
        "area_id": hospital.area_id,
        "county_id": hospital.county_id,
        "hospital_id": hospital.hospital_id,
        "insurance": insurance,
        "pool_scope": pool_scope,
        "year": year,
        "period": month,
        "clock": clock.clock.value,
        "begins": clock.begins,
        "ends": clock.ends,
        "days": clock.days,
        "is_working": clock.working,
        "unpublished_year": clock.unpublished_year,
        "subject_id": None,
    }


async def apply_for_month(platform: Platform, submitter: Subject, request: Request, pool: Pool, month: int) -> Answer:
    """A hospital applies for the settlement of a month (结算申请): its clock is met today, late or not.

    Changes: deadline. Raises: DataRefused, Conflict APPLICATION_NOT_OPEN when no clock runs.
    """
    faults = _month_faults(pool, month)

    async def effect(uow: UnitOfWork) -> Answer:
        if faults:
            raise DataRefused(tuple(faults))
        insurance, pool_scope, year = pool
        of = {
            "hospital_id": uow.scope.hospital_id,
            "insurance": insurance,
            "pool_scope": pool_scope,
            "year": year,
            "period": month,
        }
        if not await deadlines.meet(uow, of, [Clock.APPLICATION.value], await uow.today()):
            raise Conflict(
                "该月没有待办的结算申请。",
                "No application of this month is open for you.",
                code="APPLICATION_NOT_OPEN",
            )
        return {"type": "Deadline", "id": "", "opened": 1}

    return await act(platform, submitter, Duty.SUBMIT_LISTS, request, effect)


async def page(
    platform: Platform,
    subject: Subject,
    after: uuid.UUID | None,
    limit: int,
    *,
    year: int | None = None,
    clock: str = "",
) -> Sequence[DeadlineView]:
    """One page of the clocks the subject sees, as of today (时限列表)."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        today = await uow.today()
        return [_view(row, today) for row in await deadlines.deadlines(uow, after, limit, year=year, clock=clock)]


async def deadline_by_id(platform: Platform, subject: Subject, deadline_id: uuid.UUID) -> DeadlineView | None:
    """One clock, or none in this scope (时限)."""
    async with looking(platform, subject, Duty.READ_CLEARING) as uow:
        row = await deadlines.deadline_by_id(uow, deadline_id)
        return None if row is None else _view(row, await uow.today())


async def meet_payment(uow: UnitOfWork, pool: Pool, period: int, hospital_id: int, on: date) -> None:
    """A payment of a month meets its clock on the day it was made (拨付办结)."""
    insurance, pool_scope, year = pool
    of = {
        "hospital_id": hospital_id,
        "insurance": insurance,
        "pool_scope": pool_scope,
        "year": year,
        "period": period,
    }
    await deadlines.meet(uow, of, [Clock.PAYMENT.value], on)
