"""Annual terms and prices as an area's policy sets them (按策略确定口径)."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest

from fenzhi.rules.clearing.annual_clearing import DEFAULT_ORDER, AnnualTerms
from fenzhi.rules.clearing.bands import BandBase, FundSource
from fenzhi.rules.clearing.quarterly import QuarterMode, QuarterTerms
from fenzhi.rules.point_value.point_value import Basis, BasisMismatch, PointValue
from fenzhi.rules.point_value.point_value_methods import PointValueMethod, PriceNotStated, PriceTerms, price_terms
from fenzhi.rules.policy.fields import Layer, PolicyDocument, PolicyField, PolicyValue, Unit, read_content
from fenzhi.rules.policy.resolved import PolicyNotEntered, ResolvedPolicy, resolve

DAY = date(2025, 1, 1)
FIELDS = [
    PolicyField("annual.order", Unit.LIST, "次序", "order"),
    PolicyField("bands.applies", Unit.FLAG, "分档", "bands"),
    PolicyField("bands.table", Unit.TABLE, "表", "table", columns=("upto", "inclusive", "share")),
    PolicyField("bands.measure", Unit.METHOD, "口径", "u", allowed=("booked_over_payable",)),
    PolicyField("bands.mode", Unit.METHOD, "方式", "mode", allowed=("marginal",)),
    PolicyField("bands.acts_on", Unit.METHOD, "基数", "base", allowed=("running",)),
    PolicyField("bands.sources", Unit.LIST, "来源", "sources"),
    PolicyField("bands.surplus_cap", Unit.RATIO, "封顶", "cap", optional=True),
    PolicyField("bands.overspend_cap", Unit.RATIO, "封顶", "cap", optional=True),
    PolicyField("point_value.method", Unit.METHOD, "方式", "method", allowed=tuple(PointValueMethod)),
    PolicyField("point_value.basis", Unit.METHOD, "口径", "basis", allowed=tuple(Basis)),
    *(
        PolicyField(f"point_value.{name}", Unit.RATIO, name, name, optional=True)
        for name in ("fixed_value", "corridor_low", "corridor_high", "elastic_cap", "elastic_baseline_share")
    ),
]


def policy(**entered: object) -> ResolvedPolicy:
    values: list[PolicyValue] = []
    for field in FIELDS:
        plain = entered.get(field.key.replace(".", "__"))
        if plain is not None:
            content, faults = read_content(field, plain)
            assert faults == ()
            values.append(PolicyValue(field.key, Layer.AREA, DAY, content, PolicyDocument("市文件")))
    return resolve(FIELDS, values, DAY)


def test_the_annual_terms_take_order_bands_and_sources() -> None:
    found = AnnualTerms.from_policy(
        policy(
            annual__order=list(DEFAULT_ORDER),
            bands__applies="true",
            bands__table=[
                {"upto": "1", "inclusive": "true", "share": "1"},
                {"upto": "", "inclusive": "false", "share": "0"},
            ],
            bands__measure="booked_over_payable",
            bands__mode="marginal",
            bands__acts_on="running",
            bands__sources=["adjustment", "reserve"],
        ),
        QuarterTerms(mode=QuarterMode.STAND_ALONE),
        {"adjustment": 500},
    )
    assert (found.order, found.band_base, found.year.mode) == (DEFAULT_ORDER, BandBase.RUNNING, QuarterMode.CUMULATIVE)
    assert found.sources == (FundSource("adjustment", 500), FundSource("reserve", 0))
    assert found.bands is not None and found.bands.bands[1].upto is None


BUDGET = PointValue.stated(Fraction(10), 4)


def test_each_method_reads_its_own_keys() -> None:
    total = {"point_value__basis": "total_cost"}
    assert price_terms(policy(point_value__method="floating", **total), 4) == PriceTerms()
    fixed = price_terms(policy(point_value__method="fixed", point_value__fixed_value="9.5", **total), 4, balance_fen=7)
    assert (fixed.stated, fixed.balance_fen) == (PointValue.stated(Fraction("9.5"), 4), 7)
    corridor = policy(
        point_value__method="corridor", point_value__corridor_low="0.9", point_value__corridor_high="1.1", **total
    )
    found = price_terms(corridor, 4, budget=BUDGET)
    assert (found.low, found.high) == (9, 11)
    elastic = price_terms(
        policy(point_value__method="elastic", point_value__fixed_value="9", point_value__elastic_cap="8", **total), 4
    )
    assert (elastic.increment_cap, elastic.elastic_baseline_share) == (8, None)
    assert price_terms(policy(point_value__method="budget", **total), 4, budget=BUDGET).stated == BUDGET
    bargained = PointValue.stated(Fraction("10.2"), 4)
    assert price_terms(policy(point_value__method="bargained", **total), 4, bargained=bargained).stated == bargained


def test_what_is_missing_or_of_another_basis_is_refused() -> None:
    with pytest.raises(PolicyNotEntered):
        price_terms(policy(point_value__method="fixed", point_value__basis="total_cost"), 4)
    corridor = policy(
        point_value__method="corridor",
        point_value__corridor_low="0.9",
        point_value__corridor_high="1.1",
        point_value__basis="fund",
    )
    with pytest.raises(PriceNotStated):
        price_terms(corridor, 4)
    with pytest.raises(BasisMismatch):
        price_terms(corridor, 4, budget=BUDGET)
