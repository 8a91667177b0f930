"""One case, one mode, one payment; purses that the budget set aside."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fenzhi.rules.fund.budget import SetAside
from fenzhi.rules.payment_modes.beside_points import BelowStandard, DayBand
from fenzhi.rules.payment_modes.case_modes import (
    ModeCase,
    ModeOutcome,
    ModeTerms,
    ModeTermsMissing,
    Purse,
    is_plain,
    outcome_of,
    purses,
)
from fenzhi.rules.payment_modes.mode_of_case import ModeFacts, NoMode, PaymentMode, mode_rules

TABLE = mode_rules(
    {"groups": groups, "levels": levels, "departments": "", "agreement_modes": agreement, "mode": mode}
    for groups, levels, agreement, mode in (
        ("K35|K80", "", "", "single_disease"),
        ("F20", "", "", "per_diem_points"),
        ("", "primary|secondary", "per_diem", "per_diem"),
        ("", "tertiary", "item", "item"),
        ("", "", "drg", "drg"),
        ("", "", "", "dip"),
    )
)
TERMS = ModeTerms(
    TABLE,
    {"K35": 1_000_000},
    BelowStandard.STANDARD,
    (DayBand(1, 30_000), DayBand(31, 20_000)),
    {"F20": Fraction("12.5")},
)


def case(group: str = "I63", level: str = "tertiary", agreement: str = "dip", total: int = 1_200_000) -> ModeCase:
    return ModeCase(ModeFacts(group, level, agreement_mode=agreement), total, total - 300_000, 300_000, 40)


def paid(outcome: ModeOutcome) -> tuple[str, int, int, int]:
    assert outcome.payment is not None
    one = outcome.payment
    assert one.cost_fen == one.fund_fen + one.other_payers_fen + one.hospital_fen
    return (outcome.mode.value, one.fund_fen, one.other_payers_fen, one.hospital_fen)


def test_the_disease_comes_first_then_the_level() -> None:
    # S60, S61: single diseases at their standard whatever the level, then per diem at levels 1 and 2, item at 2A and 3.
    assert paid(outcome_of(case("K35"), TERMS, 4)) == ("single_disease", 700_000, 300_000, 200_000)
    assert paid(outcome_of(case("K35", "primary", "per_diem"), TERMS, 4))[0] == "single_disease"
    # 30 days at 300.00 and 10 at 200.00.
    assert paid(outcome_of(case(level="primary", agreement="per_diem"), TERMS, 4)) == (
        "per_diem", 1_100_000, 300_000, -200_000,
    )  # fmt: skip
    assert paid(outcome_of(case(agreement="item"), TERMS, 4)) == ("item", 900_000, 300_000, 0)
    assert outcome_of(case("F20"), TERMS, 4) == ModeOutcome(PaymentMode.PER_DIEM_POINTS, points=40 * 125_000)
    assert outcome_of(case(agreement="drg"), TERMS, 4) == ModeOutcome(PaymentMode.DRG)
    assert outcome_of(case(), TERMS, 4) == ModeOutcome(PaymentMode.DIP)


def test_a_cost_below_the_standard_by_either_reading() -> None:
    below = case("K35", total=800_000)
    assert paid(outcome_of(below, TERMS, 4))[1:] == (700_000, 300_000, -200_000)
    actual = ModeTerms(TABLE, TERMS.standards, BelowStandard.ACTUAL)
    assert paid(outcome_of(below, actual, 4))[1:] == (500_000, 300_000, 0)


@pytest.mark.parametrize("one", [case("K80"), case(level="primary", agreement="per_diem"), case("F20")])
def test_a_mode_without_its_standard_is_refused_never_paid_by_points(one: ModeCase) -> None:
    with pytest.raises(ModeTermsMissing):
        outcome_of(one, ModeTerms(TABLE), 4)
    with pytest.raises(NoMode):
        outcome_of(one, ModeTerms(()), 4)


def test_what_the_budget_set_aside_does_not_leave_the_fund_again() -> None:
    found = purses({PaymentMode.PER_DIEM: 500, PaymentMode.ITEM: 80}, {"per_diem": 300, "item": 100})
    assert found == (Purse(SetAside.ITEM, 80, 100), Purse(SetAside.PER_DIEM, 500, 300))
    assert [one.from_pool_fen for one in found] == [0, 200]
    assert sum(one.from_pool_fen for one in purses({PaymentMode.PER_DIEM: 500}, {})) == 500


def test_points_alone_are_seen_without_asking_every_case() -> None:
    national = mode_rules(
        {"groups": "", "levels": "", "departments": "", "agreement_modes": mode if mode != "dip" else "", "mode": mode}
        for mode in ("per_diem", "drg", "item", "dip")
    )
    assert is_plain(national, ["dip"])
    assert not is_plain(national, ["dip", "item"])
    assert not is_plain(TABLE, ["dip"])
