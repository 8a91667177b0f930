"""The advance (预付金、周转金): about one month of the year's fund, lent at its start and set off at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from fenzhi.rules.clearing.apportionment import apportion
from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import InvariantBroken


def advance_payment(annual_fund_fen: int, months: Fraction = Fraction(1), factor: Fraction = Fraction(1)) -> int:
    """annual fund / 12 × months × factor (预付金).

    Policy: advance.months, advance.factor (by assessment and credit). Units: fen. Rounding: half up once.

    >>> advance_payment(12_000_000_000)
    1000000000
    """
    return half_up(Fraction(annual_fund_fen, 12) * months * factor)


def advances_by_hospital(total_fen: int, weights: Mapping[str, int | Fraction]) -> dict[str, int]:
    """The advance of a pool over its hospitals (各机构预付金), for instance by last year's cleared amount.

    Units: fen. Rounding: largest remainder. Raises: as `apportion`.
    """
    return apportion(total_fen, weights)


@dataclass(frozen=True, slots=True)
class AdvanceReconciliation:
    """The advances of a year against their return (预付金对账). Units: fen."""

    granted_fen: int
    returned_fen: int
    offset_fen: int

    @property
    def open_fen(self) -> int:
        """What the hospital still holds (未收回)."""
        return self.granted_fen - self.returned_fen - self.offset_fen


def reconcile_advance(granted_fen: int, returned_fen: int, offset_fen: int) -> AdvanceReconciliation:
    """The advance of one hospital at the end of its year (预付金对账): nothing returned that was not granted.

    Raises: InvariantBroken.
    """
    found = AdvanceReconciliation(granted_fen, returned_fen, offset_fen)
    if min(granted_fen, returned_fen, offset_fen, found.open_fen) < 0:
        raise InvariantBroken("an advance returns no more than was granted", unexplained_fen=found.open_fen)
    return found
