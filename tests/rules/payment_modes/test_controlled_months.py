"""Laws of the modes beside the points and of total control (支付方式与总额控制定律), by property test."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.fund.budget import PurseClaim, refuse_paid_twice
from fenzhi.rules.payment_modes.beside_points import BelowStandard, CasePayment, DayBand
from fenzhi.rules.payment_modes.case_modes import (
    PURSES,
    ModeCase,
    ModeTerms,
    Unjudged,
    outcome_of,
    purses,
)
from fenzhi.rules.payment_modes.controlled_months import (
    HELD_BACK,
    PARTS,
    TOTAL,
    ControlTerms,
    ControlTermsMissing,
    Month,
    PaidCase,
    check_beside,
    held_back,
    over_the_share,
)
from fenzhi.rules.payment_modes.mode_of_case import ModeFacts, ModeRule, PaymentMode, mode_rules
from fenzhi.rules.payment_modes.rare_diseases import LayersUnreadable, PayerLayer, payer_layers
from fenzhi.rules.payment_modes.total_control import ControlMethod, ControlRule
from fenzhi.rules.refusals import InvariantBroken

FIRST = date(2025, 1, 1)
PLACE = Month("H1", 202501, "secondary")
SHARES = st.fractions(0, 2, max_denominator=50)
MODES = st.sampled_from(sorted(TOTAL))


@st.composite
def months(draw: Any) -> list[PaidCase]:
    numbers = draw(st.lists(st.integers(0, 10**4), unique=True, max_size=12))
    return [
        PaidCase(
            f"{n:05}",
            FIRST + timedelta(days=draw(st.integers(0, 9))),
            draw(MODES),
            draw(st.integers(0, 10**8)),
            draw(st.integers(0, 10**8)),
        )
        for n in numbers
    ]


@st.composite
def terms(draw: Any) -> ControlTerms:
    rules = tuple(
        ControlRule(method, frozenset(), draw(SHARES))
        for method in draw(st.lists(st.sampled_from(sorted(ControlMethod)), unique=True))
    )
    return ControlTerms(rules, *({"H1": draw(st.integers(0, 10**8))} for _ in range(3)))


@given(months(), terms(), st.randoms(use_true_random=False))
def test_what_is_held_back_is_part_of_what_was_approved_whatever_the_order(
    paid: list[PaidCase], given_terms: ControlTerms, random: Any
) -> None:
    findings, held = held_back(PLACE, paid, given_terms)
    assert sum(held.values()) == sum(one.withheld_fen for one in findings)
    assert all(0 <= held[one.case_id] <= one.fund_fen for one in paid) and set(held) == {one.case_id for one in paid}
    check_beside(
        {one.case_id: (CasePayment(one.cost_fen, one.fund_fen, 0), held[one.case_id]) for one in paid}, findings
    )
    shuffled = list(paid)
    random.shuffle(shuffled)
    assert held_back(PLACE, shuffled, given_terms) == (findings, held)
    by_growth = {one.method: one for one in findings}.get(ControlMethod.MEAN_COST_GROWTH)
    if by_growth is not None:
        # Never more than the excess of the mean, case by case, and never more than there is.
        excess = max(
            Fraction(0),
            Fraction(by_growth.cost_fen, by_growth.cases) - given_terms.prior_means["H1"] * (1 + by_growth.limit),
        )
        assert by_growth.withheld_fen <= excess * by_growth.cases + Fraction(1, 2)
        assert by_growth.withheld_fen <= by_growth.claim_fen
    by_total = {one.method: one for one in findings}.get(ControlMethod.TOTAL_AND_MEAN)
    if by_total is not None:
        left = by_total.claim_fen - by_total.withheld_fen
        assert left <= given_terms.total_quotas["H1"] * by_total.limit + Fraction(1, 2)
        assert left <= given_terms.mean_quotas["H1"] * by_total.limit * by_total.cases + Fraction(1, 2)


@given(months(), st.integers(0, 20), SHARES, st.randoms(use_true_random=False))
def test_critical_cases_keep_their_share_whatever_the_order(
    paid: list[PaidCase], others: int, cap: Fraction, random: Any
) -> None:
    critical = [one._replace(mode=PaymentMode.PER_DIEM) for one in paid]
    all_cases = len(critical) + others
    checked = ControlTerms((ControlRule(ControlMethod.CRITICAL_SHARE, frozenset({"secondary"}), cap),))
    finding, over = over_the_share(PLACE, critical, all_cases, checked)
    assert finding is not None and finding.over_cases == len(over)
    admitted = len(critical) - len(over)
    assert admitted <= cap * all_cases and (not over or admitted + 1 > cap * all_cases)
    # Who leaves first is admitted first.
    kept = [one for one in critical if one.case_id not in over]
    latest = max((one.discharged_on for one in kept), default=FIRST)
    assert all(one.discharged_on >= latest for one in critical if one.case_id in over)
    random.shuffle(critical)
    assert over_the_share(PLACE, critical, all_cases, checked) == (finding, over)
    assert over_the_share(PLACE._replace(level="primary"), critical, all_cases, checked) == (None, frozenset())


def test_the_numbers_of_suqian() -> None:
    # WE-56: 8,496.00 against 8,000.00 × 1.05 is 96.00 a case; ties of the last fen go to the smaller id.
    growth = ControlTerms(
        (ControlRule(ControlMethod.MEAN_COST_GROWTH, frozenset(), Fraction(5, 100)),), {"H1": 800_000}
    )
    paid = [PaidCase(name, FIRST, PaymentMode.ITEM, 849_600, 600_000) for name in ("b", "a")]
    findings, held = held_back(PLACE, [*paid, PaidCase("c", FIRST, PaymentMode.PER_DIEM, 9_000_000, 1)], growth)
    assert ([one.withheld_fen for one in findings], held) == ([19_200], {"a": 9_600, "b": 9_600, "c": 0})
    odd = [one._replace(cost_fen=one.cost_fen + (one.case_id == "b")) for one in paid]
    assert held_back(PLACE, odd, growth)[1] == {"a": 9_601, "b": 9_600}
    # What growth held is not claimed of the quota: 12,000.00 − 192.00 against 11,000.00.
    both = replace(
        growth,
        rules=(*growth.rules, ControlRule(ControlMethod.TOTAL_AND_MEAN, frozenset(), Fraction(1))),
        total_quotas={"H1": 1_100_000},
        mean_quotas={"H1": 600_000},
    )
    findings, held = held_back(PLACE, paid, both)
    assert [(one.claim_fen, one.withheld_fen) for one in findings] == [(1_200_000, 19_200), (1_180_800, 80_800)]
    assert held == {"a": 50_000, "b": 50_000}
    with pytest.raises(ControlTermsMissing) as refused:
        held_back(PLACE._replace(hospital="H2"), paid, growth)
    assert "H2" in refused.value.en


@pytest.mark.parametrize(
    ("change", "law", "account"),
    [
        (lambda cases: cases | {"a": (CasePayment(10, 6, 4), 3)}, HELD_BACK, "control_withheld"),
        (lambda cases: cases | {"a": (CasePayment(10, 6, 4), 7)}, HELD_BACK, "a"),
        (lambda cases: cases | {"a": (CasePayment(10, -1, 4), 0)}, PARTS, "a"),
        (lambda cases: {"b": cases["b"]}, HELD_BACK, "control_withheld"),
    ],
)
def test_a_fen_or_a_case_astray_stops(change: Any, law: str, account: str) -> None:
    quota = ControlTerms(
        (ControlRule(ControlMethod.TOTAL_AND_MEAN, frozenset(), Fraction(1)),), {}, {"H1": 8}, {"H1": 100}
    )
    paid = [PaidCase("a", FIRST, PaymentMode.ITEM, 10, 6), PaidCase("b", FIRST, PaymentMode.ITEM, 10, 6)]
    findings, held = held_back(PLACE, paid, quota)
    cases = {one.case_id: (CasePayment(10, 6, 4), held[one.case_id]) for one in paid}
    check_beside(cases, findings)
    with pytest.raises(InvariantBroken) as broken:
        check_beside(change(cases), findings)
    assert (broken.value.law, broken.value.account) == (law, account)


LAYERS = (
    PayerLayer("basic", Fraction(7, 10), 0, 28_000_000),
    PayerLayer("major_illness", Fraction(6, 10), 1_000_000),
    PayerLayer("special_fund", Fraction(8, 10)),
)
TABLE = ModeTerms(
    mode_rules(
        {"groups": groups, "levels": "", "departments": departments, "agreement_modes": agreement, "mode": mode}
        for groups, departments, agreement, mode in (
            ("S", "", "", "single_disease"),
            ("P", "", "", "per_diem_points"),
            ("I", "", "", "dip_icu_days"),
            ("", "A28", "", "per_diem"),
            ("", "", "item", "item"),
            ("", "", "", "dip"),
        )
    ),
    {"S": 900_000},
    BelowStandard.STANDARD,
    (DayBand(1, 50_000),),
    {"P": Fraction("12.5")},
    150_000,
    2,
    LAYERS,
    ("Q87",),
)


@st.composite
def mode_cases(draw: Any) -> ModeCase:
    other, fund = draw(st.integers(0, 900_000)), draw(st.integers(0, 10**7))
    facts = ModeFacts(
        draw(st.sampled_from(["S", "P", "I", "O", ""])),
        "secondary",
        draw(st.sampled_from([None, "A28", "A03"])),
        draw(st.sampled_from(["item", "dip"])),
        principal_diagnosis=draw(st.sampled_from(["Q87.1", "I63.9"])),
    )
    return ModeCase(
        facts,
        fund + other,
        fund,
        other,
        draw(st.integers(0, 200)),
        draw(st.none() | st.integers(0, 200)),
        draw(st.none() | st.integers(0, 10**7)),
    )


@given(
    st.lists(mode_cases(), max_size=12),
    st.dictionaries(st.sampled_from(sorted(p.value for p in PURSES.values())), st.integers(0, 10**7)),
)
def test_every_mode_pays_in_parts_that_add_up_from_one_purse(cases: list[ModeCase], aside: dict[str, int]) -> None:
    outcomes = [outcome_of(case, TABLE, 4) for case in cases]
    claims, paid = [], dict[PaymentMode, int]()
    for n, (case, outcome) in enumerate(zip(cases, outcomes, strict=True)):
        payment = outcome.payment
        assert not (outcome.waits and payment), "a case that waits is not paid"
        if payment is None:
            continue
        assert payment.cost_fen == payment.fund_fen + payment.other_payers_fen + payment.hospital_fen
        assert payment.fund_fen >= 0 and payment.cost_fen in (0, case.total_fen)
        assert outcome.leaves_pool == (outcome.mode is not PaymentMode.DIP_ICU_DAYS)
        claims.append(PurseClaim(str(n), PURSES[outcome.mode].value, amount_fen=payment.fund_fen))
        paid[outcome.mode] = paid.get(outcome.mode, 0) + payment.fund_fen
        if outcome.shared is not None:
            parts = dict(outcome.shared.payers)
            assert len(parts) == 3 and sum(parts.values()) + outcome.shared.patient_fen == case.total_fen
            assert parts["basic"] == payment.fund_fen and payment.hospital_fen == 0
    assert sum(refuse_paid_twice(claims).values()) == sum(paid.values())
    for purse in purses(paid, aside):
        # What goes beyond a purse leaves the pool: nothing twice, nothing unpaid.
        assert purse.from_pool_fen == max(0, purse.paid_fen - aside.get(purse.set_aside.value, 0))


def test_silence_is_not_zero() -> None:
    def said(**facts: Any) -> Any:
        case = ModeCase(ModeFacts(facts.pop("group", "O"), "secondary", facts.pop("department", "A03"), principal_diagnosis=facts.pop("diagnosis", "I63")), 1_000, 600, 400, 5, **facts)  # fmt: skip
        return outcome_of(case, TABLE, 4)

    assert (said(group="I").unjudged, said(group="I").payment, said(group="I").waits) == (
        Unjudged.ICU_DAYS,
        None,
        False,
    )
    assert said(group="I", icu_days=2).payment is None and said(group="I", icu_days=2).unjudged is None
    assert said(group="I", icu_days=6).payment.fund_fen == 600_000
    untold = said(department=None)
    assert (untold.unjudged, untold.waits) == (Unjudged.DEPARTMENT, True)
    # A rule before it that needs no department decides without one.
    assert said(group="S", department=None).mode is PaymentMode.SINGLE_DISEASE
    rare = said(diagnosis="Q87.1")
    assert (rare.mode, rare.unjudged, rare.waits) == (PaymentMode.RARE_DISEASE, Unjudged.OWN_PAID, True)
    assert said(diagnosis="Q87.1", own_paid_fen=1_001).unjudged is Unjudged.OWN_PAID
    by_rule = ModeTerms((ModeRule(PaymentMode.RARE_DISEASE),), rare_layers=LAYERS)
    assert outcome_of(ModeCase(ModeFacts("O", "secondary"), 1_000, 600, 400, 5, own_paid_fen=0), by_rule, 4).payment == CasePayment(1_000, 700, 300)  # fmt: skip


@pytest.mark.parametrize("broken", [{"rate": "1.1"}, {"rate": "x"}, {"cap": "-1"}, {"payer": ""}, {"payer": "basic"}])
def test_a_table_of_payers_reads_or_says_which_row(broken: dict[str, str]) -> None:
    rows = [
        {"payer": "basic", "rate": "0.7", "deductible": "", "cap": "280000"},
        {"payer": "fund", "rate": "1", "deductible": "10", "cap": ""} | broken,
    ]
    with pytest.raises(LayersUnreadable, match="2"):
        payer_layers(rows)
    rows[1] |= {"payer": "fund", "rate": "1", "cap": ""}
    assert payer_layers(rows) == (
        PayerLayer("basic", Fraction(7, 10), 0, 28_000_000),
        PayerLayer("fund", Fraction(1), 1_000),
    )
