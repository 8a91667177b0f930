"""The life of a catalog edition (目录版本): draft, in review, published by a second person, never changed again."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import Row, func

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject, require_second_person
from fenzhi.rules.catalog.catalog_text import write_catalog
from fenzhi.rules.catalog.code_table_text import DIAGNOSIS, PROCEDURE
from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.edition import check_edition
from fenzhi.rules.catalog.edition_lists import CatalogStandard
from fenzhi.rules.quantities import points_decimals
from fenzhi.rules.refusals import Conflict, Refusal
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.catalog.book import edition_row, load_edition
from fenzhi.services.catalog.faults import document_faults, fault, moved, reason_faults, refuse, require_draft
from fenzhi.services.catalog.regroup_tasks import RuleChange, open_tasks
from fenzhi.services.events.notices import tell_of_edition
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork, new_id

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", re.ASCII)
SCALE_MOST = 1_000_000
SCORE_DECIMALS_MOST = 6


@dataclass(frozen=True, slots=True)
class NewEdition:
    """An order for an empty draft (新建目录草稿)."""

    code: str
    title: str
    effective_from: date
    scale: int
    score_decimals: int
    diagnosis_table: str
    """Version of the diagnosis table."""
    procedure_table: str
    document: str
    is_constructed: bool = False
    standard: CatalogStandard = CatalogStandard.V2
    """Whose rules of grouping the edition follows."""


def _faults(order: NewEdition) -> list[Refusal]:
    found = document_faults(order.document)
    checks: Iterable[tuple[bool, str, str, object, tuple[str, str]]] = (
        (
            bool(_CODE.fullmatch(order.code)),
            "EDITION_CODE_SHAPE",
            "code",
            order.code,
            ("版本编码须为 1 至 60 位字母、数字、点、连字符。", "A code has 1 to 60 letters, digits, dots, hyphens."),
        ),
        (
            1 <= len(order.title.strip()) <= 200,
            "EDITION_TITLE_SHAPE",
            "title",
            order.title,
            ("名称须为 1 至 200 字。", "A title has 1 to 200 characters."),
        ),
        (
            1 <= order.scale <= SCALE_MOST,
            "EDITION_SCALE_RANGE",
            "scale",
            order.scale,
            (f"分值基数须为 1 至 {SCALE_MOST}。", f"The scale lies between 1 and {SCALE_MOST}."),
        ),
        (
            0 <= order.score_decimals <= SCORE_DECIMALS_MOST,
            "SCORE_DECIMALS_RANGE",
            "scoreDecimals",
            order.score_decimals,
            (
                f"分值小数位须为 0 至 {SCORE_DECIMALS_MOST}。",
                f"Scores have 0 to {SCORE_DECIMALS_MOST} decimals.",
            ),
        ),
    )
    for holds, code, where, saw, why in checks:
        if not holds:
            found.append(fault((code, where, str(saw)), why, ("更正后重试。", "Correct it and try again.")))
    return found


async def draft_edition(platform: Platform, editor: Subject, request: Request, order: NewEdition) -> Answer:
    """Open an empty draft read against two imported code tables (新建目录草稿).

    Changes: catalog_edition. Raises: DataRefused; Conflict EDITION_EXISTS for a code already used.
    """
    editor.scope_for(Duty.EDIT_CATALOG)
    refuse(_faults(order))

    async def effect(uow: UnitOfWork) -> Answer:
        diagnoses = await catalog.code_table_named(uow, DIAGNOSIS, order.diagnosis_table)
        procedures = await catalog.code_table_named(uow, PROCEDURE, order.procedure_table)
        missing = []
        for where, version, table in (
            ("diagnosisTable", order.diagnosis_table, diagnoses),
            ("procedureTable", order.procedure_table, procedures),
        ):
            if table is None:
                missing.append(
                    fault(
                        ("CODE_TABLE_NOT_FOUND", where, version),
                        ("没有该版本的代码表。", "No code table of this version."),
                        ("先导入代码表，再引用其版本号。", "Import the code table first and name its version."),
                    )
                )
        refuse(missing)
        assert diagnoses is not None and procedures is not None
        if await catalog.edition_by_code(uow, order.code) is not None:
            raise Conflict(
                f"目录版本编码 {order.code} 已被使用。",
                f"The edition code {order.code} is taken.",
                code="EDITION_EXISTS",
            )
        edition_id = new_id()
        await catalog.add_edition(
            uow,
            {
                "edition_id": edition_id,
                "code": order.code,
                "title": order.title.strip(),
                "state": "draft",
                "effective_from": order.effective_from,
                "scale": order.scale,
                "points_decimals": points_decimals(order.scale),
                "score_decimals": order.score_decimals,
                "diagnosis_table_id": diagnoses.code_table_id,
                "procedure_table_id": procedures.code_table_id,
                "document": order.document.strip(),
                "is_constructed": order.is_constructed,
                "standard": order.standard.value,
                "groups": 0,
                "build_report": {},
                "drafted_by": uuid.UUID(uow.scope.account_id),
                "drafted_by_person": uuid.UUID(uow.scope.person_id),
            },
        )
        return {"type": "CatalogEdition", "id": str(edition_id)}

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


async def submit_edition(platform: Platform, editor: Subject, request: Request, edition_id: uuid.UUID) -> Answer:
    """Hand a draft over for review (送审). From here on its groups may not be changed.

    Raises: DataRefused with every fault of the edition, Conflict EDITION_NOT_DRAFT, NotFound.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        row = await _locked(uow, edition_id)
        require_draft(row)
        await _within_local_share(uow, row, await _checked(uow, row))
        if await catalog.change_edition(uow, edition_id, "draft", {"state": "in_review"}) != 1:
            raise moved()
        return {"type": "CatalogEdition", "id": str(edition_id)}

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


