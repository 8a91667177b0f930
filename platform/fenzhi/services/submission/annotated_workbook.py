"""The hospital's own workbook back (带批注的原表): red cells, comments with reasons, a sheet of results, ready to correct and send back.

What the hospital wrote stays as it wrote it, apart from the marks. Marks of an earlier round are taken off first, so that a workbook may
go round any number of times.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openpyxl import Workbook
from openpyxl.cell.cell import Cell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.refusals import Conflict, NotFound
from fenzhi.services.acts import Platform, looking
from fenzhi.services.audit.sight import Sight, witness
from fenzhi.services.submission.ownership import no_such_batch
from fenzhi.services.submission.parts import part_content
from fenzhi.services.submission.table_columns import ACCEPTED_MARK, LISTS, RESULTS, STATUS
from fenzhi.services.submission.table_lists import ReadTable, TableRow, cell_name, looks_like_table, read_table
from fenzhi.services.submission.workbook_cells import WorkbookRefused
from fenzhi.services.submission.workbook_marks import RED, YELLOW, mark_cell, opened, take_marks_off, write_text
from fenzhi.services.workbook_writing import workbook_bytes
from fenzhi.store.repositories import submission as store

FINDINGS_MOST = 20_000
"""Findings written into one workbook; the last row of its results says when there are more (写入的结论上限)."""
CELLS_MOST = 400_000
"""Cells of a workbook that is annotated: it is held whole (可批注的单元格上限)."""
_ANNOTATING = asyncio.Semaphore(1)
_HEADERS = (
    "行 row",
    "结算号 setl_id",
    "规则 rule",
    "代码 code",
    "严重程度 severity",
    "字段 path",
    "单元格 cell",
    "所见 saw",
    "说明",
    "处理建议",
    "message",
    "remedy",
)
_WIDTHS = (8, 24, 11, 28, 16, 28, 18, 24, 64, 52, 64, 52)
_STATUS_WIDTH = 44
_TOP = Alignment(vertical="top")
_TOP_WRAPPED = Alignment(vertical="top", wrap_text=True)


class NotATable(Conflict):
    """The part is no workbook and no CSV file (分片不是表格)."""

    code = "PART_IS_NO_TABLE"


class NotJudgedYet(Conflict):
    """The batch waits for its judgement (批次尚未判定)."""

    code = "BATCH_NOT_JUDGED"


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the rows of a table (表格判定结果)."""

    rows: Sequence[Row[Any]]
    verdicts: Sequence[Row[Any]]
    is_refused_whole: bool


async def annotated(
    platform: Platform, subject: Subject, batch_id: uuid.UUID, part_no: int = 1, request_id: str = ""
) -> bytes:
    """A part of an own judged batch with its findings marked (下载带批注的原表).

    A CSV file comes back as a workbook. Only who submits lists may have it: it holds what the hospital sent, personal fields
    included, so it is written down whose lists they were before it leaves. Changes: audit_event.
    Raises: Forbidden, NotFound, NotJudgedYet, NotATable, WorkbookRefused for one too large to be marked.
    """
    async with looking(platform, subject, Duty.SUBMIT_LISTS) as uow:
        found = await store.own_batch(uow, batch_id)
        if found is None:
            raise no_such_batch()
        if found.state not in ("judged", "refused"):
            raise NotJudgedYet(
                "批次尚未判定。", "The batch waits for its judgement.", hint="稍后再试 / try again later"
            )
        if await store.part_digest(uow, batch_id, part_no) is None:
            raise NotFound("没有该分片。", "No such part.")
        content = await part_content(platform, uow, found, part_no)
        judged = Judged(
            await store.rows_of_part(uow, batch_id, part_no),
            await store.verdicts_of_part(uow, batch_id, part_no, FINDINGS_MOST + 1),
            found.state == "refused",
        )
    if not looks_like_table(content):
        raise NotATable(
            "该分片不是工作簿或 CSV 文件，没有可批注的原表。",
            "The part is no workbook and no CSV file: there is nothing to mark.",
            hint="下载 verdicts.ndjson / download verdicts.ndjson",
        )
    async with _ANNOTATING:
        marked = await asyncio.to_thread(annotated_workbook, content, judged)
    sight = Sight(operations={"GET annotated.xlsx"})
    sight.row(*((batch_id, row.row_no) for row in judged.rows))
    sight.personal()
    await witness(platform, subject, sight, request_id, purpose="correction")
    return marked


