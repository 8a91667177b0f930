"""Clearing between the areas of a province (区域间清算测试环境), as the province's settlement staff do it."""

from __future__ import annotations

from typing import Any

from builders.clearing_place import Pool
from builders.world import Client, new_key
from fenzhi.access.roles import Role

START = """
mutation($i: AreaClearingStartInput!) { areaClearingStart(input: $i) { jobId userErrors { code path } } }
"""
DECIDE = """
mutation($i: AreaClearingDecideInput!) { %s(input: $i) { clearing { id state } userErrors { code } } }
"""
STATEMENTS = """
{ areaClearings(first: 10) { nodes { id year kind period state receivableFen payableFen unexplainedFen
  sides { areaCode counterpart cases receivableFen payableFen netFen } outside { insuredArea cases amountFen }
  claims(first: 50) { nodes { insuredArea treatmentArea hospitalCode settlementMonth points amountFen } } } } }
"""


async def province_client(pool: Pool, role: Role) -> Client:
    return await pool.world.client(pool.place.province, role)


async def start_between(pool: Pool, period: int, kind: str = "QUARTER") -> dict[str, Any]:
    order = {"idempotencyKey": new_key(), "insurance": "EMPLOYEE", "year": 2025, "kind": kind, "period": period}
    clerk = await province_client(pool, Role.PROVINCE_SETTLEMENT_CLERK)
    return (await clerk.gql(START, {"i": order}))["areaClearingStart"]  # type: ignore[no-any-return]


async def statements(client: Client) -> list[dict[str, Any]]:
    return (await client.gql(STATEMENTS))["areaClearings"]["nodes"]  # type: ignore[no-any-return]


async def decide_between(client: Client, name: str, statement: str) -> list[str]:
    answer = await client.gql(DECIDE % name, {"i": {"idempotencyKey": new_key(), "clearing": statement}})
    return [error["code"] for error in answer[name]["userErrors"]]


async def cleared_between(pool: Pool, period: int, kind: str = "QUARTER") -> dict[str, Any]:
    """Drafted by one, published by another; the statement as the province sees it."""
    started = await start_between(pool, period, kind)
    assert started["userErrors"] == [], started
    await pool.world.work_off()
    clerk = await province_client(pool, Role.PROVINCE_SETTLEMENT_CLERK)
    draft = (await statements(clerk))[0]
    assert draft["state"] == "DRAFT"
    approver = await province_client(pool, Role.PROVINCE_SETTLEMENT_APPROVER)
    assert await decide_between(approver, "areaClearingPublish", draft["id"]) == []
    return (await statements(clerk))[0]
