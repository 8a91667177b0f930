"""What a statement says of payment modes and total control (结算单中的支付方式与总额控制)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fenzhi.rules.payment_modes.case_modes import Unjudged
from fenzhi.rules.payment_modes.controlled_months import ControlFinding
from fenzhi.rules.payment_modes.mode_of_case import PaymentMode
from fenzhi.rules.quantities import yuan_from_fen
from fenzhi.services.clearing.freezing import FrozenRun
from fenzhi.services.clearing.statements import ComputedRun


def modes_step(computed: ComputedRun, number: int) -> list[dict[str, Any]]:
    """What the hospital is paid beside the points, as a step of the working; none where it is nothing."""
    found = computed.beside.of(number)
    if not found:
        return []
    payers = computed.beside.payers.get(number, {})
    return [
        {
            "rule": "payment_modes.beside_points",
            "zh": "以下病例按其支付方式在分值以外支付，不参与分摊；先由预算单列资金支付，超出部分先于点值从基金扣除；清单未载明所需内容的，按原因计数，不作为零处理。",
            "en": "These cases are paid by their mode beside the points and share nothing: first out of what the budget set aside, beyond "
            "it out of the fund before the point value. What a list does not say is counted by its reason, and is not zero.",
            "values": [
                [f"{one['mode']} {name}", str(one["cases"]) if name == "cases" else yuan_from_fen(one[f"{name}_fen"])]
                for one in found
                for name in ("cases", "cost", "fund", "other", "hospital")
            ]
            + [[f"rare_disease {payer}", yuan_from_fen(fen)] for payer, fen in sorted(payers.items())]
            + [[f"{mode.value} {why.value}", str(cases)] for (mode, why), cases in _unjudged(computed, number).items()],
            "document": "",
        }
    ]


def _unjudged(computed: ComputedRun, number: int) -> dict[tuple[PaymentMode, Unjudged], int]:
    found = Counter((mode, why) for owner, mode, why in computed.beside.unjudged.values() if owner == number)
    return dict(sorted(found.items()))


def plain_finding(one: ControlFinding) -> dict[str, Any]:
    """A finding of total control as JSON values, for the run's summary (总额控制结果)."""
    return {
        "hospital": one.place.hospital,
        "month": one.place.month,
        "level": one.place.level,
        "method": one.method.value,
        "limit": str(one.limit),
        "cases": one.cases,
        "cost_fen": one.cost_fen,
        "claim_fen": one.claim_fen,
        "withheld_fen": one.withheld_fen,
        "over_cases": one.over_cases,
    }


def control_steps(frozen: FrozenRun, computed: ComputedRun, hospital: str) -> list[dict[str, Any]]:
    """What total control said of the hospital's months, as a step of the working; none where it said nothing."""
    found = [one for one in computed.beside.findings if one.place.hospital == hospital]
    if not found:
        return []
    values = []
    for one in found:
        name = f"{one.place.month} {one.place.level} {one.method.value}"
        values += [
            [f"{name} limit", str(one.limit)],
            [f"{name} cases", str(one.cases)],
            [f"{name} cost", yuan_from_fen(one.cost_fen)],
            [f"{name} claim", yuan_from_fen(one.claim_fen)],
            [f"{name} withheld", yuan_from_fen(one.withheld_fen)],
            [f"{name} over_cases", str(one.over_cases)],
        ]
    has = frozen.policy.has("total_control.table")
    return [
        {
            "rule": "payment_modes.total_control",
            "zh": "总额控制按结算月逐月核定：危急重症按床日超出占比的病例退回病种分值；均次费用增幅、总额与均次双控的超出部分暂不拨付，列入专门科目。",
            "en": "Total control, month by month: critical cases beyond their share fall back to the groups; what is above the growth of the mean, "
            "or above total and mean, is held back in an account of its own.",
            "values": values,
            "document": str(frozen.policy.document("total_control.table")) if has else "",
        }
    ]
