"""The national adapter: 4101A files, 4102 submits or takes back, what is missing waits, results come back in the national envelope."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from builders.clearing_place import enter_area_policy
from builders.national import envelope, file, import_records, list_of, record_of, send, set_state
from builders.submission_place import Place, open_place
from builders.world import World, new_key
from fenzhi.access.roles import Role

LISTS = """
query { filedLists(first: 100) { nodes {
  id setlId state stasType version waitsFor caseId returns moves { step fromState toState version }
  changes { path before after } } } }
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "91")


async def filed(place: Place, setl_id: str) -> dict[str, Any]:
    nodes = (await (await place.submitter()).gql(LISTS))["filedLists"]["nodes"]
    return next(one for one in nodes if one["setlId"] == setl_id)


async def ask(place: Place, infno: str, **data: Any) -> dict[str, Any]:
    answer = await send(await place.submitter(), envelope(place, infno, {"data": data}))
    assert answer["infcode"] == "0", answer
    return answer["output"]  # type: ignore[no-any-return]


async def test_a_list_waits_for_its_settlement_record_and_goes_on_by_itself(place: Place) -> None:
    output = await file(place, "N1")
    assert output["waits_for"] == "settlement_record" and output["version"] == "1"
    assert (await set_state(place, "N1", "1"))["output"]["data"] == [
        {"setl_id": "N1", "stas_type": "1", "waits_for": "settlement_record"}
    ]
    await place.world.work_off()
    assert (await filed(place, "N1"))["state"] == "SUBMITTED"
    assert await import_records(place, record_of(place, "N1")) == {"records": 1, "repeated": 0, "lists": 1}
    await place.world.work_off()
    found = await filed(place, "N1")
    assert (found["state"], found["stasType"], found["waitsFor"]) == ("PASSED", "2", "")
    assert [move["step"] for move in found["moves"]] == ["file", "submit", "accept"]
    case = (await place.cases(await place.submitter(), setlId="N1"))[0]
    assert (case["totalFen"], case["basicFundFen"], case["otherFundsFen"]) == ("2706800", "2000000", "100000")
    assert case["diagnoses"] == ["I63.900"] and found["caseId"] == case["id"]


async def test_the_conversation_of_a_faulty_list(place: Place) -> None:
    await import_records(place, record_of(place, "N2"))
    await file(place, "N2", gend="")
    assert (await set_state(place, "N2", "1"))["infcode"] == "0"
    await place.world.work_off()
    told = (await ask(place, "4104", setl_id="N2"))["data"]
    assert [(one["stas_type"], [f["code"] for f in one["findings"] if f["severity"] == "error"]) for one in told] == [
        ("3", ["REQUIRED_FIELD_MISSING"])
    ]
    await file(place, "N2")
    assert [(c["path"], c["before"], c["after"]) for c in (await filed(place, "N2"))["changes"]] == [("gend", "", "1")]
    assert (await set_state(place, "N2", "1"))["output"]["data"][0]["stas_type"] == "1"
    await place.world.work_off()
    assert (await ask(place, "4104", setl_id="N2"))["data"][0]["stas_type"] == "2"


async def test_what_has_passed_can_be_neither_changed_nor_taken_back(place: Place) -> None:
    await import_records(place, record_of(place, "N3"))
    await file(place, "N3")
    await set_state(place, "N3", "1")
    await place.world.work_off()
    client = await place.submitter()
    changed = await send(client, envelope(place, "4101A", list_of(place, "N3", gend="2")))
    back = await set_state(place, "N3", "0")
    assert [one["infcode"] for one in (changed, back)] == ["-1", "-1"]
    assert changed["output"]["refusals"][0]["code"] == "LIST_PASSED"
    assert back["output"]["refusals"][0]["code"] == "LIST_PASSED"
    assert "LIST_PASSED" in back["err_msg"] and "退回" in back["err_msg"]


