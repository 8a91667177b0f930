"""What a finding costs or endangers (质控价格): points, and yuan of total cost and of the basic fund at the budget point value.

A refused list earns nothing until it is mended, so each of its errors endangers the whole price of the case; errors of one list share
that price and are not added up. A warning endangers what hangs on the thing it names, where that is defined: the whole case for its
principal diagnosis, the difference it makes for a procedure. Anything else is "cannot judge", with the reason. Policy: money-rules 23.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.quantities import decimal_places, half_up
from fenzhi.rules.submission.verdict import Severity

_PROCEDURE = re.compile(r"oprninfo\[(\d{1,3})\]", re.ASCII)
_WHOLE_WARNINGS = frozenset({"GRAY_PRINCIPAL_DIAGNOSIS", "PRINCIPAL_NOT_PRESENT_ON_ADMISSION"})
_PROCEDURE_WARNINGS = frozenset({"GRAY_PROCEDURE", "UNKNOWN_PROCEDURE", "PROCEDURE_OUTSIDE_STAY"})
_STANDING = frozenset({"DUPLICATE_LIST", "STALE_VERSION", "DUPLICATE_IN_BATCH"})


class Endangered(StrEnum):
    """What part of the price a finding endangers (受影响的部分)."""

    WHOLE = "whole"
    """The whole case (整份病例)."""
    PROCEDURE = "procedure"
    """What the named procedure adds (该手术操作带来的差额)."""
    NOTHING = "nothing"
    """The version that stands is paid (现行版本照常结算)."""
    UNDEFINED = "undefined"
    """No rule says (没有规则规定)."""


class Unpriced(StrEnum):
    """Why there is no price (无法判定价格的原因)."""

    UNDEFINED = "no_rule_for_finding"
    UNREADABLE = "list_unreadable"
    NOT_VISIBLE = "original_not_visible"
    NO_PRINCIPAL = "no_single_principal_diagnosis"
    UNGROUPED = "ungrouped"
    WITHHELD = "withheld"
    NO_POINT_VALUE = "no_approved_budget_point_value"
    NO_FUND_RATIO = "no_fund_ratio"
    POLICY_OPEN = "policy_not_entered"


UNPRICED: dict[Unpriced, tuple[str, str]] = {
    Unpriced.UNDEFINED: (
        "没有规则规定该结论影响多少支付，无法判定。",
        "No rule says what this finding costs: cannot judge.",
    ),
    Unpriced.UNREADABLE: (
        "清单中定价所需的险种、出院日、结算日或总费用缺失或无法读取，无法判定。",
        "Insurance, discharge, settlement or total of the list is missing or unread: cannot judge.",
    ),
    Unpriced.NOT_VISIBLE: (
        "清单原文在本级不可见，无法判定。",
        "The list itself is not visible at this level: cannot judge.",
    ),
    Unpriced.NO_PRINCIPAL: (
        "没有唯一的主要诊断，不能入组，无法判定。",
        "Without exactly one principal diagnosis there is no group: cannot judge.",
    ),
    Unpriced.UNGROUPED: (
        "按所报编码不能入组，无法判定。",
        "The codes as stated find no group: cannot judge.",
    ),
    Unpriced.WITHHELD: (
        "出院日没有目录版本、等级、系数或协议，无法判定。",
        "No edition, level, coefficient or agreement on the day of discharge: cannot judge.",
    ),
    Unpriced.NO_POINT_VALUE: (
        "该险种本年度没有已批准的预算点值，无法判定金额。",
        "No approved budget point value of the insurance and year: the yuan cannot be judged.",
    ),
    Unpriced.NO_FUND_RATIO: (
        "预算点值的记账基金或分值为 0，无法判定金额。",
        "The booked fund or the points of the budget point value are 0: the yuan cannot be judged.",
    ),
    Unpriced.POLICY_OPEN: (
        "计分所需的政策尚未录入，无法判定。",
        "A policy that scoring needs was not entered: cannot judge.",
    ),
}


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a finding (质控价格). Units: fen; `points` as exact text. None where it cannot be judged; `why` says why."""

    points: str | None
    total_cost_fen: int | None
    basic_fund_fen: int | None
    why: Unpriced | None
    zh: str
    en: str


def unpriced(why: Unpriced, points: str | None = None) -> Price:
    """No price, and why (无法判定)."""
    zh, en = UNPRICED[why]
    return Price(points, None, None, why, zh, en)


def endangered(code: str, severity: Severity) -> Endangered:
    """What a finding endangers (受影响的部分)."""
    if code in _STANDING:
        return Endangered.NOTHING
    if severity is Severity.ERROR or code in _WHOLE_WARNINGS:
        return Endangered.WHOLE
    return Endangered.PROCEDURE if code in _PROCEDURE_WARNINGS else Endangered.UNDEFINED


def procedure_place(path: str) -> int | None:
    """The place of the procedure a path names (路径所指手术操作), from 0."""
    found = _PROCEDURE.match(path)
    return int(found[1]) if found else None


def price_of(points: int, points_decimals: int, value: PointValue | None) -> Price:
    """Points at a budget point value (按预算点值计价). Rounding: each of the two amounts half up to the fen.

    Units: `points` in 10^-points_decimals. Total cost: points × fund ÷ φ ÷ points of the pool; basic fund: without ÷ φ.

    >>> price_of(1_000_000, 4, PointValue(70_000_000_000, 100_000_000_000, 70_000_000_000, 100_000_000_000, 4))
    ... # doctest: +ELLIPSIS
    Price(points='100.0000', total_cost_fen=1000000, basic_fund_fen=700000, why=None, ...)
    """
    said = decimal_places(Fraction(points, 10**points_decimals), points_decimals)
    if value is None:
        return unpriced(Unpriced.NO_POINT_VALUE, said)
    if value.points == 0 or value.booked_fen == 0:
        return unpriced(Unpriced.NO_FUND_RATIO, said)
    share = Fraction(points * 10**value.points_decimals, 10**points_decimals * value.points)
    fund = share * value.fund_fen
    return Price(
        said,
        half_up(fund * value.cost_fen / value.booked_fen),
        half_up(fund),
        None,
        "按预算点值计算；同一清单的多条不通过结论共用此价，不累加。",
        "At the budget point value; errors of one list share this price and are not added up.",
    )


NOTHING_LOST = Price(
    "0", 0, 0, None, "现行版本照常结算，无损失。", "The version that stands is settled as it is; nothing is lost."
)
