"""Annual clearing step by step (年度清算): money rules 7 to 10, 20, 21."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest

from fenzhi.rules.clearing.annual_clearing import (
    DEFAULT_ORDER,
    AnnualAccount,
    AnnualClaim,
    AnnualOrderInvalid,
    AnnualRun,
    AnnualStep,
    AnnualTerms,
    AssessmentActsTwice,
    clear_year,
)
from fenzhi.rules.clearing.annual_conservation import (
    ACCOUNT_TOTAL,
    DEPOSIT_IDENTITY,
    FINAL_IDENTITY,
    SOURCES_IDENTITY,
    check_annual_line,
    check_year,
)
from fenzhi.rules.clearing.assessment import AssessmentBase, AssessmentPlace
from fenzhi.rules.clearing.bands import Band, BandBase, BandTable, FundSource
from fenzhi.rules.clearing.deposit_release import DepositRelease, GradeUnknown, release_share
from fenzhi.rules.clearing.offsets import Receivable
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterMode, QuarterTerms
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.refusals import InvariantBroken

FUND = 17_500_000_00
BANDS = BandTable((Band(Fraction("0.8"), True, Fraction(0)), Band(Fraction(1), True, Fraction(1, 2)),
                   Band(Fraction("1.1"), True, Fraction(1, 2)), Band(None, False, Fraction(0))))  # fmt: skip


def of_one(claim: QuarterClaim, terms: AnnualTerms, **more: object) -> AnnualRun:
    claims = [AnnualClaim(claim, **more)]  # type: ignore[arg-type]
    run = clear_year(FUND, 0, claims, terms)
    assert check_year(run, claims, FUND).unexplained_fen == 0
    return run


ONE = QuarterClaim(
    "H", 10, 2_500_000, 25_000_000_00, 17_500_000_00, deductions_fen=50_000_00, assessment_coefficient=Fraction("0.98")
)


def test_we_37_and_38() -> None:
    run = of_one(replace(ONE, payments_recorded_fen=15_300_000_00), AnnualTerms(), advance_fen=1_200_000_00)
    (line,) = run.lines
    assert (line.line.cleared_fen, run.year.accounts[Account.ASSESSMENT]) == (17_100_000_00, 350_000_00)
    assert line.final.final_fen == run.accounts[AnnualAccount.FINAL] == 600_000_00


def test_the_order_of_posting_matters_where_a_step_acts_on_what_is_left() -> None:
    year = QuarterTerms(assessment_base=AssessmentBase.RUNNING)
    # 17,450,000 less half of the surplus of 1,000,000 beyond 0.8 …: bands first leaves 16,950,000 to assess.
    terms = AnnualTerms(year, bands=BANDS, band_base=BandBase.RUNNING)
    bands_first = of_one(ONE, terms, booked_after_audit_fen=16_450_000_00).lines[0].line
    assert (bands_first.band_withheld_fen, bands_first.assessment_withheld_fen) == (500_000_00, 339_000_00)
    other = (AnnualStep.DEDUCTIONS, AnnualStep.ASSESSMENT, AnnualStep.BANDS, *DEFAULT_ORDER[3:])
    assessed_first = of_one(ONE, replace(terms, order=other), booked_after_audit_fen=16_450_000_00).lines[0].line
    assert (assessed_first.assessment_withheld_fen, assessed_first.band_withheld_fen) == (349_000_00, 325_500_00)
    assert (bands_first.cleared_fen, assessed_first.cleared_fen) == (16_611_000_00, 16_775_500_00)


def test_by_default_bands_and_assessment_ignore_each_other() -> None:
    terms = AnnualTerms(bands=BANDS)
    line = of_one(ONE, terms, booked_after_audit_fen=16_450_000_00).lines[0].line
    assert (line.band_withheld_fen, line.assessment_withheld_fen) == (500_000_00, 350_000_00)


@pytest.mark.parametrize(
    "order",
    [
        DEFAULT_ORDER[:4],
        (AnnualStep.DEPOSIT, *DEFAULT_ORDER[:3], AnnualStep.OFFSETS),
        (*DEFAULT_ORDER[:3], AnnualStep.OFFSETS, AnnualStep.DEPOSIT),
    ],
)
def test_an_order_without_a_step_or_with_another_end_is_refused(order: tuple[AnnualStep, ...]) -> None:
    with pytest.raises(AnnualOrderInvalid):
        AnnualTerms(order=order)
    with pytest.raises(AnnualOrderInvalid):
        AnnualTerms(QuarterTerms(mode=QuarterMode.STAND_ALONE))


def test_overspend_is_borne_by_the_sources_pro_rata_when_short() -> None:
    claims = [
        AnnualClaim(QuarterClaim("A", 1, 100, 100, 70), 1_100_00),
        AnnualClaim(QuarterClaim("B", 1, 100, 100, 70), 1_200_00),
        AnnualClaim(QuarterClaim("C", 1, 100, 100, 70), 900_00),
    ]
    sources = (FundSource("adjustment", 30_01), FundSource("risk", 20_00))
    run = clear_year(3_000_00, 0, claims, AnnualTerms(bands=BANDS, sources=sources))
    assert check_year(run, claims, 3_000_00).unexplained_fen == 0
    # Claims of 50.00 each against 50.01: 25.01 and 25.00. What C leaves behind does not feed them.
    assert [line.line.bonuses_fen for line in run.lines] == [25_01, 25_00, 0]
    assert [line.line.band_withheld_fen for line in run.lines] == [0, 0, 50_00]
    assert dict(run.bonuses.draws) == {"adjustment": 30_01, "risk": 20_00}
    assert [line.bands.hospital_share_fen for line in run.lines] == [50_00, 150_00, 0]


def test_the_deposit_is_trued_up_released_and_forfeited() -> None:
    year = QuarterTerms(deposit_rate=Fraction("0.05"), assessment_place=AssessmentPlace.DEPOSIT)
    claim = replace(ONE, deductions_fen=0, deposit_held_fen=600_000_00, payments_recorded_fen=16_000_000_00)
    run = of_one(claim, AnnualTerms(year), deposit_release=Fraction("0.9"))
    (line,) = run.lines
    assert (line.line.deposit_target_fen, line.line.deposit_posting_fen) == (875_000_00, 275_000_00)
    assert (line.deposit_released_fen, line.final.deposit_forfeited_fen) == (787_500_00, 87_500_00)
    assert line.final.final_fen == 17_500_000_00 - 16_000_000_00 - 87_500_00
    assert line.line.assessment_withheld_fen == 0


def test_an_assessment_at_another_place_leaves_the_deposit_alone() -> None:
    with pytest.raises(AssessmentActsTwice):
        of_one(ONE, AnnualTerms(), deposit_release=Fraction("0.9"))


def test_offsets_come_last_in_dated_order_up_to_the_limit_and_a_negative_result_takes_none() -> None:
    owed = (Receivable("r2", date(2024, 1, 1), 300_000_00), Receivable("r1", date(2023, 1, 1), 200_000_00))
    claim = replace(ONE, payments_recorded_fen=15_300_000_00, receivables=owed)
    year = QuarterTerms(offset_limit_ratio=Fraction(1, 2))
    line = of_one(claim, AnnualTerms(year), advance_fen=1_200_000_00).lines[0]
    assert (line.line.offsets_fen, line.final.final_fen) == (300_000_00, 300_000_00)
    poor = of_one(replace(claim, payments_recorded_fen=17_000_000_00), AnnualTerms(year), advance_fen=1_200_000_00)
    assert (poor.lines[0].line.offsets_fen, poor.lines[0].final.final_fen) == (0, -1_100_000_00)


def test_release_by_score_and_by_grade() -> None:
    by_score = DepositRelease.SCORE_OVER_THRESHOLD
    assert release_share(by_score, score=Fraction(95), threshold=Fraction(90)) == 1
    assert release_share(by_score, score=Fraction(-1), threshold=Fraction(90)) == 0
    grades = {"优秀": Fraction(1), "合格": Fraction("0.8")}
    assert release_share(DepositRelease.GRADE_TABLE, grade="合格", grades=grades) == Fraction("0.8")
    with pytest.raises(GradeUnknown):
        release_share(DepositRelease.GRADE_TABLE, grade="不合格", grades=grades)


RUN_CLAIMS = [
    AnnualClaim(replace(ONE, hospital="A"), 20_000_000_00, 100, Fraction(1)),
    AnnualClaim(replace(ONE, hospital="B", payments_recorded_fen=9_000_000_00), 1_000_000_00),
]
RUN_TERMS = AnnualTerms(
    QuarterTerms(deposit_rate=Fraction("0.05")), bands=BANDS, sources=(FundSource("adjustment", 77),)
)
RUN = clear_year(FUND, 0, RUN_CLAIMS, RUN_TERMS)


@pytest.mark.parametrize("account", list(AnnualAccount))
def test_one_fen_added_to_an_annual_account_names_it(account: AnnualAccount) -> None:
    broken = replace(RUN, accounts={**RUN.accounts, account: RUN.accounts[account] + 1})
    with pytest.raises(InvariantBroken) as stopped:
        check_year(broken, RUN_CLAIMS, FUND)
    assert (stopped.value.law, stopped.value.account, stopped.value.unexplained_fen) == (
        ACCOUNT_TOTAL,
        account.value,
        1,
    )


@pytest.mark.parametrize("account", list(Account))
def test_one_fen_added_to_an_account_of_the_year_names_it(account: Account) -> None:
    year = replace(RUN.year, accounts={**RUN.year.accounts, account: RUN.year.accounts[account] + 1})
    with pytest.raises(InvariantBroken) as stopped:
        check_year(replace(RUN, year=year), RUN_CLAIMS, FUND)
    assert stopped.value.account == account.value


def test_a_fen_in_a_final_or_a_deposit_names_hospital_and_account() -> None:
    line = RUN.lines[1]
    more = replace(line, final=replace(line.final, final_fen=line.final.final_fen + 1))
    with pytest.raises(InvariantBroken) as final:
        check_year(replace(RUN, lines=(RUN.lines[0], more)), RUN_CLAIMS, FUND)
    assert final.value.account == "B/final"
    with pytest.raises(InvariantBroken) as identity:
        check_annual_line(more)
    assert identity.value.law == FINAL_IDENTITY
    with pytest.raises(InvariantBroken) as deposit:
        check_annual_line(replace(line, deposit_released_fen=line.deposit_released_fen + 1))
    assert deposit.value.law == DEPOSIT_IDENTITY


def test_a_case_too_few_and_a_swapped_ratio_stop_the_year() -> None:
    short = [replace(RUN_CLAIMS[0], year=replace(RUN_CLAIMS[0].year, cases=9)), RUN_CLAIMS[1]]
    with pytest.raises(InvariantBroken) as missing:
        check_year(RUN, short, FUND)
    assert missing.value.account == "A/cases"


def test_a_source_that_gave_more_than_was_paid_is_found() -> None:
    broken = replace(RUN, bonuses=replace(RUN.bonuses, draws={"adjustment": 76}))
    with pytest.raises(InvariantBroken) as stopped:
        check_year(broken, RUN_CLAIMS, FUND)
    assert stopped.value.law == SOURCES_IDENTITY
