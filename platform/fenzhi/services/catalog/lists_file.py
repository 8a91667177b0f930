"""The lists and auxiliary subtypes of a draft as files (目录附表与辅助目录的导入导出): in whole or not at all, out in order of their codes."""

from __future__ import annotations

import csv
import hashlib
import io
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.catalog.edition_lists import LIST_COLUMNS, read_lists
from fenzhi.rules.refusals import Refusal
from fenzhi.rules.scoring.auxiliary_choice import SUBTYPE_COLUMNS, read_subtypes
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.catalog.book import edition_not_found, edition_row
from fenzhi.services.catalog.faults import moved, refuse, require_draft
from fenzhi.services.catalog.lookups import sees_edition
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork


async def put_lists(
    platform: Platform, editor: Subject, request: Request, edition_id: uuid.UUID, content: bytes
) -> Answer:
    """Read the lists of a draft anew (导入目录附表): columns list, code, scope. The old ones go.

    Changes: edition_list, catalog_edition. Raises: DataRefused with every fault, Conflict EDITION_NOT_DRAFT, NotFound.
    """
    rows, faults = read_lists(content)
    counts = dict(sorted(Counter(row[0] for row in rows).items()))
    return await _put(
        platform,
        editor,
        request,
        edition_id,
        content,
        "lists",
        faults,
        counts,
        lambda uow: catalog.replace_lists(uow, edition_id, rows),
    )


async def put_subtypes(
    platform: Platform, editor: Subject, request: Request, edition_id: uuid.UUID, content: bytes
) -> Answer:
    """Read the auxiliary subtypes of a draft anew (导入辅助目录): columns group_code, dimension, subtype, coefficient.

    Refuses a group the draft does not have. Changes: auxiliary_subtype, catalog_edition. Raises: as `put_lists`.
    """
    rows, faults = read_subtypes(content)
    async with looking(platform, editor, Duty.EDIT_CATALOG) as uow:
        await edition_row(uow, edition_id)
        known = {row.group_code for row in await catalog.groups(uow, edition_id)}
    found = list(faults)
    for group in sorted({row[0] for row in rows} - known):
        found.append(
            Refusal(
                "subtype_group_unknown",
                "group_code",
                group,
                "目录草稿中没有该病种。",
                "The draft has no such group.",
                "先导入病种，或更正病种编码。",
                "Import the group first, or correct the code.",
            )
        )
    counts = dict(sorted(Counter(row[1] for row in rows).items()))
    return await _put(
        platform,
        editor,
        request,
        edition_id,
        content,
        "subtypes",
        found,
        counts,
        lambda uow: catalog.replace_subtypes(uow, edition_id, rows),
    )


async def _put(
    platform: Platform,
    editor: Subject,
    request: Request,
    edition_id: uuid.UUID,
    content: bytes,
    what: str,
    faults: Sequence[Refusal],
    counts: dict[str, int],
    store: Callable[[UnitOfWork], Any],
) -> Answer:
    async def effect(uow: UnitOfWork) -> Answer:
        await edition_row(uow, edition_id)
        row = await catalog.edition_by_id(uow, edition_id, lock=True)
        assert row is not None
        require_draft(row)
        refuse(list(faults))
        rows = await store(uow)
        report = await catalog.build_report(uow, edition_id)
        report[what] = {"sha256": hashlib.sha256(content).hexdigest(), "rows": rows, "counts": counts}
        if await catalog.change_edition(uow, edition_id, "draft", {"build_report": report}) != 1:
            raise moved()
        return {"type": "CatalogEdition", "id": str(edition_id), "rows": rows, "counts": counts}

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


async def export_lists(platform: Platform, subject: Subject, edition_id: uuid.UUID) -> tuple[str, bytes]:
    """The code of an edition and its lists as a file (导出目录附表). Raises: NotFound."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await edition_row(uow, edition_id)
        if not sees_edition(subject, row.state):
            raise edition_not_found()
        rows = [(one.list, one.code, one.scope) for one in await catalog.lists_of(uow, edition_id)]
    return row.code, _csv(LIST_COLUMNS, rows)


async def export_subtypes(platform: Platform, subject: Subject, edition_id: uuid.UUID) -> tuple[str, bytes]:
    """The code of an edition and its auxiliary subtypes as a file (导出辅助目录). Raises: NotFound."""
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await edition_row(uow, edition_id)
        if not sees_edition(subject, row.state):
            raise edition_not_found()
        found = await catalog.subtypes_of(uow, edition_id)
    return row.code, _csv(
        SUBTYPE_COLUMNS,
        [(one.group_code, one.dimension, one.subtype, format(Decimal(one.coefficient), "f")) for one in found],
    )


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()
