"""A code table file in (代码表的导入): diagnoses with their gray flag, procedures with their class, every fault at once.

Columns: code, name, is_gray (0, 1 or blank) and, for procedures, procedure_class (diagnostic, therapeutic, surgical or
blank). A class that the document does not give stays blank: none is ever guessed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fenzhi.rules.catalog.conjunctions import has_lost_zeros, is_procedure_code
from fenzhi.rules.catalog.disease_group import Granularity, ProcedureClass, has_diagnosis_shape
from fenzhi.rules.refusals import Refusal

DIAGNOSIS, PROCEDURE = "diagnosis", "procedure"
KINDS = (DIAGNOSIS, PROCEDURE)
NAME_MOST = 300
FAULTS_MOST = 1_000
"""Faults listed in full; what lies beyond is counted in one more."""

_COLUMNS = ("code", "name", "is_gray")
_CLASS = "procedure_class"
_CLASSES = {one.value for one in ProcedureClass} - {ProcedureClass.CONSERVATIVE.value}


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One code of a table (代码条目)."""

    code: str
    name: str
    is_gray: bool
    procedure_class: str | None


@dataclass(frozen=True, slots=True)
class CodeTableReading:
    """What a code table file said (导入结果); with refusals nothing of it may be used."""

    lines: tuple[CodeLine, ...]
    refusals: tuple[Refusal, ...]


def read_code_table(content: bytes, kind: str) -> CodeTableReading:
    """The codes of a file, with every fault at once (读取代码表).

    Refuses: code_table_encoding, code_table_columns, code_table_row, code_shape, code_lost_zeros, code_name,
    code_duplicated, code_gray, code_class, code_table_empty, code_table_more_faults.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        saw = content[max(0, error.start - 8) : error.start + 8].hex(" ")
        fault = _refusal(
            ("code_table_encoding", f"byte {error.start}", saw),
            ("文件不是 UTF-8 编码。", "The file is not UTF-8."),
            ("另存为 UTF-8 编码的 CSV。", "Save it as UTF-8 CSV."),
        )
        return CodeTableReading((), (fault,))
    try:
        rows = list(csv.reader(re.findall(r"[^\n]*\n|[^\n]+", text), strict=True))
    except csv.Error as error:
        fault = _refusal(
            ("code_table_row", "file", str(error)),
            ("CSV 引号或分隔符不完整。", "The quotes or separators of the CSV are broken."),
            ("修正引号后重新上传。", "Mend the quotes and upload again."),
        )
        return CodeTableReading((), (fault,))
    allowed = {_COLUMNS, (*_COLUMNS, _CLASS)} if kind == PROCEDURE else {_COLUMNS}
    header = tuple(rows[0]) if rows else ()
    if header not in allowed:
        wanted = ",".join((*_COLUMNS, _CLASS) if kind == PROCEDURE else _COLUMNS)
        fault = _refusal(
            ("code_table_columns", "row 1", ",".join(header)[:400]),
            ("表头与代码表格式不符。", "The header is not that of a code table."),
            (f"使用列：{wanted}。", f"Use the columns {wanted}."),
        )
        return CodeTableReading((), (fault,))
    reader = _Reader(kind, len(header))
    for number, cells in enumerate(rows[1:], start=2):
        if cells:
            reader.read(number, cells)
    return reader.reading()


def _refusal(seen: tuple[str, str, str], why: tuple[str, str], remedy: tuple[str, str]) -> Refusal:
    return Refusal(*seen, *why, *remedy)


class _Reader:
    """Collects codes and faults row by row."""

    def __init__(self, kind: str, width: int) -> None:
        self._kind = kind
        self._width = width
        self._lines: list[CodeLine] = []
        self._first_seen: dict[str, int] = {}
        self._faults: list[Refusal] = []

    def read(self, number: int, cells: Sequence[str]) -> None:
        if len(cells) != self._width:
            self._fault(
                ("code_table_row", f"row {number}", ",".join(cells)[:200]),
                ("列数与表头不符。", "The number of cells differs from the header."),
                ("核对该行，每列一个单元格。", "Check the row: one cell for each column."),
            )
            return
        code, name, gray = cells[0], cells[1], cells[2]
        found = cells[3] if self._width > 3 else ""
        before = len(self._faults)
        self._check_code(number, code)
        if not 1 <= len(name.strip()) <= NAME_MOST:
            self._fault(
                ("code_name", f"row {number} name", name[:80]),
                (f"名称须为 1 至 {NAME_MOST} 字。", f"A name has 1 to {NAME_MOST} characters."),
                ("填写代码名称。", "Enter the name of the code."),
            )
        if gray not in ("", "0", "1"):
            self._fault(
                ("code_gray", f"row {number} is_gray", gray[:40]),
                ("灰码标志须为 0、1 或空。", "The gray flag is 0, 1 or blank."),
                ("改为 0 或 1。", "Write 0 or 1."),
            )
        if found and found not in _CLASSES:
            listed = ", ".join(sorted(_CLASSES))
            self._fault(
                ("code_class", f"row {number} {_CLASS}", found[:40]),
                (f"手术操作类别须为 {listed} 或空。", f"The class is {listed} or blank."),
                ("按文件给出的类别填写，未给出则留空。", "Enter the class the document gives, or leave it blank."),
            )
        if len(self._faults) == before:
            self._lines.append(CodeLine(code, name, gray == "1", found or None))

    def _check_code(self, number: int, code: str) -> None:
        where = f"row {number} code"
        if self._kind == DIAGNOSIS:
            sound = has_diagnosis_shape(code, Granularity.FULL)
        else:
            sound = is_procedure_code(code)
        if not sound and self._kind == PROCEDURE and has_lost_zeros(code):
            self._fault(
                ("code_lost_zeros", where, code[:40]),
                ("手术操作代码丢失前导或末尾的 0。", "The procedure code has lost zeros at its ends."),
                ("按文本格式填写完整代码，例如 06.3100。", "Enter the whole code as text, such as 06.3100."),
            )
        elif not sound:
            self._fault(
                ("code_shape", where, code[:40]),
                ("不是医保版代码。", "Not a code of the insurance edition."),
                (
                    "诊断如 A01.000 或 A01.000x001，手术操作如 39.9500 或 39.9500x004。",
                    "A diagnosis is like A01.000 or A01.000x001, a procedure like 39.9500 or 39.9500x004.",
                ),
            )
        first = self._first_seen.setdefault(code, number)
        if first != number:
            self._fault(
                ("code_duplicated", where, code[:40]),
                (f"代码与第 {first} 行重复。", f"The code stands on row {first} already."),
                ("删除重复行。", "Remove one of the rows."),
            )

    def _fault(self, seen: tuple[str, str, str], why: tuple[str, str], remedy: tuple[str, str]) -> None:
        self._faults.append(_refusal(seen, why, remedy))

    def reading(self) -> CodeTableReading:
        """What was read, faults beyond the listed ones counted."""
        if not self._lines and not self._faults:
            self._fault(
                ("code_table_empty", "file", "0"),
                ("代码表没有任何代码。", "The code table holds no code."),
                ("上传含代码的文件。", "Upload a file with codes."),
            )
        listed = self._faults[:FAULTS_MOST]
        if len(self._faults) > FAULTS_MOST:
            more = len(self._faults) - FAULTS_MOST
            listed.append(
                _refusal(
                    ("code_table_more_faults", "file", str(more)),
                    (f"另有 {more} 处差错未列出。", f"{more} more faults are not listed."),
                    ("先更正已列出的差错。", "Mend the listed ones first."),
                )
            )
        return CodeTableReading(() if listed else tuple(self._lines), tuple(listed))
