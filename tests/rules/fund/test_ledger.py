"""The books of a year (总账): debit = credit, the books agree with the statements, corrections add nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fenzhi.rules.clearing.annual_clearing import AnnualClaim, AnnualTerms, clear_year
from fenzhi.rules.clearing.assessment import AssessmentPlace
from fenzhi.rules.clearing.bands import Band, BandTable, FundSource
from fenzhi.rules.clearing.offsets import Receivable
from fenzhi.rules.clearing.presettlement import MonthClaim, MonthTerms, presettle_month
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterTerms, clear_quarter
from fenzhi.rules.clearing.shares import PayBy, ShareMethod, ShareOrder
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.fund.ledger import (
    BOOKS_AGREE,
    DEBIT_IS_CREDIT,
    Entry,
    LedgerAccount,
    Position,
    advance_entries,
    annual_positions,
    balances,
    check_balanced,
    check_books,
    check_final,
    correction,
    entries_of,
    month_positions,
    off_pool_entries,
    payment_entries,
    quarter_positions,
    receivable_entries,
    reversal,
)
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.refusals import InvariantBroken

L = LedgerAccount
BANDS = BandTable((Band(Fraction(1), True, Fraction(1, 2)), Band(None, False, Fraction(1, 2))))


def test_a_year_in_the_books() -> None:
    books: list[Entry] = []
    month = presettle_month(
        [MonthClaim("A", 1, 100, 300, 200, cash_cap_fen=600), MonthClaim("B", 1, 100, 300, 200)],
        MonthTerms(PointValue.stated(Fraction(10), 2), Fraction(7, 10), Fraction(9, 10), deposit_rate=Fraction("0.05")),
    )
    books += entries_of(month_positions(month), {}, "2025-01")
    assert balances(books) == {
        ("", L.FUND): 1_400,
        ("A", L.CASH_CUT): -30,
        ("A", L.DEPOSIT): -30,
        ("A", L.NOT_PREPAID): -70,
        ("A", L.PAYABLE): -570,
        ("B", L.DEPOSIT): -32,
        ("B", L.NOT_PREPAID): -70,
        ("B", L.PAYABLE): -598,
    }
    runs = balances(books)
    claims = [
        QuarterClaim("A", 1, 100, 300, 200, deductions_fen=40, payments_recorded_fen=570, deposit_held_fen=30,
                     receivables=(Receivable("r", date(2024, 1, 1), 25),)),
        QuarterClaim("B", 1, 100, 300, 200, payments_recorded_fen=900, deposit_held_fen=32),
    ]  # fmt: skip
    quarter = clear_quarter(1_600, 2, claims, QuarterTerms(deposit_rate=Fraction("0.05")))
    due = quarter_positions(quarter)
    books += entries_of(due, runs, "2025Q1")
    assert balances(books) == due
    assert due[("A", L.RECEIVABLE)] == -25 and ("A", L.NOT_PREPAID) not in due
    books += payment_entries("A", 570, "v1") + payment_entries("B", 900, "v2") + advance_entries("B", 50, "预付")
    annual_claims = [
        AnnualClaim(
            replace(claims[0], assessment_coefficient=Fraction("0.9"), offset_earlier_fen=25, receivables=()), 900
        ),
        AnnualClaim(claims[1], 500, 50),
    ]
    year = clear_year(1_600, 2, annual_claims, AnnualTerms(
        QuarterTerms(deposit_rate=Fraction("0.05")), bands=BANDS, sources=(FundSource("adjustment", 40), FundSource("risk", 9))
    ))  # fmt: skip
    target = annual_positions(year)
    books += entries_of(target, due, "2025")
    check_balanced(books)
    found = balances(books)
    check_final(found, year)
    assert found[("", L.ADJUSTMENT)] == 40 and found[("", L.RISK)] == 9 and found[("", L.BONUSES_FINANCED)] == -49
    # A: 800 − 40 deducted − 80 withheld + 49 borne by the fund; B: 800 less half of its surplus of 300.
    finals = {line.hospital: line.final.final_fen for line in year.lines}
    assert finals == {"A": 729 - 570 - 25, "B": 650 - 900 - 50}
    books += receivable_entries("B", finals["B"], "2025 应收")
    assert balances(books)[("B", L.RECEIVABLE)] == 300 and ("B", L.PAYABLE) not in balances(books)


FEN = st.integers(0, 10**8)
CLAIMS = st.lists(
    st.builds(
        AnnualClaim,
        st.builds(
            QuarterClaim,
            hospital=st.sampled_from(("A", "B", "C", "D")),
            cases=st.integers(0, 10),
            points=st.integers(0, 10**6),
            cost_fen=st.integers(1, 10**8),
            booked_fen=st.integers(1, 10**8),
            deductions_fen=st.integers(-(10**6), 10**8),
            assessment_coefficient=st.fractions(0, Fraction("1.1"), max_denominator=50),
            payments_recorded_fen=st.integers(-(10**6), 10**8),
            deposit_held_fen=FEN,
            offset_earlier_fen=st.integers(0, 10**4),
            floor_lack_fen=st.integers(0, 10**4),
        ),
        booked_after_audit_fen=FEN,
        advance_fen=FEN,
        deposit_release=st.fractions(0, 1, max_denominator=20),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda claim: claim.hospital,
)
TERMS = st.builds(
    AnnualTerms,
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
        deposit_rate=st.fractions(0, Fraction("0.05"), max_denominator=100),
        assessment_place=st.just(AssessmentPlace.DEPOSIT),
    ),
    bands=st.sampled_from((None, BANDS)),
    sources=st.tuples(
        st.builds(FundSource, st.just("adjustment"), FEN), st.builds(FundSource, st.just("reserve"), FEN)
    ),
)


@settings(max_examples=60, deadline=None)
@given(FEN, CLAIMS, TERMS)
def test_debit_is_credit_and_the_books_end_at_the_finals(
    fund: int, claims: list[AnnualClaim], terms: AnnualTerms
) -> None:
    assume(any(claim.year.points for claim in claims))
    quarter_claims = [claim.year for claim in claims]
    quarter = clear_quarter(fund // 2, 2, quarter_claims, terms.year)
    year = clear_year(fund, 2, claims, terms)
    posted: dict[Position, int] = {}
    books: list[Entry] = []
    for due in (quarter_positions(quarter), annual_positions(year)):
        books += entries_of(due, posted, "run")
        posted = dict(due)
    for claim in claims:
        books += payment_entries(claim.hospital, claim.year.payments_recorded_fen, "v")
        books += advance_entries(claim.hospital, claim.advance_fen, "预付")
    check_balanced(books)
    check_final(balances(books), year)
    for line in year.lines:
        booked = balances(books)
        assert booked.get((line.hospital, L.ADVANCE), 0) == 0 == booked.get((line.hospital, L.DEPOSIT), 0)
        assert -booked.get((line.hospital, L.DEPOSIT_FORFEITED), 0) == line.final.deposit_forfeited_fen
    assert balances(books).get(("", L.FUND), 0) == year.year.accounts[Account.POOL]


def test_a_run_repeated_posts_nothing() -> None:
    run = clear_quarter(1_000, 0, [QuarterClaim("A", 1, 1, 10, 7)], QuarterTerms())
    due = quarter_positions(run)
    assert entries_of(due, due, "again") == ()


def test_a_correction_is_a_reversal_and_a_restatement() -> None:
    wrong, right = payment_entries("A", 100, "v1"), payment_entries("A", 90, "v1")
    assert balances([*wrong, *reversal(wrong, "冲正")]) == {}
    assert balances([*wrong, *correction(wrong, right, "更正")]) == balances(right)
    with pytest.raises(InvariantBroken) as stopped:
        correction(wrong, right[:1], "更正")
    assert stopped.value.law == DEBIT_IS_CREDIT and stopped.value.unexplained_fen == 90


def test_small_entries_and_their_absence() -> None:
    assert payment_entries("A", 0, "v") == ()
    assert receivable_entries("A", 5, "x") == ()
    assert balances(off_pool_entries("A", 7, "特例单议")) == {("A", L.OFF_POOL): 7, ("A", L.PAYABLE): -7}
    assert balances(payment_entries("A", -7, "退回")) == {("A", L.PAID): 7, ("A", L.PAYABLE): -7}


def test_one_fen_in_the_books_is_found_and_named() -> None:
    run = clear_year(1_000, 0, [AnnualClaim(QuarterClaim("A", 1, 1, 10, 7))], AnnualTerms())
    due = annual_positions(run)
    with pytest.raises(InvariantBroken) as entries:
        entries_of({**due, ("A", L.PAYABLE): -999}, {}, "x")
    assert (entries.value.law, entries.value.unexplained_fen) == (DEBIT_IS_CREDIT, 1)
    with pytest.raises(InvariantBroken) as books:
        check_books({**due, ("", L.FUND): 1_001}, due)
    assert (books.value.law, books.value.account) == (BOOKS_AGREE, "pool/pool")
    with pytest.raises(InvariantBroken) as final:
        check_final({("A", L.PAYABLE): -999}, run)
    assert (final.value.account, final.value.unexplained_fen) == ("A/payable", -1)
