"""Laws of clearing (清算定律): they hold for any deductions, deposits, payments and methods."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fenzhi.rules.clearing.conservation import check_month, check_quarter
from fenzhi.rules.clearing.offsets import Receivable
from fenzhi.rules.clearing.presettlement import MonthClaim, MonthMethod, MonthTerms, presettle_month
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterMode, QuarterTerms, clear_quarter
from fenzhi.rules.clearing.shares import PayBy, ShareMethod, ShareOrder
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.point_value.point_value import PointValue

FEN = st.integers(0, 10**10)
RATIO = st.fractions(0, 1, max_denominator=1000)

QUARTER_CLAIMS = st.lists(
    st.builds(
        QuarterClaim,
        hospital=st.text(alphabet="H医0123", min_size=1, max_size=3),
        cases=st.integers(0, 1000),
        points=st.integers(0, 10**10),
        cost_fen=st.integers(1, 10**10),
        booked_fen=st.integers(1, 10**10),
        deductions_fen=FEN,
        assessment_coefficient=st.fractions(0, Fraction("1.1"), max_denominator=1000),
        band_withheld_fen=FEN,
        bonuses_fen=FEN,
        payments_recorded_fen=FEN,
        deposit_held_fen=FEN,
        earlier_cleared_fen=FEN,
        receivables=st.just((Receivable("r", date(2023, 1, 1), 12_345),)),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda claim: claim.hospital,
)
QUARTER_TERMS = st.builds(
    QuarterTerms,
    shares=st.builds(
        ShareOrder,
        method=st.sampled_from(ShareMethod),
        pay_by=st.sampled_from(PayBy),
        printed_decimals=st.integers(0, 6),
        phi_balance_fen=FEN,
        phi_cap_fen=st.none() | FEN,
        rounding_balance_fen=FEN,
    ),
    mode=st.sampled_from(QuarterMode),
    deposit_rate=RATIO,
)


@settings(max_examples=60)
@given(FEN, QUARTER_CLAIMS, QUARTER_TERMS)
def test_every_law_of_a_quarter_holds(fund: int, claims: list[QuarterClaim], terms: QuarterTerms) -> None:
    assume(any(claim.points for claim in claims))
    run = clear_quarter(fund, 4, claims, terms)
    balance = check_quarter(run, claims, fund)
    assert balance.unexplained_fen == 0
    assert balance.pool_fen + balance.draws_fen == balance.gross_fen + balance.returns_fen
    assert balance.draws_fen <= terms.shares.phi_balance_fen + terms.shares.rounding_balance_fen


@settings(max_examples=40)
@given(FEN, QUARTER_CLAIMS, QUARTER_TERMS, st.randoms(use_true_random=False))
def test_the_order_of_hospitals_does_not_matter(
    fund: int, claims: list[QuarterClaim], terms: QuarterTerms, random: object
) -> None:
    assume(any(claim.points for claim in claims))
    shuffled = list(claims)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert clear_quarter(fund, 4, shuffled, terms) == clear_quarter(fund, 4, claims, terms)


@settings(max_examples=40)
@given(FEN, QUARTER_CLAIMS, QUARTER_TERMS, st.integers(2, 1000))
def test_scaling_all_points_leaves_apportioned_pay_alone(
    fund: int, claims: list[QuarterClaim], terms: QuarterTerms, factor: int
) -> None:
    assume(any(claim.points for claim in claims))
    terms = replace(terms, shares=replace(terms.shares, pay_by=PayBy.APPORTION))
    scaled = [replace(claim, points=claim.points * factor) for claim in claims]
    before, after = clear_quarter(fund, 4, claims, terms), clear_quarter(fund, 4, scaled, terms)
    assert [line.gross_fen for line in before.lines] == [line.gross_fen for line in after.lines]
    assert before.point_value.exact() == after.point_value.exact() * factor


@settings(max_examples=40)
@given(FEN, QUARTER_CLAIMS, QUARTER_TERMS)
def test_a_deduction_costs_its_hospital_and_nobody_else(
    fund: int, claims: list[QuarterClaim], terms: QuarterTerms
) -> None:
    assume(any(claim.points for claim in claims))
    terms = replace(terms, deposit_rate=Fraction(0))
    first = replace(claims[0], receivables=())
    charged = replace(first, deductions_fen=first.deductions_fen + 777)
    before = {line.hospital: line for line in clear_quarter(fund, 4, [first, *claims[1:]], terms).lines}
    after = {line.hospital: line for line in clear_quarter(fund, 4, [charged, *claims[1:]], terms).lines}
    for hospital, line in before.items():
        expected = 777 if hospital == first.hospital else 0
        assert line.transfer_fen - after[hospital].transfer_fen == expected


@settings(max_examples=60)
@given(
    st.lists(
        st.builds(
            MonthClaim,
            hospital=st.text(alphabet="H医0123", min_size=1, max_size=3),
            cases=st.integers(0, 100),
            points=st.integers(0, 10**9),
            cost_fen=FEN,
            booked_fen=FEN,
            patient_fen=FEN,
            deductions_fen=FEN,
            cash_cap_fen=st.none() | FEN,
            deposit_held_fen=FEN,
            earlier_cleared_fen=FEN,
        ),
        max_size=5,
        unique_by=lambda claim: claim.hospital,
    ),
    st.builds(
        MonthTerms,
        point_value=st.builds(PointValue, FEN.filter(bool), st.just(7), st.just(5), st.integers(1, 10**9), st.just(4)),
        fund_ratio=RATIO,
        prepay_ratio=RATIO,
        method=st.sampled_from(MonthMethod),
        deposit_rate=RATIO,
    ),
)
def test_every_law_of_a_month_holds(claims: list[MonthClaim], terms: MonthTerms) -> None:
    run = presettle_month(claims, terms)
    assert check_month(run, claims).unexplained_fen == 0
    for line in run.lines:
        exact = run.terms.point_value.fen_per_unit() * line.points
        exact = exact * terms.fund_ratio if terms.method is MonthMethod.SP_PHI else exact - line.patient_fen
        assert abs(line.not_prepaid_fen - exact * (1 - terms.prepay_ratio)) <= 1
        if line.cash_cut_fen:
            assert line.cleared_fen == next(c.cash_cap_fen for c in claims if c.hospital == line.hospital)
    assert run.accounts[Account.POOL] == run.accounts[Account.GROSS]
