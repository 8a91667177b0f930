"""The fund pool and the money it may share in a period (基金池与当期可分配基金).

Pools are kept apart by area, insurance, local or out-of-area, and year. Within the year the annual fund is opened by an
approved curve: the share `c_q` of the annual fund that may have been cleared by the end of quarter q.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import Conflict


class PoolScope(StrEnum):
    """Whose hospitals a pool pays (基金池范围)."""

    LOCAL = "local"  # 本地
    OUT_OF_AREA = "out_of_area"  # 异地


@dataclass(frozen=True, slots=True, order=True)
class PoolKey:
    """The key of a fund pool (基金池标识): area × insurance × scope × year."""

    area_id: str
    insurance: str
    scope: PoolScope
    year: int

    def __str__(self) -> str:
        return f"{self.area_id}/{self.insurance}/{self.scope.value}/{self.year}"


class CurveInvalid(Conflict):
    """A quarterly curve that does not open the fund step by step to the whole (季度进度曲线无效)."""

    code = "CURVE_INVALID"


class OffPoolExceedsFund(Conflict):
    """Payments outside the pool are more than the fund of the period (池外支付超过当期基金)."""

    code = "OFF_POOL_EXCEEDS_FUND"


def checked_curve(curve: Sequence[Fraction]) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """The four cumulative shares of the annual fund (季度累计进度曲线).

    Units: shares of the annual fund. Raises: CurveInvalid unless 0 < c1 ≤ c2 ≤ c3 ≤ c4 = 1.
    """
    shares = tuple(Fraction(share) for share in curve)
    if len(shares) == 4:
        first, second, third, fourth = shares
        if 0 < first <= second <= third <= fourth == 1:
            return first, second, third, fourth
    text = "、".join(str(share) for share in shares)
    raise CurveInvalid(
        f"季度进度曲线应满足 0 < c1 ≤ c2 ≤ c3 ≤ c4 = 1，实际为 {text}。",
        f"A quarterly curve needs 0 < c1 ≤ c2 ≤ c3 ≤ c4 = 1, not {text.replace('、', ', ')}.",
    )


def fund_ytd(annual_fen: int, curve: Sequence[Fraction], quarter: int, off_pool_fen: int = 0) -> int:
    """Fen a pool may share from January to the end of a quarter (年初至本季可分配基金).

    Units: fen. Rounding: annual fund × c_q half up, then `off_pool_fen`, what was paid outside the pool to date,
    leaves.
    Raises: CurveInvalid; OffPoolExceedsFund when nothing would be left but a debt; ValueError for a quarter not 1 to 4.

    >>> fund_ytd(1_000_000_01, [Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1)], 2, 5_00)
    49999501
    """
    if not 1 <= quarter <= 4:
        raise ValueError(f"not a quarter: {quarter}")
    opened = half_up(annual_fen * checked_curve(curve)[quarter - 1])
    return after_off_pool(opened, off_pool_fen)


def fund_of_quarter(annual_fen: int, curve: Sequence[Fraction], quarter: int, off_pool_fen: int = 0) -> int:
    """Fen of one quarter standing alone (单季可分配基金).

    Units: fen; `off_pool_fen` of the quarter only. Rounding: the difference of two rounded amounts to date, so that the
    four quarters add up to the annual fund. Raises: as `fund_ytd`.
    """
    before = fund_ytd(annual_fen, curve, quarter - 1) if quarter > 1 else 0
    return after_off_pool(fund_ytd(annual_fen, curve, quarter) - before, off_pool_fen)


def after_off_pool(opened_fen: int, off_pool_fen: int) -> int:
    """What is opened less what was paid outside the pool (扣除池外支付). Units: fen. Raises: OffPoolExceedsFund."""
    if off_pool_fen > opened_fen:
        raise OffPoolExceedsFund(
            "池外支付超过当期可分配基金，须先按程序调整预算。",
            "Payments outside the pool exceed the fund of the period; the budget must be changed by its procedure first.",
            fund_fen=str(opened_fen),
            off_pool_fen=str(off_pool_fen),
        )
    return opened_fen - off_pool_fen
