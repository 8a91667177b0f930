"""Cost outliers (费用异常病例): when a case is too cheap or too dear for its group.

A group's score is fair near the group's mean cost. Far below it the full score would reward treating too little; far above
it the score would punish a hospital for a rare patient. Policy draws lines around the mean and rescores what falls outside;
beyond the extreme line nobody trusts a formula, and the case is paid as normal until experts have looked.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction


class CostBand(StrEnum):
    """Where a case falls against its reference cost (费用倍率区间). The order is the engine's code."""

    NORMAL = "normal"  # 正常
    LOW = "low"  # 费用过低
    HIGH = "high"  # 费用过高
    EXTREME = "extreme"  # 费用极高
    CANNOT_JUDGE = "cannot_judge"  # 无参考均费，不能判定


BANDS: tuple[CostBand, ...] = tuple(CostBand)


class OutlierMethod(StrEnum):
    """How a case outside the lines is rescored (费用异常计分办法); r is cost over reference, k the hospital coefficient."""

    NATIONAL_2020 = "national_2020"  # 低: r·k  高: (r − 高线 + 1)·k  极高: k，待评议
    COEFFICIENT_INSIDE = "coefficient_inside"  # 低: r  高: r − 高线 + k  极高: k，不再评议
    LINEAR = "linear"  # 低: r·k  高: (r − 高线 + 1)·k，无极高界限
    PAYMENT_STANDARD = "payment_standard"  # r 以支付标准为参照；低: 实际费用  高与极高: k，待评议


@dataclass(frozen=True, slots=True)
class OutlierLines:
    """The lines and what happens beyond them (费用倍率界限), as in force on the discharge date.

    `extreme` None: there is no such line. An inclusive line takes the case that lies exactly on it.
    """

    low: Decimal
    high: Decimal
    extreme: Decimal | None
    low_inclusive: bool = False
    high_inclusive: bool = False
    extreme_inclusive: bool = False
    method: OutlierMethod = OutlierMethod.NATIONAL_2020
    coefficient_applied: bool = True
    """Does the hospital coefficient act on low and high cases (医疗机构系数是否适用于费用异常病例)? `coefficient_inside` has its own way."""
    price_fen: Fraction | None = None
    """For `payment_standard`: the frozen point value, in fen per point (预算点值)."""

    def __post_init__(self) -> None:
        if self.method is OutlierMethod.PAYMENT_STANDARD and (self.price_fen is None or self.price_fen <= 0):
            raise ValueError("the payment standard needs a frozen point value above zero")
        if self.method is OutlierMethod.LINEAR and self.extreme is not None:
            raise ValueError("the method linear knows no extreme line")
        if not 0 < self.low < self.high or (self.extreme is not None and self.extreme <= self.high):
            raise ValueError(f"outlier lines out of order: {self.low}, {self.high}, {self.extreme}")


@dataclass(frozen=True, slots=True)
class OutlierFactor:
    """A case against the lines (费用异常判定)."""

    band: CostBand
    ratio: Fraction | None
    """Cost over reference; None when there was nothing to judge by."""
    multiplier: Fraction
    """What the group's score is multiplied by, the hospital coefficient included (含医疗机构系数)."""
    provisional: bool
    """Paid for now, to be settled by expert review (待特例单议)."""


def cost_band(ratio: Fraction, lines: OutlierLines) -> CostBand:
    """The band of a cost ratio (费用区间).

    >>> lines = OutlierLines(Decimal("0.5"), Decimal(2), Decimal(5))
    >>> [cost_band(Fraction(text), lines).value for text in ("0.49", "0.5", "2", "2.01", "5", "5.01")]
    ['low', 'normal', 'normal', 'high', 'high', 'extreme']
    """
    if ratio < lines.low or (lines.low_inclusive and ratio == lines.low):
        return CostBand.LOW
    if lines.extreme is not None and (ratio > lines.extreme or (lines.extreme_inclusive and ratio == lines.extreme)):
        return CostBand.EXTREME
    if ratio > lines.high or (lines.high_inclusive and ratio == lines.high):
        return CostBand.HIGH
    return CostBand.NORMAL


def outlier_factor(
    cost_fen: int,
    reference_total_fen: int,
    reference_n: int,
    lines: OutlierLines,
    coefficient: Decimal | Fraction | int = 1,
) -> OutlierFactor:
    """Band and multiplier of a case (费用异常系数), with r = cost × n / total, exact.

    Policy: scoring/cost_outliers. Units: fen. Rounding: none. Raises: ValueError for a negative cost.
    A reference without cases or with a total at or below zero cannot judge: the multiplier is the coefficient alone.

    >>> lines = OutlierLines(Decimal("0.5"), Decimal(2), Decimal(5))
    >>> outlier_factor(2_500_000, 1_000_000, 1, lines, Decimal("0.95")).multiplier
    Fraction(57, 40)
    """
    if cost_fen < 0:
        raise ValueError(f"a case cost below zero: {cost_fen} fen")
    k = Fraction(coefficient)
    if reference_n <= 0 or reference_total_fen <= 0:
        return OutlierFactor(CostBand.CANNOT_JUDGE, None, k, provisional=False)
    ratio = Fraction(cost_fen * reference_n, reference_total_fen)
    band = cost_band(ratio, lines)
    inside = lines.method is OutlierMethod.COEFFICIENT_INSIDE
    applied = k if lines.coefficient_applied else Fraction(1)
    match band:
        case CostBand.LOW:
            multiplier = ratio if inside else ratio * applied
        case CostBand.HIGH:
            beyond = ratio - Fraction(lines.high)
            multiplier = beyond + k if inside else (beyond + 1) * applied
        case _:
            multiplier = k
    return OutlierFactor(band, ratio, multiplier, provisional=band is CostBand.EXTREME and not inside)


def standard_factor(
    cost_fen: int, standard_points: Fraction, lines: OutlierLines, coefficient: Decimal | Fraction | int = 1
) -> OutlierFactor:
    """Band and multiplier against the payment standard (以支付标准判定): r = cost over points × point value.

    `standard_points`: score × coefficient × adjustment, in points. A low case is multiplied down to its cost; high and extreme ones are
    scored as normal and open to review. A standard of nothing cannot judge. Raises: ValueError for a negative cost.

    >>> lines = OutlierLines(Decimal("0.5"), Decimal(2), Decimal(3), method=OutlierMethod.PAYMENT_STANDARD, price_fen=Fraction(1000))
    >>> standard_factor(360_000, Fraction(900), lines, Decimal("0.9")).multiplier
    Fraction(9, 25)
    """
    if cost_fen < 0:
        raise ValueError(f"a case cost below zero: {cost_fen} fen")
    k = Fraction(coefficient)
    if lines.price_fen is None:
        raise ValueError("the payment standard needs a frozen point value")
    if standard_points <= 0:
        return OutlierFactor(CostBand.CANNOT_JUDGE, None, k, provisional=False)
    ratio = cost_fen / (standard_points * lines.price_fen)
    band = cost_band(ratio, lines)
    multiplier = ratio * k if band is CostBand.LOW else k
    return OutlierFactor(band, ratio, multiplier, provisional=band in (CostBand.HIGH, CostBand.EXTREME))
