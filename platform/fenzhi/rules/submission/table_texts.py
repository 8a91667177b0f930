"""The words for faults of a table (表格类结论): what is wrong with a cell before it is a field of a list.

A cell of a workbook can lose what was typed into it. The platform never mends a cell by guessing: it names the cell, says
what happened to it and what to do.
"""

from __future__ import annotations

from fenzhi.rules.submission.verdict import Dimension, Severity, VerdictText

RULE = "Q00"
"""Rule code of every fault of form (格式校验)."""


def _error(code: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> VerdictText:
    return VerdictText(code, RULE, Dimension.ACCURATE, Severity.ERROR, zh, en, remedy_zh, remedy_en)


def _warning(code: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> VerdictText:
    return VerdictText(code, RULE, Dimension.ACCURATE, Severity.WARNING, zh, en, remedy_zh, remedy_en)


TABLE_TEXTS: tuple[VerdictText, ...] = (
    _error(
        "CELL_FORMULA",
        "单元格 {cell} 是公式，不是值。",
        "Cell {cell} holds a formula, not a value.",
        "复制后“选择性粘贴→数值”，再上报。",
        "Copy it and paste its value, then submit.",
    ),
    _error(
        "CELL_ERROR_VALUE",
        "单元格 {cell} 是错误值 {saw}。",
        "Cell {cell} holds the error {saw}.",
        "填写实际值；没有值时留空。",
        "Enter the value, or leave the cell blank where there is none.",
    ),
    _error(
        "CELL_DIGITS_LOST",
        "单元格 {cell} 的值“{saw}”已变成科学计数或超过 15 位，末位数字已经丢失。",
        "Cell {cell} reads '{saw}': written with an exponent or beyond 15 digits, its last digits are lost.",
        "把该列设为“文本”，从业务系统重新导出；丢失的数字不能在表中恢复。",
        "Make the column text and export again from the source system; lost digits cannot be restored in the sheet.",
    ),
    _error(
        "CELL_NUMBER_NOT_TEXT",
        "单元格 {cell} 是数字 {saw}，该列是编码：前导零或末尾零可能已丢失。",
        "Cell {cell} is the number {saw}, but the column holds codes: leading or trailing zeros may be lost.",
        "把该列设为“文本”后重新填写完整编码。",
        "Make the column text and enter the whole code again.",
    ),
    _error(
        "CELL_AMOUNT_NOT_EXACT",
        "单元格 {cell} 的金额 {saw} 不是至多两位小数的元。",
        "The amount {saw} in cell {cell} is not yuan with at most two decimals.",
        "按分取整后填写，例如 27068.00。",
        "Round it to the fen, such as 27068.00.",
    ),
    _error(
        "CELL_FULL_WIDTH",
        "单元格 {cell} 含有全角字母或数字：{saw}。",
        "Cell {cell} holds full-width letters or digits: {saw}.",
        "改用半角字符重新填写。",
        "Enter it again in half-width characters.",
    ),
    _error(
        "CELL_MERGED",
        "单元格 {cell} 在合并区域 {area} 内，各行的值不能确定。",
        "Cell {cell} lies in the merged area {area}: which row has which value cannot be told.",
        "取消合并，逐行填写。",
        "Unmerge the cells and fill in every row.",
    ),
    _error(
        "CELL_DATE_1904",
        "单元格 {cell} 是 1904 日期系统的日期，与通行的日期系统相差 1462 天，不能采信。",
        "Cell {cell} is a date of the 1904 system, 1,462 days off the usual one; it is not taken.",
        "把日期列设为“文本”，写作 2025-01-09；或在选项中关闭“使用 1904 日期系统”后核对。",
        "Make the column text and write 2025-01-09, or switch the 1904 date system off and check every date.",
    ),
    _error(
        "CELL_NOT_A_DATE",
        "单元格 {cell} 的数字 {saw} 不是日期。",
        "The number {saw} in cell {cell} is no date.",
        "写作 2025-01-09；时间字段也可写 2025-01-09 08:30:00。",
        "Write 2025-01-09; time fields may also read 2025-01-09 08:30:00.",
    ),
    _warning(
        "CELL_SPACES",
        "单元格 {cell} 的值前后有空格，已去除。",
        "The value of cell {cell} had spaces around it; they were dropped.",
        "导出时去除首尾空格。",
        "Drop them when exporting.",
    ),
    _warning(
        "CELL_HIDDEN",
        "第 {row} 行在“{sheet}”表中被隐藏，仍按一份清单读取。",
        "Row {row} of sheet '{sheet}' is hidden; it was read as any other.",
        "不上报的行请删除，不要隐藏；筛选后请取消隐藏再保存。",
        "Delete a row that is not to be submitted; unhide rows after filtering.",
    ),
)
