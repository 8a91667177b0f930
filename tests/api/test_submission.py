"""Submission by GraphQL and HTTP: nothing counts before the seal, every row has an outcome, each tenant sees its own."""

from __future__ import annotations

import json
from typing import Any

import pytest_asyncio

from builders.submission_place import Place, open_place
from builders.world import World, new_key
from fenzhi.access.roles import Role


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "51")


def codes(batch: dict[str, Any], severity: str = "ERROR") -> list[str]:
    return [one["code"] for one in batch["verdicts"]["nodes"] if one["severity"] == severity]


async def test_a_list_becomes_a_case_in_exact_numbers(place: Place) -> None:
    batch = await place.submit([place.listed("A1")])
    assert batch["state"] == "JUDGED"
    assert batch["job"] == {"state": "DONE", "errorCode": None}
    assert batch["counts"] == {
        "rows": 1,
        "accepted": 1,
        "refused": 0,
        "superseding": 0,
        "warnings": 1,
        "refusedByCode": [],
        "setAside": [],
    }
    assert codes(batch, "WARNING") == ["LATE_LIST"]
    assert codes(batch) == []
    (case,) = await place.cases(await place.submitter(), setlId="A1")
    assert {name: value for name, value in case.items() if name != "id"} == {
        "setlId": "A1",
        "version": 1,
        "supersededBy": None,
        "hospitalCode": place.hospital,
        "insurance": "employee",
        "poolScope": "local",
        "settlementMonth": 202501,
        "totalFen": "2706800",
        "basicFundFen": "2000000",
        "otherFundsFen": "100000",
        "accountFen": "56800",
        "cashFen": "550000",
        "diagnoses": ["I63.900"],
        "procedures": ["88.4101"],
        "losDays": 6,
    }


async def test_an_insured_county_of_the_area_is_local_and_another_area_is_not(place: Place) -> None:
    await place.submit(
        [
            place.listed("L1", insu_admdvs="510122"),
            place.listed("L2", insu_admdvs=place.other_city),
            place.listed("L3", insu_admdvs=""),
        ]
    )
    client = await place.submitter()
    found = [(await place.cases(client, setlId=name))[0]["poolScope"] for name in ("L1", "L2", "L3")]
    assert found == ["local", "out_of_area", "local"]


async def test_nothing_counts_before_the_seal_and_the_seal_happens_once(place: Place) -> None:
    client = await place.submitter()
    batch = await place.create(client)
    assert (await client.http.put(batch["uploadPath"] + "1", json=place.listed("B1"))).status_code == 201
    await place.world.work_off()
    assert await place.cases(client, setlId="B1") == []
    key = new_key()
    first = await place.seal(client, batch["id"], idempotencyKey=key)
    again = await place.seal(client, batch["id"], idempotencyKey=key)
    assert first["batch"]["job"]["id"] == again["batch"]["job"]["id"]
    assert first["batch"]["state"] == "SEALED"
    other = await place.seal(client, batch["id"])
    assert [error["code"] for error in other["userErrors"]] == ["BATCH_NOT_OPEN"]
    late = await client.http.put(batch["uploadPath"] + "2", content=b"{}\n")
    assert (late.status_code, late.json()["error"]["code"]) == (409, "BATCH_NOT_OPEN")
    assert await place.world.work_off() >= 1
    assert len(await place.cases(client, setlId="B1")) == 1


async def test_a_seal_names_every_part_that_is_missing_or_too_many(place: Place) -> None:
    client = await place.submitter()
    batch = await place.create(client)
    for number in (2, 5):
        await client.http.put(batch["uploadPath"] + str(number), content=b"\n")
    errors = (await place.seal(client, batch["id"], parts=4))["userErrors"]
    assert [(e["code"], e["saw"]) for e in errors] == [("PARTS_MISSING", "1,3,4"), ("PARTS_BEYOND", "5")]
    assert [e["code"] for e in (await place.seal(client, batch["id"], parts=0))["userErrors"]] == [
        "PARTS_COUNT",
        "PARTS_BEYOND",
    ]


