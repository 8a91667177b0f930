"""The policy values a demonstration enters (演示用策略参数).

Where no national text speaks, an area must enter its own value with its document. A demonstration has no documents, so
it constructs them and marks them so; nothing here is a default of the product.
"""

from __future__ import annotations

import datetime as dt

from fenzhi.cli.synthetic.plan import DocumentPlan, PolicyPlan

POLICY_FROM = dt.date(2021, 1, 1)
INSURANCE_OF = {"310": "employee", "390": "resident"}
BASIC_FUND_OF = {"employee": "310100", "resident": "390100"}

PROVINCE_DOCUMENT = DocumentPlan("演示省按病种分值付费实施细则（构造文件，仅供演示）", POLICY_FROM)
AREA_DOCUMENT = DocumentPlan("演示市按病种分值付费结算办法（构造文件，仅供演示）", POLICY_FROM)
REGISTRY_DOCUMENT = DocumentPlan("演示省定点医疗机构等级与系数目录（构造文件，仅供演示）", POLICY_FROM)

_PROVINCE: dict[str, str | list[str] | dict[str, str] | list[dict[str, str]]] = {
    "catalog.weighting_basis": "yearly_means",
    "catalog.score_method": "average_cost",
    "catalog.score_edit_limit_ratio": "0.20",
    "catalog.overlay_score_limit_ratio": "0.10",
    "catalog.overlay_coefficient_low": "0.5000",
    "catalog.overlay_coefficient_high": "1.5000",
    "catalog.comprehensive_cv_limit": "2.0",
    "grouping.conservative_match": "strict",
    "grouping.intervention_class": "surgical",
    "submission.insurance_types": INSURANCE_OF,
    "submission.basic_fund_pay_types": {kind: insurance for insurance, kind in BASIC_FUND_OF.items()},
    "submission.gray_principal_severity": "error",
}
_AREA: dict[str, str | list[str] | dict[str, str] | list[dict[str, str]]] = {
    "grouping.tie_break": ["most_parts", "most_matched", "main_matched", "higher_score", "group_code"],
    "bands.applies": "true",
    "bands.measure": "booked_over_payable",
    "bands.mode": "marginal",
    "bands.table": [
        {"upto": "0.85", "inclusive": "true", "share": "0"},
        {"upto": "1", "inclusive": "true", "share": "0.7"},
        {"upto": "1.1", "inclusive": "true", "share": "0.6"},
        {"upto": "", "inclusive": "false", "share": "0"},
    ],
    "bands.sources": ["adjustment"],
    "catalog.provisional_panel_size": "3",
    "catalog.provisional_most_days": "730",
    "budget.method": "share",
    "deposit.rate": "0.05",
    "submission.correction_days": "5",
    "special_case.cost_multiple_always": "false",
    "special_case.cycle": "quarter",
    "special_case.panel_size": "3",
    "special_case.funding": "off_pool",
    "deadline.appeal_working_days": "5",
    "deadline.notice_days": "2",
    "presettlement.prepay_ratio": "0.90",
    "presettlement.ratio_stands_for_deposit": "false",
    "clearing.printed_decimals": "4",
    "scoring.ungrouped_method": "pending",
    "scorecard.lights": [
        {"indicator": "cmi", "green": "[0.9,)", "yellow": "[0.7,0.9)"},
        {"indicator": "cost_index", "green": "(,1.1]", "yellow": "(1.1,1.3]"},
        {"indicator": "time_index", "green": "(,1.1]", "yellow": "(1.1,1.3]"},
        {"indicator": "grouping_rate", "green": "[0.95,)", "yellow": "[0.85,0.95)"},
        {"indicator": "qc_first_pass_rate", "green": "[0.95,)", "yellow": "[0.85,0.95)"},
        {"indicator": "high_outlier_share", "green": "(,0.05]", "yellow": "(0.05,0.10]"},
        {"indicator": "low_outlier_share", "green": "(,0.10]", "yellow": "(0.10,0.20]"},
        {"indicator": "mean_cost_growth", "green": "(,0.05]", "yellow": "(0.05,0.10]"},
    ],
    "scorecard.overall_light": "worst",
    "scorecard.quality_weights": [
        {"indicator": "timeliness", "weight": "0.2"},
        {"indicator": "completeness", "weight": "0.2"},
        {"indicator": "first_pass", "weight": "0.3"},
        {"indicator": "grouping", "weight": "0.1"},
        {"indicator": "code_accuracy", "weight": "0.2"},
    ],
}


def demo_policies() -> tuple[PolicyPlan, ...]:
    """Every value that some layer must enter before a run (演示所需的全部策略参数)."""
    return (
        *(PolicyPlan(key, "province", value, POLICY_FROM, PROVINCE_DOCUMENT) for key, value in _PROVINCE.items()),
        *(PolicyPlan(key, "area", value, POLICY_FROM, AREA_DOCUMENT) for key, value in _AREA.items()),
    )
