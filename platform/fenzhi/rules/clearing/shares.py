"""Gross shares of a pool by the share method of the policy (应付份额方法).

By default the fund ratio is the pool's; it cancels, and hospitals share by points. A policy that gives each hospital
its own ratio must say where the difference goes: `renormalise` shares the same fund by points × ratio, `account` pays
each its own claim and keeps the difference in a capped account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.clearing.apportionment import apportion
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import Conflict


class ShareMethod(StrEnum):
    """How the fund is shared among hospitals (份额方法)."""

    DEFAULT = "default"  # 全池支付比例，按分值
    RENORMALISE = "renormalise"  # 机构支付比例，按分值×比例归一
    ACCOUNT = "account"  # 机构支付比例，差额入调节账户


class PayBy(StrEnum):
    """What is paid (支付方式)."""

    APPORTION = "apportion"  # 最大余数分摊
    PRINTED_POINT_VALUE = "printed_point_value"  # 公布点值


class HospitalRatioUndefined(Conflict):
    """A hospital with points and no cost has no fund ratio of its own (机构支付比例无法计算)."""

    code = "HOSPITAL_RATIO_UNDEFINED"


@dataclass(frozen=True, slots=True)
class ShareOrder:
    """How a pool is shared, and the accounts that stand behind it (份额口径). Units: fen.

    `phi_balance_fen` and `rounding_balance_fen` are the balances before the first run of the year: a cumulative run
    counts the whole year again. `phi_cap_fen` caps the balance of the φ account; None is no cap.
    """

    method: ShareMethod = ShareMethod.DEFAULT
    pay_by: PayBy = PayBy.APPORTION
    printed_decimals: int = 4
    phi_balance_fen: int = 0
    phi_cap_fen: int | None = None
    rounding_balance_fen: int = 0


@dataclass(frozen=True, slots=True)
class GrossShare:
    """The share of one hospital on its way to gross (机构份额). Units: fen."""

    default_fen: int
    method_fen: int
    gross_fen: int
    fund_ratio: Fraction
    """φ of the share method: the pool's by default, else the hospital's own (所用支付比例)."""
    printed_fen: int
    """The exact share at the printed in place of the exact point value, half up."""


@dataclass(frozen=True, slots=True)
class PoolShares:
    """The shares of a pool and what its accounts received or gave (基金池份额). Units: fen; negative is a draw."""

    shares: Mapping[str, GrossShare]
    phi_fen: int
    phi_cap_excess_fen: int
    rounding_fen: int
    base: Fraction
    """What a hospital's points (× own ratio) are divided by: Σ points, or Σ points × ratio when renormalised. 10^-d."""


def pool_shares(
    point_value: PointValue, points: Mapping[str, int], fund_ratios: Mapping[str, Fraction], order: ShareOrder
) -> PoolShares:
    """Gross of every hospital of a pool (各机构应付).

    Policy: clearing.share_method, clearing.pay_by, clearing.printed_decimals. Units: fen; points in 10^-d.
    `fund_ratios` is read by `renormalise` and `account` only, see `hospital_ratios`.
    Rounding: `apportion` by largest remainder; `account` claims and printed pay half up per hospital; what an account
    cannot cover is shared by largest remainder over the claims. Raises: as `apportion` and `PointValue`.
    """
    fund_fen = point_value.fund_fen
    default = apportion(fund_fen, points)
    quotas, method, base = _method_shares(point_value, points, fund_ratios, order, default)
    per_unit = point_value.fen_per_unit() if any(points.values()) else Fraction(0)
    printed_value = Fraction(point_value.printed(order.printed_decimals)) if per_unit else Fraction(0)
    exact_value = point_value.exact() if per_unit else Fraction(0)
    printed = {
        code: half_up(quota * printed_value / exact_value) if exact_value else 0 for code, quota in quotas.items()
    }
    if order.pay_by is PayBy.PRINTED_POINT_VALUE:
        gross = covered(printed, sum(method.values()), order.rounding_balance_fen)
    else:
        gross = method
    phi_total = sum(default[code] - method[code] for code in default)
    phi_fen, excess_fen = phi_total, 0
    if order.phi_cap_fen is not None and phi_total > 0:
        room = max(0, order.phi_cap_fen - order.phi_balance_fen)
        phi_fen, excess_fen = min(phi_total, room), max(0, phi_total - room)
    pool_ratio = point_value.fund_ratio()
    shares = {
        code: GrossShare(
            default[code],
            method[code],
            gross[code],
            pool_ratio if order.method is ShareMethod.DEFAULT else fund_ratios[code],
            printed[code],
        )
        for code in default
    }
    rounding_fen = sum(method[code] - gross[code] for code in default)
    return PoolShares(shares, phi_fen, excess_fen, rounding_fen, base)


