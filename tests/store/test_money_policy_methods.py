"""Every money method a policy may name exists in the rules, and no other (资金策略方法与规则一致)."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

import pytest

from fenzhi.rules.clearing.annual_clearing import AnnualStep
from fenzhi.rules.clearing.bands import BandBase, BandMeasure, BandMode, band_table
from fenzhi.rules.clearing.deposit_release import DepositRelease
from fenzhi.rules.clearing.scoped_clearing import PointValueScope
from fenzhi.rules.clearing.shares import ClaimFormula
from fenzhi.rules.deadlines.clearing_calendar import policy_clearing_due
from fenzhi.rules.deadlines.legal_clocks import ClockTerms
from fenzhi.rules.fund.budget import BudgetMethod
from fenzhi.rules.payment_modes.beside_points import BelowStandard
from fenzhi.rules.payment_modes.mode_of_case import ModeFacts, PaymentMode, mode_of, policy_mode_rules
from fenzhi.rules.payment_modes.total_control import policy_control_rules
from fenzhi.rules.point_value.benchmark_zone import BenchmarkZone
from fenzhi.rules.point_value.point_value import Basis
from fenzhi.rules.point_value.point_value_methods import PointValueMethod, PriceTerms, price_terms
from fenzhi.rules.policy.resolved import PolicyNotEntered, resolve
from fenzhi.rules.review.eligibility import EligibilityTerms, SpecialReason
from fenzhi.rules.review.outcome import SpecialFunding
from fenzhi.store.policy_files import national_policy


@pytest.mark.parametrize(
    ("key", "methods"),
    [
        ("clearing.claim", ClaimFormula),
        ("point_value.method", PointValueMethod),
        ("point_value.basis", Basis),
        ("point_value.benchmark_zone", BenchmarkZone),
        ("point_value.scope", PointValueScope),
        ("bands.measure", BandMeasure),
        ("bands.mode", BandMode),
        ("bands.acts_on", BandBase),
        ("annual.order", AnnualStep),
        ("annual.deposit_release", DepositRelease),
        ("budget.method", BudgetMethod),
        ("special_case.funding", SpecialFunding),
        ("special_case.reasons", SpecialReason),
        ("payment_mode.single_disease_below", BelowStandard),
    ],
)
def test_a_money_method_named_by_policy_is_a_method_of_the_rules(key: str, methods: type[StrEnum]) -> None:
    assert set(national_policy().field(key).allowed) == {method.value for method in methods}


def test_what_no_national_text_sets_is_refused_and_what_one_sets_reads() -> None:
    national = national_policy()
    policy = resolve(national.fields, national.values, date(2025, 12, 31))
    with pytest.raises(PolicyNotEntered) as bands:
        band_table(policy)
    assert bands.value.details["key"] == "bands.applies"
    assert policy_control_rules(policy) == ()
    assert price_terms(policy, 4) == PriceTerms()
    assert ClockTerms.from_policy(policy) == ClockTerms(10, 30, 15)
    assert policy_clearing_due(policy, 2025).due == date(2026, 5, 31)
    terms = EligibilityTerms.from_policy(policy)
    assert (terms.cost_multiple, terms.multiple_inclusive, terms.high_cost_always) == (2, False, True)
    rules = policy_mode_rules(policy)
    assert mode_of(ModeFacts("K35.3", "3"), rules) is PaymentMode.DIP
    assert mode_of(ModeFacts("F20", "3", agreement_mode="per_diem"), rules) is PaymentMode.PER_DIEM
