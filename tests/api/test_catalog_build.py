"""A catalog built from history, converted, edited, laid over by a city, and its reference costs, in exact numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from builders.catalog_province import HEADER, CatalogProvince, discharges, open_catalog_province
from builders.one_person import same_person
from builders.world import World
from fenzhi.access.roles import Role
from fenzhi.access.scope import DOORBELL_SCOPE, DatabaseRole, Scope, job_scope
from fenzhi.outbox.jobs import Fenced
from fenzhi.rules.refusals import Conflict
from fenzhi.services.catalog import book as catalog_book
from fenzhi.services.jobs.execution import jobs_waiting, take
from fenzhi.store.repositories import registry
from fenzhi_workers.jobs import HANDLERS

IMPORTED = f"{HEADER}\n1,A01.0,A01.0,伤寒,4,,,,,core,2,205,1\n2,A01.1,A01.1,甲型副伤寒,4,,,,,core,2,410,0\n"
REPORT = """buildReport { years weights basis coreThreshold historyCases usedCases setAside { reason cases }
  overallMeanYuan coreGroups comprehensiveGroups groupsLeftOut countedYear countedCases groupedCases
  scoreMethod relatedSetsMerged missingYears groupsLackingAYear
  conversionCases conversionBuilt conversionImported conversionFactor } conversion { factor groups isConstructed }"""
NODES = "groups(first: 10) { nodes { groupCode score cases source diagnosisName mainProcedureNames } }"
JOB = "job { id kind state }"


@dataclass
class Place:
    """A province with history and a draft whose groups were imported."""

    province: CatalogProvince
    edition: str

    async def read(self, fields: str, client: Any = None) -> Any:
        asker = client or await self.province.editor()
        query = f"query($id: ID!) {{ catalogEdition(id: $id) {{ {fields} }} }}"
        return (await asker.gql(query, {"id": self.edition}))["catalogEdition"]

    async def scores(self) -> dict[str, str]:
        return {one["groupCode"]: one["score"] for one in (await self.read(NODES))["groups"]["nodes"]}

    async def city(self, number: int, role: Role = Role.CITY_SETTLEMENT_CLERK) -> Any:
        return await self.province.world.client(self.province.cities[number], role)


async def job_state(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    query = "query($id: ID!) { job(id: $id) { state errorCode } }"
    return (await client.gql(query, {"id": job["id"]}))["job"]  # type: ignore[no-any-return]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    province = await open_catalog_province(world, "340000")
    await province.remember(
        0,
        [
            *discharges(20, 2024, "tertiary", "A01.000", [], 100_000),
            *discharges(1, 2024, "tertiary", "A01.000", [], 0, set_aside="cost_not_positive"),
            *discharges(2, 2024, "tertiary", "Z99.900", [], 500_000),
        ],
    )
    await province.remember(
        1,
        [
            *discharges(20, 2024, "secondary", "A01.000", ["47.0100"], 300_000),
            *discharges(5, 2024, "secondary", "C15.100", [], 200_000),
            *discharges(3, 2021, "secondary", "C15.100", [], 900_000),
        ],
    )
    edition = await province.draft("built", "2025-01-01")
    answer = await province.put(f"/v1/catalog-editions/{edition}/groups", IMPORTED.encode())
    assert answer.status_code == 200, answer.text
    return Place(province, edition)


async def test_a_build_needs_a_draft_good_years_and_the_role(place: Place) -> None:
    editor = await place.province.editor()
    for years in ([], [2024, 2023], [2021, 2022, 2023, 2024]):
        order = {"edition": place.edition, "years": years}
        refused = await place.province.act(editor, "catalogEditionBuild", order, JOB)
        assert refused == {"job": None, "userErrors": [{"code": "BUILD_YEARS", "path": ["years"]}]}
    stranger = await place.province.world.client("370000", Role.PROVINCE_CATALOG_EDITOR)
    order = {"edition": place.edition, "years": [2024]}
    refused = await place.province.act(stranger, "catalogEditionBuild", order, JOB)
    assert [one["code"] for one in refused["userErrors"]] == ["EDITION_NOT_FOUND"]
    early = await place.province.act(
        editor, "catalogEditionConvertScores", {"edition": place.edition, "document": "d"}, "factor"
    )
    assert [one["code"] for one in early["userErrors"]] == ["EDITION_NOT_BUILT"]
    analyst = await place.province.world.client(place.province.code, Role.PROVINCE_ANALYST)
    mutation = "mutation($i: CatalogEditionBuildInput!) { catalogEditionBuild(input: $i) { job { id } } }"
    answer = await analyst.raw(mutation, {"i": {"idempotencyKey": "k" * 12, **order}})
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_year_without_history_is_a_typed_answer(place: Place) -> None:
    editor = await place.province.editor()
    order = {"edition": place.edition, "years": [2015]}
    started = await place.province.act(editor, "catalogEditionBuild", order, JOB)
    with pytest.raises(Conflict, match="no usable history"):
        await place.province.world.work_off()
    assert await job_state(editor, started["job"]) == {"state": "REFUSED", "errorCode": "NO_HISTORY"}


async def test_the_build_adds_what_the_import_lacks(place: Place) -> None:
    editor = await place.province.editor()
    order = {"edition": place.edition, "years": [2022, 2023, 2024]}
    started = await place.province.act(editor, "catalogEditionBuild", order, JOB)
    twin = await place.province.act(editor, "catalogEditionBuild", order, JOB)
    assert started["job"]["kind"] == "catalog.build"
    with pytest.raises(Conflict, match="built from history already"):
        await place.province.world.work_off()
    states = {(await job_state(editor, one["job"]))["state"] for one in (started, twin)}
    assert states == {"DONE", "REFUSED"}
    read = await place.read(f"groupCount {REPORT} {NODES}")
    assert read["groupCount"] == 4
    assert read["groups"]["nodes"] == [
        {
            "groupCode": "A01.0",
            "score": "205",
            "cases": 20,
            "source": "imported",
            "diagnosisName": "伤寒",
            "mainProcedureNames": "",
        },
        {
            "groupCode": "A01.0:47.0100",
            "score": "1500.00",
            "cases": 20,
            "source": "built",
            "diagnosisName": "伤寒",
            "mainProcedureNames": "腹腔镜下阑尾切除术",
        },
        {
            "groupCode": "A01.1",
            "score": "410",
            "cases": 0,
            "source": "imported",
            "diagnosisName": "甲型副伤寒",
            "mainProcedureNames": "",
        },
        {
            "groupCode": "C15:conservative",
            "score": "1000.00",
            "cases": 5,
            "source": "built",
            "diagnosisName": "C15 内科诊疗综合病种",
            "mainProcedureNames": "",
        },
    ]
    assert read["conversion"] is None
    assert read["buildReport"] == {
        "years": [2022, 2023, 2024],
        "weights": [1, 2, 7],
        "basis": "yearly_means",
        "coreThreshold": 15,
        "historyCases": 48,
        "usedCases": 45,
        "setAside": [
            {"reason": "intake.cost_not_positive", "cases": 1},
            {"reason": "principal_diagnosis_unknown", "cases": 2},
        ],
        "overallMeanYuan": "2000.00",
        "coreGroups": 1,
        "comprehensiveGroups": 1,
        "groupsLeftOut": 1,
        "countedYear": 2024,
        "countedCases": 47,
        "groupedCases": 45,
        "scoreMethod": "average_cost",
        "relatedSetsMerged": 0,
        "missingYears": [2022, 2023],
        "groupsLackingAYear": 3,
        "conversionCases": 20,
        "conversionBuilt": "10000.00",
        "conversionImported": "4100",
        "conversionFactor": "100/41",
    }


async def test_the_adequacy_report_comes_with_the_edition(place: Place) -> None:
    fields = """adequacy { cases grouped ungroupedShare newbornUngroupedShare cvLimit wideGroups movedGroups
      specialties { chapter cases grouped groups ungroupedShare } wide(first: 5) { groupCode } moved(first: 5) { groupCode }
      group(groupCode: "A01.0:47.0100") { cases meanYuan cv weight } }"""
    found = (await place.read(fields))["adequacy"]
    assert found == {
        "cases": 47,
        "grouped": 45,
        "ungroupedShare": "0.0426",
        "newbornUngroupedShare": None,
        "cvLimit": "1.0000",
        "wideGroups": 0,
        "movedGroups": None,
        "specialties": [
            {"chapter": "A", "cases": 40, "grouped": 40, "groups": 2, "ungroupedShare": "0.0000"},
            {"chapter": "C", "cases": 5, "grouped": 5, "groups": 1, "ungroupedShare": "0.0000"},
            {"chapter": "Z", "cases": 2, "grouped": 0, "groups": 0, "ungroupedShare": "1.0000"},
        ],
        "wide": [],
        "moved": [],
        "group": {"cases": 20, "meanYuan": "3000.00", "cv": "0.0000", "weight": "1.5000"},
    }
    editor = await place.province.editor()
    page = await editor.http.get(f"/v1/catalog-editions/{place.edition}/adequacy.md")
    assert page.status_code == 200 and "| Z | 2 | 0 | 0 | 100.00% |" in page.text
    clerk = await place.city(0)
    hidden = await clerk.http.get(f"/v1/catalog-editions/{place.edition}/adequacy.md")
    assert hidden.json()["error"]["code"] == "EDITION_NOT_FOUND"


async def test_a_lost_worker_writes_nothing(place: Place) -> None:
    """The job is taken a second time while the first worker still computes: only the second one's end counts."""
    edition = await place.province.draft("fenced", "2045-01-01")
    editor = await place.province.editor()
    started = await place.province.act(editor, "catalogEditionBuild", {"edition": edition, "years": [2024]}, JOB)
    platform = place.province.world.platform

    ((job_id, *_),) = await jobs_waiting(platform)
    first = await take(platform, job_id)
    assert first is not None
    async with platform.database.unit_of_work(DOORBELL_SCOPE) as uow:
        lapse = text("update job set lease_until = clock_timestamp() - interval '1 second' where job_id = :id")
        assert await uow.execute(lapse, {"id": job_id}) == 1
    second = await take(platform, job_id)
    assert second is not None
    with pytest.raises(Fenced):
        await HANDLERS["catalog.build"](platform, first)
    assert (await Place(place.province, edition).read("groupCount"))["groupCount"] == 0
    await HANDLERS["catalog.build"](platform, second)
    assert (await Place(place.province, edition).read("groupCount"))["groupCount"] == 3
    assert (await job_state(editor, started["job"]))["state"] == "DONE"


