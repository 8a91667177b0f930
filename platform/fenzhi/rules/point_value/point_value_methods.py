"""Ways in which a pool's fund becomes a price (点值方式): floating, fixed, corridor, elastic, budget, bargained.

Only the floating point value shares exactly the fund there is. Every other way pays more or less than the fund; the
difference belongs to a named account, and what an account cannot cover is not promised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.point_value.point_value import Basis, PointValue, same_basis
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.rules.quantities import decimal_places, half_up
from fenzhi.rules.refusals import Conflict


class PointValueMethod(StrEnum):
    """The mode of the settlement point value (点值方式)."""

    FLOATING = "floating"  # 浮动点值
    FIXED = "fixed"  # 固定点值
    CORRIDOR = "corridor"  # 浮动点值，设上下限
    ELASTIC = "elastic"  # 弹性点值：基准量固定，增量浮动
    BUDGET = "budget"  # 按预算点值支付，差额入账户
    BARGAINED = "bargained"  # 协商点值：基础 + 浮动空间


class ElasticBaselineAboveFund(Conflict):
    """The baseline at its fixed value costs more than the fund (弹性点值基准量超过基金)."""

    code = "ELASTIC_BASELINE_ABOVE_FUND"


class HigherApprovalNeeded(Conflict):
    """A bargained point value outside the space the parties may settle themselves (协商点值超出浮动空间，须上级批准)."""

    code = "HIGHER_APPROVAL_NEEDED"


class PriceNotStated(Conflict):
    """A method that needs a stated point value and has none (未载明点值)."""

    code = "PRICE_NOT_STATED"


class CorridorInvalid(Conflict):
    """A corridor whose lower edge is above its upper edge (点值上下限无效)."""

    code = "CORRIDOR_INVALID"


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """How the points of a pool are priced (点值口径), frozen before the run.

    `stated`: the fixed, budget or approved bargained point value, or that of the elastic baseline. `low`, `high`: edges
    of the corridor; `increment_cap`: most an elastic increment may earn; all in yuan per point of the basis of the
    pool's point value. `balance_fen`: what the point-value account holds before the first run of the year. Units: fen.
    """

    method: PointValueMethod = PointValueMethod.FLOATING
    stated: PointValue | None = None
    low: Fraction | None = None
    high: Fraction | None = None
    increment_cap: Fraction | None = None
    balance_fen: int = 0
    elastic_baseline_share: Fraction | None = None
    basis: Basis = Basis.TOTAL_COST
    """Of the pool's own point value, hence of every value beside it (点值口径)."""
    by_case: Fraction | None = None
    """Fen of fund per unit of points at which each case is paid by itself: cases of other areas, see `out_of_area`
    (逐例计付的单价). Nothing is shared then, so no method acts."""


@dataclass(frozen=True, slots=True)
class PoolPrice:
    """The fund a pool shares at its price, and what the accounts behind it receive or give (定价结果).

    `fund_fen` is what is shared; `pool − fund_fen = point_value_fen + cap_excess_fen`, negative is a draw.
    `weights`: what the fund is shared by: points, or points at their price for an elastic point value.
    """

    point_value: PointValue
    weights: Mapping[str, int | Fraction]
    point_value_fen: int
    cap_excess_fen: int
    increment_value: Fraction | None = None
    """Yuan per point of the elastic increment (增量点值)."""

    @property
    def fund_fen(self) -> int:
        return self.point_value.fund_fen


@dataclass(frozen=True, slots=True)
class ElasticValue:
    """An elastic point value (弹性点值): the baseline at its fixed value, the increment at what is left. Fractions of fen."""

    baseline_fen: Fraction
    increment_pool_fen: Fraction
    increment_fen_per_unit: Fraction
    capped: bool


