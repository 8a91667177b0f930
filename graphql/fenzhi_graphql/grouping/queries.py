"""Grouping queries (入组查询)."""

from __future__ import annotations

import uuid

import strawberry

from fenzhi.services.scoring import explain
from fenzhi_graphql.context import Info
from fenzhi_graphql.grouping.types import CaseExplain
from fenzhi_graphql.paging import key_of


@strawberry.type
class GroupingQuery:
    @strawberry.field(
        description="How one case is grouped and scored, or null when it is not in your scope (病例解释)."
    )
    async def case_explain(self, info: Info, id: strawberry.ID) -> CaseExplain | None:
        context = info.context
        try:
            case_id = uuid.UUID(key_of(id, "InpatientCase"))
        except ValueError:
            return None
        found = await explain.explain_case(context.platform, context.subject, case_id)
        return CaseExplain.of(found) if found is not None else None
