"""Dialects of catalog files (目录文件方言): the grammars in which catalogs are really published, as data.

A dialect says which marks join procedure codes, which words name a kind, and what a spreadsheet did to the codes. What the
header calls a column is recognised in any dialect, by `FIELD_NAMES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fenzhi.rules.catalog.conjunctions import Conjunction
from fenzhi.rules.catalog.disease_group import Granularity, GroupKind, ProcedureClass, has_diagnosis_shape


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to write a catalog (目录方言). Of several marks with one meaning the first is written on export."""

    name: str
    zh: str
    en: str
    any_of: tuple[str, ...]
    """Between codes of which any one satisfies (任一)."""
    all_of: tuple[str, ...]
    """Between parts that must all be satisfied (并且)."""
    related: str = "_"
    """Between main and related procedures where one cell holds both (主要与相关手术操作之间)."""
    diagnosis_mark: str = ":"
    """Between diagnosis and procedures in a group code (诊断与手术操作之间)."""
    restores_zeros: bool = False
    """Procedure codes went through number cells: lost zeros are put back, and each restoration is told (补零)."""
    fills_down: bool = False
    """Merged cells left the diagnosis blank on the rows below (合并单元格)."""
    kind_words: tuple[str, str] = ("core", "comprehensive")
    """How core and comprehensive are written on export (病种类型用词)."""


DIALECTS: Mapping[str, Dialect] = {
    one.name: one
    for one in (
        Dialect("slash_plus", "/ 任一，+ 并且", "/ any of, + and", ("/",), ("+",)),
        Dialect("pipe_plus", "| 任一，+ 并且", "| any of, + and", ("|",), ("+",)),
        Dialect("comma_and", ", 并且，/ 任一", ", and, / any of", ("/",), (",", "+")),
        Dialect("comma_any", ", 任一，+ 并且", ", any of, + and", (",",), ("+",)),
        Dialect(
            "slash_plus_numbers",
            "/ 任一，+ 并且；代码经数值单元格丢零，类型 1/0",
            "/ any of, + and; codes that were numbers, kind 1/0",
            ("/", "、"),
            ("+",),
            restores_zeros=True,
            fills_down=True,
            kind_words=("1", "0"),
        ),
    )
}
"""The dialects the package brings along (内置方言)."""

FIELD_NAMES: Mapping[str, tuple[str, ...]] = {
    "seq": ("seq", "序号", "no"),
    "dip_code": (
        "dip_code", "dip编码", "dip代码", "dip病种编码", "dip病种代码", "病种编码", "病种代码", "病种组合编码", "病种组合代码",
        "组合编码", "病组编码", "病组代码", "group_code", "dip组编码",
    ),
    "group_name": ("group_name", "病种名称", "dip名称", "dip病种名称", "病种组合名称", "病组名称"),
    "dx_code": (
        "dx_code", "主要诊断编码", "主要诊断代码", "主诊断编码", "主诊断代码", "诊断编码", "诊断代码", "疾病编码", "疾病代码",
        "疾病诊断编码", "疾病诊断代码", "icd10", "icd-10", "icd10编码", "icd-10编码", "主要诊断", "diagnosis", "类目亚目编码",
    ),
    "dx_name": (
        "dx_name", "主要诊断名称", "主诊断名称", "诊断名称", "疾病名称", "疾病诊断名称", "icd10名称",
    ),
    "dx_granularity": ("dx_granularity", "诊断粒度", "诊断位数"),
    "main_ops": (
        "main_ops", "主要手术操作编码", "主要手术操作代码", "主要手术及操作编码", "主要手术及操作代码", "主手术操作编码", "主手术编码",
        "主要操作编码", "主要操作代码", "手术操作编码", "手术操作代码", "手术及操作编码", "手术编码", "操作编码", "手术代码", "操作代码",
        "icd9", "icd-9", "icd9编码", "icd-9-cm-3编码", "icd-9-cm3编码", "主要手术操作", "procedures", "治疗方式编码",
    ),
    "main_op_names": (
        "main_op_names", "主要手术操作名称", "主要手术及操作名称", "主要操作名称", "手术操作名称", "手术及操作名称", "手术名称", "操作名称",
        "主手术名称", "icd9名称",
    ),
    "other_ops": (
        "other_ops", "相关手术操作编码", "相关手术操作代码", "相关手术及操作编码", "相关手术编码", "其他手术操作编码", "其他手术操作代码",
        "其他手术编码", "次要手术操作编码", "相关操作编码", "相关手术操作",
    ),
    "other_op_names": (
        "other_op_names", "相关手术操作名称", "相关手术及操作名称", "相关手术名称", "其他手术操作名称", "其他手术名称", "相关操作名称",
    ),
    "kind": (
        "kind", "病种类型", "病种类别", "组别类型", "病组类型", "目录类型", "类型", "type", "是否核心病种", "核心综合标志", "分组类型",
    ),
    "procedure_class": (
        "procedure_class", "诊疗方式", "治疗方式", "治疗类型", "操作类别", "手术操作类别", "手术操作属性", "操作属性",
    ),
    "level": ("level", "目录级别", "级别"),
    "score": ("score", "分值", "病种分值", "基准分值", "基础分值", "标准分值", "dip分值", "rw", "病种基准分值", "点数"),
    "grassroots": ("grassroots", "基层病种", "是否基层病种", "基层标志", "是否基层"),
    "layer": ("layer", "分组层级", "分组层次"),
    "more_dx": ("more_dx", "其他主要诊断编码", "并项诊断编码"),
    "secondary_dx": ("secondary_dx", "次要诊断编码", "次要诊断代码", "其他诊断编码"),
    "facts": ("facts", "附加条件", "取值段"),
}  # fmt: skip
"""What headers call the fields (表头用词), compared without blanks, case, and whatever stands in brackets."""

