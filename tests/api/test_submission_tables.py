"""Workbooks and CSV files by the upload path, and a coder's round: faulty up, annotated down, fixed, up again, passed."""

from __future__ import annotations

import io
from typing import Any

import openpyxl
import pytest_asyncio
from openpyxl.workbook import Workbook

from builders.submission_place import Place, ndjson, open_place
from builders.world import Client, World
from fenzhi.access.roles import Role
from fenzhi.services.submission.template_workbook import template_workbook

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
RED, YELLOW = "FFFFC7CE", "FFFFEB9C"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(world: World) -> Place:
    return await open_place(world, "57")


def opened(content: bytes) -> Workbook:
    return openpyxl.load_workbook(io.BytesIO(content))


def saved(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def cell(book: Workbook, sheet: str, name: str, row: int) -> Any:
    column = next(one.column for one in book[sheet][1] if str(one.value).endswith(f" {name}"))
    return book[sheet].cell(row, column)


def filled(place: Place, *setl_ids: str) -> Workbook:
    """The template with sound lists of the first hospital."""
    book = opened(template_workbook())
    nodes = {"诊断": "diseinfo", "手术操作": "oprninfo", "支付": "payinfo", "费用": "iteminfo"}
    at = dict.fromkeys(nodes, 2)
    for row, setl_id in enumerate(setl_ids, start=2):
        given = place.listed(setl_id)
        for column in range(1, book["清单"].max_column + 1):
            name = str(book["清单"].cell(1, column).value).split(" ")[-1]
            value = given.get(name)
            book["清单"].cell(row, column).value = None if value is None else str(value)
        for sheet, node in nodes.items():
            for entry in given[node]:
                for column in range(1, book[sheet].max_column + 1):
                    name = str(book[sheet].cell(1, column).value).split(" ")[-1]
                    book[sheet].cell(at[sheet], column).value = {"setl_id": setl_id, **entry}.get(name)
                at[sheet] += 1
    return book


async def sent(place: Place, content: bytes, media_type: str = XLSX, **changes: Any) -> tuple[Client, dict[str, Any]]:
    client = await place.submitter()
    batch = await place.create(client, **changes)
    put = await client.http.put(batch["uploadPath"] + "1", content=content, headers={"content-type": media_type})
    assert put.status_code == 201, put.text
    assert (await place.seal(client, batch["id"]))["userErrors"] == []
    await place.world.work_off()
    return client, (await place.look(client, batch["id"])) | {"id": batch["id"], "put": put.json()}


def findings(batch: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(one["row"], one["code"], one["path"]) for one in batch["verdicts"]["nodes"] if one["code"] != "LATE_LIST"]


async def test_a_coders_round(place: Place) -> None:
    book = filled(place, "W1", "W2", "W3")
    cell(book, "清单", "psn_cashpay", 3).value = "5400.00"
    cell(book, "诊断", "diag_code", 4).value = "I63.9"
    first = saved(book)
    client, batch = await sent(place, first)
    assert (batch["put"]["format"], batch["put"]["charset"]) == ("xlsx", "")
    assert (batch["counts"]["rows"], batch["counts"]["accepted"], batch["counts"]["refused"]) == (3, 1, 2)
    assert findings(batch) == [
        (3, "PAYERS_NOT_TOTAL", "medfee_sumamt"),
        (4, "UNKNOWN_PRINCIPAL_DIAGNOSIS", "diseinfo[0].diag_code"),
    ]

    down = await client.http.get(f"/v1/batches/{batch['id']}/annotated.xlsx")
    assert (down.status_code, down.headers["content-type"]) == (200, XLSX)
    marked = opened(down.content)
    assert marked.sheetnames == [*opened(first).sheetnames, "校验结果"]
    total, code = cell(marked, "清单", "medfee_sumamt", 3), cell(marked, "诊断", "diag_code", 4)
    for red, name, said in (
        (total, "PAYERS_NOT_TOTAL", "26968.00"),
        (code, "UNKNOWN_PRINCIPAL_DIAGNOSIS", "I63.9"),
    ):
        assert (red.fill.fill_type, red.fill.fgColor.rgb) == ("solid", RED)
        assert red.comment.author == "分值 Fenzhi"
        assert f"{name}]" in red.comment.text
        assert said in red.comment.text
        assert "\n→ " in red.comment.text
    late = cell(marked, "清单", "dscg_time", 2)
    assert (late.fill.fgColor.rgb, "LATE_LIST]" in late.comment.text) == (YELLOW, True)
    untouched = cell(marked, "清单", "psn_name", 3)
    assert (untouched.value, untouched.fill.fill_type, untouched.comment) == ("合成患者姓名", None, None)
    assert [cell(marked, "清单", "fenzhi_status", row).value for row in (2, 3, 4)] == [
        "已受理 accepted",
        "不受理 refused：PAYERS_NOT_TOTAL",
        "不受理 refused：UNKNOWN_PRINCIPAL_DIAGNOSIS",
    ]
    results = [[one.value for one in row] for row in marked["校验结果"].iter_rows(min_row=2)]
    assert [row[:4] + row[6:7] for row in results if row[4].endswith("error")] == [
        ["3", "W2", "Q08", "PAYERS_NOT_TOTAL", f"清单!{total.coordinate}"],
        ["4", "W3", "Q03", "UNKNOWN_PRINCIPAL_DIAGNOSIS", f"诊断!{code.coordinate}"],
    ]

    cell(marked, "清单", "psn_cashpay", 3).value = "5500.00"
    code.value = "I63.900"
    client, again = await sent(place, saved(marked))
    assert (again["counts"]["rows"], again["counts"]["accepted"], again["counts"]["refused"]) == (2, 2, 0)
    assert findings(again) == []
    for setl_id in ("W1", "W2", "W3"):
        (case,) = await place.cases(client, setlId=setl_id)
        assert (case["totalFen"], case["cashFen"], case["diagnoses"]) == ("2706800", "550000", ["I63.900"])
    last = opened((await client.http.get(f"/v1/batches/{again['id']}/annotated.xlsx")).content)
    assert (cell(last, "清单", "medfee_sumamt", 3).fill.fill_type, cell(last, "诊断", "diag_code", 4).comment) == (
        None,
        None,
    )
    assert [cell(last, "清单", "fenzhi_status", row).value for row in (2, 3, 4)] == ["已受理 accepted"] * 3


async def test_an_atomic_workbook_with_a_fault_counts_for_nothing_and_may_be_sent_whole_again(place: Place) -> None:
    book = filled(place, "X1", "X2")
    cell(book, "费用", "med_chrgitm", 3).value = 9
    client, batch = await sent(place, saved(book), mode="ATOMIC")
    assert (batch["state"], batch["counts"]["accepted"], batch["counts"]["refused"]) == ("REFUSED", 0, 2)
    assert findings(batch) == [(3, "CELL_NUMBER_NOT_TEXT", "iteminfo[0].med_chrgitm")]
    marked = opened((await client.http.get(f"/v1/batches/{batch['id']}/annotated.xlsx")).content)
    red = cell(marked, "费用", "med_chrgitm", 3)
    assert (red.fill.fgColor.rgb, f"费用!{red.coordinate}" in red.comment.text) == (RED, True)
    red.value = "09"
    _, again = await sent(place, saved(marked), mode="ATOMIC")
    assert (again["state"], again["counts"]["accepted"]) == ("JUDGED", 2)


async def test_a_csv_file_in_gb18030_comes_back_as_a_workbook(place: Place) -> None:
    given = place.listed("G1", psn_name="=张，三", dscg_time="2025-01-01")
    flat = {name: value for name, value in given.items() if not isinstance(value, list)}
    for node in ("diseinfo", "oprninfo", "payinfo", "iteminfo"):
        for number, entry in enumerate(given[node]):
            flat |= {f"{node}[{number}].{name}": value for name, value in entry.items()}
    flat["psn_name"] = "张，三"
    lines = [",".join(flat), ",".join(f'"{value}"' for value in flat.values())]
    client, batch = await sent(place, "\r\n".join(lines).encode("gb18030"), "text/csv")
    assert (batch["put"]["format"], batch["put"]["charset"]) == ("csv", "GB18030")
    assert (2, "ADMISSION_AFTER_DISCHARGE", "adm_time") in findings(batch)
    marked = opened((await client.http.get(f"/v1/batches/{batch['id']}/annotated.xlsx")).content)
    names = [one.value for one in marked["清单"][1]]
    red = marked["清单"].cell(2, names.index("adm_time") + 1)
    assert (red.value, red.fill.fgColor.rgb, red.number_format) == ("2025-01-03", RED, "@")
    assert marked["清单"].cell(2, names.index("psn_name") + 1).value == "张，三"


async def test_who_may_have_the_annotated_file_and_when(place: Place) -> None:
    client, batch = await sent(place, saved(filled(place, "V1")))
    path = f"/v1/batches/{batch['id']}/annotated.xlsx"
    for tenant, role, status, code in (
        (place.hospital, Role.HOSPITAL_VIEWER, 403, "FORBIDDEN"),
        (place.county_hospital, Role.HOSPITAL_SUBMITTER, 404, "NOT_FOUND"),
        (place.city, Role.CITY_SETTLEMENT_CLERK, 403, "FORBIDDEN"),
        (place.province, Role.PROVINCE_ANALYST, 403, "FORBIDDEN"),
    ):
        answer = await (await place.client(tenant, role)).http.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), role
    assert (await client.http.get(path + "?part=2")).json()["error"]["code"] == "NOT_FOUND"
    lines = await place.submit([place.listed("V2")])
    refused = await client.http.get(f"/v1/batches/{lines['id']}/annotated.xlsx")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "PART_IS_NO_TABLE")
    waiting = await place.create(client)
    refused = await client.http.get(f"/v1/batches/{waiting['id']}/annotated.xlsx")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "BATCH_NOT_JUDGED")


