"""Reference costs of an area (参照费用): last year's history grouped under an edition, per group and hospital level."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.outbox.jobs import enqueue
from fenzhi.rules.refusals import Conflict
from fenzhi.services.acts import Answer, Platform, Request, act
from fenzhi.services.catalog.book import edition_row, load_book
from fenzhi.services.catalog.faults import fault, refuse
from fenzhi.services.catalog.history_grouping import EqualCases, equal_cases, group_equal_cases
from fenzhi.services.jobs.execution import JobInHand
from fenzhi.services.policy.methods import grouping_method_of
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork

REFERENCE_JOB = "catalog.reference_costs"


async def start_reference_costs(
    platform: Platform, clerk: Subject, request: Request, edition_id: uuid.UUID, year: int
) -> Answer:
    """Want the area's reference costs of a year under a published edition (计算参照费用).

    Changes: job. Raises: Conflict REFERENCE_COSTS_PRESENT when they are there already, EDITION_NOT_PUBLISHED, NotFound,
    PolicyNotEntered for a grouping choice nobody entered, DataRefused.
    """
    clerk.scope_for(Duty.IMPORT_HISTORY)
    if not 2000 <= year <= 2099:
        refuse(
            [
                fault(
                    ("REFERENCE_YEAR", "year", str(year)),
                    ("年份须为 2000 至 2099。", "The year lies between 2000 and 2099."),
                    ("填写结算年度的上一年。", "Give the year before the settlement year."),
                )
            ]
        )

    async def effect(uow: UnitOfWork) -> Answer:
        await _require_absent(uow, edition_id, year)
        row = await edition_row(uow, edition_id)
        grouping_method_of(await resolved_policy(uow, row.effective_from))
        job_id = await enqueue(uow, platform.doorbell, REFERENCE_JOB, {"edition_id": str(edition_id), "year": year})
        return {"type": "Job", "id": str(job_id)}

    return await act(platform, clerk, Duty.IMPORT_HISTORY, request, effect)


async def _require_absent(uow: UnitOfWork, edition_id: uuid.UUID, year: int) -> None:
    row = await edition_row(uow, edition_id)
    if row.state != "published":
        raise Conflict("目录版本尚未发布。", "The edition is not published.", code="EDITION_NOT_PUBLISHED")
    if await catalog.has_reference_costs(uow, edition_id, year):
        raise Conflict(
            f"{year} 年在该目录版本下的参照费用已计算。",
            f"The reference costs of {year} under this edition were computed already.",
            code="REFERENCE_COSTS_PRESENT",
        )


async def compute_reference_costs(job: JobInHand) -> None:
    """Group the year's history and sum it per group and level (计算参照费用). Job kind `catalog.reference_costs`.

    Level '' holds all levels. Ungrouped discharges count nowhere. Changes: reference_cost, append-only.
    Refuses: NO_HISTORY, REFERENCE_COSTS_PRESENT, PolicyNotEntered. Effect and end of the job commit together.
    """
    edition_id = uuid.UUID(job.payload["edition_id"])
    year = int(job.payload["year"])
    async with job.reading() as uow:
        await _require_absent(uow, edition_id, year)
        row = await edition_row(uow, edition_id)
        method = grouping_method_of(await resolved_policy(uow, row.effective_from))
        book = await load_book(uow, edition_id)
        cases = equal_cases(await catalog.history_sums(uow, [uow.scope.area], [year]))
        area = uow.scope.area
    if not cases:
        raise Conflict(
            f"{year} 年没有可用的历史病例。",
            f"There is no usable history of {year}.",
            code="NO_HISTORY",
            hint="先导入历史病例 / import the history first",
        )
    await job.progress(1, 2)
    codes = await asyncio.to_thread(
        group_equal_cases, cases, book, {area: method}, memory_limit_mb=job.platform.memory_limit_mb
    )
    sums = _sums(cases, codes)
    result: dict[str, Any] = {
        "edition_id": str(edition_id),
        "year": year,
        "rows": len(sums),
        "cases": sum(one.n for one in cases),
        "grouped": sum(one.n for one, code in zip(cases, codes, strict=True) if code is not None),
    }
    async with job.finishing(result) as uow:
        if not await uow.try_lock(f"catalog.reference_costs\x1f{area}\x1f{edition_id}\x1f{year}"):
            raise Conflict("另一作业正在计算。", "Another job is computing them.", code="REFERENCE_COSTS_PRESENT")
        await _require_absent(uow, edition_id, year)
        await catalog.add_reference_costs(uow, _rows(edition_id, year, sums))


def _sums(cases: Sequence[EqualCases], codes: Sequence[str | None]) -> dict[tuple[str, str], list[int]]:
    """(group, level) → [cases, fen, days]; level '' is all levels."""
    sums: dict[tuple[str, str], list[int]] = {}
    for one, code in zip(cases, codes, strict=True):
        if code is None:
            continue
        for level in dict.fromkeys((one.level, "")):
            held = sums.setdefault((code, level), [0, 0, 0])
            held[0] += one.n
            held[1] += one.total_fen
            held[2] += one.los_days
    return sums


def _rows(edition_id: uuid.UUID, year: int, sums: dict[tuple[str, str], list[int]]) -> Iterator[tuple[Any, ...]]:
    for (code, level), (n, total_fen, los_days) in sorted(sums.items()):
        yield edition_id, year, code, level, n, total_fen, los_days
