"""The rounds of a list: department, hospital, checks, bureau; returns with a window; a held case enters no run until it is corrected."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from builders.submission_place import Place, enter_policy, open_place
from builders.world import World, new_key
from fenzhi.access.roles import Role
from fenzhi.rules.refusals import FenzhiError

LIST = "filedList { id state stasType version returns } userErrors { code path }"
SAVE = f"mutation($i: FiledListSaveInput!) {{ filedListSave(input: $i) {{ {LIST} }} }}"
REVIEW = f"mutation($i: FiledListReviewInput!) {{ filedListReview(input: $i) {{ {LIST} }} }}"
SUBMIT = f"mutation($i: FiledListStepInput!) {{ filedListSubmit(input: $i) {{ {LIST} }} }}"
BACK = f"mutation($i: FiledListStepInput!) {{ filedListTakeBack(input: $i) {{ {LIST} }} }}"
PASS = f"mutation($i: FiledListStepInput!) {{ filedListPass(input: $i) {{ {LIST} }} }}"
HOLD = "caseHold { id caseId kind reason dueOn state } userErrors { code path }"
RETURN = f"mutation($i: CaseReturnInput!) {{ caseReturn(input: $i) {{ {HOLD} }} }}"
WITHDRAW = f"mutation($i: CaseReturnInput!) {{ caseReturnWithdraw(input: $i) {{ {HOLD} }} }}"
HOLDS = (
    "query($open: Boolean!) { caseHolds(first: 100, onlyOpen: $open) { nodes { setlId kind state correctedBy kept } } }"
)
ONE = "query($id: ID!) { filedList(id: $id) { state caseId version returns moves { step toState reason } } }"
CARRIED = tuple(
    """
    setl_id fixmedins_code insutype insu_admdvs psn_no gend brdy age adm_time dscg_time setl_begn_date setl_end_date act_ipt_days
    dscg_way mdtrt_id medcasno
    """.split()
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    opened = await open_place(world, "92")
    await enter_policy(
        world,
        opened.city,
        {
            "submission.hospital_review": "true",
            "submission.bureau_review": "true",
            "submission.correction_days": "3",
            "submission.returns_most": "2",
        },
    )
    return opened


def given(place: Place, setl_id: str, **changes: Any) -> dict[str, Any]:
    """The list as GraphQL takes it."""
    listed = place.listed(setl_id)
    said = {name: listed[name] for name in CARRIED}
    money = {"medfee_sumamt": "27068.00", "acct_pay": "568.00", "psn_cashpay": "6500.00"}
    payers = [{"fundPayType": "310100", "fundPayamt": "20000.00"}]
    plain = said | money | changes
    return {camel(name): value for name, value in plain.items()} | {
        "diseinfo": [{"diagCode": "I63.900", "maindiagFlag": "1"}],
        "payinfo": payers,
        "iteminfo": [{"medChrgitm": "09", "amt": "27068.00"}],
    }


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


async def do(place: Place, role: Role, mutation: str, order: dict[str, Any], tenant: str = "") -> dict[str, Any]:
    client = await place.client(tenant or place.hospital, role)
    answer = await client.gql(mutation, {"i": {"idempotencyKey": new_key(), **order}})
    return next(iter(answer.values()))  # type: ignore[no-any-return]


async def saved(place: Place, setl_id: str, **changes: Any) -> str:
    made = await do(place, Role.HOSPITAL_DEPARTMENT, SAVE, {"list": given(place, setl_id, **changes)})
    assert made["userErrors"] == [], made
    return made["filedList"]["id"]  # type: ignore[no-any-return]


async def passed(place: Place, setl_id: str) -> tuple[str, str]:
    """A list all the way to passed: its id and its case."""
    list_id = await saved(place, setl_id)
    await do(place, Role.HOSPITAL_SUBMITTER, REVIEW, {"filedList": list_id, "approved": True})
    await do(place, Role.HOSPITAL_SUBMITTER, SUBMIT, {"filedList": list_id})
    await place.world.work_off()
    done = await do(place, Role.CITY_SETTLEMENT_CLERK, PASS, {"filedList": list_id}, place.city)
    assert done["filedList"]["state"] == "PASSED"
    return list_id, (await look(place, list_id))["caseId"]


async def look(place: Place, list_id: str) -> dict[str, Any]:
    return (await (await place.submitter()).gql(ONE, {"id": list_id}))["filedList"]  # type: ignore[no-any-return]


async def holds(place: Place, only_open: bool = True) -> dict[str, dict[str, Any]]:
    nodes = (await (await place.submitter()).gql(HOLDS, {"open": only_open}))["caseHolds"]["nodes"]
    return {one["setlId"]: one for one in nodes}


async def test_three_levels_from_department_to_bureau(place: Place) -> None:
    list_id = await saved(place, "F1")
    early = await do(place, Role.HOSPITAL_SUBMITTER, SUBMIT, {"filedList": list_id})
    assert [e["code"] for e in early["userErrors"]] == ["LIST_NOT_REVIEWED"]
    back = await do(
        place, Role.HOSPITAL_SUBMITTER, REVIEW, {"filedList": list_id, "approved": False, "reason": "尚未审核"}
    )
    assert [e["code"] for e in back["userErrors"]] == ["LIST_STATE"]
    reviewed = await do(place, Role.HOSPITAL_SUBMITTER, REVIEW, {"filedList": list_id, "approved": True})
    assert reviewed["filedList"]["state"] == "REVIEWED"
    sent_back = await do(
        place, Role.HOSPITAL_SUBMITTER, REVIEW, {"filedList": list_id, "approved": False, "reason": "主诊断请核对"}
    )
    assert sent_back["filedList"]["state"] == "DRAFT"
    await do(place, Role.HOSPITAL_SUBMITTER, REVIEW, {"filedList": list_id, "approved": True})
    submitted = await do(place, Role.HOSPITAL_SUBMITTER, SUBMIT, {"filedList": list_id})
    assert (submitted["filedList"]["state"], submitted["filedList"]["stasType"]) == ("SUBMITTED", "1")
    await place.world.work_off()
    assert (await look(place, list_id))["state"] == "JUDGED"
    done = await do(place, Role.CITY_SETTLEMENT_CLERK, PASS, {"filedList": list_id}, place.city)
    assert done["filedList"]["state"] == "PASSED"
    moves = [(m["step"], m["toState"], m["reason"]) for m in (await look(place, list_id))["moves"]]
    assert moves == [
        ("file", "draft", ""),
        ("review", "reviewed", ""),
        ("send_back", "draft", "主诊断请核对"),
        ("review", "reviewed", ""),
        ("submit", "submitted", ""),
        ("accept", "judged", ""),
        ("pass", "passed", ""),
    ]


async def test_one_person_may_not_file_and_review(place: Place) -> None:
    made = await do(place, Role.HOSPITAL_SUBMITTER, SAVE, {"list": given(place, "F2")})
    own = await do(place, Role.HOSPITAL_SUBMITTER, REVIEW, {"filedList": made["filedList"]["id"], "approved": True})
    assert [e["code"] for e in own["userErrors"]] == ["SAME_PERSON"]


async def test_a_return_holds_the_case_until_it_is_corrected(place: Place) -> None:
    list_id, case_id = await passed(place, "F3")
    order = {"inpatientCase": case_id, "reason": "主要诊断与病历不符"}
    returned = await do(place, Role.CITY_SETTLEMENT_CLERK, RETURN, order, place.city)
    assert returned["userErrors"] == [] and returned["caseHold"]["kind"] == "returned"
    again = await do(place, Role.CITY_SETTLEMENT_CLERK, RETURN, order, place.city)
    assert [e["code"] for e in again["userErrors"]] == ["CASE_HELD"]
    assert (await holds(place))["F3"]["state"] == "open"
    state = await look(place, list_id)
    assert (state["state"], state["returns"]) == ("RETURNED", 1)
    same = await do(place, Role.HOSPITAL_SUBMITTER, SUBMIT, {"filedList": list_id})
    assert [e["code"] for e in same["userErrors"]] == ["LIST_UNCHANGED"]
    await saved(place, "F3", gend="2")
    await do(place, Role.HOSPITAL_SUBMITTER, REVIEW, {"filedList": list_id, "approved": True})
    await do(place, Role.HOSPITAL_SUBMITTER, SUBMIT, {"filedList": list_id})
    await place.world.work_off()
    assert "F3" not in await holds(place)
    ended = (await holds(place, only_open=False))["F3"]
    assert (ended["state"], ended["kept"]) == ("corrected", True)
    cases = await place.cases(await place.submitter(), setlId="F3")
    assert [(one["version"], one["supersededBy"] is None) for one in cases] == [(1, False), (2, True)]


async def test_a_return_can_be_withdrawn_and_is_bounded(place: Place) -> None:
    _, case_id = await passed(place, "F4")
    order = {"inpatientCase": case_id, "reason": "费用存疑"}
    await do(place, Role.CITY_SETTLEMENT_CLERK, RETURN, order, place.city)
    withdrawn = await do(place, Role.CITY_SETTLEMENT_CLERK, WITHDRAW, order | {"reason": "核实无误"}, place.city)
    assert withdrawn["caseHold"]["state"] == "released"
    assert "F4" not in await holds(place)
    none = await do(place, Role.CITY_SETTLEMENT_CLERK, WITHDRAW, order, place.city)
    assert [e["code"] for e in none["userErrors"]] == ["NOT_FOUND"]
    blank = await do(place, Role.CITY_SETTLEMENT_CLERK, RETURN, order | {"reason": "  "}, place.city)
    assert [e["code"] for e in blank["userErrors"]] == ["REASON_SHAPE"]


async def test_the_county_returns_its_own_and_nobody_elses(place: Place) -> None:
    _, case_id = await passed(place, "F5")
    county = f"{place.city[:4]}22"
    order = {"inpatientCase": case_id, "reason": "县级审核"}
    refused = await do(place, Role.COUNTY_AUDITOR, RETURN, order, county)
    assert [e["code"] for e in refused["userErrors"]] == ["NOT_FOUND"]
    other = await do(place, Role.CITY_SETTLEMENT_CLERK, RETURN, order, place.other_city)
    assert [e["code"] for e in other["userErrors"]] == ["NOT_FOUND"]
    viewer = await place.client(place.hospital, Role.HOSPITAL_VIEWER)
    answer = await viewer.raw(RETURN, {"i": {"idempotencyKey": new_key(), **order}})
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_list_of_another_hospital_does_not_exist(place: Place) -> None:
    list_id = await saved(place, "F6")
    for hospital in (place.county_hospital, place.other_hospital):
        client = await place.client(hospital, Role.HOSPITAL_SUBMITTER)
        assert (await client.gql(ONE, {"id": list_id}))["filedList"] is None
        gone = await do(place, Role.HOSPITAL_SUBMITTER, SUBMIT, {"filedList": list_id}, hospital)
        assert [e["code"] for e in gone["userErrors"]] == ["NOT_FOUND"]
    province = await place.client(place.province, Role.PROVINCE_ANALYST)
    assert (await province.raw(ONE, {"id": list_id}))["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_taking_a_checked_list_back_voids_its_case(place: Place) -> None:
    list_id = await saved(place, "F7")
    await do(place, Role.HOSPITAL_SUBMITTER, REVIEW, {"filedList": list_id, "approved": True})
    await do(place, Role.HOSPITAL_SUBMITTER, SUBMIT, {"filedList": list_id})
    await place.world.work_off()
    back = await do(place, Role.HOSPITAL_SUBMITTER, BACK, {"filedList": list_id})
    assert back["filedList"]["state"] == "DRAFT"
    assert (await holds(place))["F7"]["kind"] == "voided"
    await do(place, Role.HOSPITAL_SUBMITTER, REVIEW, {"filedList": list_id, "approved": True})
    again = await do(place, Role.HOSPITAL_SUBMITTER, SUBMIT, {"filedList": list_id})
    assert (again["filedList"]["state"], again["filedList"]["version"]) == ("SUBMITTED", 2)
    await place.world.work_off()
    assert (await look(place, list_id))["state"] == "JUDGED"
    assert "F7" not in await holds(place)


async def test_a_list_whose_judgement_failed_can_be_taken_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    list_id = await saved(place, "F8")
    await do(place, Role.HOSPITAL_SUBMITTER, REVIEW, {"filedList": list_id, "approved": True})
    await do(place, Role.HOSPITAL_SUBMITTER, SUBMIT, {"filedList": list_id})

    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise FenzhiError("故障。", "A fault.")

    with monkeypatch.context() as patch:
        patch.setattr("fenzhi.services.submission.judge.submitter", broken)
        with pytest.raises(FenzhiError):
            await place.world.work_off()
    back = await do(place, Role.HOSPITAL_SUBMITTER, BACK, {"filedList": list_id})
    assert back["userErrors"] == [] and back["filedList"]["state"] == "DRAFT"