async def test_a_table_that_as_such_is_wrong_is_refused_at_the_upload_with_all_faults(place: Place) -> None:
    client = await place.submitter()
    batch = await place.create(client)
    book = filled(place, "T1")
    book["清单"].cell(1, 45).value = "备注"
    book["支付"].cell(9, 1).value = "T2"
    path, headers = batch["uploadPath"] + "1", {"content-type": XLSX}
    answer = await client.http.put(path, content=saved(book), headers=headers)
    assert answer.status_code == 422, answer.text
    assert "TABLE_STRANGE_COLUMN" in answer.text
    assert "清单!AS1" in answer.text
    assert "TABLE_ROW_WITHOUT_LIST" in answer.text
    assert "支付!A9" in answer.text
    for content, status, code in (
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), 422, "WORKBOOK_PASSWORD"),
        (template_workbook()[:-200], 422, "WORKBOOK_UNREADABLE"),
        (ndjson([place.listed("T3")]), 422, "WORKBOOK_UNREADABLE"),
    ):
        answer = await client.http.put(path, content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert (await client.http.head(path)).status_code == 404
    answer = await client.http.put(path, content=b"a,b\n1,2\n", headers={"content-type": "text/csv"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "CONTENT_TYPE_DIFFERS")


async def test_the_template_is_there_for_whoever_is_signed_in(place: Place) -> None:
    viewer = await place.client(place.hospital, Role.HOSPITAL_VIEWER)
    answer = await viewer.http.get("/v1/templates/settlement-lists.xlsx")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, XLSX, template_workbook())
    anonymous = await viewer.http.get("/v1/templates/settlement-lists.xlsx", headers={"authorization": ""})
    assert anonymous.status_code == 401
