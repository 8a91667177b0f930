"""The registry by GraphQL: each tenant sees its part, an act happens once per key, strangers are refused."""

from __future__ import annotations

from builders.world import World, new_key
from fenzhi.access.roles import Role

HOSPITALS = "{ hospitals(first: 50) { nodes { id code areaCode countyCode } pageInfo { hasNextPage } } }"
REGISTER = """
mutation($i: HospitalStandingRegisterInput!) {
  hospitalStandingRegister(input: $i) {
    hospital { code standings { level } coefficients { insurance coefficient } agreements { validTo } }
    userErrors { code path saw }
  }
}
"""


def order(**changes: object) -> dict[str, object]:
    return {
        "idempotencyKey": new_key(),
        "hospital": "H41010001",
        "effectiveFrom": "2025-01-01",
        "level": "tertiary",
        "coefficients": [{"insurance": "employee", "coefficient": "1.05"}],
        "agreementInsurances": ["employee"],
        "agreementUntil": "2025-12-31",
        "document": "合成文件〔2025〕1号",
    } | changes


async def codes(world: World, tenant: str, role: Role) -> list[str]:
    client = await world.client(tenant, role)
    return [node["code"] for node in (await client.gql(HOSPITALS))["hospitals"]["nodes"]]


async def test_each_level_sees_its_own_hospitals(world: World) -> None:
    assert await codes(world, "410000", Role.PROVINCE_ANALYST) == ["H41010001", "H41012201", "H41020001", "H41022101"]
    assert await codes(world, "410100", Role.CITY_SETTLEMENT_CLERK) == ["H41010001", "H41012201"]
    assert await codes(world, "410122", Role.COUNTY_AUDITOR) == ["H41012201"]
    assert await codes(world, "H41020001", Role.HOSPITAL_VIEWER) == ["H41020001"]
    assert await codes(world, "370000", Role.PROVINCE_ANALYST) == ["H37010001", "H37011201"]


async def test_an_id_of_another_tenant_is_nothing(world: World) -> None:
    city = await world.client("410100", Role.CITY_SETTLEMENT_CLERK)
    stranger = await world.client("370100", Role.CITY_SETTLEMENT_CLERK)
    own = (await city.gql(HOSPITALS))["hospitals"]["nodes"][0]
    query = "query($id: ID!) { hospital(id: $id) { code } node(id: $id) { id } }"
    assert (await city.gql(query, {"id": own["id"]}))["hospital"] == {"code": "H41010001"}
    assert await stranger.gql(query, {"id": own["id"]}) == {"hospital": None, "node": None}


async def test_a_standing_is_registered_once_per_key(world: World) -> None:
    city = await world.client("410100", Role.CITY_SETTLEMENT_CLERK)
    first = order(hospital="H41012201", level="secondary")
    answers = [await city.gql(REGISTER, {"i": first}) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    hospital = answers[0]["hospitalStandingRegister"]["hospital"]
    assert hospital["standings"] == [{"level": "secondary"}]
    assert hospital["coefficients"] == [{"insurance": "employee", "coefficient": "1.0500"}]
    reused = await city.gql(REGISTER, {"i": first | {"level": "primary"}})
    assert reused["hospitalStandingRegister"]["userErrors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_all_faults_of_an_order_at_once(world: World) -> None:
    city = await world.client("410100", Role.CITY_SETTLEMENT_CLERK)
    bad = order(
        level="grand",
        coefficients=[{"insurance": "employee", "coefficient": "-1"}],
        agreementUntil="2024-01-01",
        document=" ",
    )
    errors = (await city.gql(REGISTER, {"i": bad}))["hospitalStandingRegister"]["userErrors"]
    assert [e["code"] for e in errors] == ["LEVEL_UNKNOWN", "COEFFICIENT_RANGE", "DATES_REVERSED", "DOCUMENT_MISSING"]


async def test_another_citys_hospital_does_not_exist(world: World) -> None:
    stranger = await world.client("410200", Role.CITY_SETTLEMENT_CLERK)
    errors = (await stranger.gql(REGISTER, {"i": order()}))["hospitalStandingRegister"]["userErrors"]
    assert [e["code"] for e in errors] == ["NOT_FOUND"]


async def test_a_role_without_the_duty_is_refused(world: World) -> None:
    viewer = await world.client("H41010001", Role.HOSPITAL_VIEWER)
    answer = await viewer.raw(REGISTER, {"i": order()})
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_no_token_no_answer(world: World) -> None:
    client = await world.client("H41010001", Role.HOSPITAL_VIEWER)
    response = await client.http.post(
        "/graphql", json={"query": "{ __typename }"}, headers={"authorization": "Bearer x.y.z"}
    )
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "UNAUTHENTICATED"


async def test_too_much_is_refused_before_it_runs(world: World) -> None:
    client = await world.client("410000", Role.PROVINCE_ANALYST)
    answer = await client.raw("{ hospitals(first: 5000) { nodes { code } } }")
    assert answer["errors"][0]["extensions"]["code"] in {"DATA_REFUSED", "TOO_MUCH"}
    spread = "fragment A on Query { " + " ".join(f"a{i}: poolingAreas {{ code }}" for i in range(40)) + " } { ...A }"
    assert (await client.raw(spread))["errors"][0]["extensions"]["code"] == "TOO_MUCH"


async def test_the_operator_reads_the_registry_whole(world: World) -> None:
    operator = await world.client("operator", Role.OPERATOR_ADMIN)
    query = "{ hospitals(first: 50) { nodes { code standings { level } coefficients { coefficient } agreements { insurance } } } }"
    codes = {node["code"] for node in (await operator.gql(query))["hospitals"]["nodes"]}
    assert {"H41010001", "H37010001"} <= codes
    refused = await operator.raw("{ cases(first: 1) { nodes { id } } }")
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