def covered(claims: Mapping[str, int], fund_fen: int, balance_fen: int) -> dict[str, int]:
    """Claims paid from a fund and, where they exceed it, from an account behind it (账户兜底).

    Units: fen. Rounding: when fund and balance together are short, all claims share them by largest remainder, so
    that a draw never exceeds its account. Negative claims and negative balances draw nothing: ValueError.

    >>> covered({"A": 60, "B": 60}, 100, 10)
    {'A': 55, 'B': 55}
    """
    if balance_fen < 0 or any(claim < 0 for claim in claims.values()):
        raise ValueError("a claim or a balance is negative")
    if sum(claims.values()) <= fund_fen + balance_fen:
        return {code: claims[code] for code in sorted(claims)}
    return apportion(fund_fen + balance_fen, claims)


def hospital_ratios(amounts: Mapping[str, tuple[int, int, int]]) -> dict[str, Fraction]:
    """φ of each hospital from (points, booked_fen, cost_fen) (各机构基金支付比例).

    A hospital without points and cost counts 0. Raises: HospitalRatioUndefined for points without cost
    and for a ratio below 0.
    """
    ratios: dict[str, Fraction] = {}
    for code, (points, booked_fen, cost_fen) in amounts.items():
        if cost_fen == 0 and points:
            raise HospitalRatioUndefined(
                f"机构 {code} 有分值而医疗总费用为 0，无法计算机构支付比例。",
                f"Hospital {code} has points and no cost, so it has no fund ratio of its own.",
                hospital=code,
            )
        ratios[code] = Fraction(booked_fen, cost_fen) if cost_fen else Fraction(0)
        if ratios[code] < 0:
            raise HospitalRatioUndefined(
                f"机构 {code} 的记账基金或医疗总费用合计为负，无法计算机构支付比例。",
                f"The booked fund or the cost of hospital {code} adds up below 0, so it has no fund ratio of its own.",
                hospital=code,
            )
    return ratios


def _method_shares(
    point_value: PointValue,
    points: Mapping[str, int],
    fund_ratios: Mapping[str, Fraction],
    order: ShareOrder,
    default: Mapping[str, int],
) -> tuple[dict[str, Fraction], dict[str, int], Fraction]:
    """Exact quota and whole fen per hospital, and what the quotas were divided by."""
    fund_fen = point_value.fund_fen
    whole = Fraction(sum(points.values()))
    if fund_fen == 0:
        return dict.fromkeys(default, Fraction(0)), dict(default), whole
    if order.method is ShareMethod.DEFAULT:
        return {code: fund_fen * points[code] / whole for code in default}, dict(default), whole
    weights = {code: points[code] * fund_ratios[code] for code in default}
    if order.method is ShareMethod.RENORMALISE:
        method = apportion(fund_fen, weights)
        total = _exact_sum(list(weights.values()))
        return {code: fund_fen * weights[code] / total for code in default}, method, total
    per_unit = point_value.fen_per_unit()
    quotas = {code: per_unit * weight for code, weight in weights.items()}
    claims = {code: half_up(quota) for code, quota in quotas.items()}
    method = covered(claims, fund_fen, order.phi_balance_fen)
    if method != claims:
        short = Fraction(fund_fen + order.phi_balance_fen, sum(claims.values()))
        quotas = {code: claims[code] * short for code in default}
    return quotas, method, whole


def _exact_sum(terms: Sequence[Fraction]) -> Fraction:
    """Sum of many fractions, pairwise, so that denominators grow late."""
    if len(terms) <= 2:
        return sum(terms, Fraction(0))
    middle = len(terms) // 2
    return _exact_sum(terms[:middle]) + _exact_sum(terms[middle:])