def elastic_value(
    total_fen: Fraction | int,
    baseline_points: int,
    fixed_fen_per_unit: Fraction,
    increment_points: int,
    cap_fen_per_unit: Fraction | None = None,
) -> ElasticValue:
    """Baseline at the fixed value, increment at min(cap, what is left / increment points) (弹性点值).

    Policy: point_value.elastic_cap. Units: fen; points in 10^-d; nothing is rounded. Raises: ElasticBaselineAboveFund.

    >>> elastic_value(1_000_000_00, 80_000, Fraction(10_00), 25_000, Fraction(10_00)).increment_fen_per_unit
    Fraction(800, 1)
    """
    baseline = baseline_points * fixed_fen_per_unit
    if baseline > total_fen:
        raise ElasticBaselineAboveFund(
            "基准量按固定点值计算已超过可分配基金。",
            "The baseline at its fixed point value costs more than the fund.",
            baseline_fen=str(half_up(baseline)),
            total_fen=str(half_up(Fraction(total_fen))),
        )
    pool = Fraction(total_fen) - baseline
    if increment_points == 0:
        return ElasticValue(baseline, pool, Fraction(0), False)
    floating = pool / increment_points
    capped = cap_fen_per_unit is not None and floating > cap_fen_per_unit
    return ElasticValue(
        baseline, pool, cap_fen_per_unit if capped and cap_fen_per_unit is not None else floating, capped
    )


def bargained_point_value(
    base: PointValue, settled_yuan: Fraction, space: Fraction, higher_approval: str = ""
) -> PointValue:
    """The point value the parties settled, within base × (1 ± space) (协商点值).

    Policy: point_value.bargaining_space. `higher_approval` names the document of the higher level that allows a value
    beyond the space. Both edges are inclusive. Raises: HigherApprovalNeeded.

    >>> bargained_point_value(PointValue.stated(Fraction(10), 4), Fraction("10.2"), Fraction("0.03")).exact()
    Fraction(51, 5)
    """
    low, high = base.exact() * (1 - space), base.exact() * (1 + space)
    if not low <= settled_yuan <= high and not higher_approval:
        raise HigherApprovalNeeded(
            f"协商点值 {decimal_places(settled_yuan, 4)} 超出 {decimal_places(low, 4)} 至 {decimal_places(high, 4)}，须报上级批准。",
            f"A point value of {decimal_places(settled_yuan, 4)} is outside {decimal_places(low, 4)} to "
            f"{decimal_places(high, 4)}: a higher level must approve it.",
            low=str(low),
            high=str(high),
            settled=str(settled_yuan),
        )
    return PointValue.stated(settled_yuan, base.points_decimals, base.basis)


def price_terms(
    policy: ResolvedPolicy,
    points_decimals: int,
    *,
    budget: PointValue | None = None,
    bargained: PointValue | None = None,
    balance_fen: int = 0,
) -> PriceTerms:
    """The price an area's policy sets (按策略确定点值口径).

    Policy: point_value.method, point_value.basis, fixed_value (fixed, elastic), corridor_low and corridor_high as
    multiples of the budget point value, elastic_cap, elastic_baseline_share. `budget`: the approved budget point value;
    `bargained`: from `bargained_point_value`. Raises: PolicyNotEntered; PriceNotStated; BasisMismatch for a budget
    point value of another basis.
    """
    method = PointValueMethod(policy.method("point_value.method"))
    basis = Basis(policy.method("point_value.basis"))
    stated, low, high, cap, share = None, None, None, None, None
    match method:
        case PointValueMethod.FIXED | PointValueMethod.ELASTIC:
            stated = PointValue.stated(policy.fraction("point_value.fixed_value"), points_decimals, basis)
            cap = policy.optional_fraction("point_value.elastic_cap")
            share = policy.optional_fraction("point_value.elastic_baseline_share")
        case PointValueMethod.BUDGET | PointValueMethod.BARGAINED:
            stated = budget if method is PointValueMethod.BUDGET else bargained
        case PointValueMethod.CORRIDOR:
            if budget is None:
                raise _not_stated(method)
            same_basis(budget, PointValue.stated(Fraction(1), points_decimals, basis))
            low = budget.exact() * policy.fraction("point_value.corridor_low")
            high = budget.exact() * policy.fraction("point_value.corridor_high")
        case PointValueMethod.FLOATING:
            pass
    return PriceTerms(method, stated, low, high, cap, balance_fen, share, basis)


def price_pool(
    floating: PointValue, points: Mapping[str, int], terms: PriceTerms, fixed_points: Mapping[str, int] | None = None
) -> PoolPrice:
    """What a pool shares under its point-value method (按点值方式确定可分配额).

    `floating`: the pool's own settlement point value. `fixed_points`: of each hospital, those of the elastic baseline.
    Policy: point_value.method. Units: fen; points in 10^-d. Rounding: the priced fund half up once; a draw beyond
    `balance_fen` is cut to it. Raises: PriceNotStated, CorridorInvalid, BasisMismatch, ElasticBaselineAboveFund.
    """
    match terms.method:
        case PointValueMethod.FLOATING:
            return PoolPrice(floating, points, 0, 0)
        case PointValueMethod.CORRIDOR:
            return _corridor(floating, points, terms)
        case PointValueMethod.ELASTIC:
            return _elastic(floating, points, terms, fixed_points or {})
        case _:
            per_unit = _fund_per_unit(floating, _stated(terms, floating).fen_per_unit())
            return _at_price(floating, points, per_unit, terms.balance_fen)