async def test_imported_scores_come_to_the_built_scale_once(place: Place) -> None:
    editor = await place.province.editor()
    order = {"edition": place.edition, "document": "分值换算说明（构造）", "isConstructed": True}
    fields = "changed factor edition { conversion { factor groups isConstructed } }"
    done = await place.province.act(editor, "catalogEditionConvertScores", order, fields)
    assert done == {
        "changed": 2,
        "factor": "100/41",
        "edition": {"conversion": {"factor": "100/41", "groups": 2, "isConstructed": True}},
        "userErrors": [],
    }
    assert await place.scores() == {
        "A01.0": "500.00",
        "A01.0:47.0100": "1500.00",
        "A01.1": "1000.00",
        "C15:conservative": "1000.00",
    }
    again = await place.province.act(editor, "catalogEditionConvertScores", order, fields)
    assert [one["code"] for one in again["userErrors"]] == ["SCORES_CONVERTED"]


async def test_edits_stay_within_the_limit_and_keep_the_total(place: Place) -> None:
    editor = await place.province.editor()
    fields = "changed factor residual"

    async def edit(code: str, score: str, **more: object) -> dict[str, Any]:
        order = {"edition": place.edition, "edits": [{"groupCode": code, "score": score}], "reason": "专家论证"}
        return await place.province.act(editor, "groupScoreEdit", order | more, fields)

    refused = await edit("A01.0", "600.01", reason=" ")
    assert [one["code"] for one in refused["userErrors"]] == ["REASON_MISSING"]
    refused = await edit("A01.0", "600.001")
    assert [one["code"] for one in refused["userErrors"]] == ["score_edit_places", "score_edit_beyond_limit"]
    refused = await edit("A01.0", "600", totalRule="REJECT")
    assert [one["code"] for one in refused["userErrors"]] == ["score_total_changed"]
    done = await edit("A01.0", "600")
    assert done == {"changed": 4, "factor": "45/47", "residual": "1/20", "userErrors": []}
    scores = {"A01.0": "574.47", "A01.0:47.0100": "1436.17", "A01.1": "957.45", "C15:conservative": "957.45"}
    assert await place.scores() == scores
    creeping = await edit("A01.0", "650")
    assert [one["code"] for one in creeping["userErrors"]] == ["score_edit_beyond_limit"]
    assert await place.scores() == scores
    nodes = (await place.read("groups(first: 1) { nodes { scoreHistory { kind scoreBefore scoreAfter reason } } }"))[
        "groups"
    ]["nodes"]
    assert nodes[0]["scoreHistory"] == [
        {"kind": "converted", "scoreBefore": "205", "scoreAfter": "500.00", "reason": "分值换算说明（构造）"},
        {"kind": "edit", "scoreBefore": "500.00", "scoreAfter": "574.47", "reason": "专家论证"},
    ]


