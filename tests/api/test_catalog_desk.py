"""The catalog desk: differences, findings, an edition taken back, opinions and their answers, a preview before publishing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from builders.catalog_province import HEADER, CatalogProvince, discharges, open_catalog_province
from builders.one_person import same_person
from builders.world import Client, World
from fenzhi.access.roles import Role

FIRST = (
    f"{HEADER}\n1,A01.0,A01.0,伤寒,4,,,,,core,2,200,0\n2,A01.1,A01.1,甲型副伤寒,4,,,,,core,2,400,0\n"
    "3,A01.0:47.0100,A01.0,伤寒手术,4,47.0100,甲,,,core,2,150,0\n"
)
SECOND = (
    f"{HEADER}\n1,A01.0,A01.0,伤寒,4,,,,,core,2,250,0\n3,A01.0:47.0100,A01.0,伤寒手术,4,47.0100,甲,,,core,2,300,0\n"
    "4,C15.1,C15.1,食管恶性肿瘤,4,,,,,core,2,900,0\n"
)


@dataclass
class Desk:
    """A province with a published edition and a draft of the next."""

    province: CatalogProvince
    editions: dict[str, str] = field(default_factory=dict)

    async def read(self, client: Client, edition: str, fields: str) -> Any:
        query = f"query($id: ID!) {{ catalogEdition(id: $id) {{ {fields} }} }}"
        return (await client.gql(query, {"id": self.editions[edition]}))["catalogEdition"]

    async def hospital(self, number: int, role: Role = Role.HOSPITAL_SUBMITTER) -> Client:
        return await self.province.world.client(self.province.hospitals[number], role)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(world: World) -> Desk:
    province = await open_catalog_province(world, "380000")
    found = Desk(province)
    for code, day, text in (("one", "2025-01-01", FIRST), ("two", "2026-01-01", SECOND)):
        found.editions[code] = await province.draft(code, day)
        answer = await province.put(f"/v1/catalog-editions/{found.editions[code]}/groups", text.encode())
        assert answer.status_code == 200, answer.text
    assert (await province.publish(found.editions["one"]))["userErrors"] == []
    await province.remember(
        0,
        [
            *discharges(10, 2025, "tertiary", "A01.000", [], 1),
            *discharges(4, 2025, "tertiary", "A01.100", [], 1),
            *discharges(2, 2025, "secondary", "C15.100", [], 1),
        ],
    )
    await province.remember(1, [*discharges(5, 2025, "secondary", "A01.000", ["47.0100"], 1)])
    return found


async def test_what_differs_from_the_edition_before(desk: Desk) -> None:
    fields = """diff { against addedCount removedCount changedCount unchangedCount added removed
      changed { groupCode beforeCode scoreChange changes { field before after } } }"""
    editor = await desk.province.editor()
    found = (await desk.read(editor, "two", fields))["diff"]
    assert found == {
        "against": "one",
        "addedCount": 1,
        "removedCount": 1,
        "changedCount": 2,
        "unchangedCount": 0,
        "added": ["C15.1"],
        "removed": ["A01.1"],
        "changed": [
            {
                "groupCode": "A01.0",
                "beforeCode": "A01.0",
                "scoreChange": "25.00",
                "changes": [{"field": "score", "before": "200", "after": "250"}],
            },
            {
                "groupCode": "A01.0:47.0100",
                "beforeCode": "A01.0:47.0100",
                "scoreChange": "100.00",
                "changes": [{"field": "score", "before": "150", "after": "300"}],
            },
        ],
    }
    assert (await desk.read(editor, "one", "diff { against }"))["diff"] is None
    assert (await desk.read(editor, "one", 'diff(against: "two") { addedCount }'))["diff"] == {"addedCount": 1}
    viewer = await desk.hospital(0, Role.HOSPITAL_VIEWER)
    assert (await desk.read(viewer, "one", 'diff(against: "two") { addedCount }'))["diff"] is None
    assert await desk.read(viewer, "two", "diff { against }") is None


async def test_findings_about_an_edition(desk: Desk) -> None:
    editor = await desk.province.editor()
    fields = "lint(first: 10) { code groupCode other message }"
    found = (await desk.read(editor, "one", fields))["lint"]
    assert [(one["code"], one["groupCode"], one["other"]) for one in found] == [
        ("score_below_simpler", "A01.0:47.0100", "A01.0")
    ]
    assert (await desk.read(editor, "two", fields))["lint"] == []


async def test_a_preview_by_hospital_and_level(desk: Desk) -> None:
    editor = await desk.province.editor()
    job = "job { id }"
    order = {"edition": desk.editions["one"], "year": 2025}
    refused = await desk.province.act(editor, "catalogEditionPreview", order, job)
    assert [one["code"] for one in refused["userErrors"]] == ["EDITION_PUBLISHED_ALREADY"]
    order = {"edition": desk.editions["two"], "year": 1999}
    refused = await desk.province.act(editor, "catalogEditionPreview", order, job)
    assert refused["userErrors"] == [{"code": "PREVIEW_YEAR", "path": ["year"]}]
    started = await desk.province.act(editor, "catalogEditionPreview", order | {"year": 2025}, job)
    assert started["userErrors"] == []
    await desk.province.world.work_off()
    fields = "preview { hospitalCode level cases moved groupedBefore groupedAfter pointsBefore pointsAfter }"
    names = ("hospitalCode", "level", "cases", "moved", "groupedBefore", "groupedAfter", "pointsBefore", "pointsAfter")
    found = [tuple(one[name] for name in names) for one in (await desk.read(editor, "two", fields))["preview"]]
    first, second = desk.province.hospitals
    assert found == [
        (first, "secondary", 2, 2, 0, 2, "0", "1800"),
        (first, "tertiary", 14, 4, 14, 10, "3600", "2500"),
        (second, "secondary", 5, 0, 5, 5, "750", "1500"),
    ]
    clerk = await desk.province.world.client(desk.province.cities[0], Role.CITY_SETTLEMENT_CLERK)
    assert (await desk.read(clerk, "one", fields))["preview"] == []


async def test_opinions_are_answered_with_the_next_edition(desk: Desk) -> None:
    province = desk.province
    submitter = await desk.hospital(0)
    order: dict[str, object] = {
        "edition": desk.editions["one"],
        "groupCode": "A01.0:47.0100",
        "opinion": "耗材费用占比高，分值偏低",
        "cases": 12,
    }
    assert (await province.act(submitter, "groupOpinionGive", order, "given"))["given"] is True
    other = await desk.hospital(1)
    assert (await province.act(other, "groupOpinionGive", order | {"opinion": "同意上调"}, "given"))["given"] is True
    for change, code in (
        ({"opinion": " "}, "OPINION_TEXT"),
        ({"cases": -1}, "OPINION_CASES"),
        ({"groupCode": "Z00.0"}, "GROUP_NOT_FOUND"),
        ({"edition": desk.editions["two"]}, "EDITION_NOT_FOUND"),
    ):
        refused = await province.act(submitter, "groupOpinionGive", order | change, "given")
        assert (refused["given"], [one["code"] for one in refused["userErrors"]]) == (False, [code])
    fields = "opinions { groupCode opinion cases }"
    mine = (await desk.read(submitter, "one", fields))["opinions"]
    assert mine == [{"groupCode": "A01.0:47.0100", "opinion": "耗材费用占比高，分值偏低", "cases": 12}]
    editor = await province.editor()
    every = (await desk.read(editor, "one", 'opinions(groupCode: "A01.0:47.0100") { opinion }'))["opinions"]
    assert [one["opinion"] for one in every] == ["同意上调", "耗材费用占比高，分值偏低"]
    stranger = await province.world.client("370000", Role.PROVINCE_CATALOG_EDITOR)
    assert await desk.read(stranger, "one", fields) is None
    answer = {
        "edition": desk.editions["one"],
        "groupCode": "A01.0:47.0100",
        "nextEditionCode": "two",
        "outcome": "PARTLY_ADOPTED",
        "answer": "按三年均费重新测算，分值上调",
    }
    refused = await province.act(editor, "groupOpinionsAnswer", answer | {"groupCode": "A01.0"}, "edition { code }")
    assert [one["code"] for one in refused["userErrors"]] == ["NO_OPINIONS"]
    given = await province.act(editor, "groupOpinionsAnswer", answer, "edition { code }")
    assert given == {"edition": {"code": "two"}, "userErrors": []}
    again = await province.act(editor, "groupOpinionsAnswer", answer, "edition { code }")
    assert [one["code"] for one in again["userErrors"]] == ["OPINIONS_ANSWERED"]
    assert await desk.read(submitter, "two", "opinionAnswers { answer }") is None
    assert (await province.publish(desk.editions["two"]))["userErrors"] == []
    read = (await desk.read(submitter, "two", "opinionAnswers { groupCode outcome answer opinions }"))["opinionAnswers"]
    assert read == [
        {
            "groupCode": "A01.0:47.0100",
            "outcome": "PARTLY_ADOPTED",
            "answer": "按三年均费重新测算，分值上调",
            "opinions": 2,
        }
    ]
    late = await province.act(editor, "groupOpinionsAnswer", answer | {"groupCode": "A01.0"}, "edition { code }")
    assert [one["code"] for one in late["userErrors"]] == ["EDITION_NOT_DRAFT"]


async def test_a_published_edition_is_taken_back_by_two_persons(desk: Desk) -> None:
    province = desk.province
    editor, approver = await province.editor(), await province.approver()
    propose = {"edition": desk.editions["two"], "reason": "发现重大差错", "document": "测试文件〔2026〕9号"}
    empty = await province.act(
        editor, "catalogEditionWithdrawPropose", propose | {"reason": "", "document": ""}, "edition { id }"
    )
    assert [one["code"] for one in empty["userErrors"]] == ["REASON_MISSING", "DOCUMENT_MISSING"]
    early = await province.act(
        approver, "catalogEditionWithdrawApprove", {"edition": propose["edition"]}, "edition { id }"
    )
    assert [one["code"] for one in early["userErrors"]] == ["WITHDRAWAL_NOT_PROPOSED"]
    done = await province.act(editor, "catalogEditionWithdrawPropose", propose, "edition { state }")
    assert done == {"edition": {"state": "PUBLISHED"}, "userErrors": []}
    twice = await province.act(editor, "catalogEditionWithdrawPropose", propose, "edition { state }")
    assert [one["code"] for one in twice["userErrors"]] == ["WITHDRAWAL_PROPOSED"]
    one = await same_person(province.world, province.code, Role.PROVINCE_CATALOG_EDITOR, Role.PROVINCE_CATALOG_APPROVER)
    own = await province.act(one, "catalogEditionWithdrawApprove", {"edition": propose["edition"]}, "edition { state }")
    assert [error["code"] for error in own["userErrors"]] == ["SAME_PERSON"]
    taken = await province.act(
        approver, "catalogEditionWithdrawApprove", {"edition": propose["edition"]}, "edition { state }"
    )
    assert taken == {"edition": {"state": "WITHDRAWN"}, "userErrors": []}
    viewer = await desk.hospital(0, Role.HOSPITAL_VIEWER)
    force = "query($on: Date!) { catalogEditionInForce(on: $on) { code effectiveFrom effectiveTo } }"
    for day in ("2025-06-01", "2026-06-01"):
        found = (await viewer.gql(force, {"on": day}))["catalogEditionInForce"]
        assert found == {"code": "one", "effectiveFrom": "2025-01-01", "effectiveTo": None}
    withdrawn = await desk.read(viewer, "two", "state withdrawal { reason document state }")
    assert withdrawn == {
        "state": "WITHDRAWN",
        "withdrawal": {"reason": "发现重大差错", "document": "测试文件〔2026〕9号", "state": "approved"},
    }
    first = {"edition": desk.editions["one"], "reason": "再撤", "document": "测试文件"}
    await province.act(editor, "catalogEditionWithdrawPropose", first, "edition { state }")
    alone = await province.act(
        approver, "catalogEditionWithdrawApprove", {"edition": first["edition"]}, "edition { id }"
    )
    assert [one["code"] for one in alone["userErrors"]] == ["EDITION_WITHOUT_PREDECESSOR"]


@pytest.mark.parametrize(
    ("mutation", "order"),
    [
        ("catalogEditionWithdrawPropose", {"reason": "x", "document": "x"}),
        ("catalogEditionWithdrawApprove", {}),
        ("groupOpinionsAnswer", {"groupCode": "A", "nextEditionCode": "two", "outcome": "ADOPTED", "answer": "x"}),
        ("catalogEditionPreview", {"year": 2025}),
    ],
)
async def test_hospitals_may_not(desk: Desk, mutation: str, order: dict[str, object]) -> None:
    submitter = await desk.hospital(0)
    kind = mutation[0].upper() + mutation[1:] + "Input"
    fields = "job { id }" if "Preview" in mutation else "edition { id }"
    text = f"mutation($i: {kind}!) {{ {mutation}(input: $i) {{ {fields} }} }}"
    given = {"idempotencyKey": "k" * 20, "edition": desk.editions["one"], **order}
    answer = await submitter.raw(text, {"i": given})
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_local_additions_stay_within_their_share(desk: Desk) -> None:
    province = desk.province
    await province.enter_policy({"catalog.local_addition_share_limit": "0.25"})
    edition = await province.draft("local", "2030-01-01")
    await province.put(f"/v1/catalog-editions/{edition}/groups", FIRST.encode())
    editor = await province.editor()
    header = "病种编码,诊断代码,诊断粒度,病种类型,目录层级,分值,基层病种,地方新增"
    path = f"/v1/catalog-editions/{edition}/groups.xlsx?reason=地方新增"
    for row, refusals in (("C15.1,C15.1,4,core,2,90,0,1", []), ("A01,A01,3,core,2,90,0,1", ["LOCAL_ADDITIONS_SHARE"])):
        answer = await province.put(path, f"{header}\n{row}\n".encode())
        assert answer.status_code == 200, answer.text
        submitted = await province.act(editor, "catalogEditionSubmit", {"edition": edition}, "edition { state }")
        assert [one["code"] for one in submitted["userErrors"]] == refusals
        if not refusals:
            back = {"edition": edition, "reason": "再看"}
            await province.act(await province.approver(), "catalogEditionReject", back, "edition { state }")
