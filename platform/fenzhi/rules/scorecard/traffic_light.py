"""The traffic light (红黄绿三色预警): where a value lies among the intervals of the policy.

Intervals are written as mathematicians write them: [0.9,1.1) holds 0.9 and not 1.1, a side left empty is unbounded. The
inclusive side is thus part of the value that somebody entered and signed, never a habit of the programmer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import exact_decimal
from fenzhi.rules.refusals import Conflict
from fenzhi.rules.scorecard.indicators import KINDS, Indicator

_INTERVAL = re.compile(r"([\[(])\s*([^,\s]*)\s*,\s*([^,\s]*)\s*([\])])")


class Light(StrEnum):
    """A light (预警颜色); GREY where there is no value to judge."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    GREY = "grey"

    @property
    def zh(self) -> str:
        return {Light.GREEN: "绿", Light.YELLOW: "黄", Light.RED: "红", Light.GREY: "无法判定"}[self]


class OverallRule(StrEnum):
    """How the lights of a hospital become one (总体预警规则)."""

    WORST = "worst"  # 取最差
    MOST_COMMON = "most_common"  # 取最多，同数取较差


class LightsUnreadable(Conflict):
    """Limits of the traffic light that do not read (三色预警界限无法识别)."""

    code = "LIGHTS_UNREADABLE"


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of exact numbers (区间); None is unbounded."""

    low: Decimal | None
    low_inclusive: bool
    high: Decimal | None
    high_inclusive: bool

    @classmethod
    def parse(cls, text: str) -> Interval:
        """The interval written as [0.9,1.1) (区间文本). Raises: ValueError for any other text or an empty interval.

        >>> Interval.parse("[0.9,)").holds(Fraction(9, 10)), Interval.parse("(0.9,)").holds(Fraction(9, 10))
        (True, False)
        """
        match = _INTERVAL.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"not an interval such as [0.9,1.1): {text!r}")
        low = exact_decimal(match[2]) if match[2] else None
        high = exact_decimal(match[3]) if match[3] else None
        if low is not None and high is not None and (low > high or (low == high and match[1] + match[4] != "[]")):
            raise ValueError(f"an interval that holds nothing: {text!r}")
        return cls(low, match[1] == "[", high, match[4] == "]")

    def holds(self, value: Fraction) -> bool:
        """Whether a value lies in the interval (是否在区间内)."""
        if self.low is not None and (value < self.low or (value == self.low and not self.low_inclusive)):
            return False
        return self.high is None or value < self.high or (value == self.high and self.high_inclusive)


@dataclass(frozen=True, slots=True)
class LightLimits:
    """The green and yellow intervals of one indicator (一项指标的界限); what lies in neither is red."""

    green: Interval
    yellow: Interval

    def light(self, indicator: Indicator) -> Light:
        """The light of an indicator (指标预警颜色). Green is asked first, so an overlap is green."""
        if indicator.value is None:
            return Light.GREY
        if self.green.holds(indicator.value):
            return Light.GREEN
        return Light.YELLOW if self.yellow.holds(indicator.value) else Light.RED


def light_limits(policy: ResolvedPolicy) -> dict[str, LightLimits]:
    """The limits of every indicator the policy judges (三色预警界限).

    Policy: scorecard.lights. Raises: PolicyNotEntered; LightsUnreadable for an unknown or repeated indicator or a
    text that is no interval.
    """
    return read_limits(policy.table("scorecard.lights"))


def read_limits(rows: Iterable[Mapping[str, str]]) -> dict[str, LightLimits]:
    """The limits written in the rows of a table (读取界限表). Raises: LightsUnreadable naming the row."""
    limits: dict[str, LightLimits] = {}
    for row in rows:
        code = row["indicator"]
        if code not in KINDS or code in limits:
            raise _unreadable(code, code)
        try:
            limits[code] = LightLimits(Interval.parse(row["green"]), Interval.parse(row["yellow"]))
        except ValueError as error:
            raise _unreadable(code, str(error)) from error
    return limits


def lights_of(indicators: Iterable[Indicator], limits: Mapping[str, LightLimits]) -> dict[str, Light]:
    """The light of each indicator that has limits (各指标预警颜色)."""
    return {one.code: limits[one.code].light(one) for one in indicators if one.code in limits}


def overall_light(lights: Iterable[Light], rule: OverallRule) -> Light:
    """One light for the hospital (总体预警). Policy: scorecard.overall_light. Grey counts only when nothing else does.

    >>> overall_light([Light.GREEN, Light.RED, Light.GREY], OverallRule.WORST)
    <Light.RED: 'red'>
    """
    judged: Counter[Light] = Counter(light for light in lights if light != Light.GREY)
    worst_first = [light for light in (Light.RED, Light.YELLOW, Light.GREEN) if judged[light]]
    if not worst_first:
        return Light.GREY
    if rule is OverallRule.WORST:
        return worst_first[0]
    return max(worst_first, key=lambda light: judged[light])


def _unreadable(code: str, saw: str) -> LightsUnreadable:
    return LightsUnreadable(
        f"三色预警界限“{code}”无法识别：{saw}。",
        f"The limits of {code} in scorecard.lights do not read: {saw}.",
        indicator=code,
    )
