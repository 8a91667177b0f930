"""Columns of a catalog's workbook (目录工作簿列): the same for download and upload, in xlsx and in CSV."""

from __future__ import annotations

from fenzhi.rules.catalog.group_conditions import FACTS_COLUMN, LAYER_COLUMN, MORE_COLUMN, SECONDARY_COLUMN, GroupLayer
from fenzhi.services.submission.table_columns import Column, Kind

SHEET = "病种"
GUIDE = "填写说明"
RESULTS = "校验结果"
ROWS_MOST = 100_000
"""Groups of one workbook (一份工作簿的病种上限)."""

INFLATED_MOST = 96 << 20
"""Bytes of a workbook of so many groups, unfolded (解压后字节上限)."""

DELETE = "删除"
ACTIONS = ("保留", DELETE)

VERSION = Column("row_version", "行版本", Kind.CODE)
ACTION = Column("action", "处理", Kind.WORDS, choices=ACTIONS)
CODE = Column("dip_code", "病种编码", Kind.CODE, True)
LOCAL = Column("local", "地方新增", Kind.CHOICE, choices=("0", "1"))
CASES = Column("cases", "上年例数", Kind.WHOLE)

GROUP_COLUMNS: tuple[Column, ...] = (
    CODE,
    Column("dx_code", "诊断代码", Kind.CODE, True),
    Column("dx_name", "诊断名称", Kind.WORDS),
    Column("dx_granularity", "诊断粒度", Kind.CHOICE, True, choices=("0", "3", "4", "6")),
    Column("main_ops", "主要手术操作", Kind.CODE),
    Column("main_op_names", "主要手术操作名称", Kind.WORDS),
    Column("other_ops", "相关手术操作", Kind.CODE),
    Column("other_op_names", "相关手术操作名称", Kind.WORDS),
    Column("kind", "病种类型", Kind.CODE, True, choices=("core", "comprehensive")),
    Column(
        "procedure_class",
        "诊疗方式",
        Kind.CODE,
        choices=("conservative", "diagnostic", "therapeutic", "surgical"),
    ),
    Column("level", "目录层级", Kind.CHOICE, True),
    Column("score", "分值", Kind.AMOUNT, True),
    Column("grassroots", "基层病种", Kind.CHOICE, True, choices=("0", "1")),
    Column("seq", "序号", Kind.CODE),
    Column(LAYER_COLUMN, "分组层级", Kind.CODE, choices=tuple(one.value for one in GroupLayer)),
    Column(MORE_COLUMN, "其他主要诊断", Kind.CODE),
    Column(SECONDARY_COLUMN, "次要诊断条件", Kind.CODE),
    Column(FACTS_COLUMN, "取值段条件", Kind.CODE),
)
"""What a group says (病种各列), in the names of the catalog file."""

COLUMNS: tuple[Column, ...] = (VERSION, ACTION, *GROUP_COLUMNS, LOCAL, CASES)
"""Every column in the order of the template (模板列). `cases` is for reading: an upload does not take it."""
