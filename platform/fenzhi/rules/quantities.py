"""Quantities and the named roundings (数量与舍入).

Money is whole fen, points are whole units of a declared power of ten, everything else is an exact decimal or fraction.
A rounding has a name, because "round" alone hides who keeps the remainder.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import NewType

Fen = NewType("Fen", int)
"""One hundredth of a yuan (分). Integer; negative means the other direction of payment."""

Points = NewType("Points", int)
"""Case points (分值) in units of 10^-d, d being the edition's `points_decimals`."""

_AMOUNT = re.compile(r"-?\d{1,14}(\.\d{1,2})?", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,18}(\.\d{1,12})?", re.ASCII)


def half_up(value: Fraction | Decimal | int) -> int:
    """The nearest integer, ties away from zero (四舍五入).

    Rounding: half away from zero on both sides, as money-rules 6 asks for amounts that may be negative.

    >>> half_up(Fraction(5, 2)), half_up(Fraction(-5, 2)), half_up(Decimal("2.4"))
    (3, -3, 2)
    """
    exact = Fraction(value)
    doubled = 2 * abs(exact.numerator) + exact.denominator
    magnitude = doubled // (2 * exact.denominator)
    return magnitude if exact >= 0 else -magnitude


def half_up_ratio(numerator: int, denominator: int) -> int:
    """`numerator / denominator` rounded half away from zero, integers only (整数四舍五入).

    Requires: denominator != 0.

    >>> half_up_ratio(7, 2), half_up_ratio(-7, 2)
    (4, -4)
    """
    return half_up(Fraction(numerator, denominator))


def fen_from_yuan(text: str) -> Fen:
    """Fen of an amount written in yuan, such as "27068.00" (元转分).

    Units: text in yuan with at most two decimals; result in fen. Raises: ValueError for any other text (exponents,
    full-width digits, blanks, a third decimal).

    >>> fen_from_yuan("27068.00"), fen_from_yuan("-0.5")
    (2706800, -50)
    """
    if not _AMOUNT.fullmatch(text):
        raise ValueError(f"not an amount in yuan with at most two decimals: {text!r}")
    return Fen(int(Decimal(text).scaleb(2)))


def yuan_from_fen(fen: int) -> str:
    """An amount in yuan with exactly two decimals (分转元).

    >>> yuan_from_fen(2706800), yuan_from_fen(-50)
    ('27068.00', '-0.50')
    """
    sign, magnitude = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{magnitude // 100}.{magnitude % 100:02d}"


def exact_decimal(text: str) -> Decimal:
    """A decimal written plainly, such as "0.9528" (精确小数).

    Raises: ValueError for exponents, blanks, more than 12 decimals.
    """
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"not a plain decimal: {text!r}")
    return Decimal(text)


def decimal_places(value: Fraction, places: int) -> str:
    """`value` printed with `places` decimals, half away from zero (打印用舍入). For display only, never for pay.

    >>> decimal_places(Fraction(2, 3), 4), decimal_places(Fraction(-1, 8), 2)
    ('0.6667', '-0.13')
    """
    scaled = half_up(value * 10**places)
    sign, magnitude = ("-", -scaled) if scaled < 0 else ("", scaled)
    if places == 0:
        return f"{sign}{magnitude}"
    return f"{sign}{magnitude // 10**places}.{magnitude % 10**places:0{places}d}"


def points_decimals(scale: int) -> int:
    """Decimal places of case points for a score scale (病例分值小数位).

    The smallest d with 10^d × scale ≥ 10^7: 4 at scale 1,000, 5 at 500 or 100, 7 at 1.

    >>> [points_decimals(scale) for scale in (1000, 500, 100, 1)]
    [4, 5, 5, 7]
    """
    places = 0
    while 10**places * scale < 10**7:
        places += 1
    return places
