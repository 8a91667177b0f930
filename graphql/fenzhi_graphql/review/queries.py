"""Queries of special-case review (特例单议查询)."""

from __future__ import annotations

import strawberry

from fenzhi.services.review import cycles, experts, lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.jobs.types import uuid_of
from fenzhi_graphql.paging import Connection, connection, keys_of, page_size
from fenzhi_graphql.review.types import ReviewCycle, ReviewerYear, ReviewExpert, SpecialCase


@strawberry.type
class ReviewQuery:
    @strawberry.field(description="Applications for special-case review, in order of application (特例单议列表).")
    async def special_cases(
        self, info: Info, first: int, after: str | None = None, year: int | None = None
    ) -> Connection[SpecialCase]:
        context = info.context
        size = page_size(first)
        place = f"specialCases/{year}"
        keys = keys_of(context, place, after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await lookups.special_cases(context.platform, context.subject, last, size + 1, year=year)
        return connection(context, place, views, size, SpecialCase.of, lambda view: [str(view.special_case_id)])

    @strawberry.field(description="The area's experts, in order of entry (专家列表). Role: city_settlement_clerk.")
    async def review_experts(self, info: Info, first: int, after: str | None = None) -> Connection[ReviewExpert]:
        context = info.context
        size = page_size(first)
        keys = keys_of(context, "reviewExperts", after)
        last = uuid_of(str(keys[0])) if keys else None
        views = await experts.experts(context.platform, context.subject, last, size + 1)
        return connection(context, "reviewExperts", views, size, ReviewExpert.of, lambda view: [str(view.expert_id)])

    @strawberry.field(
        description="The closed cycles of a year with the public statistics, for every level of the area (评审周期与公开统计)."
    )
    async def review_cycles(self, info: Info, year: int) -> list[ReviewCycle]:
        context = info.context
        return [ReviewCycle.of(view) for view in await cycles.cycles(context.platform, context.subject, year)]

    @strawberry.field(
        description="Workload and consistency of the experts of a year (专家工作量与一致率). Role: city_settlement_clerk."
    )
    async def reviewer_years(self, info: Info, year: int) -> list[ReviewerYear]:
        context = info.context
        return [
            ReviewerYear(expert_code=v.expert_code, panels=v.panels, votes=v.votes, agreed=v.agreed)
            for v in await lookups.reviewers(context.platform, context.subject, year)
        ]
