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
from fenzhi.rules.point_value.point_value_methods import PoolPrice, PriceTerms, price_pool
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


class ClaimFormula(StrEnum):
    """What a hospital claims from its pool before sharing (应付算式)."""

    SP_PHI = "sp_phi"  # 分值 × 点值 × 支付比例
    SP_MINUS_PATIENT = "sp_minus_patient"  # 分值 × 点值 − 基金以外支付


class ClaimNeedsShareMethod(Conflict):
    """S·P − patient without a share method that says where the difference goes (减个人支付的算式须配套份额方法)."""

    code = "CLAIM_NEEDS_SHARE_METHOD"


class ClaimBelowZero(Conflict):
    """A hospital whose other payers paid more than its points are worth (基金以外支付超过分值所值)."""

    code = "CLAIM_BELOW_ZERO"


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
    floor_balance_fen: int = 0
    claim: ClaimFormula = ClaimFormula.SP_PHI


@dataclass(frozen=True, slots=True)
class GrossShare:
    """The share of one hospital on its way to gross (机构份额). Units: fen.

    default: of the fund by points; priced: at the point-value method; method: by the share method; gross: as paid,
    floor included.
    """

    default_fen: int
    priced_fen: int
    method_fen: int
    gross_fen: int
    fund_ratio: Fraction
    """φ of the share method: the pool's by default, else the hospital's own (所用支付比例)."""
    printed_fen: int
    """The exact share at the printed in place of the exact point value, half up."""
    floor_fen: int = 0
    """What lifts cases to their floor (保底补足额)."""


@dataclass(frozen=True, slots=True)
class PoolShares:
    """The shares of a pool and what its accounts received or gave (基金池份额). Units: fen; negative is a draw."""

    shares: Mapping[str, GrossShare]
    phi_fen: int
    phi_cap_excess_fen: int
    rounding_fen: int
    base: Fraction
    """What a hospital's points (× own ratio) are divided by: Σ points, or Σ points × ratio when renormalised. 10^-d."""
    point_value_fen: int = 0
    cap_excess_fen: int = 0
    floor_fen: int = 0
    increment_value: Fraction | None = None
    """Yuan per point of an elastic increment (增量点值)."""


