"""A rule change tried on a month: who would newly fail or pass, what that endangers, and that nothing else has changed."""

from __future__ import annotations

import json
from typing import Any

import pytest_asyncio

from builders.submission_place import Place, enter_policy, open_place
from builders.world import World, new_key
from fenzhi.access.roles import Role

SIMULATE = "mutation($i: QcSimulateInput!) { qcSimulate(input: $i) { job { id } userErrors { code path } } }"
LOOK = """{ qcSimulations(first: 10) { nodes { jobId state settlementMonth lists changes { key value }
  lines { hospitalCode rule code newlyFailing newlyPassing newlyWarned points totalCostFen basicFundFen unpriced } } } }"""
DRUGS = [{"med_chrgitm": "09", "amt": "27068.00"}]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    opened = await open_place(world, "S5")
    checks = json.dumps({"SHORT_STAY_WITHOUT_PROCEDURE": "error"})
    await enter_policy(
        world, opened.province, {"submission.optional_checks": checks, "submission.short_stay_days": "3"}
    )
    short = {"oprninfo": [], "adm_time": "2025-01-08", "setl_begn_date": "2025-01-08", "act_ipt_days": 1}
    care = {"iteminfo": [{"med_chrgitm": "14", "amt": "27068.00"}]}
    await opened.submit([opened.listed("M1"), opened.listed("M2", **care), opened.listed("M3", **short, **care)])
    county = opened.county_hospital
    await opened.submit([opened.listed("M1", fixmedins_code=county, **care)], hospital=county)
    await opened.submit([opened.listed("M1", version=2, fixmedins_code=county)], hospital=county)
    return opened


async def simulated(place: Place, changes: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    order = {"idempotencyKey": new_key(), "changes": changes} | more
    asked = (await clerk.gql(SIMULATE, {"i": order}))["qcSimulate"]
    assert asked["userErrors"] == [], asked
    await place.world.work_off()
    found = (await clerk.gql(LOOK))["qcSimulations"]["nodes"][0]
    assert (found["jobId"], found["state"]) == (asked["job"]["id"], "DONE")
    return found  # type: ignore[no-any-return]


def line(hospital: str, rule: str, code: str, failing: int, passing: int, warned: int) -> dict[str, Any]:
    return {
        "hospitalCode": hospital,
        "rule": rule,
        "code": code,
        "newlyFailing": failing,
        "newlyPassing": passing,
        "newlyWarned": warned,
        "points": "0",
        "totalCostFen": "0",
        "basicFundFen": "0",
        "unpriced": failing,  # No budget point value was approved here.
    }


async def test_who_would_fail_and_who_would_pass(place: Place) -> None:
    before = [await place.cases(await place.submitter(h)) for h in (place.hospital, place.county_hospital)]
    value = json.dumps({"ONLY_DRUGS_CHARGED": "error"})
    found = await simulated(place, [{"key": "submission.optional_checks", "value": value}], settlementMonth=202501)
    assert (found["settlementMonth"], found["lists"]) == (202501, 4)
    assert found["changes"] == [{"key": "submission.optional_checks", "value": value}]
    city, county = place.hospital, place.county_hospital
    wanted = [
        line(city, "Q20", "SHORT_STAY_WITHOUT_PROCEDURE", 0, 1, 0),
        line(city, "Q21", "ONLY_DRUGS_CHARGED", 1, 0, 0),
        line(county, "Q21", "ONLY_DRUGS_CHARGED", 1, 0, 0),
    ]
    assert found["lines"] == sorted(wanted, key=lambda one: (one["hospitalCode"], one["rule"]))
    after = [await place.cases(await place.submitter(h)) for h in (city, county)]
    assert before == after


async def test_a_warning_is_told_apart_and_a_rule_can_be_taken_away(place: Place) -> None:
    value = json.dumps({"ONLY_DRUGS_CHARGED": "warning", "SHORT_STAY_WITHOUT_PROCEDURE": "error"})
    found = await simulated(place, [{"key": "submission.optional_checks", "value": value}], settlementMonth=202501)
    assert [(one["code"], one["newlyFailing"], one["newlyWarned"]) for one in found["lines"]] == [
        ("ONLY_DRUGS_CHARGED", 0, 1),
        ("ONLY_DRUGS_CHARGED", 0, 1),
    ]
    found = await simulated(place, [{"key": "submission.optional_checks", "value": None}], settlementMonth=202501)
    assert [(one["code"], one["newlyPassing"]) for one in found["lines"]] == [("SHORT_STAY_WITHOUT_PROCEDURE", 1)]
    empty = await simulated(place, [{"key": "submission.short_stay_days", "value": "9"}])
    assert (empty["lists"], empty["lines"]) == (0, [])


async def test_every_fault_at_once_and_nobody_else(place: Place) -> None:
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    order = {
        "idempotencyKey": new_key(),
        "settlementMonth": 202513,
        "changes": [
            {"key": "submission.optional_checks", "value": '{"NO_SUCH": "error"}'},
            {"key": "clearing.printed_decimals", "value": "4"},
            {"key": "submission.nothing", "value": "4"},
            {"key": "submission.upload_days", "value": "seven"},
        ],
    }
    refused = (await clerk.gql(SIMULATE, {"i": order}))["qcSimulate"]["userErrors"]
    assert [(e["code"], e["path"]) for e in refused] == [
        ("OPTIONAL_CHECK_UNKNOWN", ["changes", "0", "value"]),
        ("SIMULATION_SHAPE", ["changes", "1", "key"]),
        ("POLICY_KEY_UNKNOWN", ["changes", "2", "key"]),
        ("POLICY_VALUE_UNIT", ["changes", "3", "value"]),
        ("SIMULATION_SHAPE", ["settlementMonth"]),
    ]
    submitter = await place.submitter()
    assert (await submitter.raw(LOOK))["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    other = await place.client(place.other_city, Role.CITY_SETTLEMENT_CLERK)
    assert (await other.gql(LOOK))["qcSimulations"]["nodes"] == []
