"""The groups of an edition as a workbook (目录工作簿下载): what comes down is the template of what goes up."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.catalog.catalog_text import cells_of
from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.row_version import row_version
from fenzhi.services.acts import Platform, looking
from fenzhi.services.catalog.book import edition_not_found, edition_row, group_of
from fenzhi.services.catalog.lookups import sees_edition
from fenzhi.services.catalog.workbook_columns import CASES, COLUMNS, DELETE, GUIDE, LOCAL, SHEET, VERSION
from fenzhi.store.repositories import catalog

_SPARE_ROWS = 500
"""Rows below the groups with drop-downs, for new ones (供新增的行)."""
_EPOCH = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
_GUIDE: tuple[tuple[str, str], ...] = (
    (
        f"“{SHEET}”表一行一个病种。改动任意单元格后整表传回；未改动的行不受影响，表中没有的病种保持不变。",
        "One row a group. Change any cell and send the workbook back; rows left as they are and groups not in the sheet stay.",
    ),
    (
        "行版本由平台写入，请勿改动：该病种在下载之后被他人改过时，整份上传不予受理。",
        "Leave row_version as it is: when somebody changed the group after the download, the whole upload is refused.",
    ),
    ("新增病种：另起一行，行版本留空。", "A new group: a row of its own with a blank row_version."),
    (f"删除病种：处理列选“{DELETE}”。", f"To remove a group choose {DELETE} in the column action."),
    (
        "所有单元格为文本；编码请勿以数字录入，否则前导零、末位零和 1E10 一类编码会被改写。",
        "All cells are text: a code typed as a number loses zeros, and one like 1E10 is rewritten.",
    ),
    (
        "手术操作：/ 表示任一，+ 表示并且，例如 47.0100/47.0900+54.2100。",
        "Procedures: / is any of, + is and, such as 47.0100/47.0900+54.2100.",
    ),
    (
        "分组层级和三列条件只用于先期分组、并项和诊断辅助细分病种；诊断用 / 与 +，取值段如 age_days:0-28;birth_weight_g:-749。",
        "Layer and the three columns of conditions are for groups above the basic layer: diagnoses with / and +, bands such as age_days:0-28.",
    ),
    (
        "分值为普通小数，小数位不超过目录声明的位数；调整后总分值按所选方式保持。",
        "Scores are plain decimals within the declared places; the total of score × cases is kept as chosen.",
    ),
    (
        "不接受公式、合并单元格、隐藏的行、宏和打开密码；以 = + - @ 开头的文字同样不接受。",
        "No formulas, merged cells, hidden rows, macros or passwords, nor text that begins with = + - @.",
    ),
    (
        "不予受理时返回本工作簿的批注件：红格为差错，批注写明规则与处理办法；更正后整表传回。",
        "A refused upload comes back as this workbook with red cells and comments: correct it and send it again.",
    ),
    ("上年例数仅供参考，上传时不读取。", "The column cases is for reading; an upload does not take it."),
)


async def download_workbook(platform: Platform, subject: Subject, edition_id: uuid.UUID) -> tuple[str, bytes]:
    """The code of an edition and its groups as a workbook (下载目录工作簿). Raises: Forbidden, NotFound."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await edition_row(uow, edition_id)
        if not sees_edition(subject, row.state):
            raise edition_not_found()
        stored = await catalog.groups(uow, edition_id)
    groups = [group_of(one) for one in stored]
    cases = {one.group_code: one.cases for one in stored}
    return row.code, await asyncio.to_thread(groups_workbook, groups, cases)


def groups_workbook(groups: Sequence[DiseaseGroup], cases: Mapping[str, int | None]) -> bytes:
    """Groups as a workbook of text cells with drop-downs and a guide (目录工作簿). The same groups give the same bytes."""
    out = BytesIO()
    book = xlsxwriter.Workbook(
        out,
        {"in_memory": True, "strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False},
    )
    book.set_properties({"title": "病种目录", "author": "分值 Fenzhi", "created": _EPOCH})
    styles = {
        "header": book.add_format({"bold": True, "num_format": "@", "bg_color": "#DDEBF7", "border": 1}),
        "must": book.add_format({"bold": True, "num_format": "@", "bg_color": "#FCE4D6", "border": 1}),
        "still": book.add_format({"bold": True, "num_format": "@", "bg_color": "#E7E6E6", "border": 1}),
        "text": book.add_format({"num_format": "@"}),
        "quiet": book.add_format({"num_format": "@", "font_color": "#7F7F7F"}),
    }
    sheet = book.add_worksheet(SHEET)
    sheet.freeze_panes(1, 3)
    quiet = {VERSION.name, CASES.name}
    for at, column in enumerate(COLUMNS):
        style = "quiet" if column.name in quiet else "text"
        sheet.set_column(at, at, max(10, 2 * len(column.zh) + 4), styles[style])
        named = "still" if column.name in quiet else "must" if column.required else "header"
        sheet.write_string(0, at, f"*{column.header}" if column.required else column.header, styles[named])
        if column.choices:
            sheet.data_validation(1, at, len(groups) + _SPARE_ROWS, at, _drop_down(column.choices))
    for number, group in enumerate(groups, start=1):
        said = group_cells(group)
        known = cases.get(group.group_code)
        said[CASES.name] = "" if known is None else str(known)
        for at, column in enumerate(COLUMNS):
            text = said.get(column.name, "")
            if text:
                sheet.write_string(number, at, text, styles["quiet" if column.name in quiet else "text"])
    sheet.autofilter(0, 0, max(len(groups), 1), len(COLUMNS) - 1)
    guide = book.add_worksheet(GUIDE)
    guide.set_column(0, 1, 80, book.add_format({"text_wrap": True, "valign": "top"}))
    for number, (zh, en) in enumerate(_GUIDE):
        guide.write_string(number, 0, zh)
        guide.write_string(number, 1, en)
    book.close()
    return out.getvalue()


def group_cells(group: DiseaseGroup) -> dict[str, str]:
    """A group as the cells of its row (病种行), its version among them."""
    return cells_of(group) | {VERSION.name: row_version(group), LOCAL.name: "1" if group.local_addition else "0"}


def _drop_down(choices: tuple[str, ...]) -> dict[str, Any]:
    return {
        "validate": "list",
        "source": list(choices),
        "error_title": "取值不在范围内",
        "error_message": "请从下拉列表中选择。",
    }
