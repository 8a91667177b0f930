"""Clearing with a point value per level or per month (分级别、分月点值): the pool is divided first, then each part shared.

A level has its approved share of the fund, a month what its curve opens. Each part has a point value of its own and
shares its fund by its own points; a hospital's gross is the sum of its parts, and from gross down the statement is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

from fenzhi.rules.clearing.apportionment import apportion
from fenzhi.rules.clearing.assessment import assessment_withheld
from fenzhi.rules.clearing.conservation import (
    Balance,
    check_hospital,
    check_lines,
    check_point_value,
    check_pool,
    covers,
)
from fenzhi.rules.clearing.quarterly import (
    QuarterClaim,
    QuarterRun,
    QuarterTerms,
    posted_line,
    quarter_shares,
    run_accounts,
)
from fenzhi.rules.clearing.shares import GrossShare, PoolShares
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.refusals import Conflict, InvariantBroken

SCOPES_ADD_UP = "the scopes of a hospital add up to the hospital"


class PointValueScope(StrEnum):
    """What one point value covers (点值范围)."""

    POOL = "pool"  # 全池
    LEVEL = "level"  # 机构级别
    MONTH = "month"  # 月份


class ScopeSharesInvalid(Conflict):
    """Shares of the fund that do not add up to 1, or not for the scopes there are (份额无效)."""

    code = "SCOPE_SHARES_INVALID"


@dataclass(frozen=True, slots=True)
class ScopedRun:
    """A run with several point values (分范围清算结果): one statement per hospital, one point value per scope."""

    run: QuarterRun
    point_values: Mapping[str, PointValue]


@dataclass(frozen=True, slots=True)
class ScopedShares:
    """The shares of a pool that was divided first (分范围份额). `point_value` and `whole`: of all scopes together."""

    point_value: PointValue
    whole: PoolShares
    point_values: Mapping[str, PointValue]
    shares: Mapping[str, PoolShares]


def month_shares(curve: Sequence[Fraction], quarters: Sequence[int]) -> dict[int, Fraction]:
    """The share of each month in the fund that quarters open (各月基金份额): what the curve opens for a quarter, a third to each of its months.

    Policy: point_value.scope = month. Shape: `quarters` 1 to 4 in order; the answer by month, adding up to 1.

    >>> month_shares([Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1)], [1])[3]
    Fraction(1, 3)
    """
    opened = {quarter: curve[quarter - 1] - (curve[quarter - 2] if quarter > 1 else 0) for quarter in quarters}
    whole = sum(opened.values())
    return {3 * (quarter - 1) + place: opened[quarter] / whole / 3 for quarter in quarters for place in (1, 2, 3)}


def scope_funds(fund_fen: int, shares: Mapping[str, Fraction]) -> dict[str, int]:
    """The fund of each scope (各范围基金), the whole fund in all.

    Policy: point_value.level_shares; for months, the shares the curve opens. Units: fen. Rounding: largest remainder.
    Raises: ScopeSharesInvalid unless the shares are positive and add up to 1.

    >>> scope_funds(1_000, {"3": Fraction("0.6"), "2": Fraction("0.4")})
    {'2': 400, '3': 600}
    """
    if not shares or min(shares.values()) <= 0 or sum(shares.values()) != 1:
        raise ScopeSharesInvalid(
            "各范围的基金份额须大于 0 且合计为 1。", "The shares of the scopes must be above 0 and add up to 1."
        )
    return apportion(fund_fen, shares)


def clear_by_scope(
    funds: Mapping[str, int],
    points_decimals: int,
    parts: Mapping[str, Sequence[QuarterClaim]],
    claims: Sequence[QuarterClaim],
    terms: QuarterTerms,
) -> ScopedRun:
    """Clear a pool scope by scope (分范围清算).

    `parts[scope]`: what each hospital brings to the scope: cases, points, cost, booked, other payers, fixed points,
    floors. `claims`: the same summed, with deductions, payments and the rest. The balances behind a price, φ, rounding
    or floor are divided over the scopes in proportion to their funds, by largest remainder. Units: fen.
    Raises: ScopeSharesInvalid for a scope with a fund and no claims or the reverse; InvariantBroken SCOPES_ADD_UP; as
    `clear_quarter`.
    """
    shared = scoped_shares(funds, points_decimals, parts, claims, terms)
    lines = tuple(
        posted_line(
            claim,
            shared.whole.shares[claim.hospital],
            terms,
            _withheld(claim, shared.whole.shares[claim.hospital], terms),
        )
        for claim in sorted(claims, key=lambda claim: claim.hospital)
    )
    accounts = run_accounts(shared.point_value.fund_fen, shared.whole, lines)
    return ScopedRun(QuarterRun(terms, shared.point_value, lines, accounts, shared.whole.base), shared.point_values)


def scoped_shares(
    funds: Mapping[str, int],
    points_decimals: int,
    parts: Mapping[str, Sequence[QuarterClaim]],
    claims: Sequence[QuarterClaim],
    terms: QuarterTerms,
) -> ScopedShares:
    """The shares of every scope and what they add up to (各范围份额及合计), for a quarter or a year. Shape, units and Raises: as `clear_by_scope`."""
    if set(funds) != set(parts):
        raise ScopeSharesInvalid("范围与其病例不对应。", "The scopes with a fund are not those with cases.")
    _refuse_other_sums(parts, claims)
    own_terms = terms_by_scope(funds, terms)
    values: dict[str, PointValue] = {}
    shares: dict[str, PoolShares] = {}
    for scope in sorted(funds):
        ordered = sorted(parts[scope], key=lambda claim: claim.hospital)
        values[scope], shares[scope] = quarter_shares(
            funds[scope], points_decimals, ordered, own_terms[scope].shares, own_terms[scope].price
        )
    whole = PointValue(
        sum(funds.values()),
        sum(value.cost_fen for value in values.values()),
        sum(value.booked_fen for value in values.values()),
        sum(value.points for value in values.values()),
        points_decimals,
        terms.price.basis,
    )
    # A hospital without cases in any scope still has a line: of deductions, payments and what else it brings.
    idle = PoolShares(
        {claim.hospital: GrossShare(0, 0, 0, 0, whole.fund_ratio(), 0, 0) for claim in claims}, 0, 0, 0, Fraction(0)
    )
    return ScopedShares(whole, _merged([idle, *shares.values()], whole.fund_ratio()), values, shares)


def check_by_scope(
    scoped: ScopedRun,
    funds: Mapping[str, int],
    parts: Mapping[str, Sequence[QuarterClaim]],
    claims: Sequence[QuarterClaim],
) -> Balance:
    """Every law of a run by scope (分范围守恒). Raises: InvariantBroken naming law and account."""
    own = clear_by_scope(funds, scoped.run.point_value.points_decimals, parts, claims, scoped.run.terms)
    check_point_value(scoped.run.point_value, own.run.point_value)
    for scope, value in own.point_values.items():
        if scoped.point_values.get(scope) != value:
            raise InvariantBroken("the point value is made of the manifest", account=f"point_value/{scope}")
    check_lines(scoped.run.lines, own.run.lines)
    for account, due in own.run.accounts.items():
        if scoped.run.accounts[account] != due:
            raise InvariantBroken(
                "each account follows from its own rule",
                account=account.value,
                unexplained_fen=scoped.run.accounts[account] - due,
            )
    terms, accounts = scoped.run.terms, scoped.run.accounts
    covers(Account.PHI, accounts[Account.PHI], terms.shares.phi_balance_fen)
    covers(Account.ROUNDING, accounts[Account.ROUNDING], terms.shares.rounding_balance_fen)
    covers(Account.POINT_VALUE, accounts[Account.POINT_VALUE], terms.price.balance_fen)
    covers(Account.FLOOR, accounts[Account.FLOOR], terms.shares.floor_balance_fen)
    for line in scoped.run.lines:
        check_hospital(line)
    return check_pool(scoped.run.lines, scoped.run.accounts)


def _withheld(claim: QuarterClaim, share: GrossShare, terms: QuarterTerms) -> int:
    left = share.gross_fen - claim.deductions_fen - claim.band_withheld_fen + claim.bonuses_fen
    return assessment_withheld(
        share.gross_fen,
        claim.deductions_fen,
        claim.assessment_coefficient,
        terms.assessment_place,
        terms.assessment_base,
        left,
    )


_SUMMED = ("cases", "points", "cost_fen", "booked_fen", "patient_fen", "fixed_points", "floor_lack_fen")


def _refuse_other_sums(parts: Mapping[str, Sequence[QuarterClaim]], claims: Sequence[QuarterClaim]) -> None:
    sums: dict[str, list[int]] = {claim.hospital: [0] * len(_SUMMED) for claim in claims}
    for part in parts.values():
        for claim in part:
            held = sums.setdefault(claim.hospital, [0] * len(_SUMMED))
            for place, name in enumerate(_SUMMED):
                held[place] += getattr(claim, name)
    due = {claim.hospital: [getattr(claim, name) for name in _SUMMED] for claim in claims}
    for code in sorted(sums):
        if sums[code] != due.get(code):
            raise InvariantBroken(SCOPES_ADD_UP, account=code, detail=f"got {sums[code]}, expected {due.get(code)}")


def terms_by_scope(funds: Mapping[str, int], terms: QuarterTerms) -> dict[str, QuarterTerms]:
    """The terms of every scope (各范围口径): the balances behind it in proportion to its fund, by largest remainder."""
    weights = funds if any(funds.values()) else dict.fromkeys(funds, 1)
    names = ("phi_balance_fen", "rounding_balance_fen", "floor_balance_fen")
    held = {name: apportion(getattr(terms.shares, name), weights) for name in names}
    price = apportion(terms.price.balance_fen, weights)
    cap = None if terms.shares.phi_cap_fen is None else apportion(terms.shares.phi_cap_fen, weights)
    return {
        scope: replace(
            terms,
            shares=replace(
                terms.shares,
                phi_balance_fen=held["phi_balance_fen"][scope],
                rounding_balance_fen=held["rounding_balance_fen"][scope],
                floor_balance_fen=held["floor_balance_fen"][scope],
                phi_cap_fen=None if cap is None else cap[scope],
            ),
            price=replace(terms.price, balance_fen=price[scope]),
        )
        for scope in funds
    }


def _merged(parts: Sequence[PoolShares], ratio: Fraction) -> PoolShares:
    """The parts of every hospital in one share (合并各范围份额); the fund ratio shown is the whole pool's."""
    shares: dict[str, GrossShare] = {}
    for part in parts:
        for code, one in part.shares.items():
            held = shares.get(code, GrossShare(0, 0, 0, 0, ratio, 0, 0))
            shares[code] = GrossShare(
                held.default_fen + one.default_fen,
                held.priced_fen + one.priced_fen,
                held.method_fen + one.method_fen,
                held.gross_fen + one.gross_fen,
                ratio,
                held.printed_fen + one.printed_fen,
                held.floor_fen + one.floor_fen,
            )
    return PoolShares(
        shares,
        sum(part.phi_fen for part in parts),
        sum(part.phi_cap_excess_fen for part in parts),
        sum(part.rounding_fen for part in parts),
        sum((part.base for part in parts), Fraction(0)),
        sum(part.point_value_fen for part in parts),
        sum(part.cap_excess_fen for part in parts),
        sum(part.floor_fen for part in parts),
    )
