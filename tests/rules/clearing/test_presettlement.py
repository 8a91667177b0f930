"""A month pre-settled (月度预结算)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest

from fenzhi.rules.clearing.conservation import check_month
from fenzhi.rules.clearing.presettlement import (
    MonthClaim,
    MonthMethod,
    MonthRun,
    MonthTerms,
    cash_cap,
    presettle_month,
)
from fenzhi.rules.clearing.statement import Account
from fenzhi.rules.clearing.workings import month_working
from fenzhi.rules.point_value.point_value import Basis, BasisMismatch, PointValue
from fenzhi.rules.policy.fields import Layer, PolicyContent, PolicyDocument, PolicyValue
from fenzhi.rules.policy.resolved import PolicyNotEntered, ResolvedPolicy, resolve
from fenzhi.store.policy_files import national_policy

# 10.5 yuan per point.
PRICE = PointValue(1_050, 1_050, 1_050, 1, 0)
TERMS = MonthTerms(PRICE, Fraction("0.7"), Fraction("0.9"))


def settle(claim: MonthClaim, terms: MonthTerms = TERMS) -> MonthRun:
    run = presettle_month([claim], terms)
    check_month(run, [claim])
    return run


def test_the_draft_formula_gives_the_published_amount() -> None:
    terms = replace(TERMS, method=MonthMethod.SP_MINUS_PATIENT)
    (line,) = settle(MonthClaim("H", 1, 12_000, 0, 0, 36_000_00, 1_500_00), terms).lines
    assert (line.gross_fen, line.payable_fen) == (90_000_00, 79_500_00)
    assert line.not_prepaid_fen == 9_000_00


def test_by_default_the_ratio_of_last_year_prices_the_month() -> None:
    (line,) = settle(MonthClaim("H", 1, 12_000, 0, 0, 36_000_00, 1_500_00)).lines
    assert line.gross_fen == 88_200_00
    assert line.payable_fen == line.transfer_fen == 77_880_00
    assert line.deposit_withheld_fen == 0


def test_rounding_goes_away_from_zero_on_both_sides() -> None:
    half = replace(TERMS, fund_ratio=Fraction(1), prepay_ratio=Fraction(1, 2))
    # 1,050 fen × 1/2 is whole; 1.05 fen per unit gives halves.
    odd = replace(half, point_value=PointValue(1, 1, 1, 1, 0))
    assert settle(MonthClaim("H", 1, 5, 0, 0), odd).lines[0].payable_fen == 3
    negative = settle(MonthClaim("H", 1, 5, 0, 0, deductions_fen=10), odd).lines[0]
    assert negative.payable_fen == -8
    assert negative.not_prepaid_fen == 5 - (10 - 8)


def test_the_cash_cap_cuts_and_does_not_carry() -> None:
    line = settle(MonthClaim("H", 1, 12_000, 0, 0, cash_cap_fen=50_000_00)).lines[0]
    assert (line.cash_cut_fen, line.payable_fen) == (79_380_00 - 50_000_00, 50_000_00)
    free = settle(MonthClaim("H", 1, 12_000, 0, 0, cash_cap_fen=79_380_00)).lines[0]
    assert free.cash_cut_fen == 0


def test_a_month_may_withhold_the_deposit_as_one_withholding() -> None:
    terms = replace(TERMS, deposit_rate=Fraction("0.05"), prepay_ratio=Fraction(1))
    first = settle(MonthClaim("H", 1, 12_000, 0, 0), terms).lines[0]
    assert (first.cleared_fen, first.deposit_posting_fen) == (88_200_00, 4_410_00)
    second = settle(
        MonthClaim("H", 1, 12_000, 0, 0, deposit_held_fen=4_410_00, earlier_cleared_fen=88_200_00), terms
    ).lines[0]
    assert (second.deposit_target_fen, second.deposit_posting_fen) == (8_820_00, 4_410_00)


def test_a_ratio_that_stands_for_the_deposit_leaves_the_held_deposit_alone() -> None:
    line = settle(MonthClaim("H", 1, 12_000, 0, 0, deposit_held_fen=9_00)).lines[0]
    assert (line.deposit_posting_fen, line.deposit_target_fen) == (0, 9_00)


def test_a_price_in_fund_yuan_is_refused() -> None:
    with pytest.raises(BasisMismatch):
        presettle_month([], replace(TERMS, point_value=replace(PRICE, basis=Basis.FUND)))


def test_accounts_add_up_over_hospitals_in_bytes_order() -> None:
    run = presettle_month([MonthClaim("H2", 1, 3, 0, 0), MonthClaim("H1", 2, 5, 0, 0)], TERMS)
    assert [line.hospital for line in run.lines] == ["H1", "H2"]
    assert run.accounts[Account.POOL] == run.accounts[Account.GROSS] == sum(line.gross_fen for line in run.lines)


def policy(*values: tuple[str, str]) -> ResolvedPolicy:
    national = national_policy()
    paper = PolicyDocument("演示文件")
    entered = [
        PolicyValue(key, Layer.AREA, date(2025, 1, 1), PolicyContent(scalar=text), paper) for key, text in values
    ]
    return resolve(national.fields, [*national.values, *entered], date(2025, 6, 1))


def test_the_terms_come_from_policy_and_ask_for_what_they_need_only() -> None:
    base = (("presettlement.prepay_ratio", "0.95"), ("clearing.printed_decimals", "4"))
    stands = MonthTerms.from_policy(
        policy(*base, ("presettlement.ratio_stands_for_deposit", "true")), PRICE, Fraction(1)
    )
    assert (stands.method, stands.prepay_ratio, stands.deposit_rate) == (MonthMethod.SP_PHI, Fraction("0.95"), 0)
    assert stands.documents["presettlement.prepay_ratio"] == "演示文件"
    with pytest.raises(PolicyNotEntered) as missing:
        MonthTerms.from_policy(policy(*base, ("presettlement.ratio_stands_for_deposit", "false")), PRICE, Fraction(1))
    assert missing.value.details["key"] == "deposit.rate"


def test_the_lower_of_two_cash_caps_holds() -> None:
    assert cash_cap(policy(), 100) is None
    assert cash_cap(policy(("presettlement.cash_cap_amount", "3.00")), 100) == 300
    both = policy(("presettlement.cash_cap_amount", "3.00"), ("presettlement.cash_cap_of_booked", "1.5"))
    assert (cash_cap(both, 100), cash_cap(both, 10_000), cash_cap(both, -5)) == (150, 300, 0)


def test_the_working_says_it_in_both_languages() -> None:
    run = settle(MonthClaim("H", 1, 12_000, 0, 0, 36_000_00, 1_500_00, cash_cap_fen=50_000_00))
    steps = month_working(run, run.lines[0])
    assert [step.rule for step in steps] == [
        "presettlement.sp_phi",
        "clearing.remainder",
        "presettlement.prepay_ratio",
        "presettlement.cash_cap",
        "clearing.payable",
    ]
    assert all(step.zh and step.en for step in steps)
    assert dict(steps[1].values)["remainder"] == "0.00"
    assert dict(steps[-1].values)["payable"] == "50000.00"
