"""The workbook of a catalog: down, edited by people, up again; what is wrong comes back marked in the sender's own workbook."""

from __future__ import annotations

import io
import zipfile
from decimal import Decimal
from typing import Any

import httpx
import openpyxl
import pytest_asyncio
import xlsxwriter
from openpyxl.styles import Font, PatternFill
from openpyxl.workbook import Workbook

from builders.catalog_province import HEADER, CatalogProvince, open_catalog_province
from builders.world import Client, World, new_key
from fenzhi.access.roles import Role
from fenzhi.access.scope import DatabaseRole, Scope
from fenzhi.services.acts import as_id
from fenzhi.store.repositories import catalog, registry
from fenzhi_graphql.paging import key_of

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
GROUPS = 1_000
RED = "FFFFC7CE"


def group_code(number: int) -> str:
    return f"{'ABCDEFGHIJ'[number // 100]}{number % 100:02d}.{number % 10}"


def groups_csv() -> bytes:
    lines = [HEADER]
    for number in range(GROUPS):
        code = group_code(number)
        lines.append(f"{number + 1},{code},{code},病种{number},4,,,,,core,2,{100 + number}.50,0")
    # Codes that spreadsheets like to rewrite: they must come back letter by letter.
    lines += [
        "123456789012345678,1E10,A01.1,甲型副伤寒,4,06.3100,名称,,,core,2,50.00,0",
        "0010,K35.3:47.0100_54.2100,K35.3,阑尾炎,4,47.0100,甲,54.2100,乙,core,2,70.10,1",
    ]
    return ("\n".join(lines) + "\n").encode()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def province(world: World) -> CatalogProvince:
    return await open_catalog_province(world, "350000")


async def drafted(province: CatalogProvince, code: str, day: str, content: bytes | None = None) -> str:
    """A draft whose groups each had ten cases last year."""
    edition = await province.draft(code, day)
    answer = await province.put(f"/v1/catalog-editions/{edition}/groups", content or groups_csv())
    assert answer.status_code == 200, answer.text
    database = province.world.platform.database
    async with database.unit_of_work(Scope(role=DatabaseRole.OPERATOR, tenant="operator")) as uow:
        home = await registry.province_by_code(uow, province.code)
    assert home is not None
    scope = Scope(role=DatabaseRole.PROVINCE, tenant=province.code, province_id=home.province_id)
    async with database.unit_of_work(scope) as uow:
        key = as_id(key_of(edition, "CatalogEdition", "edition"), "edition")
        codes = [one.group_code for one in await catalog.groups(uow, key)]
        await catalog.set_cases(uow, key, dict.fromkeys(codes, 10))
    return edition


async def downloaded(client: Client, edition: str) -> Workbook:
    answer = await client.http.get(f"/v1/catalog-editions/{edition}/groups.xlsx")
    assert answer.status_code == 200 and answer.headers["content-type"] == XLSX
    return openpyxl.load_workbook(io.BytesIO(answer.content))


def columns(book: Workbook) -> dict[str, int]:
    return {str(cell.value).rpartition(" ")[2]: cell.column for cell in book["病种"][1] if cell.value}


def row_of(book: Workbook, code: str) -> int:
    at = columns(book)["dip_code"]
    return next(n for n in range(2, book["病种"].max_row + 1) if book["病种"].cell(n, at).value == code)


def cell(book: Workbook, code: str, name: str) -> Any:
    return book["病种"].cell(row_of(book, code), columns(book)[name])


