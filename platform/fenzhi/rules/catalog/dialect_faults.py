"""Faults of catalog files, in words (目录文件差错说明): code → severity, what is wrong, what to do, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Does the fault keep the row out (严重程度)?"""

    ERROR = "error"  # 该行不能入目录
    WARNING = "warning"  # 可用，须核对


@dataclass(frozen=True, slots=True)
class CatalogFault:
    """One fault of a catalog file (目录文件差错), with its place: row of the file from 1, column as its header says."""

    code: str
    severity: Severity
    row: int
    column: str
    saw: str
    zh: str
    en: str
    remedy_zh: str
    remedy_en: str


Words = tuple[str, str, str, str]

ERRORS: Mapping[str, Words] = {
    "catalog_encoding": (
        "文件既不是 UTF-8 也不是 GB18030。", "The file is neither UTF-8 nor GB18030.",
        "另存为 UTF-8 编码的 CSV。", "Save it as UTF-8 CSV."),
    "catalog_row": (
        "该行不能按表头分成单元格(引号或列数不符)。", "The row is not cut into the cells of its header.",
        "核对该行引号与列数。", "Check its quotes and the number of cells."),
    "catalog_columns": (
        "前 20 行中没有可识别的表头(须有分值列，以及病种编码或主要诊断列)。",
        "No header among the first 20 rows (a score, and a group code or a diagnosis).",
        "使用 docs/catalog.md 所列表头。", "Use the headers listed in docs/catalog.md."),
    "catalog_columns_repeated": (
        "两列表头指同一字段。", "Two headers name the same field.", "保留一列或改名。", "Keep one, or rename the other."),
    "group_code_missing": ("病种编码为空。", "The group code is empty.", "填写病种编码。", "Enter the group code."),
    "diagnosis_missing": ("没有诊断代码。", "There is no diagnosis.", "填写诊断代码。", "Enter the diagnosis."),
    "diagnosis_key": (
        "不是诊断代码、代码列表或区间。", "Not a diagnosis, a list of them, or a range.",
        "3 位如 C02，4 位如 C15.1 或 A35.x，全码如 P07.101，区间如 A15-A16。",
        "Write C02, C15.1, A35.x, a full code such as P07.101, or a range such as A15-A16."),
    "procedure_grammar": (
        "分隔符之间缺少手术操作代码。", "A code is missing between the marks.",
        "核对所选方言的分隔符。", "Check the marks of the dialect."),
    "procedure_code": (
        "不是医保版手术操作代码。", "Not a procedure code of the insurance edition.",
        "填写如 39.9500 或 39.9500x004 的代码，或换用相符的方言。", "Enter a code such as 39.9500, or use the dialect that fits."),
    "procedure_code_lost_zeros": (
        "手术操作代码丢失前导或末尾的 0。", "The procedure code has lost zeros at its ends.",
        "按文本格式填写完整代码，或使用补零方言 slash_plus_numbers 并给出代码表。",
        "Enter the whole code as text, or use the dialect slash_plus_numbers with a code table."),
    "group_kind": (
        "病种类型不明。", "The kind of the group is not told.",
        "填写 核心/综合、1/0 或 1/2。", "Write core or comprehensive, 1/0 or 1/2."),
    "procedure_class_missing": (
        "综合病种没有诊疗方式。", "A comprehensive group without its class.",
        "填写 保守治疗、诊断性操作、治疗性操作 或 手术。", "Enter conservative, diagnostic, therapeutic or surgical."),
    "procedure_class_misplaced": (
        "核心病种不得有诊疗方式；综合病种不得列手术操作。", "A core group has no class; a comprehensive group lists no procedures.",
        "更正病种类型、诊疗方式或手术操作。", "Correct the kind, the class or the procedures."),
    "procedure_class": (
        "未知的诊疗方式。", "An unknown class.",
        "填写 保守治疗、诊断性操作、治疗性操作 或 手术。", "Enter conservative, diagnostic, therapeutic or surgical."),
    "score": (
        "分值为空或不是普通小数。", "The score is empty or not a plain decimal.",
        "填写如 205 或 205.50 的数。", "Enter a plain number such as 205 or 205.50."),
    "score_not_positive": ("病种分值必须大于 0。", "A score must be above zero.", "填写大于 0 的分值。", "Enter a score above zero."),
    "score_places": (
        "分值小数位超过目录声明的位数。", "The score has more than the declared decimals.",
        "按声明的小数位公布分值。", "Publish the score with the declared decimals."),
    "group_condition": (
        "分组层级或分组条件不能读取。", "The layer or the conditions cannot be read.",
        "层级取 priority、merged、dx_auxiliary、basic；取值段如 age_days:0-28。",
        "Layers are priority, merged, dx_auxiliary, basic; bands such as age_days:0-28."),
    "condition_misplaced": (
        "只有先期分组、并项和诊断辅助细分病种可附条件。", "Only groups above the basic layer may have conditions.",
        "填写分组层级，或删除条件。", "Name the layer, or take the conditions away."),
    "grassroots": ("基层病种标志不明。", "The grass-roots flag is not told.", "填写 1/0 或 是/否。", "Write 1 or 0."),
    "level": ("目录级别不是一位数字。", "The level is not one digit.", "填写 1、2 或 3。", "Write 1, 2 or 3."),
    "group_code_duplicated": ("病种编码重复。", "The group code is used twice.", "每个病种使用唯一编码。", "Give every group its own code."),
    "group_key_ambiguous": (
        "与另一病种的诊断和手术操作完全相同。", "Asks for the same diagnosis and procedures as another group.",
        "合并或删除其中一个。", "Merge the two or remove one."),
}  # fmt: skip