def pool_shares(
    point_value: PointValue,
    points: Mapping[str, int],
    fund_ratios: Mapping[str, Fraction],
    order: ShareOrder,
    price: PriceTerms | None = None,
    *,
    fixed_points: Mapping[str, int] | None = None,
    other_payers: Mapping[str, int] | None = None,
    floors: Mapping[str, int] | None = None,
) -> PoolShares:
    """Gross of every hospital of a pool (各机构应付).

    Policy: clearing.share_method, clearing.claim, clearing.pay_by, clearing.printed_decimals, point_value.method.
    Units: fen; points in 10^-d. `fund_ratios` is read by `renormalise` and `account` of S·P·φ only, see
    `hospital_ratios`; `other_payers` by S·P − patient; `floors`: what each hospital's cases lack to their floor.
    Rounding: `apportion` by largest remainder; `account` claims and printed pay half up per hospital; what an account
    cannot cover is shared by largest remainder over the claims. Raises: as `apportion`, `PointValue` and `price_pool`;
    ClaimNeedsShareMethod, ClaimBelowZero.
    """
    default = apportion(point_value.fund_fen, points)
    pool_ratio = point_value.fund_ratio()
    priced_pool = price_pool(point_value, points, price or PriceTerms(), fixed_points)
    point_value = priced_pool.point_value
    if priced_pool.weights is points and point_value.fund_fen == sum(default.values()):
        priced = default
    else:
        priced = apportion(point_value.fund_fen, priced_pool.weights)
    quotas, method, base = _method_shares(priced_pool, points, fund_ratios, order, priced, other_payers or {})
    worth = any(points.values())
    printed_value = Fraction(point_value.printed(order.printed_decimals)) if worth else Fraction(0)
    exact_value = point_value.exact() if worth else Fraction(0)
    printed = {
        code: half_up(quota * printed_value / exact_value) if exact_value else 0 for code, quota in quotas.items()
    }
    if order.pay_by is PayBy.PRINTED_POINT_VALUE:
        paid = covered(printed, sum(method.values()), order.rounding_balance_fen)
    else:
        paid = method
    lifted = covered({code: (floors or {}).get(code, 0) for code in default}, 0, order.floor_balance_fen)
    phi_total = sum(priced[code] - method[code] for code in default)
    phi_fen, excess_fen = phi_total, 0
    if order.phi_cap_fen is not None and phi_total > 0:
        room = max(0, order.phi_cap_fen - order.phi_balance_fen)
        phi_fen, excess_fen = min(phi_total, room), max(0, phi_total - room)
    own_ratio = order.method is not ShareMethod.DEFAULT and order.claim is ClaimFormula.SP_PHI
    shares = {
        code: GrossShare(
            default[code],
            priced[code],
            method[code],
            paid[code] + lifted[code],
            fund_ratios[code] if own_ratio else pool_ratio,
            printed[code],
            lifted[code],
        )
        for code in default
    }
    return PoolShares(
        shares,
        phi_fen,
        excess_fen,
        sum(method[code] - paid[code] for code in default),
        base,
        priced_pool.point_value_fen,
        priced_pool.cap_excess_fen,
        -sum(lifted.values()),
        priced_pool.increment_value,
    )


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
    price: PoolPrice,
    points: Mapping[str, int],
    fund_ratios: Mapping[str, Fraction],
    order: ShareOrder,
    priced: Mapping[str, int],
    other_payers: Mapping[str, int],
) -> tuple[dict[str, Fraction], dict[str, int], Fraction]:
    """Exact quota and whole fen per hospital, and what the quotas were divided by."""
    fund_fen = price.fund_fen
    minus_patient = order.claim is ClaimFormula.SP_MINUS_PATIENT
    if minus_patient and order.method is ShareMethod.DEFAULT:
        raise ClaimNeedsShareMethod(
            "“分值×点值−基金以外支付”须与归一或调节账户的份额方法同用。",
            "S·P − other payers needs the share method renormalise or account.",
        )
    whole = _exact_sum([Fraction(price.weights[code]) for code in priced])
    if fund_fen == 0 and not minus_patient:
        return dict.fromkeys(priced, Fraction(0)), dict(priced), whole
    quotas = {code: fund_fen * price.weights[code] / whole if whole else Fraction(0) for code in priced}
    if order.method is ShareMethod.DEFAULT:
        return quotas, dict(priced), whole
    if minus_patient:
        ratio = price.point_value.fund_ratio()
        claims_exact = {code: quotas[code] / ratio - other_payers.get(code, 0) for code in priced}
        _refuse_below_zero(claims_exact)
    elif order.method is ShareMethod.RENORMALISE:
        claims_exact = {code: price.weights[code] * fund_ratios[code] for code in priced}
    else:
        ratio = price.point_value.fund_ratio()
        claims_exact = {code: quotas[code] * fund_ratios[code] / ratio for code in priced}
    if order.method is ShareMethod.RENORMALISE:
        method = apportion(fund_fen, claims_exact)
        total = _exact_sum(list(claims_exact.values()))
        return {code: fund_fen * claims_exact[code] / total if total else Fraction(0) for code in priced}, method, total
    claims = {code: half_up(quota) for code, quota in claims_exact.items()}
    method = covered(claims, fund_fen, order.phi_balance_fen)
    if method != claims:
        short = Fraction(fund_fen + order.phi_balance_fen, sum(claims.values()))
        claims_exact = {code: claims[code] * short for code in priced}
    return claims_exact, method, whole


def _refuse_below_zero(claims: Mapping[str, Fraction]) -> None:
    for code, claim in sorted(claims.items()):
        if claim < 0:
            raise ClaimBelowZero(
                f"机构 {code} 的基金以外支付超过其分值所值，须按策略设置病例保底或改用支付比例算式。",
                f"The other payers of hospital {code} paid more than its points are worth: set a case floor by policy or "
                "choose S·P·φ.",
                hospital=code,
            )


def claim_fen_per_unit(floating: PointValue, points: Mapping[str, int], price: PriceTerms | None = None) -> Fraction:
    """What a unit of points is worth before what other payers paid is taken off (减其他支付前的单位分值金额). Fen of total cost, exact.

    `floating`: the pool's own settlement point value. An elastic point value has no such price: ValueError. Raises: as `price_pool`.
    """
    priced = price_pool(floating, points, price or PriceTerms())
    if priced.weights is not points:
        raise ValueError("an elastic point value has no one price")
    return Fraction(priced.fund_fen, floating.points) / floating.fund_ratio()


def case_floor_lack(fen_per_unit: Fraction, cases: Sequence[tuple[int, int]]) -> int:
    """Fen that lift each case of S·P − patient to 0 (病例保底补足额).

    Policy: clearing.case_floor. Shape: pairs of points and what other payers paid. Rounding: half up per case.

    >>> case_floor_lack(Fraction(1), [(100, 30), (100, 130)])
    30
    """
    return sum(max(0, half_up(patient_fen - points * fen_per_unit)) for points, patient_fen in cases)


def _exact_sum(terms: Sequence[Fraction]) -> Fraction:
    """Sum of many fractions, pairwise, so that denominators grow late."""
    if len(terms) <= 2:
        return sum(terms, Fraction(0))
    middle = len(terms) // 2
    return _exact_sum(terms[:middle]) + _exact_sum(terms[middle:])
