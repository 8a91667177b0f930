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
