"""Point value queries (点值查询)."""

from __future__ import annotations

import strawberry

from fenzhi.services.point_value import lookups
from fenzhi_graphql.context import Info
from fenzhi_graphql.point_value.types import PointValue


@strawberry.type
class PointValueQuery:
    @strawberry.field(
        description="Point values of a year you may see (点值); counties and hospitals see approved and published ones."
    )
    async def point_values(self, info: Info, year: int) -> list[PointValue]:
        context = info.context
        return [PointValue.of(v) for v in await lookups.point_values(context.platform, context.subject, year)]
