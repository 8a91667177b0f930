"""Apportionment by largest remainder (最大余数法分摊): a total split so that no fen is lost or made.

A point value printed with four decimals pays a few yuan more or less than the fund holds. Money is therefore never
paid by multiplying: the fund is split. Each party first receives the floor of its exact quota; the fen left over go
one each to the largest fractions. Ties go to the smaller key in bytes order, which everyone can recompute and nobody
can influence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from fenzhi.rules.refusals import Conflict


class NoCasesWithFund(Conflict):
    """A fund to share and nobody to share it with (有基金而无病例)."""

    code = "NO_CASES_WITH_FUND"


class NoPointsWithFund(Conflict):
    """A fund to share and no points to share it by (有基金而无分值)."""

    code = "NO_POINTS_WITH_FUND"


def apportion(total_fen: int, weights: Mapping[str, int | Fraction]) -> dict[str, int]:
    """Fen per key, adding up to the total exactly (按权重分摊，合计等于总额).

    Units: fen; weights in any common unit, not negative. Shape: one entry per key, keys in bytes order.
    Rounding: floor toward −∞, for negative totals too; the remaining fen go one each to the largest fractions of the
    exact quota, ties to the smaller key in UTF-8 bytes order (PostgreSQL `COLLATE "C"`).
    Raises: NoCasesWithFund without keys, NoPointsWithFund when all weights are 0, both only if the total is not 0;
    ValueError for a negative weight.

    >>> apportion(1_000_000_001, {"H3": 1, "H1": 1, "H2": 1})
    {'H1': 333333334, 'H2': 333333334, 'H3': 333333333}
    """
    # Python compares text by code point, and UTF-8 keeps that order: sorting the text is sorting its bytes.
    keys = sorted(weights)
    shares = apportion_in_order(total_fen, _whole([weights[key] for key in keys]))
    return dict(zip(keys, shares, strict=True))


def apportion_in_order(total_fen: int, weights: Sequence[int]) -> list[int]:
    """Fen per position for weights already in tie order (按既定次序分摊).

    The integer core of `apportion`, O(n log n), for the cases of one hospital: the caller passes the points of the
    cases sorted by case id (bytes order), ties go to the earlier position. Raises: as `apportion`.
    """
    whole = sum(weights)
    if weights and min(weights) < 0:
        raise ValueError("a weight is negative")
    if total_fen == 0:
        return [0] * len(weights)
    if not weights:
        raise NoCasesWithFund(
            "有待分配的基金，但没有病例或机构。", "There is money to share but nobody to share it with."
        )
    if whole == 0:
        raise NoPointsWithFund(
            "有待分配的基金，但分值合计为 0。", "There is money to share but the points add up to 0."
        )
    shares: list[int] = []
    remainders: list[int] = []
    for weight in weights:
        share, remainder = divmod(total_fen * weight, whole)
        shares.append(share)
        remainders.append(remainder)
    left = total_fen - sum(shares)
    # `sorted` is stable, in reverse too, so equal remainders keep the tie order of the caller.
    for position in sorted(range(len(shares)), key=remainders.__getitem__, reverse=True)[:left]:
        shares[position] += 1
    return shares


@dataclass(frozen=True, slots=True)
class NestedShares:
    """The shares of a pool on both levels (两级分摊结果): per hospital, and per case inside each hospital."""

    hospitals: Mapping[str, int]
    cases: Mapping[str, Mapping[str, int]]


def apportion_nested(total_fen: int, points: Mapping[str, Mapping[str, int]]) -> NestedShares:
    """Pool to hospital to case (基金池—机构—病例逐级分摊).

    Shape: `points[hospital][case_id]`. Rounding: largest remainder on each level; a case never receives a fen of
    another hospital. Raises: as `apportion`.
    """
    hospitals = apportion(total_fen, {hospital: sum(cases.values()) for hospital, cases in points.items()})
    return NestedShares(hospitals, {code: apportion(share, points[code]) for code, share in hospitals.items()})


def _whole(weights: Sequence[int | Fraction]) -> list[int]:
    """The same proportions in whole numbers (化为整数比)."""
    scale = lcm(*(weight.denominator for weight in weights))
    return [weight.numerator * (scale // weight.denominator) for weight in weights]