def saved(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


async def upload(
    client: Client, edition: str, content: bytes, *, total: str = "renormalise", marked: bool = False, key: str = ""
) -> httpx.Response:
    headers = {"idempotency-key": key or new_key(), "content-type": XLSX}
    if marked:
        headers["accept"] = XLSX
    path = f"/v1/catalog-editions/{edition}/groups.xlsx?reason=专家论证&total={total}"
    return await client.http.put(path, content=content, headers=headers)


def faults(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(one["code"], one["path"]) for one in answer.json()["error"]["refusals"]]


async def test_what_comes_down_goes_up_and_changes_nothing(province: CatalogProvince) -> None:
    edition = await drafted(province, "wb-still", "2050-01-01")
    editor = await province.editor()
    raw = await editor.http.get(f"/v1/catalog-editions/{edition}/groups.xlsx")
    answer = await upload(editor, edition, raw.content)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["changed"], body["added"], body["removed"], body["unchanged"]) == (0, 0, 0, GROUPS + 2)
    again = await editor.http.get(f"/v1/catalog-editions/{edition}/groups.xlsx")
    assert again.content == raw.content
    assert (await editor.http.get(f"/v1/catalog-editions/{edition}/groups.csv")).content == groups_csv()
    book = openpyxl.load_workbook(io.BytesIO(raw.content))
    sheet = book["病种"]
    assert {one.data_type for line in sheet.iter_rows(min_row=2) for one in line if one.value is not None} == {"s"}
    assert {one.number_format for line in sheet.iter_rows(min_row=2) for one in line if one.value is not None} == {"@"}
    assert cell(book, "1E10", "seq").value == "123456789012345678"
    assert cell(book, "1E10", "main_ops").value == "06.3100"
    assert cell(book, "K35.3:47.0100_54.2100", "seq").value == "0010"
    choices = {str(one.sqref).split(":")[0]: one.formula1 for one in sheet.data_validations.dataValidation}
    assert choices["B2"] == '"保留,删除"' and '"core,comprehensive"' in choices.values()
    assert "填写说明" in book.sheetnames and "row_version" in str(book["填写说明"]["B3"].value)


async def test_a_round_trip_of_a_thousand_scores(province: CatalogProvince) -> None:
    """Up and down by turns, so that the total stays by itself: every score arrives to the last place."""
    edition = await drafted(province, "wb-1000", "2051-01-01")
    editor = await province.editor()
    book = await downloaded(editor, edition)
    at = columns(book)
    sheet = book["病种"]
    wanted: dict[str, str] = {}
    for number in range(GROUPS):
        row = number + 2
        score = Decimal(str(sheet.cell(row, at["score"]).value)) + (Decimal("1.25") if number % 2 else Decimal("-1.25"))
        wanted[str(sheet.cell(row, at["dip_code"]).value)] = f"{score:f}"
        sheet.cell(row, at["score"]).value = f"{score:f}"
    # What a person does to a workbook besides.
    sheet.cell(2, at["dx_name"]).font = Font(name="楷体", bold=True, color="FF0000FF")
    sheet.cell(3, at["score"]).fill = PatternFill("solid", fgColor="FF92D050")
    sheet.column_dimensions["E"].width = 33.5
    book.create_sheet("我的说明")["A1"] = "=SUM(1,2)"
    key = new_key()
    content = saved(book)
    answer = await upload(editor, edition, content, total="reject", key=key)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["scoresEdited"], body["scoresMoved"], body["factor"], body["residual"]) == (GROUPS, GROUPS, "1", "0")
    assert (await upload(editor, edition, content, total="reject", key=key)).json() == body
    assert (await upload(editor, edition, content, total="reject")).json()["unchanged"] == GROUPS + 2
    after = await downloaded(editor, edition)
    found = {
        str(line[at["dip_code"] - 1].value): str(line[at["score"] - 1].value)
        for line in after["病种"].iter_rows(min_row=2)
    }
    assert {code: found[code] for code in wanted} == wanted
    assert found["1E10"] == "50.00"
    query = "query($id: ID!) { catalogEdition(id: $id) { groups(first: 1) { nodes { rowVersion scoreHistory { kind reason } } } } }"
    node = (await editor.gql(query, {"id": edition}))["catalogEdition"]["groups"]["nodes"][0]
    assert node["scoreHistory"] == []  # 1E10 sorts first and was not touched
    for number in range(GROUPS):
        sheet.cell(number + 2, at["dx_name"]).value = "旧表再改"
    stale = await upload(editor, edition, saved(book))
    assert stale.status_code == 409 and stale.json()["error"]["code"] == "CATALOG_ROWS_STALE"
    assert {code for code, _ in faults(stale)} == {"ROW_VERSION_STALE"} and len(faults(stale)) == 1_000


