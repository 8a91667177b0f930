"""Modes beside DIP (支付方式): WE-56, WE-59, one mode per case, parts that add up."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.payment_modes.beside_points import (
    BelowStandard,
    DayBand,
    PatientAboveStandard,
    dip_with_icu_days,
    icu_supplement,
    item_payment,
    per_diem_payment,
    per_diem_points,
    single_disease_payment,
)
from fenzhi.rules.payment_modes.mode_of_case import (
    ModeFacts,
    ModeRuleUnreadable,
    NoMode,
    PaymentMode,
    cases_by_mode,
    mode_of,
    mode_rules,
)
from fenzhi.rules.payment_modes.rare_diseases import PayerLayer, SharedPayment, check_parts, share_among_payers
from fenzhi.rules.payment_modes.total_control import (
    ControlMethod,
    ControlUnreadable,
    control_rules,
    critical_share,
    limit_of,
    mean_cost_growth,
    total_and_mean,
)
from fenzhi.rules.point_value.point_value import PointValue
from fenzhi.rules.refusals import InvariantBroken


def row(mode: str, **columns: str) -> dict[str, str]:
    return {"groups": "", "levels": "", "departments": "", "agreement_modes": "", "mode": mode} | columns


RULES = mode_rules(
    [
        row("single_disease", groups="K35.3|K35.9", levels="1|2"),
        row("per_diem", agreement_modes="per_diem"),
        row("dip_icu_days", departments="重症医学科"),
        row("dip"),
    ]
)


@pytest.mark.parametrize(
    ("facts", "mode"),
    [
        (ModeFacts("K35.3", "2"), PaymentMode.SINGLE_DISEASE),
        (ModeFacts("K35.3", "3"), PaymentMode.DIP),
        (ModeFacts("K35.3", "1", agreement_mode="per_diem"), PaymentMode.SINGLE_DISEASE),
        (ModeFacts("F20", "2", agreement_mode="per_diem"), PaymentMode.PER_DIEM),
        (ModeFacts("J96", "3", "重症医学科"), PaymentMode.DIP_ICU_DAYS),
    ],
)
def test_a_case_has_the_mode_of_the_first_rule_that_fits(facts: ModeFacts, mode: PaymentMode) -> None:
    assert mode_of(facts, RULES) is mode


def test_a_table_that_does_not_read_and_a_case_without_mode_are_told() -> None:
    for broken in (row("free"), {"mode": "dip"}):
        with pytest.raises(ModeRuleUnreadable):
            mode_rules([broken])
    with pytest.raises(NoMode):
        mode_of(ModeFacts("X", "3"), RULES[:3])
    assert cases_by_mode({"1": PaymentMode.DIP, "2": PaymentMode.ITEM, "3": PaymentMode.DIP}) == {
        PaymentMode.DIP: 2, PaymentMode.ITEM: 1,
    }  # fmt: skip
    assert [mode for mode in PaymentMode if mode.shares_pool] == [
        PaymentMode.DIP, PaymentMode.DIP_ICU_DAYS, PaymentMode.PER_DIEM_POINTS,
    ]  # fmt: skip


def test_a_single_disease_pays_its_standard_and_the_hospital_bears_the_excess() -> None:
    over = single_disease_payment(12_000, 3_000, 10_000, BelowStandard.STANDARD)
    assert (over.fund_fen, over.hospital_fen) == (7_000, 2_000)
    kept = single_disease_payment(9_000, 3_000, 10_000, BelowStandard.STANDARD)
    assert (kept.fund_fen, kept.hospital_fen) == (7_000, -1_000)
    actual = single_disease_payment(9_000, 3_000, 10_000, BelowStandard.ACTUAL)
    assert (actual.fund_fen, actual.hospital_fen) == (6_000, 0)
    with pytest.raises(PatientAboveStandard):
        single_disease_payment(12_000, 10_001, 10_000, BelowStandard.STANDARD)


def test_per_diem_by_bands_of_the_stay() -> None:
    bands = (DayBand(1, 300_00), DayBand(31, 200_00), DayBand(91, 150_00))
    assert [per_diem_payment(days, bands) for days in (0, 1, 30, 31, 100)] == [
        0, 300_00, 9_000_00, 9_200_00, 9_000_00 + 12_000_00 + 1_500_00,
    ]  # fmt: skip
    assert per_diem_payment(1, (DayBand(1, 5),), Fraction(1, 2)) == 3
    assert per_diem_points(30, 25) == 750
    for broken in ((), (DayBand(2, 1),), (DayBand(1, 1), DayBand(1, 2))):
        with pytest.raises(ValueError, match="table"):
            per_diem_payment(1, broken)
    with pytest.raises(ValueError, match="negative"):
        per_diem_points(-1, 1)


def test_we_59_icu_days_beside_the_points() -> None:
    assert dip_with_icu_days(2_000, PointValue.stated(Fraction(10), 0), 6, 2, 1_500_00) == 26_000_00
    assert [icu_supplement(days, 2, 1_500_00) for days in (0, 2, 3)] == [0, 0, 1_500_00]


def test_item_payment() -> None:
    paid = item_payment(1_001, 901, Fraction(1, 2))
    assert (paid.fund_fen, paid.other_payers_fen, paid.hospital_fen) == (451, 550, 0)


CONTROLS = control_rules(
    [
        {"method": "critical_share", "levels": "2", "limit": "0.2"},
        {"method": "critical_share", "levels": "1", "limit": "0.07"},
        {"method": "mean_cost_growth", "levels": "2A|3", "limit": "0.05"},
    ]
)


def test_we_56_critical_share_and_growth_by_scope() -> None:
    assert limit_of(CONTROLS, ControlMethod.CRITICAL_SHARE, "3") is None
    cap = limit_of(CONTROLS, ControlMethod.CRITICAL_SHARE, "2")
    assert cap is not None
    share = critical_share(82, 400, cap)
    assert (share.share, share.is_over, share.admitted, share.over) == (Fraction(205, 1000), True, 80, 2)
    assert not critical_share(80, 400, cap).is_over
    growth_cap = limit_of(CONTROLS, ControlMethod.MEAN_COST_GROWTH, "3")
    assert growth_cap is not None
    growth = mean_cost_growth(half(8_000_00, "1.062"), 1, 8_000_00, growth_cap)
    assert (growth.excess_per_case_fen, growth.withheld_fen) == (96_00, 96_00)
    assert mean_cost_growth(8_400_00, 1, 8_000_00, growth_cap).withheld_fen == 0
    assert mean_cost_growth(0, 0, 8_000_00, growth_cap).withheld_fen == 0


def half(fen: int, times: str) -> int:
    exact = fen * Fraction(times)
    assert exact.denominator == 1
    return exact.numerator


def test_total_and_mean_together() -> None:
    assert total_and_mean(1_000, 950, 10, 92).paid_fen == 920
    assert total_and_mean(1_000, 900, 10, 92).paid_fen == 900
    assert total_and_mean(800, 900, 10, 92).withheld_fen == 0
    assert critical_share(0, 0, Fraction(1)).share == 0
    with pytest.raises(ValueError, match="among"):
        critical_share(2, 1, Fraction(1))
    with pytest.raises(ControlUnreadable):
        control_rules([{"method": "critical_share", "levels": "", "limit": "20%"}])


def test_three_payers_of_a_rare_disease_add_up() -> None:
    layers = [
        PayerLayer("basic", Fraction("0.7"), cap_fen=300_000_00, paid_this_year_fen=20_000_00),
        PayerLayer("major_illness", Fraction("0.6"), deductible_fen=10_000_00),
        PayerLayer("special_fund", Fraction("0.8")),
    ]
    shared = share_among_payers(1_000_000_00, 900_000_00, layers)
    assert shared.payers == (("basic", 280_000_00), ("major_illness", 366_000_00), ("special_fund", 203_200_00))
    assert shared.patient_fen == 150_800_00
    with pytest.raises(InvariantBroken):
        check_parts(SharedPayment(100, (("basic", 60),), 39))
    with pytest.raises(ValueError, match="covered"):
        share_among_payers(100, 101, layers)


@given(
    st.integers(0, 10**9),
    st.fractions(0, 1, max_denominator=100),
    st.lists(
        st.builds(
            PayerLayer,
            st.text(min_size=1, max_size=3),
            st.fractions(0, 1, max_denominator=100),
            st.integers(0, 10**8),
            st.none() | st.integers(0, 10**8),
            st.integers(0, 10**8),
        ),
        max_size=4,
    ),
)
def test_the_parts_always_add_up(cost: int, share: Fraction, layers: list[PayerLayer]) -> None:
    shared = share_among_payers(cost, int(cost * share), layers)
    assert sum(part for _, part in shared.payers) + shared.patient_fen == cost
    assert shared.patient_fen >= cost - int(cost * share)
