"""The annual statement explains itself, step by step, to the fen (年度结算单计算过程)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from fenzhi.rules.clearing.annual_clearing import AnnualClaim, AnnualStep, AnnualTerms, clear_year
from fenzhi.rules.clearing.assessment import AssessmentBase, AssessmentPlace
from fenzhi.rules.clearing.bands import Band, BandTable, FundSource
from fenzhi.rules.clearing.quarterly import QuarterClaim, QuarterTerms, clear_quarter
from fenzhi.rules.clearing.shares import ShareOrder
from fenzhi.rules.clearing.workings import annual_working, quarter_working
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.point_value.point_value_methods import PointValueMethod, PriceTerms

HALF = BandTable((Band(Fraction(1), True, Fraction(1, 2)), Band(None, False, Fraction(1, 2))))
CLAIM = QuarterClaim("A", 1, 100, 1_000, 700, deductions_fen=40, assessment_coefficient=Fraction("0.9"),
                     payments_recorded_fen=300, floor_lack_fen=7)  # fmt: skip


def test_the_year_step_by_step_in_the_order_of_the_policy() -> None:
    order = (AnnualStep.DEDUCTIONS, AnnualStep.ASSESSMENT, AnnualStep.BANDS, AnnualStep.DEPOSIT, AnnualStep.OFFSETS)
    terms = AnnualTerms(
        QuarterTerms(
            ShareOrder(floor_balance_fen=7),
            assessment_base=AssessmentBase.RUNNING,
            deposit_rate=Fraction("0.05"),
            price=PriceTerms(PointValueMethod.FIXED, PointValue.stated(Fraction("0.2"), 0)),
        ),
        order,
        HALF,
        sources=(FundSource("adjustment", 10),),
    )
    claims = [AnnualClaim(CLAIM, 2_000, 50), AnnualClaim(replace(CLAIM, hospital="B", floor_lack_fen=0), 100)]
    run = clear_year(4_000, 0, claims, terms)
    steps = {step.rule: dict(step.values) for step in annual_working(run, run.lines[0])}
    assert list(steps) == [
        "clearing.point_value.fixed", "clearing.share.default", "clearing.remainder", "clearing.floor",
        "clearing.deductions", "clearing.assessment", "clearing.band_result", "clearing.bonuses", "clearing.deposit",
        "clearing.deposit_release", "clearing.final",
    ]  # fmt: skip
    assert steps["clearing.point_value.fixed"] == {
        "floating_point_value": "0.2857", "paid_point_value": "0.2000", "floating_share": "20.00",
        "priced_share": "14.00", "difference": "6.00",
    }  # fmt: skip
    assert steps["clearing.share.default"]["gross"] == "14.07"
    assert steps["clearing.floor"] == {"floor": "0.07"}
    # 1,407 less 40 is 1,367; a tenth of it is withheld. 2,000 booked less 1,367: 633, half of it 317, of which 10 is there.
    assert steps["clearing.assessment"] == {"assessment": "1.37"}
    assert (steps["clearing.band_result"]["overspend"], steps["clearing.band_result"]["borne_by_fund_if_funded"]) == (
        "6.33", "3.17",
    )  # fmt: skip
    assert steps["clearing.bonuses"] == {"bonuses": "0.10"}
    assert steps["clearing.final"] == {
        "cleared": "12.40", "payments_recorded": "3.00", "offsets": "0.00", "advance": "0.50", "forfeited": "0.00",
        "final": "8.90",
    }  # fmt: skip
    assert run.lines[0].final.final_fen == 890
    assert all(step.zh and step.en for step in annual_working(run, run.lines[1]))


def test_a_forfeited_deposit_is_told() -> None:
    terms = AnnualTerms(QuarterTerms(deposit_rate=Fraction("0.05"), assessment_place=AssessmentPlace.DEPOSIT))
    run = clear_year(1_000, 0, [AnnualClaim(replace(CLAIM, deductions_fen=0), deposit_release=Fraction(1, 2))], terms)
    steps = {step.rule: dict(step.values) for step in annual_working(run, run.lines[0])}
    assert steps["clearing.deposit_release"] == {"deposit": "0.50", "released": "0.25", "forfeited": "0.25"}
    assert steps["clearing.final"]["final"] == "6.75"


def test_a_floating_quarter_says_nothing_of_other_prices() -> None:
    run = clear_quarter(1_000, 0, [CLAIM], QuarterTerms())
    assert run.paid_point_value == run.point_value
    assert quarter_working(run, run.lines[0])[0].rule == "clearing.share.default"