KIND_WORDS: Mapping[str, GroupKind] = {
    "core": GroupKind.CORE,
    "1": GroupKind.CORE,
    "核心": GroupKind.CORE,
    "核心病种": GroupKind.CORE,
    "是": GroupKind.CORE,
    "comprehensive": GroupKind.COMPREHENSIVE,
    "0": GroupKind.COMPREHENSIVE,
    "2": GroupKind.COMPREHENSIVE,
    "综合": GroupKind.COMPREHENSIVE,
    "综合病种": GroupKind.COMPREHENSIVE,
    "否": GroupKind.COMPREHENSIVE,
}
"""Headers say 1 and 2, cells hold 1 and 0: in either, 1 is core (病种类型用词)."""

CLASS_WORDS: Mapping[str, ProcedureClass] = {
    "conservative": ProcedureClass.CONSERVATIVE,
    "保守治疗": ProcedureClass.CONSERVATIVE,
    "保守治疗组": ProcedureClass.CONSERVATIVE,
    "保守": ProcedureClass.CONSERVATIVE,
    "内科诊疗": ProcedureClass.CONSERVATIVE,
    "内科诊疗组": ProcedureClass.CONSERVATIVE,
    "diagnostic": ProcedureClass.DIAGNOSTIC,
    "诊断性操作": ProcedureClass.DIAGNOSTIC,
    "诊断性操作组": ProcedureClass.DIAGNOSTIC,
    "therapeutic": ProcedureClass.THERAPEUTIC,
    "治疗性操作": ProcedureClass.THERAPEUTIC,
    "治疗性操作组": ProcedureClass.THERAPEUTIC,
    "surgical": ProcedureClass.SURGICAL,
    "手术": ProcedureClass.SURGICAL,
    "手术组": ProcedureClass.SURGICAL,
    "相关手术": ProcedureClass.SURGICAL,
    "相关手术组": ProcedureClass.SURGICAL,
}
FLAG_WORDS: Mapping[str, bool] = {
    "1": True,
    "是": True,
    "√": True,
    "y": True,
    "0": False,
    "否": False,
    "": False,
    "n": False,
}

_BRACKETS = re.compile(r"[（(\[【].*?[)）\]】]")
_FULL_WIDTH = str.maketrans("／＋，｜：＿－＊．０１２３４５６７８９", "/+,|:_-*.0123456789")
_NUMBER = re.compile(r"(\d{1,2})(?:\.(\d{1,4}))?", re.ASCII)
_RANGE = re.compile(r"([A-Z]\d\d)(?:\.(\d))?\s*[-~—–至]\s*([A-Z])?(\d\d)?(?:\.(\d))?", re.ASCII)


