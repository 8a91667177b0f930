"""The quality deposit (质量保证金): one withholding, carried through the year.

Its target is a share of everything cleared so far. Each run posts only what is missing to the target, so that twelve
months and four quarters never withhold twice; when less was cleared than thought, the difference is returned.
"""

from __future__ import annotations

from fractions import Fraction

from fenzhi.rules.quantities import half_up


def deposit_target(rate: Fraction, cleared_to_date_fen: int) -> int:
    """What should be held after everything cleared to date (保证金应留额).

    Policy: deposit.rate. Units: fen. Rounding: half up. Never below 0: a hospital that owes has no deposit.

    >>> deposit_target(Fraction("0.05"), 1_000_010), deposit_target(Fraction("0.05"), -1)
    (50001, 0)
    """
    return half_up(rate * max(0, cleared_to_date_fen))
