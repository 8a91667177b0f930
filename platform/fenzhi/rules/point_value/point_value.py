"""A point value as four integers and a basis (点值的四个整数与口径).

A point value in yuan of total cost and one in yuan of the fund are different quantities that look alike. Each therefore
keeps what it was made of: fund, cost, booked fund and points; the quotient is taken when it is needed and never stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.quantities import decimal_places, half_up
from fenzhi.rules.refusals import Conflict


class Basis(StrEnum):
    """What the yuan of a point value are yuan of (点值口径)."""

    TOTAL_COST = "total_cost"  # 医疗总费用口径: (fund / φ) / points
    FUND = "fund"  # 基金口径: fund / points


class NoCases(Conflict):
    """No cases to price (没有病例)."""

    code = "NO_CASES"


class NoPoints(Conflict):
    """A fund or a cost and no points to divide it by (有基金而无分值)."""

    code = "NO_POINTS_WITH_FUND"


class FundRatioZero(Conflict):
    """The booked fund or the cost is 0, so that the fund ratio φ cannot divide (基金支付比例为零)."""

    code = "FUND_RATIO_ZERO"


class BasisMismatch(Conflict):
    """Two point values of different basis (点值口径不一致)."""

    code = "BASIS_MISMATCH"


@dataclass(frozen=True, slots=True)
class PointValue:
    """Yuan per point, kept as what it is made of (点值).

    Units: fund, cost and booked fund in fen; `points` in units of 10^-points_decimals. φ = booked / cost.
    """

    fund_fen: int
    cost_fen: int
    booked_fen: int
    points: int
    points_decimals: int
    basis: Basis = Basis.TOTAL_COST

    @classmethod
    def stated(cls, yuan_per_point: Fraction, points_decimals: int, basis: Basis = Basis.TOTAL_COST) -> PointValue:
        """A point value as a document states it, in yuan per point (文件载明的点值): exact, φ counted as 1.

        >>> PointValue.stated(Fraction("10.5"), 4).exact()
        Fraction(21, 2)
        """
        per_unit = yuan_per_point * Fraction(100, 10**points_decimals)
        fen, points = per_unit.numerator, per_unit.denominator
        return cls(fen, fen, fen, points, points_decimals, basis)

    def payment_standard(self, points: int) -> int:
        """Fen that so many points are worth (支付标准). Rounding: half up. Units: `points` in 10^-points_decimals."""
        return half_up(points * self.fen_per_unit())

    def fund_ratio(self) -> Fraction:
        """φ, the booked basic fund over the total cost (基金支付比例). Raises: FundRatioZero without a cost."""
        if self.cost_fen == 0:
            raise _no_ratio("病例医疗总费用为 0", "the total cost of the cases is 0")
        return Fraction(self.booked_fen, self.cost_fen)

    def fen_per_unit(self) -> Fraction:
        """Fen per unit of points (每最小分值单位的分数), exact: multiply by integer points to get fen."""
        if self.points == 0:
            raise NoPoints("分值合计为 0，点值无意义。", "The points add up to 0: there is no point value.")
        if self.basis is Basis.FUND:
            return Fraction(self.fund_fen, self.points)
        if self.booked_fen == 0:
            raise _no_ratio("记账基金为 0", "the booked fund is 0")
        return Fraction(self.fund_fen * self.cost_fen, self.booked_fen * self.points)

    def exact(self) -> Fraction:
        """Yuan per point, exact (精确点值)."""
        return self.fen_per_unit() * Fraction(10**self.points_decimals, 100)

    def printed(self, places: int) -> str:
        """Yuan per point as published (公布点值). Rounding: half up to `places`; for display, never for pay.

        >>> PointValue(70_000_000_000, 10, 7, 100_000_000, 0).printed(4)
        '10.0000'
        """
        return decimal_places(self.exact(), places)


def same_basis(one: PointValue, other: PointValue) -> None:
    """Two point values that may stand in one sum (口径一致). Raises: BasisMismatch."""
    if one.basis is not other.basis:
        raise BasisMismatch(
            f"点值口径不一致：{one.basis.value} 与 {other.basis.value}。",
            f"Point values of different basis: {one.basis.value} and {other.basis.value}.",
        )


def _no_ratio(zh: str, en: str) -> FundRatioZero:
    return FundRatioZero(f"{zh}，无法计算基金支付比例。", f"There is no fund ratio: {en}.")