async def test_a_correction_takes_the_place_of_its_earlier_version(place: Place) -> None:
    await place.submit([place.listed("C1")])
    second = await place.submit([place.listed("C1", version=2, psn_cashpay="5400.00", acct_pay="668.00")])
    assert (second["counts"]["accepted"], second["counts"]["superseding"]) == (1, 1)
    old, new = sorted(await place.cases(await place.submitter(), setlId="C1"), key=lambda case: case["version"])
    assert (old["supersededBy"], new["supersededBy"]) == (new["id"], None)
    assert new["cashFen"] == "540000"
    third = await place.submit(
        [
            place.listed("C1", version=2, psn_cashpay="5400.00", acct_pay="668.00"),
            place.listed("C1", version=1),
            place.listed("C1", version=3),
            place.listed("C1", version=3),
            place.listed("C1", version=4, psn_cashpay="5300.00", acct_pay="768.00"),
        ]
    )
    assert codes(third) == ["DUPLICATE_LIST", "STALE_VERSION", "DUPLICATE_IN_BATCH"]
    assert (third["counts"]["accepted"], third["counts"]["superseding"]) == (2, 2)
    fourth = await place.submit([place.listed("C1", version=4)])
    assert codes(fourth) == ["STALE_VERSION"]
    chain = sorted(await place.cases(await place.submitter(), setlId="C1"), key=lambda case: case["version"])
    assert [case["version"] for case in chain if case["supersededBy"] is None] == [4]


async def test_atomic_is_all_or_nothing_and_partial_keeps_what_is_sound(place: Place) -> None:
    lines = [place.listed("D1"), place.listed("D2", fixmedins_code=place.other_hospital), place.listed("D3")]
    atomic = await place.submit(lines, mode="ATOMIC")
    assert atomic["state"] == "REFUSED"
    assert (atomic["counts"]["rows"], atomic["counts"]["accepted"], atomic["counts"]["refused"]) == (3, 0, 3)
    assert atomic["counts"]["refusedByCode"] == [
        {"code": "ANOTHER_HOSPITALS_LIST", "rows": 1},
        {"code": "ATOMIC_BATCH_REFUSED", "rows": 2},
    ]
    assert codes(atomic) == ["ANOTHER_HOSPITALS_LIST"]
    client = await place.submitter()
    assert await place.cases(client, setlId="D1") == []
    partial = await place.submit(lines)
    assert partial["state"] == "JUDGED"
    assert (partial["counts"]["accepted"], partial["counts"]["refused"]) == (2, 1)
    assert len(await place.cases(client, setlId="D1")) == 1
    whole = await place.submit([place.listed("D4")], mode="ATOMIC")
    assert (whole["state"], whole["counts"]["accepted"]) == ("JUDGED", 1)


async def test_all_faults_of_a_list_at_once_and_no_other_row_harmed(place: Place) -> None:
    bad = place.listed(
        "E1",
        insutype="999",
        psn_cashpay=5500.5,
        brdy="1950-13-01",
        adm_time="2025-01-12",
        diseinfo=[{"diag_code": "99859", "maindiag_flag": "1"}],
    )
    foreign = json.dumps(place.listed("E4"), ensure_ascii=False).encode("gb18030")
    batch = await place.submit([bad, b'{"setl_id": "E2"', place.listed("E3"), foreign])
    first = [one["code"] for one in batch["verdicts"]["nodes"] if one["row"] == 1 and one["severity"] == "ERROR"]
    assert first == [
        "DATE_MALFORMED",
        "AMOUNT_NOT_TEXT",
        "UNKNOWN_INSURANCE_TYPE",
        "UNKNOWN_PRINCIPAL_DIAGNOSIS",
        "ADMISSION_AFTER_DISCHARGE",
    ]
    others = [(one["row"], one["code"]) for one in batch["verdicts"]["nodes"] if one["row"] in (2, 4)]
    assert others == [(2, "NOT_JSON"), (4, "ENCODING_NOT_UTF8")]
    assert (batch["counts"]["accepted"], batch["counts"]["refused"]) == (1, 3)
    summary = {(one["code"], one["times"]) for one in batch["verdictSummary"]}
    assert ("AMOUNT_NOT_TEXT", 1) in summary