async def test_who_edited_a_score_may_not_publish(place: Place) -> None:
    one = await same_person(
        place.province.world, place.province.code, Role.PROVINCE_CATALOG_EDITOR, Role.PROVINCE_CATALOG_APPROVER
    )
    editor = await place.province.editor()
    await place.province.act(editor, "catalogEditionSubmit", {"edition": place.edition}, "edition { id }")
    order = {"edition": place.edition}
    refused = await place.province.act(one, "catalogEditionPublish", order, "edition { state }")
    assert [error["code"] for error in refused["userErrors"]] == ["SAME_PERSON"]
    done = await place.province.act(
        await place.province.approver(), "catalogEditionPublish", order, "edition { state }"
    )
    assert done == {"edition": {"state": "PUBLISHED"}, "userErrors": []}
    late = {"edits": [{"groupCode": "A01.0", "score": "575"}], "reason": "迟到", **order}
    refused = await place.province.act(editor, "groupScoreEdit", late, "changed")
    assert [error["code"] for error in refused["userErrors"]] == ["EDITION_NOT_DRAFT"]
    hospital = await place.province.world.client(place.province.hospitals[0], Role.HOSPITAL_VIEWER)
    seen = await place.read("state groups(first: 1) { nodes { score scoreHistory { kind } } }", hospital)
    assert seen == {"state": "PUBLISHED", "groups": {"nodes": [{"score": "574.47", "scoreHistory": []}]}}