def _stated(terms: PriceTerms, floating: PointValue) -> PointValue:
    if terms.stated is None:
        raise _not_stated(terms.method)
    same_basis(terms.stated, floating)
    return terms.stated


def _not_stated(method: PointValueMethod) -> PriceNotStated:
    return PriceNotStated(
        f"点值方式 {method.value} 须先有经批准的点值。",
        f"A {method.value} point value needs an approved value.",
        method=method.value,
    )


def _fund_per_unit(floating: PointValue, fen_per_unit: Fraction) -> Fraction:
    """Fund fen per unit of points at a price of the pool's basis (每最小分值单位的基金)."""
    return fen_per_unit if floating.basis is Basis.FUND else fen_per_unit * floating.fund_ratio()


def _per_unit(yuan: Fraction, floating: PointValue) -> Fraction:
    return yuan * Fraction(100, 10**floating.points_decimals)


def _at_price(floating: PointValue, points: Mapping[str, int], fund_per_unit: Fraction, balance_fen: int) -> PoolPrice:
    due = half_up(fund_per_unit * floating.points)
    fund_fen = min(due, floating.fund_fen + max(0, balance_fen))
    return PoolPrice(_with_fund(floating, fund_fen), points, floating.fund_fen - fund_fen, 0)


def _with_fund(value: PointValue, fund_fen: int) -> PointValue:
    return PointValue(fund_fen, value.cost_fen, value.booked_fen, value.points, value.points_decimals, value.basis)


def _corridor(floating: PointValue, points: Mapping[str, int], terms: PriceTerms) -> PoolPrice:
    if terms.low is not None and terms.high is not None and terms.low > terms.high:
        raise CorridorInvalid("点值下限高于上限。", "The lower edge of the corridor is above the upper edge.")
    exact = floating.exact()
    if terms.high is not None and exact > terms.high:
        fund_fen = half_up(_fund_per_unit(floating, _per_unit(terms.high, floating)) * floating.points)
        return PoolPrice(_with_fund(floating, fund_fen), points, 0, floating.fund_fen - fund_fen)
    if terms.low is not None and exact < terms.low:
        return _at_price(floating, points, _fund_per_unit(floating, _per_unit(terms.low, floating)), terms.balance_fen)
    return PoolPrice(floating, points, 0, 0)


def _elastic(
    floating: PointValue, points: Mapping[str, int], terms: PriceTerms, fixed_points: Mapping[str, int]
) -> PoolPrice:
    fixed = {code: min(fixed_points.get(code, 0), own) for code, own in points.items()}
    baseline = sum(fixed.values())
    increment = floating.points - baseline
    fixed_per_unit = _fund_per_unit(floating, _stated(terms, floating).fen_per_unit())
    cap = None
    if terms.increment_cap is not None:
        cap = _fund_per_unit(floating, _per_unit(terms.increment_cap, floating))
    value = elastic_value(floating.fund_fen, baseline, fixed_per_unit, increment, cap)
    if (
        terms.elastic_baseline_share is not None
        and value.baseline_fen > floating.fund_fen * terms.elastic_baseline_share
    ):
        raise ElasticBaselineAboveFund(
            "基准量按固定点值计算超过基金中约定的基准份额。",
            "The baseline at its fixed point value costs more than its agreed share of the fund.",
            baseline_fen=str(half_up(value.baseline_fen)),
            total_fen=str(floating.fund_fen),
        )
    weights = {
        code: fixed[code] * fixed_per_unit + (own - fixed[code]) * value.increment_fen_per_unit
        for code, own in points.items()
    }
    fund_fen = floating.fund_fen
    if value.capped or increment == 0:
        fund_fen = half_up(value.baseline_fen + increment * value.increment_fen_per_unit)
    left = floating.fund_fen - fund_fen
    yuan = value.increment_fen_per_unit / _fund_per_unit(floating, _per_unit(Fraction(1), floating))
    return PoolPrice(
        _with_fund(floating, fund_fen), weights, 0 if value.capped else left, left if value.capped else 0, yuan
    )
