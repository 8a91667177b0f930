"""Settlement months, quarters and years (结算期): to which period money belongs.

A period is named, never computed from "today". A case belongs to the month of its settlement end date; its discharge
date answers another question (which edition applies) and never stands in here.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)
_QUARTER = re.compile(r"(\d{4})Q([1-4])", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class SettlementMonth:
    """One settlement month (结算月份), printed 2025-01."""

    year: int
    month: int

    def __post_init__(self) -> None:
        if not (1 <= self.month <= 12 and 1 <= self.year <= 9999):
            raise ValueError(f"not a month: {self.year}-{self.month}")

    @classmethod
    def of(cls, day: date) -> SettlementMonth:
        """The month a date lies in (日期所在月份)."""
        return cls(day.year, day.month)

    @classmethod
    def parse(cls, text: str) -> SettlementMonth:
        """The month written as 2025-01 (月份文本). Raises: ValueError for any other text."""
        match = _MONTH.fullmatch(text)
        if match is None:
            raise ValueError(f"not a settlement month such as 2025-01: {text!r}")
        return cls(int(match[1]), int(match[2]))

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        return date(self.year, self.month, monthrange(self.year, self.month)[1])

    @property
    def quarter(self) -> SettlementQuarter:
        """The quarter the month lies in (所属季度)."""
        return SettlementQuarter(self.year, (self.month + 2) // 3)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


@dataclass(frozen=True, slots=True, order=True)
class SettlementQuarter:
    """One settlement quarter (结算季度), printed 2025Q1.

    A cumulative run of the quarter covers the year from January on: `first_day_of_year` to `last_day`.
    """

    year: int
    quarter: int

    def __post_init__(self) -> None:
        if not (1 <= self.quarter <= 4 and 1 <= self.year <= 9999):
            raise ValueError(f"not a quarter: {self.year}Q{self.quarter}")

    @classmethod
    def of(cls, day: date) -> SettlementQuarter:
        """The quarter a date lies in (日期所在季度)."""
        return SettlementMonth.of(day).quarter

    @classmethod
    def parse(cls, text: str) -> SettlementQuarter:
        """The quarter written as 2025Q1 (季度文本). Raises: ValueError for any other text."""
        match = _QUARTER.fullmatch(text)
        if match is None:
            raise ValueError(f"not a settlement quarter such as 2025Q1: {text!r}")
        return cls(int(match[1]), int(match[2]))

    @property
    def months(self) -> tuple[SettlementMonth, SettlementMonth, SettlementMonth]:
        """The three months of the quarter, in order (本季各月)."""
        last = 3 * self.quarter
        return (
            SettlementMonth(self.year, last - 2),
            SettlementMonth(self.year, last - 1),
            SettlementMonth(self.year, last),
        )

    @property
    def months_to_date(self) -> tuple[SettlementMonth, ...]:
        """The months of the year up to the end of the quarter (年初至本季末各月)."""
        return tuple(SettlementMonth(self.year, month) for month in range(1, 3 * self.quarter + 1))

    @property
    def first_day(self) -> date:
        return date(self.year, 3 * self.quarter - 2, 1)

    @property
    def first_day_of_year(self) -> date:
        return date(self.year, 1, 1)

    @property
    def last_day(self) -> date:
        return self.months[2].last_day

    def __str__(self) -> str:
        return f"{self.year:04d}Q{self.quarter}"
