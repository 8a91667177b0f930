"""The calendar of annual clearing (年度清算时间表): each year earlier than the last, by the three-year plan.

Dates are looked up, never computed: the plan names them year by year, and only its last line is open-ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import exact_decimal
from fenzhi.rules.refusals import Conflict


class ClearingDateUnknown(Conflict):
    """A year the plan does not reach (清算时间表未覆盖该年度)."""

    code = "CLEARING_DATE_UNKNOWN"


class ClearingCalendarUnreadable(Conflict):
    """A calendar row that does not read (清算时间表无法识别)."""

    code = "CLEARING_CALENDAR_UNREADABLE"


@dataclass(frozen=True, slots=True)
class ClearingDue:
    """By when a year must be cleared (清算截止). `share`: the most that clearing may be of the fund paid, as aimed at."""

    year: int
    due: date
    pilot_due: date
    share: Fraction

    def is_late(self, cleared_on: date, *, pilot: bool = False) -> bool:
        """Whether a year was cleared after its date (是否逾期)."""
        return cleared_on > (self.pilot_due if pilot else self.due)


def clearing_due(year: int, rows: Sequence[Mapping[str, str]]) -> ClearingDue:
    """The date of one year (年度清算截止日).

    Policy: deadline.annual_clearing: rows of year (the last may end with "+"), due and pilot_due as month-day of the
    next year, share. Raises: ClearingDateUnknown, ClearingCalendarUnreadable.
    """
    for row in rows:
        try:
            open_ended = row["year"].endswith("+")
            first = int(row["year"].rstrip("+"))
            if year != first and not (open_ended and year > first):
                continue
            return ClearingDue(
                year,
                date.fromisoformat(f"{year + 1:04d}-{row['due']}"),
                date.fromisoformat(f"{year + 1:04d}-{row['pilot_due']}"),
                Fraction(exact_decimal(row["share"])),
            )
        except (ValueError, KeyError) as error:
            raise ClearingCalendarUnreadable(
                f"清算时间表的行无法识别：{dict(row)}。", f"A row of the clearing calendar does not read: {dict(row)}."
            ) from error
    raise ClearingDateUnknown(
        f"清算时间表未载明 {year} 年。", f"The clearing calendar does not name the year {year}.", year=str(year)
    )


def policy_clearing_due(policy: ResolvedPolicy, year: int) -> ClearingDue:
    """As `clearing_due`, by the policy of an area (按策略查询清算截止日). Raises: PolicyNotEntered as well."""
    return clearing_due(year, policy.table("deadline.annual_clearing"))
