"""Every money method a policy may name exists in the rules, and no other (资金策略方法与规则一致)."""

from __future__ import annotations

from enum import StrEnum

import pytest

from fenzhi.rules.clearing.shares import ClaimFormula
from fenzhi.rules.point_value.benchmark_zone import BenchmarkZone
from fenzhi.rules.point_value.point_value import Basis
from fenzhi.rules.point_value.point_value_methods import PointValueMethod
from fenzhi.store.policy_files import national_policy


@pytest.mark.parametrize(
    ("key", "methods"),
    [
        ("clearing.claim", ClaimFormula),
        ("point_value.method", PointValueMethod),
        ("point_value.basis", Basis),
        ("point_value.benchmark_zone", BenchmarkZone),
    ],
)
def test_a_money_method_named_by_policy_is_a_method_of_the_rules(key: str, methods: type[StrEnum]) -> None:
    assert set(national_policy().field(key).allowed) == {method.value for method in methods}
