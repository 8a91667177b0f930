"""The clocks of the law (法定时限): by when to apply, to pay, to answer, to publish; and whether it was kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from fenzhi.rules.deadlines.working_days import CalendarNotPublished, WorkingDays
from fenzhi.rules.periods import SettlementMonth
from fenzhi.rules.policy.resolved import ResolvedPolicy


class Clock(StrEnum):
    """A clock (时限)."""

    APPLICATION = "application"  # 机构结算申请：次月上旬
    PAYMENT = "payment"  # 申请截止次日起至拨付
    APPEAL = "appeal"  # 机构申诉
    CONFIRMATION = "confirmation"  # 年度结算单确认
    MONTHLY_PUBLICATION = "monthly_publication"  # 月度数据公布


class ClockState(StrEnum):
    """Where a clock stands on a day (时限状态)."""

    OPEN = "open"  # 未到期
    KEPT = "kept"  # 按期办结
    LATE = "late"  # 逾期办结
    OVERDUE = "overdue"  # 逾期未办
    UNKNOWN = "unknown"  # 放假安排未公布，无法计算


@dataclass(frozen=True, slots=True)
class Deadline:
    """A clock as entered in the deadline ledger (时限台账): when it began, when it ends, by which number of days.

    `ends` None: the calendar of `unpublished_year` is not entered yet; the answer is typed, not guessed.
    """

    clock: Clock
    begins: date
    ends: date | None
    days: int
    working: bool
    unpublished_year: int | None = None

    def state(self, on: date, done: date | None = None) -> ClockState:
        """Where the clock stands on a day (时限状态); the last day still counts as kept."""
        if self.ends is None:
            return ClockState.UNKNOWN
        if done is not None:
            return ClockState.KEPT if done <= self.ends else ClockState.LATE
        return ClockState.OPEN if on <= self.ends else ClockState.OVERDUE


def application_deadline(month: SettlementMonth, last_day: int) -> Deadline:
    """A month's application is due by a day of the next month (结算申请截止日).

    Policy: deadline.application_day, 10 for the first ten days. Calendar days: the text says 上旬.
    """
    first = month.last_day + timedelta(days=1)
    return Deadline(Clock.APPLICATION, first, first.replace(day=last_day), last_day, False)


def payment_deadline(application_end: date, working_days: int, calendar: WorkingDays) -> Deadline:
    """Payment is due within so many working days from the day after applications closed (拨付截止日).

    Policy: deadline.payment_working_days, 30.
    """
    return _working(Clock.PAYMENT, application_end, working_days, calendar)


def answer_deadline(clock: Clock, begins: date, working_days: int, calendar: WorkingDays) -> Deadline:
    """A hospital's answer, an appeal or a publication, in working days after a day (答复、申诉、公布截止日)."""
    return _working(clock, begins, working_days, calendar)


@dataclass(frozen=True, slots=True)
class ClockTerms:
    """The lengths of the clocks in an area (时限口径). None where the area has not entered one."""

    application_day: int
    payment_working_days: int
    publication_working_days: int
    appeal_working_days: int | None = None
    confirmation_working_days: int | None = None

    @classmethod
    def from_policy(cls, policy: ResolvedPolicy) -> ClockTerms:
        """The clocks of an area (按策略确定时限). Raises: PolicyNotEntered."""

        def optional(key: str) -> int | None:
            return policy.integer(key) if policy.has(key) else None

        return cls(
            policy.integer("deadline.application_day"),
            policy.integer("deadline.payment_working_days"),
            policy.integer("deadline.publication_working_days"),
            optional("deadline.appeal_working_days"),
            optional("deadline.confirmation_working_days"),
        )


def _working(clock: Clock, begins: date, days: int, calendar: WorkingDays) -> Deadline:
    try:
        return Deadline(clock, begins, calendar.after(begins, days), days, True)
    except CalendarNotPublished as unknown:
        return Deadline(clock, begins, None, days, True, unknown.year)