async def test_every_bad_cell_comes_back_red_in_the_senders_own_workbook(province: CatalogProvince) -> None:
    edition = await drafted(province, "wb-bad", "2052-01-01")
    editor = await province.editor()
    book = await downloaded(editor, edition)
    sheet, at = book["病种"], columns(book)
    bad: dict[tuple[int, str], tuple[object, str]] = {
        (2, "score"): ("1e3", "score"),
        (3, "score"): ("0.123", "score_places"),
        (4, "dx_code"): ("A01-A02", "diagnosis_key"),
        (5, "main_ops"): ("6.31", "procedure_code_lost_zeros"),
        (6, "dip_code"): (1e17, "CELL_DIGITS_LOST"),
        (7, "dx_name"): ("=cmd|' /C calc'!A0", "CELL_FORMULA"),
        (8, "kind"): ("核心", "group_kind"),
        (9, "grassroots"): ("2", "grassroots"),
        (10, "seq"): (6.31, "CELL_NUMBER_NOT_TEXT"),
        (11, "action"): ("丢弃", "ROW_ACTION"),
        (12, "row_version"): ("000000000000", "ROW_VERSION_STALE"),
        (13, "score"): ("-5", "score_not_positive"),
    }
    for (row, name), (value, _) in bad.items():
        sheet.cell(row, at[name]).value = value
        if name == "row_version":
            sheet.cell(row, at["dx_name"]).value = "改名"
    text = sheet.cell(14, at["dx_name"])
    text.value, text.data_type = "+HYPERLINK(1)", "s"
    sheet.cell(2, at["dx_name"]).font = Font(name="楷体", bold=True, color="FF0000FF")
    sheet.cell(20, at["dx_name"]).fill = PatternFill("solid", fgColor="FF92D050")
    sheet.column_dimensions["E"].width = 33.5
    book.create_sheet("我的说明")["A1"] = "自己的说明"
    content = saved(book)
    answer = await upload(editor, edition, content)
    assert answer.status_code == 422
    letter = {name: openpyxl.utils.get_column_letter(number) for name, number in at.items()}
    expected = {(code, f"病种!{letter[name]}{row}") for (row, name), (_, code) in bad.items()}
    expected.add(("CELL_FORMULA_TEXT", f"病种!{letter['dx_name']}14"))
    assert set(faults(answer)) == expected and len(faults(answer)) == len(expected)
    first = answer.json()["error"]["refusals"][0]
    assert (first["sheet"], first["column"], first["row"]) == ("病种", letter["score"], 2)
    marked = await upload(editor, edition, content, marked=True)
    assert (marked.status_code, marked.headers["content-type"]) == (422, XLSX)
    assert (marked.headers["fenzhi-error"], marked.headers["fenzhi-faults"]) == ("DATA_REFUSED", str(len(expected)))
    back = openpyxl.load_workbook(io.BytesIO(marked.content))
    own = back["病种"]
    for code, place in expected:
        one = own[place.partition("!")[2]]
        assert one.fill.fgColor.rgb == RED, place
        assert f"[{code}]" in one.comment.text and one.comment.author == "分值 Fenzhi", place
    red = [one.coordinate for line in own.iter_rows() for one in line if one.fill.fgColor.rgb == RED]
    assert len(red) == len(expected)
    assert own.cell(7, at["dx_name"]).data_type == "s"  # What was a formula computes nothing.
    assert own.cell(7, at["dx_name"]).value == "=cmd|' /C calc'!A0"
    assert (own.cell(2, at["dx_name"]).font.name, own.cell(2, at["dx_name"]).font.color.rgb) == ("楷体", "FF0000FF")
    assert own.cell(20, at["dx_name"]).fill.fgColor.rgb == "FF92D050"
    assert own.column_dimensions["E"].width == 33.5 and back["我的说明"]["A1"].value == "自己的说明"
    results = [[one.value for one in line] for line in back["校验结果"].iter_rows(min_row=2)]
    assert {(line[3], line[2]) for line in results} == expected
    assert (await editor.http.get(f"/v1/catalog-editions/{edition}/groups.csv")).content == groups_csv()
    # Corrected in the marked copy and sent back: the marks of the first round go away by themselves.
    fresh = await downloaded(editor, edition)
    for row in range(2, 15):
        for column in range(1, own.max_column + 1):
            own.cell(row, column).value = fresh["病种"].cell(row, column).value
    cell(back, group_code(30), "score").value = "131.50"
    mended = await upload(editor, edition, saved(back))
    assert (mended.status_code, mended.json()["scoresEdited"]) == (200, 1), mended.text


