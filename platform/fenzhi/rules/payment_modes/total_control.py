"""Total control beside disease payment (总额控制下的复合付费): three monthly checks a policy may choose, with their scope.

Critical cases paid by the day outside the groups may not exceed a share of all; the mean cost of item payment may not
grow faster than agreed; and total and mean may be held together. What is over is withheld in the month, not lost in the
dark: each check says by how much it was exceeded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import exact_decimal, half_up
from fenzhi.rules.refusals import Conflict


class ControlMethod(StrEnum):
    """The checks (控制方法)."""

    CRITICAL_SHARE = "critical_share"  # 危急重症病例占比
    MEAN_COST_GROWTH = "mean_cost_growth"  # 均次费用增幅
    TOTAL_AND_MEAN = "total_and_mean"  # 总额与均次双控


class ControlUnreadable(Conflict):
    """A row of the control table that does not read (控制表无法识别)."""

    code = "TOTAL_CONTROL_UNREADABLE"


@dataclass(frozen=True, slots=True)
class ControlRule:
    """One row of the table (控制规则): which check, for which hospital levels, at which limit."""

    method: ControlMethod
    levels: frozenset[str]
    limit: Fraction

    def applies_to(self, level: str) -> bool:
        """Whether a hospital of the level is checked (是否适用)."""
        return not self.levels or level in self.levels


@dataclass(frozen=True, slots=True)
class CriticalShare:
    """Critical cases of a month against their cap (危急重症占比). The cap itself is kept, more is over."""

    critical: int
    cases: int
    cap: Fraction

    @property
    def share(self) -> Fraction:
        """critical / cases; 0 without cases (占比)."""
        return Fraction(self.critical, self.cases) if self.cases else Fraction(0)

    @property
    def is_over(self) -> bool:
        return self.share > self.cap

    @property
    def admitted(self) -> int:
        """How many are paid by the day: floor(cap × cases), or all when fewer (按床日支付例数)."""
        return min(self.critical, self.cap.numerator * self.cases // self.cap.denominator)

    @property
    def over(self) -> int:
        """How many are not (超出例数): they fall back to the disease groups."""
        return self.critical - self.admitted


def critical_share(critical: int, cases: int, cap: Fraction) -> CriticalShare:
    """Critical cases of a hospital and month (危急重症占比核定).

    Policy: total_control.table, critical_share. Raises: ValueError for more critical cases than cases.

    >>> critical_share(82, 400, Fraction("0.2")).is_over
    True
    """
    if not 0 <= critical <= cases:
        raise ValueError("critical cases are among the cases")
    return CriticalShare(critical, cases, cap)


@dataclass(frozen=True, slots=True)
class GrowthControl:
    """Mean cost of a month against last year's (均次费用增幅). Units: fen; the means exact."""

    mean_fen: Fraction
    allowed_mean_fen: Fraction
    cases: int

    @property
    def excess_per_case_fen(self) -> Fraction:
        """What each case is above the allowed mean (例均超出)."""
        return max(Fraction(0), self.mean_fen - self.allowed_mean_fen)

    @property
    def withheld_fen(self) -> int:
        """What is not paid in the month (当月暂不拨付): excess × cases, half up once."""
        return half_up(self.excess_per_case_fen * self.cases)


def mean_cost_growth(cost_fen: int, cases: int, prior_mean_fen: Fraction | int, cap: Fraction) -> GrowthControl:
    """The mean cost of item payment against prior mean × (1 + cap) (均次费用增幅控制).

    Policy: total_control.table, mean_cost_growth. Units: fen. Without cases nothing is over.

    >>> mean_cost_growth(8_496_00 * 10, 10, 8_000_00, Fraction("0.05")).excess_per_case_fen
    Fraction(9600, 1)
    """
    mean = Fraction(cost_fen, cases) if cases else Fraction(0)
    return GrowthControl(mean, Fraction(prior_mean_fen) * (1 + cap), cases)


@dataclass(frozen=True, slots=True)
class DualControl:
    """Total and mean held together (双控). Units: fen. paid = the lowest of claim, total quota and mean quota."""

    claim_fen: int
    total_quota_fen: int
    mean_quota_fen: int

    @property
    def paid_fen(self) -> int:
        return min(self.claim_fen, self.total_quota_fen, self.mean_quota_fen)

    @property
    def withheld_fen(self) -> int:
        return self.claim_fen - self.paid_fen


def total_and_mean(claim_fen: int, total_quota_fen: int, cases: int, quota_per_case_fen: Fraction | int) -> DualControl:
    """A claim under a total quota and a quota per case (总额与均次双控). Rounding: the mean quota half up. Units: fen.

    >>> total_and_mean(1_000, 950, 10, Fraction(92)).withheld_fen
    80
    """
    return DualControl(claim_fen, total_quota_fen, half_up(Fraction(quota_per_case_fen) * cases))


def control_rules(rows: Iterable[Mapping[str, str]]) -> tuple[ControlRule, ...]:
    """The rules of a table (读取控制表). Columns method, levels (by `|`, blank for all), limit. Raises: ControlUnreadable."""
    rules: list[ControlRule] = []
    for row in rows:
        try:
            levels = frozenset(part for part in row["levels"].split("|") if part)
            rules.append(ControlRule(ControlMethod(row["method"]), levels, Fraction(exact_decimal(row["limit"]))))
        except (ValueError, KeyError) as error:
            raise ControlUnreadable(
                f"控制表第 {len(rules) + 1} 行无法识别：{dict(row)}。",
                f"Row {len(rules) + 1} of the control table does not read: {dict(row)}.",
            ) from error
    return tuple(rules)


def limit_of(rules: Iterable[ControlRule], method: ControlMethod, level: str) -> Fraction | None:
    """The limit of a check for a level: the first row that applies; None where the area does not check it (适用限值)."""
    for rule in rules:
        if rule.method is method and rule.applies_to(level):
            return rule.limit
    return None


def policy_control_rules(policy: ResolvedPolicy) -> tuple[ControlRule, ...]:
    """The checks of an area, none where it enters none (按策略读取控制规则). Policy: total_control.table."""
    return control_rules(policy.table("total_control.table")) if policy.has("total_control.table") else ()
