"""Periods and editions (结算期与版本)."""

from __future__ import annotations

from datetime import date

import pytest

from fenzhi.rules.editions import Effective, EffectiveValues, NothingInForce
from fenzhi.rules.periods import SettlementMonth, SettlementQuarter


def test_a_quarter_knows_its_months_and_days() -> None:
    quarter = SettlementQuarter.parse("2024Q1")
    assert [str(month) for month in quarter.months] == ["2024-01", "2024-02", "2024-03"]
    assert (quarter.first_day, quarter.last_day) == (date(2024, 1, 1), date(2024, 3, 31))
    assert SettlementMonth.parse("2024-02").last_day == date(2024, 2, 29)
    assert SettlementQuarter.of(date(2024, 12, 31)) == SettlementQuarter(2024, 4)
    assert len(SettlementQuarter(2024, 3).months_to_date) == 9


@pytest.mark.parametrize("text", ["2024-13", "2024-1", "2024Q5", "２０２４-01", "2024-01 ", ""])
def test_other_texts_are_not_periods(text: str) -> None:
    with pytest.raises(ValueError):
        SettlementMonth.parse(text)
    with pytest.raises(ValueError):
        SettlementQuarter.parse(text)


def test_the_edition_is_the_one_of_the_date() -> None:
    editions = EffectiveValues(
        [Effective(date(2025, 1, 1), "2.0"), Effective(date(2020, 10, 1), "1.0")], name_zh="目录", name_en="catalog"
    )
    assert editions.in_force(date(2024, 12, 31)) == "1.0"
    assert editions.in_force(date(2025, 1, 1)) == "2.0"
    with pytest.raises(NothingInForce) as nothing:
        editions.in_force(date(2020, 9, 30))
    assert nothing.value.zh == "2020-09-30 没有生效的目录。"


def test_two_values_on_one_day_are_no_law() -> None:
    with pytest.raises(ValueError, match="2025-01-01"):
        EffectiveValues(
            [Effective(date(2025, 1, 1), 1), Effective(date(2025, 1, 1), 2)], name_zh="系数", name_en="coefficient"
        )
