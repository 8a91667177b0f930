"""Code tables, catalog files and the life of an edition, by GraphQL and HTTP."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from builders.catalog_province import DIAGNOSES, HEADER, CatalogProvince, open_catalog_province
from builders.event_stream import told
from builders.one_person import same_person
from builders.world import World, new_key
from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.rules.refusals import Conflict
from fenzhi.store.repositories import registry

GROUPS = (
    f"{HEADER}\n"
    "1,A01.0,A01.0,伤寒,4,,,,,core,2,205,1\n"
    '3,A01.0:47.0100/39.9500,A01.0,"伤寒,手术",4,47.0100/39.9500,甲/乙,,,core,2,300.50,0\n'
    "4,Z99.9,Z99.9,未知,4,,,,,core,3,99,0\n"
)
NODES = "groups(first: 10) { nodes { groupCode score isGrassroots source cases } }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def province(world: World) -> CatalogProvince:
    return await open_catalog_province(world, "330000")


async def edition_of(province: CatalogProvince, edition: str, tenant: str, role: Role, fields: str) -> Any:
    client = await province.world.client(tenant, role)
    query = f"query($id: ID!) {{ catalogEdition(id: $id) {{ {fields} }} }}"
    return (await client.gql(query, {"id": edition}))["catalogEdition"]


async def test_a_code_table_is_imported_once_and_read_by_all_below(province: CatalogProvince) -> None:
    again = await province.put("/v1/code-tables/diagnosis/dx-1?document=x", DIAGNOSES.encode())
    assert (again.status_code, again.json()["error"]["code"]) == (409, "CODE_TABLE_EXISTS")
    viewer = await province.world.client(province.hospitals[0], Role.HOSPITAL_VIEWER)
    tables = (await viewer.gql("{ codeTables { id kind version entries isConstructed } }"))["codeTables"]
    assert [(one["kind"], one["version"], one["entries"], one["isConstructed"]) for one in tables] == [
        ("PROCEDURE", "op-1", 2, True),
        ("DIAGNOSIS", "dx-1", 4, True),
    ]
    query = """query($t: ID!, $after: String) { codeEntries(codeTable: $t, first: 1, prefix: "A01", after: $after) {
      nodes { code isGray } pageInfo { hasNextPage endCursor } } }"""
    first = (await viewer.gql(query, {"t": tables[1]["id"]}))["codeEntries"]
    assert first["nodes"] == [{"code": "A01.000", "isGray": False}]
    rest = await viewer.gql(query, {"t": tables[1]["id"], "after": first["pageInfo"]["endCursor"]})
    assert rest["codeEntries"]["nodes"] == [{"code": "A01.100", "isGray": False}]
    assert rest["codeEntries"]["pageInfo"]["hasNextPage"] is False
    stranger = await province.world.client("370000", Role.PROVINCE_CATALOG_EDITOR)
    assert (await stranger.gql(query, {"t": tables[1]["id"]}))["codeEntries"]["nodes"] == []


async def test_a_code_table_with_faults_is_refused_whole(province: CatalogProvince) -> None:
    faulty = "code,name,is_gray\nA01,类目,0\nA01.000,伤寒,5\n"
    order = {"kind": "DIAGNOSIS", "version": "dx bad", "document": "测试", "csv": faulty}
    editor = await province.editor()
    fields = "codeTable { id }"
    refused = await province.act(editor, "codeTableImport", order, fields)
    assert refused == {"codeTable": None, "userErrors": [{"code": "VERSION_SHAPE", "path": ["version"]}]}
    refused = await province.act(editor, "codeTableImport", order | {"version": "dx-bad"}, fields)
    assert refused["userErrors"] == [
        {"code": "code_shape", "path": ["row 2 code"]},
        {"code": "code_gray", "path": ["row 3 is_gray"]},
    ]
    answer = await province.put("/v1/code-tables/diagnosis/dx-bad?document=x", faulty.encode())
    assert answer.status_code == 422
    assert [one["path"] for one in answer.json()["error"]["refusals"]] == ["row 2 code", "row 3 is_gray"]
    tables = (await editor.gql("{ codeTables { version } }"))["codeTables"]
    assert "dx-bad" not in [one["version"] for one in tables]


async def test_only_the_editor_imports(province: CatalogProvince) -> None:
    for tenant, role in (
        (province.code, Role.PROVINCE_ANALYST),
        (province.cities[0], Role.CITY_SETTLEMENT_CLERK),
        (province.hospitals[0], Role.HOSPITAL_SUBMITTER),
    ):
        client = await province.world.client(tenant, role)
        answer = await province.put("/v1/code-tables/diagnosis/dx-9?document=x", DIAGNOSES.encode(), client)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
    edition = await province.draft("walls", "2040-01-01")
    stranger = await province.world.client("370000", Role.PROVINCE_CATALOG_EDITOR)
    answer = await province.put(f"/v1/catalog-editions/{edition}/groups", GROUPS.encode(), stranger)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "EDITION_NOT_FOUND")
    assert (await stranger.http.get(f"/v1/catalog-editions/{edition}/groups.csv")).status_code == 404


async def test_a_file_comes_back_byte_for_byte(province: CatalogProvince) -> None:
    edition = await province.draft("bytes", "2041-01-01")
    path = f"/v1/catalog-editions/{edition}/groups"
    content = b"\xef\xbb\xbf" + GROUPS.replace("\n", "\r\n").encode()
    key = new_key()
    answer = await province.put(f"{path}?mode=replace", content, key=key)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["added"], body["groups"], body["warningCounts"]) == (3, 3, {"diagnosis_unknown": 1})
    assert body["warnings"][0]["path"] == "row 4 dx_code"
    assert (await province.put(f"{path}?mode=replace", content, key=key)).json() == body
    editor = await province.editor()
    assert (await editor.http.get(f"{path}.csv")).content == content
    found = await edition_of(province, edition, province.code, Role.PROVINCE_ANALYST, f"groupCount {NODES}")
    assert found["groupCount"] == 3
    assert found["groups"]["nodes"][:2] == [
        {"groupCode": "A01.0", "score": "205", "isGrassroots": True, "source": "imported", "cases": None},
        {
            "groupCode": "A01.0:47.0100/39.9500",
            "score": "300.50",
            "isGrassroots": False,
            "source": "imported",
            "cases": None,
        },
    ]


async def test_every_fault_of_a_file_and_of_an_addition(province: CatalogProvince) -> None:
    edition = await province.draft("faults", "2042-01-01")
    path = f"/v1/catalog-editions/{edition}/groups"
    bad = f"{HEADER}\n1,A01.0,A01,伤寒,4,,,,,core,2,205,1\n2,A01.1,A01.1,副伤寒,4,6.31,,,,core,2,1e3,1\n"
    answer = await province.put(path, bad.encode())
    assert answer.status_code == 422
    assert [(one["code"], one["path"]) for one in answer.json()["error"]["refusals"]] == [
        ("diagnosis_key", "row 2 dx_code"),
        ("procedure_code_lost_zeros", "row 3 main_ops"),
        ("score", "row 3 score"),
    ]
    assert (await province.put(path, GROUPS.encode())).json()["groups"] == 3
    more = f"{HEADER}\n9,A01.0,C15.1,x,4,,,,,core,2,5,0\n9,other,A01.0,x,4,,,,,core,2,5,0\n"
    answer = await province.put(path, more.encode())
    assert [(one["code"], one["path"]) for one in answer.json()["error"]["refusals"]] == [
        ("group_code_duplicated", "A01.0"),
        ("group_key_ambiguous", "other"),
    ]
    assert (await province.put(f"{path}?mode=both", b"")).json()["error"]["refusals"][0]["code"] == "IMPORT_MODE"
    added = await province.put(path, f"{HEADER}\n9,C15.1,C15.1,x,4,,,,,core,2,5,0\n".encode())
    assert added.json()["groups"] == 4


async def test_a_draft_is_refused_with_all_faults(province: CatalogProvince) -> None:
    order = {
        "code": "no spaces",
        "title": "",
        "effectiveFrom": "2043-01-01",
        "scale": 0,
        "scoreDecimals": 9,
        "diagnosisTable": "dx-1",
        "procedureTable": "op-1",
        "document": " ",
    }
    editor = await province.editor()
    refused = await province.act(editor, "catalogEditionDraft", order, "edition { id }")
    assert [one["code"] for one in refused["userErrors"]] == [
        "DOCUMENT_MISSING",
        "EDITION_CODE_SHAPE",
        "EDITION_TITLE_SHAPE",
        "EDITION_SCALE_RANGE",
        "SCORE_DECIMALS_RANGE",
    ]
    missing = order | {
        "code": "c",
        "title": "t",
        "scale": 1,
        "scoreDecimals": 2,
        "document": "d",
        "procedureTable": "?",
    }
    refused = await province.act(editor, "catalogEditionDraft", missing, "edition { id }")
    assert refused["userErrors"] == [{"code": "CODE_TABLE_NOT_FOUND", "path": ["procedureTable"]}]


async def nothing_changes_a_published_edition(province: CatalogProvince) -> None:
    """The store refuses what code might forget."""
    database = province.world.platform.database
    async with database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        home = await registry.province_by_code(uow, province.code)
    assert home is not None
    scope = Scope(role=DatabaseRole.PROVINCE, tenant=province.code, province_id=home.province_id)
    for statement, code in (
        ("update catalog_edition set groups = 0 where state = 'published'", "IMMUTABLE"),
        ("update catalog_edition set state = 'draft' where state = 'published'", "IMMUTABLE"),
    ):
        with pytest.raises(Conflict) as refused:
            async with database.unit_of_work(scope) as uow:
                await uow.execute(text(statement))
        assert refused.value.code == code
    of_published = "edition_id in (select edition_id from catalog_edition where state = 'published')"
    async with database.unit_of_work(scope) as uow:
        assert await uow.execute(text(f"update disease_group set score = 1 where {of_published}")) == 0
        assert await uow.execute(text(f"delete from disease_group where {of_published}")) == 0
    with pytest.raises(Conflict) as refused:
        async with database.unit_of_work(scope) as uow:
            await uow.execute(
                text(
                    "insert into disease_group select province_id, edition_id, ordinal + 1000, group_code || '-', diagnosis,"
                    " diagnosis_name, granularity, main_procedures, main_procedure_names, related_procedures,"
                    " related_procedure_names, kind, sequence_text, procedure_class, level, score, cases, is_grassroots,"
                    f" is_local_addition, source from disease_group where {of_published} limit 1"
                )
            )
    assert refused.value.code == "FORBIDDEN"


async def test_an_edition_is_published_by_a_second_person_and_ends_the_one_before(province: CatalogProvince) -> None:
    first = await province.draft("2025", "2025-01-01")
    empty = await province.act(await province.editor(), "catalogEditionSubmit", {"edition": first}, "edition { id }")
    assert [one["code"] for one in empty["userErrors"]] == ["EDITION_EMPTY"]
    await province.put(f"/v1/catalog-editions/{first}/groups", GROUPS.encode())
    viewer = (province.hospitals[0], Role.HOSPITAL_VIEWER)
    assert await edition_of(province, first, *viewer, "id") is None
    assert await edition_of(province, first, "370000", Role.PROVINCE_ANALYST, "id") is None
    submit = {"edition": first}
    fields = "edition { state }"
    done = await province.act(await province.editor(), "catalogEditionSubmit", submit, fields)
    assert done == {"edition": {"state": "IN_REVIEW"}, "userErrors": []}
    path = f"/v1/catalog-editions/{first}/groups"
    late = await province.put(path, GROUPS.encode())
    assert late.json()["error"]["code"] == "EDITION_NOT_DRAFT"
    one = await same_person(province.world, province.code, Role.PROVINCE_CATALOG_EDITOR, Role.PROVINCE_CATALOG_APPROVER)
    refused = await province.act(one, "catalogEditionPublish", submit, fields)
    assert [error["code"] for error in refused["userErrors"]] == ["SAME_PERSON"]
    back = await province.act(
        await province.approver(), "catalogEditionReject", {**submit, "reason": "补充依据"}, fields
    )
    assert back == {"edition": {"state": "DRAFT"}, "userErrors": []}
    published = await province.publish(first)
    assert published["userErrors"] == []
    assert published["edition"]["state"] == "PUBLISHED"
    assert published["edition"]["effectiveTo"] is None
    assert len(published["edition"]["contentSha256"]) == 64
    word = [("CatalogEdition", first, {"code": "2025", "effective_from": "2025-01-01"})]
    for city, hospital in zip(province.cities, province.hospitals, strict=True):
        assert await told(province.world, hospital) == word
        assert await told(province.world, city, role=Role.CITY_SETTLEMENT_CLERK) == word
    elsewhere = await told(province.world, "370100", "CATALOG_PUBLISHED", role=Role.CITY_SETTLEMENT_CLERK)
    assert first not in [subject for _, subject, _ in elsewhere]
    again = await province.act(await province.approver(), "catalogEditionPublish", submit, fields)
    assert [error["code"] for error in again["userErrors"]] == ["EDITION_NOT_IN_REVIEW"]
    await nothing_changes_a_published_edition(province)

    third = await province.draft("2027", "2027-01-01")
    await province.put(f"/v1/catalog-editions/{third}/groups", GROUPS.encode())
    assert (await province.publish(third))["edition"]["contentSha256"] == published["edition"]["contentSha256"]
    second = await province.draft("2026", "2026-07-01")
    await province.put(f"/v1/catalog-editions/{second}/groups", GROUPS.replace(",205,", ",206,").encode())
    between = await province.publish(second)
    assert (between["edition"]["effectiveFrom"], between["edition"]["effectiveTo"]) == ("2026-07-01", "2026-12-31")
    assert between["edition"]["contentSha256"] != published["edition"]["contentSha256"]
    same_day = await province.draft("2027b", "2027-01-01")
    await province.put(f"/v1/catalog-editions/{same_day}/groups", GROUPS.encode())
    assert [error["code"] for error in (await province.publish(same_day))["userErrors"]] == ["EDITION_SAME_DAY"]

    seen = await edition_of(province, first, *viewer, f"code effectiveTo {NODES}")
    assert (seen["code"], seen["effectiveTo"], len(seen["groups"]["nodes"])) == ("2025", "2026-06-30", 3)
    client = await province.world.client(*viewer)
    days = {"2024-12-31": None, "2025-01-01": "2025", "2026-06-30": "2025", "2026-07-01": "2026", "2030-01-01": "2027"}
    for day, code in days.items():
        query = "query($d: Date!) { catalogEditionInForce(on: $d) { code } }"
        found = (await client.gql(query, {"d": day}))["catalogEditionInForce"]
        assert (found and found["code"]) == code
    listed = (await client.gql("{ catalogEditions(first: 50) { nodes { code state } } }"))["catalogEditions"]["nodes"]
    assert [one["code"] for one in listed] == ["2026", "2027", "2025"]
    assert {one["state"] for one in listed} == {"PUBLISHED"}


async def test_groups_are_found_by_prefix_and_words_and_paged(province: CatalogProvince) -> None:
    edition = await province.draft("paged", "2044-01-01")
    await province.put(f"/v1/catalog-editions/{edition}/groups", GROUPS.encode())
    client = await province.editor()
    query = """query($id: ID!, $f: Int!, $a: String, $p: String!, $s: String!) { catalogEdition(id: $id) {
      groups(first: $f, after: $a, prefix: $p, search: $s) {
        nodes { id groupCode } pageInfo { hasNextPage endCursor } } } }"""

    async def page(**changes: object) -> dict[str, Any]:
        variables = {"id": edition, "f": 2, "p": "", "s": ""} | changes
        return (await client.gql(query, variables))["catalogEdition"]["groups"]  # type: ignore[no-any-return]

    first = await page()
    assert [one["groupCode"] for one in first["nodes"]] == ["A01.0", "A01.0:47.0100/39.9500"]
    rest = await page(a=first["pageInfo"]["endCursor"])
    assert ([one["groupCode"] for one in rest["nodes"]], rest["pageInfo"]["hasNextPage"]) == (["Z99.9"], False)
    assert [one["groupCode"] for one in (await page(p="A01.0:"))["nodes"]] == ["A01.0:47.0100/39.9500"]
    assert [one["groupCode"] for one in (await page(s="手术"))["nodes"]] == ["A01.0:47.0100/39.9500"]
    assert (await page(s="%"))["nodes"] == []
    one = "query($id: ID!) { diseaseGroup(id: $id) { groupCode } node(id: $id) { id } }"
    group_id = first["nodes"][1]["id"]
    assert (await client.gql(one, {"id": group_id}))["diseaseGroup"] == {"groupCode": "A01.0:47.0100/39.9500"}
    viewer = await province.world.client(province.hospitals[0], Role.HOSPITAL_VIEWER)
    assert await viewer.gql(one, {"id": group_id}) == {"diseaseGroup": None, "node": None}


async def test_the_real_tables_and_the_real_excerpt(province: CatalogProvince, shared: Path) -> None:
    for kind, file in (("diagnosis", "icd10_yb_diagnosis"), ("procedure", "icd9cm3_yb_procedure")):
        rows = csv.DictReader(io.StringIO(gzip.decompress((shared / "data" / f"{file}.csv.gz").read_bytes()).decode()))
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["code", "name", "is_gray"])
        writer.writerows([row["code"], row["name"], row["is_gray"]] for row in rows)
        answer = await province.put(f"/v1/code-tables/{kind}/real?document=x", out.getvalue().encode())
        assert answer.json().get("entries") == {"diagnosis": 33_304, "procedure": 13_686}[kind], answer.text
    edition = await province.draft("real", "2046-01-01", diagnosisTable="real", procedureTable="real")
    path = f"/v1/catalog-editions/{edition}/groups"
    content = (shared / "data" / "dip_catalog_excerpt_dev.csv").read_bytes()
    answer = await province.put(path, content)
    assert answer.json()["groups"] == 329, answer.text
    assert (await (await province.editor()).http.get(f"{path}.csv")).content == content