async def test_attributes_new_groups_and_removed_ones(province: CatalogProvince) -> None:
    edition = await drafted(province, "wb-more", "2053-01-01")
    editor = await province.editor()
    book = await downloaded(editor, edition)
    sheet, at = book["病种"], columns(book)
    cell(book, group_code(1), "dx_name").value = "改名后的病种"
    cell(book, group_code(2), "action").value = "删除"
    cell(book, "1E10", "local").value = "1"
    new = sheet.max_row + 1
    texts = {"dip_code": "Z99.8", "dx_code": "Z99.8", "dx_name": "新病种", "dx_granularity": "4", "kind": "core"}
    for name, value in (texts | {"level": "2", "score": "33.00", "grassroots": "0", "local": "1"}).items():
        sheet.cell(new, at[name]).value = value
    body = (await upload(editor, edition, saved(book))).json()
    assert (body["groups"], body["changed"], body["added"], body["removed"]) == (GROUPS + 2, 2, 1, 1)
    assert body["warningCounts"]["diagnosis_unknown"] >= 1
    after = await downloaded(editor, edition)
    assert cell(after, group_code(1), "dx_name").value == "改名后的病种"
    assert cell(after, "1E10", "local").value == "1" and cell(after, "Z99.8", "local").value == "1"
    codes = [after["病种"].cell(row, at["dip_code"]).value for row in range(2, after["病种"].max_row + 1)]
    assert group_code(2) not in codes and codes[0] == group_code(0) and codes[-1] == "Z99.8"
    twice = sheet.max_row + 1
    for column in range(1, sheet.max_column + 1):
        sheet.cell(twice, column).value = sheet.cell(30, column).value
    sheet.cell(twice, at["score"]).value = "1.00"
    found = dict(faults(await upload(editor, edition, saved(book))))
    assert "group_code_duplicated" in found and "ROW_GROUP_GONE" in found