_CHECK = ("核对后可继续。", "Check; the catalog can be used as it is.")
WARNINGS: Mapping[str, Words] = {
    "diagnosis_unknown": ("诊断代码不在代码表内，不会有病例入该组。", "The code table does not know this diagnosis.", *_CHECK),
    "procedure_unknown": ("手术操作代码不在代码表内。", "The code table does not know this procedure.", *_CHECK),
    "procedure_zeros_restored": ("代码丢零，已补全。", "Lost zeros were put back.", *_CHECK),
    "letters_normalised": ("字母大小写已按医保版书写。", "Letters were written as the insurance edition writes them.", *_CHECK),
    "marks_normalised": ("全角符号或多余空格按半角读取。", "Full-width marks or blanks were read as plain ones.", *_CHECK),
    "diagnosis_dagger": ("剑号标记已略去，按诊断代码匹配。", "The dagger was left out of the key.", *_CHECK),
    "diagnosis_asterisk": (
        "星号(临床表现)编码不能作主要诊断，通常不会有病例入该组。",
        "An asterisk code is no principal diagnosis: hardly any case will reach the group.", *_CHECK),
    "diagnosis_range": ("诊断区间或列表已逐码展开。", "A range or list of diagnoses was expanded code by code.", *_CHECK),
    "granularity_differs": ("诊断粒度列与代码格式不一致，以代码为准。", "The granularity differs from the code; the code counts.", *_CHECK),
    "group_code_differs": (
        "病种编码与诊断和手术操作列不一致，以列为准。", "The group code does not spell the cells; the cells count.", *_CHECK),
    "procedure_repeated": ("同一代码在任一关系中重复列出。", "A code is listed twice among the alternatives.", *_CHECK),
    "groups_differ_only_in_main": ("与另一病种仅主要与相关手术操作互换。", "Differs from another group only in what is main.", *_CHECK),
    "kind_words_mixed": ("综合病种同时以 0 和 2 表示，均按综合病种读取。", "Comprehensive is written both 0 and 2; both were read so.", *_CHECK),
    "cell_filled_down": ("诊断空白，沿用上一行(合并单元格)。", "A blank diagnosis took that of the row above (merged cells).", *_CHECK),
    "dialect_ambiguous": (
        "几种方言都能无误读出，含义不同；请指明方言。", "Several dialects read the file without more errors, with different meaning: name the dialect.",
        "用 --dialect 指明方言。", "Name it by --dialect."),
    "diagnosis_from_group_code": ("诊断取自病种编码。", "The diagnosis was taken from the group code.", *_CHECK),
}  # fmt: skip


def catalog_fault(code: str, row: int, column: str, saw: str, detail: str = "") -> CatalogFault:
    """A fault in its words (差错). Raises: KeyError for a code that has none."""
    severity = Severity.ERROR if code in ERRORS else Severity.WARNING
    zh, en, remedy_zh, remedy_en = (ERRORS if code in ERRORS else WARNINGS)[code]
    told = f"（{detail}）" if detail else ""
    return CatalogFault(
        code, severity, row, column, saw[:400], zh + told, f"{en} {detail}".rstrip(), remedy_zh, remedy_en
    )
