"""Total control over the months of a run (总额控制入算): which critical cases fall back to the groups, and what is held back.

Each settlement month of a hospital, at one level, is judged by itself, whatever run it stands in: a quarter that counts the year again
finds in January what the run of January found. What is held back is part of what the modes approved; it stays in an account of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from fenzhi.rules.clearing.apportionment import apportion_in_order
from fenzhi.rules.payment_modes.beside_points import CasePayment
from fenzhi.rules.payment_modes.mode_of_case import PaymentMode
from fenzhi.rules.payment_modes.total_control import (
    ControlMethod,
    ControlRule,
    critical_share,
    limit_of,
    mean_cost_growth,
    policy_control_rules,
    total_and_mean,
)
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import exact_decimal, half_up
from fenzhi.rules.refusals import Conflict, InvariantBroken

PARTS = "what is paid beside the points is in parts that add up"
HELD_BACK = "what controls hold back is what their rules say, and part of what was approved"
CRITICAL = frozenset({PaymentMode.PER_DIEM})
"""The mode of critical cases, paid by the day outside the groups (危急重症按床日)."""
GROWTH = frozenset({PaymentMode.ITEM})
"""The mode whose mean cost is held (控制均次费用增幅的支付方式)."""
TOTAL = frozenset({PaymentMode.ITEM, PaymentMode.PER_DIEM, PaymentMode.SINGLE_DISEASE})
"""The modes that total and mean hold together (总额与均次双控的支付方式)."""


class ControlTermsMissing(Conflict):
    """A check without last year's mean, or without its quota, of a hospital it speaks of (总额控制缺少基数或定额)."""

    code = "TOTAL_CONTROL_TERMS_MISSING"


@dataclass(frozen=True, slots=True)
class ControlTerms:
    """The checks in force in a month (总额控制口径). Units: fen; by hospital code."""

    rules: tuple[ControlRule, ...] = ()
    prior_means: Mapping[str, int] = field(default_factory=dict)
    """Mean cost of item payment last year (上年按项目均次费用)."""
    total_quotas: Mapping[str, int] = field(default_factory=dict)
    """What a month may be paid in all (月度总额定额)."""
    mean_quotas: Mapping[str, int] = field(default_factory=dict)
    """What a month may be paid a case (均次定额)."""

    @classmethod
    def from_policy(cls, policy: ResolvedPolicy) -> ControlTerms:
        """The terms of the policy resolved for the last day of a month (按策略确定总额控制口径). Policy: total_control.*. Raises: ControlUnreadable."""

        def fen(key: str) -> dict[str, int]:
            pairs = policy.map(key) if policy.has(key) else {}
            return {code: half_up(Fraction(exact_decimal(yuan)) * 100) for code, yuan in sorted(pairs.items())}

        return cls(
            policy_control_rules(policy),
            fen("total_control.prior_means"),
            fen("total_control.total_quotas"),
            fen("total_control.mean_quotas"),
        )


class Month(NamedTuple):
    """A settlement month of a hospital at one level (机构月份)."""

    hospital: str
    month: int
    level: str


class PaidCase(NamedTuple):
    """A case paid beside the points (分值以外支付的病例). Units: fen."""

    case_id: str
    discharged_on: date
    mode: PaymentMode
    cost_fen: int
    fund_fen: int


@dataclass(frozen=True, slots=True)
class ControlFinding:
    """What one check said of a month (控制结果). Units: cases, fen. `limit` as policy has it; `claim_fen` what the modes approved."""

    place: Month
    method: ControlMethod
    limit: Fraction
    cases: int
    """Cases the check counts: all of the month for the critical share, else those of its modes."""
    cost_fen: int
    claim_fen: int
    withheld_fen: int = 0
    over_cases: int = 0
    """Critical cases beyond the share: they fall back to the groups."""


def over_the_share(
    place: Month, critical: Iterable[PaidCase], all_cases: int, terms: ControlTerms
) -> tuple[ControlFinding | None, frozenset[str]]:
    """The critical cases of a month beyond their share, by id (超出占比的危急重症病例).

    Cases are admitted in order of discharge, ties by case id in bytes order, whatever order they come in. Policy: total_control.table.
    Raises: ValueError for more critical cases than cases.
    """
    cap = limit_of(terms.rules, ControlMethod.CRITICAL_SHARE, place.level)
    if cap is None:
        return None, frozenset()
    asked = sorted((one for one in critical if one.mode in CRITICAL), key=lambda one: (one.discharged_on, one.case_id))
    found = critical_share(len(asked), all_cases, cap)
    over = asked[found.admitted :]
    finding = ControlFinding(
        place,
        ControlMethod.CRITICAL_SHARE,
        cap,
        all_cases,
        sum(one.cost_fen for one in asked),
        sum(one.fund_fen for one in asked),
        over_cases=len(over),
    )
    return finding, frozenset(one.case_id for one in over)


