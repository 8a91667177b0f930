"""A rule of quality control a province switches on by its document: off before, on from its day, beside its table."""

from __future__ import annotations

import json

import pytest_asyncio

from builders.submission_place import Place, open_place
from builders.world import World, new_key
from fenzhi.access.roles import Role

PROPOSE = "mutation($i: PolicyProposeInput!) { policyPropose(input: $i) { entries { id } userErrors { code path } } }"
APPROVE = "mutation($i: PolicyApproveInput!) { policyApprove(input: $i) { userErrors { code } } }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "75")


async def entered(place: Place, values: dict[str, str]) -> None:
    order = {
        "idempotencyKey": new_key(),
        "values": [{"key": key, "value": value, "effectiveFrom": "2021-01-01"} for key, value in values.items()],
        "document": "构造的对照表，仅供测试",
        "issuedOn": "2020-12-01",
    }
    editor = await place.client(place.province, Role.PROVINCE_CATALOG_EDITOR)
    proposed = (await editor.gql(PROPOSE, {"i": order}))["policyPropose"]
    assert proposed["userErrors"] == []
    ids = [entry["id"] for entry in proposed["entries"]]
    approver = await place.client(place.province, Role.PROVINCE_CATALOG_APPROVER)
    approved = await approver.gql(APPROVE, {"i": {"idempotencyKey": new_key(), "ids": ids}})
    assert approved["policyApprove"]["userErrors"] == []


async def test_a_province_switches_a_rule_on(place: Place) -> None:
    woman = {"gend": "2"}
    before = await place.submit([place.listed("A1", **woman)])
    assert [one["code"] for one in before["verdicts"]["nodes"]] == ["LATE_LIST"]
    await entered(
        place,
        {
            "submission.optional_checks": json.dumps(
                {"SEX_DIAGNOSIS_MISMATCH": "error", "AGE_DIAGNOSIS_MISMATCH": "warning"}
            ),
            "submission.sex_limited_diagnoses": json.dumps({"I63": "1"}),
            "submission.age_limited_diagnoses": json.dumps({"I63": "0-28"}),
        },
    )
    after = await place.submit([place.listed("A2", **woman), place.listed("A3")])
    found = [(one["row"], one["rule"], one["code"], one["severity"]) for one in after["verdicts"]["nodes"]]
    assert found == [
        (1, "Q28", "LATE_LIST", "WARNING"),
        (1, "Q05", "SEX_DIAGNOSIS_MISMATCH", "ERROR"),
        (1, "Q06", "AGE_DIAGNOSIS_MISMATCH", "WARNING"),
        (2, "Q28", "LATE_LIST", "WARNING"),
        (2, "Q06", "AGE_DIAGNOSIS_MISMATCH", "WARNING"),
    ]
    assert (after["counts"]["accepted"], after["counts"]["refused"]) == (1, 1)