async def test_a_repeated_message_is_answered_as_the_first_and_another_body_is_refused(place: Place) -> None:
    client = await place.submitter()
    message = envelope(place, "4101A", list_of(place, "N4"))
    first = await send(client, message)
    again = [await send(client, message) for _ in range(3)]
    assert [one["output"] for one in again] == [first["output"]] * 3
    other = await send(client, message | {"opter": "T02"})
    assert other["output"]["refusals"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert (await filed(place, "N4"))["version"] == 1


async def test_taking_back_before_the_checks_and_submitting_again(place: Place) -> None:
    await import_records(place, record_of(place, "N5"))
    await file(place, "N5")
    await set_state(place, "N5", "1")
    assert (await set_state(place, "N5", "0"))["output"]["data"][0]["stas_type"] == "0"
    await place.world.work_off()
    assert (await filed(place, "N5"))["state"] == "DRAFT"
    await set_state(place, "N5", "1")
    await place.world.work_off()
    assert (await filed(place, "N5"))["state"] == "PASSED"


async def test_all_rows_of_a_state_change_or_none(place: Place) -> None:
    await file(place, "N6")
    rows = [
        {"setl_id": "N6", "psn_no": "PERSONN6", "stas_type": "1"},
        {"setl_id": "N6", "psn_no": "SOMEBODY ELSE", "stas_type": "1"},
        {"setl_id": "NOWHERE", "psn_no": "P", "stas_type": "1"},
        {"setl_id": "N6", "psn_no": "PERSONN6", "stas_type": "2"},
    ]
    answer = await send(await place.submitter(), envelope(place, "4102", {"data": rows}))
    assert sorted((r["path"], r["code"]) for r in answer["output"]["refusals"]) == [
        ("input.data[1]", "NOT_FOUND"),
        ("input.data[2]", "NOT_FOUND"),
        ("input.data[3]", "LIST_STATE"),
    ]
    assert (await filed(place, "N6"))["state"] == "DRAFT"


async def test_looking_a_list_up_masks_persons_and_adds_the_record(place: Place) -> None:
    await file(place, "N7")
    await import_records(place, record_of(place, "N7"))
    found = await ask(place, "4103", setl_id="N7", psn_no="PERSONN7")
    assert found["setlinfo"]["psn_name"] == found["setlinfo"]["certno"] == "***"
    assert "合成患者姓名" not in json.dumps(found, ensure_ascii=False)
    assert found["setlinfo"]["medfee_sumamt"] == "27068.00" and found["setlinfo"]["stas_type"] == "0"
    assert found["payinfo"][0] == {"fund_pay_type": "310100", "fund_payamt": "20000.00"}
    assert found["diseinfo"][0]["diag_code"] == "I63.900"


async def test_counts_and_results_of_a_month(place: Place) -> None:
    days = {"begntime": "2020-01-01", "endtime": "2020-12-31"}
    none = {"not_submit_cnt", "submitted_cnt", "pass_cnt", "not_pass_cnt", "hospital_submit_cnt", "need_upload_cnt"}
    assert (await ask(place, "4105", **days))["data"] == dict.fromkeys(none, "0")
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date().isoformat()
    on_this_day = {"begntime": today, "endtime": today}
    before = (await ask(place, "4105", **on_this_day))["data"]
    await import_records(place, record_of(place, "N8"), record_of(place, "NEVER"))
    february = {"adm_time": "2025-02-03", "dscg_time": "2025-02-09", "setl_begn_date": "2025-02-03"}
    february |= {"setl_end_date": "2025-02-10", "dcla_time": "2025-02-10"}
    content = list_of(place, "N8", **february)
    content["oprninfo"][0]["oprn_oprt_begntime"] = "2025-02-04"
    client = await place.submitter()
    assert (await send(client, envelope(place, "4101A", content)))["infcode"] == "0"
    await file(place, "N9")
    await set_state(place, "N8", "1")
    await place.world.work_off()
    after = (await ask(place, "4105", **on_this_day))["data"]
    assert {name: int(after[name]) - int(before[name]) for name in none} == {
        "not_submit_cnt": 1,
        "submitted_cnt": 0,
        "pass_cnt": 1,
        "not_pass_cnt": 0,
        "hospital_submit_cnt": 2,
        "need_upload_cnt": 1,
    }
    [group] = (await ask(place, "3606", setlym="202502"))["data"]
    assert {name: group[name] for name in ("setl_id", "dip_codg", "grp_stas", "dip_score", "hosp_coefficient")} == {
        "setl_id": "N8",
        "dip_codg": "I63.9:88.4101",
        "grp_stas": "1",
        "dip_score": "1200.5",
        "hosp_coefficient": "1.0500",
    }
    assert (group["pay_mode"], group["pay_mode_name"], group["beside_fund_amt"]) == ("dip", "按病种分值", "")
    assert group["case_points"] != ""
    single = {
        "groups": "I63.9:88.4101",
        "levels": "",
        "departments": "",
        "agreement_modes": "",
        "mode": "single_disease",
    }
    await enter_area_policy(
        place.world,
        place.city,
        {
            "payment_mode.table": [single, single | {"groups": "", "mode": "dip"}],
            "payment_mode.single_disease_standards": {"I63.9:88.4101": "9000"},
            "payment_mode.single_disease_below": "standard",
        },
    )
    [group] = (await ask(place, "3606", setlym="202502"))["data"]
    assert (group["pay_mode"], group["pay_mode_name"], group["pay_mode_name_en"]) == (
        "single_disease",
        "单病种定额",
        "single disease",
    )
    client = await place.submitter()
    case = (await place.cases(client, setlId="N8"))[0]["id"]
    asked = "query($id: ID!) { caseExplain(id: $id) { disposition points paidBy { mode zh fundFen } } }"
    explained = (await client.gql(asked, {"id": case}))["caseExplain"]
    assert (explained["disposition"], explained["points"]) == ("beside:single_disease", None)
    assert explained["paidBy"]["mode"] == group["pay_mode"] and explained["paidBy"]["zh"] == group["pay_mode_name"]
    assert (group["case_points"], group["dip_codg"]) == ("", "I63.9:88.4101")
    assert int(explained["paidBy"]["fundFen"]) == int(Decimal(group["beside_fund_amt"]) * 100) > 0
    quality = (await ask(place, "3607", setlym="202502"))["data"]
    assert [(one["setl_id"], one["code"]) for one in quality] == [("N8", "LATE_LIST")]
    assert (await ask(place, "3606", setlym="202502", page_num="2"))["data"] == []


@pytest.mark.parametrize(
    ("infno", "data", "code"),
    [
        ("3606", {"setlym": "202513"}, "NATIONAL_MONTH"),
        ("3606", {"setlym": "202501", "page_size": "101"}, "NATIONAL_PAGE"),
        ("4105", {"begntime": "2025-01-31", "endtime": "2025-01-01"}, "NATIONAL_SPAN"),
        ("4105", {"begntime": "2025-02-30", "endtime": "2025-03-01"}, "NATIONAL_SPAN"),
        ("4103", {"setl_id": "", "psn_no": "P"}, "NATIONAL_MESSAGE"),
        ("4102", [], "NATIONAL_MESSAGE"),
        ("4102", [{"setl_id": "A", "psn_no": "P", "stas_type": "1"}] * 101, "NATIONAL_ROWS"),
    ],
)
async def test_a_question_that_cannot_be_read_is_refused_typed(place: Place, infno: str, data: Any, code: str) -> None:
    answer = await send(await place.submitter(), envelope(place, infno, {"data": data}))
    assert answer["infcode"] == "-1"
    assert [r["code"] for r in answer["output"]["refusals"]] == [code]
    assert answer["inf_refmsgid"].startswith(place.hospital)


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (b"\xff\xfe", "NATIONAL_MESSAGE", "byte 0"),
        (b'{"infno":"4101A"', "NATIONAL_MESSAGE", "line 1 column 17"),
        (b'{"infno":"4101A","infno":"4101A"}', "NATIONAL_MESSAGE", "infno"),
        (b'{"infno":NaN}', "NATIONAL_MESSAGE", ""),
        (b"[" * 3000, "NATIONAL_MESSAGE", ""),
        (b'{"infno":"4101A","msgid":"\\ud800"}', "NATIONAL_MESSAGE", "msgid"),
        (b"[]", "NATIONAL_MESSAGE", ""),
    ],
)
async def test_a_broken_message_is_named(place: Place, body: bytes, code: str, path: str) -> None:
    answer = await send(await place.submitter(), body, "4101A")
    assert answer["infcode"] == "-1"
    assert [(r["code"], r["path"]) for r in answer["output"]["refusals"]] == [(code, path)]


