"""Provisional groups: an unmatched kind of case, its panel, its score until a day, used alike everywhere, then ended or absorbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from builders.catalog_province import HEADER, CatalogProvince, discharges
from builders.clearing_place import Pool, open_pool
from builders.one_person import same_person
from builders.review_place import SHEET, enter_experts
from builders.world import Client, World, new_key
from fenzhi.access.roles import Role
from fenzhi.rules.refusals import Conflict
from fenzhi.rules.review.panel import order_of
from fenzhi.store.repositories import provisional as repository
from fenzhi.store.session import UnitOfWork
from fenzhi_graphql.paging import global_id

KIND = "I10.x00x002"
FIELDS = (
    "groupCode diagnosis procedures name score editionCode firstDay lastDay cases totalFen document state absorbedBy "
    "absorbingEdition panel seed votes { expertCode inFavour } areaCode id"
)
ONE = f"query($id: ID!) {{ provisionalGroup(id: $id) {{ {FIELDS} }} }}"
LISTED = "{ provisionalGroups(first: 10) { nodes { id state } } }"
KINDS = "{ unmatchedKinds(year: 2025, first: 10) { diagnosis procedures cases totalFen } }"
PREVIEW = """
query($h: String!, $c: [GroupingCaseInput!]!) { groupingPreview(hospitalCode: $h, cases: $c) {
  disposition groupCode reason score band referenceSource points } }
