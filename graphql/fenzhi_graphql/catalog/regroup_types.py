"""Regroupings and their tasks as the API shows them (重新入组)."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry

from fenzhi.services.catalog import regrouping
from fenzhi.services.catalog.regroup_tasks import RegroupTaskView
from fenzhi.services.catalog.regrouping import RegroupingView, ReplayView
from fenzhi_graphql.context import Info
from fenzhi_graphql.fund.types import Insurance, PoolScope
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id, page_size
from fenzhi_graphql.scalars import ExactDecimal


def _exact(value: Any) -> ExactDecimal:
    return ExactDecimal(Decimal(value))


@strawberry.enum(description="What changed (规则变更事由).")
class RuleChangeCause(Enum):
    EDITION = strawberry.enum_value("edition", description="An edition was published (发布目录).")
    WITHDRAWAL = strawberry.enum_value("withdrawal", description="An edition was taken back (撤回目录).")
    POLICY = strawberry.enum_value("policy", description="A choice of grouping was replaced (入组口径变更).")


@strawberry.enum(description="A regroup task as of today (任务状态).")
class RegroupTaskState(Enum):
    OPEN = strawberry.enum_value("open", description="To be done, in time (待办).")
    OVERDUE = strawberry.enum_value("overdue", description="To be done, its day is past (逾期未办).")
    DONE = strawberry.enum_value("done", description="Done in time (已办).")
    DONE_LATE = strawberry.enum_value("done_late", description="Done after its day (逾期办结).")


@strawberry.type(description="One hospital's cases of one pool, before and under the other edition (按机构结果).")
class RegroupedHospital:
    hospital_code: str = strawberry.field(description="Hospital (机构编号).")
    insurance: Insurance = strawberry.field(description="Insurance type (险种).")
    pool_scope: PoolScope = strawberry.field(description="Local or out of area (范围).")
    cases: int = strawberry.field(description="Cases (例数).")
    settled_before: int = strawberry.field(description="Cases that a run of the year holds (已有结算结果例数).")
    changed: int = strawberry.field(description="Of those, cases whose group or standing changes (变化例数).")
    grouped_before: int = strawberry.field(description="Cases in a group before (原入组例数).")
    grouped_after: int = strawberry.field(description="Cases in a group now (新入组例数).")
    points_before: ExactDecimal = strawberry.field(description="Points that runs gave, in points (原分值合计).")
    points_after: ExactDecimal = strawberry.field(description="Points of all cases now, in points (新分值合计).")
    points_after_of_settled: ExactDecimal = strawberry.field(
        description="Points now of the cases that a run holds: what to compare with pointsBefore (可比新分值合计)."
    )


@strawberry.type(description="Cases that go from one group to another; a blank code is no group (改组去向).")
class RegroupMove:
    before_code: str = strawberry.field(description="Group before (原病种编码).")
    after_code: str = strawberry.field(description="Group now (新病种编码).")
    cases: int = strawberry.field(description="Cases (例数).")
    points_before: ExactDecimal = strawberry.field(description="Their points before (原分值合计).")
    points_after: ExactDecimal = strawberry.field(description="Their points now (新分值合计).")


@strawberry.type(description="A regrouping done again from what was known then (重演).")
class RegroupingReplay:
    same_inputs: bool = strawberry.field(description="Whether its manifest is the same (依据一致).")
    same_results: bool = strawberry.field(description="Whether every case came out the same (结果一致).")
    recorded_at: datetime = strawberry.field(description="When (时间).")

    @staticmethod
    def of(view: ReplayView) -> RegroupingReplay:
        return RegroupingReplay(
            same_inputs=view.same_inputs, same_results=view.same_results, recorded_at=view.recorded_at
        )


@strawberry.type(description="A year of a city under another edition, beside what runs said (重新入组记录).")
class Regrouping(Node):
    view: strawberry.Private[RegroupingView]
    area_code: str = strawberry.field(description="City (统筹区).")
    edition_code: str = strawberry.field(description="Edition grouped under (目录版本).")
    year: int = strawberry.field(description="Settlement year of the cases (结算年度).")
    policy_on: date = strawberry.field(description="Day whose policy spoke (政策日期).")
    cases: int = strawberry.field(description="Cases (例数).")
    grouped: int = strawberry.field(description="Cases in a group (入组例数).")
    settled_before: int = strawberry.field(description="Cases that a run of the year holds (已有结算结果例数).")
    changed: int = strawberry.field(description="Of those, cases whose group or standing changes (变化例数).")
    manifest_sha256: str = strawberry.field(description="Digest of what it was computed from (依据摘要).")
    result_sha256: str = strawberry.field(description="Digest of every case's result (结果摘要).")
    as_known_at: datetime = strawberry.field(description="Cases as known at this moment (病例截止时点).")

    @strawberry.field(description="Counts and points by hospital and pool (按机构汇总).")
    async def hospitals(self, info: Info) -> list[RegroupedHospital]:
        found = await regrouping.by_hospital(info.context.platform, info.context.subject, self.view)
        return [
            RegroupedHospital(
                hospital_code=code,
                insurance=Insurance(row.insurance),
                pool_scope=PoolScope(row.pool_scope),
                cases=row.cases,
                settled_before=row.settled_before,
                changed=row.changed,
                grouped_before=row.grouped_before,
                grouped_after=row.grouped_after,
                points_before=_exact(row.points_before),
                points_after=_exact(row.points_after),
                points_after_of_settled=_exact(row.points_after_of_settled),
            )
            for code, row in found
        ]

    @strawberry.field(description="From which group to which, most cases first (改组去向).")
    async def moves(self, info: Info, first: int) -> list[RegroupMove]:
        found = await regrouping.moves(info.context.platform, info.context.subject, self.view, page_size(first))
        return [
            RegroupMove(
                before_code=row.before_group_code,
                after_code=row.group_code,
                cases=row.cases,
                points_before=_exact(row.points_before),
                points_after=_exact(row.points_after),
            )
            for row in found
        ]

    @strawberry.field(description="Its replays, newest first (重演记录).")
    async def replays(self, info: Info) -> list[RegroupingReplay]:
        found = await regrouping.replays(info.context.platform, info.context.subject, self.view)
        return [RegroupingReplay.of(one) for one in found]

    @staticmethod
    def of(view: RegroupingView) -> Regrouping:
        return Regrouping(
            id=global_id("Regrouping", view.regrouping_id),
            view=view,
            area_code=view.area_code,
            edition_code=view.edition_code,
            year=view.year,
            policy_on=view.policy_on,
            cases=view.cases,
            grouped=view.grouped,
            settled_before=view.settled_before,
            changed=view.changed,
            manifest_sha256=view.manifest_sha256,
            result_sha256=view.result_sha256,
            as_known_at=view.as_known_at,
        )


async def regrouping_in_scope(info: Info, key: str) -> Regrouping | None:
    """A regrouping of the caller's cities, or none."""
    found = uuid_of(key)
    context = info.context
    view = await regrouping.regrouping_by_id(context.platform, context.subject, found) if found else None
    return Regrouping.of(view) if view else None


