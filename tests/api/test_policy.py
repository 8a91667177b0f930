"""Policy by GraphQL: layers, two persons, every fault at once, walls."""

from __future__ import annotations

from typing import Any

from builders.one_person import same_person
from builders.world import World, new_key
from fenzhi.access.roles import Role

PROPOSE = """
mutation($i: PolicyProposeInput!) {
  policyPropose(input: $i) { entries { id layer key value state } userErrors { code path saw } }
}
"""
APPROVE = """
mutation($i: PolicyApproveInput!) {
  policyApprove(input: $i) { entries { key state } userErrors { code } }
}
"""
REJECT = "mutation($i: PolicyRejectInput!) { policyReject(input: $i) { entries { state } userErrors { code } } }"
IN_FORCE = """
query($on: Date!) { policyInForce(on: $on) {
  fingerprint notEntered { key } values { value layer document standing effectiveFrom definition { key } } } }
"""


def proposal(values: list[tuple[str, str | None, str]], **changes: object) -> dict[str, Any]:
    return {
        "idempotencyKey": new_key(),
        "values": [{"key": key, "value": value, "effectiveFrom": day} for key, value, day in values],
        "document": "测试文件〔2030〕1号",
        "issuedOn": "2029-12-01",
        "isConstructed": True,
    } | changes


async def propose(world: World, tenant: str, role: Role, order: dict[str, Any]) -> dict[str, Any]:
    client = await world.client(tenant, role)
    return (await client.gql(PROPOSE, {"i": order}))["policyPropose"]  # type: ignore[no-any-return]


async def approve(world: World, tenant: str, role: Role, ids: list[str]) -> dict[str, Any]:
    client = await world.client(tenant, role)
    order = {"idempotencyKey": new_key(), "ids": ids}
    return (await client.gql(APPROVE, {"i": order}))["policyApprove"]  # type: ignore[no-any-return]


async def in_force(world: World, tenant: str, role: Role, on: str, key: str) -> tuple[str, str, str] | None:
    client = await world.client(tenant, role)
    answer = (await client.gql(IN_FORCE, {"on": on}))["policyInForce"]
    for one in answer["values"]:
        if one["definition"]["key"] == key:
            return one["value"], one["layer"], one["standing"]
    return None


async def test_area_over_province_over_nation_by_date(world: World) -> None:
    low = "scoring.low_ratio"
    entered = await propose(
        world,
        "410000",
        Role.PROVINCE_CATALOG_EDITOR,
        proposal([(low, "0.4", "2030-01-01")], document="省文件〔2030〕1号"),
    )
    assert entered["userErrors"] == []
    assert entered["entries"][0] | {"id": ""} == {
        "id": "",
        "layer": "PROVINCE",
        "key": low,
        "value": "0.4",
        "state": "PROPOSED",
    }
    clerk = ("410100", Role.CITY_SETTLEMENT_CLERK)
    assert await in_force(world, *clerk, "2030-06-01", low) == ("0.5", "NATION", "secondary")
    ids = [entered["entries"][0]["id"]]
    done = await approve(world, "410000", Role.PROVINCE_CATALOG_APPROVER, ids)
    assert done == {"entries": [{"key": low, "state": "IN_FORCE"}], "userErrors": []}
    assert await in_force(world, *clerk, "2030-06-01", low) == ("0.4", "PROVINCE", "constructed")
    area = await propose(world, *clerk, proposal([(low, "0.45", "2030-03-01")]))
    await approve(world, "410100", Role.CITY_SETTLEMENT_APPROVER, [area["entries"][0]["id"]])
    assert await in_force(world, *clerk, "2030-02-28", low) == ("0.4", "PROVINCE", "constructed")
    assert await in_force(world, *clerk, "2030-03-01", low) == ("0.45", "AREA", "constructed")
    assert await in_force(world, "410122", Role.COUNTY_AUDITOR, "2030-03-01", low) == ("0.45", "AREA", "constructed")
    assert await in_force(world, "H41010001", Role.HOSPITAL_VIEWER, "2030-03-01", low) == (
        "0.45",
        "AREA",
        "constructed",
    )
    other_city = ("410200", Role.CITY_SETTLEMENT_CLERK)
    assert await in_force(world, *other_city, "2030-03-01", low) == ("0.4", "PROVINCE", "constructed")
    stranger = ("370100", Role.CITY_SETTLEMENT_CLERK)
    assert await in_force(world, *stranger, "2030-03-01", low) == ("0.5", "NATION", "secondary")
    withdrawn = await propose(world, *clerk, proposal([(low, None, "2030-09-01")]))
    await approve(world, "410100", Role.CITY_SETTLEMENT_APPROVER, [withdrawn["entries"][0]["id"]])
    assert await in_force(world, *clerk, "2030-09-01", low) == ("0.4", "PROVINCE", "constructed")