async def test_every_fault_of_an_envelope_at_once(place: Place) -> None:
    answer = await send(await place.submitter(), {"infno": "4102", "fixmedins_code": ""}, "4101A")
    assert sorted(r["path"] for r in answer["output"]["refusals"]) == ["fixmedins_code", "infno", "input", "msgid"]


async def test_amounts_are_read_by_their_own_text(place: Place) -> None:
    content = list_of(place, "N10", medfee_sumamt=0) | {"payinfo": []}
    body = json.dumps(envelope(place, "4101A", content)).replace('"medfee_sumamt": 0', '"medfee_sumamt": 27068.10')
    body = body.replace('"payinfo": []', '"payinfo": [{"fund_pay_type": "310100", "fund_payamt": 20000.00}]').replace(
        '"hi_type"', '"acct_pay": 0.10, "psn_cashpay": 7068.00, "hi_type"'
    )
    answer = await send(await place.submitter(), body.encode(), "4101A")
    assert answer["output"]["waits_for"] == ""
    await set_state(place, "N10", "1")
    await place.world.work_off()
    case = (await place.cases(await place.submitter(), setlId="N10"))[0]
    assert (case["totalFen"], case["accountFen"], case["cashFen"]) == ("2706810", "10", "706800")


async def test_another_hospitals_name_or_list_is_refused(place: Place) -> None:
    await file(place, "N11")
    stranger = await place.client(place.other_hospital, Role.HOSPITAL_SUBMITTER)
    body = json.dumps(envelope(place, "4103", {"data": {"setl_id": "N11", "psn_no": "PERSONN11"}})).encode()
    assert (await stranger.http.post("/v1/nhsa/4103", content=body)).status_code == 403
    own = json.loads(body) | {"fixmedins_code": place.other_hospital}
    refused = await send(stranger, own)
    unknown = await send(stranger, own | {"input": {"data": {"setl_id": "NOBODYS", "psn_no": "PERSONN11"}}})
    assert refused["output"] == unknown["output"] and refused["output"]["refusals"][0]["code"] == "NOT_FOUND"
    viewer = await place.client(place.hospital, Role.HOSPITAL_VIEWER)
    upload = json.dumps(envelope(place, "4101A", list_of(place, "N11"))).encode()
    assert (await viewer.http.post("/v1/nhsa/4101A", content=upload)).status_code == 403
    assert (await viewer.http.post("/v1/nhsa/9999", content=upload)).json()["output"]["refusals"][0][
        "code"
    ] == "NOT_FOUND"


