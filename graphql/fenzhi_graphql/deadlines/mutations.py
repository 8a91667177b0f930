"""Mutations of clocks and calendars (期限)."""

from __future__ import annotations

from datetime import date

import strawberry

from fenzhi.services.acts import Answer, as_id
from fenzhi.services.deadlines import calendars, clocks
from fenzhi_graphql.context import Info
from fenzhi_graphql.deadlines.types import WorkingCalendar
from fenzhi_graphql.fund.types import Insurance, PoolScope
from fenzhi_graphql.outcomes import ERRORS, UserError, answered
from fenzhi_graphql.paging import key_of

_KEY = "A fresh random key; the same when retrying (幂等键)."


@strawberry.input(description="Enter the calendar of a year as published (录入放假安排).")
class WorkingCalendarEnterInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    year: int = strawberry.field(description="Year (年度).")
    worked: list[date] = strawberry.field(description="Weekend days that are worked (调休上班日).")
    off: list[date] = strawberry.field(description="Weekdays that are off (放假日).")
    document: str = strawberry.field(description="Document (文件依据).")
    reason: str = strawberry.field(description="Why (理由).")


@strawberry.input(description="Decide a calendar, as another person (审批放假安排).")
class WorkingCalendarDecideInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    calendar: strawberry.ID = strawberry.field(description="The calendar (放假安排).")


@strawberry.type(description="The calendar, or what stood in the way.")
class WorkingCalendarPayload:
    calendar: WorkingCalendar | None = strawberry.field(description="The calendar (放假安排).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.input(description="A settlement month of a pool (结算月份).")
class SettlementMonthInput:
    idempotency_key: str = strawberry.field(description=_KEY)
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    month: int = strawberry.field(description="Settlement month, 1 to 12 (结算月份).")


@strawberry.type(description="How many clocks were opened or met, or what stood in the way.")
class DeadlinesPayload:
    clocks: int = strawberry.field(description="How many (数量).")
    user_errors: list[UserError] = strawberry.field(description=ERRORS)


async def _shown(info: Info, answer: Answer | None) -> WorkingCalendar | None:
    if answer is None:
        return None
    key = as_id(str(answer["id"]), "calendar")
    view = await calendars.calendar_by_id(info.context.platform, info.context.subject, key)
    return WorkingCalendar.of(view) if view else None


async def _decide(
    info: Info, input: WorkingCalendarDecideInput, operation: str, *, approve: bool
) -> WorkingCalendarPayload:
    context = info.context

    async def act() -> Answer:
        key = key_of(str(input.calendar), "WorkingCalendar", "calendar")
        request = context.request(operation, input.idempotency_key, {"calendar": key})
        return await calendars.decide_calendar(context.platform, context.subject, request, key, approve=approve)

    answer, errors = await answered(act())
    return WorkingCalendarPayload(calendar=await _shown(info, answer), user_errors=errors)


@strawberry.type
class DeadlineMutation:
    @strawberry.mutation(
        description="Enter the calendar of a year as published (录入放假安排). Role: province_catalog_editor."
    )
    async def working_calendar_enter(self, info: Info, input: WorkingCalendarEnterInput) -> WorkingCalendarPayload:
        context = info.context
        order = calendars.EnterCalendar(input.year, tuple(input.worked), tuple(input.off), input.document, input.reason)
        request = context.request(
            "workingCalendarEnter",
            input.idempotency_key,
            {
                "year": order.year,
                "worked": [day.isoformat() for day in order.worked],
                "off": [day.isoformat() for day in order.off],
                "document": order.document,
                "reason": order.reason,
            },
        )
        answer, errors = await answered(calendars.enter_calendar(context.platform, context.subject, request, order))
        return WorkingCalendarPayload(calendar=await _shown(info, answer), user_errors=errors)

    @strawberry.mutation(
        description="Approve a calendar, as another person (批准放假安排). Role: province_catalog_approver."
    )
    async def working_calendar_approve(self, info: Info, input: WorkingCalendarDecideInput) -> WorkingCalendarPayload:
        return await _decide(info, input, "workingCalendarApprove", approve=True)

    @strawberry.mutation(
        description="Reject a calendar, as another person (驳回放假安排). Role: province_catalog_approver."
    )
    async def working_calendar_reject(self, info: Info, input: WorkingCalendarDecideInput) -> WorkingCalendarPayload:
        return await _decide(info, input, "workingCalendarReject", approve=False)

    @strawberry.mutation(
        description="Open the clocks of a settlement month for every hospital under agreement: application, payment "
        "(开启当月时限). Role: city_settlement_clerk."
    )
    async def deadlines_open(self, info: Info, input: SettlementMonthInput) -> DeadlinesPayload:
        context = info.context
        pool = (input.insurance.value, input.pool_scope.value, input.year)
        request = context.request("deadlinesOpen", input.idempotency_key, {"pool": list(pool), "month": input.month})
        answer, errors = await answered(
            clocks.open_month(context.platform, context.subject, request, pool, input.month)
        )
        return DeadlinesPayload(clocks=int(answer["opened"]) if answer else 0, user_errors=errors)

    @strawberry.mutation(
        description="Apply for the settlement of a month of yours; meets its clock (结算申请). Role: hospital_submitter."
    )
    async def settlement_apply(self, info: Info, input: SettlementMonthInput) -> DeadlinesPayload:
        context = info.context
        pool = (input.insurance.value, input.pool_scope.value, input.year)
        request = context.request("settlementApply", input.idempotency_key, {"pool": list(pool), "month": input.month})
        answer, errors = await answered(
            clocks.apply_for_month(context.platform, context.subject, request, pool, input.month)
        )
        return DeadlinesPayload(clocks=int(answer["opened"]) if answer else 0, user_errors=errors)
