"""Working days, legal clocks and the clearing calendar (期限), WE-60."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.deadlines.clearing_calendar import ClearingCalendarUnreadable, ClearingDateUnknown, clearing_due
from fenzhi.rules.deadlines.legal_clocks import (
    Clock,
    ClockState,
    answer_deadline,
    application_deadline,
    payment_deadline,
)
from fenzhi.rules.deadlines.working_days import (
    CalendarNotPublished,
    CalendarUnreadable,
    WorkingDays,
    policy_working_days,
    working_days,
)
from fenzhi.rules.periods import SettlementMonth
from fenzhi.rules.policy.resolved import resolve
from fenzhi.store.policy_files import national_policy

# The published calendar around 1 October 2025: 1 to 8 October off, 28 September and 11 October worked.
OFF = tuple((date(2025, 10, day), False) for day in range(1, 9))
CALENDAR = WorkingDays(frozenset({2025}), (*OFF, (date(2025, 9, 28), True), (date(2025, 10, 11), True)))


def test_the_override_table_is_primary() -> None:
    assert CALENDAR.is_worked(date(2025, 9, 28)) and date(2025, 9, 28).weekday() == 6
    assert not CALENDAR.is_worked(date(2025, 10, 1)) and date(2025, 10, 1).weekday() == 2
    assert CALENDAR.after(date(2025, 9, 30), 1) == date(2025, 10, 9)


def test_counting_starts_the_next_day_and_skips_holidays() -> None:
    # After 26 September: 28, 29, 30 September, 9, 10 and 11 October.
    days = [CALENDAR.after(date(2025, 9, 26), count) for count in range(7)]
    assert [day.isoformat()[5:] for day in days] == ["09-26", "09-28", "09-29", "09-30", "10-09", "10-10", "10-11"]
    assert CALENDAR.between(date(2025, 9, 26), date(2025, 10, 11)) == 6
    assert CALENDAR.on_or_after(date(2025, 10, 1)) == date(2025, 10, 9)
    with pytest.raises(ValueError, match="negative"):
        CALENDAR.after(date(2025, 1, 1), -1)


def test_a_year_not_published_is_a_typed_answer() -> None:
    with pytest.raises(CalendarNotPublished) as unknown:
        CALENDAR.after(date(2025, 12, 30), 5)
    assert unknown.value.year == 2026 and "2026" in unknown.value.zh
    due = payment_deadline(date(2025, 12, 10), 30, CALENDAR)
    assert (due.ends, due.unpublished_year) == (None, 2026)
    assert due.state(date(2026, 3, 1)) is ClockState.UNKNOWN


@given(st.dates(date(2025, 1, 1), date(2025, 11, 1)), st.integers(1, 30))
def test_a_deadline_is_a_working_day_and_as_many_of_them_away(begins: date, count: int) -> None:
    end = CALENDAR.after(begins, count)
    assert CALENDAR.is_worked(end) and CALENDAR.between(begins, end) == count
    assert CALENDAR.between(begins, end - timedelta(days=1)) == count - 1


def test_application_and_payment_of_a_month() -> None:
    application = application_deadline(SettlementMonth(2025, 8), 10)
    assert (application.begins, application.ends) == (date(2025, 9, 1), date(2025, 9, 10))
    assert application_deadline(SettlementMonth(2025, 12), 10).ends == date(2026, 1, 10)
    assert application.ends is not None
    payment = payment_deadline(application.ends, 30, CALENDAR)
    assert payment.ends == date(2025, 10, 28)
    assert payment.state(date(2025, 10, 28)) is ClockState.OPEN
    assert payment.state(date(2025, 10, 29)) is ClockState.OVERDUE
    assert payment.state(date(2025, 11, 9), done=date(2025, 10, 28)) is ClockState.KEPT
    assert payment.state(date(2025, 11, 9), done=date(2025, 10, 29)) is ClockState.LATE
    assert answer_deadline(Clock.APPEAL, date(2025, 9, 30), 1, CALENDAR).ends == date(2025, 10, 9)


ROWS = [
    {"year": "2025", "due": "05-31", "pilot_due": "03-31", "share": "0.05"},
    {"year": "2026", "due": "04-30", "pilot_due": "03-31", "share": "0.05"},
    {"year": "2027+", "due": "03-31", "pilot_due": "03-31", "share": "0.03"},
]


def test_we_60_the_clearing_calendar() -> None:
    assert [clearing_due(year, ROWS).due.isoformat() for year in (2025, 2026, 2027, 2031)] == [
        "2026-05-31", "2027-04-30", "2028-03-31", "2032-03-31",
    ]  # fmt: skip
    due = clearing_due(2025, ROWS)
    assert not due.is_late(date(2026, 5, 31)) and due.is_late(date(2026, 6, 1))
    assert due.is_late(date(2026, 4, 1), pilot=True)


def test_a_year_before_the_plan_and_a_broken_row_are_told() -> None:
    with pytest.raises(ClearingDateUnknown):
        clearing_due(2024, ROWS)
    for broken in ({**ROWS[0], "due": "02-30"}, {**ROWS[0], "year": "x"}, {"year": "2025"}):
        with pytest.raises(ClearingCalendarUnreadable):
            clearing_due(2025, [broken])


def test_the_national_calendar_counts_working_days() -> None:
    policy = resolve(national_policy().fields, national_policy().values, date(2026, 6, 1))
    calendar = policy_working_days(policy)
    assert calendar.after(date(2026, 9, 24), 3) == date(2026, 9, 30)  # 25th is the Mid-Autumn Festival
    assert calendar.after(date(2026, 9, 18), 1) == date(2026, 9, 20)  # a Sunday that is worked
    assert calendar.between(date(2025, 12, 31), date(2026, 12, 31)) == 248
    with pytest.raises(CalendarNotPublished, match="2027"):
        calendar.after(date(2026, 12, 30), 5)


def test_a_calendar_row_that_does_not_read_is_refused() -> None:
    with pytest.raises(CalendarUnreadable, match="02-30"):
        working_days([{"year": "2025", "rest": "02-30", "worked": ""}])
