"""Provisional groups as the API shows them (临时病种)."""

from __future__ import annotations

from datetime import date
from enum import Enum

import strawberry

from fenzhi.services.catalog import provisional_lookups
from fenzhi.services.catalog.provisional_lookups import ProvisionalView
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.node import Node, finds
from fenzhi_graphql.paging import global_id
from fenzhi_graphql.scalars import ExactDecimal, Fen


@strawberry.enum(description="A provisional group as of today (临时病种状态).")
class ProvisionalState(Enum):
    PROPOSED = strawberry.enum_value("proposed", description="Before its panel (待评议).")
    CARRIED = strawberry.enum_value("carried", description="Carried by the panel, to be approved (已通过待审批).")
    REFUSED = strawberry.enum_value("refused", description="Not carried by the panel (未通过).")
    REJECTED = strawberry.enum_value("rejected", description="Rejected by the approver (驳回).")
    IN_FORCE = strawberry.enum_value("in_force", description="Approved (有效).")
    ENDING = strawberry.enum_value("ending", description="In force; its end is to be approved (待批终止).")
    EXPIRED = strawberry.enum_value("expired", description="Its last day is past (期满).")
    ENDED = strawberry.enum_value("ended", description="Ended before its last day (已终止).")
    ABSORBED = strawberry.enum_value("absorbed", description="A group of an edition took its place (已并入目录).")


@strawberry.type(description="A member's vote (专家表决).")
class ProvisionalVote:
    expert_code: str = strawberry.field(description="Expert, by code (专家编号).")
    in_favour: bool = strawberry.field(description="For the proposal (赞成).")


@strawberry.type(description="A kind of case that runs left without a group (未入组病例种类).")
class UnmatchedKind:
    diagnosis: str = strawberry.field(description="Principal diagnosis (主要诊断).")
    procedures: list[str] = strawberry.field(description="Procedures (手术操作).")
    cases: int = strawberry.field(description="Cases (例数).")
    total_fen: Fen = strawberry.field(description="Their cost, in fen (总费用, 分).")


@strawberry.type(
    description="An unmatched kind of case with a score of its own until a day; asked only where the edition has no group (临时病种)."
)
class ProvisionalGroup(Node):
    view: strawberry.Private[ProvisionalView]
    area_code: str = strawberry.field(description="City (统筹区).")
    group_code: str = strawberry.field(description="Code in results (病种编码).")
    diagnosis: str = strawberry.field(description="Diagnosis key (诊断).")
    procedures: list[str] = strawberry.field(description="Procedures, all of them asked for (手术操作).")
    name: str = strawberry.field(description="Name (名称).")
    score: ExactDecimal = strawberry.field(description="Score, in points of the edition's scale (分值).")
    edition_code: str = strawberry.field(description="Edition it was proposed beside (目录版本).")
    first_day: date = strawberry.field(description="First discharge date (生效日期).")
    last_day: date = strawberry.field(description="Last discharge date, an approved end counted (失效日期).")
    cases: int = strawberry.field(description="Cases of the kind when it was proposed (提出时例数).")
    total_fen: Fen = strawberry.field(description="Their cost, in fen (总费用, 分).")
    document: str = strawberry.field(description="Document (文件依据).")
    state: ProvisionalState = strawberry.field(description="As of today (状态).")
    absorbed_by: str | None = strawberry.field(description="Group that took its place (并入病种).")
    absorbing_edition: str | None = strawberry.field(description="Edition of that group (并入目录).")
    panel: list[str] = strawberry.field(description="Members drawn by lot; none below the city (专家组).")
    seed: str = strawberry.field(
        description="Seed of the draw, for whoever repeats it; blank below the city (抽取种子)."
    )

    @strawberry.field(description="Votes of the panel; none below the city (专家表决).")
    async def votes(self, info: Info) -> list[ProvisionalVote]:
        context = info.context
        found = await provisional_lookups.votes(context.platform, context.subject, self.view.provisional_id)
        return [ProvisionalVote(expert_code=expert, in_favour=vote) for expert, vote in found]

    @staticmethod
    def of(view: ProvisionalView) -> ProvisionalGroup:
        return ProvisionalGroup(
            id=global_id("ProvisionalGroup", view.provisional_id),
            view=view,
            area_code=view.area_code,
            group_code=view.group_code,
            diagnosis=view.diagnosis,
            procedures=list(view.procedures),
            name=view.name,
            score=ExactDecimal(view.score),
            edition_code=view.edition_code,
            first_day=view.first_day,
            last_day=view.last_day,
            cases=view.cases,
            total_fen=Fen(view.total_fen),
            document=view.document,
            state=ProvisionalState(view.state),
            absorbed_by=view.absorbed_by,
            absorbing_edition=view.absorbing_edition,
            panel=list(view.panel),
            seed=view.seed,
        )


async def provisional_in_scope(info: Info, key: str) -> ProvisionalGroup | None:
    """A provisional group of the caller's scope, or none."""
    found = uuid_of(key)
    context = info.context
    view = await provisional_lookups.by_id(context.platform, context.subject, found) if found else None
    return ProvisionalGroup.of(view) if view else None


@finds("ProvisionalGroup")
async def find_provisional(info: Info, key: str) -> Node | None:
    """A provisional group by the key in its id (按标识查临时病种)."""
    return await provisional_in_scope(info, key)
