"""The whole settlement list through both doors: every field of the national dictionary is taken, kept, and told again."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest_asyncio

from builders.national import envelope, list_of, send
from builders.submission_place import Place, enter_policy, open_place
from builders.world import World, new_key
from fenzhi.services.submission.national.message import PERSONAL
from fenzhi.services.submission.read_faults import known_names
from fenzhi_graphql.submission import carried_input, list_input

INPUTS: dict[str, type] = {
    "": list_input.SettlementListInput,
    "diseinfo": list_input.DiagnosisInput,
    "oprninfo": list_input.ProcedureInput,
    "payinfo": list_input.FundPaymentInput,
    "iteminfo": list_input.ChargeItemInput,
    "opspdiseinfo": carried_input.SpecialDiseaseInput,
    "icuinfo": carried_input.IntensiveCareInput,
    "bldinfo": carried_input.TransfusionInput,
}
ALIASES = {"hi_type": "insutype", "insuplc": "insu_admdvs"}
SUBMIT = """
mutation($i: SettlementListsSubmitInput!) { settlementListsSubmit(input: $i) { batch { id } userErrors { code path } } }
"""
OF_ITS_OWN = {
    "diag_code_cnt": 1,
    "oprn_oprt_code_cnt": 1,
    "maindiag_flag": "1",
    "main_oprn_flag": "1",
    "ccmcc_flag": "1",
    "psn_selfpay": "100.00",
    "psn_ownpay": "100.00",
    "vent_used_dura": "0/0/0",
    "scs_cutd_sum_dura": "1/0/0",
    "scs_cutd_inpool_time": "2025-01-04 08:00:00",
    "scs_cutd_exit_time": "2025-01-05 08:00:00",
    "oprn_oprt_date": "2025-01-04",
    "anst_way": "01",
    "dcla_time": "2025-01-10",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "K1")


def dictionary(shared: Path) -> list[tuple[str, str]]:
    """(node, field) of the national dictionary, `setlinfo` as the list itself."""
    file = shared / "data" / "settlement_list_4101_fields.csv"
    with file.open(encoding="utf-8-sig", newline="") as rows:
        return [(row["node"].replace("setlinfo", ""), row["field"]) for row in csv.DictReader(rows)]


def names_of(node: str) -> set[str]:
    return {one.name for one in dataclasses.fields(INPUTS[node])}


def filled(given: dict[str, Any], node: str) -> dict[str, Any]:
    """A row with every field of its node: what it says stands, the rest is made up."""
    made: dict[str, Any] = {}
    for name in sorted(names_of(node)):
        if name in ("opspdiseinfo", "icuinfo", "bldinfo"):
            made[name] = [filled({}, name)]
        elif name.endswith(("_sumfee", "_amt")) and node == "iteminfo":
            made[name] = "0.00"
        else:
            made[name] = OF_ITS_OWN.get(name, "1")
    return made | given


def whole(place: Place, setl_id: str) -> dict[str, Any]:
    given = place.listed(setl_id)
    for node in ("diseinfo", "oprninfo", "iteminfo"):
        given[node] = [filled(row, node) for row in given[node]]
    days = {"nwb_age": None, "seg_no": 1, "adm_time": "2025-01-03", "opsp_mdtrt_date": "2025-01-02"}
    return {name: value for name, value in filled(given | days, "").items() if value is not None}


def camel(value: Any) -> Any:
    if isinstance(value, list):
        return [camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        first + "".join(part.capitalize() for part in rest): camel(one)
        for first, *rest, one in ((*name.split("_"), one) for name, one in value.items())
    }


def test_the_typed_input_has_every_field_that_an_upload_may_have(shared: Path) -> None:
    for node, known in known_names():
        assert names_of(node) == {ALIASES.get(name, name) for name in known}, node
    missing = [(node, name) for node, name in dictionary(shared) if ALIASES.get(name, name) not in names_of(node)]
    assert missing == []


async def test_a_typed_list_with_every_field_is_accepted_and_judged_by_them(place: Place) -> None:
    marked = {
        "submission.optional_checks": json.dumps({"COMPLICATION_WITHOUT_DIAGNOSIS": "error"}),
        "submission.complication_diagnoses": json.dumps({"J18": "MCC"}),
    }
    await enter_policy(place.world, place.province, marked)
    client = await place.submitter()
    sound = whole(place, "K1") | {"ccmcc_flag": "0"}
    faulty = whole(place, "K2") | {"ccmcc_flag": "MCC"}
    order = {"idempotencyKey": new_key(), "lists": [camel(sound), camel(faulty)]}
    made = (await client.gql(SUBMIT, {"i": order}))["settlementListsSubmit"]
    assert made["userErrors"] == []
    await place.world.work_off()
    found = await place.look(client, made["batch"]["id"])
    told = [(one["row"], one["code"], one["path"]) for one in found["verdicts"]["nodes"] if one["severity"] == "ERROR"]
    assert told == [(2, "COMPLICATION_WITHOUT_DIAGNOSIS", "ccmcc_flag")], found["verdicts"]["nodes"]
    assert (found["counts"]["accepted"], found["counts"]["refused"]) == (1, 1)
    assert "UNKNOWN_FIELD" not in {one["code"] for one in found["verdicts"]["nodes"]}


async def test_every_field_of_4101a_comes_back_by_4103(place: Place, shared: Path) -> None:
    content = list_of(place, "K3")
    given = whole(place, "K3")
    content["setlinfo"] |= {
        name: value
        for name, value in given.items()
        if not isinstance(value, list) and name not in ("version", *ALIASES.values(), "medfee_sumamt")
    }
    for node in ("diseinfo", "oprninfo", "opspdiseinfo", "icuinfo", "bldinfo", "payinfo", "iteminfo"):
        content[node] = given[node]
    content["setlinfo"] |= {"medfee_sumamt": given["medfee_sumamt"], "nwb_age": "1"}
    client = await place.submitter()
    answer = await send(client, envelope(place, "4101A", content))
    assert (answer["infcode"], answer["output"]["waits_for"]) == ("0", "")
    asked = {"psn_no": "PERSONK3", "setl_id": "K3"}
    output = (await send(client, envelope(place, "4103", {"data": asked})))["output"]
    for node, name in dictionary(shared):
        row = (output[node][0] if node else output["setlinfo"])[name]
        sent = (content[node][0] if node else content["setlinfo"])[name]
        if name == "stas_type" and not node:
            continue
        assert row == ("***" if not node and name in PERSONAL else str(sent)), (node, name)
