"""Budgets and budget point values (预算与预算点值), each by four eyes."""

from __future__ import annotations

from collections.abc import Sequence

from fenzhi.access.roles import Role
from fenzhi.cli.flow.client import Cast


async def approve_budget(
    cast: Cast, city: str, insurance: str, year: int, annual_fen: int, curve: Sequence[str], document: str
) -> str:
    """Propose and approve a pool's budget (预算提议与审批); its id."""
    order = {
        "insurance": insurance.upper(),
        "poolScope": "LOCAL",
        "year": year,
        "annualFen": str(annual_fen),
        "curve": list(curve),
        "document": document,
        "reason": "年初预算 / budget of the year",
        "isConstructed": True,
    }
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    proposed = await clerk.do("fundBudgetPropose", "FundBudgetProposeInput", order, "budget { id }")
    budget: str = proposed["budget"]["id"]
    await approver.do("fundBudgetApprove", "FundBudgetDecideInput", {"budget": budget}, "budget { id state }")
    return budget


VALUES = "query($year: Int!) { pointValues(year: $year) { id insurance poolScope kind state printed } }"


async def approve_point_value(cast: Cast, city: str, insurance: str, year: int, edition: str) -> dict[str, str]:
    """Have a pool's budget point value computed and approve it (预算点值测算与审批)."""
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    order = {"insurance": insurance.upper(), "poolScope": "LOCAL", "year": year, "edition": edition}
    wanted = await clerk.do("budgetPointValueCompute", "BudgetPointValueComputeInput", order, "job { id }")
    await clerk.wait(wanted["job"]["id"])
    values = (await clerk.ask(VALUES, {"year": year}))["pointValues"]
    draft: dict[str, str] = next(
        v for v in values if (v["insurance"], v["kind"], v["state"]) == (insurance.upper(), "BUDGET", "DRAFT")
    )
    order = {"pointValue": draft["id"]}
    await approver.do("budgetPointValueApprove", "BudgetPointValueApproveInput", order, "pointValue { state }")
    return draft
