"""Which county settles what, by the table of the area."""

from __future__ import annotations

import pytest

from fenzhi.rules.fund.delegation import DelegatedDuty, DelegationUnreadable, is_delegated

TABLE = [{"county": "990122", "duties": "payment"}, {"county": "990123", "duties": "payment|deduction"}]


@pytest.mark.parametrize(
    ("county", "duty", "yes"),
    [
        ("990122", DelegatedDuty.PAYMENT, True),
        ("990122", DelegatedDuty.DEDUCTION, False),
        ("990123", DelegatedDuty.DEDUCTION, True),
        ("990124", DelegatedDuty.PAYMENT, False),
    ],
)
def test_a_county_settles_what_a_row_leaves_to_it(county: str, duty: DelegatedDuty, yes: bool) -> None:
    assert is_delegated(TABLE, county, duty) is yes


def test_a_blank_county_is_every_county_and_an_empty_table_is_none() -> None:
    assert is_delegated([{"county": "", "duties": "payment"}], "990124", DelegatedDuty.PAYMENT)
    assert not is_delegated([], "990122", DelegatedDuty.PAYMENT)


@pytest.mark.parametrize("row", [{"county": "990122", "duties": "scores"}, {"duties": "payment"}])
def test_scores_are_never_left_to_a_county(row: dict[str, str]) -> None:
    with pytest.raises(DelegationUnreadable):
        is_delegated([*TABLE, row], "990122", DelegatedDuty.PAYMENT)