async def test_reference_costs_by_level_once_per_year(place: Place) -> None:
    clerk = await place.city(1)
    order = {"edition": place.edition, "year": 2024}
    started = await place.province.act(clerk, "referenceCostsCompute", order, JOB)
    assert started["job"]["kind"] == "catalog.reference_costs"
    await place.province.world.work_off()
    assert (await job_state(clerk, started["job"]))["state"] == "DONE"
    query = """query($id: ID!, $a: String) { referenceCosts(edition: $id, year: 2024, first: 2, after: $a) {
      nodes { groupCode level cases totalFen losDays } pageInfo { hasNextPage endCursor } } }"""
    first = (await clerk.gql(query, {"id": place.edition}))["referenceCosts"]
    rest = await clerk.gql(query, {"id": place.edition, "a": first["pageInfo"]["endCursor"]})
    operated = {"groupCode": "A01.0:47.0100", "cases": 20, "totalFen": "6000000", "losDays": 80}
    conservative = {"groupCode": "C15:conservative", "cases": 5, "totalFen": "1000000", "losDays": 20}
    assert first["nodes"] + rest["referenceCosts"]["nodes"] == [
        operated | {"level": ""},
        operated | {"level": "secondary"},
        conservative | {"level": ""},
        conservative | {"level": "secondary"},
    ]
    again = await place.province.act(clerk, "referenceCostsCompute", order, JOB)
    assert again == {"job": None, "userErrors": [{"code": "REFERENCE_COSTS_PRESENT", "path": []}]}
    other = await place.city(0)
    assert (await other.gql(query, {"id": place.edition}))["referenceCosts"]["nodes"] == []
    approver = await place.city(1, Role.CITY_SETTLEMENT_APPROVER)
    mutation = "mutation($i: ReferenceCostsComputeInput!) { referenceCostsCompute(input: $i) { job { id } } }"
    answer = await approver.raw(mutation, {"i": {"idempotencyKey": "k" * 12, **order}})
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_city_lays_its_scores_over_the_provinces(place: Place) -> None:
    clerk = await place.city(1)
    order = {
        "edition": place.edition,
        "effectiveFrom": "2025-03-01",
        "scores": [{"groupCode": "A01.0:47.0100", "score": "1500"}],
        "document": "测试市文件〔2025〕1号",
    }
    fields = "overlay { id state referenceYear factor totalBefore totalAfter }"
    beyond = order | {"scores": [{"groupCode": "A01.0:47.0100", "score": "1600"}, {"groupCode": "X", "score": "1"}]}
    refused = await place.province.act(clerk, "areaOverlayDraft", beyond, fields)
    assert [one["code"] for one in refused["userErrors"]] == ["score_edit_beyond_limit", "score_edit_unknown_group"]
    bare = await place.province.act(await place.city(0), "areaOverlayDraft", order, fields)
    assert [one["code"] for one in bare["userErrors"]] == ["REFERENCE_COSTS_MISSING"]
    drafted = await place.province.act(clerk, "areaOverlayDraft", order, fields)
    overlay = drafted["overlay"]
    assert overlay | {"id": ""} == {
        "id": "",
        "state": "draft",
        "referenceYear": 2024,
        "factor": "670213/695745",
        "totalBefore": "670213/20",
        "totalAfter": "670211/20",
    }
    publish = {"overlay": overlay["id"]}
    one = await same_person(
        place.province.world, place.province.cities[1], Role.CITY_SETTLEMENT_CLERK, Role.CITY_SETTLEMENT_APPROVER
    )
    refused = await place.province.act(one, "areaOverlayPublish", publish, "overlay { state }")
    assert [error["code"] for error in refused["userErrors"]] == ["SAME_PERSON"]
    stranger = await place.city(0, Role.CITY_SETTLEMENT_APPROVER)
    refused = await place.province.act(stranger, "areaOverlayPublish", publish, "overlay { state }")
    assert [error["code"] for error in refused["userErrors"]] == ["OVERLAY_NOT_FOUND"]
    hospital = await place.province.world.client(place.province.hospitals[1], Role.HOSPITAL_VIEWER)
    listed = "{ areaOverlays { state scores(first: 10) { nodes { groupCode provinceScore score } } } }"
    assert (await hospital.gql(listed))["areaOverlays"] == []
    approver = await place.city(1, Role.CITY_SETTLEMENT_APPROVER)
    done = await place.province.act(approver, "areaOverlayPublish", publish, "overlay { state }")
    assert done == {"overlay": {"state": "published"}, "userErrors": []}
    again = await place.province.act(approver, "areaOverlayPublish", publish, "overlay { state }")
    assert [error["code"] for error in again["userErrors"]] == ["OVERLAY_NOT_DRAFT"]
    (seen,) = (await hospital.gql(listed))["areaOverlays"]
    assert seen["scores"]["nodes"] == [
        {"groupCode": "A01.0", "provinceScore": "574.47", "score": "553.39"},
        {"groupCode": "A01.0:47.0100", "provinceScore": "1436.17", "score": "1444.95"},
        {"groupCode": "A01.1", "provinceScore": "957.45", "score": "922.31"},
        {"groupCode": "C15:conservative", "provinceScore": "957.45", "score": "922.31"},
    ]