def annotated_workbook(content: bytes, judged: Judged) -> bytes:
    """The workbook with its findings (批注工作簿). Raises: WorkbookRefused."""
    table = read_table(content)
    if sum(len(line) for sheet in table.cells for line in sheet.rows) > CELLS_MOST:
        raise WorkbookRefused(
            f"工作簿超过 {CELLS_MOST} 个单元格，不能批注。",
            f"The workbook has more than {CELLS_MOST} cells and is not marked.",
            code="WORKBOOK_TOO_LARGE_TO_MARK",
            hint="下载 verdicts.ndjson，或拆分后上报 / download verdicts.ndjson, or send it in parts",
        )
    book = opened(content, table.format, table.cells[0], LISTS)
    take_marks_off(book, RESULTS)
    rows = dict(zip((row.row_no for row in judged.rows), table.lists, strict=False))
    marks = _mark(book, table, rows, judged.verdicts[:FINDINGS_MOST])
    _status(book, table, rows, judged)
    _results(book, judged, marks)
    return workbook_bytes(book)


def _mark(
    book: Workbook, table: ReadTable, rows: dict[int, TableRow], verdicts: Sequence[Row[Any]]
) -> list[tuple[str, int, int] | None]:
    """Fill and comment the cells of the findings; the cell of each finding (标注单元格)."""
    sheets = {sheet.title.strip(): sheet for sheet in book.worksheets}
    marks: list[tuple[str, int, int] | None] = []
    by_cell: defaultdict[tuple[str, int, int], list[Row[Any]]] = defaultdict(list)
    for one in verdicts:
        row = rows.get(one.row_no)
        place = table.place_of(row, one.path) if row is not None else None
        marks.append(place)
        if place is not None:
            by_cell[place].append(one)
    for (name, row_no, column), found in by_cell.items():
        cell = sheets[name].cell(row_no, column + 1)
        if not isinstance(cell, Cell):
            continue  # Inside a merged area: its finding stands in the results.
        said = "\n".join(f"[{one.rule} {one.code}] {one.zh}\n→ {one.remedy_zh}\n{one.en}" for one in found)
        mark_cell(cell, said, len(found), is_error=any(one.severity == "error" for one in found))
    return marks


def _status(book: Workbook, table: ReadTable, rows: dict[int, TableRow], judged: Judged) -> None:
    """The status column: a row called accepted is not submitted again (写校验状态列)."""
    sheet = next(sheet for sheet in book.worksheets if sheet.title.strip() == LISTS)
    columns = table.columns[LISTS]
    at = columns.get(STATUS.name, max(columns.values()) + 1) + 1
    write_text(sheet, _header_row(table), at, STATUS.header).font = Font(bold=True)
    for one in judged.rows:
        row = rows.get(one.row_no)
        if row is None:
            continue
        if one.outcome == "accepted":
            said = f"{ACCEPTED_MARK} accepted"
        elif judged.is_refused_whole:
            said = f"整批不受理 the whole batch was refused：{', '.join(one.refusal_codes)}"
        else:
            said = f"不受理 refused：{', '.join(one.refusal_codes)}"
        write_text(sheet, row.row_no, at, said).alignment = _TOP_WRAPPED
    column = sheet.column_dimensions[get_column_letter(at)]
    column.width = max(column.width or 0, _STATUS_WIDTH)


def _header_row(table: ReadTable) -> int:
    return next(sheet.rows[0][0].row for sheet in table.cells if sheet.name.strip() == LISTS)


def _results(book: Workbook, judged: Judged, marks: list[tuple[str, int, int] | None]) -> None:
    sheet = book.create_sheet(RESULTS)
    for at, (header, width) in enumerate(zip(_HEADERS, _WIDTHS, strict=True), start=1):
        write_text(sheet, 1, at, header).font = Font(bold=True)
        sheet.column_dimensions[sheet.cell(1, at).column_letter].width = width
    sheet.freeze_panes = "A2"
    number = 1
    for number, (one, mark) in enumerate(zip(judged.verdicts, marks, strict=False), start=2):
        place = cell_name(*mark) if mark is not None else ""
        severity = "不通过 error" if one.severity == "error" else "提示 warning"
        texts = (
            str(mark[1] if mark is not None and mark[0] == LISTS else one.row_no),
            one.setl_id,
            one.rule,
            one.code,
            severity,
            one.path,
            place,
            one.saw,
            one.zh,
            one.remedy_zh,
            one.en,
            one.remedy_en,
        )
        for at, text in enumerate(texts, start=1):
            cell = write_text(sheet, number, at, text)
            if at == 7 and mark is not None:
                cell.hyperlink = f"#'{mark[0]}'!{place.partition('!')[2]}"
                cell.value, cell.data_type = place, "s"
            cell.alignment = _TOP_WRAPPED if at >= 8 else _TOP
        sheet.cell(number, 5).fill = PatternFill("solid", fgColor=RED if one.severity == "error" else YELLOW)
    if len(judged.verdicts) > FINDINGS_MOST:
        said = f"只列出前 {FINDINGS_MOST} 条，其余见 verdicts.ndjson。 Only the first {FINDINGS_MOST}; see verdicts.ndjson."
        write_text(sheet, number + 1, 1, said)
