"""The band engine (分档): published tables, inclusive edges, caps, sources (WE-40, WE-41)."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenzhi.rules.clearing.bands import (
    Band,
    BandMeasure,
    BandMode,
    BandsUnreadable,
    BandTable,
    FundSource,
    band_result,
    band_table,
    pay_bonuses,
)
from fenzhi.rules.policy.fields import Layer, PolicyDocument, PolicyField, PolicyValue, Unit, read_content
from fenzhi.rules.policy.resolved import PolicyNotEntered, ResolvedPolicy, resolve


def table(
    *rows: tuple[str | None, str], mode: BandMode = BandMode.MARGINAL, inclusive: bool = True, **more: object
) -> BandTable:
    bands = tuple(Band(None if upto is None else Fraction(upto), inclusive, Fraction(share)) for upto, share in rows)
    return BandTable(bands, mode=mode, **more)  # type: ignore[arg-type]


SHENZHEN = table(("1", "1"), ("1.05", "0.6"), ("1.1", "0.5"), (None, "0"))


def test_we_40_marginal_bands_on_the_excess() -> None:
    result = band_result(1_000_000_00, 1_120_000_00, SHENZHEN)
    assert (result.bonus_fen, result.hospital_share_fen) == (55_000_00, 65_000_00)
    assert (result.overspend_fen, result.surplus_fen, result.ratio) == (120_000_00, 0, Fraction(112, 100))


def test_we_41_over_and_under_with_a_cap_of_the_quota() -> None:
    taicang = table(("1", "0.3"), ("1.2", "0.5"), (None, "0"), surplus_cap=Fraction("0.03"))
    assert band_result(1_000_000_00, 1_300_000_00, taicang).bonus_fen == 100_000_00
    under = band_result(1_000_000_00, 850_000_00, taicang)
    assert (under.surplus_fen, under.kept_fen, under.withheld_fen) == (150_000_00, 30_000_00, 120_000_00)
    assert band_result(1_000_000_00, 950_000_00, taicang).kept_fen == 15_000_00


@pytest.mark.parametrize(
    ("booked", "inclusive", "whole"),
    [
        (1_050_000_00, True, 30_000_00),  # exactly 5 %: still the first band
        (1_050_000_00, False, 25_000_00),
        (1_050_000_01, True, 25_000_01),  # half of 50,000.01, half up
        (1_100_000_00, True, 50_000_00),
        (1_100_000_00, False, 0),
    ],
)
def test_an_edge_belongs_to_the_band_that_says_so(booked: int, inclusive: bool, whole: int) -> None:
    rows = (("1", "1"), ("1.05", "0.6"), ("1.1", "0.5"), (None, "0"))
    bands = table(*rows, mode=BandMode.WHOLE_AMOUNT, inclusive=inclusive)
    assert band_result(1_000_000_00, booked, bands).bonus_fen == whole


def test_below_a_band_only_the_booked_amount_is_paid() -> None:
    rows = (("0.8", "0"), ("1", "1"), ("1.1", "0.5"), (None, "0"))
    assert band_result(1_000_00, 700_00, table(*rows, mode=BandMode.WHOLE_AMOUNT)).withheld_fen == 300_00
    assert band_result(1_000_00, 700_00, table(*rows)).withheld_fen == 100_00


def test_the_other_measure_turns_the_table_round() -> None:
    # u = payable ÷ booked: below 1 the fund bears half down to 0.9 and nothing beyond; above 1 all is kept.
    bands = table(("0.9", "0"), ("1", "0.5"), (None, "1"), measure=BandMeasure.PAYABLE_OVER_BOOKED)
    over = band_result(850_00, 1_000_00, bands)
    assert (over.bonus_fen, over.hospital_share_fen) == (50_00, 100_00)
    assert band_result(1_200_00, 1_000_00, bands).withheld_fen == 0


def test_a_denominator_not_above_zero_lies_in_the_outermost_band() -> None:
    assert band_result(0, 100, SHENZHEN).bonus_fen == 0
    assert band_result(-50, -100, SHENZHEN).kept_fen == 50
    assert band_result(0, 0, SHENZHEN).overspend_fen == 0


def test_the_assessment_multiplies_what_is_kept_or_borne() -> None:
    assert band_result(1_000_000_00, 1_120_000_00, SHENZHEN, Fraction("0.9")).bonus_fen == 49_500_00
    assert band_result(1_000, 900, SHENZHEN, Fraction("1.1")).kept_fen == 100


def test_sources_pay_in_order_and_pro_rata_when_short() -> None:
    sources = [FundSource("adjustment", 50), FundSource("risk", -5), FundSource("reserve", 50)]
    enough = pay_bonuses({"B": 30, "A": 60}, sources)
    assert (dict(enough.hospitals), dict(enough.draws)) == (
        {"A": 60, "B": 30},
        {"adjustment": 50, "risk": 0, "reserve": 40},
    )
    short = pay_bonuses({"A": 100, "B": 100, "C": 101}, sources)
    assert (dict(short.hospitals), sum(short.draws.values())) == ({"A": 33, "B": 33, "C": 34}, 100)


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (("1", "1"),),
        (("0.8", "1"), (None, "0")),
        (("1", "1"), ("0.9", "1"), (None, "0")),
        (("1", "1"), ("1", "1"), (None, "0")),
        (("1", "1.1"), (None, "0")),
        ((None, "1"), ("1", "0"), (None, "0")),
    ],
)
def test_a_table_that_does_not_cover_every_ratio_once_is_refused(rows: tuple[tuple[str | None, str], ...]) -> None:
    with pytest.raises(BandsUnreadable):
        table(*rows)


SHARES = st.fractions(0, 1, max_denominator=100)
EDGES = st.lists(st.fractions(0, 2, max_denominator=20), max_size=4, unique=True)


@given(
    EDGES,
    st.data(),
    st.integers(-(10**9), 10**9),
    st.integers(-(10**9), 10**9),
    st.sampled_from(BandMode),
    st.sampled_from(BandMeasure),
)
def test_no_band_gives_more_than_the_gap_or_takes_more(
    edges: list[Fraction], data: st.DataObject, payable: int, booked: int, mode: BandMode, measure: BandMeasure
) -> None:
    known = sorted({*edges, Fraction(1)})
    shares = data.draw(st.lists(SHARES, min_size=len(known) + 1, max_size=len(known) + 1))
    bands = tuple(
        Band(edge, data.draw(st.booleans()), share) for edge, share in zip([*known, None], shares, strict=True)
    )
    result = band_result(payable, booked, BandTable(bands, measure, mode))
    assert result.surplus_fen - result.overspend_fen == payable - booked
    assert 0 <= result.kept_fen <= result.surplus_fen and 0 <= result.bonus_fen <= result.overspend_fen
    assert result.kept_fen + result.withheld_fen == result.surplus_fen
    assert result.bonus_fen + result.hospital_share_fen == result.overspend_fen


FIELDS = {
    "applies": PolicyField("bands.applies", Unit.FLAG, "分档", "bands"),
    "table": PolicyField(
        "bands.table", Unit.TABLE, "表", "table", columns=("upto", "inclusive", "share"), optional=True
    ),
    "measure": PolicyField("bands.measure", Unit.METHOD, "口径", "u", allowed=tuple(BandMeasure), optional=True),
    "mode": PolicyField("bands.mode", Unit.METHOD, "方式", "mode", allowed=tuple(BandMode), optional=True),
    "surplus_cap": PolicyField("bands.surplus_cap", Unit.RATIO, "封顶", "cap", optional=True),
    "overspend_cap": PolicyField("bands.overspend_cap", Unit.RATIO, "封顶", "cap", optional=True),
}


def entered(**values: object) -> ResolvedPolicy:
    given_values = [
        PolicyValue(
            field.key, Layer.AREA, date(2025, 1, 1), read_content(field, values[name])[0], PolicyDocument("市文件")
        )
        for name, field in FIELDS.items()
        if name in values
    ]
    return resolve(FIELDS.values(), given_values, date(2025, 6, 1))


ROWS = [
    {"upto": "1", "inclusive": "true", "share": "1"},
    {"upto": "1.05", "inclusive": "true", "share": "0.6"},
    {"upto": "1.1", "inclusive": "true", "share": "0.5"},
    {"upto": "", "inclusive": "false", "share": "0"},
]


def test_bands_are_read_from_policy_and_never_assumed() -> None:
    assert band_table(entered(applies="false")) is None
    read = band_table(entered(applies="true", table=ROWS, measure="booked_over_payable", mode="marginal"))
    assert read == BandTable((*SHENZHEN.bands[:3], Band(None, False, Fraction(0))))
    with pytest.raises(PolicyNotEntered):
        band_table(entered())
    with pytest.raises(PolicyNotEntered):
        band_table(entered(applies="true"))
    with pytest.raises(BandsUnreadable):
        band_table(entered(applies="true", table=[{**ROWS[0], "inclusive": "yes"}], measure="booked_over_payable"))
