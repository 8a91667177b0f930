"""The benchmark zone (优值区间): the price of those who are cheap for good reason, not of everybody.

No national text fixes the method, so it is chosen by policy and never assumed. One dimension takes the hospitals below
the mean yuan per point; two dimensions also ask for a low cost per point and an income that covers the cost, and take
the hospital nearest to all others of the zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.point_value.point_value import NoCases, NoPoints, PointValue
from fenzhi.rules.refusals import Conflict

_DISTANCE = Context(prec=60)
"""Distances have no exact value; 60 digits tell any two apart that fen and points can make."""


class BenchmarkZone(StrEnum):
    """How the zone is drawn (优值区间方法)."""

    ONE_DIMENSIONAL = "one_dimensional"  # 单位分值费用低于均值
    TWO_DIMENSIONAL = "two_dimensional"  # 单位分值收入与成本均低，且收入不低于成本


class EmptyZone(Conflict):
    """No hospital lies in the zone (优值区间内没有机构)."""

    code = "BENCHMARK_ZONE_EMPTY"


@dataclass(frozen=True, slots=True)
class ZoneHospital:
    """One hospital's year as the zone sees it (机构数据). Units: fen, points in 10^-d.

    `income_fen`: what its cases were charged; `cost_fen`: what they cost the hospital, read by two dimensions only.
    """

    hospital: str
    points: int
    income_fen: int
    cost_fen: int = 0


@dataclass(frozen=True, slots=True)
class ZonePrice:
    """The point value of a zone and who lies in it (优值区间点值)."""

    point_value: PointValue
    hospitals: tuple[str, ...]
    centre: str
    """The hospital nearest to all others; blank for one dimension (几何中心)."""


def benchmark_point_value(hospitals: Sequence[ZoneHospital], method: BenchmarkZone, points_decimals: int) -> ZonePrice:
    """The point value of the benchmark zone (优值区间点值).

    Policy: point_value.benchmark_zone. One dimension: Σ income / Σ points of those strictly below the mean of all. Two
    dimensions: among those not above both means whose income covers their cost, the income per point of the hospital
    with the least sum of distances, ties to the smaller code. Hospitals without points are left out.
    Raises: NoCases, NoPoints, EmptyZone.
    """
    if not hospitals:
        raise NoCases("没有可供测算的机构。", "There are no hospitals to draw a zone from.")
    having = sorted((one for one in hospitals if one.points > 0), key=lambda one: one.hospital)
    if not having:
        raise NoPoints("各机构分值合计为 0。", "The points of all hospitals add up to 0.")
    points = sum(one.points for one in having)
    mean_income = Fraction(sum(one.income_fen for one in having), points)
    if method is BenchmarkZone.ONE_DIMENSIONAL:
        zone = [one for one in having if Fraction(one.income_fen, one.points) < mean_income]
        _not_empty(zone)
        return ZonePrice(_value(zone, points_decimals), tuple(one.hospital for one in zone), "")
    mean_cost = Fraction(sum(one.cost_fen for one in having), points)
    zone = [
        one
        for one in having
        if Fraction(one.income_fen, one.points) <= mean_income
        and Fraction(one.cost_fen, one.points) <= mean_cost
        and one.income_fen >= one.cost_fen
    ]
    _not_empty(zone)
    centre = min(zone, key=lambda one: (_distances(one, zone), one.hospital))
    return ZonePrice(_value([centre], points_decimals), tuple(one.hospital for one in zone), centre.hospital)


def _not_empty(zone: Sequence[ZoneHospital]) -> None:
    if not zone:
        raise EmptyZone("没有机构落入优值区间。", "No hospital lies in the benchmark zone.")


def _value(zone: Sequence[ZoneHospital], points_decimals: int) -> PointValue:
    income = sum(one.income_fen for one in zone)
    return PointValue(income, income, income, sum(one.points for one in zone), points_decimals)


def _distances(one: ZoneHospital, zone: Sequence[ZoneHospital]) -> Decimal:
    total = Decimal(0)
    for other in zone:
        income = Fraction(one.income_fen, one.points) - Fraction(other.income_fen, other.points)
        cost = Fraction(one.cost_fen, one.points) - Fraction(other.cost_fen, other.points)
        square = income * income + cost * cost
        whole = _DISTANCE.divide(Decimal(square.numerator), Decimal(square.denominator))
        total = _DISTANCE.add(total, _DISTANCE.sqrt(whole))
    return total