async def test_findings_about_a_citys_overlay(place: Place) -> None:
    """What it changes is told; once the province narrows its limit, what now lies beyond it is told too."""
    clerk = await place.city(1)
    fields = "{ areaOverlays { id lint(first: 10) { code groupCode message } } }"
    (overlay,) = (await clerk.gql(fields))["areaOverlays"]
    assert [(one["code"], one["groupCode"]) for one in overlay["lint"]] == [
        ("national_row_changed", code) for code in ("A01.0", "A01.0:47.0100", "A01.1", "C15:conservative")
    ]
    assert "574.47 → 553.39" in overlay["lint"][0]["message"]
    await place.province.enter_policy({"catalog.overlay_score_limit_ratio": "0.04"})
    (overlay,) = (await clerk.gql(fields))["areaOverlays"]
    found = [(one["code"], one["groupCode"]) for one in overlay["lint"]]
    assert ("overlay_beyond_limit", "A01.0:47.0100") in found
    assert len(found) == 5
    stranger = await place.city(0)
    one = "query($id: ID!) { areaOverlay(id: $id) { lint(first: 1) { code } } }"
    assert (await stranger.gql(one, {"id": overlay["id"]}))["areaOverlay"] is None
    hospital = await place.province.world.client(place.province.hospitals[1], Role.HOSPITAL_VIEWER)
    assert len((await hospital.gql(one, {"id": overlay["id"]}))["areaOverlay"]["lint"]) == 1