def field_of(header: str) -> str | None:
    """The field that a header names (表头对应字段), or None.

    >>> field_of(" 病种分值（分） "), field_of("dx_code"), field_of("备注")
    ('score', 'dx_code', None)
    """
    plain = _BRACKETS.sub("", "".join(header.split())).lower()
    return _BY_HEADER.get(plain)


_BY_HEADER = {word: field for field, words in FIELD_NAMES.items() for word in words}


def half_width(cell: str) -> str:
    """Full-width marks and digits as half-width ones (全角转半角).

    >>> half_width("39.9500／39.9501＋５4.91")
    '39.9500/39.9501+54.91'
    """
    return cell.translate(_FULL_WIDTH)


def insurance_letters(code: str) -> str:
    """Letters as the insurance edition writes them (字母大小写): a capital first, `x` small.

    >>> insurance_letters("i10.X00X002"), insurance_letters("39.9500X004")
    ('I10.x00x002', '39.9500x004')
    """
    raised = code.upper()
    return raised[:1] + raised[1:].replace("X", "x")


def parse_procedures(cell: str, dialect: Dialect) -> Conjunction:
    """The parts of a procedure cell in a dialect (手术操作单元格). Blanks around codes are passed over.

    Raises: ValueError for an empty code between two marks.

    >>> parse_procedures("13.7100x001, 12.1402/12.1403", DIALECTS["comma_and"])
    (('13.7100x001',), ('12.1402', '12.1403'))
    """
    text = cell.strip()
    if text == "":
        return ()
    parts = tuple(tuple(code.strip() for code in _split(part, dialect.any_of)) for part in _split(text, dialect.all_of))
    if any(code == "" for part in parts for code in part):
        raise ValueError(f"an empty code between marks: {cell!r}")
    return parts


def procedures_cell(parts: Conjunction, dialect: Dialect) -> str:
    """A conjunction as the dialect writes it (手术操作单元格文本)."""
    return dialect.all_of[0].join(dialect.any_of[0].join(part) for part in parts)


def restored_zeros(code: str) -> str | None:
    """The code whose zeros a number cell swallowed (补零), or None where the text is no such number.

    >>> restored_zeros("6.31"), restored_zeros("4.43"), restored_zeros("39.95"), restored_zeros("39.9500x004")
    ('06.3100', '04.4300', '39.9500', None)
    """
    found = _NUMBER.fullmatch(code)
    if found is None or found[2] is None:
        return None
    return f"{found[1]:0>2}.{found[2]:0<4}"


def granularity_of(key: str) -> Granularity | None:
    """The granularity whose shape a diagnosis key has (诊断粒度), or None.

    >>> granularity_of("C53"), granularity_of("A35.x"), granularity_of("P07.101"), granularity_of("A15-A16")
    (<Granularity.CATEGORY: 3>, <Granularity.SUBCATEGORY: 4>, <Granularity.FULL: 6>, None)
    """
    return next((one for one in Granularity if has_diagnosis_shape(key, one)), None)


def expand_range(text: str) -> tuple[str, ...] | None:
    """The keys of a range of diagnoses (诊断区间), or None where the text is no range.

    Raises: ValueError for a range that ends before it begins or crosses a letter.

    >>> expand_range("A15-A16"), expand_range("I20.0-I20.2"), expand_range("I20.0-.2"), expand_range("A15")
    (('A15', 'A16'), ('I20.0', 'I20.1', 'I20.2'), ('I20.0', 'I20.1', 'I20.2'), None)
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        return None
    first, first_place, letter, last_number, last_place = found.groups()
    last = (letter or first[0]) + (last_number or first[1:])
    if last[0] != first[0] or (first_place is None) != (last_place is None):
        raise ValueError(f"a range within one letter and one granularity: {text!r}")
    if first_place is None:
        if last_number is None or last <= first:
            raise ValueError(f"a range that ends before it begins: {text!r}")
        return tuple(f"{first[0]}{number:02d}" for number in range(int(first[1:]), int(last[1:]) + 1))
    if last != first or last_place is None or last_place <= first_place:
        raise ValueError(f"a range of subcategories stays within its category: {text!r}")
    return tuple(f"{first}.{place}" for place in range(int(first_place), int(last_place) + 1))


def _split(text: str, marks: Sequence[str]) -> list[str]:
    for mark in marks[1:]:
        text = text.replace(mark, marks[0])
    return text.split(marks[0])
