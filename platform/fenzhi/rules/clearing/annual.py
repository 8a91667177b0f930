"""The last transfer of the year (年度清算拨付): what was cleared less what was paid.

Payments are those recorded with voucher and date, not those that were once payable. The result may be negative; it
then is what the hospital owes and stays a receivable.
"""

from __future__ import annotations

from dataclasses import dataclass

from fenzhi.rules.refusals import Conflict


class ForfeitExceedsDeposit(Conflict):
    """More deposit forfeited than is held (没收额超过保证金)."""

    code = "FORFEIT_EXCEEDS_DEPOSIT"


@dataclass(frozen=True, slots=True)
class AnnualFinal:
    """The final transfer with its terms (年度最终拨付). Units: fen."""

    cleared_fen: int
    payments_recorded_fen: int
    offsets_fen: int
    advance_fen: int
    deposit_forfeited_fen: int
    final_fen: int


def annual_final(
    cleared_fen: int,
    *,
    payments_recorded_fen: int,
    offsets_fen: int = 0,
    advance_fen: int = 0,
    deposit_held_fen: int = 0,
    deposit_forfeited_fen: int = 0,
) -> AnnualFinal:
    """cleared − payments recorded − offsets − advance − deposit forfeited (年度最终拨付).

    Units: fen. The deposit held returns with the cleared amount; only what the assessment forfeits stays away. Negative
    results are never clipped. Raises: ForfeitExceedsDeposit.

    >>> annual_final(1_710_000_000, payments_recorded_fen=1_530_000_000, advance_fen=120_000_000).final_fen
    60000000
    """
    if not 0 <= deposit_forfeited_fen <= deposit_held_fen:
        raise ForfeitExceedsDeposit(
            "没收的保证金应在 0 与已留保证金之间。",
            "The deposit forfeited must lie between 0 and the deposit held.",
            held_fen=str(deposit_held_fen),
            forfeited_fen=str(deposit_forfeited_fen),
        )
    final = cleared_fen - payments_recorded_fen - offsets_fen - advance_fen - deposit_forfeited_fen
    return AnnualFinal(cleared_fen, payments_recorded_fen, offsets_fen, advance_fen, deposit_forfeited_fen, final)