async def test_what_other_services_load(place: Place) -> None:
    platform = place.province.world.platform
    async with platform.database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        home = await registry.hospital_by_code(uow, place.province.hospitals[1])
    assert home is not None
    worker = job_scope(tenant=place.province.cities[1], province_id=home.province_id, area_id=home.area_id)
    async with platform.database.unit_of_work(worker) as uow:
        row = await catalog_book.edition_for(uow, date(2025, 5, 1))
        book = await catalog_book.load_book(uow, row.edition_id)
        assert await catalog_book.load_book(uow, row.edition_id) is book
        assert sorted(book.by_code) == ["A01.0", "A01.0:47.0100", "A01.1", "C15:conservative"]
        assert book.by_code["A01.0"].score == Decimal("574.47")
        assert await catalog_book.overlay_scores(uow, row.edition_id, date(2025, 2, 28)) == {}
        scores = await catalog_book.overlay_scores(uow, row.edition_id, date(2025, 3, 1))
        assert scores["A01.0:47.0100"] == Decimal("1444.95")
        references = await catalog_book.references(uow, row.edition_id, 2024)
        assert references["A01.0:47.0100", "secondary"] == catalog_book.Reference(6_000_000, 20, 80)
        with pytest.raises(Conflict, match="No catalog edition was in force on 2024-12-31"):
            await catalog_book.edition_for(uow, date(2024, 12, 31))
    foreign = job_scope(tenant="x", province_id=home.province_id + 10_000, area_id=home.area_id)
    async with platform.database.unit_of_work(foreign) as uow:
        with pytest.raises(Exception, match="No such catalog edition"):
            await catalog_book.load_book(uow, row.edition_id)
