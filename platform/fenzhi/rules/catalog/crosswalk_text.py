"""A crosswalk file in (编码映射表的导入): codes of another edition and what each is in the insurance edition, every fault at once.

Columns: kind (diagnosis or procedure), source_code, target_code, reviewed (1 where a person confirmed a mapping that leaves its chapter).
A mapping that leaves its chapter is refused unless it was reviewed: a mistyped target such as I21.0 → Z51.8 would otherwise move money
without a word.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass

from fenzhi.rules.refusals import Refusal

CROSSWALK = "crosswalk"
COLUMNS = ("kind", "source_code", "target_code", "reviewed")
KINDS = ("diagnosis", "procedure")
CODE_MOST = 40
FAULTS_MOST = 1_000
_CHAPTERS = (
    ("A00", "B99"), ("C00", "D48"), ("D50", "D89"), ("E00", "E90"), ("F00", "F99"), ("G00", "G99"), ("H00", "H59"),
    ("H60", "H95"), ("I00", "I99"), ("J00", "J99"), ("K00", "K93"), ("L00", "L99"), ("M00", "M99"), ("N00", "N99"),
    ("O00", "O99"), ("P00", "P96"), ("Q00", "Q99"), ("R00", "R99"), ("S00", "T98"), ("U00", "U99"), ("V01", "Y98"),
    ("Z00", "Z99"),
)  # fmt: skip
"""Chapters of ICD-10 by their first and last category (疾病分类章)."""
_PROCEDURE_CHAPTERS = (
    (0, 0), (1, 5), (6, 7), (8, 16), (17, 17), (18, 20), (21, 29), (30, 34), (35, 39), (40, 41), (42, 54), (55, 59),
    (60, 64), (65, 71), (72, 75), (76, 84), (85, 86), (87, 99),
)  # fmt: skip
"""Chapters of ICD-9-CM-3 by their first and last two digits (手术操作分类章)."""


@dataclass(frozen=True, slots=True)
class CrosswalkLine:
    """One mapping (编码映射)."""

    kind: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class CrosswalkReading:
    """What a crosswalk file said (导入结果); with refusals nothing of it may be used."""

    lines: tuple[CrosswalkLine, ...]
    refusals: tuple[Refusal, ...]


def diagnosis_chapter(code: str) -> str | None:
    """The chapter of ICD-10 that a diagnosis code lies in, by its first category; none for what is no such code (疾病分类章).

    >>> diagnosis_chapter("I21.000"), diagnosis_chapter("D45.x00"), diagnosis_chapter("D50.000"), diagnosis_chapter("7")
    ('I00', 'C00', 'D50', None)
    """
    category = code[:3].upper()
    return next((first for first, last in _CHAPTERS if first <= category <= last), None) if len(category) == 3 else None


def procedure_chapter(code: str) -> str | None:
    """The chapter of ICD-9-CM-3 that a procedure code lies in, by its first two digits; none for what is no such code (手术操作分类章)."""
    if not (code[:2].isascii() and code[:2].isdigit() and len(code) > 2):
        return None
    number = int(code[:2])
    return next(f"{first:02d}" for first, last in _PROCEDURE_CHAPTERS if first <= number <= last)


def read_crosswalk(content: bytes, known: Mapping[str, Set[str]]) -> CrosswalkReading:
    """The mappings of a file, with every fault at once (读取编码映射表). `known`: kind → codes of the insurance edition in force.

    Refuses: crosswalk_encoding, crosswalk_columns, crosswalk_row, crosswalk_kind, crosswalk_source, crosswalk_target,
    crosswalk_chapter, crosswalk_duplicated, crosswalk_valid_source, crosswalk_empty, crosswalk_more_faults.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _whole("crosswalk_encoding", f"byte {error.start}", "文件不是 UTF-8 编码。", "The file is not UTF-8.", "另存为 UTF-8 编码的 CSV。", "Save it as UTF-8 CSV.")  # fmt: skip
    try:
        rows = list(csv.reader(re.findall(r"[^\n]*\n|[^\n]+", text), strict=True))
    except csv.Error as error:
        return _whole("crosswalk_row", str(error), "CSV 引号或分隔符不完整。", "The quotes or separators of the CSV are broken.", "修正引号后重新上传。", "Mend the quotes and upload again.")  # fmt: skip
    header = tuple(rows[0]) if rows else ()
    if header != COLUMNS:
        return _whole("crosswalk_columns", ",".join(header)[:200], "表头与编码映射表格式不符。", "The header is not that of a crosswalk.", f"使用列：{','.join(COLUMNS)}。", f"Use the columns {','.join(COLUMNS)}.")  # fmt: skip
    reader = _Reader(known)
    for number, cells in enumerate(rows[1:], start=2):
        if cells:
            reader.read(number, cells)
    return reader.reading()


