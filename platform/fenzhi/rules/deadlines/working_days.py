"""Working days (工作日): Saturdays and Sundays, turned round by the calendar the State Council publishes each autumn.

The override table is primary: a Sunday may be worked and a Wednesday may be a holiday. A year that has not been
published has no working days to count, and whoever asks is told so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.refusals import Conflict

_DAY = timedelta(days=1)


class CalendarNotPublished(Conflict):
    """A day of a year whose working days nobody has published yet (该年度放假安排尚未公布)."""

    code = "CALENDAR_NOT_PUBLISHED"

    def __init__(self, year: int) -> None:
        super().__init__(
            f"{year} 年的放假安排尚未录入，无法计算工作日。",
            f"The calendar of {year} has not been entered, so its working days cannot be counted.",
            hint="录入国务院公布的放假安排后重算 / enter the published calendar and ask again",
            year=str(year),
        )
        self.year = year


class CalendarUnreadable(Conflict):
    """A row of the working-day calendar that does not read (放假安排无法识别)."""

    code = "CALENDAR_UNREADABLE"


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """The working days of the published years (工作日历). `overrides`: day → whether it is worked."""

    years: frozenset[int]
    overrides: tuple[tuple[date, bool], ...] = ()

    def is_worked(self, day: date) -> bool:
        """Whether a day is worked (是否工作日). Raises: CalendarNotPublished."""
        if day.year not in self.years:
            raise CalendarNotPublished(day.year)
        for override, worked in self.overrides:
            if override == day:
                return worked
        return day.weekday() < 5

    def after(self, day: date, count: int) -> date:
        """The last of `count` working days after a day, that day itself not counted (起算日次日起第 n 个工作日).

        A count of 0 is the day itself. Raises: CalendarNotPublished for the first unpublished year the count reaches;
        ValueError for a negative count.
        """
        if count < 0:
            raise ValueError("a number of working days is not negative")
        turned = dict(self.overrides)
        while count:
            day += _DAY
            if day.year not in self.years:
                raise CalendarNotPublished(day.year)
            count -= turned.get(day, day.weekday() < 5)
        return day

    def between(self, start: date, end: date) -> int:
        """How many working days lie after `start` up to and including `end` (期间工作日数). Raises: CalendarNotPublished."""
        return sum(self.is_worked(day) for day in _days(start, end))

    def on_or_after(self, day: date) -> date:
        """The day itself if it is worked, else the next that is (遇非工作日顺延). Raises: CalendarNotPublished."""
        while not self.is_worked(day):
            day += _DAY
        return day


def _days(start: date, end: date) -> Iterable[date]:
    while start < end:
        start += _DAY
        yield start


def working_days(rows: Sequence[Mapping[str, str]]) -> WorkingDays:
    """The calendar of rows of year, rest and worked, both month-days parted by blanks (由放假安排得工作日历).

    Raises: CalendarUnreadable.
    """
    years: set[int] = set()
    overrides: list[tuple[date, bool]] = []
    for row in rows:
        try:
            year = int(row["year"])
            for key, worked in (("rest", False), ("worked", True)):
                overrides += [(date.fromisoformat(f"{year:04d}-{one}"), worked) for one in row[key].split()]
        except (ValueError, KeyError) as error:
            raise CalendarUnreadable(
                f"放假安排的行无法识别：{dict(row)}。", f"A row of the working-day calendar does not read: {dict(row)}."
            ) from error
        years.add(year)
    return WorkingDays(frozenset(years), tuple(overrides))


def policy_working_days(policy: ResolvedPolicy) -> WorkingDays:
    """The working days of the years an area's policy knows (按策略取得工作日历).

    Policy: deadline.working_calendar. Raises: CalendarUnreadable.
    """
    return working_days(policy.table("deadline.working_calendar"))