async def test_only_the_columns_that_matter(province: CatalogProvince) -> None:
    """An expert may send three columns back, as CSV in either encoding."""
    edition = await drafted(province, "wb-csv", "2054-01-01")
    editor = await province.editor()
    query = 'query($id: ID!) { catalogEdition(id: $id) { groups(first: 2, prefix: "B0") { nodes { groupCode score rowVersion } } } }'
    nodes = (await editor.gql(query, {"id": edition}))["catalogEdition"]["groups"]["nodes"]
    assert [one["groupCode"] for one in nodes] == ["B00.0", "B01.1"]
    for one, charset in zip(nodes, ("utf-8", "gb18030"), strict=True):
        score = Decimal(one["score"]) + 1
        text = f"病种编码,行版本,分值\n{one['groupCode']},{one['rowVersion']},{score:f}\n"
        answer = await upload(editor, edition, text.encode(charset))
        assert (answer.status_code, answer.json()["scoresEdited"]) == (200, 1), answer.text
    again = (await editor.gql(query, {"id": edition}))["catalogEdition"]["groups"]["nodes"][1]
    gb = f"病种编码,行版本,诊断名称\n{again['groupCode']},{again['rowVersion']},伤寒（国标码）\n".encode("gb18030")
    assert (await upload(editor, edition, gb)).json()["changed"] == 1
    for text, code in (
        ("病种编码,分值x\nA,1\n", "CATALOG_COLUMN_STRANGE"),
        ("病种编码,病种编码\nA,1\n", "CATALOG_COLUMN_REPEATED"),
        ("分值\n1\n", "CATALOG_COLUMN_MISSING"),
        ("\n", "CATALOG_SHEET_MISSING"),
        ('病种编码,分值\n"A,1\n', "CSV_QUOTES"),
        (f"病种编码,分值\n{group_code(5)},7\n", "ROW_VERSION_MISSING"),
        ("病种编码,诊断名称\nQ1,=1+1\n", "CELL_FORMULA"),
        ("病种编码,诊断名称\nQ1,@SUM(1)\n", "CELL_FORMULA_TEXT"),
        ("病种编码,诊断名称\n1.00E+10,x\n", "CELL_DIGITS_LOST"),
    ):
        assert code in [one for one, _ in faults(await upload(editor, edition, text.encode()))], text
    stale = {"groupCode": again["groupCode"], "score": again["score"], "rowVersion": again["rowVersion"]}
    order = {"edition": edition, "edits": [stale], "reason": "专家论证"}
    refused = await province.act(editor, "groupScoreEdit", order, "factor")
    assert refused["userErrors"] == [{"code": "ROW_VERSION_STALE", "path": again["groupCode"].split(".")}]


