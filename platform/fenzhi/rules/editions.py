"""Which text was in force on a date (版本与施行日期).

Law has editions, software has versions. An edition applies from its `effective_from` until the next one begins; asking
for "the current one" is not possible, because "current" is a date that nobody wrote down.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar

from fenzhi.rules.refusals import Conflict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Effective(Generic[T]):
    """A value with the first day it applies (施行日期)."""

    effective_from: date
    value: T


class NothingInForce(Conflict):
    """No edition was in force on the date asked for (该日期无生效版本)."""

    code = "NOTHING_IN_FORCE"


class EffectiveValues(Generic[T]):
    """Dated values of one thing, answered by date (按施行日期查询的值).

    Requires: one value per `effective_from`; two on one day raise ValueError, because neither would be the law.
    """

    __slots__ = ("_days", "_values", "name_en", "name_zh")

    def __init__(self, values: Iterable[Effective[T]], *, name_zh: str, name_en: str) -> None:
        ordered = sorted(values, key=lambda value: value.effective_from)
        self._days = [value.effective_from for value in ordered]
        self._values = ordered
        self.name_zh = name_zh
        self.name_en = name_en
        for before, after in zip(self._days, self._days[1:], strict=False):
            if before == after:
                raise ValueError(f"two values of {name_en} take effect on {after.isoformat()}")

    def in_force(self, on: date) -> T:
        """The value in force on a date (该日生效的值). Raises: NothingInForce before the first one."""
        place = bisect_right(self._days, on)
        if place == 0:
            raise NothingInForce(
                f"{on.isoformat()} 没有生效的{self.name_zh}。",
                f"No {self.name_en} was in force on {on.isoformat()}.",
                date=on.isoformat(),
            )
        return self._values[place - 1].value

    def __iter__(self) -> Iterator[Effective[T]]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
