"""A catalog's workbook taken over into a draft (目录工作簿上传), whole or not at all, and what was wrong marked in a copy of it."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from openpyxl import Workbook
from openpyxl.cell.cell import Cell
from openpyxl.styles import Alignment, Font
from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.catalog.disease_group import DiseaseGroup, distinct_key
from fenzhi.rules.catalog.edition import ambiguous_key
from fenzhi.rules.catalog.score_edits import TotalRule
from fenzhi.rules.refusals import DataRefused, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.catalog.book import edition_row, group_of, load_tables, row_of
from fenzhi.services.catalog.faults import LISTED_MOST, moved, reason_faults, refuse, require_draft
from fenzhi.services.catalog.groups_file import WARNINGS_MOST
from fenzhi.services.catalog.scores import revise_scores
from fenzhi.services.catalog.workbook_columns import INFLATED_MOST, RESULTS, SHEET
from fenzhi.services.catalog.workbook_reading import WorkbookEdits, WorkbookTable, judge_rows, read_table
from fenzhi.services.submission.table_columns import letters
from fenzhi.services.submission.workbook_cells import Sheet, WorkbookRefused, read_workbook
from fenzhi.services.submission.workbook_marks import mark_cell, opened, take_marks_off, write_text
from fenzhi.services.workbook_writing import workbook_bytes
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork

CELLS_MOST = 400_000
"""Cells of a workbook that is annotated: it is held whole (可批注的单元格上限)."""
_ANNOTATING = asyncio.Semaphore(1)
_PLACE = re.compile(r"[^!]+!([A-Z]{1,3})([1-9][0-9]{0,6})", re.ASCII)
_HEADERS = ("行 row", "列 column", "单元格 cell", "规则 rule", "所见 saw", "说明", "处理建议", "message", "remedy")
_WIDTHS = (8, 10, 14, 28, 24, 48, 40, 48, 40)


class RowsStale(DataRefused):
    """Groups were changed by somebody else after the download (行版本过期). Nothing was taken over."""

    code = "CATALOG_ROWS_STALE"
    http_status = 409


@dataclass(frozen=True, slots=True)
class WorkbookOrder:
    """How an upload is taken over (上传要求)."""

    reason: str
    total_rule: TotalRule


async def upload_workbook(
    platform: Platform, editor: Subject, request: Request, edition_id: uuid.UUID, content: bytes, order: WorkbookOrder
) -> Answer:
    """Take a workbook's changes over into a draft (上传目录工作簿): attributes, new groups, removed groups, scores.

    Scores move within the province's limit, their total kept as the order says; the request's order must hold the digest of
    the content. Changes: disease_group, score_edit, catalog_edition.
    Raises: DataRefused with every fault by its cell, RowsStale where only versions stood in the way, WorkbookRefused, Conflict
    EDITION_NOT_DRAFT, NotFound, PolicyNotEntered.
    """
    editor.scope_for(Duty.EDIT_CATALOG)
    refuse(reason_faults(order.reason))
    table = await asyncio.to_thread(read_table, content)

    async def effect(uow: UnitOfWork) -> Answer:
        await edition_row(uow, edition_id)
        row = await catalog.edition_by_id(uow, edition_id, lock=True)
        assert row is not None
        require_draft(row)
        tables = await load_tables(uow, row.diagnosis_table_id, row.procedure_table_id)
        stored = await catalog.groups(uow, edition_id)
        held = [group_of(one) for one in stored]
        edits = await asyncio.to_thread(judge_rows, table, held, tables, score_places=row.score_decimals)
        edits.faults.extend(_clashes(held, edits, table))
        _refuse(edits)
        await _attributes(uow, edition_id, stored, edits)
        before = {group.group_code: group.score for group in held}
        wanted = {code: one.score for code, one in edits.changed.items() if one.score != before[code]}
        factor, residual, changed = "1", "0", 0
        if wanted:
            revised, faults = await revise_scores(
                uow, row, await catalog.groups(uow, edition_id), wanted, order.reason, order.total_rule
            )
            refuse([_in_cell(one, table, edits) for one in faults])
            factor, residual, changed = str(revised.factor), str(revised.residual), revised.changed
        report = await catalog.build_report(uow, edition_id)
        said = {
            "sha256": request.order["sha256"],
            "changed": len(edits.changed),
            "added": len(edits.added),
            "removed": len(edits.removed),
            "scores": len(wanted),
            "reason": order.reason.strip(),
            "day": (await uow.today()).isoformat(),
            "person": uow.scope.person_id,
        }
        report["workbooks"] = [*report.get("workbooks", ()), said]
        groups = len(held) + len(edits.added) - len(edits.removed)
        values = {"groups": groups, "build_report": report}
        if await catalog.change_edition(uow, edition_id, "draft", values) != 1:
            raise moved()
        return {
            "type": "CatalogEdition",
            "id": str(edition_id),
            "groups": groups,
            "changed": len(edits.changed),
            "added": len(edits.added),
            "removed": len(edits.removed),
            "unchanged": edits.unchanged,
            "scores_edited": len(wanted),
            "scores_moved": changed,
            "factor": factor,
            "residual": residual,
            "warning_counts": dict(sorted(Counter(one.code for one in edits.warnings).items())),
            "warnings": [asdict(one) for one in edits.warnings[:WARNINGS_MOST]],
        }

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


def _refuse(edits: WorkbookEdits) -> None:
    if edits.stale and not edits.faults:
        raise RowsStale(tuple(edits.stale[:LISTED_MOST]))
    refuse([*edits.faults, *edits.stale])


def _clashes(held: Sequence[DiseaseGroup], edits: WorkbookEdits, table: WorkbookTable) -> list[Refusal]:
    """Groups that ask for the same diagnosis and procedures once the changes are in (改动后的重复)."""
    gone = set(edits.removed)
    after = [edits.changed.get(group.group_code, group) for group in held if group.group_code not in gone] + edits.added
    keys: dict[tuple[object, ...], str] = {}
    found = []
    for group in after:
        other = keys.setdefault(distinct_key(group), group.group_code)
        if other != group.group_code:
            code = group.group_code if group.group_code in edits.rows else other
            place = table.place(edits.rows[code], "dip_code") if code in edits.rows else code
            found.append(ambiguous_key(place, group.group_code, other))
    return found


async def _attributes(uow: UnitOfWork, edition_id: uuid.UUID, stored: Sequence[Row[Any]], edits: WorkbookEdits) -> None:
    """Everything but scores of groups that were there, in their places (写入属性改动)."""
    rows = {one.group_code: one for one in stored}
    changed = []
    for code, group in edits.changed.items():
        held = rows[code]
        same_score = replace(group, score=held.score)
        if same_score != group_of(held):
            changed.append((held.ordinal, row_of(same_score, held.source, held.cases)))
    first = max((one.ordinal for one in stored), default=0) + 1
    counted = any(one.cases is not None for one in stored)
    added = [
        (first + place, row_of(group, "imported", 0 if counted else None)) for place, group in enumerate(edits.added)
    ]
    if changed or added or edits.removed:
        gone = [*edits.removed, *(values[0] for _, values in changed)]
        await catalog.replace_groups(uow, edition_id, gone, [*changed, *added])


def _in_cell(one: Refusal, table: WorkbookTable, edits: WorkbookEdits) -> Refusal:
    return replace(one, where=table.place(edits.rows[one.where], "score")) if one.where in edits.rows else one


async def annotated_copy(content: bytes, refusals: Sequence[Refusal]) -> bytes:
    """The sender's own workbook with its faults marked (带批注的原表); a CSV file comes back as a workbook.

    Raises: WorkbookRefused for one that cannot be opened or is too large to be marked.
    """
    async with _ANNOTATING:
        return await asyncio.to_thread(annotated_workbook, content, refusals)


def annotated_workbook(content: bytes, refusals: Sequence[Refusal]) -> bytes:
    """A workbook with red cells, comments and a sheet of results (批注工作簿); what the sender formatted stays."""
    table = read_table_loosely(content)
    if sum(len(line) for line in table.sheet.rows) > CELLS_MOST:
        raise WorkbookRefused(
            f"工作簿超过 {CELLS_MOST} 个单元格，不能批注。",
            f"The workbook has more than {CELLS_MOST} cells and is not marked.",
            code="WORKBOOK_TOO_LARGE_TO_MARK",
            hint="按返回的差错清单更正，或拆分后上传 / correct it by the list of faults, or send it in parts",
        )
    book = opened(content, table.format, table.sheet, SHEET)
    take_marks_off(book, RESULTS)
    _mark(book, refusals)
    _results(book, refusals)
    return workbook_bytes(book)


def read_table_loosely(content: bytes) -> WorkbookTable:
    """The rows of a workbook whose header may be at fault (读取待批注的工作簿)."""
    try:
        return read_table(content)
    except DataRefused:
        if content.startswith(b"PK\x03\x04"):
            sheets = read_workbook(content, INFLATED_MOST)
            found = next((sheet for sheet in sheets if sheet.name.strip() == SHEET), Sheet(SHEET))
            return WorkbookTable("xlsx", "", found, {})
        raise


def _mark(book: Workbook, refusals: Sequence[Refusal]) -> None:
    sheet = next((one for one in book.worksheets if one.title.strip() == SHEET), None)
    if sheet is None:
        return
    by_cell: defaultdict[tuple[str, int], list[Refusal]] = defaultdict(list)
    for one in refusals:
        found = _PLACE.fullmatch(one.where)
        if found is not None:
            by_cell[found[1], int(found[2])].append(one)
    for (column, number), listed in by_cell.items():
        cell = sheet[f"{column}{number}"]
        if not isinstance(cell, Cell):
            continue  # Inside a merged area: its fault stands in the results.
        if cell.data_type == "f":
            # What was a formula is shown as the text it was: opening the copy computes nothing.
            shown = str(getattr(cell.value, "text", cell.value))
            write_text(sheet, number, cell.column, shown)
        said = "\n".join(f"[{one.code}] {one.zh}\n→ {one.remedy_zh}\n{one.en}" for one in listed)
        mark_cell(cell, said, len(listed), is_error=True)


def _results(book: Workbook, refusals: Sequence[Refusal]) -> None:
    sheet = book.create_sheet(RESULTS)
    for at, (header, width) in enumerate(zip(_HEADERS, _WIDTHS, strict=True), start=1):
        write_text(sheet, 1, at, header).font = Font(bold=True)
        sheet.column_dimensions[letters(at - 1)].width = width
    sheet.freeze_panes = "A2"
    for number, one in enumerate(refusals, start=2):
        found = _PLACE.fullmatch(one.where)
        column, row = (found[1], found[2]) if found else ("", "")
        texts = (row, column, one.where, one.code, one.saw, one.zh, one.remedy_zh, one.en, one.remedy_en)
        for at, text in enumerate(texts, start=1):
            cell = write_text(sheet, number, at, text)
            if at == 3 and found:
                cell.hyperlink = f"#'{SHEET}'!{column}{row}"
                cell.value, cell.data_type = one.where, "s"
            if at >= 5:
                cell.alignment = Alignment(wrap_text=True, vertical="top")
