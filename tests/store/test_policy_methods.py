"""Every method a policy may name exists in the rules, and no other (策略方法与规则一致)."""

from __future__ import annotations

from enum import StrEnum

import pytest

from fenzhi.rules.catalog.score_derivation import WeightingBasis
from fenzhi.rules.clearing.assessment import AssessmentBase, AssessmentPlace
from fenzhi.rules.clearing.presettlement import MonthMethod
from fenzhi.rules.clearing.quarterly import QuarterMode
from fenzhi.rules.clearing.shares import PayBy, ShareMethod
from fenzhi.rules.grouping.grouping_method import ComprehensiveClass, ConservativeMatch, GrayPrincipal, TieBreak
from fenzhi.rules.scorecard.traffic_light import OverallRule
from fenzhi.rules.scoring.cost_outliers import OutlierMethod
from fenzhi.store.policy_files import national_policy


@pytest.mark.parametrize(
    ("key", "methods", "beside"),
    [
        ("catalog.weighting_basis", WeightingBasis, set()),
        ("clearing.share_method", ShareMethod, set()),
        ("clearing.pay_by", PayBy, set()),
        ("presettlement.method", MonthMethod, set()),
        ("quarter.mode", QuarterMode, set()),
        ("assessment.acts_at", AssessmentPlace, set()),
        ("assessment.acts_on", AssessmentBase, set()),
        ("scorecard.overall_light", OverallRule, set()),
        ("grouping.class_of", ComprehensiveClass, set()),
        ("grouping.conservative_match", ConservativeMatch, set()),
        ("grouping.gray_principal", GrayPrincipal, set()),
        # The group code always decides last and is no comparator of its own; "none" rescoring is no formula.
        ("grouping.tie_break", TieBreak, {"group_code"}),
        ("scoring.outlier_method", OutlierMethod, {"none"}),
    ],
)
def test_a_method_named_by_policy_is_a_method_of_the_rules(key: str, methods: type[StrEnum], beside: set[str]) -> None:
    assert set(national_policy().field(key).allowed) == {method.value for method in methods} | beside
