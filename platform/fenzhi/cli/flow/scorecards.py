"""The scorecards of a quarter, from draft to publication (考核评价流程)."""

from __future__ import annotations

from typing import Any

from fenzhi.access.roles import Role
from fenzhi.cli.flow.client import Cast

SCORECARDS = """
query($year: Int!, $quarter: Int!, $after: String) {
  scorecards(year: $year, quarter: $quarter, first: 100, after: $after) {
    nodes { id hospitalCode hospitalName state light
            indicators { code name value unit numerator denominator light reason } }
    pageInfo { hasNextPage endCursor } } }
"""


async def publish_scorecards(cast: Cast, city: str, year: int, quarter: int) -> list[dict[str, Any]]:
    """Have a quarter's scorecards drafted, approve and publish them (起草、审批、公布); the published cards."""
    clerk = cast.actor(city, Role.CITY_SETTLEMENT_CLERK)
    approver = cast.actor(city, Role.CITY_SETTLEMENT_APPROVER)
    order = {"year": year, "quarter": quarter}
    wanted = await clerk.do("scorecardsDraft", "ScorecardsQuarterInput", order, "job { id }")
    await clerk.wait(wanted["job"]["id"])
    await approver.do("scorecardsApprove", "ScorecardsQuarterInput", order, "moved")
    await approver.do("scorecardsPublish", "ScorecardsQuarterInput", order, "moved")
    return await clerk.all_nodes(SCORECARDS, "scorecards", order)