"""
EXPLAIN = """
query($id: ID!) { caseExplain(id: $id) { disposition reason groupCode points steps { rule zh en document values { name value } } } }
"""
SEEN_BEFORE = """
query($id: ID!) { catalogEdition(id: $id) { preview { cases moved groupedBefore groupedAfter pointsBefore pointsAfter } } }
"""
DOCUMENT = "临时病种会议纪要〔2025〕2号"


@dataclass
class Desk:
    """A settled month with cases that no group takes, and experts."""

    pool: Pool
    province: CatalogProvince
    group: str = ""
    run: str = ""
    february: str = ""
    covered: str = ""
    regrouping: str = ""

    async def do(self, client: Client, mutation: str, **order: Any) -> tuple[dict[str, Any] | None, list[str]]:
        """A mutation of provisional groups: the group and the codes of what stood in the way."""
        payload = await self.province.act(client, mutation, order, f"group {{ {FIELDS} }}")
        return payload["group"], [f"{one['code']}@{'.'.join(one['path'] or [])}" for one in payload["userErrors"]]

    async def propose(self, client: Client, **changes: Any) -> tuple[dict[str, Any] | None, list[str]]:
        order = {
            "diagnosis": KIND,
            "procedures": [],
            "name": "特指高血压",
            "score": "800.5",
            "firstDay": "2025-02-01",
            "lastDay": "2025-02-28",
            "specialty": "重症",
            "document": DOCUMENT,
        }
        return await self.do(client, "provisionalGroupPropose", **(order | changes))

    async def hear(self, client: Client, group: dict[str, Any], *favours: bool) -> tuple[Any, list[str]]:
        votes = [{"expert": expert, "inFavour": vote} for expert, vote in zip(group["panel"], favours, strict=False)]
        return await self.do(
            client, "provisionalGroupHear", provisionalGroup=group["id"], votes=votes, sheetSha256=SHEET
        )

    async def preview(self, day: str) -> dict[str, Any]:
        client = await self.pool.world.client(self.pool.place.hospital, Role.HOSPITAL_SUBMITTER)
        case = {
            "caseId": "c",
            "insurance": "employee",
            "dischargeDate": day,
            "principalDiagnosis": KIND,
            "procedures": [],
            "totalFen": "1000000",
        }
        return (await client.gql(PREVIEW, {"h": self.pool.place.hospital, "c": [case]}))["groupingPreview"][0]  # type: ignore[no-any-return]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(world: World) -> Desk:
    pool = await open_pool(world, "D1", catalog__provisional_panel_size="3", catalog__provisional_most_days="90")
    await pool.price(10, last_year=(7, 10))
    await enter_experts(pool, 3)
    big = pool.place.hospital
    await pool.put(big, 1)
    await pool.put(big, 1, KIND)
    await pool.put(big, 1, KIND, total_fen=500_000, fund_fen=1)
    await pool.put(big, 1, "I63.900", ("36.0600",))
    await pool.put(big, 1, "I64.x00")
    await pool.published("MONTH", 1)
    found = Desk(pool, CatalogProvince(world, pool.place.province))
    found.february = str(await pool.put(big, 2, KIND))
    found.covered = str(await pool.put(big, 2))
    await pool.put(pool.place.county_hospital, 3, KIND)
    return found


async def test_what_runs_left_without_a_group_is_listed_by_kind(desk: Desk) -> None:
    clerk = await desk.pool.clerk()
    assert (await clerk.gql(KINDS))["unmatchedKinds"] == [
        {"diagnosis": KIND, "procedures": [], "cases": 2, "totalFen": "1500000"},
        {"diagnosis": "I63.900", "procedures": ["36.0600"], "cases": 1, "totalFen": "1000000"},
    ]
    there = desk.pool.place
    for tenant, role in (
        (there.city, Role.CITY_SETTLEMENT_APPROVER),
        (there.hospital, Role.HOSPITAL_SUBMITTER),
        (there.province, Role.PROVINCE_CATALOG_EDITOR),
    ):
        answer = await (await desk.pool.world.client(tenant, role)).raw(KINDS)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_every_fault_of_a_proposal_is_told_at_once(desk: Desk) -> None:
    clerk = await desk.pool.clerk()
    made, errors = await desk.propose(
        clerk, diagnosis="63", procedures=["88.4101"] * 2, name=" ", score="0", lastDay="2025-01-31", document=""
    )
    assert (made, errors) == (
        None,
        [
            "DOCUMENT_MISSING@document",
            "PROVISIONAL_DIAGNOSIS@diagnosis",
            "PROVISIONAL_PROCEDURES@procedures",
            "PROVISIONAL_NAME@name",
            "PROVISIONAL_SCORE@score",
            "PROVISIONAL_DAYS@lastDay",
        ],
    )
    made, errors = await desk.propose(
        clerk, diagnosis="Q98.900", procedures=["99.9999"], score="800.55", lastDay="2025-05-02"
    )
    assert (made, errors) == (
        None,
        ["PROVISIONAL_DAYS@lastDay", "PROVISIONAL_CODE_UNKNOWN@diagnosis", "PROVISIONAL_SCORE@score"],
    )
    for changes, code in (
        ({"diagnosis": "I63.9"}, "PROVISIONAL_KIND_MATCHED@"),
        ({"procedures": ["36.0600"]}, "PROVISIONAL_NO_CASES@"),
        ({"firstDay": "2019-02-01", "lastDay": "2019-02-28"}, "PROVISIONAL_NO_EDITION@"),
        ({"specialty": "儿科"}, "TOO_FEW_EXPERTS@"),
    ):
        assert await desk.propose(clerk, **changes) == (None, [code])
    assert (await clerk.gql(LISTED))["provisionalGroups"]["nodes"] == []


async def test_a_panel_drawn_by_lot_carries_it_and_a_second_person_approves(desk: Desk) -> None:
    world, there = desk.pool.world, desk.pool.place
    clerk, approver = await desk.pool.clerk(), await desk.pool.approver()
    refused, _ = await desk.propose(clerk)
    assert refused is not None
    assert await desk.do(approver, "provisionalGroupDecide", provisionalGroup=refused["id"], approve=True) == (
        None,
        ["PROVISIONAL_STATE@"],
    )
    lost, errors = await desk.hear(clerk, refused, True, False, False)
    assert (lost["state"], errors) == ("REFUSED", [])
    group, errors = await desk.propose(clerk)
    assert errors == []
    assert group is not None
    experts = ["E1", "E2", "E3", "OWN1", "OWN2"]
    assert group["panel"] == order_of(group["seed"], experts)[:3]
    expected = {
        "groupCode": "LS0002", "diagnosis": KIND, "procedures": [], "score": "800.5", "editionCode": "T2025",
        "firstDay": "2025-02-01", "lastDay": "2025-02-28", "cases": 4, "totalFen": "3500000", "state": "PROPOSED",
        "document": DOCUMENT, "absorbedBy": None, "absorbingEdition": None, "votes": [], "areaCode": there.city,
    }  # fmt: skip
    assert {name: group[name] for name in expected} == expected
    assert await desk.hear(clerk, group, True, True) == (None, ["PROVISIONAL_PANEL@votes"])
    carried, errors = await desk.hear(clerk, group, True, False, True)
    assert (carried["state"], errors) == ("CARRIED", [])
    votes = sorted(zip(group["panel"], (True, False, True), strict=True))
    assert [(one["expertCode"], one["inFavour"]) for one in carried["votes"]] == votes
    assert await desk.hear(clerk, group, True, True, True) == (None, ["PROVISIONAL_STATE@"])
    assert (await desk.preview("2025-02-09"))["groupCode"] is None
    one = await same_person(world, there.city, Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER)
    assert await desk.do(one, "provisionalGroupDecide", provisionalGroup=group["id"], approve=True) == (
        None,
        ["SAME_PERSON@"],
    )
    unseen = await world.client(there.hospital, Role.HOSPITAL_VIEWER)
    assert (await unseen.gql(ONE, {"id": group["id"]}))["provisionalGroup"] is None
    order = {"provisionalGroup": group["id"], "approve": True, "idempotencyKey": new_key()}
    for _ in range(2):
        payload = await desk.province.act(approver, "provisionalGroupDecide", order, "group { state }")
        # Its days lie in 2025: approved, it speaks about discharges of then, and today is past them.
        assert payload == {"group": {"state": "EXPIRED"}, "userErrors": []}
    desk.group = group["id"]
    seen = (await unseen.gql(ONE, {"id": group["id"]}))["provisionalGroup"]
    assert (seen["groupCode"], seen["score"], seen["panel"], seen["seed"], seen["votes"]) == (
        "LS0002",
        "800.5",
        [],
        "",
        [],
    )
    above = await (await desk.province.editor()).gql(LISTED)
    assert len(above["provisionalGroups"]["nodes"]) == 2
    for tenant, role in (
        (there.other_city, Role.CITY_SETTLEMENT_CLERK),
        (there.other_hospital, Role.HOSPITAL_VIEWER),
        ("370000", Role.PROVINCE_CATALOG_EDITOR),
    ):
        stranger = await world.client(tenant, role)
        assert (await stranger.gql(ONE, {"id": group["id"]}))["provisionalGroup"] is None
        assert (await stranger.gql(LISTED))["provisionalGroups"]["nodes"] == []


async def test_runs_previews_and_explanations_use_it_within_its_days(desk: Desk) -> None:
    # 800.5 × 1.05 = 840.525; no mean of last year, so nothing is judged by cost.
    taken = {
        "disposition": "cleared", "groupCode": "LS0002", "reason": "provisional_matched", "score": "800.5",
        "band": "cannot_judge", "referenceSource": "none", "points": "840.5250",
    }  # fmt: skip
    for day in ("2025-02-01", "2025-02-28"):
        assert await desk.preview(day) == taken
    for day in ("2025-01-31", "2025-03-01"):
        assert (await desk.preview(day))["disposition"] == "pending:ungrouped:no_group_for_diagnosis"
    months = {}
    for month in (2, 3):
        run = await desk.pool.published("MONTH", month)
        desk.run = desk.run or run["id"]
        months[month] = {
            (case["disposition"], case["groupCode"], case["points"])
            for node in run["statements"]["nodes"]
            for case in node["cases"]["nodes"]
        }
    assert months[2] == {("cleared", "LS0002", "840.5250"), ("cleared", "I63.9:", "997.5000")}
    assert [one[:2] for one in months[3]] == [("pending:ungrouped:no_group_for_diagnosis", "")]
    clerk = await desk.pool.clerk()
    case = global_id("InpatientCase", desk.february)
    found = (await clerk.gql(EXPLAIN, {"id": case}))["caseExplain"]
    assert (found["disposition"], found["reason"], found["groupCode"], found["points"]) == (
        "cleared", "provisional_matched", "LS0002", "840.5250",
    )  # fmt: skip
    step = next(one for one in found["steps"] if one["rule"] == "grouping.provisional_matched")
    assert step["document"] == DOCUMENT
    assert {one["name"]: one["value"] for one in step["values"]} == {
        "group_code": "LS0002", "diagnosis_key": KIND, "procedures": "", "first": "2025-02-01", "last": "2025-02-28",
    }  # fmt: skip


async def test_explaining_a_case_that_has_a_group_asks_for_no_provisional_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    approved = repository.approved

    async def counted(uow: UnitOfWork, area_id: int) -> Any:
        asked.append(area_id)
        return await approved(uow, area_id)

    monkeypatch.setattr(repository, "approved", counted)
    clerk = await desk.pool.clerk()
    for case, times in ((desk.covered, 0), (desk.february, 1)):
        found = (await clerk.gql(EXPLAIN, {"id": global_id("InpatientCase", case)}))["caseExplain"]
        assert (found["disposition"], len(asked)) == ("cleared", times)


async def test_an_edition_s_preview_sees_them_beside_both_editions(desk: Desk) -> None:
    await desk.province.remember(0, discharges(3, 2025, "tertiary", KIND, [], 1))
    edition = await desk.province.draft(
        "T2025B", "2025-02-15", diagnosisTable="T1", procedureTable="T1", scoreDecimals=1
    )
    rows = f"{HEADER}\n1,I63.9,I63.9,脑梗死,4,,,,,core,2,700.0,0\n"
    assert (await desk.province.put(f"/v1/catalog-editions/{edition}/groups", rows.encode())).status_code == 200
    editor = await desk.province.editor()
    started = await desk.province.act(editor, "catalogEditionPreview", {"edition": edition, "year": 2025}, "job { id }")
    assert started["userErrors"] == []
    await desk.pool.world.work_off()
    found = (await editor.gql(SEEN_BEFORE, {"id": edition}))["catalogEdition"]["preview"]
    assert found == [
        {
            "cases": 3,
            "moved": 0,
            "groupedBefore": 3,
            "groupedAfter": 3,
            "pointsBefore": "2401.5",
            "pointsAfter": "2401.5",
        }
    ]


async def test_a_year_is_regrouped_with_it(desk: Desk) -> None:
    clerk = await desk.pool.clerk()
    edition = (await clerk.gql('{ catalogEditionInForce(on: "2025-02-01") { id } }'))["catalogEditionInForce"]["id"]
    started = await desk.province.act(clerk, "casesRegroup", {"edition": edition, "year": 2025}, "job { id }")
    assert started["userErrors"] == []
    await desk.pool.world.work_off()
    (made,) = (await clerk.gql("{ regroupings(first: 5) { nodes { id grouped } } }"))["regroupings"]["nodes"]
    desk.regrouping = made["id"]
    # Of the seven cases one of January, that of February and the other of February.
    assert made["grouped"] == 3


async def test_it_ends_early_or_is_absorbed_by_two_persons(desk: Desk) -> None:
    clerk, approver = await desk.pool.clerk(), await desk.pool.approver()
    edition = await desk.province.draft("T2026", "2026-01-01", diagnosisTable="T1", procedureTable="T1")
    rows = f"{HEADER}\n1,I10.x,I10.x,高血压,4,,,,,core,2,700.0,0\n"
    assert (await desk.province.put(f"/v1/catalog-editions/{edition}/groups", rows.encode())).status_code == 200
    ending = {
        "provisionalGroup": desk.group,
        "lastDay": "2025-02-20",
        "reason": "并入目录",
        "document": "并入说明〔2025〕9号",
    }
    absorbed = ending | {"edition": edition, "absorbedBy": "I10.x"}
    name = "provisionalGroupEnd"
    assert await desk.do(clerk, name, **absorbed) == (None, ["EDITION_NOT_FOUND@"])
    assert (await desk.province.publish(edition))["userErrors"] == []
    for changes, code in (
        ({"lastDay": "2025-02-28"}, "PROVISIONAL_DAYS@lastDay"),
        ({"lastDay": "2025-01-31"}, "PROVISIONAL_DAYS@lastDay"),
        ({"absorbedBy": "nothing"}, "PROVISIONAL_NOT_ABSORBED@"),
        ({"reason": ""}, "REASON_MISSING@reason"),
    ):
        assert await desk.do(clerk, name, **(absorbed | changes)) == (None, [code])
    _, errors = await desk.do(clerk, name, **ending)
    assert errors == []
    rejected, errors = await desk.do(approver, "provisionalGroupDecide", provisionalGroup=desk.group, approve=False)
    assert (rejected and rejected["lastDay"], errors) == ("2025-02-28", [])
    waiting, errors = await desk.do(clerk, name, **absorbed)
    assert errors == []
    assert waiting is not None
    assert (waiting["lastDay"], (await desk.preview("2025-02-21"))["groupCode"]) == ("2025-02-28", "LS0002")
    done, errors = await desk.do(approver, "provisionalGroupDecide", provisionalGroup=desk.group, approve=True)
    assert errors == []
    assert done is not None
    said = ("state", "lastDay", "absorbedBy", "absorbingEdition")
    assert [done[one] for one in said] == ["ABSORBED", "2025-02-20", "I10.x", "T2026"]
    assert (await desk.preview("2025-02-20"))["groupCode"] == "LS0002"
    assert (await desk.preview("2025-02-21"))["groupCode"] is None
    assert (await desk.preview("2026-01-02"))["groupCode"] == "I10.x"
    assert await desk.do(clerk, name, **ending) == (None, ["PROVISIONAL_STATE@"])
    run = await desk.pool.look(desk.run)
    cases = [case for node in run["statements"]["nodes"] for case in node["cases"]["nodes"]]
    assert sorted(case["groupCode"] for case in cases) == ["I63.9:", "LS0002"]


async def test_a_replay_asks_those_of_its_manifest_whatever_became_of_them(desk: Desk) -> None:
    clerk = await desk.pool.clerk()
    order = {"regrouping": desk.regrouping}
    assert (await desk.province.act(clerk, "regroupingReplay", order, "job { id }"))["userErrors"] == []
    await desk.pool.world.work_off()
    text_ = "query($id: ID!) { regrouping(id: $id) { replays { sameInputs sameResults } } }"
    found = (await clerk.gql(text_, {"id": desk.regrouping}))["regrouping"]
    assert found["replays"] == [{"sameInputs": True, "sameResults": True}]


async def test_nothing_of_it_is_ever_changed(desk: Desk) -> None:
    database, scope = desk.pool.world.platform.database, desk.pool.scope
    for table in ("provisional_group", "provisional_vote", "provisional_act"):
        for statement in (f"update {table} set recorded_at = now()", f"delete from {table}"):
            with pytest.raises(Conflict, match="not permitted"):
                async with database.unit_of_work(scope) as uow:
                    await uow.execute(text(statement))