@pytest.mark.parametrize("infno", ["4101A", "4102", "4103", "4104", "4105", "3606", "3607"])
async def test_who_may_not_ask_learns_nothing_of_the_message(place: Place, infno: str) -> None:
    admin = await place.client(place.city, Role.CITY_SYSTEM_ADMINISTRATOR)
    for body in (b"", b"{", json.dumps(envelope(place, infno, {})).encode()):
        answer = await admin.http.post(f"/v1/nhsa/{infno}", content=body)
        codes = [refusal["code"] for refusal in answer.json()["output"]["refusals"]]
        assert (answer.status_code, codes) == (403, ["FORBIDDEN"])


async def test_one_faulty_record_imports_none(place: Place) -> None:
    clerk = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    lines = [
        record_of(place, "R1"),
        record_of(place, "R2", medfee_sumamt="1e5", payinfo=[{"fund_pay_type": "", "fund_payamt": "1.001"}]),
        record_of(place, "R3", fixmedins_code="H00000000001"),
    ]
    body = b"\n".join(json.dumps(one).encode() for one in lines)
    response = await clerk.http.post("/v1/settlement-records", content=body, headers={"idempotency-key": new_key()})
    assert response.status_code == 422, response.text
    assert [r["path"] for r in response.json()["error"]["refusals"]] == [
        "row 2 medfee_sumamt",
        "row 2 payinfo[0].fund_pay_type",
        "row 2 payinfo[0].fund_payamt",
    ]
    assert (await import_records(place, record_of(place, "R1")))["records"] == 1
    assert (await import_records(place, record_of(place, "R1")))["repeated"] == 1
    hospital = await place.submitter()
    assert (await hospital.http.post("/v1/settlement-records", content=body)).status_code == 403
