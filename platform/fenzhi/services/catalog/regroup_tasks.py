"""What a rule change leaves to do (重新入组任务): each city regroups the last whole year within a month, visibly."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Row

from fenzhi.access.roles import Duty, TenantKind
from fenzhi.access.subject import Subject
from fenzhi.rules.policy.resolved import ResolvedPolicy
from fenzhi.services.acts import Platform, looking
from fenzhi.services.policy.resolution import resolved_policy
from fenzhi.store.repositories import regrouping
from fenzhi.store.session import UnitOfWork, new_id

DAYS = 30
SEES_REGROUPINGS = (TenantKind.PROVINCE, TenantKind.CITY)


@dataclass(frozen=True, slots=True)
class RuleChange:
    """An edition published or taken back, or a choice of grouping replaced (规则变更)."""

    cause: str
    cause_id: uuid.UUID
    edition_id: uuid.UUID | None
    """The edition to regroup under; None leaves it open."""
    rule_from: date
    document: str


async def open_tasks(uow: UnitOfWork, change: RuleChange) -> None:
    """Open a regroup task for every city that the change concerns (开启重新入组任务), in the transaction of the change.

    The year is the last whole one before the rule begins, or before today where it begins later. Days: policy `catalog.regroup_days`,
    30 where nobody entered one. Changes: regroup_task.
    """
    scope = uow.scope
    areas: Sequence[int] = scope.area_ids if scope.area_id is None else (scope.area,)
    if not areas:
        return
    today = await uow.today()
    days = _days(await resolved_policy(uow, today, area_id=areas[0]))
    await regrouping.open_tasks(
        uow,
        [
            {
                "task_id": new_id(),
                "area_id": area,
                "cause": change.cause,
                "cause_id": change.cause_id,
                "edition_id": change.edition_id,
                "rule_from": change.rule_from,
                "year": min(change.rule_from, today).year - 1,
                "document": change.document,
                "opened_on": today,
                "due_on": today + timedelta(days=days),
            }
            for area in areas
        ],
    )


def _days(policy: ResolvedPolicy) -> int:
    return policy.integer("catalog.regroup_days") if policy.has("catalog.regroup_days") else DAYS


@dataclass(frozen=True, slots=True)
class RegroupTaskView:
    """A task as of today (重新入组任务). `state`: open, overdue, done, done_late."""

    task_id: uuid.UUID
    area_code: str
    cause: str
    edition_code: str | None
    rule_from: date
    year: int
    document: str
    opened_on: date
    due_on: date
    done_on: date | None
    regrouping_id: uuid.UUID | None
    state: str


def state_of(due_on: date, done_on: date | None, today: date) -> str:
    """open, overdue, done or done_late (任务状态); the due day itself is in time."""
    if done_on is not None:
        return "done" if done_on <= due_on else "done_late"
    return "open" if today <= due_on else "overdue"


async def page(platform: Platform, subject: Subject, after: uuid.UUID | None, limit: int) -> Sequence[RegroupTaskView]:
    """Tasks of the subject's cities, newest first (重新入组任务): for province and city."""
    if subject.tenant_kind not in SEES_REGROUPINGS:
        return []
    async with looking(platform, subject, Duty.READ_CATALOG) as uow:
        today = await uow.today()
        return [_view(row, today) for row in await regrouping.tasks(uow, after, limit)]


def _view(row: Row[Any], today: date) -> RegroupTaskView:
    return RegroupTaskView(
        task_id=row.task_id,
        area_code=row.area_code,
        cause=row.cause,
        edition_code=row.edition_code,
        rule_from=row.rule_from,
        year=row.year,
        document=row.document,
        opened_on=row.opened_on,
        due_on=row.due_on,
        done_on=row.done_on,
        regrouping_id=row.regrouping_id,
        state=state_of(row.due_on, row.done_on, today),
    )
