"""A catalog file cut into records that keep their own text (目录文件切行)."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fenzhi.rules.catalog.dialects import field_of

HEADER_WITHIN = 20
"""Rows among which the header is looked for: titles may stand above it (表头查找范围)."""
DELIMITERS = ",\t;"


@dataclass(frozen=True, slots=True)
class Record:
    """One record (记录): the row of the file it begins on, its text as it stood, its cells."""

    row: int
    text: str
    cells: tuple[str, ...]


def decoded(content: bytes) -> tuple[str, str | None]:
    """Encoding and text of a file (解码), UTF-8 before GB18030; no text where neither gives the bytes back."""
    for encoding in ("utf-8", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if text.encode(encoding) == content:
            return encoding, text
    return "utf-8", None


def quoted(cell: str) -> str:
    """A cell as CSV writes it (单元格转义), quoted only where it must be.

    >>> quoted("a,b"), quoted("a/b")
    ('"a,b"', 'a/b')
    """
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\r\n') else cell


def is_header(cells: Sequence[str]) -> bool:
    """Do the cells name a score, and a group code or a diagnosis (是否表头)?"""
    fields = {field_of(cell) for cell in cells}
    return "score" in fields and bool(fields & {"dx_code", "dip_code"})


def cut_records(body: str) -> tuple[list[Record], str, list[tuple[int, str]]]:
    """The records of a file, the delimiter that reads its header, and (row, what is broken) of broken quotes (切分记录).

    After a broken quote the file is read line by line: a quote that never closes must not swallow the rest.

    >>> records, delimiter, broken = cut_records('a;b\\n1;"x\\ny"\\n')
    >>> [(one.row, one.cells) for one in records], delimiter, broken
    ([(1, ('a', 'b')), (2, ('1', 'x\\ny'))], ';', [])
    """
    lines = re.findall(r"[^\n]*\n|[^\n]+", body)
    delimiter = _delimiter(lines[:HEADER_WITHIN])
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    records: list[Record] = []
    broken: list[tuple[int, str]] = []
    done = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return records, delimiter, broken
        except csv.Error:
            _line_by_line(lines, done, delimiter, records, broken)
            return records, delimiter, broken
        records.append(Record(done + 1, "".join(lines[done : reader.line_num]), tuple(cells)))
        done = reader.line_num


def _line_by_line(
    lines: Sequence[str], done: int, delimiter: str, records: list[Record], broken: list[tuple[int, str]]
) -> None:
    for number, line in enumerate(lines[done:], start=done + 1):
        try:
            cells = tuple(next(csv.reader([line], delimiter=delimiter, strict=True), []))
        except csv.Error as error:
            broken.append((number, str(error)))
            cells = ()
        records.append(Record(number, line, cells))


def _delimiter(lines: Sequence[str]) -> str:
    def worth(mark: str) -> tuple[int, int]:
        cells = [cell for line in lines for cell in line.rstrip("\r\n").split(mark)]
        return sum(field_of(cell.strip('"')) is not None for cell in cells), len(cells)

    return max(DELIMITERS, key=worth)
