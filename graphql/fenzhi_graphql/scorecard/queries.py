"""Scorecard queries (评价查询)."""

from __future__ import annotations

import uuid

import strawberry

from fenzhi.services.scorecard import lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.paging import Connection, connection, key_of, keys_of, page_size
from fenzhi_graphql.scorecard.types import Scorecard, scorecard_in_scope


@strawberry.type
class ScorecardQuery:
    @strawberry.field(
        description="Scorecards of a quarter in your scope; hospitals and counties see published ones (评价列表)."
    )
    async def scorecards(
        self, info: Info, year: int, quarter: int, first: int, after: str | None = None
    ) -> Connection[Scorecard]:
        context = info.context
        size = page_size(first)
        place = f"scorecards/{year}/{quarter}"
        keys = keys_of(context, place, after)
        last = (int(str(keys[0])), uuid.UUID(str(keys[1]))) if keys else None
        views = await lookups.scorecards(context.platform, context.subject, year, quarter, last, size + 1)
        return connection(
            context, place, views, size, Scorecard.of, lambda view: [view.hospital_id, str(view.scorecard_id)]
        )

    @strawberry.field(description="One scorecard by id, or null when it is not in your scope (评价).")
    async def scorecard(self, info: Info, id: strawberry.ID) -> Scorecard | None:
        return await scorecard_in_scope(info, key_of(id, "Scorecard"))
