"""The words for faults of form (格式类结论): what a reader meets before any rule can be asked."""

from __future__ import annotations

from fenzhi.rules.submission.verdict import Dimension, Severity, VerdictText

RULE = "Q00"
"""Rule code of every fault of form (格式校验)."""


def _error(code: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> VerdictText:
    return VerdictText(code, RULE, Dimension.ACCURATE, Severity.ERROR, zh, en, remedy_zh, remedy_en)


def _warning(code: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> VerdictText:
    return VerdictText(code, RULE, Dimension.ACCURATE, Severity.WARNING, zh, en, remedy_zh, remedy_en)


FORMAT_TEXTS: tuple[VerdictText, ...] = (
    _error(
        "ENCODING_NOT_UTF8",
        "第 {offset} 字节不是 UTF-8 编码（疑为 {guess}）。",
        "Byte {offset} is not UTF-8 (it looks like {guess}).",
        "请以 UTF-8（无 BOM）重新导出后上传。",
        "Export the file again as UTF-8 without a byte order mark.",
    ),
    _warning(
        "BYTE_ORDER_MARK",
        "文件开头有 UTF-8 BOM（3 字节），已忽略。",
        "The part begins with a UTF-8 byte order mark (3 bytes); it was skipped.",
        "导出时请选择“UTF-8（无 BOM）”。",
        "Choose UTF-8 without a byte order mark when exporting.",
    ),
    _error(
        "LINE_TOO_LONG",
        "本行 {length} 字节，超过上限 {limit} 字节。",
        "The line has {length} bytes; at most {limit} are read.",
        "一行只写一份清单；检查换行符是否丢失。",
        "Write one list per line; check that the line breaks were not lost.",
    ),
    _error(
        "TRUNCATED_LINE",
        "最后一行在第 {column} 字节处中断，内容不完整。",
        "The last line breaks off at byte {column}: it is incomplete.",
        "上传可能中断，请重新上传本分片。",
        "The upload was probably cut; send this part again.",
    ),
    _error(
        "NOT_JSON",
        "本行第 {column} 个字符处不是合法的 JSON。",
        "The line is not JSON at character {column}.",
        "每行应为一个完整的 JSON 对象；请检查引号、逗号和换行。",
        "Each line must be one whole JSON object; check quotes, commas and line breaks.",
    ),
    _error(
        "NOT_AN_OBJECT",
        "本行不是 JSON 对象，而是{kind}。",
        "The line is not a JSON object but {kind_en}.",
        "每行以 { 开头、以 } 结尾，写一份清单。",
        "Each line begins with { and ends with } and holds one list.",
    ),
    _error(
        "NESTING_TOO_DEEP",
        "JSON 嵌套超过 {limit} 层。",
        "The JSON is nested deeper than {limit} levels.",
        "清单最多两层；请检查导出程序。",
        "A list has two levels; check the exporting program.",
    ),
    _error(
        "DUPLICATE_KEY",
        "字段 {field} 在同一对象中出现 {times} 次。",
        "The field {field} occurs {times} times in one object.",
        "每个字段只写一次；不知以哪一个为准时平台不作取舍。",
        "State each field once; the platform does not choose between two values.",
    ),
    _error(
        "NUL_CHARACTER",
        "文本含有 NUL 字符（U+0000）。",
        "The text holds a NUL character (U+0000).",
        "请去除不可见字符后重新上报。",
        "Remove invisible characters and submit again.",
    ),
    _error(
        "LONE_SURROGATE",
        "文本含有不成对的代理字符（{escape}）。",
        "The text holds an unpaired surrogate ({escape}).",
        "生僻字请以完整的 UTF-8 字符上报。",
        "Write rare characters as whole UTF-8 characters.",
    ),
    _error(
        "NUMBER_NOT_FINITE",
        "{field} 的值 {saw} 不是 JSON 允许的数。",
        "The value {saw} of {field} is not a number JSON knows.",
        "没有值的字段请省略或写 null。",
        "Leave the field out, or write null, when there is no value.",
    ),
    _error(
        "AMOUNT_NOT_TEXT",
        "金额 {field} 写成了数字 {saw}；金额必须是字符串。",
        "The amount {field} is the number {saw}; amounts must be text.",
        '请写成带引号的十进制文本，例如 "27068.00"。',
        'Write it as quoted decimal text, such as "27068.00".',
    ),
    _error(
        "AMOUNT_MALFORMED",
        "金额 {field} 的值“{saw}”不是至多两位小数的元。",
        "The amount {field} reads '{saw}', which is not yuan with at most two decimals.",
        "只用半角数字、一个小数点和至多两位小数，不用千分位和科学计数。",
        "Use plain digits, one point and at most two decimals; no separators, no exponent.",
    ),
    _error(
        "DATE_MALFORMED",
        "日期 {field} 的值“{saw}”无法识别。",
        "The date {field} reads '{saw}', which is no date.",
        "写作 2025-01-09；时间字段也可写 2025-01-09 08:30:00。",
        "Write 2025-01-09; time fields may also read 2025-01-09 08:30:00.",
    ),
    _error(
        "WRONG_TYPE",
        "{field} 应为{expected}，实为{found}。",
        "{field} must be {expected_en}, but is {found_en}.",
        "请按清单接口的字段类型上报。",
        "Submit the field with the type the interface gives it.",
    ),
    _error(
        "TEXT_TOO_LONG",
        "{field} 有 {length} 个字符，超过上限 {limit}。",
        "{field} has {length} characters; at most {limit} are allowed.",
        "请按接口规定的长度上报。",
        "Keep to the length the interface gives the field.",
    ),
    _error(
        "NUMBER_OUT_OF_RANGE",
        "{field} 的值 {saw} 不在 {low} 到 {high} 之间。",
        "The value {saw} of {field} does not lie between {low} and {high}.",
        "请核对后更正。",
        "Check the value and correct it.",
    ),
    _error(
        "FLAG_UNKNOWN",
        "{field} 的值“{saw}”不是约定的标志值（{allowed}）。",
        "The value '{saw}' of {field} is none of the agreed flags ({allowed}).",
        "请按接口的标志值上报。",
        "Use the flags of the interface.",
    ),
    _error(
        "TOO_MANY_ENTRIES",
        "{field} 有 {length} 行，超过上限 {limit} 行。",
        "{field} has {length} entries; at most {limit} are allowed.",
        "请核对是否重复导出。",
        "Check whether entries were exported twice.",
    ),
    _warning(
        "UNKNOWN_FIELD",
        "字段 {field} 不在清单接口中，未参与校验与结算。",
        "The field {field} is not part of the interface; it was neither checked nor used.",
        "如系笔误请更正字段名；否则可不上报。",
        "Correct the name if it is a slip; otherwise leave the field out.",
    ),
)
