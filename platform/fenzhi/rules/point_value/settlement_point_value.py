"""The settlement point value (结算点值): what the fund of the period makes of the points of the period."""

from __future__ import annotations

from fenzhi.rules.point_value.point_value import Basis, FundRatioZero, NoCases, NoPoints, PointValue


def settlement_point_value(
    fund_fen: int,
    booked_fen: int,
    cost_fen: int,
    points: int,
    points_decimals: int,
    basis: Basis = Basis.TOTAL_COST,
) -> PointValue:
    """P = (fund / φ) / points with φ = booked fund / total cost of the same cases (结算点值).

    Policy: point_value.method floating. Units: fen, 10^-d points; the quotient is unrounded. Shape: fund, booked
    fund, cost and points of one frozen case set. Raises: NoCases when there is neither cost nor points, NoPoints when
    there are cases but no points, FundRatioZero when φ would not be above 0 and the basis needs it.

    >>> settlement_point_value(70_000_000_000, 7, 10, 100_000_000, 0).exact()
    Fraction(10, 1)
    """
    if points == 0 and cost_fen == 0:
        raise NoCases(
            "当期没有病例，无法计算结算点值。", "There are no cases in the period, so there is no point value."
        )
    if points == 0:
        raise NoPoints("当期分值合计为 0，无法计算结算点值。", "The points of the period add up to 0.")
    if basis is Basis.TOTAL_COST and (booked_fen <= 0 or cost_fen <= 0):
        raise FundRatioZero(
            "当期基金支付比例不大于 0，总费用口径的结算点值无意义。",
            "The fund ratio of the period is not above 0: there is no point value in yuan of total cost.",
        )
    return PointValue(fund_fen, cost_fen, booked_fen, points, points_decimals, basis)
