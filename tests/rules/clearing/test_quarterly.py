"""A year of quarters (季度清算): one deposit, recorded payments, a negative transfer."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest

from fenzhi.rules.clearing.annual import ForfeitExceedsDeposit, annual_final
from fenzhi.rules.clearing.apportionment import apportion
from fenzhi.rules.clearing.assessment import AssessmentBase, AssessmentPlace, assessment_withheld
from fenzhi.rules.clearing.conservation import check_quarter
from fenzhi.rules.clearing.offsets import Receivable, offset_receivables
from fenzhi.rules.clearing.quarterly import (
    QuarterClaim,
    QuarterMode,
    QuarterRun,
    QuarterTerms,
    clear_quarter,
)
from fenzhi.rules.clearing.shares import PayBy, ShareMethod
from fenzhi.rules.clearing.statement import PostedAmounts
from fenzhi.rules.clearing.workings import quarter_working
from fenzhi.rules.point_value.point_value import FundRatioZero, NoCases, NoPoints
from fenzhi.rules.policy.fields import Layer, PolicyContent, PolicyDocument, PolicyValue
from fenzhi.rules.policy.resolved import PolicyNotEntered, resolve
from fenzhi.rules.refusals import InvariantBroken
from fenzhi.store.policy_files import national_policy

FIVE_PERCENT = QuarterTerms(deposit_rate=Fraction("0.05"))


def clear(fund: int, claim: QuarterClaim, terms: QuarterTerms = FIVE_PERCENT) -> QuarterRun:
    run = clear_quarter(fund, 0, [claim], terms)
    check_quarter(run, [claim], fund)
    return run


def test_the_year_order_of_posting_gives_the_published_amount() -> None:
    claim = QuarterClaim("H", 1, 2_500_000, 10, 7, deductions_fen=50_000_00, assessment_coefficient=Fraction("0.98"))
    (line,) = clear(17_500_000_00, claim, QuarterTerms()).lines
    assert (line.gross_fen, line.assessment_withheld_fen) == (17_500_000_00, 350_000_00)
    assert line.cleared_fen == 17_100_000_00


def test_the_assessment_acts_in_one_place_on_one_base() -> None:
    act = AssessmentPlace.COEFFICIENT
    assert assessment_withheld(1_000, 100, Fraction("0.9"), act, AssessmentBase.GROSS_LESS_DEDUCTIONS) == 90
    assert assessment_withheld(1_000, 100, Fraction("0.9"), AssessmentPlace.DEPOSIT, AssessmentBase.GROSS) == 0
    assert assessment_withheld(5, 0, Fraction("0.9"), act, AssessmentBase.GROSS) == 1
    assert assessment_withheld(1_000, 0, Fraction("1.02"), act, AssessmentBase.GROSS) == -20


def test_the_deposit_is_one_withholding_over_three_quarters() -> None:
    held, targets, postings = 0, [], []
    for cleared in (1_000_000_00, 2_400_000_10, 2_300_000_00):
        (line,) = clear(cleared, QuarterClaim("H", 1, 7, 10, 7, deposit_held_fen=held)).lines
        targets.append(line.deposit_target_fen)
        postings.append(line.deposit_posting_fen)
        held += line.deposit_posting_fen
        assert line.payable_fen == cleared - line.deposit_target_fen
    # The third quarter cleared less than thought: 5,000.01 of the deposit returns (120,000.005 was rounded up).
    assert targets == [50_000_00, 120_000_01, 115_000_00]
    assert postings == [50_000_00, 70_000_01, -5_000_01]
    assert held == 115_000_00


def test_a_hospital_that_was_paid_too_much_owes_it_unclipped() -> None:
    claim = QuarterClaim("H", 1, 7, 10, 7, payments_recorded_fen=1_200_000_00)
    (line,) = clear(1_000_000_00, claim).lines
    assert (line.payable_fen, line.transfer_fen) == (950_000_00, -250_000_00)


def test_the_next_cumulative_quarter_holds_the_earlier_debt_once() -> None:
    # The debt of the first quarter is not added again: the second quarter counts the whole year.
    claim = QuarterClaim("H", 1, 7, 10, 7, payments_recorded_fen=1_200_000_00, deposit_held_fen=50_000_00)
    (line,) = clear(2_000_000_00, claim).lines
    assert line.transfer_fen == 1_900_000_00 - 1_200_000_00


def test_deductions_beyond_the_share_leave_no_deposit() -> None:
    (line,) = clear(100, QuarterClaim("H", 1, 7, 10, 7, deductions_fen=500)).lines
    assert (line.cleared_fen, line.deposit_target_fen, line.payable_fen) == (-400, 0, -400)


def test_the_ledger_posts_the_difference_to_earlier_runs() -> None:
    first = PostedAmounts.of(clear(1_000, QuarterClaim("H", 1, 7, 10, 7)).lines[0])
    second = PostedAmounts.of(
        clear(2_500, QuarterClaim("H", 2, 9, 20, 14, deductions_fen=30, deposit_held_fen=50)).lines[0]
    )
    posting = second - first
    assert (posting.gross_fen, posting.deductions_fen, posting.payable_fen) == (1_500, 30, 2_346 - 950)
    assert first + posting == second


def test_stand_alone_quarters_build_the_same_deposit() -> None:
    alone = replace(FIVE_PERCENT, mode=QuarterMode.STAND_ALONE)
    first = clear(1_000_00, QuarterClaim("H", 1, 7, 10, 7), alone).lines[0]
    second = clear(
        1_000_10,
        QuarterClaim("H", 1, 7, 10, 7, deposit_held_fen=first.deposit_posting_fen, earlier_cleared_fen=1_000_00),
        alone,
    ).lines[0]
    assert (first.deposit_withheld_fen, second.deposit_withheld_fen) == (50_00, 50_01)
    assert second.payable_fen == 1_000_10 - 50_01


def test_old_debts_are_taken_in_dated_order_up_to_the_limit() -> None:
    debts = (Receivable("b", date(2023, 5, 1), 300), Receivable("a", date(2022, 5, 1), 200))
    assert offset_receivables(1_000, debts) == {"a": 200, "b": 300}
    assert offset_receivables(1_000, debts, limit_fen=250) == {"a": 200, "b": 50}
    assert offset_receivables(999, debts, limit_ratio=Fraction(1, 10)) == {"a": 99, "b": 0}
    assert offset_receivables(-5, debts) == {"a": 0, "b": 0}


def test_offsets_are_counted_to_date_and_taken_once() -> None:
    terms = replace(FIVE_PERCENT, deposit_rate=Fraction(0), offset_limit_ratio=Fraction(1, 2))
    debt = (Receivable("2023", date(2023, 12, 31), 30),)
    first = clear(100, QuarterClaim("H", 1, 7, 10, 7, payments_recorded_fen=60, receivables=debt), terms).lines[0]
    assert (first.offsets_fen, first.transfer_fen) == (20, 20)
    left = (replace(debt[0], open_fen=10),)
    second = clear(
        220,
        QuarterClaim("H", 1, 7, 10, 7, payments_recorded_fen=80, offset_earlier_fen=20, receivables=left),
        terms,
    ).lines[0]
    assert (second.offsets_fen, second.transfer_fen) == (30, 110)


def test_the_annual_transfer_is_what_was_cleared_less_what_was_paid() -> None:
    final = annual_final(17_100_000_00, payments_recorded_fen=15_300_000_00, advance_fen=1_200_000_00)
    assert final.final_fen == 600_000_00
    owed = annual_final(100, payments_recorded_fen=150, offsets_fen=5, deposit_held_fen=10, deposit_forfeited_fen=10)
    assert owed.final_fen == -65
    with pytest.raises(ForfeitExceedsDeposit):
        annual_final(100, payments_recorded_fen=0, deposit_held_fen=9, deposit_forfeited_fen=10)


def test_a_quarter_without_cases_points_or_ratio_has_typed_answers() -> None:
    with pytest.raises(NoCases):
        clear_quarter(100, 0, [], FIVE_PERCENT)
    with pytest.raises(NoPoints):
        clear_quarter(100, 0, [QuarterClaim("H", 1, 0, 10, 7)], FIVE_PERCENT)
    with pytest.raises(FundRatioZero):
        clear_quarter(100, 0, [QuarterClaim("H", 1, 7, 10, 0)], FIVE_PERCENT)
    with pytest.raises(InvariantBroken, match="once"):
        clear_quarter(100, 0, [QuarterClaim("H", 1, 7, 10, 7), QuarterClaim("H", 1, 7, 10, 7)], FIVE_PERCENT)


def test_every_fen_over_is_on_the_statement_as_a_remainder() -> None:
    claims = [QuarterClaim(code, 1, 1, 10, 7) for code in ("H1", "H2", "H3")]
    run = clear_quarter(1_000_000_001, 0, claims, QuarterTerms())
    assert [line.gross_fen for line in run.lines] == [333_333_334, 333_333_334, 333_333_333]
    # The printed value 4,761,904.7667 × 0.7 is 3,333,333.33669, that is 3,333,333.34.
    assert [line.remainder_fen for line in run.lines] == [0, 0, -1]
    working = quarter_working(run, run.lines[2])
    remainder = next(step for step in working if step.rule == "clearing.remainder")
    assert dict(remainder.values) == {
        "point_value_printed": "4761904.7667",
        "points": "1",
        "fund_ratio": "7/10",
        "printed_amount": "3333333.34",
        "remainder": "-0.01",
    }
    assert "尾差" in remainder.zh and "Remainder" in remainder.en


def test_the_working_follows_the_order_of_posting() -> None:
    claim = QuarterClaim(
        "H", 1, 7, 10, 7, deductions_fen=5, assessment_coefficient=Fraction("0.9"), payments_recorded_fen=20
    )
    run = clear(1_000, claim)
    working = quarter_working(run, run.lines[0])
    assert [step.rule for step in working] == [
        "clearing.share.default",
        "clearing.remainder",
        "clearing.deductions",
        "clearing.assessment",
        "clearing.deposit",
        "clearing.payable",
        "clearing.transfer",
    ]
    assert dict(working[-1].values)["transfer"] == "8.30"


def test_the_terms_come_from_policy() -> None:
    national = national_policy()

    def entered(key: str, text: str) -> PolicyValue:
        return PolicyValue(
            key, Layer.AREA, date(2025, 1, 1), PolicyContent(scalar=text), PolicyDocument("演示文件", part="二")
        )

    decimals, rate = entered("clearing.printed_decimals", "4"), entered("deposit.rate", "0.03")
    policy = resolve(national.fields, [*national.values, decimals, rate], date(2025, 3, 31))
    terms = QuarterTerms.from_policy(policy, phi_balance_fen=9)
    assert (terms.shares.method, terms.shares.pay_by, terms.mode) == (
        ShareMethod.DEFAULT,
        PayBy.APPORTION,
        QuarterMode.CUMULATIVE,
    )
    assert (terms.deposit_rate, terms.shares.phi_balance_fen) == (Fraction("0.03"), 9)
    assert terms.documents["deposit.rate"] == "演示文件 二"
    with pytest.raises(PolicyNotEntered):
        QuarterTerms.from_policy(resolve(national.fields, [*national.values, decimals], date(2025, 3, 31)))


def test_twelve_hundred_hospitals_share_in_a_moment_by_their_own_ratios() -> None:
    claims = [
        QuarterClaim(f"H{n:05d}", 1, 10**9 + n * 7_919, 10**9 + n * n * 104_729, 7 * 10**8 + n * n * 15_485)
        for n in range(1_200)
    ]
    terms = replace(FIVE_PERCENT, shares=replace(FIVE_PERCENT.shares, method=ShareMethod.RENORMALISE))
    run = clear_quarter(10**13 + 1, 4, claims, terms)
    assert sum(line.gross_fen for line in run.lines) == 10**13 + 1
    assert sum(apportion(10**13 + 1, {c.hospital: c.points for c in claims}).values()) == 10**13 + 1