def locked_archive() -> bytes:
    """An archive whose entries say they are encrypted."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    raw = bytearray(out.getvalue())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * (200 << 20))
    return out.getvalue()


def many_rows(rows: int) -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"constant_memory": True})
    sheet = book.add_worksheet("病种")
    sheet.write_string(0, 0, "病种编码 dip_code")
    for row in range(1, rows + 1):
        sheet.write_number(row, 0, row)
    book.close()
    return out.getvalue()


async def test_what_may_not_be_opened_is_refused_whole(province: CatalogProvince) -> None:
    edition = await drafted(province, "wb-bomb", "2055-01-01")
    editor = await province.editor()
    for content, status, code in (
        (bomb(), 413, "WORKBOOK_TOO_LARGE"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), 422, "WORKBOOK_PASSWORD"),
        (locked_archive(), 422, "WORKBOOK_PASSWORD"),
        (b"PK\x03\x04broken", 422, "WORKBOOK_UNREADABLE"),
    ):
        for marked in (False, True):
            answer = await upload(editor, edition, content, marked=marked)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            assert answer.json()["error"]["hint"]
    million = await upload(editor, edition, many_rows(1_000_000))
    assert million.status_code == 422
    assert faults(million) == [("CATALOG_ROWS_TOO_MANY", "病种!A100002")]
    assert (await editor.http.get(f"/v1/catalog-editions/{edition}/groups.csv")).content == groups_csv()


async def test_who_may_not(province: CatalogProvince) -> None:
    edition = await drafted(province, "wb-who", "2056-01-01")
    editor = await province.editor()
    book = saved(await downloaded(editor, edition))
    for tenant, role in (
        (province.code, Role.PROVINCE_CATALOG_APPROVER),
        (province.cities[0], Role.CITY_SETTLEMENT_CLERK),
        (province.hospitals[0], Role.HOSPITAL_SUBMITTER),
    ):
        client = await province.world.client(tenant, role)
        assert (await upload(client, edition, book)).json()["error"]["code"] == "FORBIDDEN"
    viewer = await province.world.client(province.hospitals[0], Role.HOSPITAL_VIEWER)
    path = f"/v1/catalog-editions/{edition}/groups.xlsx"
    assert (await viewer.http.get(path)).json()["error"]["code"] == "EDITION_NOT_FOUND"
    stranger = await province.world.client("370000", Role.PROVINCE_CATALOG_EDITOR)
    assert (await stranger.http.get(path)).json()["error"]["code"] == "EDITION_NOT_FOUND"
    assert (await upload(stranger, edition, book)).json()["error"]["code"] == "EDITION_NOT_FOUND"
    answer = await editor.http.put(path, content=book, headers={"idempotency-key": new_key()})
    assert faults(answer) == [("REASON_MISSING", "reason")]
    answer = await editor.http.put(f"{path}?reason=x&total=keep", content=book, headers={"idempotency-key": new_key()})
    assert faults(answer) == [("SCORE_TOTAL_RULE", "total")]
    await province.act(editor, "catalogEditionSubmit", {"edition": edition}, "edition { state }")
    assert (await upload(editor, edition, book)).json()["error"]["code"] == "EDITION_NOT_DRAFT"


CONDITIONS = f"{HEADER},layer,more_dx,secondary_dx,facts"
LAYERED = (
    f"{CONDITIONS}\n"
    "1,NEO,*,新生儿,0,,,,,core,2,300.00,0,priority,,,age_days:0-28;birth_weight_g:-749\n"
    "2,C15.1,C15.1,食管恶性肿瘤,4,,,,,core,2,200.00,0,dx_auxiliary,C15.2,C78/C79,\n"
    "3,K35.3,K35.3,阑尾炎,4,06.3100,甲,,,core,2,70.00,0,,,,\n"
)


async def test_conditions_of_groups_survive_a_workbook(province: CatalogProvince) -> None:
    """A group above the basic layer keeps what it asks for when it is edited, and in a draft filled from another's workbook."""
    edition = await drafted(province, "wb-layers", "2062-01-01", LAYERED.encode())
    editor = await province.editor()
    book = await downloaded(editor, edition)
    said = [cell(book, "NEO", name).value for name in ("dx_granularity", "layer", "more_dx", "secondary_dx", "facts")]
    assert said == ["0", "priority", None, None, "age_days:0-28;birth_weight_g:-749"]
    cell(book, "NEO", "dx_name").value = "极低体重新生儿"
    cell(book, "C15.1", "secondary_dx").value = "C78"
    answer = await upload(editor, edition, saved(book))
    assert answer.status_code == 200, answer.text
    assert (answer.json()["changed"], answer.json()["unchanged"]) == (2, 1)
    path = "/v1/catalog-editions/{}/groups.csv"
    expected = LAYERED.replace("新生儿,0", "极低体重新生儿,0").replace("C78/C79", "C78")
    assert (await editor.http.get(path.format(edition))).text == expected
    other = await drafted(
        province, "wb-layers-copy", "2063-01-01", f"{HEADER}\n1,J18.9,J18.9,肺炎,4,,,,,core,2,9.00,0\n".encode()
    )
    book = await downloaded(editor, edition)
    for row in range(2, 5):
        book["病种"].cell(row, columns(book)["row_version"]).value = None
    cell(book, "NEO", "facts").value = "age_days:28-0"
    wrong = await upload(editor, other, saved(book))
    place = f"病种!{cell(book, 'NEO', 'dip_code').coordinate}"
    assert faults(wrong) == [("group_condition", place)]
    cell(book, "NEO", "facts").value = "age_days:0-28;birth_weight_g:-749"
    answer = await upload(editor, other, saved(book))
    assert (answer.status_code, answer.json()["added"]) == (200, 3), answer.text
    lines = (await editor.http.get(path.format(other))).text.splitlines()
    assert [line.partition(",")[2] for line in lines[2:]] == [
        line.partition(",")[2] for line in expected.splitlines()[1:]
    ]