async def reject_edition(
    platform: Platform, approver: Subject, request: Request, edition_id: uuid.UUID, reason: str
) -> Answer:
    """Send an edition in review back to its editors, with a reason (退回草稿).

    Raises: Conflict EDITION_NOT_IN_REVIEW, NotFound, DataRefused.
    """
    approver.scope_for(Duty.APPROVE_CATALOG)
    refuse(reason_faults(reason))

    async def effect(uow: UnitOfWork) -> Answer:
        row = await _locked(uow, edition_id)
        _require_in_review(row)
        report = await catalog.build_report(uow, edition_id)
        said = {"reason": reason.strip(), "person": uow.scope.person_id, "day": (await uow.today()).isoformat()}
        report["rejections"] = [*report.get("rejections", ()), said]
        values = {"state": "draft", "build_report": report}
        if await catalog.change_edition(uow, edition_id, "in_review", values) != 1:
            raise moved()
        return {"type": "CatalogEdition", "id": str(edition_id)}

    return await act(platform, approver, Duty.APPROVE_CATALOG, request, effect)


async def publish_edition(platform: Platform, approver: Subject, request: Request, edition_id: uuid.UUID) -> Answer:
    """Publish an edition as a second person (发布目录). It is in force from its effective date until the next one begins.

    The edition before it ends the day before; where a later one is published already, this one ends the day before that.
    Where it follows another, every city has a year to regroup. Changes: catalog_edition, regroup_task. Raises: SamePerson for whoever drafted it or edited its scores, Conflict
    EDITION_NOT_IN_REVIEW, EDITION_SAME_DAY, NotFound, DataRefused.
    """

    async def effect(uow: UnitOfWork) -> Answer:
        published = await catalog.lock_publishing(uow)
        row = await _locked(uow, edition_id)
        _require_in_review(row)
        require_second_person(str(row.drafted_by_person), uow.scope.person_id)
        for person in {edit.edited_by_person for edit in await catalog.score_edits(uow, edition_id)}:
            require_second_person(str(person), uow.scope.person_id)
        groups = await _checked(uow, row)
        before, effective_to = _place(row, published)
        if before is not None:
            ends = {"effective_to": row.effective_from - timedelta(days=1)}
            if await catalog.change_edition(uow, before.edition_id, "published", ends) != 1:
                raise moved()
        values = {
            "state": "published",
            "effective_to": effective_to,
            "content_sha256": await _content_sha256(uow, row, groups),
            "published_by": uuid.UUID(uow.scope.account_id),
            "published_by_person": uuid.UUID(uow.scope.person_id),
            "published_at": func.now(),
        }
        if await catalog.change_edition(uow, edition_id, "in_review", values) != 1:
            raise moved()
        if before is not None:
            await open_tasks(uow, RuleChange("edition", edition_id, edition_id, row.effective_from, row.document))
        await tell_of_edition(uow, row)
        return {"type": "CatalogEdition", "id": str(edition_id)}

    return await act(platform, approver, Duty.APPROVE_CATALOG, request, effect)


