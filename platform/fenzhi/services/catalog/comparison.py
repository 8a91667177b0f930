"""Editions compared and looked through (目录比较与检查): diff of two, lint of one, lint of a city's overlay."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty
from fenzhi.access.subject import Subject
from fenzhi.rules.catalog.disease_group import DiseaseGroup
from fenzhi.rules.catalog.edition_diff import EditionDiff, diff_editions
from fenzhi.rules.catalog.lint import LintFinding, lint_groups
from fenzhi.rules.catalog.overlay_lint import lint_overlay
from fenzhi.rules.refusals import NotFound
from fenzhi.services.acts import Platform, looking
from fenzhi.services.catalog.book import edition_not_found, edition_row, load_edition
from fenzhi.services.catalog.lookups import sees_edition
from fenzhi.services.policy.methods import grouping_method_of
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import catalog
from fenzhi.store.session import UnitOfWork


@dataclass(frozen=True, slots=True)
class ComparedEditions:
    """Two editions and how they differ (版本差异)."""

    before_code: str
    diff: EditionDiff


async def edition_diff(
    platform: Platform, subject: Subject, edition_id: uuid.UUID, earlier_code: str | None
) -> ComparedEditions | None:
    """An edition against another by code, or against the one in force the day before it begins (版本差异).

    None where there is no such earlier edition. Raises: Forbidden, NotFound.
    """
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await _seen(uow, subject, edition_id)
        if earlier_code is None:
            earlier = await catalog.edition_in_force(uow, row.effective_from - timedelta(days=1))
        else:
            earlier = await catalog.edition_by_code(uow, earlier_code)
        if earlier is None or not sees_edition(subject, earlier.state):
            return None
        after, before = await load_edition(uow, row), await load_edition(uow, earlier)
    return ComparedEditions(earlier.code, await asyncio.to_thread(diff_editions, before.groups, after.groups))


async def edition_lint(platform: Platform, subject: Subject, edition_id: uuid.UUID) -> Sequence[LintFinding]:
    """Findings about an edition, by the grouping method of who asks (目录检查): a city's own, or the province's.

    Raises: Forbidden, NotFound, PolicyNotEntered for a grouping choice nobody entered.
    """
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        row = await _seen(uow, subject, edition_id)
        method = grouping_method_of(await resolved_policy(uow, row.effective_from))
        edition = await load_edition(uow, row)
    return await asyncio.to_thread(lint_groups, edition.groups, edition.tables, method)


async def overlay_lint(platform: Platform, subject: Subject, overlay_id: uuid.UUID) -> Sequence[LintFinding]:
    """Findings about a city's overlay (市级调整检查): rows of the province changed, limits broken, groups unknown, order upset.

    Raises: Forbidden, NotFound, PolicyNotEntered.
    """
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        overlay = await catalog.overlay_by_id(uow, overlay_id)
        if overlay is None:
            raise NotFound("没有该市级调整。", "No such overlay.", code="OVERLAY_NOT_FOUND")
        row = await _seen(uow, subject, overlay.edition_id)
        policy = await resolved_policy(uow, overlay.effective_from)
        limit = policy.decimal("catalog.overlay_score_limit_ratio")
        edition = await load_edition(uow, row)
        scores = {
            one.group_code: one.score for one in await catalog.overlay_scores(uow, overlay.area_id, overlay.overlay_id)
        }
        method = grouping_method_of(policy)
    asked = {code: Decimal(said) for code, said in (overlay.working or {}).get("asked", {}).items()}

    def look() -> Sequence[LintFinding]:
        own = lint_overlay(edition.groups, scores, asked, limit)
        laid = [_laid(group, scores) for group in edition.groups]
        before = {(one.code, one.group_code, one.other) for one in lint_groups(edition.groups, edition.tables, method)}
        after = lint_groups(laid, edition.tables, method)
        return [*own, *(one for one in after if (one.code, one.group_code, one.other) not in before)]

    return await asyncio.to_thread(look)


def _laid(group: DiseaseGroup, scores: dict[str, Decimal]) -> DiseaseGroup:
    return replace(group, score=scores.get(group.group_code, group.score))


async def _seen(uow: UnitOfWork, subject: Subject, edition_id: uuid.UUID) -> Row[Any]:
    row = await edition_row(uow, edition_id)
    if not sees_edition(subject, row.state):
        raise edition_not_found()
    return row