async def test_lists_and_maps_travel_as_json_text(world: World) -> None:
    order = proposal(
        [
            ("grouping.tie_break", '["most_parts", "group_code"]', "2031-01-01"),
            ("submission.insurance_types", '{"310": "employee"}', "2031-01-01"),
        ]
    )
    entered = await propose(world, "410000", Role.PROVINCE_CATALOG_EDITOR, order)
    assert [one["value"] for one in entered["entries"]] == ['["most_parts", "group_code"]', '{"310": "employee"}']


async def test_every_fault_of_every_value_at_once(world: World) -> None:
    order = proposal(
        [
            ("scoring.low_ratio", "1.5", "2032-01-01"),
            ("no.such_key", "1", "2032-01-01"),
            ("catalog.overlay_score_limit_ratio", "0.1", "2032-01-01"),
            ("grouping.tie_break", "most_parts", "2032-01-01"),
            ("scoring.high_ratio", "2e0", "2032-01-01"),
            ("scoring.outlier_method", "best", "2032-01-01"),
            ("scoring.outlier_method", "none", "2032-01-01"),
        ],
        document=" ",
    )
    answer = await propose(world, "410100", Role.CITY_SETTLEMENT_CLERK, order)
    assert [(one["code"], ".".join(one["path"])) for one in answer["userErrors"]] == [
        ("DOCUMENT_MISSING", "document"),
        ("POLICY_VALUE_RANGE", "values.0.value"),
        ("POLICY_KEY_UNKNOWN", "values.1.key"),
        ("POLICY_LAYER", "values.2.key"),
        ("POLICY_VALUE_SHAPE", "values.3.value"),
        ("POLICY_VALUE_UNIT", "values.4.value"),
        ("POLICY_METHOD_UNKNOWN", "values.5.value"),
        ("POLICY_VALUE_TWICE", "values.6.key"),
    ]
    assert answer["entries"] == []


async def test_a_key_proposes_once_and_a_decision_is_final(world: World) -> None:
    client = await world.client("370000", Role.PROVINCE_CATALOG_EDITOR)
    order = proposal([("scoring.high_ratio", "3", "2033-01-01")])
    first = (await client.gql(PROPOSE, {"i": order}))["policyPropose"]
    assert (await client.gql(PROPOSE, {"i": order}))["policyPropose"] == first
    approver = await world.client("370000", Role.PROVINCE_CATALOG_APPROVER)
    ids = [first["entries"][0]["id"]]
    rejected = await approver.gql(REJECT, {"i": {"idempotencyKey": new_key(), "ids": ids}})
    assert rejected["policyReject"] == {"entries": [{"state": "REJECTED"}], "userErrors": []}
    late = await approve(world, "370000", Role.PROVINCE_CATALOG_APPROVER, ids)
    assert late == {"entries": [], "userErrors": [{"code": "POLICY_NOT_PROPOSED"}]}
    assert await in_force(world, "370000", Role.PROVINCE_ANALYST, "2033-01-01", "scoring.high_ratio") == (
        "2",
        "NATION",
        "secondary",
    )


async def test_the_wrong_role_and_the_other_tenant(world: World) -> None:
    order = proposal([("scoring.high_ratio", "3", "2034-01-01")])
    viewer = await world.client("H41010001", Role.HOSPITAL_VIEWER)
    assert (await viewer.raw(PROPOSE, {"i": order}))["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    analyst = await world.client("410000", Role.PROVINCE_ANALYST)
    assert (await analyst.raw(PROPOSE, {"i": order}))["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    entered = await propose(world, "410100", Role.CITY_SETTLEMENT_CLERK, order)
    ids = [entered["entries"][0]["id"]]
    for tenant in ("410200", "370100"):
        answer = await approve(world, tenant, Role.CITY_SETTLEMENT_APPROVER, ids)
        assert answer == {"entries": [], "userErrors": [{"code": "POLICY_NOT_FOUND"}]}
        client = await world.client(tenant, Role.CITY_SETTLEMENT_APPROVER)
        assert await client.gql("query($id: ID!) { node(id: $id) { id } }", {"id": ids[0]}) == {"node": None}
    hospital = await viewer.gql("{ policyEntries(first: 50, state: PROPOSED) { nodes { key } } }")
    assert hospital["policyEntries"]["nodes"] == []


async def test_one_person_with_both_roles_cannot_approve(world: World) -> None:
    order = proposal([("scoring.high_ratio", "4", "2035-01-01")])
    clerk = await world.client("410200", Role.CITY_SETTLEMENT_CLERK)
    entered = (await clerk.gql(PROPOSE, {"i": order}))["policyPropose"]
    approver = await same_person(world, "410200", Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER)
    answer = await approver.gql(APPROVE, {"i": {"idempotencyKey": new_key(), "ids": [entered["entries"][0]["id"]]}})
    assert answer["policyApprove"] == {"entries": [], "userErrors": [{"code": "SAME_PERSON"}]}
