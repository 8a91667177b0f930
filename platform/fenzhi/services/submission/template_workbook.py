"""The template hospitals fill in (结算清单模板): text cells, drop-downs, a guide in Chinese and English, one example."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from io import BytesIO
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]

from fenzhi.services.submission.table_columns import (
    GUIDE,
    KEY,
    LIST_COLUMNS,
    LISTS,
    ROW_COLUMNS,
    SHEETS,
    Column,
)

_EPOCH = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
ROWS = 5_000
"""Rows for which drop-downs are laid out (设有下拉列表的行数)."""
_GUIDE: tuple[tuple[str, str], ...] = (
    (
        f"“{LISTS}”表一行一份清单；其余各表一行一条，以结算号（setl_id）对应。",
        "One row a list; rows of the other sheets belong to a list by setl_id.",
    ),
    (
        "表头不可改动；带 * 的列必填。第 2 行为示例，上报前请替换；多行表中未改动的示例行不读取。",
        "Leave the headers as they are; columns with * are required. Row 2 is an example: replace it; left untouched on a sheet of rows it is not read.",
    ),
    (
        "所有单元格为文本格式；编码、证件号请勿以数字录入，否则前导零和末位会丢失。",
        "All cells are text; a code typed as a number loses its zeros and its last digits.",
    ),
    ("日期写作 2025-01-09，时间写作 2025-01-09 08:30:00。", "Dates read 2025-01-09, times 2025-01-09 08:30:00."),
    ("金额以元为单位，至多两位小数，不用千分位。", "Amounts are yuan with at most two decimals, without separators."),
    (
        "不支持公式、合并单元格、隐藏的工作表、宏和打开密码。",
        "No formulas, merged cells, hidden sheets, macros or passwords.",
    ),
    (
        "校验后可下载“带批注的原表”：红格为不通过，黄格为提示；更正后整表传回，已受理的行不会重复上报。",
        "After judging, download this workbook with its findings: red is refused, yellow warns. Correct it and send it back; rows accepted before are not submitted again.",
    ),
    (
        "更正已受理的清单：清空该行“校验状态”，并提高版本号。",
        "To correct an accepted list, clear its status cell and raise its version.",
    ),
)


_HEADER = {"bold": True, "num_format": "@", "border": 1, "text_wrap": True, "valign": "vcenter"}


@lru_cache(maxsize=1)
def template_workbook() -> bytes:
    """The template (模板工作簿), the same bytes every time."""
    out = BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_numbers": False})
    # The file says nothing of the day it was made: the same template has the same bytes.
    book.set_properties({"title": "医保基金结算清单上报模板", "author": "分值 Fenzhi", "created": _EPOCH})
    styles = {
        "header": book.add_format(_HEADER | {"bg_color": "#DDEBF7"}),
        "must": book.add_format(_HEADER | {"bg_color": "#FCE4D6"}),
        "text": book.add_format({"num_format": "@"}),
    }
    _sheet(book, styles, LISTS, LIST_COLUMNS)
    for name, node in SHEETS.items():
        _sheet(book, styles, name, (KEY, *ROW_COLUMNS[node]))
    guide = book.add_worksheet(GUIDE)
    guide.set_column(0, 1, 80, book.add_format({"text_wrap": True, "valign": "top"}))
    for row, (zh, en) in enumerate(_GUIDE):
        guide.write_string(row, 0, zh)
        guide.write_string(row, 1, en)
    book.close()
    return out.getvalue()


def _sheet(book: Any, styles: dict[str, Any], name: str, columns: tuple[Column, ...]) -> None:
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 1)
    sheet.set_row(0, 32)
    for at, column in enumerate(columns):
        sheet.set_column(at, at, max(12, 2 * len(column.zh) + 4, len(column.name) + 4), styles["text"])
        header = f"*{column.header}" if column.required else column.header
        sheet.write_string(0, at, header, styles["must" if column.required else "header"])
        if column.example:
            sheet.write_string(1, at, column.example, styles["text"])
        if column.choices:
            sheet.data_validation(
                1,
                at,
                ROWS,
                at,
                {
                    "validate": "list",
                    "source": list(column.choices),
                    "error_title": "取值不在范围内",
                    "error_message": "请从下拉列表中选择。",
                },
            )
