"""Point-value methods and the accounts behind them (点值方式)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from fenzhi.rules.clearing.conservation import check_quarter
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterRun, QuarterTerms, clear_quarter
from fenzhi.rules.clearing.shares import (
    ClaimBelowZero,
    ClaimFormula,
    ClaimNeedsShareMethod,
    ShareMethod,
    ShareOrder,
    case_floor_lack,
)
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.point_value.benchmark_zone import BenchmarkZone, EmptyZone, ZoneHospital, benchmark_point_value
from fenzhi.rules.point_value.point_value import Basis, BasisMismatch, NoCases, NoPoints, PointValue
from fenzhi.rules.point_value.point_value_methods import (
    CorridorInvalid,
    ElasticBaselineAboveFund,
    HigherApprovalNeeded,
    PointValueMethod,
    PriceNotStated,
    PriceTerms,
    bargained_point_value,
    elastic_value,
)

FUND = 700_000_00
# φ = 0.7 over both, floating point value 10 yuan a point at 100,000 points.
CLAIMS = (
    QuarterClaim("A", 6, 60_000, 600_000_00, 450_000_00),
    QuarterClaim("B", 4, 40_000, 400_000_00, 250_000_00),
)


def cleared(
    price: PriceTerms, claims: tuple[QuarterClaim, ...] = CLAIMS, shares: ShareOrder | None = None
) -> QuarterRun:
    terms = QuarterTerms(shares or ShareOrder(), price=price)
    run = clear_quarter(FUND, 0, claims, terms)
    assert check_quarter(run, claims, FUND).unexplained_fen == 0
    return run


def stated(yuan: str) -> PointValue:
    return PointValue.stated(Fraction(yuan), 0)


def test_we_33_elastic() -> None:
    value = elastic_value(1_000_000_00, 80_000, Fraction(10_00), 25_000, Fraction(10_00))
    assert (value.baseline_fen, value.increment_pool_fen) == (800_000_00, 200_000_00)
    assert (value.increment_fen_per_unit, value.capped) == (8_00, False)
    assert value.baseline_fen / value.increment_pool_fen == Fraction(8, 2)


def test_a_fixed_point_value_returns_what_it_does_not_pay() -> None:
    run = cleared(PriceTerms(PointValueMethod.FIXED, stated("9")))
    assert [line.gross_fen for line in run.lines] == [378_000_00, 252_000_00]
    assert run.accounts[Account.POINT_VALUE] == 70_000_00
    assert [line.amount(Account.POINT_VALUE) for line in run.lines] == [42_000_00, 28_000_00]


def test_a_fixed_point_value_draws_no_more_than_its_account_holds() -> None:
    enough = cleared(PriceTerms(PointValueMethod.BUDGET, stated("11"), balance_fen=70_000_00))
    assert (enough.accounts[Account.POINT_VALUE], enough.accounts[Account.GROSS]) == (-70_000_00, 770_000_00)
    short = cleared(PriceTerms(PointValueMethod.BUDGET, stated("11"), balance_fen=3))
    assert short.accounts[Account.POINT_VALUE] == -3
    assert [line.gross_fen for line in short.lines] == [420_000_02, 280_000_01]


@pytest.mark.parametrize(
    ("low", "high", "gross", "point_value", "cap_excess"),
    [
        ("9", "11", 700_000_00, 0, 0),
        ("10", "10", 700_000_00, 0, 0),
        ("8", "9.5", 665_000_00, 0, 35_000_00),
        ("10.5", "12", 735_000_00, -35_000_00, 0),
    ],
)
def test_a_corridor_clamps_and_names_the_difference(
    low: str, high: str, gross: int, point_value: int, cap_excess: int
) -> None:
    run = cleared(PriceTerms(PointValueMethod.CORRIDOR, low=Fraction(low), high=Fraction(high), balance_fen=40_000_00))
    accounts = (Account.GROSS, Account.POINT_VALUE, Account.CAP_EXCESS)
    assert tuple(run.accounts[account] for account in accounts) == (gross, point_value, cap_excess)


def test_an_elastic_pool_pays_the_baseline_first_and_floats_the_increment() -> None:
    claims = (replace(CLAIMS[0], fixed_points=60_000), replace(CLAIMS[1], fixed_points=20_000))
    free = cleared(PriceTerms(PointValueMethod.ELASTIC, stated("10")), claims)
    assert [line.gross_fen for line in free.lines] == [420_000_00, 280_000_00]
    # Baseline at 11: 616,000; the increment of 20,000 points shares 84,000, that is 6 yuan of cost a point.
    dear = cleared(PriceTerms(PointValueMethod.ELASTIC, stated("11")), claims)
    assert [line.gross_fen for line in dear.lines] == [462_000_00, 238_000_00]
    assert dear.accounts[Account.CAP_EXCESS] == 0
    capped = cleared(PriceTerms(PointValueMethod.ELASTIC, stated("10"), increment_cap=Fraction(8)), claims)
    assert [line.gross_fen for line in capped.lines] == [420_000_00, 252_000_00]
    assert capped.accounts[Account.CAP_EXCESS] == 28_000_00


def test_an_elastic_pool_without_increment_returns_the_rest() -> None:
    claims = tuple(replace(claim, fixed_points=claim.points) for claim in CLAIMS)
    run = cleared(PriceTerms(PointValueMethod.ELASTIC, stated("9")), claims)
    assert (run.accounts[Account.POINT_VALUE], run.accounts[Account.CAP_EXCESS]) == (70_000_00, 0)


def test_an_elastic_baseline_above_the_fund_or_its_share_is_refused() -> None:
    claims = tuple(replace(claim, fixed_points=claim.points) for claim in CLAIMS)
    with pytest.raises(ElasticBaselineAboveFund):
        cleared(PriceTerms(PointValueMethod.ELASTIC, stated("10.01")), claims)
    with pytest.raises(ElasticBaselineAboveFund):
        cleared(PriceTerms(PointValueMethod.ELASTIC, stated("9"), elastic_baseline_share=Fraction("0.8")), claims)


def test_what_is_not_stated_or_of_another_basis_is_refused() -> None:
    with pytest.raises(PriceNotStated):
        cleared(PriceTerms(PointValueMethod.FIXED))
    with pytest.raises(BasisMismatch):
        cleared(PriceTerms(PointValueMethod.FIXED, PointValue.stated(Fraction(10), 0, Basis.FUND)))
    with pytest.raises(CorridorInvalid):
        cleared(PriceTerms(PointValueMethod.CORRIDOR, low=Fraction(11), high=Fraction(9)))


def test_a_point_value_in_fund_yuan_shares_the_same_fund() -> None:
    run = cleared(PriceTerms(basis=Basis.FUND))
    assert run.point_value.exact() == 7
    assert [line.gross_fen for line in run.lines] == [420_000_00, 280_000_00]
    fixed = cleared(PriceTerms(PointValueMethod.FIXED, PointValue.stated(Fraction(6), 0, Basis.FUND), basis=Basis.FUND))
    assert fixed.accounts[Account.GROSS] == 600_000_00


def test_hospital_ratios_share_the_priced_fund() -> None:
    price = PriceTerms(PointValueMethod.FIXED, stated("9"))
    run = cleared(price, shares=ShareOrder(ShareMethod.RENORMALISE))
    assert sum(line.gross_fen for line in run.lines) == 630_000_00
    # 0.75 × 60,000 to 0.625 × 40,000 is 45 to 25.
    assert [line.gross_fen for line in run.lines] == [405_000_00, 225_000_00]


def test_a_bargained_point_value_stays_in_its_space_or_goes_up() -> None:
    base = stated("10")
    assert bargained_point_value(base, Fraction("10.3"), Fraction("0.03")).exact() == Fraction("10.3")
    with pytest.raises(HigherApprovalNeeded) as beyond:
        bargained_point_value(base, Fraction("10.31"), Fraction("0.03"))
    assert beyond.value.details["high"] == "103/10"
    assert bargained_point_value(base, Fraction("10.31"), Fraction("0.03"), "省局批复").exact() == Fraction("10.31")


def test_points_times_price_less_other_payers_needs_a_share_method() -> None:
    claims = tuple(replace(claim, patient_fen=claim.cost_fen - claim.booked_fen) for claim in CLAIMS)
    with pytest.raises(ClaimNeedsShareMethod):
        cleared(PriceTerms(), claims, ShareOrder(claim=ClaimFormula.SP_MINUS_PATIENT))
    account = ShareOrder(ShareMethod.ACCOUNT, claim=ClaimFormula.SP_MINUS_PATIENT)
    assert [line.gross_fen for line in cleared(PriceTerms(), claims, account).lines] == [450_000_00, 250_000_00]
    poor = (replace(claims[0], patient_fen=600_000_01), claims[1])
    with pytest.raises(ClaimBelowZero):
        cleared(PriceTerms(), poor, account)


def test_a_case_floor_is_paid_from_its_account_pro_rata_when_short() -> None:
    assert case_floor_lack(Fraction(10), [(10, 101), (10, 99)]) == 1
    claims = (replace(CLAIMS[0], floor_lack_fen=200), replace(CLAIMS[1], floor_lack_fen=100))
    run = cleared(PriceTerms(), claims, ShareOrder(floor_balance_fen=150))
    assert [line.floor_fen for line in run.lines] == [100, 50]
    assert [line.gross_fen for line in run.lines] == [420_001_00, 280_000_50]
    assert (run.accounts[Account.FLOOR], run.accounts[Account.ROUNDING]) == (-150, 0)


def test_the_benchmark_zone_in_one_dimension_takes_those_below_the_mean() -> None:
    hospitals = [ZoneHospital("A", 100, 900), ZoneHospital("B", 100, 1000), ZoneHospital("C", 100, 1400)]
    price = benchmark_point_value(hospitals, BenchmarkZone.ONE_DIMENSIONAL, 0)
    assert (price.hospitals, price.point_value.fen_per_unit()) == (("A", "B"), Fraction(1900, 200))


def test_the_benchmark_zone_in_two_dimensions_takes_the_nearest_to_all() -> None:
    hospitals = [
        ZoneHospital("A", 100, 900, 850),
        ZoneHospital("B", 100, 910, 860),
        ZoneHospital("C", 100, 1000, 700),
        ZoneHospital("D", 100, 800, 801),
        ZoneHospital("E", 100, 2000, 2000),
        ZoneHospital("F", 0, 0, 0),
    ]
    price = benchmark_point_value(hospitals, BenchmarkZone.TWO_DIMENSIONAL, 0)
    assert (price.hospitals, price.centre) == (("A", "B", "C"), "A")
    assert price.point_value.fen_per_unit() == 9


def test_an_empty_zone_has_typed_answers() -> None:
    with pytest.raises(NoCases):
        benchmark_point_value([], BenchmarkZone.ONE_DIMENSIONAL, 0)
    with pytest.raises(NoPoints):
        benchmark_point_value([ZoneHospital("A", 0, 0)], BenchmarkZone.ONE_DIMENSIONAL, 0)
    with pytest.raises(EmptyZone):
        benchmark_point_value([ZoneHospital("A", 1, 10)], BenchmarkZone.ONE_DIMENSIONAL, 0)
