"""What an edition would do before it is published (发布前影响预演): a year's cases under it and under the edition in force.

A point here is a group's score: coefficients and outliers come later in the chain and are the same on both sides. Beside each edition stand
the area's provisional groups that speak then: beside the one before on its last day, beside the draft on its first.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from fenzhi.access.roles import Duty, TenantKind
from fenzhi.access.subject import Subject
from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.catalog.edition import Edition
from fenzhi.rules.grouping.catalog_book import CatalogBook
from fenzhi.rules.grouping.grouping_method import GroupingMethod
from fenzhi.rules.grouping.provisional_groups import ProvisionalGroup
from fenzhi.rules.refusals import Conflict
from fenzhi.services.acts import Answer, Platform, Request, act, looking
from fenzhi.services.catalog.book import edition_row, load_edition
from fenzhi.services.catalog.faults import fault, refuse
from fenzhi.services.catalog.history_grouping import EqualCases, group_equal_cases
from fenzhi.services.catalog.provisional_in_force import approved_groups, in_force
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.policy.methods import grouping_method_of
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import catalog, catalog_desk, registry
from fenzhi.store.session import UnitOfWork

PREVIEW_JOB = "catalog.preview"


@dataclass(frozen=True, slots=True)
class PreviewView:
    """One hospital at one level (预演结果). Points are score × cases; `moved` cases change their group."""

    hospital_code: str
    level: str
    cases: int
    moved: int
    grouped_before: int
    grouped_after: int
    points_before: Decimal
    points_after: Decimal


async def start_preview(
    platform: Platform, editor: Subject, request: Request, edition_id: uuid.UUID, year: int
) -> Answer:
    """Want the preview of a draft or an edition in review (发起影响预演).

    Changes: job. Raises: DataRefused, NotFound, Conflict EDITION_PUBLISHED_ALREADY, NO_EDITION_BEFORE.
    """
    editor.scope_for(Duty.EDIT_CATALOG)
    if not 2000 <= year <= 2099:
        refuse(
            [
                fault(
                    ("PREVIEW_YEAR", "year", str(year)),
                    ("年份须为 2000 至 2099。", "The year lies between 2000 and 2099."),
                    ("填写有历史病例的年份。", "Give a year with history."),
                )
            ]
        )

    async def effect(uow: UnitOfWork) -> Answer:
        row = await edition_row(uow, edition_id)
        _require_unpublished(row.state)
        await _before(uow, row)
        job_id = await enqueue(uow, platform.doorbell, PREVIEW_JOB, {"edition_id": str(edition_id), "year": year})
        return {"type": "Job", "id": str(job_id)}

    return await act(platform, editor, Duty.EDIT_CATALOG, request, effect)


def _require_unpublished(state: str) -> None:
    if state not in ("draft", "in_review"):
        raise Conflict(
            "预演只用于尚未发布的版本。",
            "A preview is of an edition not published yet.",
            code="EDITION_PUBLISHED_ALREADY",
            hint="另起草下一版后预演 / draft the next edition and preview that",
        )


async def _before(uow: UnitOfWork, row: Any) -> Any:
    before = await catalog.edition_in_force(uow, row.effective_from - timedelta(days=1))
    if before is None:
        raise Conflict(
            "该版本之前没有已发布的版本，无从比较。",
            "No published edition stands before it: there is nothing to compare with.",
            code="NO_EDITION_BEFORE",
            hint="首版无须预演 / a first edition needs no preview",
        )
    return before


async def preview(job: JobInHand) -> None:
    """Group a year's history under both editions and add up (影响预演). Job kind `catalog.preview`, province scope.

    Changes: preview_row, append-only; earlier previews stay. Refuses: NO_HISTORY, EDITION_PUBLISHED_ALREADY, PolicyNotEntered.
    """
    edition_id, year = uuid.UUID(job.payload["edition_id"]), int(job.payload["year"])
    async with job.reading() as uow:
        row = await edition_row(uow, edition_id)
        _require_unpublished(row.state)
        row_before = await _before(uow, row)
        before, after = await load_edition(uow, row_before), await load_edition(uow, row)
        rows = await catalog_desk.history_by_hospital(uow, uow.scope.area_ids, year)
        methods = {
            area: grouping_method_of(await resolved_policy(uow, row.effective_from, area_id=area))
            for area in sorted({one.area_id for one in rows})
        }
        approved = {area: await approved_groups(uow, area) for area in methods}
        last_day, first_day = row.effective_from - timedelta(days=1), row.effective_from
        beside = (
            {area: in_force(groups, last_day, row_before.scale) for area, groups in approved.items()},
            {area: in_force(groups, first_day, row.scale) for area, groups in approved.items()},
        )
    if not rows:
        raise Conflict(f"{year} 年没有可用的历史病例。", f"There is no usable history of {year}.", code="NO_HISTORY")
    await job.progress(1, 3)
    limit = job.platform.memory_limit_mb
    found = await asyncio.to_thread(_compare, rows, (before, after), methods, beside, limit)
    await job.progress(2, 3)
    result: dict[str, Any] = {"edition_id": str(edition_id), "year": year, "rows": len(found)}
    async with job.finishing(result) as uow:
        await edition_row(uow, edition_id)
        await catalog_desk.add_preview(
            uow,
            ((job.claimed.job_id, edition_id, year, *place, *numbers) for place, numbers in sorted(found.items())),
        )


def _compare(
    rows: Sequence[Any],
    editions: tuple[Edition, Edition],
    methods: Mapping[int, GroupingMethod],
    beside: tuple[Mapping[int, Sequence[ProvisionalGroup]], Mapping[int, Sequence[ProvisionalGroup]]],
    memory_limit_mb: int,
) -> dict[tuple[int, int, str], list[Any]]:
    """(area, hospital, level) → cases, moved, grouped before and after, points before and after."""
    cases = [
        EqualCases(one.area_id, one.principal or "", tuple(one.procedures), 0, one.level, int(one.n), 0, 0, 0, 0, 0)
        for one in rows
    ]
    old, new = (
        group_equal_cases(cases, CatalogBook(edition), methods, memory_limit_mb=memory_limit_mb, beside=groups)
        for edition, groups in zip(editions, beside, strict=True)
    )
    old_scores, new_scores = (_scores(edition, groups) for edition, groups in zip(editions, beside, strict=True))
    found: dict[tuple[int, int, str], list[Any]] = {}
    for row, one, was, now in zip(rows, cases, old, new, strict=True):
        held = found.setdefault((row.area_id, row.hospital_id, row.level), [0, 0, 0, 0, Decimal(0), Decimal(0)])
        held[0] += one.n
        held[1] += one.n if was != now else 0
        if was is not None:
            held[2] += one.n
            held[4] += old_scores[row.area_id][was] * one.n
        if now is not None:
            held[3] += one.n
            held[5] += new_scores[row.area_id][now] * one.n
    return found


def _scores(edition: Edition, beside: Mapping[int, Sequence[ProvisionalGroup]]) -> dict[int, dict[str, Decimal]]:
    """Area → group code → score, of the edition and of the area's provisional groups."""
    published = {one.group_code: one.score for one in edition.groups if one.score is not None}
    return {area: published | {one.group_code: one.score for one in groups} for area, groups in beside.items()}


async def latest_preview(platform: Platform, subject: Subject, edition_id: uuid.UUID) -> Sequence[PreviewView]:
    """The latest preview of an edition by hospital and level (影响预演结果): for the province's eyes."""
    if subject.tenant_kind is not TenantKind.PROVINCE:
        return []
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        rows = await catalog_desk.latest_preview(uow, edition_id)
        codes = await registry.hospital_codes(uow, sorted({one.hospital_id for one in rows})) if rows else {}
        return [
            PreviewView(
                codes.get(one.hospital_id, str(one.hospital_id)),
                one.level,
                one.cases,
                one.moved,
                one.grouped_before,
                one.grouped_after,
                one.points_before,
                one.points_after,
            )
            for one in rows
        ]
