"""Out-of-area cases: the price of the place of treatment, claims between areas, the purses that pay them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fenzhi.rules.clearing.conservation import check_quarter
from fenzhi.rules.clearing.out_of_area import (
    AreaBalance,
    AreaClaim,
    Funding,
    LocalPoolNotCleared,
    balances_between,
    case_amounts,
    check_balances,
    check_claims,
    fund_claims,
    price_of_local_pool,
)
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterTerms, clear_quarter
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.point_value.point_value_methods import PriceTerms
from fenzhi.rules.refusals import InvariantBroken


def test_a_case_is_paid_at_the_exact_price_of_the_local_pool_half_up() -> None:
    # Money-rules 14: exact fund-yuan per point of the local pool. 20,000.00 over 28,500,000 units of 10^-4 points.
    price = price_of_local_pool(2_000_000, 28_500_000)
    assert price == Fraction(4, 57)
    # 9,500,000 units are exactly a third of the pool: 666,666.67 fen, half up; not 666,666 as a share of a closed pool might be.
    assert case_amounts([9_500_000, 12_005_000, 9_500_000], price) == [666_667, 842_456, 666_667]
    assert case_amounts([1], Fraction(1, 2)) == [1]
    with pytest.raises(LocalPoolNotCleared):
        price_of_local_pool(1, 0)


def test_what_all_receive_is_what_all_pay() -> None:
    claims = [AreaClaim("A", "B", 700), AreaClaim("B", "A", 300), AreaClaim("C", "A", 55), AreaClaim("A", "B", -1)]
    found = balances_between(claims)
    assert [(one.receivable_fen, one.payable_fen, one.net_fen) for one in found.values()] == [
        (699, 355, 344),
        (300, 699, -399),
        (55, 0, 55),
    ]
    assert sum(one.net_fen for one in found.values()) == 0
    assert balances_between(reversed(claims)) == found
    with pytest.raises(ValueError, match="itself"):
        balances_between([AreaClaim("A", "A", 1)])


def test_one_fen_between_areas_stops_the_statement() -> None:
    with pytest.raises(InvariantBroken) as stopped:
        check_balances([AreaBalance("A", 700, 0), AreaBalance("B", 0, 699)])
    assert (stopped.value.account, stopped.value.unexplained_fen) == ("inter_area", 1)
    check_claims({"H1": 5}, {"H1": 5})
    with pytest.raises(InvariantBroken) as stopped:
        check_claims({"H1": 5, "H2": 0}, {"H1": 4})
    assert (stopped.value.account, stopped.value.unexplained_fen) == ("H1", 1)


@pytest.mark.parametrize(
    ("due", "fund", "adjustment", "parts"),
    [
        (100, 100, 50, (100, 0, 0)),
        (100, 99, 50, (99, 1, 0)),
        (100, 60, 25, (60, 25, 15)),
        (100, -5, 0, (0, 0, 100)),
        (0, 5, 5, (0, 0, 0)),
    ],
)
def test_the_adjustment_fund_pays_what_the_fund_is_short_of(
    due: int, fund: int, adjustment: int, parts: tuple[int, int, int]
) -> None:
    assert fund_claims(due, fund, adjustment) == Funding(*parts)


def test_a_clearing_by_case_shares_no_closed_pool_and_still_balances() -> None:
    price = Fraction(4, 57)
    terms = QuarterTerms(price=PriceTerms(by_case=price), deposit_rate=Fraction(1, 20))
    claims = [
        QuarterClaim("A", 2, 19_000_000, 2_000_000, 1_400_000, case_priced_fen=1_333_334, deductions_fen=34),
        QuarterClaim("B", 1, 12_005_000, 1_000_000, 700_000, case_priced_fen=842_456),
    ]
    run = clear_quarter(2_175_790, 4, claims, terms)
    assert [(line.gross_fen, line.cleared_fen, line.deposit_withheld_fen) for line in run.lines] == [
        (1_333_334, 1_333_300, 66_665),
        (842_456, 842_456, 42_123),
    ]
    assert run.accounts[Account.POOL] == 2_175_790
    assert check_quarter(run, claims, 2_175_790).unexplained_fen == 0
    with pytest.raises(InvariantBroken):
        check_quarter(clear_quarter(2_175_791, 4, claims, terms), claims, 2_175_791)