def _place(row: Row[Any], published: Sequence[Row[Any]]) -> tuple[Row[Any] | None, date | None]:
    """The edition this one ends, and the last day of this one, so that ranges neither overlap nor leave a gap."""
    earlier = [one for one in published if one.effective_from < row.effective_from]
    later = [one for one in published if one.effective_from > row.effective_from]
    if len(earlier) + len(later) != len(published):
        raise Conflict(
            f"{row.effective_from.isoformat()} 已有生效的目录版本。",
            f"Another published edition takes effect on {row.effective_from.isoformat()}.",
            code="EDITION_SAME_DAY",
            hint="另定生效日期后重新编制 / draft it with another effective date",
        )
    return (earlier[-1] if earlier else None), (later[0].effective_from - timedelta(days=1) if later else None)


async def _locked(uow: UnitOfWork, edition_id: uuid.UUID) -> Row[Any]:
    await edition_row(uow, edition_id)
    row = await catalog.edition_by_id(uow, edition_id, lock=True)
    assert row is not None
    return row


def _require_in_review(row: Row[Any]) -> None:
    if row.state != "in_review":
        raise Conflict(
            f"目录版本不在审核中（当前状态 {row.state}）。",
            f"The edition is not in review ({row.state}).",
            code="EDITION_NOT_IN_REVIEW",
        )


async def _checked(uow: UnitOfWork, row: Row[Any]) -> tuple[DiseaseGroup, ...]:
    """The groups of an edition that may be published. Raises: DataRefused."""
    edition = await load_edition(uow, row)
    faults = list(check_edition(edition))
    if not edition.groups:
        faults.append(
            fault(
                ("EDITION_EMPTY", "groups", "0"),
                ("目录没有病种。", "The edition has no groups."),
                ("先导入或测算病种。", "Import or build groups first."),
            )
        )
    refuse(faults)
    return edition.groups


async def _within_local_share(uow: UnitOfWork, row: Row[Any], groups: Sequence[DiseaseGroup]) -> None:
    """Raises: DataRefused when local additions are a larger share of the groups than policy allows (地方新增占比)."""
    local = sum(group.local_addition for group in groups)
    if not local:
        return
    limit = (await resolved_policy(uow, row.effective_from)).optional_fraction("catalog.local_addition_share_limit")
    if limit is not None and Fraction(local, len(groups)) > limit:
        refuse(
            [
                fault(
                    ("LOCAL_ADDITIONS_SHARE", "groups", f"{local} / {len(groups)}"),
                    (
                        f"地方新增病种 {local} 个，占比超过限度 {limit}。",
                        f"{local} groups are local additions, a larger share than {limit}.",
                    ),
                    ("减少地方新增病种，或改用国家病种。", "Take some out, or use national groups."),
                )
            ]
        )


async def _content_sha256(uow: UnitOfWork, row: Row[Any], groups: Sequence[DiseaseGroup]) -> bytes:
    """The digest of what the edition says: scale, places, code tables, lists, subtypes, groups in byte order of their codes (目录指纹)."""
    tables = []
    for table_id in (row.diagnosis_table_id, row.procedure_table_id):
        table = await catalog.code_table_by_id(uow, table_id)
        assert table is not None
        tables.append(bytes(table.content_sha256).hex())
    head: dict[str, Any] = {"scale": row.scale, "score_decimals": row.score_decimals, "code_tables": tables}
    lists = [[one.list, one.code, one.scope] for one in await catalog.lists_of(uow, row.edition_id)]
    subtypes = [
        [one.group_code, one.dimension, one.subtype, str(one.coefficient)]
        for one in await catalog.subtypes_of(uow, row.edition_id)
    ]
    # Editions of the plain kind keep the digest they always had.
    if row.standard != CatalogStandard.V2 or lists or subtypes:
        head |= {"standard": row.standard, "lists": lists, "subtypes": subtypes}
    text = write_catalog(sorted(groups, key=lambda group: group.group_code.encode()))
    return hashlib.sha256(json.dumps(head, sort_keys=True).encode() + b"\n" + text).digest()
