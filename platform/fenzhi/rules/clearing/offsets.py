"""Receivables of earlier years set off against this year's result (往年应收抵扣).

A hospital that was paid too much in an earlier year owes it. The debt is taken from later results in dated order, up
to the limit of the policy, and stands on the statement; the deposit is never used for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Receivable:
    """What a hospital owes from an earlier year (往年应收款). Units: fen, still open."""

    receivable_id: str
    since: date
    open_fen: int


def offset_receivables(
    result_fen: int,
    receivables: Sequence[Receivable],
    *,
    limit_fen: int | None = None,
    limit_ratio: Fraction | None = None,
) -> dict[str, int]:
    """What is taken from a result for each receivable (各笔应收抵扣额).

    Policy: clearing.offset_limit_amount, clearing.offset_limit_ratio. Units: fen. Shape: one entry per receivable, in
    dated order, ties by id in bytes order. Rounding: the ratio of the positive result is floored. A result of 0 or
    below takes nothing; nothing ever turns a positive result negative.

    >>> offset_receivables(100, [Receivable("b", date(2023, 1, 1), 80), Receivable("a", date(2022, 1, 1), 50)])
    {'a': 50, 'b': 50}
    """
    left = max(0, result_fen)
    if limit_ratio is not None:
        left = min(left, limit_ratio.numerator * left // limit_ratio.denominator)
    if limit_fen is not None:
        left = min(left, limit_fen)
    taken: dict[str, int] = {}
    for receivable in sorted(receivables, key=lambda one: (one.since, one.receivable_id)):
        taken[receivable.receivable_id] = min(left, receivable.open_fen)
        left -= taken[receivable.receivable_id]
    return taken
