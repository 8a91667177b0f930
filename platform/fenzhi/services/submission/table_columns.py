"""Columns of the tables hospitals may send (表格列): one sheet of lists and four of rows that belong to them, by `setl_id`.

A header cell may say the national name, the Chinese name, or both ("结算号 setl_id"). A flat table, such as a CSV file, names a
field of a row by its path: `diseinfo[0].diag_code`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a column holds (列类型)."""

    WORDS = "words"
    """Free text (文字)."""
    CODE = "code"
    """A code or number whose every character counts: never a number cell (编码、号码)."""
    CHOICE = "choice"
    """A code of few digits that never begins with zero: a whole number cell says the same (代码值)."""
    AMOUNT = "amount"
    DAY = "day"
    WHOLE = "whole"


class Column(NamedTuple):
    """One column (列)."""

    name: str
    zh: str
    kind: Kind
    required: bool = False
    example: str = ""
    choices: tuple[str, ...] = ()

    @property
    def header(self) -> str:
        """The header cell of the template (表头)."""
        return f"{self.zh} {self.name}"


_W, _C, _X, _A, _D, _N = Kind.WORDS, Kind.CODE, Kind.CHOICE, Kind.AMOUNT, Kind.DAY, Kind.WHOLE

LISTS = "清单"
STATUS = Column("fenzhi_status", "校验状态", _W)
"""Written by the platform: a row it calls accepted is not submitted again (校验状态列)."""
ACCEPTED_MARK = "已受理"
KEY = Column("setl_id", "结算号", _C, True, "S202501090001")
_SEGMENT = Column("seg_no", "续段序号", _N, example="1")

LIST_COLUMNS: tuple[Column, ...] = (
    KEY,
    Column("version", "版本", _N, example="1"),
    Column("fixmedins_code", "机构编号", _C, True, "H41010001"),
    Column("insutype", "险种类型", _X, True, "310", ("310", "390")),
    Column("insu_admdvs", "参保地区划", _X, example="410100"),
    Column("mdtrt_id", "就诊号", _C, example="M0001"),
    Column("medcasno", "病案号", _C, example="R0001"),
    _SEGMENT,
    Column("psn_no", "人员编号", _C, True, "P0001"),
    Column("psn_name", "姓名", _W, example="示例"),
    Column("certno", "证件号码", _C),
    Column("gend", "性别", _X, True, "1", ("1", "2", "9")),
    Column("brdy", "出生日期", _D, True, "1950-01-01"),
    Column("age", "年龄", _N, example="75"),
    Column("nwb_age", "不足一周岁年龄天数", _N),
    Column("nwb_bir_wt", "新生儿出生体重", _N),
    Column("nwb_adm_wt", "新生儿入院体重", _N),
    Column("adm_time", "入院时间", _D, True, "2025-01-03"),
    Column("dscg_time", "出院时间", _D, True, "2025-01-09"),
    Column("setl_begn_date", "结算开始日期", _D, example="2025-01-03"),
    Column("setl_end_date", "结算结束日期", _D, True, "2025-01-09"),
    Column("dcla_time", "申报时间", _D),
    Column("act_ipt_days", "实际住院天数", _N, example="6"),
    Column("dscg_way", "离院方式", _X, example="1", choices=("1", "2", "3", "4", "5", "9")),
    Column("dscg_caty", "出院科别", _C, example="A03.06"),
    Column("diag_code_cnt", "诊断代码计数", _N),
    Column("oprn_oprt_code_cnt", "手术操作代码计数", _N),
    Column("vent_used_dura", "呼吸机使用时长", _C),
    Column("medfee_sumamt", "医疗总费用", _A, True, "27068.00"),
    Column("acct_pay", "个人账户支付", _A, True, "0.00"),
    Column("psn_cashpay", "个人现金支付", _A, True, "1068.00"),
    Column("psn_selfpay", "个人自付", _A),
    Column("psn_ownpay", "个人自费", _A),
    Column("ccmcc_flag", "并发症标记", _W),
)

_YES_NO = ("1", "0")
ROW_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "diseinfo": (
        Column("diag_code", "诊断编码", _C, True, "I63.900"),
        Column("diag_name", "诊断名称", _W, example="脑梗死"),
        Column("maindiag_flag", "主诊断标志", _X, True, "1", _YES_NO),
        Column("adm_cond_type", "入院病情", _X, example="1", choices=("1", "2", "3", "4")),
        Column("diag_type", "诊断类别", _C),
    ),
    "oprninfo": (
        Column("oprn_oprt_code", "手术操作编码", _C, True, "88.4101"),
        Column("oprn_oprt_name", "手术操作名称", _W, example="脑血管造影"),
        Column("main_oprn_flag", "主手术标志", _X, True, "1", _YES_NO),
        Column("oprn_oprt_begntime", "手术操作开始时间", _D, example="2025-01-04"),
        Column("anst_way", "麻醉方式", _C),
    ),
    "payinfo": (
        Column("fund_pay_type", "基金支付类型", _X, True, "310100"),
        Column("fund_payamt", "基金支付金额", _A, True, "26000.00"),
    ),
    "iteminfo": (
        Column("med_chrgitm", "收费项目类别", _C, True, "14"),
        Column("amt", "金额", _A, True, "27068.00"),
        Column("claa_sumfee", "甲类费用合计", _A),
        Column("clab_amt", "乙类金额", _A),
        Column("fulamt_ownpay_amt", "全自费金额", _A),
        Column("oth_amt", "其他金额", _A),
    ),
    "icuinfo": (Column("scs_cutd_sum_dura", "重症监护合计时长", _C, example="1/13/24"),),
}
SHEETS: Mapping[str, str] = {
    "诊断": "diseinfo",
    "手术操作": "oprninfo",
    "支付": "payinfo",
    "费用": "iteminfo",
    "重症监护": "icuinfo",
}
"""Sheet of rows → node of the list (多行表与节点)."""
RESULTS = "校验结果"
GUIDE = "填写说明"
OTHER_SHEETS = frozenset({RESULTS, GUIDE})
"""Sheets that are the platform's own and not read (平台自带、不读取的表)."""

_PATH = re.compile(r"(diseinfo|oprninfo|payinfo|iteminfo|icuinfo)\[(\d{1,3})\]\.(\w+)", re.ASCII)
_LAST_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_\[\].]*)\s*[)）]?\s*$", re.ASCII)


def column_named(header: str, columns: tuple[Column, ...]) -> Column | None:
    """The column a header cell means (表头对应的列), or None for a stranger."""
    said = header.strip().lstrip("*").strip()
    found = _LAST_NAME.search(said)
    name = found[1] if found else ""
    for column in columns:
        if column.name == name or column.zh == said:
            return column
    path = _PATH.fullmatch(name)
    if path is None or columns is not LIST_TABLE:
        return None
    inner = next((column for column in ROW_COLUMNS[path[1]] if column.name == path[3]), None)
    return inner._replace(name=name) if inner is not None else None


LIST_TABLE: tuple[Column, ...] = (*LIST_COLUMNS, STATUS)
"""Columns of the sheet of lists, the platform's own among them."""


def split_path(path: str) -> tuple[str, int, str] | None:
    """Node, place and field of the path of a field in a row (多行字段路径), or None for any other path."""
    found = _PATH.fullmatch(path)
    return (found[1], int(found[2]), found[3]) if found else None


def letters(column: int) -> str:
    """The letters of a column counted from 0 (列号字母).

    >>> letters(0), letters(25), letters(26)
    ('A', 'Z', 'AA')
    """
    said = ""
    number = column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        said = chr(65 + rest) + said
    return said