def _whole(code: str, saw: str, zh: str, en: str, remedy_zh: str, remedy_en: str) -> CrosswalkReading:
    return CrosswalkReading((), (Refusal(code, "file", saw, zh, en, remedy_zh, remedy_en),))


class _Reader:
    """Collects mappings and faults row by row."""

    def __init__(self, known: Mapping[str, Set[str]]) -> None:
        self._known = known
        self._lines: list[CrosswalkLine] = []
        self._first_seen: dict[tuple[str, str], int] = {}
        self._faults: list[Refusal] = []

    def _fault(self, code: str, number: int, saw: str, words: tuple[str, str], remedy: tuple[str, str]) -> None:
        self._faults.append(Refusal(code, f"row {number}", saw[:80], *words, *remedy))

    def read(self, number: int, cells: list[str]) -> None:
        if len(cells) != len(COLUMNS):
            self._fault("crosswalk_row", number, ",".join(cells), ("列数与表头不符。", "The number of cells differs from the header."), ("核对该行。", "Check the row."))  # fmt: skip
            return
        kind, source, target, reviewed = (cell.strip() for cell in cells)
        if kind not in KINDS:
            self._fault("crosswalk_kind", number, kind, ("类型须为 diagnosis 或 procedure。", "The kind is diagnosis or procedure."), ("改为其中之一。", "Write one of them."))  # fmt: skip
            return
        before = len(self._faults)
        if not 1 <= len(source) <= CODE_MOST or not source.isprintable():
            self._fault("crosswalk_source", number, source, ("来源编码未填或过长。", "The source code is blank or too long."), ("填写来源编码。", "Enter the source code."))  # fmt: skip
        elif source != target and source in self._known[kind]:
            self._fault("crosswalk_valid_source", number, f"{source} → {target}", ("来源编码本身就是现行医保版编码，不能改为另一编码。", "The source is itself a code of the insurance edition in force and may not become another."), ("删除该行。", "Remove the row."))  # fmt: skip
        if target not in self._known[kind]:
            self._fault("crosswalk_target", number, target, ("目标编码不在现行医保版编码表中。", "The target is no code of the insurance edition in force."), ("核对目标编码。", "Check the target."))  # fmt: skip
        elif reviewed != "1" and self._chapter(kind, source) not in (None, self._chapter(kind, target)):
            self._fault("crosswalk_chapter", number, f"{source} → {target}", ("映射跨越分类章，疑有误。", "The mapping leaves its chapter and may be a mistake."), ("核对；确属无误的在 reviewed 列填 1。", "Check it; write 1 under reviewed where it is right."))  # fmt: skip
        first = self._first_seen.setdefault((kind, source), number)
        if first != number:
            self._fault("crosswalk_duplicated", number, source, (f"来源编码与第 {first} 行重复。", f"The source stands on row {first} already."), ("每个来源编码只写一行。", "Give each source one row."))  # fmt: skip
        if len(self._faults) == before and source != target:
            self._lines.append(CrosswalkLine(kind, source, target))

    @staticmethod
    def _chapter(kind: str, code: str) -> str | None:
        return diagnosis_chapter(code) if kind == "diagnosis" else procedure_chapter(code)

    def reading(self) -> CrosswalkReading:
        """What was read, faults beyond the listed ones counted."""
        if not self._lines and not self._faults:
            return _whole("crosswalk_empty", "0", "编码映射表没有任何映射。", "The crosswalk maps nothing.", "上传含映射的文件。", "Upload a file with mappings.")  # fmt: skip
        listed = self._faults[:FAULTS_MOST]
        if len(self._faults) > FAULTS_MOST:
            more = len(self._faults) - FAULTS_MOST
            listed.append(Refusal("crosswalk_more_faults", "file", str(more), f"另有 {more} 处差错未列出。", f"{more} more faults are not listed.", "先更正已列出的差错。", "Mend the listed ones first."))  # fmt: skip
        return CrosswalkReading(() if listed else tuple(self._lines), tuple(listed))
