"""Clocks and calendars as the API shows them (期限): the deadline ledger, the days that are worked."""

from __future__ import annotations

from datetime import date
from enum import Enum

import strawberry

from fenzhi.services.deadlines import calendars, clocks
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance, PoolScope, ProposalState
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id


@strawberry.enum(
    description="A clock of the law (时限): application 结算申请, payment 拨付, appeal 申诉, confirmation 年度结算单确认, "
    "monthly_publication 月度数据公布."
)
class LegalClock(Enum):
    APPLICATION = "application"
    PAYMENT = "payment"
    APPEAL = "appeal"
    CONFIRMATION = "confirmation"
    MONTHLY_PUBLICATION = "monthly_publication"


@strawberry.enum(
    description="Where a clock stands today (时限状态): open 未到期, kept 按期办结, late 逾期办结, overdue 逾期未办, "
    "unknown 放假安排未公布."
)
class ClockStanding(Enum):
    OPEN = "open"
    KEPT = "kept"
    LATE = "late"
    OVERDUE = "overdue"
    UNKNOWN = "unknown"


@strawberry.type(description="One clock in the deadline ledger (时限台账).")
class Deadline(Node):
    hospital_code: str = strawberry.field(description="Institution code (机构编码).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    year: int = strawberry.field(description="Fund year (年度).")
    period: int = strawberry.field(description="Settlement month (结算月份).")
    clock: LegalClock = strawberry.field(description="Which clock (时限).")
    begins: date = strawberry.field(description="Day it begins (起算日).")
    ends: date | None = strawberry.field(description="Last day, null where the calendar is not entered (截止日).")
    days: int = strawberry.field(description="Its length (天数).")
    is_working: bool = strawberry.field(description="Whether working days are counted (是否工作日).")
    unpublished_year: int | None = strawberry.field(
        description="The year whose calendar is missing (缺放假安排的年度)."
    )
    done_on: date | None = strawberry.field(description="Day it was met (办结日).")
    standing: ClockStanding = strawberry.field(description="Where it stands today (状态).")

    @staticmethod
    def of(view: clocks.DeadlineView) -> Deadline:
        return Deadline(
            id=global_id("Deadline", view.deadline_id),
            hospital_code=view.hospital_code,
            insurance=Insurance(view.insurance),
            pool_scope=PoolScope(view.pool_scope),
            year=view.year,
            period=view.period,
            clock=LegalClock(view.clock),
            begins=view.begins,
            ends=view.ends,
            days=view.days,
            is_working=view.is_working,
            unpublished_year=view.unpublished_year,
            done_on=view.done_on,
            standing=ClockStanding(view.state),
        )


@strawberry.type(description="The days a year turns round (放假安排); the latest approved one of a year counts.")
class WorkingCalendar(Node):
    year: int = strawberry.field(description="Year (年度).")
    worked: list[date] = strawberry.field(description="Weekend days that are worked (调休上班日).")
    off: list[date] = strawberry.field(description="Weekdays that are off (放假日).")
    document: str = strawberry.field(description="Document (文件依据).")
    reason: str = strawberry.field(description="Why (理由).")
    state: ProposalState = strawberry.field(description="State; only approved ones count (状态).")

    @staticmethod
    def of(view: calendars.CalendarView) -> WorkingCalendar:
        return WorkingCalendar(
            id=global_id("WorkingCalendar", view.calendar_id),
            year=view.year,
            worked=list(view.worked),
            off=list(view.off),
            document=view.document,
            reason=view.reason,
            state=ProposalState(view.state),
        )


@finds("Deadline")
async def find_deadline(info: Info, key: str) -> Deadline | None:
    """A clock of the caller's scope (按标识查时限)."""
    found = uuid_of(key)
    view = await clocks.deadline_by_id(info.context.platform, info.context.subject, found) if found else None
    return Deadline.of(view) if view else None


@finds("WorkingCalendar")
async def find_calendar(info: Info, key: str) -> WorkingCalendar | None:
    """A calendar of the caller's province (按标识查放假安排)."""
    found = uuid_of(key)
    view = await calendars.calendar_by_id(info.context.platform, info.context.subject, found) if found else None
    return WorkingCalendar.of(view) if view else None
