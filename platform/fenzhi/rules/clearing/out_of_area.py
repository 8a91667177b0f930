"""Out-of-area cases (异地就医): paid where they are treated, at that area's price, with money of where the patient is insured.

A case of another area's insured lives under the treatment area: its rules, its edition, its price. What it is paid is a
claim on the insured area; the province adds the claims up between its areas, and what all receive is what all pay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from fenzhi.rules.quantities import half_up
from fenzhi.rules.refusals import Conflict, InvariantBroken

RECEIVED_IS_PAID = "what areas receive from one another is what they pay"
CLAIMS_ARE_GROSS = "the claims on other areas are the gross of the hospitals"
FUNDED = "a claim is covered by its purses in order"


class LocalPoolNotCleared(Conflict):
    """The local pool has no published clearing of the period, so cases from elsewhere have no price (本地基金池尚未清算)."""

    code = "LOCAL_POOL_NOT_CLEARED"


def price_of_local_pool(shared_fen: int, points: int) -> Fraction:
    """Fen of fund per smallest unit of points in the local pool of an insurance, exact (就医地本地基金池每单位分值基金).

    `shared_fen`: what the pool shared at its point-value method. Raises: LocalPoolNotCleared for a pool without points.

    >>> price_of_local_pool(2_000_00, 1_000)
    Fraction(200, 1)
    """
    if points <= 0:
        raise LocalPoolNotCleared(
            "就医地本地基金池本期没有分值，异地病例没有价格。",
            "The local pool has no points in the period, so cases from elsewhere have no price.",
        )
    return Fraction(shared_fen, points)


def case_amounts(points: Sequence[int], fen_per_unit: Fraction) -> list[int]:
    """What each case is paid (异地病例支付额): points × price. Units: fen, points in 10^-d. Rounding: half up per case.

    >>> case_amounts([3, 5], Fraction(1, 2))
    [2, 3]
    """
    known: dict[int, int] = {}
    for own in points:
        if own not in known:
            known[own] = half_up(own * fen_per_unit)
    return [known[own] for own in points]


@dataclass(frozen=True, slots=True)
class AreaClaim:
    """What one area may claim of another (区域间应收应付). Units: fen; `cases`: how many stand behind it."""

    treated_in: str
    insured_in: str
    amount_fen: int
    cases: int = 0


@dataclass(frozen=True, slots=True)
class AreaBalance:
    """One area among the others (区域清算结果). Units: fen. `net_fen` above 0: the area receives."""

    area: str
    receivable_fen: int
    payable_fen: int

    @property
    def net_fen(self) -> int:
        """receivable − payable (净额)."""
        return self.receivable_fen - self.payable_fen


def balances_between(claims: Iterable[AreaClaim]) -> dict[str, AreaBalance]:
    """What each area receives and pays over all claims, in order of code (区域间清算).

    Units: fen; nothing is rounded. Raises: InvariantBroken unless Σ receivable = Σ payable; ValueError for a claim of an
    area on itself.

    >>> found = balances_between([AreaClaim("A", "B", 70), AreaClaim("B", "A", 30)])
    >>> [(one.area, one.net_fen) for one in found.values()]
    [('A', 40), ('B', -40)]
    """
    receivable: dict[str, int] = {}
    payable: dict[str, int] = {}
    for claim in claims:
        if claim.treated_in == claim.insured_in:
            raise ValueError("an area claims nothing of itself")
        receivable[claim.treated_in] = receivable.get(claim.treated_in, 0) + claim.amount_fen
        payable[claim.insured_in] = payable.get(claim.insured_in, 0) + claim.amount_fen
    found = {
        area: AreaBalance(area, receivable.get(area, 0), payable.get(area, 0))
        for area in sorted({*receivable, *payable})
    }
    check_balances(found.values())
    return found


def check_balances(balances: Iterable[AreaBalance]) -> None:
    """Σ receivable = Σ payable (应收合计＝应付合计). Raises: InvariantBroken with the difference."""
    left = sum(one.net_fen for one in balances)
    if left:
        raise InvariantBroken(RECEIVED_IS_PAID, account="inter_area", unexplained_fen=left)


def check_claims(gross: Mapping[str, int], claims: Mapping[str, int]) -> None:
    """Σ claims of each hospital = its gross (各机构申请额＝应付额). Raises: InvariantBroken naming the hospital."""
    for hospital in sorted({*gross, *claims}):
        left = gross.get(hospital, 0) - claims.get(hospital, 0)
        if left:
            raise InvariantBroken(CLAIMS_ARE_GROSS, account=hospital, unexplained_fen=left)


@dataclass(frozen=True, slots=True)
class Funding:
    """Where the money for other areas comes from (异地资金来源). Units: fen.

    `uncovered_fen`: owed all the same, and no purse holds it yet; it shows until the budget is changed.
    """

    fund_fen: int
    adjustment_fen: int
    uncovered_fen: int


def fund_claims(due_fen: int, fund_fen: int, adjustment_fen: int) -> Funding:
    """The out-of-area fund first, the adjustment fund for what is short (异地基金先付，不足部分由调节金支付).

    Units: fen. A draw never exceeds its purse; a purse below 0 gives nothing. Raises: InvariantBroken unless the parts
    add up; ValueError for a claim below 0.

    >>> fund_claims(100, 60, 25)
    Funding(fund_fen=60, adjustment_fen=25, uncovered_fen=15)
    """
    if due_fen < 0:
        raise ValueError("areas owe one another nothing negative")
    first = min(due_fen, max(0, fund_fen))
    second = min(due_fen - first, max(0, adjustment_fen))
    found = Funding(first, second, due_fen - first - second)
    if found.fund_fen + found.adjustment_fen + found.uncovered_fen != due_fen or found.uncovered_fen < 0:
        raise InvariantBroken(FUNDED, account="inter_area", unexplained_fen=found.uncovered_fen)
    return found
