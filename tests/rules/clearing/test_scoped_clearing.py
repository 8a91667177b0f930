"""Point values by level and by month (分级别、分月点值)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterTerms, clear_quarter
from fenzhi.rules.clearing.scoped_clearing import (
    SCOPES_ADD_UP,
    ScopeSharesInvalid,
    check_by_scope,
    clear_by_scope,
    scope_funds,
)
from fenzhi.rules.clearing.shares import PayBy, ShareMethod, ShareOrder
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.point_value.point_value_methods import PointValueMethod, PriceTerms
from fenzhi.rules.refusals import InvariantBroken

A = QuarterClaim("A", 1, 100, 1_000, 700)
B = QuarterClaim("B", 1, 300, 3_000, 2_100)
C = QuarterClaim("C", 2, 100, 1_000, 700, deductions_fen=5)


def test_each_level_shares_its_own_part_of_the_fund() -> None:
    funds = scope_funds(10_000, {"3": Fraction("0.7"), "2": Fraction("0.3")})
    parts = {"3": [A, B], "2": [C]}
    scoped = clear_by_scope(funds, 0, parts, [C, A, B], QuarterTerms())
    assert check_by_scope(scoped, funds, parts, [A, B, C]).unexplained_fen == 0
    assert {line.hospital: line.gross_fen for line in scoped.run.lines} == {"A": 1_750, "B": 5_250, "C": 3_000}
    assert {scope: value.exact() for scope, value in scoped.point_values.items()} == {
        "2": Fraction(3, 7), "3": Fraction(1, 4),
    }  # fmt: skip
    assert scoped.run.lines[2].payable_fen == 2_995


def test_a_hospital_of_several_months_receives_the_sum_of_its_months() -> None:
    funds = {"01": 1_001, "02": 2_000}
    january = [replace(A, cases=1, points=50), replace(B, points=100)]
    february = [replace(A, cases=0, points=50, cost_fen=500, booked_fen=350)]
    whole = [replace(A, points=100, cost_fen=1_500, booked_fen=1_050), replace(B, points=100)]
    scoped = clear_by_scope(funds, 0, {"01": january, "02": february}, whole, QuarterTerms())
    assert [line.gross_fen for line in scoped.run.lines] == [334 + 2_000, 667]
    with pytest.raises(InvariantBroken) as other:
        clear_by_scope(funds, 0, {"01": january, "02": february}, [whole[0], B], QuarterTerms())
    assert (other.value.law, other.value.account) == (SCOPES_ADD_UP, "B")


def test_one_scope_is_a_plain_quarter() -> None:
    terms = QuarterTerms(ShareOrder(ShareMethod.DEFAULT), deposit_rate=Fraction("0.05"))
    scoped = clear_by_scope({"all": 9_999}, 0, {"all": [A, B, C]}, [A, B, C], terms)
    plain = clear_quarter(9_999, 0, [A, B, C], terms)
    assert scoped.run == plain


def test_shares_that_are_not_a_whole_and_scopes_without_cases_are_refused() -> None:
    for shares in ({}, {"3": Fraction(1, 2)}, {"3": Fraction(1), "2": Fraction(0)}):
        with pytest.raises(ScopeSharesInvalid):
            scope_funds(1, shares)
    with pytest.raises(ScopeSharesInvalid):
        clear_by_scope({"3": 1}, 0, {"2": [A]}, [A], QuarterTerms())


def test_a_fen_too_many_is_named() -> None:
    scoped = clear_by_scope({"all": 9_999}, 0, {"all": [A, B]}, [A, B], QuarterTerms())
    broken = replace(scoped.run, accounts={**scoped.run.accounts, Account.PHI: 1})
    with pytest.raises(InvariantBroken) as stopped:
        check_by_scope(replace(scoped, run=broken), {"all": 9_999}, {"all": [A, B]}, [A, B])
    assert stopped.value.account == "phi"


CLAIM = st.builds(
    QuarterClaim,
    hospital=st.sampled_from(("A", "B", "C", "D")),
    cases=st.integers(0, 9),
    points=st.integers(0, 10**6),
    cost_fen=st.integers(1, 10**8),
    booked_fen=st.integers(1, 10**8),
    floor_lack_fen=st.integers(0, 100),
)
FEN = st.integers(0, 10**8)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(FEN, st.lists(CLAIM, min_size=1, max_size=4, unique_by=lambda claim: claim.hospital)),
        min_size=1,
        max_size=3,
    ),
    st.builds(
        QuarterTerms,
        shares=st.builds(
            ShareOrder,
            method=st.sampled_from(ShareMethod),
            pay_by=st.sampled_from(PayBy),
            phi_balance_fen=FEN,
            phi_cap_fen=st.none() | FEN,
            rounding_balance_fen=FEN,
            floor_balance_fen=FEN,
        ),
        price=st.builds(
            PriceTerms,
            method=st.sampled_from((PointValueMethod.FLOATING, PointValueMethod.FIXED)),
            stated=st.just(PointValue.stated(Fraction("0.5"), 2)),
            balance_fen=FEN,
        ),
    ),
)
def test_every_law_holds_by_scope(scopes: list[tuple[int, list[QuarterClaim]]], terms: QuarterTerms) -> None:
    assume(all(any(claim.points for claim in claims) for _, claims in scopes))
    funds = {f"{place:02d}": fund for place, (fund, _) in enumerate(scopes)}
    parts = {f"{place:02d}": claims for place, (_, claims) in enumerate(scopes)}
    whole: dict[str, QuarterClaim] = {}
    for _, claims in scopes:
        for claim in claims:
            held = whole.get(claim.hospital)
            if held is not None:
                names = ("cases", "points", "cost_fen", "booked_fen", "floor_lack_fen")
                claim = replace(held, **{name: getattr(held, name) + getattr(claim, name) for name in names})
            whole[claim.hospital] = claim
    scoped = clear_by_scope(funds, 2, parts, list(whole.values()), terms)
    assert check_by_scope(scoped, funds, parts, list(whole.values())).unexplained_fen == 0
    assert -scoped.run.accounts[Account.POINT_VALUE] <= terms.price.balance_fen