async def test_rows_not_as_stated_refuse_the_batch(place: Place) -> None:
    client = await place.submitter()
    batch = await place.create(client)
    await client.http.put(batch["uploadPath"] + "1", json=place.listed("F1"))
    await place.seal(client, batch["id"], rows=2)
    await place.world.work_off()
    found = await place.look(client, batch["id"])
    assert found["state"] == "REFUSED"
    assert found["counts"]["refusedByCode"] == [{"code": "ROWS_NOT_AS_STATED", "rows": 1}]
    assert await place.cases(client, setlId="F1") == []


async def test_rows_are_numbered_through_the_parts(place: Place) -> None:
    client = await place.submitter()
    batch = await place.create(client)
    refused = place.listed("G", insutype="999")
    one, two = json.dumps(refused | {"setl_id": "G1"}), json.dumps(refused | {"setl_id": "G2"})
    await client.http.put(batch["uploadPath"] + "1", content=f"\n{one}\n\n{two}".encode())
    await client.http.put(batch["uploadPath"] + "2", content=one.encode() + b"\n")
    await place.seal(client, batch["id"], parts=2)
    await place.world.work_off()
    found = await place.look(client, batch["id"])
    rows = [(n["row"], n["setlId"], n["code"]) for n in found["verdicts"]["nodes"] if n["severity"] == "ERROR"]
    assert rows == [
        (2, "G1", "UNKNOWN_INSURANCE_TYPE"),
        (4, "G2", "UNKNOWN_INSURANCE_TYPE"),
        (5, "G1", "DUPLICATE_IN_BATCH"),
        (5, "G1", "UNKNOWN_INSURANCE_TYPE"),
    ]
    response = await client.http.get(f"/v1/batches/{batch['id']}/verdicts.ndjson")
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [(line["row"], line["code"]) for line in lines if line["severity"] == "error"] == [
        (r, c) for r, _, c in rows
    ]


async def test_an_abandoned_batch_takes_nothing_more(place: Place) -> None:
    client = await place.submitter()
    batch = await place.create(client)
    abandon = "mutation($i: BatchAbandonInput!) { batchAbandon(input: $i) { batch { state } userErrors { code } } }"
    order = {"idempotencyKey": new_key(), "batch": batch["id"]}
    answer = (await client.gql(abandon, {"i": order}))["batchAbandon"]
    assert answer == {"batch": {"state": "ABANDONED"}, "userErrors": []}
    assert (await client.http.put(batch["uploadPath"] + "1", content=b"{}")).status_code == 409
    assert (await place.seal(client, batch["id"]))["userErrors"][0]["code"] == "BATCH_NOT_OPEN"


async def test_typed_lists_are_created_kept_and_sealed_in_one_act(place: Place) -> None:
    client = await place.submitter()
    mutation = """
    mutation($i: SettlementListsSubmitInput!) { settlementListsSubmit(input: $i) {
      batch { id state parts } userErrors { code } } }
    """
    typed = place.listed("T1")
    order = {"idempotencyKey": new_key(), "lists": [typed, place.listed("T2", medfee_sumamt="27068.001")]}
    camel = {**order, "lists": [_camel(one) for one in order["lists"]]}
    answers = [(await client.gql(mutation, {"i": camel}))["settlementListsSubmit"] for _ in range(2)]
    assert answers[0] == answers[1]
    assert (answers[0]["batch"]["state"], answers[0]["batch"]["parts"]) == ("SEALED", 1)
    await place.world.work_off()
    found = await place.look(client, answers[0]["batch"]["id"])
    assert (found["counts"]["accepted"], found["counts"]["refused"]) == (1, 1)
    assert codes(found) == ["AMOUNT_MALFORMED"]
    (case,) = await place.cases(client, setlId="T1")
    assert case["totalFen"] == "2706800"
    none = (await client.gql(mutation, {"i": {"idempotencyKey": new_key(), "lists": []}}))["settlementListsSubmit"]
    assert [e["code"] for e in none["userErrors"]] == ["LISTS_COUNT"]


def _camel(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel(one) for one in value]
    if not isinstance(value, dict):
        return value

    def name(key: str) -> str:
        first, *rest = key.split("_")
        return first + "".join(word.capitalize() for word in rest)

    return {name(key): _camel(inner) for key, inner in value.items()}