@finds("Regrouping")
async def find_regrouping(info: Info, key: str) -> Node | None:
    """A regrouping by the key in its id (按标识查重新入组)."""
    return await regrouping_in_scope(info, key)


@strawberry.type(description="What a city is to regroup after a rule changed, and by when (重新入组任务).")
class RegroupTask:
    area_code: str = strawberry.field(description="City (统筹区).")
    cause: RuleChangeCause = strawberry.field(description="What changed (事由).")
    edition_code: str | None = strawberry.field(description="Edition to regroup under; null leaves it open (目录版本).")
    rule_from: date = strawberry.field(description="First day of the rule (规则生效日).")
    year: int = strawberry.field(description="Earliest year that does the task (年度).")
    document: str = strawberry.field(description="Document of the rule (文件依据).")
    opened_on: date = strawberry.field(description="Opened (开启日期).")
    due_on: date = strawberry.field(description="Last day in time (期限).")
    done_on: date | None = strawberry.field(description="Done (办结日期).")
    regrouping: strawberry.ID | None = strawberry.field(description="The regrouping that did it (办结记录).")
    state: RegroupTaskState = strawberry.field(description="As of today (状态).")

    @staticmethod
    def of(view: RegroupTaskView) -> RegroupTask:
        done = view.regrouping_id
        return RegroupTask(
            area_code=view.area_code,
            cause=RuleChangeCause(view.cause),
            edition_code=view.edition_code,
            rule_from=view.rule_from,
            year=view.year,
            document=view.document,
            opened_on=view.opened_on,
            due_on=view.due_on,
            done_on=view.done_on,
            regrouping=None if done is None else global_id("Regrouping", done),
            state=RegroupTaskState(view.state),
        )
