"""Share methods on numbers a clerk can check (份额方法)."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fenzhi.rules.clearing.shares import (
    HospitalRatioUndefined,
    PayBy,
    ShareMethod,
    ShareOrder,
    covered,
    hospital_ratios,
    pool_shares,
)
from fenzhi.rules.point_value.settlement_point_value import settlement_point_value

FUND = 700_000_000_00
POINTS = {"A": 60_000_000, "B": 40_000_000}
RATIOS = {"A": Fraction("0.75"), "B": Fraction("0.60")}
# Cost 60 : 40 as the points, so that the pool's ratio is 0.6 × 0.75 + 0.4 × 0.60 = 0.69.
VALUE = settlement_point_value(FUND, 69, 100, 100_000_000, 0)


def test_by_default_the_ratio_cancels() -> None:
    shares = pool_shares(VALUE, POINTS, {}, ShareOrder())
    assert {code: share.gross_fen for code, share in shares.shares.items()} == {
        "A": 420_000_000_00,
        "B": 280_000_000_00,
    }
    assert {share.fund_ratio for share in shares.shares.values()} == {Fraction("0.69")}
    assert (shares.phi_fen, shares.rounding_fen) == (0, 0)


def test_renormalised_shares_are_the_published_ones() -> None:
    shares = pool_shares(VALUE, POINTS, RATIOS, ShareOrder(ShareMethod.RENORMALISE))
    assert shares.shares["A"].gross_fen == 456_521_739_13
    assert shares.shares["B"].gross_fen == 243_478_260_87
    assert shares.phi_fen == 0
    assert {code: share.fund_ratio for code, share in shares.shares.items()} == RATIOS
    assert shares.base == 60_000_000 * RATIOS["A"] + 40_000_000 * RATIOS["B"]


def test_swapping_the_ratios_swaps_the_money() -> None:
    swapped = pool_shares(VALUE, POINTS, {"A": RATIOS["B"], "B": RATIOS["A"]}, ShareOrder(ShareMethod.RENORMALISE))
    assert swapped.shares["A"].gross_fen == 381_818_181_82


def test_an_account_takes_what_the_own_ratio_leaves() -> None:
    # A pool whose ratio is 0.70 while its hospitals book 0.75 and 0.60 on other costs: claims 450 M and 240 M.
    value = settlement_point_value(FUND, 70, 100, 100_000_000, 0)
    shares = pool_shares(value, POINTS, RATIOS, ShareOrder(ShareMethod.ACCOUNT))
    assert {code: share.gross_fen for code, share in shares.shares.items()} == {
        "A": 450_000_000_00,
        "B": 240_000_000_00,
    }
    assert (shares.phi_fen, shares.phi_cap_excess_fen) == (10_000_000_00, 0)
    capped = pool_shares(
        value,
        POINTS,
        RATIOS,
        ShareOrder(ShareMethod.ACCOUNT, phi_balance_fen=1_000_000_00, phi_cap_fen=4_000_000_00),
    )
    assert (capped.phi_fen, capped.phi_cap_excess_fen) == (3_000_000_00, 7_000_000_00)


def test_an_account_pays_what_it_holds_and_no_more() -> None:
    # Pool ratio 0.60, own ratios 0.75 and 0.60: claims 525 M and 280 M against a fund of 700 M.
    value = settlement_point_value(FUND, 60, 100, 100_000_000, 0)
    rich = pool_shares(value, POINTS, RATIOS, ShareOrder(ShareMethod.ACCOUNT, phi_balance_fen=105_000_000_00))
    assert {code: share.gross_fen for code, share in rich.shares.items()} == {
        "A": 525_000_000_00,
        "B": 280_000_000_00,
    }
    assert rich.phi_fen == -105_000_000_00
    short = pool_shares(value, POINTS, RATIOS, ShareOrder(ShareMethod.ACCOUNT, phi_balance_fen=5))
    gross = {code: share.gross_fen for code, share in short.shares.items()}
    assert sum(gross.values()) == FUND + 5
    # 70,000,000,005 fen × 525 / 805 = 45,652,173,916.30…, × 280 / 805 = 24,347,826,088.69…
    assert gross == {"A": 45_652_173_916, "B": 24_347_826_089}
    assert short.phi_fen == -5


def test_paying_by_the_printed_value_moves_the_remainder_to_an_account() -> None:
    # The worked counter-example of rounding first: the printed value 10.0000 pays 100,000,027.50 of 100,000,000.00.
    points = {"A": 13_333_337}
    value = settlement_point_value(100_000_000_00, 75, 100, 13_333_337, 0)
    by_share = pool_shares(value, points, {}, ShareOrder())
    assert by_share.shares["A"].gross_fen == 100_000_000_00
    assert by_share.shares["A"].printed_fen == 100_000_027_50
    printed = pool_shares(value, points, {}, ShareOrder(pay_by=PayBy.PRINTED_POINT_VALUE, rounding_balance_fen=2_750))
    assert printed.shares["A"].gross_fen == 100_000_027_50
    assert printed.rounding_fen == -2_750
    empty = pool_shares(value, points, {}, ShareOrder(pay_by=PayBy.PRINTED_POINT_VALUE, rounding_balance_fen=50))
    assert (empty.shares["A"].gross_fen, empty.rounding_fen) == (100_000_000_50, -50)


def test_a_printed_value_rounded_down_returns_money() -> None:
    value = settlement_point_value(100_00, 1, 1, 3, 0)
    shares = pool_shares(value, {"A": 2, "B": 1}, {}, ShareOrder(pay_by=PayBy.PRINTED_POINT_VALUE, printed_decimals=0))
    assert {code: share.gross_fen for code, share in shares.shares.items()} == {"A": 66_00, "B": 33_00}
    assert shares.rounding_fen == 1_00


def test_one_hospital_takes_the_whole_fund() -> None:
    value = settlement_point_value(12_345, 7, 10, 3, 0)
    for method in ShareMethod:
        shares = pool_shares(value, {"A": 3}, {"A": Fraction(7, 10)}, ShareOrder(method))
        assert shares.shares["A"].gross_fen == 12_345


def test_an_empty_fund_is_shared_as_nothing() -> None:
    value = settlement_point_value(0, 7, 10, 3, 0)
    for method in ShareMethod:
        shares = pool_shares(value, {"A": 3, "B": 0}, {"A": Fraction(1), "B": Fraction(0)}, ShareOrder(method))
        assert [share.gross_fen for share in shares.shares.values()] == [0, 0]


def test_an_own_ratio_needs_a_cost() -> None:
    assert hospital_ratios({"A": (5, 3, 4), "B": (0, 0, 0)}) == {"A": Fraction(3, 4), "B": 0}
    for amounts in ((5, 3, 0), (5, -1, 10)):
        with pytest.raises(HospitalRatioUndefined) as undefined:
            hospital_ratios({"A": amounts})
        assert undefined.value.details == {"hospital": "A"}


def test_claims_never_draw_below_an_empty_account() -> None:
    assert covered({"B": 1, "A": 2}, 3, 0) == {"A": 2, "B": 1}
    with pytest.raises(ValueError, match="negative"):
        covered({"A": -1}, 3, 0)
