"""A procedure under an anaesthesia it is not done under: accepted, frozen, out of every run until a bureau releases it or it is corrected."""

from __future__ import annotations

import json
from typing import Any

import pytest_asyncio

from builders.submission_place import Place, enter_policy, open_place
from builders.world import World, new_key
from fenzhi.access.roles import Role

RELEASE = """mutation($i: CaseReturnInput!) {
  caseRelease(input: $i) { caseHold { id kind state } userErrors { code path } } }"""
RETURN = "mutation($i: CaseReturnInput!) { caseReturn(input: $i) { userErrors { code } } }"
HOLDS = "{ caseHolds(first: 100, onlyOpen: true) { nodes { setlId kind reason dueOn state } } }"
EVENTS = "{ events(first: 100) { nodes { kind facts { name value } } } }"
OPERATION = [
    {"oprn_oprt_code": "88.4101", "main_oprn_flag": "1", "oprn_oprt_begntime": "2025-01-04", "anst_way": "2"},
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    opened = await open_place(world, "S4")
    await enter_policy(
        world,
        opened.province,
        {
            "submission.optional_checks": json.dumps({"PROCEDURE_ANAESTHESIA_MISMATCH": "warning"}),
            "submission.anaesthesia_of_procedures": json.dumps({"88.41": "1 9"}),
        },
    )
    await enter_policy(world, opened.city, {"submission.freeze_days": "3", "submission.correction_days": "3"})
    return opened


async def holds(place: Place) -> dict[str, dict[str, Any]]:
    nodes = (await (await place.submitter()).gql(HOLDS))["caseHolds"]["nodes"]
    return {one["setlId"]: one for one in nodes}


async def do(place: Place, tenant: str, role: Role, mutation: str, order: dict[str, Any]) -> dict[str, Any]:
    answer = await (await place.client(tenant, role)).gql(mutation, {"i": {"idempotencyKey": new_key(), **order}})
    return next(iter(answer.values()))  # type: ignore[no-any-return]


async def case_of(place: Place, setl_id: str) -> str:
    cases = await place.cases(await place.submitter(), setlId=setl_id)
    return next(one["id"] for one in cases if one["supersededBy"] is None)  # type: ignore[no-any-return]


async def test_a_mismatch_freezes_its_case_and_only_its_case(place: Place) -> None:
    judged = await place.submit([place.listed("Z1", oprninfo=OPERATION), place.listed("Z2")])
    assert (judged["counts"]["accepted"], judged["counts"]["refused"]) == (2, 0)
    found = [(one["rule"], one["path"], one["severity"]) for one in judged["verdicts"]["nodes"] if one["rule"] == "Q29"]
    assert found == [("Q29", "oprninfo[0].anst_way", "WARNING")]
    held = await holds(place)
    assert held.keys() == {"Z1"}
    assert (held["Z1"]["kind"], held["Z1"]["state"]) == ("frozen", "open")
    assert held["Z1"]["reason"].startswith("PROCEDURE_ANAESTHESIA_MISMATCH：")
    assert held["Z1"]["dueOn"] is not None
    events = (await (await place.submitter()).gql(EVENTS))["events"]["nodes"]
    assert [(e["kind"], e["facts"]) for e in events if e["kind"] == "CASE_HELD"] == [
        ("CASE_HELD", [{"name": "rule", "value": "Q29"}])
    ]


async def test_only_a_bureaus_role_releases_and_says_why(place: Place) -> None:
    await place.submit([place.listed("Z3", oprninfo=OPERATION)])
    case = await case_of(place, "Z3")
    order = {"inpatientCase": case, "reason": "麻醉记录核实无误"}
    submitter = await place.client(place.hospital, Role.HOSPITAL_SUBMITTER)
    refused = await submitter.raw(RELEASE, {"i": {"idempotencyKey": new_key(), **order}})
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    clerk = Role.CITY_SETTLEMENT_CLERK
    other = await do(place, place.other_city, clerk, RELEASE, order)
    assert [e["code"] for e in other["userErrors"]] == ["NOT_FOUND"]
    blank = await do(place, place.city, clerk, RELEASE, order | {"reason": " "})
    assert [e["code"] for e in blank["userErrors"]] == ["REASON_SHAPE"]
    returned = await do(place, place.city, clerk, RETURN, order)
    assert [e["code"] for e in returned["userErrors"]] == ["CASE_HELD"]
    released = await do(place, place.city, clerk, RELEASE, order)
    assert (released["userErrors"], released["caseHold"]["state"]) == ([], "released")
    assert "Z3" not in await holds(place)
    again = await do(place, place.city, clerk, RELEASE, order)
    assert [e["code"] for e in again["userErrors"]] == ["NOT_FOUND"]


async def test_a_correction_takes_the_place_of_a_frozen_case_and_is_judged_anew(place: Place) -> None:
    await place.submit([place.listed("Z4", oprninfo=OPERATION)])
    await place.submit([place.listed("Z4", version=2, oprninfo=[OPERATION[0] | {"anst_way": "3"}])])
    assert (await holds(place))["Z4"]["kind"] == "frozen"
    await place.submit([place.listed("Z4", version=3, oprninfo=[OPERATION[0] | {"anst_way": "9"}])])
    assert "Z4" not in await holds(place)


async def test_a_refused_atomic_batch_freezes_nothing(place: Place) -> None:
    lists = [place.listed("Z5", oprninfo=OPERATION), place.listed("Z6", medfee_sumamt="1.00")]
    judged = await place.submit(lists, mode="ATOMIC")
    assert judged["state"] == "REFUSED"
    assert "Z5" not in await holds(place)
