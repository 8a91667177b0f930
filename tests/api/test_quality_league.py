"""The league of data quality from lists to publication, its figures worked by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest_asyncio

from builders.submission_place import Place, enter_policy, open_place
from builders.world import World, new_key
from fenzhi.access.roles import Role

DRAFT = (
    "mutation($i: QualityLeagueDraftInput!) { qualityLeagueDraft(input: $i) { job { id } userErrors { code path } } }"
)
PUBLISH = """mutation($i: QualityLeaguePublishInput!) {
  qualityLeaguePublish(input: $i) { qualityLeague { id state } userErrors { code } } }"""
LEAGUES = """{ qualityLeagues(first: 10) { nodes { id settlementMonth state weights { code weight }
  rows { hospitalCode rank score rates { code numerator denominator value } } } } }"""
WEIGHTS = [
    {"indicator": "timeliness", "weight": "0.2"},
    {"indicator": "completeness", "weight": "0.2"},
    {"indicator": "first_pass", "weight": "0.3"},
    {"indicator": "grouping", "weight": "0.1"},
    {"indicator": "code_accuracy", "weight": "0.2"},
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "S3")


async def do(place: Place, role: Role, mutation: str, order: dict[str, Any], tenant: str = "") -> dict[str, Any]:
    client = await place.client(tenant or place.city, role)
    answer = await client.gql(mutation, {"i": {"idempotencyKey": new_key(), **order}})
    return next(iter(answer.values()))  # type: ignore[no-any-return]


async def leagues(place: Place, tenant: str, role: Role) -> list[dict[str, Any]]:
    return (await (await place.client(tenant, role)).gql(LEAGUES))["qualityLeagues"]["nodes"]  # type: ignore[no-any-return]


async def test_a_month_is_ranked_and_published(place: Place) -> None:
    order = {"settlementMonth": 202501}
    early = await do(place, Role.CITY_SETTLEMENT_CLERK, DRAFT, order)
    assert [e["code"] for e in early["userErrors"]] == ["POLICY_NOT_ENTERED"]
    await enter_policy(place.world, place.city, {"scorecard.quality_weights": json.dumps(WEIGHTS)})
    wrong = await do(place, Role.CITY_SETTLEMENT_CLERK, DRAFT, {"settlementMonth": 202513})
    assert [e["code"] for e in wrong["userErrors"]] == ["PERIOD_RANGE"]
    unknown = [{"diag_code": "X99.999", "maindiag_flag": "1"}]
    lists = [place.listed("L1"), place.listed("L2", diseinfo=unknown), place.listed("L3", gend="")]
    judged = await place.submit(lists)
    assert (judged["counts"]["accepted"], judged["counts"]["refused"]) == (1, 2)
    await place.submit([place.listed("L2", version=2)])
    county = place.county_hospital
    await place.submit([place.listed("L1", fixmedins_code=county)], hospital=county)
    assert (await do(place, Role.CITY_SETTLEMENT_CLERK, DRAFT, order))["userErrors"] == []
    await place.world.work_off()
    again = await do(place, Role.CITY_SETTLEMENT_CLERK, DRAFT, order)
    assert again["userErrors"] == []
    await place.world.work_off()
    assert await leagues(place, place.hospital, Role.HOSPITAL_VIEWER) == []
    [drafted] = await leagues(place, place.city, Role.CITY_SETTLEMENT_CLERK)
    published = await do(place, Role.CITY_SETTLEMENT_APPROVER, PUBLISH, {"qualityLeague": drafted["id"]})
    assert published["qualityLeague"]["state"] == "published"
    twice = await do(place, Role.CITY_SETTLEMENT_APPROVER, PUBLISH, {"qualityLeague": drafted["id"]})
    assert [e["code"] for e in twice["userErrors"]] == ["LEAGUE_STATE"]
    late = await do(place, Role.CITY_SETTLEMENT_CLERK, DRAFT, order)
    assert [e["code"] for e in late["userErrors"]] == ["LEAGUE_PUBLISHED"]
    for tenant, role in (
        (place.hospital, Role.HOSPITAL_VIEWER),
        (county, Role.HOSPITAL_VIEWER),
        (f"{place.city[:4]}22", Role.COUNTY_AUDITOR),
        (place.province, Role.PROVINCE_ANALYST),
    ):
        [seen] = await leagues(place, tenant, role)
        rows = seen["rows"]
        # Worked by hand; nothing was settled, so that grouping (0.1) is left out and the rest is divided by 0.9:
        # 7/9 for the county's hospital, (0.2·2/3 + 0.3·1/3 + 0.2·2/3) ÷ 0.9 = 11/27 for the city's.
        assert [(row["hospitalCode"], row["rank"], row["score"]) for row in rows] == [
            (county, 1, "0.7778"),
            (place.hospital, 2, "0.4074"),
        ]
        assert [(r["code"], r["numerator"], r["denominator"], r["value"]) for r in rows[1]["rates"]] == [
            ("timeliness", 0, 3, "0.0000"),
            ("completeness", 2, 3, "0.6667"),
            ("first_pass", 1, 3, "0.3333"),
            ("grouping", 0, 0, None),
            ("code_accuracy", 2, 3, "0.6667"),
        ]
    assert await leagues(place, place.other_hospital, Role.HOSPITAL_VIEWER) == []
    other = await do(place, Role.CITY_SETTLEMENT_APPROVER, PUBLISH, {"qualityLeague": drafted["id"]}, place.other_city)
    assert [e["code"] for e in other["userErrors"]] == ["NOT_FOUND"]


async def test_weights_are_checked(place: Place) -> None:
    viewer = await place.client(place.hospital, Role.HOSPITAL_VIEWER)
    refused = await viewer.raw(DRAFT, {"i": {"idempotencyKey": new_key(), "settlementMonth": 202501}})
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    bad = json.dumps([{"indicator": "speed", "weight": "2"}])
    client = await place.client(place.other_city, Role.CITY_SETTLEMENT_CLERK)
    order = {
        "idempotencyKey": new_key(),
        "values": [
            {"key": "scorecard.quality_weights", "value": bad, "effectiveFrom": "2021-01-01"},
            {"key": "submission.optional_checks", "value": '{"NO_SUCH": "error"}', "effectiveFrom": "2021-01-01"},
        ],
        "document": "构造",
        "issuedOn": "2020-12-01",
    }
    proposed = await client.gql(
        "mutation($i: PolicyProposeInput!) { policyPropose(input: $i) { entries { id } userErrors { code saw } } }",
        {"i": order},
    )
    errors = [(e["code"], e["saw"]) for e in proposed["policyPropose"]["userErrors"]]
    assert errors == [("QUALITY_WEIGHTS", "speed"), ("OPTIONAL_CHECK_UNKNOWN", "NO_SUCH")]