def held_back(
    place: Month, paid: Iterable[PaidCase], terms: ControlTerms
) -> tuple[tuple[ControlFinding, ...], dict[str, int]]:
    """What the checks hold back of a month, and of each of its cases, by id (暂不拨付额及其逐例分摊).

    The growth of the mean acts first, on item payment; total and mean act on what is left, so that no fen is held twice. A check holds no
    more than there is. Units: fen. Rounding: each check half up once; among cases by largest remainder over what is left of each, ties to
    the smaller id in bytes order. Raises: ControlTermsMissing.
    """
    cases = sorted(paid, key=lambda one: one.case_id)
    left = {one.case_id: one.fund_fen for one in cases}
    findings = []
    for method, modes in ((ControlMethod.MEAN_COST_GROWTH, GROWTH), (ControlMethod.TOTAL_AND_MEAN, TOTAL)):
        limit = limit_of(terms.rules, method, place.level)
        asked = [one for one in cases if one.mode in modes]
        if limit is None or not asked:
            continue
        claim = sum(left[one.case_id] for one in asked)
        finding = found_by(place, method, limit, len(asked), sum(one.cost_fen for one in asked), claim, terms)
        findings.append(finding)
        parts = apportion_in_order(finding.withheld_fen, [left[one.case_id] for one in asked])
        for one, part in zip(asked, parts, strict=True):
            left[one.case_id] -= part
    return tuple(findings), {one.case_id: one.fund_fen - left[one.case_id] for one in cases}


def found_by(
    place: Month, method: ControlMethod, limit: Fraction, cases: int, cost_fen: int, claim_fen: int, terms: ControlTerms
) -> ControlFinding:
    """What a check of money says of a month's sums (按合计核定暂不拨付额). Units: fen. Raises: ControlTermsMissing."""
    if method is ControlMethod.MEAN_COST_GROWTH:
        prior = _needed(terms.prior_means, place, "total_control.prior_means")
        withheld = mean_cost_growth(cost_fen, cases, prior, limit).withheld_fen
    else:
        total = half_up(_needed(terms.total_quotas, place, "total_control.total_quotas") * limit)
        mean = _needed(terms.mean_quotas, place, "total_control.mean_quotas") * limit
        withheld = total_and_mean(claim_fen, total, cases, mean).withheld_fen
    return ControlFinding(place, method, limit, cases, cost_fen, claim_fen, max(0, min(withheld, claim_fen)))


def check_beside(cases: Mapping[str, tuple[CasePayment, int]], findings: Sequence[ControlFinding]) -> None:
    """The laws of what is paid beside the points, checked over what a run is about to record (分值以外支付守恒).

    `cases`: payment and what controls hold back of it, by case id. cost = fund + other payers + hospital; no payer is below 0; what is
    held back lies between 0 and the fund's part and adds up to what the checks found. Raises: InvariantBroken naming the case or account.
    """
    for case_id, (payment, held) in cases.items():
        parts = payment.fund_fen + payment.other_payers_fen + payment.hospital_fen
        if parts != payment.cost_fen or payment.fund_fen < 0:
            raise InvariantBroken(PARTS, account=case_id, unexplained_fen=payment.cost_fen - parts)
        if not 0 <= held <= payment.fund_fen:
            raise InvariantBroken(HELD_BACK, account=case_id, unexplained_fen=held)
    found, held_of_cases = sum(one.withheld_fen for one in findings), sum(held for _, held in cases.values())
    if found != held_of_cases:
        raise InvariantBroken(HELD_BACK, account="control_withheld", unexplained_fen=found - held_of_cases)


def _needed(amounts: Mapping[str, int], place: Month, key: str) -> int:
    amount = amounts.get(place.hospital)
    if amount is None:
        raise ControlTermsMissing(
            f"机构 {place.hospital} 在 {place.month} 受总额控制，但策略 {key} 未列其数额。",
            f"Hospital {place.hospital} is under total control in {place.month}, and {key} names no amount for it.",
            hint=f"在策略 {key} 中录入该机构的数额 / enter the hospital's amount under {key}",
            hospital=place.hospital,
            key=key,
        )
    return amount
