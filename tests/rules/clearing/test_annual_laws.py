"""Laws of the year (年度定律): money rules 4, 9, 19, 20 for any weights, caps, deductions and roundings."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fenzhi.rules.clearing.annual_clearing import (
    DEFAULT_ORDER,
    AnnualAccount,
    AnnualClaim,
    AnnualStep,
    AnnualTerms,
    clear_year,
)
from fenzhi.rules.clearing.annual_conservation import check_year
from fenzhi.rules.clearing.assessment import AssessmentBase, AssessmentPlace
from fenzhi.rules.clearing.bands import Band, BandBase, BandMode, BandTable, FundSource
from fenzhi.rules.clearing.causes import unexplained_change
from fenzhi.rules.clearing.conservation import check_quarter
from fenzhi.rules.clearing.offsets import Receivable
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterTerms, clear_quarter
from fenzhi.rules.clearing.shares import PayBy, ShareMethod, ShareOrder
from fenzhi.rules.clearing.statement import Account, PostedAmounts
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.point_value.point_value_methods import PointValueMethod, PriceTerms

FEN = st.integers(0, 10**9)
SIGNED = st.integers(-(10**8), 10**9)
RATIO = st.fractions(0, 1, max_denominator=200)

YEARS = st.builds(
    QuarterClaim,
    hospital=st.text(alphabet="H医0123", min_size=1, max_size=3),
    cases=st.integers(0, 1000),
    points=st.integers(0, 10**9),
    cost_fen=st.integers(1, 10**9),
    booked_fen=st.integers(1, 10**9),
    patient_fen=FEN,
    deductions_fen=SIGNED,
    assessment_coefficient=st.fractions(0, Fraction("1.1"), max_denominator=200),
    payments_recorded_fen=SIGNED,
    deposit_held_fen=FEN,
    offset_earlier_fen=st.integers(0, 1000),
    receivables=st.just((Receivable("r", date(2023, 1, 1), 12_345), Receivable("q", date(2022, 1, 1), 99))),
    floor_lack_fen=st.integers(0, 1000),
)
CLAIMS = st.lists(
    st.builds(AnnualClaim, YEARS, booked_after_audit_fen=SIGNED, advance_fen=FEN),
    min_size=1,
    max_size=5,
    unique_by=lambda claim: claim.hospital,
)


@st.composite
def any_terms(draw: st.DrawFn) -> AnnualTerms:
    method = draw(st.sampled_from((PointValueMethod.FLOATING, PointValueMethod.FIXED, PointValueMethod.CORRIDOR)))
    yuan = draw(st.fractions(Fraction(1, 100), 50, max_denominator=100))
    place = draw(st.sampled_from((AssessmentPlace.COEFFICIENT, AssessmentPlace.BANDS)))
    year = QuarterTerms(
        ShareOrder(
            draw(st.sampled_from(ShareMethod)),
            draw(st.sampled_from(PayBy)),
            draw(st.integers(0, 4)),
            draw(FEN),
            draw(st.none() | FEN),
            draw(FEN),
            draw(FEN),
        ),
        deposit_rate=draw(RATIO),
        assessment_place=place,
        assessment_base=draw(st.sampled_from(AssessmentBase)),
        offset_limit_fen=draw(st.none() | FEN),
        offset_limit_ratio=draw(st.none() | RATIO),
        price=PriceTerms(method, PointValue.stated(yuan, 4), yuan / 2, yuan, balance_fen=draw(FEN)),
    )
    edges = sorted({Fraction(1), *draw(st.lists(st.fractions(0, 2, max_denominator=10), max_size=3))})
    bands = BandTable(
        tuple(Band(edge, draw(st.booleans()), draw(RATIO)) for edge in [*edges, None]),
        mode=draw(st.sampled_from(BandMode)),
        surplus_cap=draw(st.none() | RATIO),
        overspend_cap=draw(st.none() | RATIO),
    )
    first = draw(st.permutations(DEFAULT_ORDER[:3]))
    return AnnualTerms(
        year,
        (*first, AnnualStep.DEPOSIT, AnnualStep.OFFSETS),
        draw(st.none() | st.just(bands)),
        draw(st.sampled_from(BandBase)),
        (FundSource("adjustment", draw(FEN)), FundSource("risk", draw(SIGNED))),
    )


@settings(max_examples=80, deadline=None)
@given(FEN, CLAIMS, any_terms())
def test_every_law_of_a_year_holds(fund: int, claims: list[AnnualClaim], terms: AnnualTerms) -> None:
    assume(any(claim.year.points for claim in claims))
    run = clear_year(fund, 4, claims, terms)
    assert check_year(run, claims, fund).unexplained_fen == 0
    for claim, line in zip(sorted(claims, key=lambda one: one.hospital), run.lines, strict=True):
        owed = line.line.cleared_fen - line.final.deposit_forfeited_fen - claim.year.payments_recorded_fen
        assert line.final.final_fen == owed - line.line.offsets_fen - claim.advance_fen
        if owed - claim.advance_fen <= claim.year.offset_earlier_fen:
            assert line.line.offsets_fen == claim.year.offset_earlier_fen


@settings(max_examples=40, deadline=None)
@given(FEN, CLAIMS, any_terms(), st.randoms(use_true_random=False))
def test_the_order_of_hospitals_changes_nothing(
    fund: int, claims: list[AnnualClaim], terms: AnnualTerms, random: object
) -> None:
    assume(any(claim.year.points for claim in claims))
    shuffled = list(claims)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert clear_year(fund, 4, shuffled, terms) == clear_year(fund, 4, claims, terms)


@settings(max_examples=40, deadline=None)
@given(FEN, CLAIMS, any_terms(), st.lists(RATIO, min_size=5, max_size=5))
def test_what_a_deposit_does_not_release_is_forfeited_and_nothing_else_changes(
    fund: int, claims: list[AnnualClaim], terms: AnnualTerms, shares: list[Fraction]
) -> None:
    """The assessment acts at the deposit alone: whatever the shares, gross and cleared are those of full release, each fen of a deposit
    is released or forfeited, and a final falls by what is forfeited less the offsets that follow it."""
    assume(any(claim.year.points for claim in claims))
    at_deposit = replace(terms, year=replace(terms.year, assessment_place=AssessmentPlace.DEPOSIT))
    graded = [replace(claim, deposit_release=share) for claim, share in zip(claims, shares, strict=False)]
    whole, run = clear_year(fund, 4, claims, at_deposit), clear_year(fund, 4, graded, at_deposit)
    assert check_year(run, graded, fund).unexplained_fen == 0
    for line, full in zip(run.lines, whole.lines, strict=True):
        assert (line.line.gross_fen, line.line.cleared_fen) == (full.line.gross_fen, full.line.cleared_fen)
        assert line.line.assessment_withheld_fen == 0
        forfeited = line.final.deposit_forfeited_fen
        assert line.deposit_released_fen + forfeited == line.line.deposit_withheld_fen == full.deposit_released_fen
        assert full.final.final_fen - line.final.final_fen == forfeited - (
            full.line.offsets_fen - line.line.offsets_fen
        )


@settings(max_examples=40, deadline=None)
@given(FEN, CLAIMS, any_terms(), st.integers(2, 1000))
def test_scores_scaled_by_k_leave_a_floating_year_alone(
    fund: int, claims: list[AnnualClaim], terms: AnnualTerms, k: int
) -> None:
    """Money-rules 20: under a floating point value, paid by apportionment, only the ratio of points counts."""
    assume(any(claim.year.points for claim in claims))
    order = replace(terms.year.shares, pay_by=PayBy.APPORTION)
    floating = replace(terms, year=replace(terms.year, shares=order, price=PriceTerms()))
    scaled = [replace(one, year=replace(one.year, points=one.year.points * k)) for one in claims]
    before, after = clear_year(fund, 4, claims, floating), clear_year(fund, 4, scaled, floating)
    assert [line.line.gross_fen for line in before.lines] == [line.line.gross_fen for line in after.lines]
    assert [line.final for line in before.lines] == [line.final for line in after.lines]
    assert (before.accounts, before.bonuses) == (after.accounts, after.bonuses)


@settings(max_examples=40, deadline=None)
@given(FEN, FEN, CLAIMS, any_terms(), any_terms())
def test_no_fen_of_a_counterfactual_is_lost(
    fund: int, other: int, claims: list[AnnualClaim], terms: AnnualTerms, changed: AnnualTerms
) -> None:
    assume(any(claim.year.points for claim in claims))
    before, after = clear_year(fund, 4, claims, terms), clear_year(other, 4, claims, changed)
    assert unexplained_change(before.year, after.year) == 0

    # Below payable: what is final, advanced, forfeited, offset and paid is all there is of payable and deposit.
    def placed(run: object) -> int:
        year, accounts = run.year.accounts, run.accounts  # type: ignore[attr-defined]
        below = (
            accounts[AnnualAccount.FINAL] + accounts[AnnualAccount.ADVANCE] + accounts[AnnualAccount.DEPOSIT_FORFEITED]
        )
        return below + year[Account.OFFSETS] + year[Account.PAYMENTS] - year[Account.PAYABLE] - year[Account.DEPOSIT]

    assert placed(before) == placed(after) == 0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(FEN, min_size=4, max_size=4).map(sorted),
    st.lists(st.lists(YEARS, min_size=1, max_size=3, unique_by=lambda claim: claim.hospital), min_size=4, max_size=4),
    st.builds(
        QuarterTerms,
        shares=st.builds(ShareOrder, method=st.sampled_from(ShareMethod), phi_balance_fen=FEN),
        deposit_rate=st.fractions(0, Fraction("0.05"), max_denominator=100),
    ),
)
def test_what_the_quarters_and_the_year_post_adds_up_to_the_year(
    funds: list[int], quarters: list[list[QuarterClaim]], terms: QuarterTerms
) -> None:
    """Each cumulative run posts the difference to the runs before it; the year's own difference is the adjustment."""
    posted: dict[str, PostedAmounts] = {}
    held: dict[str, int] = {}
    last: dict[str, PostedAmounts] = {}
    for fund, claims in zip(funds, quarters, strict=True):
        assume(any(claim.points for claim in claims))
        now = [replace(claim, deposit_held_fen=held.get(claim.hospital, 0), receivables=()) for claim in claims]
        run = clear_quarter(fund, 4, now, terms)
        check_quarter(run, now, fund)
        last = {line.hospital: PostedAmounts.of(line) for line in run.lines}
        held = {line.hospital: line.deposit_held_before_fen + line.deposit_posting_fen for line in run.lines} | {
            code: amount for code, amount in held.items() if code not in last
        }
        for code, amounts in last.items():
            posted[code] = posted.get(code, PostedAmounts()) + (amounts - posted.get(code, PostedAmounts()))
    final_claims = [
        AnnualClaim(replace(claim, deposit_held_fen=held.get(claim.hospital, 0), receivables=()))
        for claim in quarters[3]
    ]
    year = clear_year(funds[3], 4, final_claims, AnnualTerms(terms))
    for line in year.lines:
        amounts = PostedAmounts.of(line.line)
        adjustment = amounts - last[line.hospital]
        assert posted[line.hospital] + adjustment == amounts
        # Same cases, fund and terms as the fourth quarter: no cause, hence no adjustment.
        assert adjustment == PostedAmounts()