async def test_roles_and_tenants_stay_apart(place: Place) -> None:
    batch = await place.submit([place.listed("W1"), place.listed("W2", insutype="999")])
    (case,) = await place.cases(await place.submitter(), setlId="W1")
    look = "query($b: ID!, $c: ID!) { batch(id: $b) { state } inpatientCase(id: $c) { setlId } a: node(id: $b) { id } }"
    asked = {"b": batch["id"], "c": case["id"]}
    for tenant, role in (
        (place.county_hospital, Role.HOSPITAL_SUBMITTER),
        (place.other_city, Role.CITY_SETTLEMENT_CLERK),
        (place.other_hospital, Role.HOSPITAL_VIEWER),
        ("370100", Role.CITY_SETTLEMENT_CLERK),
        ("510122", Role.COUNTY_AUDITOR),
    ):
        stranger = await place.client(tenant, role)
        assert await stranger.gql(look, asked) == {"batch": None, "inpatientCase": None, "a": None}, (tenant, role)
        response = await stranger.http.get(f"/v1/batches/{batch['id']}/verdicts.ndjson")
        assert response.status_code == 404
    for tenant, role in ((place.hospital, Role.HOSPITAL_VIEWER), (place.city, Role.CITY_SETTLEMENT_CLERK)):
        own = await place.client(tenant, role)
        assert (await own.gql(look, asked))["inpatientCase"] == {"setlId": "W1"}
    analyst = await place.client(place.province, Role.PROVINCE_ANALYST)
    seen = await analyst.gql("query($c: ID!) { inpatientCase(id: $c) { setlId totalFen } }", {"c": case["id"]})
    assert seen["inpatientCase"] == {"setlId": None, "totalFen": "2706800"}
    refused = await analyst.raw(
        "query($f: CaseFilter) { cases(first: 5, filter: $f) { nodes { id } } }", {"f": {"setlId": "W1"}}
    )
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await analyst.raw("query($b: ID!) { batch(id: $b) { state } }", {"b": batch["id"]}))["errors"][0][
        "extensions"
    ]["code"] == "FORBIDDEN"


async def test_who_may_create_which_batch(place: Place) -> None:
    create = "mutation($i: BatchCreateInput!) { batchCreate(input: $i) { userErrors { code } } }"
    for tenant, role, purpose in (
        (place.hospital, Role.HOSPITAL_VIEWER, "LISTS"),
        (place.hospital, Role.HOSPITAL_SUBMITTER, "HISTORY"),
        (place.city, Role.CITY_SETTLEMENT_CLERK, "LISTS"),
        (place.province, Role.PROVINCE_ANALYST, "HISTORY"),
    ):
        client = await place.client(tenant, role)
        order = {"idempotencyKey": new_key(), "purpose": purpose, "mode": "PARTIAL"}
        assert (await client.raw(create, {"i": order}))["errors"][0]["extensions"]["code"] == "FORBIDDEN", (
            role,
            purpose,
        )
    city = await place.client(place.city, Role.CITY_SETTLEMENT_CLERK)
    order = {"idempotencyKey": new_key(), "purpose": "HISTORY", "mode": "ATOMIC", "label": "x" * 201}
    errors = (await city.gql(create, {"i": order}))["batchCreate"]["userErrors"]
    assert [e["code"] for e in errors] == ["LABEL_SHAPE", "MODE_OF_HISTORY"]


async def test_pages_of_batches_and_cases_follow_each_other(place: Place) -> None:
    client = await place.submitter()
    await place.submit([place.listed(f"P{n}") for n in range(3)])
    seen: list[str] = []
    after = None
    while True:
        page = (
            await client.gql(
                "query($a: String) { cases(first: 2, after: $a, filter: {settlementMonth: 202501}) "
                "{ nodes { id } pageInfo { hasNextPage endCursor } } }",
                {"a": after},
            )
        )["cases"]
        seen += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert len(seen) == len(set(seen)) >= 3
    first = (await client.gql("{ batches(first: 1) { nodes { id } pageInfo { endCursor } } }"))["batches"]
    second = (
        await client.gql(
            "query($a: String) { batches(first: 1, after: $a) { nodes { id } } }",
            {"a": first["pageInfo"]["endCursor"]},
        )
    )["batches"]
    assert first["nodes"] != second["nodes"]
