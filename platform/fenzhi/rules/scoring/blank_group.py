"""Cases of no group (空白病种): scored by their cost against a mean, at a discount, and by nothing else.

The payment of an ungrouped case keeps its distance from that of a grouped one, or leaving cases ungrouped would pay.
"""

from __future__ import annotations

from fractions import Fraction


def blank_group_score(score: Fraction, cost_fen: int, mean_fen: Fraction, discount: Fraction) -> Fraction:
    """score × cost ÷ mean × discount (空白病种分值), exact, no coefficient. Policy: scoring.ungrouped_method, ungrouped_discount.

    Raises: ValueError for a mean at or below zero, a negative cost, or a discount outside 0 to 1.

    >>> blank_group_score(Fraction(1000), 800_000, Fraction(1_000_000), Fraction(7, 10))
    Fraction(560, 1)
    """
    if mean_fen <= 0 or cost_fen < 0 or not 0 <= discount <= 1:
        raise ValueError("a blank group needs a mean above zero, a cost, and a discount between 0 and 1")
    return score * Fraction(cost_fen) / mean_fen * discount
